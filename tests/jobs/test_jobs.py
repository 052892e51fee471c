"""The queue: delivered after the commit, once per key, tried again, dead and replayed, never across tenants."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from benhan.base.errors import InvalidInput, NeighbourFailed
from benhan.base.json_door import JsonObject
from benhan.jobs import dead, register, register_source, registry, replay, run_once, run_worker, waiting
from benhan.jobs.jobs import retry_rules
from benhan.store import Repository, Store


async def test_committed_message_is_delivered_once_with_its_tenant(store: Store, repo: Repository) -> None:
    got: list[tuple[UUID, JsonObject]] = []

    async def take(_: Store, tenant: UUID, payload: JsonObject) -> None:
        got.append((tenant, payload))

    register("test.take", take)
    await repo.outbox("test.take", "k1", {"n": 1})
    await repo.outbox("test.take", "k1", {"n": 2})
    await repo.outbox("test.unknown", "k1", {"n": 3})
    with pytest.raises(RuntimeError):  # noqa: PT012
        async with repo.transaction() as tx:
            await tx.outbox("test.take", "k2", {"n": 4})
            raise RuntimeError
    assert await run_once(store) == 1
    assert await run_once(store) == 0
    assert got == [(repo.ctx.tenant, {"n": 1})]
    assert await waiting(store, repo.ctx.tenant) == 1, "the row of an unknown topic waits"


async def test_final_error_is_dead_at_once_and_can_be_replayed(
    store: Store, repo: Repository, other_tenant: UUID
) -> None:
    healthy = False

    async def refuse(_: Store, tenant: UUID, payload: JsonObject) -> None:
        if not healthy:
            raise InvalidInput("bhyt.rejected", "Hồ sơ bị từ chối.")

    register("test.refuse", refuse)
    await repo.outbox("test.refuse", "k", {})
    assert await run_once(store) == 1
    [job] = await dead(store, repo.ctx.tenant)
    assert (job.topic, job.key, job.code, job.text) == (
        "test.refuse",
        "k",
        "bhyt.rejected",
        "Hồ sơ bị từ chối.",
    )
    assert await dead(store, other_tenant) == []
    assert not await replay(store, job.job_id, other_tenant)
    healthy = True
    assert await replay(store, job.job_id, repo.ctx.tenant)
    assert await run_once(store) == 1
    assert await dead(store, repo.ctx.tenant) == []
    assert not await replay(store, job.job_id)


async def test_transient_error_waits_for_its_next_attempt(store: Store, repo: Repository) -> None:
    async def fail(_: Store, tenant: UUID, payload: JsonObject) -> None:
        raise NeighbourFailed("bhyt.down", "Cổng không trả lời.")

    register("test.fail", fail)
    await repo.outbox("test.fail", "k", {})
    assert await run_once(store) == 1
    assert await run_once(store) == 0
    assert await dead(store, repo.ctx.tenant) == []
    async with store.pool.connection() as connection:
        row = await (
            await connection.execute(
                "select attempts, scheduled_at > now(), args from jobs.procrastinate_jobs where status = 'todo'"
            )
        ).fetchone()
    assert row is not None
    assert (row[0], row[1]) == (1, True)
    assert set(row[2]) == {"tenant", "outbox_id", "topic"}, "a job carries no content"
    waits, _ = retry_rules()
    assert list(waits) == sorted(waits)


async def test_worker_delivers_while_it_runs_and_stops(store: Store, repo: Repository) -> None:
    done, stop = asyncio.Event(), asyncio.Event()

    async def take(_: Store, tenant: UUID, payload: JsonObject) -> None:
        done.set()

    register("test.worker", take)
    worker = asyncio.create_task(run_worker(store, stop))
    await repo.outbox("test.worker", "k", {})
    await asyncio.wait_for(done.wait(), 10)
    stop.set()
    await asyncio.wait_for(worker, 25)


async def test_a_source_that_fails_holds_nobody_up(
    store: Store, repo: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sources are asked before each look into the outbox; what one puts in is delivered though another is broken."""
    got: list[JsonObject] = []
    monkeypatch.setattr(registry, "_SOURCES", {})

    async def broken(_: Store) -> None:
        raise RuntimeError

    async def tells(_: Store) -> None:
        await repo.outbox("test.source", "once", {"n": 1})

    async def take(_: Store, tenant: UUID, payload: JsonObject) -> None:
        got.append(payload)

    register("test.source", take)
    register_source("a", broken)
    register_source("b", tells)
    assert await run_once(store) == 1
    assert got == [{"n": 1}]
