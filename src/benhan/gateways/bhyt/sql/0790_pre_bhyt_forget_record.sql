-- A destroyed record leaves the claims desk too: how its claim stood, what was let through, its check-in and its quarantined
-- packages; the files of all these are named for removal.
create function bhyt_forget_record() returns trigger
    language plpgsql security definer set search_path = public, pg_temp as $$
begin
    insert into record_doomed
        select distinct new.tenant, new.encounter_id, h from (
            select sha256 as h from bhyt_claim where tenant = new.tenant and ma_lk = new.ma_lk
            union all
            select sha256 from bhyt_checkin where tenant = new.tenant and ma_lk = new.ma_lk
            union all
            select sha256 from bhyt_quarantine where tenant = new.tenant and ma_lk = new.ma_lk
        ) as files where h ~ '^[0-9a-f]{64}$'
        on conflict do nothing;
    delete from bhyt_replay r using bhyt_quarantine q
        where r.tenant = new.tenant and q.tenant = r.tenant and q.sha256 = r.sha256 and q.ma_lk = new.ma_lk;
    delete from bhyt_quarantine where tenant = new.tenant and ma_lk = new.ma_lk;
    delete from bhyt_line_state where tenant = new.tenant and ma_lk = new.ma_lk;
    delete from bhyt_pass where tenant = new.tenant and ma_lk = new.ma_lk;
    delete from bhyt_checkin where tenant = new.tenant and ma_lk = new.ma_lk;
    delete from bhyt_claim where tenant = new.tenant and ma_lk = new.ma_lk;
    return null;
end $$;
revoke all on function bhyt_forget_record() from public;
create trigger bhyt_forget_record after update on record_case for each row
    when (new.state = 'destroyed' and old.state <> 'destroyed') execute function bhyt_forget_record();
