-- The lock of a closed record in the database itself, behind every door; two-phase sealing; requests that need a
-- second person. States and steps are those of data/lifecycle.yaml (a test compares them).

create table record_state (
    state text collate "C" primary key,
    closed boolean not null
);
create table record_step (
    state text collate "C" not null references record_state,
    event text collate "C" not null,
    next text collate "C" not null references record_state,
    primary key (state, event)
);
insert into record_state values
    ('open', false), ('discharged', false), ('completed', false), ('submitted', false), ('returned', false),
    ('received', false), ('closing', true), ('closed', true), ('archived', true), ('reopened', false), ('due', true),
    ('destroyed', true), ('cancelled', true);
insert into record_step values
    ('open', 'discharge', 'discharged'), ('open', 'cancel', 'cancelled'),
    ('discharged', 'undo_discharge', 'open'), ('discharged', 'complete', 'completed'),
    ('completed', 'submit', 'submitted'), ('submitted', 'return', 'returned'), ('returned', 'submit', 'submitted'),
    ('submitted', 'receive', 'received'), ('received', 'return', 'returned'), ('received', 'close', 'closing'),
    ('reopened', 'close', 'closing'), ('closing', 'seal', 'closed'), ('closing', 'cancel_close', 'received'),
    ('closed', 'archive', 'archived'), ('closed', 'addend', 'closed'), ('archived', 'addend', 'archived'),
    ('closed', 'reopen', 'reopened'), ('archived', 'reopen', 'reopened'), ('archived', 'mark_due', 'due'),
    ('due', 'extend', 'archived'), ('due', 'destroy', 'destroyed');
grant select on record_state, record_step to benhan_app, benhan_reader, benhan_destroyer;

-- Requests for what one person alone may not do: reopen, destroy, give a copy away. Decided once, by somebody else.
create table record_request (
    tenant uuid not null,
    id uuid not null,
    encounter_id text collate "C" not null,
    kind text collate "C" not null check (kind in ('reopen', 'destroy', 'release')),
    asked_at timestamptz not null,
    asked_by text collate "C" not null,
    reason text collate "C" not null check (reason <> ''),
    detail jsonb not null default '{}',
    decision text collate "C" check (decision in ('approved', 'refused')),
    decided_at timestamptz,
    decided_by text collate "C",
    note text collate "C" not null default '',
    used_at timestamptz,
    primary key (tenant, id),
    check ((decision is null) = (decided_at is null) and (decision is null) = (decided_by is null)),
    check (decided_by <> asked_by),
    check (used_at is null or decision = 'approved')
);
create index record_request_list on record_request (tenant, kind, asked_at);
create index record_request_record on record_request (tenant, encounter_id);
alter table record_request enable row level security;
alter table record_request force row level security;
create policy record_request_tenant on record_request
    using (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid)
    with check (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid);
grant select on record_request to benhan_app, benhan_destroyer;
grant insert (tenant, id, encounter_id, kind, asked_at, asked_by, reason, detail) on record_request to benhan_app;
grant update (decision, decided_at, decided_by, note, used_at) on record_request to benhan_app;

create function record_request_once() returns trigger language plpgsql as $$
begin
    if old.decision is not null and (old.decision, old.decided_at, old.decided_by, old.note)
        is distinct from (new.decision, new.decided_at, new.decided_by, new.note) then
        raise exception 'a request is decided once' using errcode = 'check_violation';
    end if;
    if old.used_at is not null and old.used_at is distinct from new.used_at then
        raise exception 'a request is used once' using errcode = 'check_violation';
    end if;
    return new;
end $$;
create trigger record_request_once before update on record_request for each row execute function record_request_once();

-- A signature under way: what was frozen waits in the blob store while the signer takes its time.
create table record_sealing (
    tenant uuid not null,
    id uuid not null,
    encounter_id text collate "C" not null,
    kind text collate "C" not null check (kind in ('close', 'addend')),
    stage text collate "C" not null check (stage in ('to-sign', 'to-seal', 'done', 'cancelled')),
    at timestamptz not null,
    actor text collate "C" not null,
    frozen text collate "C" not null,           -- SHA-256 of the blob with what is to be signed or sealed
    document_id text collate "C",
    ended_at timestamptz,
    primary key (tenant, id)
);
create unique index record_sealing_close on record_sealing (tenant, encounter_id) where kind = 'close' and stage = 'to-seal';
create index record_sealing_open on record_sealing (tenant, at) where stage in ('to-sign', 'to-seal');
alter table record_sealing enable row level security;
alter table record_sealing force row level security;
create policy record_sealing_tenant on record_sealing
    using (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid)
    with check (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid);
