-- Until when each sealed container that this node holds proves itself: the end of its newest time stamp's certificate.
create table record_proof (
    tenant uuid not null,
    document_id text collate "C" not null,
    custodian uuid,                       -- at the hub: whose record it is
    sha256 text collate "C" not null,     -- of the container looked at; another one is looked at again
    title text collate "C" not null,
    ends_at timestamptz,                  -- null: the container could not be read
    fault text collate "C" not null default '',
    renewals integer not null default 0 check (renewals >= 0),
    looked_at timestamptz not null,
    primary key (tenant, document_id)
);
create index record_proof_ends on record_proof (tenant, ends_at);
alter table record_proof enable row level security;
alter table record_proof force row level security;
create policy record_proof_tenant on record_proof
    using (tenant = (select nullif(current_setting('benhan.tenant', true), '')::uuid))
    with check (tenant = (select nullif(current_setting('benhan.tenant', true), '')::uuid));
grant select, insert, update on record_proof to benhan_app;
grant select, delete on record_proof to benhan_destroyer;
