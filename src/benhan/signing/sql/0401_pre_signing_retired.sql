-- A key whose certificate has run out makes room for its owner's next one; it was not revoked.
alter table signing_key drop constraint signing_key_status_check;
alter table signing_key add constraint signing_key_status_check
  check (status in ('active', 'suspended', 'revoked', 'retired'));
