"""How far each subscription has come: its row, its numbered events, and what a delivery does to them.

Rows only; what a subscription means, who may have one, and how it is told are rules of the room ``api``. Every function
runs inside a transaction of the caller's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from benhan.base.json_door import JsonObject, dumps
from benhan.store import FeedCursor, FeedItem, Repository, Store

#: Events that were delivered stay so long for ``$events``.
KEPT = timedelta(days=30)
_COLUMNS = "id, owner, asked, status, shaken, queued, epoch, tx::text, seq, events, delivered, failures, fault, told_at"
_ONE = f"select {_COLUMNS} from subscription where tenant = %s and id = %s"  # noqa: S608 - constants only
_LOCKED = f"{_ONE} for update"
_WORKING = (
    f"select {_COLUMNS} from subscription where tenant = %s and shaken "  # noqa: S608
    "and status in ('active', 'error') order by id"
)
_PUT = (
    "insert into subscription (tenant, id, owner, asked, status, epoch, tx, seq, told_at) "
    "values (%(tenant)s, %(id)s, %(owner)s, %(asked)s::jsonb, 'requested', %(epoch)s, %(tx)s::text::xid8, %(seq)s, "
    "%(now)s) on conflict (tenant, id) do update set asked = excluded.asked, status = 'requested', shaken = false, "
    "queued = false, failures = 0, fault = '', "
    "epoch = case when %(fresh)s then excluded.epoch else subscription.epoch end, "
    "tx = case when %(fresh)s then excluded.tx else subscription.tx end, "
    "seq = case when %(fresh)s then excluded.seq else subscription.seq end, "
    "delivered = case when %(fresh)s then subscription.events else subscription.delivered end"
)
_STATUS = (
    "update subscription set status = %s, fault = %s, queued = queued and %s where tenant = %s and id = %s"
)
_DROP_EVENTS = "delete from subscription_event where tenant = %s and subscription = %s"
_DROP = "delete from subscription where tenant = %s and id = %s"
_EVENT = (
    "insert into subscription_event (tenant, subscription, number, at, type, id, version, action) "
    "values (%s, %s, %s, %s, %s, %s, %s, %s)"
)
_ADVANCE = (
    "update subscription set epoch = %s, tx = %s::text::xid8, seq = %s, events = %s "
    "where tenant = %s and id = %s"
)
_EVENTS = (
    "select number, at, type, id, version, action from subscription_event where tenant = %s and subscription = %s "
    "and number >= %s and number <= %s order by number limit %s"
)
_QUEUE = "update subscription set queued = true where tenant = %s and id = %s and not queued"
_REST = "update subscription set queued = false where tenant = %s and id = %s and (delivered >= events or status = 'off')"
_TAKEN = (
    "update subscription set shaken = shaken or %(shook)s, delivered = greatest(delivered, %(number)s), failures = 0, "
    "fault = '', told_at = %(now)s, status = case when shaken or %(shook)s then 'active' else status end "
    "where tenant = %(tenant)s and id = %(id)s and status <> 'off'"
)
_FAILED = (
    "update subscription set failures = failures + 1, fault = %s, status = case when failures + 1 >= %s then 'error' "
    "else status end where tenant = %s and id = %s and status <> 'off'"
)
_OLD = (
    "delete from subscription_event e using subscription s where e.tenant = %s and s.tenant = e.tenant "
    "and s.id = e.subscription and e.number <= s.delivered and e.at < %s"
)
_ALONE = "select pg_try_advisory_xact_lock(hashtextextended('subscriptions' || %s, 0))"


@dataclass(frozen=True)
class Subscription:
    """A subscription at work. ``asked`` is what the resource asks for; ``place`` where events were made up to."""

    id: str
    owner: str
    asked: JsonObject
    status: str
    shaken: bool
    queued: bool
    place: FeedCursor
    events: int
    delivered: int
    failures: int
    fault: str
    told_at: datetime


@dataclass(frozen=True)
class Event:
    """A numbered event: which version of which resource, and by which action it came to be."""

    number: int
    at: datetime
    type: str
    id: str
    version: int
    action: str


def _of(row: Any) -> Subscription:
    id, owner, asked, status, shaken, queued, epoch, tx, seq, *rest_of = row
    place = FeedCursor(epoch, int(tx), seq)
    events, delivered, failures, fault, told_at = rest_of
    return Subscription(
        id, owner, asked, status, shaken, queued, place, events, delivered, failures, fault, told_at
    )


async def subscribed_tenants(store: Store) -> list[UUID]:
    """Tenants that have a subscription at work."""
    async with store.pool.connection() as connection:
        rows = await (await connection.execute("select subscription_tenants()")).fetchall()
    return [row[0] for row in rows]


async def alone(tx: Repository) -> bool:
    """True when this transaction alone makes the tenant's events until it ends."""
    row = await tx.one(_ALONE, (str(tx.ctx.tenant),))
    return bool(row[0])


