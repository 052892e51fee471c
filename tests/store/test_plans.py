"""Look-ups find their rows by the index that names the resource, also for a facility that no statistics know."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from benhan.store import Repository, keys, reading, reindexing
from benhan.store.hashing import ref64

OLD, NEW = 40_000, 3_000
FILL = (
    "insert into record_key (tenant, id, scope, wrapped, created_at) "
    "select %(t)s, gen_random_uuid(), 'Patient/' || %(mark)s || n, '', now() from generate_series(1, %(n)s, 10) n",
    "insert into log (tenant, at, key_id, epoch, version, dictionary, type, id, author, action, sha256, bytes) "
    "select %(t)s, now(), null, 1, 1, 1, 'Observation', %(mark)s || n, 'Device/x', 'create', '', '' "
    "from generate_series(1, %(n)s) n",
    "insert into current_version (tenant, rid, at, version, deleted, type, id, present) "
    "select %(t)s, n + case %(mark)s when 'a' then 100000 else 900000 end, now(), 1, false, 'Observation', "
    "%(mark)s || n, '{}' from generate_series(1, %(n)s) n",
)
TYPES, IDS = ["Observation"] * 50, [f"b{n}" for n in range(1, 51)]
REFS = [ref64(f"Observation/{identity}") for identity in IDS]


async def fill(repo: Repository, mark: str, count: int) -> None:
    """Rows as ``count`` observations leave them."""
    async with repo.transaction() as tx:
        for statement in FILL:
            await tx.all(statement + " returning 1", {"t": repo.ctx.tenant, "mark": mark, "n": count})


async def analyze(repo: Repository) -> None:
    """What autovacuum does some time after a large load."""
    async with await psycopg.AsyncConnection.connect(repo.store.database.admin, autocommit=True) as admin:
        await admin.execute("analyze log, current_version, record_key")


@pytest.fixture
async def newcomer(repo: Repository) -> Repository:
    """A facility made, and loaded, after the statistics of another's rows were taken."""
    await fill(repo, "a", OLD)
    await analyze(repo)
    tenant = await repo.store.create_tenant("facility", "51Z99", "Trạm mới")
    new = repo.store.system_repo(tenant)
    await fill(new, "b", NEW)
    return new


def scans(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """Every node that reads the three tables."""
    own = [plan] if plan.get("Relation Name") in ("log", "current_version", "record_key") else []
    own += [plan] if plan["Node Type"] == "Bitmap Index Scan" else []
    return own + [scan for part in plan.get("Plans", []) for scan in scans(part)]


async def test_a_new_facility_is_not_read_whole(newcomer: Repository) -> None:
    """Each look-up touches as many rows as it finds, by the application's role, whatever the statistics say."""
    tenant = newcomer.ctx.tenant
    one = (tenant, "Observation", "b7")
    asked: list[tuple[str, tuple[Any, ...] | dict[str, Any]]] = [
        (reading.CURRENT, one),
        (reading.CURRENT_FOR_UPDATE, one),
        (reading.CURRENT_BY_RID, (tenant, list(range(900001, 900051)))),
        (reading.CURRENT_BY_REFERENCE, (TYPES, IDS, tenant)),
        (reading.PLACES_FOR_UPDATE, (tenant, REFS)),
        (reading.CURRENT_OF_MANY_FOR_UPDATE, (tenant, REFS)),
        (reading.VERSION, (*one, 1)),
        (reading.HISTORY, (*one, 2, 10)),
        (keys._SCOPES, (tenant, [f"Patient/b{n}" for n in range(1, 51)])),
        (reindexing._LOCKED, {"tenant": tenant, "types": TYPES, "ids": IDS}),
    ]
    for statement, values in asked:
        async with newcomer.transaction() as tx:
            connection = tx.open_connection
            assert connection.info.user.startswith("benhan_app")
            rows = await tx.all(f"explain (analyze, format json) {statement}", values)
        for scan in scans(rows[0][0][0]["Plan"]):
            if scan.get("Actual Loops"):
                dropped = scan.get("Rows Removed by Filter", 0) + scan.get("Rows Removed by Index Recheck", 0)
                assert scan["Node Type"] != "Seq Scan", (statement, scan)
                assert dropped < 5, (statement, scan)
                assert scan["Actual Rows"] <= 50, (statement, scan)


async def test_a_bundle_of_a_new_facility_is_quick(newcomer: Repository) -> None:
    """The search for a Bundle's own resources reads no more pages than it has resources, times the depth of an index."""
    async with newcomer.transaction() as tx:
        rows = await tx.all(
            f"explain (analyze, buffers, format json) {reading.CURRENT_OF_MANY_FOR_UPDATE}",
            (newcomer.ctx.tenant, REFS),
        )
    plan = rows[0][0][0]["Plan"]
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 50 * 24, plan
