"""The worker: procrastinate on the store's database, one task that delivers an outbox row to its handler."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from importlib import resources
from typing import Any
from uuid import UUID

import procrastinate
import yaml
from procrastinate import BaseRetryStrategy, RetryDecision

from benhan.base.errors import BenhanError, ConfigurationError
from benhan.base.json_door import JsonObject
from benhan.jobs.dispatch import QUEUE, TASK, dispatch
from benhan.jobs.registry import handler_of
from benhan.store import Store

POLL_S = 0.3
STALLED_EVERY_S = 30.0
_log = logging.getLogger("benhan.jobs")

_PAYLOAD = "select payload from outbox where tenant = %s and id = %s"
_FAILED = (
    "insert into job_failure (tenant, outbox_id, at, attempt, code, text) values (%s, %s, %s, %s, %s, %s) "
    "on conflict do nothing"
)
_DEAD = (
    "select j.id, j.args ->> 'topic', o.key, (j.args ->> 'outbox_id')::bigint, j.attempts, f.at, f.code, f.text "
    "from jobs.procrastinate_jobs j join outbox o on o.tenant = %(tenant)s and o.id = (j.args ->> 'outbox_id')::bigint "
    "left join lateral (select at, code, text from job_failure f where f.tenant = o.tenant and f.outbox_id = o.id "
    "order by at desc limit 1) f on true "
    "where j.status = 'failed' and j.args ->> 'tenant' = %(tenant)s::text order by j.id"
)
_PENDING = (
    "select o.topic, o.key, coalesce(j.attempts, 0), coalesce(j.scheduled_at, o.at), f.code, f.text "
    "from outbox o left join jobs.procrastinate_jobs j on (j.args ->> 'outbox_id')::bigint = o.id "
    "and j.args ->> 'tenant' = %(tenant)s::text "
    "left join lateral (select at, code, text from job_failure f where f.tenant = o.tenant and f.outbox_id = o.id "
    "order by at desc limit 1) f on true "
    "where o.tenant = %(tenant)s and o.topic like %(topics)s and (j.id is null and o.dispatched_at is null "
    "or j.status in ('todo', 'doing')) order by 4, o.id limit 500"
)
_REPLAY = (
    "update jobs.procrastinate_jobs set status = 'todo', attempts = 0, scheduled_at = null "
    "where id = %s and status = 'failed' and (%s::text is null or args ->> 'tenant' = %s)"
)
_WAITING = (
    "select (select count(*) from outbox where tenant = %(tenant)s and dispatched_at is null) + "
    "(select count(*) from jobs.procrastinate_jobs where status in ('todo', 'doing') and args ->> 'tenant' = %(tenant)s::text)"
)


@dataclass(frozen=True)
class DeadJob:
    """A delivery that was given up: what, why, since when."""

    job_id: int
    topic: str
    key: str
    outbox_id: int
    attempts: int
    failed_at: datetime | None
    code: str
    text: str


@dataclass(frozen=True)
class PendingJob:
    """A delivery under way: ``attempts`` made so far, when the next one is due, what the last one said."""

    topic: str
    key: str
    attempts: int
    due: datetime
    code: str
    text: str


@cache
def retry_rules() -> tuple[tuple[int, ...], frozenset[int]]:
    """Waits in seconds, and error statuses that are final."""
    data = yaml.safe_load(
        resources.files("benhan.jobs").joinpath("data/retry.yaml").read_text(encoding="utf-8")
    )
    return tuple(data["waits_s"]), frozenset(data["final_statuses"])


class _Waits(BaseRetryStrategy):
    """The table of waits as procrastinate asks for it."""

    def get_retry_decision(self, *, exception: BaseException, job: Any) -> RetryDecision | None:
        waits, final = retry_rules()
        if isinstance(exception, BenhanError) and exception.status in final:
            return None
        if job.attempts >= len(waits):
            return None
        return RetryDecision(retry_in={"seconds": waits[job.attempts]})


class Jobs:
    """The queue of one store. Use as ``async with Jobs(store) as jobs``."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.ran = 0
        self._connector = procrastinate.PsycopgConnector(
            conninfo=store.database.logins["app"],
            kwargs={"options": "-c search_path=jobs,public", "application_name": "benhan-jobs"},
            min_size=1,
            max_size=4,
        )
        self.app = procrastinate.App(connector=self._connector)
        self.app.task(name=TASK, queue=QUEUE, retry=_Waits(), pass_context=True)(self._deliver)

    async def __aenter__(self) -> Jobs:
        await self.app.open_async()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.app.close_async()

    async def run_ready(self) -> int:
        """Dispatch and run until nothing is ready; gives the number of deliveries tried."""
        before = self.ran
        while True:
            dispatched = await dispatch(self.store)
            started = self.ran
            await self.app.run_worker_async(
                queues=[QUEUE], wait=False, concurrency=4, install_signal_handlers=False, listen_notify=False,
                delete_jobs="successful",
            )  # fmt: skip
            if not dispatched and self.ran == started:
                return self.ran - before

    async def run(self, stop: asyncio.Event) -> None:
        """Work until ``stop`` is set; deliveries under way are finished first."""
        worker = asyncio.create_task(
            self.app.run_worker_async(
                queues=[QUEUE], wait=True, concurrency=4, install_signal_handlers=False, listen_notify=True,
                fetch_job_polling_interval=2.0, shutdown_graceful_timeout=20.0, delete_jobs="successful",
            )
        )  # fmt: skip
        keeper = asyncio.create_task(self._retry_stalled(stop))
        try:
            while not stop.is_set():
                await self._dispatch_safely()
                if worker.done():
                    worker.result()
                    return
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), POLL_S)
        finally:
            keeper.cancel()
            worker.cancel()
            await asyncio.gather(worker, keeper, return_exceptions=True)

    async def _dispatch_safely(self) -> None:
        try:
            await dispatch(self.store)
        except BenhanError as error:
            _log.warning("dispatch: %s", error.code)

    async def _retry_stalled(self, stop: asyncio.Event) -> None:
        """Deliveries of a worker that died are tried again."""
        while not stop.is_set():
            try:
                for job in await self.app.job_manager.get_stalled_jobs():
                    await self.app.job_manager.retry_job(job)
            except Exception as error:
                _log.warning("stalled jobs: %s", type(error).__name__)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), STALLED_EVERY_S)

    async def _deliver(self, context: Any, tenant: str, outbox_id: int, topic: str) -> None:
        self.ran += 1
        owner = UUID(tenant)
        try:
            function = handler_of(topic)
            if function is None:
                raise ConfigurationError("jobs.no-handler", f"Không có bộ xử lý cho chủ đề {topic}.")
            await function(self.store, owner, await self._payload(owner, outbox_id))
        except Exception as error:
            await self._note_failure(owner, outbox_id, context.job.attempts + 1, error)
            raise

    async def _payload(self, tenant: UUID, outbox_id: int) -> JsonObject:
        async with self.store.system_repo(tenant).transaction() as tx:
            row = await tx.one(_PAYLOAD, (tenant, outbox_id))
        if row is None:
            raise ConfigurationError("jobs.no-outbox-row", "Không còn dòng hàng đợi của việc này.")
        found: JsonObject = row[0]
        return found

    async def _note_failure(self, tenant: UUID, outbox_id: int, attempt: int, error: Exception) -> None:
        code = error.code if isinstance(error, BenhanError) else "jobs.handler-failed"
        text = error.text if isinstance(error, BenhanError) else type(error).__name__
        if not isinstance(error, BenhanError):
            _log.exception("handler failed")
        async with self.store.system_repo(tenant).transaction() as tx:
            values = (
                tenant,
                outbox_id,
                self.store.clock.now() + timedelta(microseconds=attempt),
                attempt,
                code,
                text,
            )
            await tx.open_connection.execute(_FAILED, values)


