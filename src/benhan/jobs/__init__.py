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
    await waiting(store, tenant) -> int     outbox rows and jobs not yet delivered
"""

from benhan.jobs.jobs import DeadJob, Jobs, dead, replay, run_once, run_worker, waiting
from benhan.jobs.registry import Handler, handler, register, topics

__all__ = [
    "DeadJob",
    "Handler",
    "Jobs",
    "dead",
    "handler",
    "register",
    "replay",
    "run_once",
    "run_worker",
    "topics",
    "waiting",
]
