-- Copies given away: who has what, until when; found by the code that is printed on them. Never deleted.
create table record_release (
    tenant uuid not null,
    id uuid not null,
    request_id uuid not null,
    encounter_id text collate "C" not null,
    code text collate "C" not null,
    act text collate "C" not null check (act in ('read', 'copy', 'summary')),
    recipient text collate "C" not null,
    purpose text collate "C" not null,
    papers jsonb not null,
    pages integer not null check (pages > 0),
    sha256 text collate "C" not null,
    made_at timestamptz not null,
    made_by text collate "C" not null,
    made_by_name text collate "C" not null,
    expires_on date not null,
    withdrawn_at timestamptz,
    withdraw_reason text collate "C" not null default '',
    primary key (tenant, id)
);
create unique index record_release_code on record_release (tenant, code);
create index record_release_record on record_release (tenant, encounter_id);
alter table record_release enable row level security;
alter table record_release force row level security;
create policy record_release_tenant on record_release
    using (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid)
    with check (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid);
grant select, insert on record_release to benhan_app;
grant update (withdrawn_at, withdraw_reason) on record_release to benhan_app;
grant select on record_release to benhan_destroyer;
