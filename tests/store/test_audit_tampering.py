"""Random deletions, changes, insertions and reorderings in a sealed audit: each is found, and where it lies.

Normal run: 12 changes among 2,000 events. ``--long``: 1,000 changes among 1,000,000 events. A change is made by the
administrator of the database (the application's role cannot), judged against the heads around it, and taken back.
"""

from __future__ import annotations

import random
from typing import Any

import psycopg
import pytest

from benhan.store import Repository, Store
from benhan.store.seal import verify_audit

_FILL = (
    "insert into audit (tenant, tx, at, epoch, actor, actor_display, actor_kind, purpose, action, entity, patient, outcome,"
    " correlation) select %s, n::text::xid8, timestamptz '2026-01-01' + n * interval '1 second', 0, 'Practitioner/' || n %% 97,"
    " 'Kiểm thử', 'person', 'TREAT', 'read', 'Encounter/' || n %% 1009, 'p' || n %% 5003, '0', n::text"
    " from generate_series(%s::bigint, %s::bigint) n"
)
_COLUMNS = (
    "tenant, tx, seq, at, account, reader, epoch, version, actor, actor_display, actor_kind, purpose, action, entity,"
    " patient, outcome, correlation, detail"
)


async def filled(store: Store, tenant: Any, events: int, heads: int) -> list[int]:
    """An audit with that many events under that many heads; sizes of the heads."""
    step = events // heads
    async with await psycopg.AsyncConnection.connect(store.database.admin, autocommit=True) as admin:
        for n in range(heads):
            await admin.execute(_FILL, (tenant, n * step + 1, (n + 1) * step))
            assert await store.seal_audit(tenant) == step
    return [n * step for n in range(heads + 1)]


async def tamper(admin: Any, tenant: Any, kind: str, row: int, pick: random.Random) -> None:
    """One change to the event with that number."""
    here = (tenant, str(row))
    if kind == "delete":
        await admin.execute("delete from audit where tenant = %s and epoch = 0 and tx = %s::xid8", here)
    elif kind == "change":
        column = pick.choice(
            ["actor", "actor_display", "purpose", "action", "entity", "patient", "outcome", "correlation"]
        )
        sql = f"update audit set {column} = {column} || 'x' where tenant = %s and epoch = 0 and tx = %s::xid8"
        await admin.execute(sql.encode(), here)
    elif kind == "insert":
        names = _COLUMNS.replace("seq, ", "")
        sql = f"insert into audit ({names}) select {names} from audit where tenant = %s and epoch = 0 and tx = %s::xid8"
        await admin.execute(sql.encode(), here)
    else:
        sql = "update audit set tx = %s::xid8 where tenant = %s and epoch = 0 and tx = %s::xid8"
        for new, old in ((2**62, row), (row, row + 1), (row + 1, 2**62)):
            await admin.execute(sql, (str(new), tenant, str(old)))


async def found_of(store: Store, tenant: Any, sizes: list[int], changes: int, seed: int) -> int:
    """Make the changes one by one, each in a transaction of its own that is taken back from a copy; count those found."""
    pick, found = random.Random(seed), 0
    step = sizes[1]
    async with await psycopg.AsyncConnection.connect(store.database.admin, autocommit=True) as admin:
        for n in range(changes):
            kind = ("delete", "change", "insert", "reorder")[n % 4]
            row = pick.randrange(1, sizes[-1])
            before, until = (row - 1) // step * step, ((row - 1) // step + 1) * step
            if kind == "insert" and row == until:  # behind the last row of a head: it lies under the next one
                before, until = until, until + step
            span = (tenant, str(row), str(row + 1))
            where = "tenant = %s and epoch = 0 and tx between %s::xid8 and %s::xid8"
            await admin.execute("drop table if exists kept")
            await admin.execute(f"create temp table kept as select * from audit where {where}".encode(), span)
            await tamper(admin, tenant, kind, row, pick)
            report = await verify_audit(store, tenant, since=before, until=until)
            found += (report.ok, report.intact_to, report.broken_at) == (False, before, until)
            await admin.execute(f"delete from audit where {where}".encode(), span)
            sql = f"insert into audit ({_COLUMNS}) overriding system value select {_COLUMNS} from kept"
            await admin.execute(sql.encode())
            if n % 50 == 0:
                assert (await verify_audit(store, tenant, since=before, until=until)).ok
    return found


async def test_every_random_change_is_found(store: Store, repo: Repository) -> None:
    """12 of 12 among 2,000 events; and after all was taken back the whole fits again."""
    sizes = await filled(store, repo.ctx.tenant, 2_000, 4)
    assert await found_of(store, repo.ctx.tenant, sizes, 12, 9162) == 12
    report = await store.verify_audit(repo.ctx.tenant)
    assert (report.ok, report.size) == (True, 2_000)


@pytest.mark.long
async def test_a_thousand_changes_among_a_million_events(store: Store, repo: Repository) -> None:
    """1,000 of 1,000."""
    sizes = await filled(store, repo.ctx.tenant, 1_000_000, 1_000)
    assert await found_of(store, repo.ctx.tenant, sizes, 1_000, 20261123) == 1_000
    assert (await store.verify_audit(repo.ctx.tenant)).ok
