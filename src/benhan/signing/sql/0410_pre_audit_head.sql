-- Heads of the audit's tree, signed by the seal of the house and time-stamped; and what the checks of the audit found.
create table audit_head (
    tenant uuid not null,
    size bigint not null,
    root bytea not null,
    statement bytea not null,   -- the exact bytes that are signed
    signature bytea not null,   -- detached CMS with its time stamp
    signed_at timestamptz not null,
    primary key (tenant, size)
);
create table audit_check (
    tenant uuid not null,
    at timestamptz not null,
    ok boolean not null,
    size bigint not null,
    unsealed bigint not null,
    heads integer not null,
    fault text collate "C" not null default '',
    primary key (tenant, at)
);
alter table audit_head enable row level security;
alter table audit_head force row level security;
create policy audit_head_tenant on audit_head
    using (tenant = (select nullif(current_setting('benhan.tenant', true), '')::uuid))
    with check (tenant = (select nullif(current_setting('benhan.tenant', true), '')::uuid));
alter table audit_check enable row level security;
alter table audit_check force row level security;
create policy audit_check_tenant on audit_check
    using (tenant = (select nullif(current_setting('benhan.tenant', true), '')::uuid))
    with check (tenant = (select nullif(current_setting('benhan.tenant', true), '')::uuid));
grant select, insert on audit_head, audit_check to benhan_app;
grant select on audit_head, audit_check to benhan_auditor;
