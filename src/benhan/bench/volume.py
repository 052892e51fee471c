"""Many versions of one resource, and the export of many resources in bounded memory."""

from __future__ import annotations

from functools import partial

import psutil
import psycopg
from psycopg import sql

from benhan.bench.material import bundle, observation, patient
from benhan.bench.measure import Result, Sizes, cost, rate, seconds_async
from benhan.bench.storing import new_repo
from benhan.store import Repository, Store

_COPY = (
    "copy (select l.type, l.id, l.version, l.at, l.author, l.action, l.custodian, l.key_id, l.dictionary, l.sha256, "
    "l.bytes, k.wrapped from current_version c join log l on l.tenant = c.tenant and l.type = c.type and l.id = c.id "
    "and l.version = c.version left join record_key k on k.tenant = l.tenant and k.id = l.key_id "
    "where c.tenant = {} and c.type = 'Observation' and not c.deleted) to stdout (format binary)"
)
_MIB = 1024 * 1024
_BOUND_MIB = 300.0


async def versions_bench(store: Store, sizes: Sizes) -> Result:
    """Reads/s of a resource with many versions (500); limit: of one with a single version. 1 means no dearer."""
    repo = await new_repo(store, "BV001")
    person = await repo.create(patient(1))
    young, old = observation(person.id, 1), observation(person.id, 2)
    await repo.update(young)
    for number in range(sizes.versions):
        await repo.update({**old, "status": "amended" if number % 2 else "final"})

    async def reads(resource_id: str) -> None:
        for _ in range(sizes.reads):
            await repo.read("Observation", resource_id)

    ours, limits = [], []
    await reads(young["id"])
    for _ in range(sizes.runs):
        ours.append(sizes.reads / await seconds_async(partial(reads, old["id"])))
        limits.append(sizes.reads / await seconds_async(partial(reads, young["id"])))
    return rate("versions", "reads/s", ours, limits)


async def export_bench(store: Store, sizes: Sizes) -> Result:
    """Resources/s of ``Repository.export`` (opened, policy, audit); limit: COPY TO of the same rows, sealed as they lie."""
    repo = await _filled(store, "BX001", sizes)
    ours, limits = [], []
    for _ in range(sizes.runs):
        ours.append(sizes.exported / await seconds_async(partial(_export, repo)))
        limits.append(sizes.exported / await seconds_async(partial(_copy_out, repo)))
    return rate("export", "resources/s", ours, limits)


async def export_memory_bench(store: Store, sizes: Sizes) -> Result:
    """Most memory of the whole process (MiB, resident) while exporting; limit: the bound of 300 MiB."""
    repo = await _filled(store, "BX002", sizes)
    most = [float(await _export(repo)) / _MIB for _ in range(sizes.runs)]
    return cost("export-memory", "MiB", most, [_BOUND_MIB] * len(most))


async def _filled(store: Store, code: str, sizes: Sizes) -> Repository:
    """A facility with ``sizes.exported`` observations."""
    repo = await new_repo(store, code)
    person = await repo.create(patient(1))
    for first in range(0, sizes.exported, 200):
        some = range(first, min(first + 200, sizes.exported))
        await repo.bundle(bundle([observation(person.id, n) for n in some]))
    async with await psycopg.AsyncConnection.connect(store.database.admin) as connection:
        await connection.execute(
            "analyze log, current_version, record_key"
        )  # plans of a settled database, for both
    return repo


async def _export(repo: Repository) -> int:
    """Take every resource once; gives the most bytes resident meanwhile."""
    process, most, count = psutil.Process(), 0, 0
    async for _ in repo.export(("Observation",)):
        count += 1
        if count % 500 == 1:
            most = max(most, process.memory_info().rss)
    return most


async def _copy_out(repo: Repository) -> None:
    query = sql.SQL(_COPY).format(sql.Literal(str(repo.ctx.tenant)))
    async with (
        await psycopg.AsyncConnection.connect(repo.store.database.admin) as connection,
        connection.cursor().copy(query) as source,
    ):
        async for _ in source:
            pass
