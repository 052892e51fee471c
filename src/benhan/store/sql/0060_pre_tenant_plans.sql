-- A tenant that came after the last ANALYZE is in no statistics. When the planner can see its value it takes "tenant ="
-- alone to leave one row, holds every index that begins with the tenant for as good as the primary key, and reads all
-- rows of that facility for each resource that is looked up. As a subquery the value is seen only when the plan runs:
-- the planner then counts on an average tenant, and takes the index that names the resource. It is asked once for a
-- statement, not once for a row. Look-ups of the store name the tenant in the same way (store.reading).
alter policy record_key_tenant on record_key
    using (tenant = (select nullif(current_setting('benhan.tenant', true), '')::uuid));
alter policy log_read on log using (
    tenant = (select nullif(current_setting('benhan.tenant', true), '')::uuid)
    and (
        (select nullif(current_setting('benhan.reader', true), '')) is null
        or exists (
            select from current_version c where c.tenant = log.tenant and c.type = log.type and c.id = log.id
        )
    )
);
alter policy current_version_read on current_version using (
    tenant = (select nullif(current_setting('benhan.tenant', true), '')::uuid)
    and (
        (select nullif(current_setting('benhan.reader', true), '')) is null
        or custodian = (select nullif(current_setting('benhan.reader', true), '')::uuid)
        or exists (
            select from access_grant g
            where g.tenant = current_version.tenant
              and g.grantee = nullif(current_setting('benhan.reader', true), '')::uuid
              and g.patient_id = current_version.patient
              and g.revoked_at is null
              and g.valid_from <= coalesce(nullif(current_setting('benhan.now', true), '')::timestamptz, now())
              and (g.valid_to is null
                   or g.valid_to > coalesce(nullif(current_setting('benhan.now', true), '')::timestamptz, now()))
        )
    )
);
alter policy current_version_update on current_version
    using (tenant = (select nullif(current_setting('benhan.tenant', true), '')::uuid));
