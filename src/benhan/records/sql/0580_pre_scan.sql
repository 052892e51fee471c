-- Records that were kept on paper and are scanned: their own way into the archive, and the mark that tells them apart.
alter table record_case add column scanned boolean not null default false;
create index record_case_archive_number on record_case (tenant, so_luu_tru) where so_luu_tru is not null;
insert into record_state values ('scanned', false);
insert into record_step values
    ('scanned', 'check_scan', 'received'), ('received', 'rescan', 'scanned'), ('scanned', 'cancel', 'cancelled');

-- What a record was made from is never changed, and only a record of paper may be scanned.
create function record_scanned_same() returns trigger language plpgsql as $$
begin
    if new.scanned is distinct from old.scanned or (new.state = 'scanned' and not new.scanned) then
        raise exception 'a record is of paper or it is not' using errcode = 'BH001';
    end if;
    return new;
end $$;
create trigger record_scanned_same before update on record_case for each row execute function record_scanned_same();
