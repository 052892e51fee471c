-- Referrals and their steps: the same two tables at both facilities and at the hub, each under its own tenant.

create table exchange_referral (
  tenant uuid not null,
  id uuid not null,
  sender text collate "C" not null,          -- MA_CSKCB
  receiver text collate "C" not null,
  patient_id text collate "C" not null,      -- of this node; '' at a receiver that has not met the person
  encounter_id text collate "C" not null default '',
  request jsonb not null,                    -- Patient and ServiceRequest as sent
  valid_until date not null,
  state text collate "C" not null,
  number integer not null,                   -- of the last step
  sent_at timestamptz not null,
  changed_at timestamptz not null,
  primary key (tenant, id)
);
create index exchange_referral_list on exchange_referral (tenant, state, sent_at);
create index exchange_referral_encounter on exchange_referral (tenant, encounter_id);

create table exchange_referral_step (
  tenant uuid not null,
  referral_id uuid not null,
  number integer not null,
  tx xid8 not null default pg_current_xact_id(),
  seq bigint generated always as identity,
  event text collate "C" not null,
  side text collate "C" not null check (side in ('sender', 'receiver')),
  at timestamptz not null,
  who text collate "C" not null,
  name text collate "C" not null,
  note text collate "C" not null,
  message_id text collate "C" not null,
  body bytea not null,
  primary key (tenant, referral_id, number)
);
create index exchange_referral_step_feed on exchange_referral_step (tenant, tx, seq);

alter table exchange_referral enable row level security;
alter table exchange_referral force row level security;
create policy tenant_only on exchange_referral
  using (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid)
  with check (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid);
alter table exchange_referral_step enable row level security;
alter table exchange_referral_step force row level security;
create policy tenant_only on exchange_referral_step
  using (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid)
  with check (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid);

grant select, insert on exchange_referral, exchange_referral_step to benhan_app;
grant update (state, number, changed_at) on exchange_referral to benhan_app;
