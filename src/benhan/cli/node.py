"""The wiring of a node: which app is served where, what the worker does, what must exist before either starts.

This is the only place where skins, edges and rooms are joined; it holds no rule of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta

from benhan import records
from benhan.api import register_subscriptions
from benhan.base.clock import local_date
from benhan.base.errors import BenhanError
from benhan.base.settings import Settings
from benhan.cli.common import open_store
from benhan.exchange import client_file, reconcile, send_due, synchronise
from benhan.exchange import register_jobs as register_exchange
from benhan.gateways.bhyt import register_jobs as register_bhyt
from benhan.gateways.bhyt import use_icd_list
from benhan.jobs import run_worker
from benhan.signing import (
    KeyStore,
    Signer,
    TimeStamper,
    audit_checks,
    check_audit,
    root_certificate,
    sign_audit_head,
    time_stamper,
)
from benhan.store import Repository, Store

log = logging.getLogger("benhan.node")
SYNCHRONISE_EVERY_S = 5.0
COMPARE_EVERY_S = 6 * 3600.0
SEAL_AUDIT_EVERY_S = 30.0
KEEP_EVERY_S = 3600.0
STAMP_EVERY_S = 15.0


def configure_logging(settings: Settings) -> None:
    """Lines to standard error; the level of the settings; libraries only when something is wrong."""
    logging.basicConfig(
        level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    for name in (
        "psycopg",
        "psycopg.pool",
        "procrastinate",
        "httpx",
        "httpcore",
        "pyhanko",
        "uvicorn",
        "fontTools",
    ):
        logging.getLogger(name).setLevel(logging.WARNING)


def register_all_jobs() -> None:
    """Every room that answers outbox topics registers them."""
    register_bhyt()
    register_exchange()
    register_subscriptions()


async def migrate(settings: Settings) -> int:
    """Bring the database of this installation to the present version; gives the number of steps run."""
    async with open_store(settings) as store:
        return store.database.applied


def prepare(settings: Settings) -> None:
    """What must be done before a process serves: logging and jobs."""
    configure_logging(settings)
    register_all_jobs()
    use_icd_list(settings.home / "bhyt")


async def seal_of(repo: Repository) -> tuple[Signer, TimeStamper | None]:
    """The organisation's seal and time stamper of a node, for receipts."""
    signer = await KeyStore(repo).seal_signer(repo.ctx.tenant)
    return signer, time_stamper(repo.store.settings, of_seal=True)


async def serve_machines(settings: Settings) -> None:
    """The mutual-TLS door of the hub, until the process is told to stop."""
    from benhan.api.hub import hub_app
    from benhan.api.machine_door import serve_machines as open_machine_door

    prepare(settings)
    async with open_store(settings) as store:
        await open_machine_door(hub_app(store, settings, seal_of), settings)


async def work(settings: Settings, stop: asyncio.Event) -> None:
    """The worker of a node: outbox and jobs, sharing with the hub, sealing of the audit."""
    async with open_store(settings) as store:
        tasks = [
            asyncio.create_task(run_worker(store, stop)),
            asyncio.create_task(_every(SEAL_AUDIT_EVERY_S, stop, store, _seal_audits)),
            asyncio.create_task(_every(STAMP_EVERY_S, stop, store, _complete_signatures)),
            asyncio.create_task(_every(KEEP_EVERY_S, stop, store, _keep_archives)),
        ]
        if settings.role == "facility" and settings.hub_url:
            tasks.append(asyncio.create_task(_every(SYNCHRONISE_EVERY_S, stop, store, _synchronise_all)))
            tasks.append(asyncio.create_task(_every(COMPARE_EVERY_S, stop, store, _compare_all)))
        await stop.wait()
        for task in tasks[1:]:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks)


async def _every(
    period_s: float, stop: asyncio.Event, store: Store, act: Callable[[Store], Awaitable[None]]
) -> None:
    while not stop.is_set():
        try:
            await act(store)
        except BenhanError as error:
            log.warning("%s", error.code)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), period_s)


async def _synchronise_all(store: Store) -> None:
    for info in await store.tenants():
        if client_file(store.settings, info.code).exists():
            await send_due(store, info.id)
            await synchronise(store, info.id)


async def _compare_all(store: Store) -> None:
    """Yesterday and today against the hub, by count and hash."""
    today = local_date(store.clock.now())
    for info in await store.tenants():
        if client_file(store.settings, info.code).exists():
            for day in (today - timedelta(days=1), today):
                await reconcile(store, info.id, day)


async def _keep_archives(store: Store) -> None:
    """What the night does: proofs renewed in time, files moved to the cold place and read again, the audit signed, checked."""
    settings = store.settings
    roots, tsa = root_certificate(settings), time_stamper(settings, of_seal=True)
    within = timedelta(days=settings.renew_before_days)
    for info in await store.tenants():
        repo = store.system_repo(info.id)
        await records.look_at_proofs(repo)
        run = await records.renew_due(repo, tsa, roots, within=within)
        for document, code in run.failed:
            log.warning("proof of %s not renewed: %s", document, code)
        await records.move_to_cold(repo, timedelta(days=settings.cold_after_days))
        now = store.clock.now()
        last = await records.scrubs(repo, 1)
        if not last or last[0].ended_at < now - timedelta(days=settings.scrub_days):
            await records.scrub(repo)
        await sign_audit_head(repo, await KeyStore(repo).seal_signer(info.id), tsa)
        checked = await audit_checks(repo, 1)
        if not checked or checked[0].at < now - timedelta(hours=20):
            await check_audit(repo, roots)


async def _complete_signatures(store: Store) -> None:
    tsa = time_stamper(store.settings, of_seal=True)
    for info in await store.tenants():
        await records.complete_waiting(store.system_repo(info.id), tsa)


async def _seal_audits(store: Store) -> None:
    for info in await store.tenants():
        await store.seal_audit(info.id)
