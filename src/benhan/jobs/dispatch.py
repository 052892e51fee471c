"""From outbox rows to jobs: marking the row and inserting the job is one transaction, so neither is lost nor doubled.

Several dispatchers may run: rows that another one holds are skipped. (A NOTIFY in every clinical commit would line the
commits up one behind the other; the dispatcher polls, and only its own inserts notify the workers.)
"""

from __future__ import annotations

import logging
from uuid import UUID

from benhan.base.errors import BenhanError
from benhan.jobs.registry import sources, topics
from benhan.store import Store

TASK = "benhan.deliver"
QUEUE = "outbox"
BATCH = 200
_log = logging.getLogger("benhan.jobs")
_TENANTS = "select outbox_tenants(%s)"
_DISPATCH = """
with taken as (
    select id, topic from public.outbox
    where tenant = %(tenant)s and dispatched_at is null and topic = any(%(topics)s)
    order by id limit %(limit)s for update skip locked
), marked as (
    update public.outbox o set dispatched_at = %(now)s from taken t where o.tenant = %(tenant)s and o.id = t.id
)
insert into procrastinate_jobs (queue_name, task_name, args)
select %(queue)s, %(task)s, jsonb_build_object('tenant', %(tenant)s::text, 'outbox_id', id, 'topic', topic)
from taken order by id
"""


async def dispatch(store: Store) -> int:
    """Ask the sources, then turn all waiting rows of known topics into jobs; gives their number."""
    for ask in sources():
        try:
            await ask(store)
        except Exception as error:  # one that fails must not hold up the deliveries of others
            _log.warning("source: %s", error.code if isinstance(error, BenhanError) else type(error).__name__)
    known = topics()
    async with store.pool.connection() as connection:
        rows = await (await connection.execute(_TENANTS, (known,))).fetchall()
    total = 0
    for (tenant,) in rows:
        while (taken := await _dispatch_batch(store, tenant, known)) > 0:
            total += taken
            if taken < BATCH:
                break
    return total


async def _dispatch_batch(store: Store, tenant: UUID, known: list[str]) -> int:
    async with store.system_repo(tenant).transaction() as tx:
        connection = tx.open_connection
        await connection.execute("set local search_path = jobs, public")
        values = {
            "tenant": tenant, "topics": known, "limit": BATCH, "now": store.clock.now(), "queue": QUEUE, "task": TASK
        }  # fmt: skip
        cursor = await connection.execute(_DISPATCH, values)
        return cursor.rowcount
