-- Hub: which facility's person is which person of the province; merges that can be undone; look-alikes to review.
create table identity_link (
    tenant uuid not null,
    id uuid not null,
    source uuid not null,
    source_patient_id text collate "C" not null,
    patient_id text collate "C" not null,
    how text collate "C" not null,
    explanation jsonb not null,
    linked_at timestamptz not null,
    linked_by text collate "C" not null,
    ended_at timestamptz,
    ended_by text collate "C",
    ended_reason text collate "C",
    primary key (tenant, id)
);
create unique index identity_link_current on identity_link (tenant, source, source_patient_id) where ended_at is null;
create index identity_link_patient on identity_link (tenant, patient_id);

create table identity_merge (
    tenant uuid not null,
    id uuid not null,
    kept_id text collate "C" not null,
    gone_id text collate "C" not null,
    reason text collate "C" not null,
    gone_was_active boolean not null,
    merged_at timestamptz not null,
    merged_by text collate "C" not null,
    undone_at timestamptz,
    undone_by text collate "C",
    undo_reason text collate "C",
    primary key (tenant, id)
);
create unique index identity_merge_gone on identity_merge (tenant, gone_id) where undone_at is null;

create table identity_review (
    tenant uuid not null,
    id uuid not null,
    patient_id text collate "C" not null,
    other_id text collate "C" not null,
    score numeric not null,
    reasons jsonb not null,
    found_at timestamptz not null,
    decided text collate "C" check (decided in ('same', 'different')),
    decided_at timestamptz,
    decided_by text collate "C",
    primary key (tenant, id)
);

alter table identity_link enable row level security;
alter table identity_link force row level security;
create policy identity_link_tenant on identity_link
    using (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid)
    with check (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid);
grant select, insert on identity_link to benhan_app;
grant update (ended_at, ended_by, ended_reason) on identity_link to benhan_app;

alter table identity_merge enable row level security;
alter table identity_merge force row level security;
create policy identity_merge_tenant on identity_merge
    using (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid)
    with check (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid);
grant select, insert on identity_merge to benhan_app;
grant update (undone_at, undone_by, undo_reason) on identity_merge to benhan_app;

alter table identity_review enable row level security;
alter table identity_review force row level security;
create policy identity_review_tenant on identity_review
    using (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid)
    with check (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid);
grant select, insert on identity_review to benhan_app;
grant update (decided, decided_at, decided_by) on identity_review to benhan_app;
