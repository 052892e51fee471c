"""Row-level security stands behind the policy: what the roles of the database can and cannot do."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid4

import psycopg
import pytest
from tests.store.builders import a_patient, an_observation
from tests.store.waiting import until

from benhan.base.errors import ConfigurationError, NotFound
from benhan.base.settings import Settings
from benhan.store import Actor, Ctx, Repository, Store, SystemPolicy
from benhan.store.server import check_durability, check_role

pytestmark = pytest.mark.server
# record_state and record_step: the shipped table of a record's life, the same for all, read only.
NOT_OF_A_TENANT = {"installation", "migration", "tenant", "tenant_code", "record_state", "record_step"}
TENANT_TABLES = ("log", "current_version", "record_key", "tenant_key", "audit", "audit_seal", "outbox", "draft",
                 "access_grant", "index_equal", "index_string", "index_trigram", "index_date", "index_number",
                 "index_reference")  # fmt: skip


async def as_role(store: Store, role: str, tenant: UUID | None) -> psycopg.AsyncConnection:
    connection = await psycopg.AsyncConnection.connect(store.database.logins[role], autocommit=True)
    if tenant is not None:
        await connection.execute("select set_config('benhan.tenant', %s, false)", (str(tenant),))
        await connection.execute("select set_config('benhan.actor', 'Device/test', false)")
    return connection


async def fill(repo: Repository) -> str:
    patient = await repo.create(a_patient())
    await repo.create(an_observation(patient.id))
    await repo.outbox("t", "k", {})
    await repo.store.drafts.put(repo, "f", "x", "y", repo.clock.now(), 1)
    await until(lambda: repo.store.seal_audit(repo.ctx.tenant), bool)
    async with repo.transaction() as tx:
        await tx.open_connection.execute(
            "insert into access_grant (tenant, id, patient_id, grantee, kind, valid_from, reason, granted_by) "
            "values (%s, %s, %s, %s, 'custodian', now(), 'x', 'x')",
            (repo.ctx.tenant, uuid4(), patient.id, uuid4()),
        )
    return patient.id


async def test_every_table_is_forced_and_begins_with_the_tenant(store: Store) -> None:
    async with await psycopg.AsyncConnection.connect(store.database.admin, autocommit=True) as admin:
        rows = await (
            await admin.execute(
                "select c.relname, c.relrowsecurity and c.relforcerowsecurity, "
                "(select a.attname from pg_index i join pg_attribute a on a.attrelid = c.oid and a.attnum = i.indkey[0] "
                "where i.indrelid = c.oid and i.indisprimary), "
                "(select count(*) from pg_policy p where p.polrelid = c.oid) "
                "from pg_class c join pg_namespace n on n.oid = c.relnamespace "
                "where n.nspname = 'public' and c.relkind in ('r', 'p')"
            )
        ).fetchall()
    without_key = {"index_string", "index_date", "index_number", "index_group"}
    for name, forced, first, policies in rows:
        if name in NOT_OF_A_TENANT:
            continue
        assert forced, name
        assert policies, name
        assert first == "tenant" or (name in without_key and first is None), name


async def test_without_tenant_or_with_another_no_row_is_seen(
    store: Store, repo: Repository, other_tenant: UUID
) -> None:
    await fill(repo)
    for tenant, expected in ((None, False), (other_tenant, False), (repo.ctx.tenant, True)):
        async with await as_role(store, "app", tenant) as connection:
            for table in TENANT_TABLES:
                row = await (await connection.execute(f"select count(*) from {table}".encode())).fetchone()
                seen = row is not None and row[0] > 0
                if table == "tenant_key" and tenant == other_tenant:
                    continue
                assert seen == expected, (table, tenant)


async def test_a_local_setting_leaves_nothing_behind(store: Store, repo: Repository) -> None:
    await fill(repo)
    async with await as_role(store, "app", None) as connection:
        async with connection.transaction():
            await connection.execute("select set_config('benhan.tenant', %s, true)", (str(repo.ctx.tenant),))
        row = await (await connection.execute("select count(*) from log")).fetchone()
    assert row == (0,)


@pytest.mark.parametrize(
    "statement",
    [
        "update log set author = 'x'",
        "delete from log",
        "update audit set actor = 'x'",
        "delete from audit",
        "delete from audit_seal",
        "delete from record_key",
        "delete from outbox",
        "update outbox set payload = '{}'",
        "truncate log",
        "truncate audit",
        "drop policy log_read on log",
        "alter table log disable row level security",
        "alter table log no force row level security",
        "set role benhan_owner",
        "set session authorization postgres",
        "alter role current_user bypassrls",
        "create table x (y int)",
        "insert into log (tenant, tx, at, epoch, version, dictionary, type, id, author, action, sha256, bytes) "
        "values (current_setting('benhan.tenant')::uuid, '1', now(), 1, 1, 0, 'Basic', 'x', 'x', 'create', '', '')",
        "insert into audit (tenant, epoch, at, actor, actor_display, actor_kind, purpose, action, outcome, correlation) "
        "values ('00000000-0000-0000-0000-000000000001', 1, now(), '', '', '', '', '', '', '')",
        "create or replace function outbox_tenants(topics text[]) returns setof uuid language sql as 'select null::uuid'",
        "update installation set epoch = 9",
    ],
)
async def test_application_role_cannot(store: Store, repo: Repository, statement: str) -> None:
    await fill(repo)
    async with await as_role(store, "app", repo.ctx.tenant) as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await connection.execute(statement.encode())


async def test_row_security_cannot_be_switched_off(store: Store, repo: Repository) -> None:
    await fill(repo)
    async with await as_role(store, "app", None) as connection:
        await connection.execute("set row_security = off")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await connection.execute("select count(*) from log")


@pytest.mark.parametrize(
    ("role", "statement"),
    [
        ("reader", "select * from record_key"),
        ("reader", "delete from current_version"),
        ("auditor", "select * from log"),
        ("auditor", "delete from audit"),
        ("destroyer", "delete from log"),
        ("destroyer", "delete from audit"),
        ("destroyer", "update record_key set wrapped = ''"),
    ],
)
async def test_other_roles_cannot(store: Store, repo: Repository, role: str, statement: str) -> None:
    async with await as_role(store, role, repo.ctx.tenant) as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await connection.execute(statement.encode())


async def test_reader_at_the_hub_sees_own_rows_and_granted_patients(store: Store, repo: Repository) -> None:
    own, other = uuid4(), uuid4()
    mine = await repo.create(a_patient("Lê Thị Mai", "051190000011"), custodian=own)
    theirs = await repo.create(a_patient("Võ Văn Nam", "051190000012"), custodian=other)
    reading = store.repo(Ctx(repo.ctx.tenant, Actor("Device/a", "A", "machine"), reader=own), SystemPolicy())
    assert [s.id for s in (await reading.search("Patient", "")).entries] == [mine.id]
    with pytest.raises(NotFound):
        await reading.read("Patient", theirs.id)
    with pytest.raises(NotFound):
        await reading.vread("Patient", theirs.id, 1)
    with pytest.raises(NotFound):
        await reading.history("Patient", theirs.id)
    now = store.clock.now()
    grants = {
        "past": (now - timedelta(2), now - timedelta(1)),
        "future": (now + timedelta(1), now + timedelta(2)),
    }
    for start, end in grants.values():
        await grant(repo, theirs.id, own, start, end)
    assert await reading.count("Patient", "") == 1
    await grant(repo, theirs.id, own, now - timedelta(1), now + timedelta(1))
    assert await reading.count("Patient", "") == 2
    assert (await reading.vread("Patient", theirs.id, 1)).id == theirs.id
    assert (await reading.read("Patient", theirs.id)).custodian == other
    async with repo.transaction() as tx:
        await tx.open_connection.execute("update access_grant set revoked_at = %s", (now,))
    assert await reading.count("Patient", "") == 1


async def grant(repo: Repository, patient: str, grantee: UUID, start: object, end: object) -> None:
    async with repo.transaction() as tx:
        await tx.open_connection.execute(
            "insert into access_grant (tenant, id, patient_id, grantee, kind, valid_from, valid_to, reason, granted_by) "
            "values (%s, %s, %s, %s, 'referral', %s, %s, 'x', 'x')",
            (repo.ctx.tenant, uuid4(), patient, grantee, start, end),
        )


async def test_start_up_refuses_strong_roles_and_soft_servers(settings: Settings) -> None:
    for fact in range(5):
        with pytest.raises(ConfigurationError):
            check_role(tuple(n == fact for n in range(5)))
    check_role((False,) * 5)
    assert check_durability(("on", "on", "on", "on"), own=True) == []
    assert check_durability(("on", "on", "on", "off"), own=False)
    for facts in (
        ("off", "on", "on", "on"),
        ("on", "off", "on", "on"),
        ("on", "on", "off", "on"),
        ("on", "on", "on", "off"),
    ):
        with pytest.raises(ConfigurationError):
            check_durability(facts, own=True)


async def test_secrets_are_readable_by_the_owner_only(store: Store) -> None:
    for name in ("database.json", "master.key"):
        assert (store.settings.secrets_dir / name).stat().st_mode & 0o077 == 0
