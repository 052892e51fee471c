-- A facility's own forms and its editions: the YAML as it was loaded; a published edition is never changed.
create table form_template (
    tenant uuid not null,
    code text collate "C" not null,
    edition text collate "C" not null,
    state text collate "C" not null check (state in ('draft', 'published', 'retired')),
    title text collate "C" not null,
    source_text text collate "C" not null,
    valid_from date not null,
    valid_to date,
    at timestamptz not null,
    by text collate "C" not null,
    primary key (tenant, code, edition)
);
alter table form_template enable row level security;
alter table form_template force row level security;
create policy form_template_tenant on form_template
    using (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid)
    with check (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid);
grant select, insert, update, delete on form_template to benhan_app;

-- Who is writing on which paper at this moment; no content, forgotten after a day.
create table form_presence (
    tenant uuid not null,
    response_id text collate "C" not null,
    person text collate "C" not null,
    display text collate "C" not null,
    at timestamptz not null,
    primary key (tenant, response_id, person)
);
alter table form_presence enable row level security;
alter table form_presence force row level security;
create policy form_presence_tenant on form_presence
    using (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid)
    with check (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid);
grant select, insert, update, delete on form_presence to benhan_app;
