"""Background work on the same PostgreSQL, fed from the outbox.

A transaction writes an outbox row (``Repository.outbox``); the dispatcher turns rows into jobs in batches; a worker runs
the handler of the topic outside any database transaction. Delivery is at least once: a handler must bear a second call
with the same payload. A failed delivery is tried again after the waits of ``data/retry.yaml``; then it is dead, visible
by ``dead`` and sent again by ``replay``. Rows of topics without handler in this process wait.

Face::

    register(topic, async fn(store, tenant, payload)); @handler(topic)
    await run_once(store) -> int            dispatch and run everything that is ready; number of jobs run
    await run_worker(store, stop)           until the event is set
    await dead(store, tenant) -> list[DeadJob]
    await replay(store, job_id, tenant=None) -> bool
    await start_export(repo, types, since, compartment, request) -> UUID; start_import(repo, ndjson) -> UUID
    await bulk_job(repo, id) -> BulkJob; bulk_file(repo, id, number) -> bytes; delete_bulk_job(repo, id)
    await waiting(store, tenant) -> int     outbox rows and jobs not yet delivered
"""

from benhan.jobs.bulk import (
    BulkFile,
    BulkJob,
    bulk_file,
    bulk_job,
    delete_bulk_job,
    start_export,
    start_import,
)
from benhan.jobs.jobs import DeadJob, Jobs, dead, replay, run_once, run_worker, waiting
from benhan.jobs.registry import Handler, handler, register, topics

__all__ = [
    "BulkFile",
    "BulkJob",
    "DeadJob",
    "Handler",
    "Jobs",
    "bulk_file",
    "bulk_job",
    "dead",
    "delete_bulk_job",
    "handler",
    "register",
    "replay",
    "run_once",
    "run_worker",
    "start_export",
    "start_import",
    "topics",
    "waiting",
]
