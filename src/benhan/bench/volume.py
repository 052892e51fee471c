"""Many versions of one resource, and the export of many resources in bounded memory."""

from __future__ import annotations

import asyncio
import os
import sys
from functools import partial

import psutil
import psycopg
from psycopg import sql

from benhan.bench.material import bundle, observation, patient
from benhan.bench.measure import Result, Sizes, cost, rate, seconds_async
from benhan.bench.population import populate
from benhan.bench.storing import new_repo
from benhan.store import Repository, Store

_COPY = (
    "copy (select l.type, l.id, l.version, l.at, l.author, l.action, l.custodian, l.key_id, l.dictionary, l.sha256, "
    "l.bytes, k.wrapped from current_version c join log l on l.tenant = c.tenant and l.type = c.type and l.id = c.id "
    "and l.version = c.version left join record_key k on k.tenant = l.tenant and k.id = l.key_id "
    "where c.tenant = {} and c.type = 'Observation' and not c.deleted) to stdout (format binary)"
)
_BIG = 100_000
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
        ours.append(sizes.exported / await seconds_async(partial(export_all, repo)))
        limits.append(sizes.exported / await seconds_async(partial(_copy_out, repo)))
    return rate("export", "resources/s", ours, limits)


async def export_memory_bench(store: Store, sizes: Sizes) -> Result:
    """Most memory of a process that does nothing but export (MiB, resident); limit: the bound of 300 MiB."""
    repo = await _filled(store, "BX002", sizes)
    most = [await _export_apart(repo) / _MIB for _ in range(min(2, sizes.runs))]
    return cost("export-memory", "MiB", most, [_BOUND_MIB] * len(most))


async def _export_apart(repo: Repository) -> float:
    """The same in a process of its own, which has loaded nothing else; gives the most bytes it held."""
    settings = repo.store.settings
    given = {
        **os.environ,
        "BENHAN_HOME": str(settings.home),
        "BENHAN_DATABASE_NAME": settings.database_name,
        **({"BENHAN_DATABASE_URL": settings.database_url} if settings.database_url else {}),
        **({"BENHAN_EMBEDDED_DIR": str(settings.embedded_dir)} if settings.embedded_dir else {}),
        "BENCH_TENANT": str(repo.ctx.tenant),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benhan.bench.export_apart", env=given, stdout=asyncio.subprocess.PIPE
    )
    told, _ = await process.communicate()
    if process.returncode != 0:
        raise RuntimeError("bench: the export apart failed")
    return float(told)


async def _filled(store: Store, code: str, sizes: Sizes) -> Repository:
    """A facility with ``sizes.exported`` observations; a large one is put down by COPY, a twentieth of it patients."""
    if sizes.exported > _BIG:
        return await populate(store, code, sizes.exported)
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


async def export_all(repo: Repository) -> int:
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
