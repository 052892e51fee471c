"""The change feed of a tenant: versions in (epoch, transaction, sequence) order.

Only transactions below the oldest one still running in this database are delivered: every lower one has ended, so
nothing can appear behind the cursor later. A cursor on a sequence alone would lose rows that commit late. The epoch
changes when the log is restored (``new_epoch``), because transaction numbers start anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from benhan.base.json_door import JsonObject
from benhan.store.model import FeedCursor, FeedItem, FeedPage
from benhan.store.reading import COLUMNS, stored_of

if TYPE_CHECKING:
    from benhan.store.repository import Repository
    from benhan.store.store import Store

LONG_TRANSACTION_S = 300.0
_EPOCH = "select epoch from installation"
_PAGE = (
    f"select {COLUMNS}, l.epoch, l.tx::text, l.seq from log l "  # noqa: S608 - constants only
    "left join record_key k on k.tenant = l.tenant and k.id = l.key_id "
    "where l.tenant = %(tenant)s and (l.epoch, l.tx, l.seq) > (%(epoch)s::integer, %(tx)s::text::xid8, %(seq)s::bigint) "
    "and (l.epoch < (select epoch from installation) or l.tx < (select settled_before())) "
    "order by l.epoch, l.tx, l.seq limit %(limit)s"
)
_END = "select epoch, settled_before()::text from installation"
_BEFORE = (
    f"select {COLUMNS} from log l left join record_key k on k.tenant = l.tenant and k.id = l.key_id "  # noqa: S608
    "where l.tenant = %s and l.type = %s and l.id = %s and l.version < %s order by l.version desc limit 1"
)
_HELD_BACK = (
    "select coalesce(max(extract(epoch from clock_timestamp() - xact_start)), 0)::float8 from pg_stat_activity "
    "where datname = current_database() and xact_start is not null and pid <> pg_backend_pid()"
)


async def read_feed(store: Store, tenant: UUID, cursor: FeedCursor | None, limit: int) -> FeedPage:
    """One page of the feed."""
    start = cursor or FeedCursor(0, 0, 0)
    async with store.system_repo(tenant).transaction() as tx:
        connection = tx.open_connection
        epoch_row = await (await connection.execute(_EPOCH)).fetchone()
        values = {
            "tenant": tenant,
            "epoch": start.epoch,
            "tx": str(start.tx),
            "seq": start.seq,
            "limit": limit,
        }
        rows = await (await connection.execute(_PAGE.encode(), values)).fetchall()
        items = [await _item(store, connection, tenant, row) for row in rows]
    changed = cursor is not None and epoch_row is not None and cursor.epoch not in (0, epoch_row[0])
    return FeedPage(items, items[-1].cursor if items else start, changed)


async def _item(store: Store, connection: Any, tenant: UUID, row: Any) -> FeedItem:
    stored = await stored_of(store.keys, connection, tenant, row)
    return FeedItem(FeedCursor(row[12], int(row[13]), row[14]), stored, row[0], row[1], row[2], row[5])


async def feed_end(tx: Repository) -> FeedCursor:
    """The place from which a reader who begins now sees everything that is not settled yet."""
    row = await tx.one(_END, ())
    return FeedCursor(row[0], int(row[1]), 0)


async def version_before(tx: Repository, item: FeedItem) -> JsonObject | None:
    """Content before a change of the feed; None for the first version, after a deletion, or when destroyed.

    For the system's own eyes: not audited, since nothing of it leaves.
    """
    row = await tx.one(_BEFORE, (tx.ctx.tenant, item.type, item.id, item.version))
    if row is None:
        return None
    stored = await stored_of(tx.store.keys, tx.open_connection, tx.ctx.tenant, row)
    return None if stored is None or stored.deleted else stored.data


async def held_back_s(store: Store) -> float:
    """Age in seconds of the oldest open transaction: so long may feed, sealer and vacuum be behind."""
    async with store.pool.connection() as connection:
        row = await (await connection.execute(_HELD_BACK)).fetchone()
    return float(row[0]) if row else 0.0