grant select, insert on record_sealing to benhan_app;
grant update (stage, frozen, document_id, ended_at) on record_sealing to benhan_app;

-- No version enters a closed record, whoever sends the SQL, but in a transaction in which the room of records has
-- opened the door for that record (its own state, the signed addendum, a claim's file); money is under another lock.
create function record_closed_refuses() returns trigger language plpgsql as $$
begin
    if exists (
        select from added a
        join record_key k on k.tenant = a.tenant and k.id = a.key_id and starts_with(k.scope, 'Encounter/')
        join record_case c on c.tenant = k.tenant and c.encounter_id = substr(k.scope, 11)
        join record_state s on s.state = c.state
        where s.closed
          and a.type not in ('Account', 'ChargeItem', 'Claim', 'ClaimResponse', 'Coverage', 'CoverageEligibilityRequest',
              'CoverageEligibilityResponse', 'ExplanationOfBenefit', 'Invoice', 'PaymentNotice', 'PaymentReconciliation')
          and position(c.encounter_id in coalesce(current_setting('benhan.passing', true), '')) = 0
    ) then
        raise exception 'the record is closed' using errcode = 'BH001';
    end if;
    return null;
end $$;
create trigger record_closed_refuses after insert on log referencing new table as added
    for each statement execute function record_closed_refuses();

-- What is in the log stays findable: its current row is not taken away by the application.
create function record_current_stays() returns trigger language plpgsql as $$
begin
    if not pg_has_role(current_user, 'benhan_destroyer', 'usage') and exists (
        select from log l where l.tenant = old.tenant and l.type = old.type and l.id = old.id
    ) then
        raise exception 'a current row of a logged resource stays' using errcode = 'BH001';
    end if;
    return case tg_op when 'DELETE' then old else new end;
end $$;
create trigger record_current_stays before delete on current_version for each row execute function record_current_stays();
create trigger record_current_same before update on current_version for each row
    when (new.type <> old.type or new.id <> old.id or new.version < old.version
        or (new.version = old.version and new.deleted <> old.deleted))
    execute function record_current_stays();

-- A case goes from state to state only by a step of the table; reopening and destroying need the other person's yes;
-- what a closed record is about no longer changes.
create function record_case_steps() returns trigger language plpgsql as $$
declare was_closed boolean;
begin
    select s.closed into was_closed from record_state s where s.state = old.state;
    if new.state <> old.state then
        if not exists (select from record_step t where t.state = old.state and t.next = new.state) then
            raise exception 'no step from % to %', old.state, new.state using errcode = 'BH001';
        end if;
        if new.state in ('reopened', 'destroyed') and not exists (
            select from record_request r
            where r.tenant = new.tenant and r.encounter_id = new.encounter_id and r.decision = 'approved'
              and r.kind = case new.state when 'reopened' then 'reopen' else 'destroy' end
              and r.used_at is not distinct from nullif(current_setting('benhan.now', true), '')::timestamptz
        ) then
            raise exception 'not approved by a second person' using errcode = 'BH001';
        end if;
    end if;
    if was_closed and (new.encounter_id, new.patient_id, new.composition_id, new.form_code, new.khoa, new.doctor,
            new.admitted_at, new.discharged_at, new.so_benh_an, new.so_luu_tru, new.ma_lk)
        is distinct from (old.encounter_id, old.patient_id, old.composition_id, old.form_code, old.khoa, old.doctor,
            old.admitted_at, old.discharged_at, old.so_benh_an, old.so_luu_tru, old.ma_lk) then
        raise exception 'the record is closed' using errcode = 'BH001';
    end if;
    return new;
end $$;
create trigger record_case_steps before update on record_case for each row execute function record_case_steps();