async def run_once(store: Store) -> int:
    """Dispatch the outbox and run all ready jobs; gives the number of deliveries tried."""
    async with Jobs(store) as jobs:
        return await jobs.run_ready()


async def run_worker(store: Store, stop: asyncio.Event) -> None:
    """Dispatch and deliver until ``stop`` is set."""
    async with Jobs(store) as jobs:
        await jobs.run(stop)


async def dead(store: Store, tenant: UUID) -> list[DeadJob]:
    """Deliveries of a tenant that were given up, oldest first."""
    async with store.system_repo(tenant).transaction() as tx:
        rows = await (await tx.open_connection.execute(_DEAD, {"tenant": tenant})).fetchall()
    return [DeadJob(r[0], r[1], r[2], r[3], r[4], r[5], r[6] or "", r[7] or "") for r in rows]


async def pending(store: Store, tenant: UUID, prefix: str = "") -> list[PendingJob]:
    """Deliveries of a tenant not yet done nor given up, of topics that begin with ``prefix``, next due first."""
    async with store.system_repo(tenant).transaction() as tx:
        asked = {"tenant": tenant, "topics": prefix.replace("%", "") + "%"}
        rows = await (await tx.open_connection.execute(_PENDING, asked)).fetchall()
    return [PendingJob(r[0], r[1], r[2], r[3], r[4] or "", r[5] or "") for r in rows]


async def replay(store: Store, job_id: int, tenant: UUID | None = None) -> bool:
    """Send a dead delivery again from the first attempt; False when there is no such dead job."""
    async with store.pool.connection() as connection, connection.transaction():
        await connection.execute("set local search_path = jobs, public")
        owner = None if tenant is None else str(tenant)
        cursor = await connection.execute(_REPLAY, (job_id, owner, owner))
    return bool(cursor.rowcount == 1)


async def waiting(store: Store, tenant: UUID) -> int:
    """Outbox rows and jobs of a tenant that are not delivered yet."""
    async with store.system_repo(tenant).transaction() as tx:
        row = await (await tx.open_connection.execute(_WAITING, {"tenant": tenant})).fetchone()
    return int(row[0]) if row else 0
