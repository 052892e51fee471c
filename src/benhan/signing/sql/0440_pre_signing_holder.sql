-- Where a private key is: sealed here (software), in a token or HSM of the server (pkcs11), at a remote signing service
-- (csc), in the token at its owner's own computer (agent). `place` names it there; PINs and secrets are kept nowhere.
alter table signing_key
    add column holder text collate "C" not null default 'software' check (holder in ('software', 'pkcs11', 'csc', 'agent')),
    add column place text collate "C" not null default '',
    alter column key_sealed drop not null,
    add constraint signing_key_sealed check ((holder = 'software') = (key_sealed is not null));

-- A key made here whose certificate an outside authority has still to give.
create table signing_request (
    tenant uuid not null,
    id uuid not null,
    owner text collate "C" not null,
    name text collate "C" not null,
    licence text collate "C" not null,
    csr bytea not null,                       -- PKCS #10, PEM
    key_sealed bytea not null,
    at timestamptz not null,
    state text collate "C" not null default 'open' check (state in ('open', 'enrolled', 'dropped')),
    primary key (tenant, id)
);
create unique index signing_request_open on signing_request (tenant, owner) where state = 'open';
alter table signing_request enable row level security;
alter table signing_request force row level security;
create policy signing_request_tenant on signing_request
    using (tenant = (select nullif(current_setting('benhan.tenant', true), '')::uuid))
    with check (tenant = (select nullif(current_setting('benhan.tenant', true), '')::uuid));
grant select, insert on signing_request to benhan_app;
grant update (state) on signing_request to benhan_app;
