-- The oldest transaction that may still commit rows into this database: every lower one has ended, so a cursor that
-- stays below it never passes a row that commits late. The server's own horizon (pg_snapshot_xmin) also waits for
-- transactions of other databases on the same server; those are left out where their session can be seen
-- (security definer: the owner sees the sessions of its own roles; one that it cannot see is waited for).
create function settled_before() returns xid8
    language sql stable security definer set search_path = pg_catalog
    return (
        with now as (select pg_current_snapshot() as snapshot)
        select coalesce(min(running), (select pg_snapshot_xmax(snapshot) from now))
        from now, pg_snapshot_xip(snapshot) as running
        where not exists (
            select 1 from pg_stat_activity other
            where other.backend_xid = running::xid
              and other.datid <> (select oid from pg_database where datname = current_database())
        )
    );
revoke execute on function settled_before() from public;
grant execute on function settled_before() to benhan_app, benhan_auditor;
