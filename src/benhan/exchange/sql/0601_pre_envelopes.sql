-- Signed envelopes: a facility's lanes and what it sends in them; the hub's side of each lane; the daily comparison.

create table exchange_out_lane (
  tenant uuid not null,
  lane text collate "C" not null,
  epoch integer not null,
  number bigint not null,
  head text collate "C" not null,
  primary key (tenant, lane)
);

create table exchange_out (
  tenant uuid not null,
  message_id text collate "C" not null,
  lane text collate "C" not null,
  epoch integer not null,
  sequence bigint not null,
  header bytea not null,
  day date not null,
  state text collate "C" not null default 'waiting' check (state in ('waiting', 'received', 'quarantined', 'refused')),
  tries integer not null default 0,
  not_before timestamptz not null,
  reason text collate "C" not null default '',
  receipt bytea,
  queued_at timestamptz not null,
  answered_at timestamptz,
  primary key (tenant, message_id)
);
create unique index exchange_out_place on exchange_out (tenant, lane, epoch, sequence);
create index exchange_out_waiting on exchange_out (tenant, lane, epoch, sequence) where state = 'waiting';
create index exchange_out_day on exchange_out (tenant, day);

create table exchange_in_lane (
  tenant uuid not null,
  source uuid not null,
  lane text collate "C" not null,
  epoch integer not null,
  expected bigint not null,
  head text collate "C" not null,
  primary key (tenant, source, lane)
);

create table exchange_in (
  tenant uuid not null,
  source uuid not null,
  lane text collate "C" not null,
  epoch integer not null,
  sequence bigint not null,
  digest text collate "C" not null,
  message_id text collate "C" not null,
  body_sha256 text collate "C" not null,
  signed text collate "C" not null,
  day date not null,
  outcome text collate "C" not null check (outcome in ('stored', 'quarantined')),
  reason text collate "C" not null default '',
  received_at timestamptz not null,
  primary key (tenant, source, lane, epoch, sequence)
);
create index exchange_in_day on exchange_in (tenant, source, day);
create index exchange_in_quarantined on exchange_in (tenant, received_at) where outcome = 'quarantined';

create table exchange_comparison (
  tenant uuid not null,
  day date not null,
  at timestamptz not null,
  ours_count integer not null,
  ours_hash text collate "C" not null,
  theirs_count integer not null,
  theirs_hash text collate "C" not null,
  sent_again integer not null,
  strange integer not null,
  differing integer not null,
  primary key (tenant, day, at)
);

alter table exchange_out_lane enable row level security;
alter table exchange_out_lane force row level security;
create policy tenant_only on exchange_out_lane
  using (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid);
alter table exchange_out enable row level security;
alter table exchange_out force row level security;
create policy tenant_only on exchange_out
  using (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid);
alter table exchange_in_lane enable row level security;
alter table exchange_in_lane force row level security;
create policy tenant_only on exchange_in_lane
  using (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid);
alter table exchange_in enable row level security;
alter table exchange_in force row level security;
create policy tenant_only on exchange_in
  using (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid);
alter table exchange_comparison enable row level security;
alter table exchange_comparison force row level security;
create policy tenant_only on exchange_comparison
  using (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid);

grant select, insert, update on exchange_out_lane, exchange_out, exchange_in_lane to benhan_app;
grant select, insert on exchange_in, exchange_comparison to benhan_app;
grant update (outcome, reason) on exchange_in to benhan_app;
grant update (receipt) on exchange_inbox to benhan_app;
