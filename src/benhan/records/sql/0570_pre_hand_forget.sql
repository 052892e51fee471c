-- What patients drew for a record goes with it: rows and pictures.
create function record_hand_forget() returns trigger
    language plpgsql security definer set search_path = public, pg_temp as $$
begin
    insert into record_doomed
        select distinct h.tenant, h.encounter_id, h.image from record_hand h
            where h.tenant = new.tenant and h.encounter_id = new.encounter_id and h.image ~ '^[0-9a-f]{64}$'
        on conflict do nothing;
    delete from record_hand where tenant = new.tenant and encounter_id = new.encounter_id;
    return null;
end $$;
revoke all on function record_hand_forget() from public;
create trigger record_hand_forget after update on record_case for each row
    when (new.state = 'destroyed' and old.state <> 'destroyed') execute function record_hand_forget();
