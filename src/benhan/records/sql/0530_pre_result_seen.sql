-- Who has seen which version of a result, and what was done about a critical one. Append-only: nothing is taken back.
create table result_seen (
    tenant uuid not null,
    report_id text collate "C" not null,
    version integer not null check (version > 0),
    at timestamptz not null,
    actor text collate "C" not null,
    actor_name text not null,
    critical boolean not null,
    note text not null check (not critical or length(btrim(note)) > 0),
    primary key (tenant, report_id, version)
);
alter table result_seen enable row level security;
alter table result_seen force row level security;
create policy result_seen_tenant on result_seen
    using (tenant = (select nullif(current_setting('benhan.tenant', true), '')::uuid))
    with check (tenant = (select nullif(current_setting('benhan.tenant', true), '')::uuid));
grant select, insert on result_seen to benhan_app;
grant select, delete on result_seen to benhan_destroyer;
