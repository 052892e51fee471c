"""The store: bundles against COPY, single creates, reads against a bare ASGI function, all as the application's role."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from starlette.types import Message, Receive, Scope, Send

from benhan.base.json_door import dumps
from benhan.bench.material import bundle, observation, patient
from benhan.bench.measure import Result, rate, seconds_async
from benhan.store import Actor, Ctx, Repository, Store, SystemPolicy

BUNDLES, SIZE, RUNS = 20, 50, 3
READS, CLIENTS = 2000, 32
WHO = Actor(reference="Device/bench", display="Đo tốc độ", kind="system")


async def _repo(store: Store, code: str) -> Repository:
    tenant = await store.create_tenant("facility", code, f"Nơi đo {code}")
    return store.repo(Ctx(tenant=tenant, actor=WHO), SystemPolicy())


async def ingest_bench(store: Store) -> Result:
    """Resources/s validated, indexed and stored by transaction Bundles; limit: COPY of the very rows this made."""
    ours, limits = [], []
    for number in range(RUNS):
        repo = await _repo(store, f"BI{number:03d}")
        people = [patient(n) for n in range(BUNDLES)]
        messages = [bundle([p, *(observation(p["id"], n) for n in range(SIZE - 1))]) for p in people]

        async def send(messages: list[Any] = messages, repo: Repository = repo) -> None:
            for message in messages:
                await repo.bundle(message)

        ours.append(BUNDLES * SIZE / await seconds_async(send))
        limits.append(BUNDLES * SIZE / await copy_seconds(store, repo.ctx.tenant))
    return rate("ingest", "resources/s", ours, limits)


async def copy_seconds(store: Store, tenant: UUID) -> float:
    """Time to COPY the rows of a tenant back into the same tables, indexes and all, in one transaction."""
    from benhan.store import copy_rows

    return await copy_rows(store, tenant)


async def create_bench(store: Store) -> Result:
    """Single creates/s over 8 sessions; limit: the same log row inserted bare through the same pool."""
    repo = await _repo(store, "BC001")
    people = [patient(n) for n in range(400)]

    async def ours() -> None:
        await _spread([lambda p=p: repo.create(p) for p in people], 8)  # type: ignore[misc]

    first = await seconds_async(ours)
    bare = await bare_insert_seconds(store, repo.ctx.tenant, len(people))
    return rate("create", "resources/s", [len(people) / first], [len(people) / bare])


async def bare_insert_seconds(store: Store, tenant: UUID, count: int) -> float:
    """Time for ``count`` bare log inserts, one transaction each, over 8 sessions of the application's pool."""
    from benhan.store import bare_inserts

    return await bare_inserts(store, tenant, count, 8)


async def read_bench(store: Store) -> Result:
    """Reads by id/s through the FHIR app, audit on; limit: a bare ASGI function with one select, tenant set, same pool."""
    repo = await _repo(store, "BR001")
    kept = [await repo.create(observation(new, 1)) for new in ("bench-a", "bench-b")]
    ids = [k.id for k in kept]
    ours = await _reads(_door(repo), ids)
    bare = await _reads(_bare(store, repo.ctx.tenant), ids)
    return rate("read", "reads/s", [READS / ours], [READS / bare])


App = Callable[[Scope, Receive, Send], Awaitable[None]]


def _door(repo: Repository) -> App:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        stored = await repo.read("Observation", scope["path"].rsplit("/", 1)[-1])
        await _send(send, stored.raw)

    return app


def _bare(store: Store, tenant: UUID) -> App:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raw = await store.bare_read(tenant, "Observation", scope["path"].rsplit("/", 1)[-1])
        await _send(send, raw)

    return app


async def _send(send: Send, body: bytes) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


async def _reads(app: App, ids: list[str]) -> float:
    async def receive() -> Message:
        return {"type": "http.request", "body": b""}

    async def send(_: Message) -> None:
        return

    async def one(number: int) -> None:
        scope = {"type": "http", "path": f"/fhir/BR001/Observation/{ids[number % len(ids)]}"}
        await app(scope, receive, send)

    await _spread([lambda n=n: one(n) for n in range(200)], CLIENTS)  # type: ignore[misc]
    return await seconds_async(lambda: _spread([lambda n=n: one(n) for n in range(READS)], CLIENTS))  # type: ignore[misc]


async def _spread(jobs: list[Callable[[], Awaitable[Any]]], lanes: int) -> None:
    """Run jobs over ``lanes`` concurrent lanes."""
    waiting = iter(jobs)

    async def lane() -> None:
        for job in waiting:
            await job()

    await asyncio.gather(*(lane() for _ in range(lanes)))


__all__ = ["create_bench", "dumps", "ingest_bench", "read_bench"]
