-- Bulk export and import: what was asked, by whom, how far it is, and the files that belong to it (sealed blobs).
create table bulk_job (
    tenant uuid not null,
    id uuid not null,
    kind text collate "C" not null check (kind in ('export', 'import')),
    state text collate "C" not null check (state in ('running', 'done', 'failed', 'deleted')),
    asked jsonb not null,                         -- parameters, rights of the caller at that time, actor, reader
    place jsonb not null default '{}',            -- how far it is: where a second attempt goes on
    started_at timestamptz not null,
    ended_at timestamptz,
    owner text collate "C" not null,              -- actor reference: nobody else sees the job
    primary key (tenant, id)
);
create table bulk_file (
    tenant uuid not null,
    job uuid not null,
    number integer not null,
    type text collate "C" not null,               -- resource type; OperationOutcome for errors; '' for what was sent
    rows integer not null,
    sha256 text collate "C" not null,
    primary key (tenant, job, number),
    foreign key (tenant, job) references bulk_job (tenant, id)
);
alter table bulk_job enable row level security;
alter table bulk_job force row level security;
create policy bulk_job_tenant on bulk_job
    using (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid)
    with check (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid);
grant select, insert on bulk_job to benhan_app;
grant update (state, place, ended_at) on bulk_job to benhan_app;
alter table bulk_file enable row level security;
alter table bulk_file force row level security;
create policy bulk_file_tenant on bulk_file
    using (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid)
    with check (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid);
grant select, insert, delete on bulk_file to benhan_app;
