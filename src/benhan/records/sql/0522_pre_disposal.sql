-- What was destroyed, by whose word, and the signed certificate of it; and what the scrub of the archive found.
create table record_destruction (
    tenant uuid not null,
    id uuid not null,
    request_id uuid not null,
    encounter_id text collate "C" not null,
    at timestamptz not null,
    actor text collate "C" not null,
    resources integer not null,
    files jsonb not null,          -- SHA-256 of every file that was removed
    certificate text collate "C" not null,   -- SHA-256 of the certificate's blob
    signature text collate "C" not null,     -- SHA-256 of the blob of its CAdES signature
    primary key (tenant, id)
);
create unique index record_destruction_record on record_destruction (tenant, encounter_id);
alter table record_destruction enable row level security;
alter table record_destruction force row level security;
create policy record_destruction_tenant on record_destruction
    using (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid)
    with check (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid);
grant select, insert on record_destruction to benhan_app;
grant select on record_destruction to benhan_destroyer;

create table record_scrub (
    tenant uuid not null,
    id uuid not null,
    started_at timestamptz not null,
    ended_at timestamptz not null,
    files integer not null,
    bytes bigint not null,
    broken jsonb not null,         -- [{encounter, document, sha256, fault}]
    primary key (tenant, id)
);
create index record_scrub_list on record_scrub (tenant, ended_at);
alter table record_scrub enable row level security;
alter table record_scrub force row level security;
create policy record_scrub_tenant on record_scrub
    using (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid)
    with check (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid);
grant select, insert on record_scrub to benhan_app;
