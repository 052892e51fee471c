-- Exchange between facilities and the hub: inbox, disclosures, status of records, cursors.

-- One row for each submission the hub has accepted; a second delivery finds it and gets the same receipt.
create table exchange_inbox (
  tenant uuid not null,
  source uuid not null,
  message_id text collate "C" not null,
  sha256 text collate "C" not null,
  received_at timestamptz not null,
  receipt bytea not null,
  primary key (tenant, source, message_id)
);

-- Every look of one facility into documents of another: the custodian fetches these for its own audit.
create table exchange_disclosure (
  tenant uuid not null,
  id uuid not null,
  tx xid8 not null default pg_current_xact_id(),
  seq bigint generated always as identity,
  custodian uuid not null,
  source_patient text collate "C" not null,
  patient_id text collate "C" not null,
  reader uuid not null,
  requester text collate "C" not null,
  kind text collate "C" not null,
  reason text collate "C" not null default '',
  act text collate "C" not null,
  documents text[] not null,
  at timestamptz not null,
  primary key (tenant, id)
);
create index exchange_disclosure_feed on exchange_disclosure (tenant, custodian, tx, seq);

-- Status (never content) of each record, as its facility last reported it.
create table exchange_record_status (
  tenant uuid not null,
  facility uuid not null,
  record_key text collate "C" not null,
  number text collate "C" not null,
  state text collate "C" not null,
  claim text collate "C" not null,
  signed integer not null,
  opened_at timestamptz,
  changed_at timestamptz not null,
  received_at timestamptz not null,
  primary key (tenant, facility, record_key)
);
create index exchange_record_status_state on exchange_record_status (tenant, facility, state);

-- How far a reader of a feed has come.
create table exchange_cursor (
  tenant uuid not null,
  name text collate "C" not null,
  value text collate "C" not null,
  primary key (tenant, name)
);

alter table exchange_inbox enable row level security;
alter table exchange_inbox force row level security;
create policy tenant_only on exchange_inbox
  using (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid);
alter table exchange_disclosure enable row level security;
alter table exchange_disclosure force row level security;
create policy tenant_only on exchange_disclosure
  using (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid);
alter table exchange_record_status enable row level security;
alter table exchange_record_status force row level security;
create policy tenant_only on exchange_record_status
  using (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid);
alter table exchange_cursor enable row level security;
alter table exchange_cursor force row level security;
create policy tenant_only on exchange_cursor
  using (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid);

grant select, insert on exchange_inbox, exchange_disclosure to benhan_app;
grant select, insert, update on exchange_record_status, exchange_cursor to benhan_app;
