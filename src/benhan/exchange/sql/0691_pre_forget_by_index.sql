-- As 0690, but the audit is asked by its index of patients: it has millions of rows.
create or replace function exchange_forget_record() returns trigger
    language plpgsql security definer set search_path = public, pg_temp as $$
declare
    messages text[];
begin
    select coalesce(array_agg(m), '{}') into messages from (
        select a.detail::jsonb ->> 'message' as m from audit a
            where a.tenant = new.tenant and a.patient = new.patient_id and a.action = 'queued' and a.entity = 'Encounter/' || new.encounter_id
              and a.detail is not null
        union
        select s.message_id from exchange_referral_step s
            join exchange_referral r on r.tenant = s.tenant and r.id = s.referral_id
            where r.tenant = new.tenant and r.encounter_id = new.encounter_id
    ) as found where m is not null;
    if exists (select from exchange_out where tenant = new.tenant and message_id = any(messages) and state = 'waiting') then
        raise exception 'a message of the record is on its way to the hub' using errcode = 'BH001';
    end if;
    insert into record_doomed
        select distinct new.tenant, new.encounter_id, h from (
            select convert_from(header, 'UTF8')::jsonb ->> 'body_sha256' as h from exchange_out
            where tenant = new.tenant and message_id = any(messages)
        ) as bodies where h ~ '^[0-9a-f]{64}$'
        on conflict do nothing;
    delete from exchange_referral_step s using exchange_referral r
        where s.tenant = new.tenant and r.tenant = s.tenant and r.id = s.referral_id and r.encounter_id = new.encounter_id;
    delete from exchange_referral where tenant = new.tenant and encounter_id = new.encounter_id;
    return null;
end $$;
