"""Background work on the same PostgreSQL, fed from the outbox.

A transaction writes an outbox row (``Repository.outbox``); the dispatcher turns rows into jobs in batches; a worker runs
the handler of the topic outside any database transaction. Delivery is at least once: a handler must bear a second call
with the same payload. A failed delivery is tried again after the waits of ``data/retry.yaml``; then it is dead, visible
by ``dead`` and sent again by ``replay``. Rows of topics without handler in this process wait.

Face::

    register(topic, async fn(store, tenant, payload)); @handler(topic)
    register_source(name, async fn(store))  asked before each look into the outbox; may put rows in
    await run_once(store) -> int            dispatch and run everything that is ready; number of jobs run
    await run_worker(store, stop)           until the event is set
    await dead(store, tenant) -> list[DeadJob]
    await pending(store, tenant, prefix="") -> list[PendingJob(topic, key, attempts, due, code, text)]
    await replay(store, job_id, tenant=None) -> bool
    await start_export(repo, BulkAsked(request, types, …)) -> UUID; start_import(repo, ndjson) -> UUID
    await bulk_job(repo, id) -> BulkJob; bulk_file(repo, id, number) -> bytes; delete_bulk_job(repo, id)
    await waiting(store, tenant) -> int     outbox rows and jobs not yet delivered
    Subscription, Event and the functions beside them: how far each subscription has come (rows only)
"""

from benhan.jobs.bulk import (
    DELETED,
    BulkAsked,
    BulkFile,
    BulkJob,
    bulk_file,
    bulk_job,
    delete_bulk_job,
    start_export,
    start_import,
)
from benhan.jobs.jobs import DeadJob, Jobs, PendingJob, dead, pending, replay, run_once, run_worker, waiting
from benhan.jobs.registry import Handler, Source, handler, register, register_source, topics
from benhan.jobs.subscriptions import (
    Event,
    Subscription,
    add_events,
    alone,
    drop_subscription,
    events_of,
    failed,
    forget_old,
    put_subscription,
    queue,
    read_subscription,
    rest,
    set_status,
    subscribed_tenants,
    taken,
    working_subscriptions,
)

__all__ = [
    "DELETED",
    "BulkAsked",
    "BulkFile",
    "BulkJob",
    "DeadJob",
    "Event",
    "Handler",
    "Jobs",
    "PendingJob",
    "Source",
    "Subscription",
    "add_events",
    "alone",
    "bulk_file",
    "bulk_job",
    "dead",
    "delete_bulk_job",
    "drop_subscription",
    "events_of",
    "failed",
    "forget_old",
    "handler",
    "pending",
    "put_subscription",
    "queue",
    "read_subscription",
    "register",
    "register_source",
    "replay",
    "rest",
    "run_once",
    "run_worker",
    "set_status",
    "start_export",
    "start_import",
    "subscribed_tenants",
    "taken",
    "topics",
    "waiting",
    "working_subscriptions",
]
