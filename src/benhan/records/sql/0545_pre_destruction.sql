-- What leaves in the clear when a record is destroyed. Keys, current and index rows are the destroyer's (store); everything
-- beside them goes in the very transaction in which the case becomes "destroyed", whoever sends the SQL. Rooms above add
-- triggers of their own (0690, 0790) and name the files they kept in record_doomed.

create table record_doomed (
    tenant uuid not null,
    encounter_id text collate "C" not null,
    sha256 text collate "C" not null check (sha256 ~ '^[0-9a-f]{64}$'),
    primary key (tenant, encounter_id, sha256)
);
alter table record_doomed enable row level security;
alter table record_doomed force row level security;
create policy record_doomed_tenant on record_doomed
    using (tenant = (select nullif(current_setting('benhan.tenant', true), '')::uuid))
    with check (tenant = (select nullif(current_setting('benhan.tenant', true), '')::uuid));
grant select on record_doomed to benhan_app;

-- The certificate is a signed PDF; the list below it is kept as data as well. Rows made before this have none.
alter table record_destruction add column listing text collate "C" not null default '';

-- A draft is its author's alone; the owner may take away those of a destroyed record.
create policy draft_forget_read on draft for select to benhan_owner
    using (tenant = (select nullif(current_setting('benhan.tenant', true), '')::uuid));
create policy draft_forget on draft for delete to benhan_owner
    using (tenant = (select nullif(current_setting('benhan.tenant', true), '')::uuid));

create function record_refuses_destruction() returns trigger language plpgsql as $$
begin
    if new.legal_hold or old.legal_hold then
        raise exception 'the record is under legal hold' using errcode = 'BH001';
    end if;
    return new;
end $$;
create trigger record_refuses_destruction before update on record_case for each row
    when (new.state = 'destroyed' and old.state <> 'destroyed') execute function record_refuses_destruction();

create function record_stays_destroyed() returns trigger language plpgsql as $$
begin
    raise exception 'the record is destroyed' using errcode = 'BH001';
end $$;
create trigger record_stays_destroyed before update on record_case for each row
    when (old.state = 'destroyed' and new is distinct from old) execute function record_stays_destroyed();

create function record_forget() returns trigger
    language plpgsql security definer set search_path = public, pg_temp as $$
declare
    own text[];        -- ids of what is sealed under the key of the record
    gone constant text := '(đã tiêu hủy)';
    sight constant text := coalesce(current_setting('benhan.sight', true), '');
    reader constant text := coalesce(current_setting('benhan.reader', true), '');
begin
    perform set_config('benhan.sight', '', true), set_config('benhan.reader', '', true);  -- what the approver may not see goes as well
    select coalesce(array_agg(distinct l.id), '{}') into own from log l
        join record_key k on k.tenant = l.tenant and k.id = l.key_id
        where l.tenant = new.tenant and k.scope = 'Encounter/' || new.encounter_id;
    insert into record_doomed
        select distinct tenant, encounter_id, h from (
            select r.tenant, r.encounter_id, r.sha256 as h from record_release r
                where r.tenant = new.tenant and r.encounter_id = new.encounter_id
            union all
            select s.tenant, s.encounter_id, s.sha256 from record_shown s
                where s.tenant = new.tenant and s.encounter_id = new.encounter_id
            union all
            select s.tenant, s.encounter_id, s.frozen from record_sealing s
                where s.tenant = new.tenant and s.encounter_id = new.encounter_id
            union all
            select i.tenant, i.encounter_id, p.state from record_sign_prepared p
                join record_sign_item i on i.tenant = p.tenant and i.batch = p.batch and i.seq = p.seq
                where i.tenant = new.tenant and i.encounter_id = new.encounter_id
        ) as files where h ~ '^[0-9a-f]{64}$'
        on conflict do nothing;
    delete from record_sign_prepared p using record_sign_item i
        where p.tenant = new.tenant and i.tenant = p.tenant and i.batch = p.batch and i.seq = p.seq
          and i.encounter_id = new.encounter_id;
    delete from record_shown where tenant = new.tenant and encounter_id = new.encounter_id;
    delete from record_waiting where tenant = new.tenant and encounter_id = new.encounter_id;
    delete from record_proof where tenant = new.tenant and document_id = any(own);
    delete from result_seen where tenant = new.tenant and report_id = any(own);
    delete from form_presence where tenant = new.tenant and response_id = any(own);
    delete from sensitive_row where tenant = new.tenant
        and (encounter = new.encounter_id or (id = any(own) and type <> 'Patient'));
    delete from care_stay where tenant = new.tenant and encounter = any(own || new.encounter_id);
    delete from draft where tenant = new.tenant and split_part(form_key, '/', 2) = any(own || new.encounter_id);
    delete from outbox where tenant = new.tenant and dispatched_at is null
        and payload ->> 'encounter' = new.encounter_id and topic <> 'exchange.destroy';
    update record_sign_item set sentence = '' where tenant = new.tenant and encounter_id = new.encounter_id;
    update record_release set purpose = gone, recipient = gone, papers = '[]'
        where tenant = new.tenant and encounter_id = new.encounter_id;
    update record_request set reason = gone, detail = '{}', note = case when note = '' then '' else gone end
        where tenant = new.tenant and encounter_id = new.encounter_id and kind <> 'destroy' and decision is not null;
    update record_request set reason = gone, detail = '{}'
        where tenant = new.tenant and encounter_id = new.encounter_id and kind <> 'destroy' and decision is null;
    update record_event set reason = gone, detail = '{}'
        where tenant = new.tenant and encounter_id = new.encounter_id and reason <> ''
          and event not in ('mark_due', 'extend', 'destroy', 'hold', 'release');
    perform set_config('benhan.sight', sight, true), set_config('benhan.reader', reader, true);
    return null;
end $$;
revoke all on function record_forget() from public;
create trigger record_forget after update on record_case for each row
    when (new.state = 'destroyed' and old.state <> 'destroyed') execute function record_forget();
-- The files are gone: the application says so one by one, after it has removed them.
grant delete on record_doomed to benhan_app;
