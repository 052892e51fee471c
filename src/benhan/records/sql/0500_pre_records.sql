-- Numbers: one running number per kind and scope, taken under a row lock; a cancelled number stays with its reason.
create table number_series (
    tenant uuid not null,
    kind text collate "C" not null,
    scope text collate "C" not null,
    next bigint not null,
    primary key (tenant, kind, scope)
);
create table number_range (
    tenant uuid not null,
    id uuid not null,
    kind text collate "C" not null,
    scope text collate "C" not null,
    khoa text collate "C",
    on_day date not null,
    first bigint not null,
    last bigint not null,
    machine text collate "C" not null,
    lent_at timestamptz not null,
    lent_by text collate "C" not null,
    returned_at timestamptz,
    primary key (tenant, id),
    check (first <= last)
);
create table number_taken (
    tenant uuid not null,
    kind text collate "C" not null,
    scope text collate "C" not null,
    seq bigint not null,
    text text collate "C" not null,
    event text collate "C" not null,
    subject text collate "C",
    taken_at timestamptz not null,
    taken_by text collate "C" not null,
    range_id uuid,
    machine text collate "C",
    cancelled_at timestamptz,
    cancelled_by text collate "C",
    cancel_reason text collate "C",
    primary key (tenant, kind, scope, seq)
);
create unique index number_taken_text on number_taken (tenant, kind, text);

-- Fast view of where each record stands; derived from its Composition and Encounter, rebuildable.
create table record_case (
    tenant uuid not null,
    encounter_id text collate "C" not null,
    patient_id text collate "C" not null,
    composition_id text collate "C",
    form_code text collate "C",
    khoa text collate "C" not null,
    doctor text collate "C" not null,
    state text collate "C" not null,
    admitted_at timestamptz not null,
    discharged_at timestamptz,
    due_on date,
    closed_at timestamptz,
    legal_hold boolean not null default false,
    financial_lock boolean not null default false,
    so_benh_an text collate "C",
    so_luu_tru text collate "C",
    ma_lk text collate "C" not null,
    primary key (tenant, encounter_id)
);
create index record_case_list on record_case (tenant, state, khoa);
create index record_case_patient on record_case (tenant, patient_id);
create unique index record_case_ma_lk on record_case (tenant, ma_lk);

-- Every step of both locks, append only.
create table record_event (
    tenant uuid not null,
    id uuid not null,
    encounter_id text collate "C" not null,
    event text collate "C" not null,
    from_state text collate "C" not null,
    to_state text collate "C" not null,
    at timestamptz not null,
    actor text collate "C" not null,
    reason text collate "C" not null default '',
    detail jsonb not null default '{}',
    seq bigint generated always as identity,
    primary key (tenant, id)
);
create index record_event_list on record_event (tenant, encounter_id, at);

alter table number_series enable row level security;
alter table number_series force row level security;
create policy number_series_tenant on number_series
    using (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid)
    with check (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid);
grant select, insert, update on number_series to benhan_app;

alter table number_range enable row level security;
alter table number_range force row level security;
create policy number_range_tenant on number_range
    using (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid)
    with check (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid);
grant select, insert on number_range to benhan_app;
grant update (returned_at) on number_range to benhan_app;

alter table number_taken enable row level security;
alter table number_taken force row level security;
create policy number_taken_tenant on number_taken
    using (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid)
    with check (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid);
grant select, insert on number_taken to benhan_app;
grant update (cancelled_at, cancelled_by, cancel_reason) on number_taken to benhan_app;

alter table record_case enable row level security;
alter table record_case force row level security;
create policy record_case_tenant on record_case
    using (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid)
    with check (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid);
grant select, insert, update on record_case to benhan_app;

alter table record_event enable row level security;
alter table record_event force row level security;
create policy record_event_tenant on record_event
    using (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid)
    with check (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid);
grant select, insert on record_event to benhan_app;
