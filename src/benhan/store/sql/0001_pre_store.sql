-- The log of resource versions, what is derived from it, keys, audit, outbox, drafts, grants.
-- Every tenant table: tenant first in the primary key, row-level security forced, rights named one by one.
-- benhan.tenant, benhan.reader, benhan.actor and benhan.now are set for one transaction by the store.

create table installation (
    one boolean primary key default true check (one),
    epoch integer not null,
    indexed_by text collate "C" not null default ''   -- fingerprint of the index definitions the rows were made with
);
insert into installation (epoch) values (1);
grant select on installation to benhan_app, benhan_reader, benhan_auditor, benhan_destroyer;
grant update (indexed_by) on installation to benhan_app;

create table tenant (
    id uuid primary key,
    kind text collate "C" not null check (kind in ('facility', 'hub')),
    code text collate "C" not null unique,
    name text collate "C" not null,
    created_at timestamptz not null
);
-- Codes are renumbered and stations merge: a tenant keeps its predecessors' codes with their validity.
create table tenant_code (
    tenant uuid not null references tenant,
    code text collate "C" not null,
    valid_from timestamptz not null,
    valid_to timestamptz,
    primary key (tenant, code, valid_from)
);
grant select, insert on tenant to benhan_app;
grant update (code, name) on tenant to benhan_app;
grant select, insert on tenant_code to benhan_app;
grant update (valid_to) on tenant_code to benhan_app;
grant select on tenant, tenant_code to benhan_reader, benhan_auditor, benhan_destroyer;

-- Keys, each wrapped: record keys by the tenant's key, tenant keys by the installation's key wrapper.
create table tenant_key (
    tenant uuid not null,
    id uuid not null,
    wrapped bytea not null,
    created_at timestamptz not null,
    primary key (tenant, id)
);
create table record_key (
    tenant uuid not null,
    id uuid not null,
    scope text collate "C" not null,
    wrapped bytea not null,
    created_at timestamptz not null,
    primary key (tenant, id)
);
create index record_key_scope on record_key (tenant, scope);

create table log (
    tenant uuid not null,
    tx xid8 not null default pg_current_xact_id(),
    seq bigint not null generated always as identity,
    at timestamptz not null,
    custodian uuid,
    key_id uuid,                                  -- null: a deletion, which has no bytes
    epoch integer not null,
    version integer not null check (version > 0),
    dictionary smallint not null,
    type text collate "C" not null,
    id text collate "C" not null,
    author text collate "C" not null,
    action text collate "C" not null check (action in ('create', 'update', 'delete')),
    sha256 bytea not null,
    bytes bytea not null,
    primary key (tenant, type, id, version)
);
alter table log alter column bytes set storage external;
create index log_feed on log (tenant, epoch, tx, seq);

create sequence resource_rid as bigint increment by 1000;
create table current_version (
    tenant uuid not null,
    rid bigint not null,
    at timestamptz not null,
    custodian uuid,
    version integer not null,
    deleted boolean not null,
    type text collate "C" not null,
    id text collate "C" not null,
    patient text collate "C",
    present integer[] not null,  -- hashes of the search parameters that have a value, for :missing
    primary key (tenant, type, id)
);
create unique index current_rid on current_version (tenant, rid);
create index current_at on current_version (tenant, type, at, rid);
create index current_patient on current_version (tenant, patient, type) where patient is not null;

-- Index rows. key = 64-bit hash of (type, parameter[, value]); B-tree with leakproof operators only.
create table index_equal (       -- token, reference, uri: system is a hash, 0 = none
    tenant uuid not null,
    key bigint not null,
    rid bigint not null,
    system integer not null,
    primary key (tenant, key, system, rid)
);
create table index_string (
    tenant uuid not null,
    key bigint not null,
    rid bigint not null,
    exact bigint not null,
    folded text collate "C" not null
);
create index index_string_value on index_string (tenant, key, folded, rid);
create index index_string_rid on index_string (tenant, rid, key);
create table index_trigram (
    tenant uuid not null,
    key bigint not null,
    rid bigint not null,
    primary key (tenant, key, rid)
);
create table index_date (
    tenant uuid not null,
    key bigint not null,
    rid bigint not null,
    low timestamptz not null,
    high timestamptz not null
);
create index index_date_low on index_date (tenant, key, low, high, rid);
create index index_date_high on index_date (tenant, key, high, rid);
create index index_date_rid on index_date (tenant, rid, key);
create table index_number (
    tenant uuid not null,
    key bigint not null,
    rid bigint not null,
    low double precision not null,
    high double precision not null
);
create index index_number_value on index_number (tenant, key, low, high, rid);
create index index_number_rid on index_number (tenant, rid, key);

