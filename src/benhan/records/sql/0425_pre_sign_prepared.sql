-- What is prepared for a signature that is made elsewhere (token at the doctor's computer, remote service) and comes back
-- later, perhaps after a restart: the bytes to be signed, and (a blob) all that the last phase needs. Nothing secret.
create table record_sign_prepared (
    tenant uuid not null,
    batch uuid not null,
    seq integer not null,
    to_be_signed bytea not null,
    state text collate "C" not null,          -- SHA-256 of the blob
    at timestamptz not null,
    primary key (tenant, batch, seq)
);
alter table record_sign_prepared enable row level security;
alter table record_sign_prepared force row level security;
create policy record_sign_prepared_tenant on record_sign_prepared
    using (tenant = (select nullif(current_setting('benhan.tenant', true), '')::uuid))
    with check (tenant = (select nullif(current_setting('benhan.tenant', true), '')::uuid));
grant select, insert, delete on record_sign_prepared to benhan_app;
