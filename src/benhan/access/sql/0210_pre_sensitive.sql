-- Sensitive groups (HIV, mental health, …): which rows belong to one, who is in the care team, what a grant opens.
-- Asked by the policies of current_version and log, so that every path of the store (read, search, count, include, chain,
-- everything, history, export) sees the same. benhan.sight (account or machine whose sight is narrowed; empty: the system
-- and those cleared), benhan.khoa (where it treats now) and benhan.purpose are set beside benhan.reader.

create table sensitive_rule (    -- what an administrator added to the list that is shipped, or took from it (active false)
    tenant uuid not null,
    grp text collate "C" not null,
    system text collate "C" not null,
    prefix text collate "C" not null,
    active boolean not null,
    reason text collate "C" not null,
    set_by text collate "C" not null,
    set_at timestamptz not null,
    primary key (tenant, grp, system, prefix)
);
create table sensitive_row (
    tenant uuid not null,
    type text collate "C" not null,
    id text collate "C" not null,
    groups text[] collate "C" not null,
    encounter text collate "C",
    writer uuid,                 -- the account that wrote it goes on seeing it
    primary key (tenant, type, id)
);
create index sensitive_row_encounter on sensitive_row (tenant, encounter) where encounter is not null;
create table care_stay (         -- which khoa treats whom, from the stays of the record
    tenant uuid not null,
    encounter text collate "C" not null,
    patient text collate "C" not null,
    khoa text collate "C" not null,
    since timestamptz not null,
    until timestamptz,           -- end of the stay and the days after it in which papers are still written
    primary key (tenant, encounter)
);
create index care_stay_patient on care_stay (tenant, patient);

alter table access_grant add column groups text[] collate "C" not null default '{}';
alter table access_grant add column purposes text[] collate "C" not null default '{}';

alter table sensitive_rule enable row level security;
alter table sensitive_rule force row level security;
create policy sensitive_rule_tenant on sensitive_rule
    using (tenant = (select nullif(current_setting('benhan.tenant', true), '')::uuid))
    with check (tenant = (select nullif(current_setting('benhan.tenant', true), '')::uuid));
alter table sensitive_row enable row level security;
alter table sensitive_row force row level security;
create policy sensitive_row_tenant on sensitive_row
    using (tenant = (select nullif(current_setting('benhan.tenant', true), '')::uuid))
    with check (tenant = (select nullif(current_setting('benhan.tenant', true), '')::uuid));
alter table care_stay enable row level security;
alter table care_stay force row level security;
create policy care_stay_tenant on care_stay
    using (tenant = (select nullif(current_setting('benhan.tenant', true), '')::uuid))
    with check (tenant = (select nullif(current_setting('benhan.tenant', true), '')::uuid));
grant select, insert, update on sensitive_rule, care_stay to benhan_app;
grant select, insert, update, delete on sensitive_row to benhan_app;
grant select on sensitive_row, care_stay to benhan_reader, benhan_destroyer;

-- Grants in force for the facility or the person who looks, for the purpose of this look.
create function grant_in_force(g access_grant) returns boolean
    language sql stable set search_path = pg_catalog
    return g.revoked_at is null
        and g.valid_from <= coalesce(nullif(current_setting('benhan.now', true), '')::timestamptz, now())
        and (g.valid_to is null
             or g.valid_to > coalesce(nullif(current_setting('benhan.now', true), '')::timestamptz, now()))
        and (g.purposes = '{}' or nullif(current_setting('benhan.purpose', true), '') = any (g.purposes));
grant execute on function grant_in_force(access_grant) to benhan_app, benhan_reader, benhan_destroyer;

alter policy current_version_read on current_version using (
    tenant = (select nullif(current_setting('benhan.tenant', true), '')::uuid)
    and (
        (select nullif(coalesce(current_setting('benhan.reader', true), '') || coalesce(current_setting('benhan.sight', true), ''), '')) is null
        or custodian = (select nullif(current_setting('benhan.reader', true), '')::uuid)
        or (
            (
                (select nullif(current_setting('benhan.reader', true), '')) is null
                or exists (
                    select from access_grant g
                    where g.tenant = current_version.tenant
                      and g.grantee = nullif(current_setting('benhan.reader', true), '')::uuid
                      and g.patient_id = current_version.patient
                      and grant_in_force(g)
                )
            )
            and not exists (
                select from sensitive_row s
                where s.tenant = current_version.tenant and s.type = current_version.type and s.id = current_version.id
                  and coalesce(s.writer <> nullif(current_setting('benhan.sight', true), '')::uuid, true)
                  and not exists (
                      select from access_grant g
                      where g.tenant = current_version.tenant
                        and g.grantee in (nullif(current_setting('benhan.reader', true), '')::uuid,
                                          nullif(current_setting('benhan.sight', true), '')::uuid)
                        and g.patient_id = current_version.patient
                        and grant_in_force(g)
                        and (g.kind = 'break-glass' or s.groups <@ g.groups)
                  )
                  and not exists (
                      select from care_stay c
                      where c.tenant = current_version.tenant
                        and c.patient = current_version.patient
                        and c.khoa = any (string_to_array(current_setting('benhan.khoa', true), ','))
                        and c.since <= coalesce(nullif(current_setting('benhan.now', true), '')::timestamptz, now())
                        and (c.until is null
                             or c.until > coalesce(nullif(current_setting('benhan.now', true), '')::timestamptz, now()))
                  )
            )
        )
    )
);
alter policy log_read on log using (
    tenant = (select nullif(current_setting('benhan.tenant', true), '')::uuid)
    and (
        (select nullif(coalesce(current_setting('benhan.reader', true), '') || coalesce(current_setting('benhan.sight', true), ''), '')) is null
        or (
            (select nullif(current_setting('benhan.reader', true), '')) is null
            and not exists (
                select from sensitive_row s where s.tenant = log.tenant and s.type = log.type and s.id = log.id
            )
        )
        or exists (
            select from current_version c where c.tenant = log.tenant and c.type = log.type and c.id = log.id
        )
    )
);