create table audit (
    tenant uuid not null,
    tx xid8 not null default pg_current_xact_id(),
    seq bigint not null generated always as identity,
    at timestamptz not null,
    account uuid,
    reader uuid,
    epoch integer not null,
    version integer,
    actor text collate "C" not null,
    actor_display text collate "C" not null,
    actor_kind text collate "C" not null,
    purpose text collate "C" not null,
    action text collate "C" not null,
    entity text collate "C",
    patient text collate "C",
    outcome text collate "C" not null,
    correlation text collate "C" not null,
    detail text collate "C",
    primary key (tenant, epoch, tx, seq)
);
create index audit_patient on audit (tenant, patient, at) where patient is not null;
create table audit_seal (        -- signed tree heads over audit rows in (epoch, tx, seq) order, RFC 9162 hashing
    tenant uuid not null,
    size bigint not null,
    root bytea not null,
    frontier bytea not null,     -- roots of the perfect subtrees, to append without reading back
    last_epoch integer not null,
    last_tx xid8 not null,
    last_seq bigint not null,
    at timestamptz not null,
    primary key (tenant, size)
);

create table outbox (
    tenant uuid not null,
    id bigint not null generated always as identity,
    topic text collate "C" not null,
    key text collate "C" not null,
    payload jsonb not null,
    at timestamptz not null,
    dispatched_at timestamptz,
    primary key (tenant, id),
    unique (tenant, topic, key)
);
create index outbox_waiting on outbox (tenant, id) where dispatched_at is null;

create table draft (             -- value sealed under the tenant's key
    tenant uuid not null,
    author text collate "C" not null,
    form_key text collate "C" not null,
    field text collate "C" not null,
    value bytea not null,
    client_at timestamptz not null,
    seq bigint not null,
    at timestamptz not null,
    expires_at timestamptz not null,
    primary key (tenant, author, form_key, field)
);
create index draft_expiry on draft (tenant, expires_at);

create table access_grant (      -- who may read what others keep, at the hub; asked by the policy of current_version
    tenant uuid not null,
    id uuid not null,
    patient_id text collate "C" not null,
    grantee uuid not null,
    kind text collate "C" not null check (kind in ('consent', 'referral', 'break-glass', 'custodian')),
    valid_from timestamptz not null,
    valid_to timestamptz,
    reason text collate "C" not null,
    granted_by text collate "C" not null,
    revoked_at timestamptz,
    primary key (tenant, id)
);
create index access_grant_patient on access_grant (tenant, grantee, patient_id);

alter table tenant_key enable row level security;
alter table tenant_key force row level security;
create policy tenant_key_tenant on tenant_key
    using (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid)
    with check (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid);
grant select, insert on tenant_key to benhan_app;

alter table record_key enable row level security;
alter table record_key force row level security;
create policy record_key_tenant on record_key
    using (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid)
    with check (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid);
grant select, insert on record_key to benhan_app;
grant select, delete on record_key to benhan_destroyer;

alter table access_grant enable row level security;
alter table access_grant force row level security;
create policy access_grant_tenant on access_grant
    using (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid)
    with check (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid);
grant select, insert on access_grant to benhan_app;
grant update (revoked_at) on access_grant to benhan_app;
grant select on access_grant to benhan_reader, benhan_auditor, benhan_destroyer;

