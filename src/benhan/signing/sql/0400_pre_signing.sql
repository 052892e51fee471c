-- Signing keys: the private key encrypted under a key derived from its owner's PIN; certificates stay for ever.
create table signing_key (
  tenant uuid not null,
  id uuid not null,
  owner text collate "C" not null,
  kind text collate "C" not null check (kind in ('person', 'seal')),
  name text collate "C" not null,
  licence text collate "C" not null,
  certificate bytea not null,
  chain bytea not null,
  key_sealed bytea not null,
  status text collate "C" not null default 'active' check (status in ('active', 'suspended', 'revoked')),
  failed integer not null default 0,
  created_at timestamptz not null,
  expires_at timestamptz not null,
  primary key (tenant, id)
);
create unique index signing_key_active on signing_key (tenant, owner) where status = 'active';
alter table signing_key enable row level security;
alter table signing_key force row level security;
create policy signing_key_tenant on signing_key
  using (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid)
  with check (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid);
grant select, insert on signing_key to benhan_app;
grant update (status, failed) on signing_key to benhan_app;
