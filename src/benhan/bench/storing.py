"""Writes: transaction Bundles against COPY, single creates against bare inserts, and what a resource costs on disk."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from benhan.base.json_door import JsonObject, dumps
from benhan.bench import bare
from benhan.bench.material import bundle, observation, patient
from benhan.bench.measure import Result, Sizes, cost, rate, seconds_async
from benhan.store import Actor, Ctx, Repository, Store, SystemPolicy

LANES = 8
WHO = Actor(reference="Device/bench", display="Đo tốc độ", kind="system")


async def new_repo(store: Store, code: str) -> Repository:
    """A repository of a facility made for one bench."""
    tenant = await store.create_tenant("facility", code, f"Nơi đo {code}")
    return store.repo(Ctx(tenant=tenant, actor=WHO), SystemPolicy())


async def spread(jobs: list[Callable[[], Awaitable[Any]]], lanes: int) -> None:
    """Run jobs over ``lanes`` concurrent lanes."""
    waiting = iter(jobs)

    async def lane() -> None:
        for job in waiting:
            await job()

    await asyncio.gather(*(lane() for _ in range(lanes)))


def _messages(count: int, size: int) -> list[JsonObject]:
    """Bundles of a new patient with ``size`` - 1 observations each."""
    out = []
    for number in range(count):
        person = patient(number)
        out.append(bundle([person, *(observation(person["id"], number * size + n) for n in range(size - 1))]))
    return out


async def _send(repo: Repository, messages: list[JsonObject]) -> None:
    for message in messages:
        await repo.bundle(message)


async def ingest_bench(store: Store, sizes: Sizes) -> Result:
    """Resources/s validated, indexed and stored by transaction Bundles, one after another.

    Limit: COPY of the very rows this made (log, current, indexes, keys, audit, outbox) into the same tables, in one commit.
    """
    ours, limits = [], []
    count = sizes.bundles * sizes.bundle_size
    await _send(await new_repo(store, "BIWARM"), _messages(1, sizes.bundle_size))
    for number in range(sizes.runs):
        repo = await new_repo(store, f"BI{number:03d}")
        work = partial(_send, repo, _messages(sizes.bundles, sizes.bundle_size))
        ours.append(count / await seconds_async(work))
        other = await store.create_tenant("facility", f"BL{number:03d}", "Giới hạn")
        limits.append(count / await bare.copy_seconds(store, repo.ctx.tenant, other))
    return rate("ingest", "resources/s", ours, limits)


async def create_bench(store: Store, sizes: Sizes) -> Result:
    """Single creates/s over 8 sessions; limit: a log row alone inserted bare, a transaction each, through the same pool."""
    repo = await new_repo(store, "BC001")
    first = await repo.create(patient(0))
    ours, limits = [], []
    for number in range(sizes.runs):
        people = [patient(n + 1) for n in range(sizes.creates)]
        work = partial(spread, [partial(repo.update, p) for p in people], LANES)
        ours.append(sizes.creates / await seconds_async(work))
        version = 1000 + number * sizes.creates
        spent = await bare.insert_seconds(store, repo.ctx.tenant, first.id, version, sizes.creates, LANES)
        limits.append(sizes.creates / spent)
    return rate("create", "resources/s", ours, limits)


async def disk_bench(store: Store, sizes: Sizes) -> Result:
    """Bytes on disk of one 2 kB Observation: log, current row and all indexes, without audit; limit: its JSON bytes."""
    return await _disk(store, sizes, "disk", tuple(t for t in bare.TABLES if t != "audit"))


async def audit_disk_bench(store: Store, sizes: Sizes) -> Result:
    """Bytes on disk of the audit of one write, with its indexes; limit: the JSON bytes of the resource written."""
    return await _disk(store, sizes, "disk-audit", ("audit",))


async def _disk(store: Store, sizes: Sizes, name: str, tables: tuple[str, ...]) -> Result:
    repo = await new_repo(store, f"BD{name[5:]}".upper())
    ours, limits = [], []
    for _ in range(sizes.runs):
        messages = _messages(sizes.bundles, sizes.bundle_size)
        resources = [e["resource"] for m in messages for e in m["entry"]]
        json = sum(len(dumps(r)) for r in resources)
        before = await bare.size_of(store, tables)
        await _send(repo, messages)
        grown = await bare.size_of(store, tables) - before
        ours.append(max(grown, 1) / len(resources))
        limits.append(json / len(resources))
    return cost(name, "bytes/resource", ours, limits)