async def put_subscription(
    tx: Repository, id: str, owner: str, asked: JsonObject, place: FeedCursor, *, fresh: bool
) -> None:
    """Begin, or begin again. A renewed one keeps its numbers, and (unless ``fresh``) its place, so that nothing is lost."""
    values = {
        "tenant": tx.ctx.tenant, "id": id, "owner": owner, "asked": dumps(asked).decode(), "epoch": place.epoch,
        "tx": str(place.tx), "seq": place.seq, "now": tx.clock.now(), "fresh": fresh,
    }  # fmt: skip
    await tx.open_connection.execute(_PUT, values)


async def read_subscription(tx: Repository, id: str, *, lock: bool = False) -> Subscription | None:
    """The row of one."""
    row = await tx.one(_LOCKED if lock else _ONE, (tx.ctx.tenant, id))
    return None if row is None else _of(row)


async def working_subscriptions(tx: Repository) -> list[Subscription]:
    """All that shook hands and are not off."""
    return [_of(row) for row in await tx.all(_WORKING, (tx.ctx.tenant,))]


async def drop_subscription(tx: Repository, id: str) -> None:
    """The resource is gone, and with it place and events."""
    await tx.open_connection.execute(_DROP_EVENTS, (tx.ctx.tenant, id))
    await tx.open_connection.execute(_DROP, (tx.ctx.tenant, id))


async def set_status(tx: Repository, id: str, status: str, fault: str = "") -> None:
    """Another status, with what is wrong."""
    await tx.open_connection.execute(_STATUS, (status, fault, status != "off", tx.ctx.tenant, id))


async def add_events(
    tx: Repository, one: Subscription, items: Sequence[FeedItem], place: FeedCursor
) -> Subscription:
    """Number what happened, and go on in the feed."""
    tenant, number, at = tx.ctx.tenant, one.events, tx.clock.now()
    for item in items:
        number += 1
        when = item.stored.at if item.stored is not None else at
        values = (tenant, one.id, number, when, item.type, item.id, item.version, item.action)
        await tx.open_connection.execute(_EVENT, values)
    moved = max(one.place, place)
    await tx.open_connection.execute(
        _ADVANCE, (moved.epoch, str(moved.tx), moved.seq, number, tenant, one.id)
    )
    found = await read_subscription(tx, one.id)
    return found or one


async def events_of(tx: Repository, id: str, first: int, last: int, limit: int) -> list[Event]:
    """Events by number, both ends included."""
    return [Event(*row) for row in await tx.all(_EVENTS, (tx.ctx.tenant, id, first, last, limit))]


async def queue(tx: Repository, id: str, topic: str) -> None:
    """Ask for a delivery, unless one is under way."""
    if (await tx.open_connection.execute(_QUEUE, (tx.ctx.tenant, id))).rowcount:
        await tx.outbox(topic, f"{id}/{uuid4()}", {"subscription": id})


async def rest(tx: Repository, id: str) -> bool:
    """The delivery is over; False when something came meanwhile."""
    return (await tx.open_connection.execute(_REST, (tx.ctx.tenant, id))).rowcount == 1


async def taken(tx: Repository, id: str, number: int, *, shook: bool) -> None:
    """The receiver has taken all events up to this number; ``shook``: it answered the handshake."""
    values = {"number": number, "now": tx.clock.now(), "tenant": tx.ctx.tenant, "id": id, "shook": shook}
    await tx.open_connection.execute(_TAKEN, values)


async def failed(tx: Repository, id: str, fault: str, patience: int) -> None:
    """An attempt failed; after ``patience`` of them the status is ``error``."""
    await tx.open_connection.execute(_FAILED, (fault, patience, tx.ctx.tenant, id))


async def forget_old(tx: Repository) -> None:
    """Delivered events older than ``KEPT`` go."""
    await tx.open_connection.execute(_OLD, (tx.ctx.tenant, tx.clock.now() - KEPT))
