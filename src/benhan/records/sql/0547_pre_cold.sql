-- Sealed containers that lie in the cold place: since when, and what was wrong when one was to be moved or read.
create table record_cold (
    tenant uuid not null,
    document_id text collate "C" not null,
    sha256 text collate "C" not null,
    encounter_id text collate "C" not null,
    moved_at timestamptz,                        -- null: it could not be moved
    fault text collate "C" not null default '',  -- code of the last error
    looked_at timestamptz not null,
    primary key (tenant, document_id)
);
create index record_cold_fault on record_cold (tenant, looked_at) where fault <> '';
alter table record_cold enable row level security;
alter table record_cold force row level security;
create policy record_cold_tenant on record_cold
    using (tenant = (select nullif(current_setting('benhan.tenant', true), '')::uuid))
    with check (tenant = (select nullif(current_setting('benhan.tenant', true), '')::uuid));
grant select, insert, update on record_cold to benhan_app;
grant select, delete on record_cold to benhan_destroyer;

create function record_cold_forgotten() returns trigger
    language plpgsql security definer set search_path = public, pg_temp as $$
begin
    delete from record_cold where tenant = new.tenant and encounter_id = new.encounter_id;
    return null;
end $$;
revoke all on function record_cold_forgotten() from public;
create trigger record_cold_forgotten after update on record_case for each row
    when (new.state = 'destroyed' and old.state <> 'destroyed') execute function record_cold_forgotten();