alter table current_version enable row level security;
alter table current_version force row level security;
create policy current_version_read on current_version for select using (
    tenant = nullif(current_setting('benhan.tenant', true), '')::uuid
    and (
        nullif(current_setting('benhan.reader', true), '') is null
        or custodian = nullif(current_setting('benhan.reader', true), '')::uuid
        or exists (
            select from access_grant g
            where g.tenant = current_version.tenant
              and g.grantee = nullif(current_setting('benhan.reader', true), '')::uuid
              and g.patient_id = current_version.patient
              and g.revoked_at is null
              and g.valid_from <= coalesce(nullif(current_setting('benhan.now', true), '')::timestamptz, now())
              and (g.valid_to is null
                   or g.valid_to > coalesce(nullif(current_setting('benhan.now', true), '')::timestamptz, now()))
        )
    )
);
create policy current_version_insert on current_version for insert
    with check (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid);
create policy current_version_update on current_version for update
    using (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid)
    with check (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid);
create policy current_version_delete on current_version for delete
    using (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid);
grant select, insert, update, delete on current_version to benhan_app;
grant select on current_version to benhan_reader;
grant select, delete on current_version to benhan_destroyer;

alter table log enable row level security;
alter table log force row level security;
create policy log_read on log for select using (
    tenant = nullif(current_setting('benhan.tenant', true), '')::uuid
    and (
        nullif(current_setting('benhan.reader', true), '') is null
        or exists (
            select from current_version c where c.tenant = log.tenant and c.type = log.type and c.id = log.id
        )
    )
);
create policy log_insert on log for insert
    with check (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid);
-- Not tx and seq: their order is the server's, not the application's, to say.
grant select on log to benhan_app, benhan_reader, benhan_destroyer;
grant insert (tenant, at, custodian, key_id, epoch, version, dictionary, type, id, author, action, sha256, bytes)
    on log to benhan_app;

alter table index_equal enable row level security;
alter table index_equal force row level security;
create policy index_equal_tenant on index_equal
    using (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid)
    with check (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid);
alter table index_string enable row level security;
alter table index_string force row level security;
create policy index_string_tenant on index_string
    using (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid)
    with check (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid);
alter table index_trigram enable row level security;
alter table index_trigram force row level security;
create policy index_trigram_tenant on index_trigram
    using (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid)
    with check (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid);
alter table index_date enable row level security;
alter table index_date force row level security;
create policy index_date_tenant on index_date
    using (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid)
    with check (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid);
alter table index_number enable row level security;
alter table index_number force row level security;
create policy index_number_tenant on index_number
    using (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid)
    with check (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid);
grant select, insert, delete on index_equal, index_string, index_trigram, index_date, index_number to benhan_app;
grant select, delete on index_equal, index_string, index_trigram, index_date, index_number to benhan_destroyer;
grant select on index_equal, index_string, index_trigram, index_date, index_number to benhan_reader;
grant usage on sequence resource_rid to benhan_app;

alter table audit enable row level security;
alter table audit force row level security;
create policy audit_read on audit for select
    using (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid);
create policy audit_insert on audit for insert
    with check (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid);
grant select on audit to benhan_app, benhan_auditor;
grant insert (tenant, at, account, reader, epoch, version, actor, actor_display, actor_kind, purpose, action, entity,
    patient, outcome, correlation, detail) on audit to benhan_app, benhan_destroyer;

alter table audit_seal enable row level security;
alter table audit_seal force row level security;
create policy audit_seal_read on audit_seal for select
    using (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid);
create policy audit_seal_insert on audit_seal for insert
    with check (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid);
grant select, insert on audit_seal to benhan_app;
grant select on audit_seal to benhan_auditor;

alter table outbox enable row level security;
alter table outbox force row level security;
create policy outbox_tenant on outbox
    using (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid)
    with check (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid);
grant select, insert on outbox to benhan_app;
grant update (dispatched_at) on outbox to benhan_app;

alter table draft enable row level security;
alter table draft force row level security;
create policy draft_author on draft
    using (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid
           and author = nullif(current_setting('benhan.actor', true), ''))
    with check (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid
                and author = nullif(current_setting('benhan.actor', true), ''));
grant select, insert, update, delete on draft to benhan_app;
