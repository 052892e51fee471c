"""Who opened this record: one patient's accesses out of a large log, as the page asks, and its plan."""

from __future__ import annotations

import math
import time
from random import Random
from typing import Any

import psycopg

from benhan.bench.measure import Result, Sizes, cost
from benhan.bench.storing import new_repo
from benhan.store import Repository, Store

#: Accesses a patient has on average; the log's size divided by this is the number of patients.
_EACH = 500
_LIMIT_MS = 1000.0
_STEP = 1_000_000
_BIG = 50_000  # below, the planner rightly reads the table
_FILL = (
    "insert into audit (tenant, tx, at, epoch, actor, actor_display, actor_kind, purpose, action, entity, patient, outcome,"
    " correlation) select %s, n::text::xid8, timestamptz '2026-01-01' + n * interval '1 second', 0, 'Practitioner/' || n %% 97,"
    " 'Kiểm thử', 'person', 'TREAT', 'read', 'Encounter/' || n %% 100003, 'p' || (n * 7919) %% %s, '0', n::text"
    " from generate_series(%s::bigint, %s::bigint) n"
)
_PLAN = (
    "explain (format json) select * from audit where tenant = %s and patient = %s "
    "order by at desc, epoch desc, tx desc, seq desc limit 500"
)


async def who_opened_bench(store: Store, sizes: Sizes) -> Result:
    """ms (p95) for the newest 500 accesses to a patient's data, of ``sizes.events`` events; limit: one second.

    Raises: ``AssertionError`` when the plan reads the log by anything but the index of patients.
    """
    repo = await new_repo(store, "BAUDIT")
    patients = max(1, sizes.events // _EACH)
    async with await psycopg.AsyncConnection.connect(store.database.admin, autocommit=True) as admin:
        for first in range(1, sizes.events + 1, _STEP):
            last = min(first + _STEP - 1, sizes.events)
            await admin.execute(_FILL, (repo.ctx.tenant, patients, first, last))
        await admin.execute("vacuum analyze audit")
    if sizes.events >= _BIG:
        await _judge_plan(repo)
    source, times = Random(9162), []
    for _ in range(sizes.searches):
        patient = f"p{source.randrange(patients)}"
        begun = time.perf_counter()
        found = await repo.audit_of_patient(patient, 500)
        times.append((time.perf_counter() - begun) * 1000)
        assert found
    return cost("who-opened", "ms p95", [sorted(times)[math.ceil(0.95 * len(times)) - 1]], [_LIMIT_MS])


async def _judge_plan(repo: Repository) -> None:
    async with repo.transaction() as tx:
        (row,) = await tx.all(_PLAN, (repo.ctx.tenant, "p1"))
    used = set(_indexes(row[0][0]["Plan"]))
    assert used == {"audit_patient"}, used


def _indexes(plan: dict[str, Any]) -> list[str]:
    """By what each node reads rows: the name of an index, or the node's own name when it reads the table whole."""
    own = [plan["Index Name"]] if "Index Name" in plan else []
    own += [plan["Node Type"]] if plan["Node Type"] == "Seq Scan" else []
    return own + [name for part in plan.get("Plans", []) for name in _indexes(part)]
