-- Signatures that were made while the time-stamp service was away and wait for its token.
create table record_waiting (
    tenant uuid not null,
    provenance_id text collate "C" not null,
    encounter_id text collate "C" not null,
    asked_at timestamptz not null,
    next_at timestamptz not null,
    tries integer not null default 0 check (tries >= 0),
    said text collate "C" not null default '',    -- code of the last error
    done_at timestamptz,
    primary key (tenant, provenance_id)
);
create index record_waiting_due on record_waiting (tenant, next_at) where done_at is null;
create index record_waiting_record on record_waiting (tenant, encounter_id) where done_at is null;
alter table record_waiting enable row level security;
alter table record_waiting force row level security;
create policy record_waiting_tenant on record_waiting
    using (tenant = (select nullif(current_setting('benhan.tenant', true), '')::uuid))
    with check (tenant = (select nullif(current_setting('benhan.tenant', true), '')::uuid));
grant select, insert on record_waiting to benhan_app;
grant update (next_at, tries, said, done_at) on record_waiting to benhan_app;
grant select, delete on record_waiting to benhan_destroyer;
