-- An index that begins with the tenant is read whole by a planner that has no statistics of a new tenant: it takes the
-- tenant alone for selective. Joins by ref then read all rows of the facility for each of them.
drop index current_ref;
create index current_ref on current_version (ref);
