-- Who signs for whom: a head hands the duty to sign named papers to a named person, from a day to a day. Never changed but
-- to end it earlier; never deleted: signatures made under it point to it.
create table record_delegation (
    tenant uuid not null,
    id uuid not null,
    made_at timestamptz not null,
    from_staff text collate "C" not null,
    from_name text collate "C" not null,
    to_staff text collate "C" not null,
    to_name text collate "C" not null,
    permission text collate "C" not null check (permission in ('form.sign_head', 'form.sign_director')),
    khoa text collate "C",                    -- null: the whole facility
    forms jsonb not null check (jsonb_array_length(forms) > 0),
    first date not null,
    last date not null check (last >= first),
    reason text collate "C" not null check (reason <> ''),
    ended_at timestamptz,
    ended_by text collate "C",
    primary key (tenant, id),
    check (to_staff <> from_staff)
);
create index record_delegation_to on record_delegation (tenant, to_staff, last);
create index record_delegation_from on record_delegation (tenant, from_staff, last);
alter table record_delegation enable row level security;
alter table record_delegation force row level security;
create policy record_delegation_tenant on record_delegation
    using (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid)
    with check (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid);
grant select, insert on record_delegation to benhan_app;
grant update (ended_at, ended_by) on record_delegation to benhan_app;
