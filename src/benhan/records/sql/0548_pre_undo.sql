-- Administrative acts are taken back on one person's request and another's yes; an admission is cancelled in no other way.
alter table record_request drop constraint record_request_kind_check;
alter table record_request add constraint record_request_kind_check
    check (kind in ('reopen', 'destroy', 'release', 'undo'));

create function record_cancel_approved() returns trigger language plpgsql as $$
begin
    if not exists (
        select from record_request r
        where r.tenant = new.tenant and r.encounter_id = new.encounter_id and r.kind = 'undo' and r.decision = 'approved'
          and r.used_at is not distinct from nullif(current_setting('benhan.now', true), '')::timestamptz
    ) then
        raise exception 'not approved by a second person' using errcode = 'BH001';
    end if;
    return new;
end $$;
create trigger record_cancel_approved before update on record_case for each row
    when (new.state = 'cancelled' and old.state <> 'cancelled') execute function record_cancel_approved();
