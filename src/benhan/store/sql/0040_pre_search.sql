-- Search: references apart from other equal values, so that chains go both ways by joins of two integers; groups of
-- values for composite parameters; indexes by row number without the tenant, which rid alone already decides (the
-- policy still filters on it). References move out of index_equal: `benhan reindex` rebuilds them.

-- What a reference to this resource hashes to: the first 64 bits of SHA-256, as store.hashing.ref64 makes them.
alter table current_version add column ref bigint
    generated always as (('x' || left(encode(sha256((type || '/' || id)::bytea), 'hex'), 16))::bit(64)::bigint) stored;
create index current_ref on current_version (tenant, ref);

create table index_reference (   -- param: hash of (type, parameter); target: hash of Type/id or of an address
    tenant uuid not null,
    target bigint not null,
    rid bigint not null,
    param integer not null,
    primary key (tenant, param, target, rid)
);
create index index_reference_rid on index_reference (rid, param, target);

create table index_group (       -- key: hash of (type, composite, component[, value or unit]); grp ties rows together
    tenant uuid not null,
    key bigint not null,
    rid bigint not null,
    low double precision not null,
    high double precision not null,
    grp integer not null,
    system integer not null
);
create index index_group_value on index_group (tenant, key, low, rid, grp);
create index index_group_rid on index_group (rid, key, grp);

drop index index_string_rid;
drop index index_date_rid;
drop index index_number_rid;
create index index_string_rid on index_string (rid, key);
create index index_date_rid on index_date (rid, key);
create index index_number_rid on index_number (rid, key);

alter table index_reference enable row level security;
alter table index_reference force row level security;
create policy index_reference_tenant on index_reference
    using (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid)
    with check (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid);
alter table index_group enable row level security;
alter table index_group force row level security;
create policy index_group_tenant on index_group
    using (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid)
    with check (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid);
grant select, insert, delete on index_reference, index_group to benhan_app;
grant select, delete on index_reference, index_group to benhan_destroyer;
grant select on index_reference, index_group to benhan_reader;
