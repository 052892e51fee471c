-- What is kept beside a resource goes with its current row, at the hub too (there is no record_case there). Current rows of
-- logged resources are taken away by the destroyer only (0520).
create function record_row_forgotten() returns trigger
    language plpgsql security definer set search_path = public, pg_temp as $$
begin
    delete from record_proof where tenant = old.tenant and document_id = old.id and old.type = 'DocumentReference';
    delete from sensitive_row where tenant = old.tenant and type = old.type and id = old.id;
    return null;
end $$;
revoke all on function record_row_forgotten() from public;
create trigger record_row_forgotten after delete on current_version for each row execute function record_row_forgotten();
