"""The store: bundles against COPY, single creates, reads against a bare ASGI function, all as the application's role."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any
from uuid import UUID

from starlette.types import Message, Receive, Scope, Send

from benhan.bench import bare
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
        other = await store.create_tenant("facility", f"BL{number:03d}", "Giới hạn")
        limits.append(BUNDLES * SIZE / await bare.copy_seconds(store, repo.ctx.tenant, other))
    return rate("ingest", "resources/s", ours, limits)


async def create_bench(store: Store) -> Result:
    """Single creates/s over 8 sessions; limit: the same log row inserted bare through the same pool."""
    repo = await _repo(store, "BC001")
    people = [patient(n) for n in range(400)]

    async def ours() -> None:
        await _spread([partial(repo.update, p) for p in people], 8)

    first = await seconds_async(ours)
    limit = await bare.insert_seconds(store, repo.ctx.tenant, people[0]["id"], len(people), 8)
    return rate("create", "resources/s", [len(people) / first], [len(people) / limit])


async def read_bench(store: Store) -> Result:
    """Reads by id/s through the FHIR app, audit on; limit: a bare ASGI function with one select, tenant set, same pool."""
    repo = await _repo(store, "BR001")
    person = await repo.create({k: v for k, v in patient(1).items() if k != "id"})
    ids = [(await repo.update(observation(person.id, n))).id for n in range(2)]
    ours = await _reads(_door(repo), ids)
    limit = await _reads(_bare(store, repo.ctx.tenant), ids)
    return rate("read", "reads/s", [READS / ours], [READS / limit])


App = Callable[[Scope, Receive, Send], Awaitable[None]]


def _door(repo: Repository) -> App:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        stored = await repo.read("Observation", scope["path"].rsplit("/", 1)[-1])
        await _send(send, stored.raw)

    return app


def _bare(store: Store, tenant: UUID) -> App:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raw = await bare.read(store, tenant, "Observation", scope["path"].rsplit("/", 1)[-1])
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

    await _spread([partial(one, n) for n in range(200)], CLIENTS)
    return await seconds_async(lambda: _spread([partial(one, n) for n in range(READS)], CLIENTS))


async def _spread(jobs: list[Callable[[], Awaitable[Any]]], lanes: int) -> None:
    """Run jobs over ``lanes`` concurrent lanes."""
    waiting = iter(jobs)

    async def lane() -> None:
        for job in waiting:
            await job()

    await asyncio.gather(*(lane() for _ in range(lanes)))
