-- Who stood at the door with a quarantined package: a replay must not let it speak for another facility.
alter table bhyt_quarantine add column sender uuid;
