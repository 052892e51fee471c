"""Making events out of the change feed, and telling subscribers: the part of subscriptions that the worker does.

*Made once*: events are numbered in the transaction that moves the place in the feed on, by one worker at a time. The feed
never passes a change that commits late, and a write waits for nobody: nothing of this happens inside it.
*Told at least once*: a delivery goes out in order of the numbers, and what the receiver has taken is kept after each
message; after a crash or a lost answer a number may come twice, never not at all. A delivery that fails is tried again
by the queue; after ``PATIENCE`` failures the status is ``error`` (and goes on being tried), after ``LAST`` it is ``off``.
*Rights are those of now*: the machine that made the subscription is looked up before events are made and before each
message. Disabled, or without the right to read the type: the status is ``off``, and nothing is sent any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from benhan.access import MachineIn, machine_now
from benhan.api.calling import call
from benhan.api.notices import Told, notification, told, topic_of
from benhan.api.topics import passes, read_filter
from benhan.base.clock import fhir_instant
from benhan.base.errors import BenhanError, Deleted, InvalidInput, NeighbourFailed, NotFound
from benhan.base.json_door import JsonObject, dumps
from benhan.base.settings import Settings
from benhan.fhir import date_range, to_xml
from benhan.jobs import (
    Subscription,
    add_events,
    alone,
    events_of,
    failed,
    forget_old,
    queue,
    read_subscription,
    register,
    register_source,
    rest,
    set_status,
    subscribed_tenants,
    taken,
    working_subscriptions,
)
from benhan.store import Action, FeedItem, Repository, Store, SystemPolicy, version_before

HANDSHAKE, NOTIFY, HEARTBEAT = "subscription.handshake", "subscription.notify", "subscription.heartbeat"
PATIENCE, LAST = 3, 10
_PAGE, _PAGES = 200, 20
_NO_RIGHT = "Máy đăng ký không còn quyền nhận thông tin này."
_ENDED = "Đăng ký đã hết hạn."


def register_subscriptions() -> None:
    """Let this process make events and tell them."""
    register_source("subscriptions", make_events)
    register(HANDSHAKE, _shake)
    register(NOTIFY, _notify)
    register(HEARTBEAT, _beat)


def fhir_base(settings: Settings, code: str) -> str:
    """Base of FHIR addresses of a facility, for messages that answer no request."""
    root = settings.public_url or f"http://{settings.host}:{settings.port}"
    return f"{root.rstrip('/')}/fhir/{code}"


async def make_events(store: Store) -> None:
    """Source of the queue: number what happened since, ask for deliveries and heartbeats."""
    for tenant in await subscribed_tenants(store):
        for _ in range(_PAGES):
            if not await _one_page(store, tenant):
                break


async def _one_page(store: Store, tenant: UUID) -> bool:
    """One page of the feed for all subscriptions of a tenant; True when there may be more."""
    ended: list[tuple[str, str]] = []
    async with store.system_repo(tenant).transaction() as tx:
        if not await alone(tx):
            return False
        working = await working_subscriptions(tx)
        if not working:
            return False
        page = await store.read_feed(tenant, min(one.place for one in working), _PAGE)
        for one in working:
            fault, machine = await _standing(store, tenant, one)
            if fault or machine is None:
                ended.append((one.id, fault))
                await set_status(tx, one.id, "off", fault)
                continue
            mine = await _happened(tx, machine, one, page.items)
            if page.cursor > one.place:
                one = await add_events(tx, one, mine, page.cursor)
            await _ask(tx, one)
        await forget_old(tx)
    for id, fault in ended:
        await show_status(store, tenant, id, "off", fault)
    return len(page.items) == _PAGE


async def _standing(store: Store, tenant: UUID, one: Subscription) -> tuple[str, MachineIn | None]:
    """Why a subscription must end (empty: it may go on), and the machine it belongs to."""
    end = date_range(str(one.asked["end"])) if one.asked.get("end") else None
    if end is not None and end[0] is not None and end[0] <= store.clock.now():
        return _ENDED, None
    machine = await machine_now(store, tenant, one.owner, purpose="TREAT", correlation_id=one.id)
    if machine is None:
        return _NO_RIGHT, None
    try:
        for kind in ("Subscription", topic_of(one).resource):
            machine.policy.check(machine.ctx, Action.READ, kind, None)
    except BenhanError:
        return _NO_RIGHT, None
    return "", machine


async def _happened(
    tx: Repository, machine: MachineIn, one: Subscription, items: Sequence[FeedItem]
) -> list[FeedItem]:
    """Changes that the topic tells of, that pass the filters, and that the machine may see."""
    topic = topic_of(one)
    filters = [f for text in one.asked["filters"] for f in read_filter(topic, text, "")]
    out: list[FeedItem] = []
    for item in items:
        if item.type != topic.resource or item.action not in topic.actions or item.cursor <= one.place:
            continue
        before = await version_before(tx, item) if topic.previous or item.data is None else None
        looked_at = item.data or before
        if not topic.triggered(item.action, item.data, before) or looked_at is None:
            continue
        if passes(filters, looked_at) and await _visible(tx.store, machine, item, looked_at):
            out.append(item)
    return out


async def _visible(store: Store, machine: MachineIn, item: FeedItem, data: JsonObject) -> bool:
    """The policy allows it; at the hub the rows that the machine's facility may see hold it too."""
    try:
        machine.policy.check(machine.ctx, Action.READ, item.type, data)
    except BenhanError:
        return False
    if machine.ctx.reader is None:
        if machine.ctx.sight is None:
            return True
        try:  # of a deletion nothing is left to find: row-level security is asked for its versions
            return bool(await store.repo(machine.ctx, SystemPolicy()).history(item.type, item.id, limit=1))
        except NotFound:
            return False
    return (
        item.data is not None
        and await store.repo(machine.ctx, machine.policy).count(item.type, [("_id", item.id)]) == 1
    )


async def _ask(tx: Repository, one: Subscription) -> None:
    if one.delivered < one.events:
        await queue(tx, one.id, NOTIFY)
    elif one.asked["heartbeat_s"] and not one.queued:
        due = one.told_at + timedelta(seconds=one.asked["heartbeat_s"])
        if due <= tx.clock.now():
            await queue(tx, one.id, HEARTBEAT)


async def show_status(store: Store, tenant: UUID, id: str, status: str, fault: str = "") -> None:
    """Let the Subscription resource say what its row says."""

    def change(resource: JsonObject) -> JsonObject:
        kept = {k: v for k, v in resource.items() if k != "error"}
        return {**kept, "status": status, **({"error": fault} if fault else {})}

    try:
        stored = await store.system_repo(tenant).read("Subscription", id)
        if stored.data.get("status") != status or stored.data.get("error", "") != fault:
            await store.system_repo(tenant).patch("Subscription", id, change)
    except (NotFound, Deleted):
        return


async def _row(store: Store, tenant: UUID, payload: JsonObject) -> Subscription | None:
    async with store.system_repo(tenant).transaction() as tx:
        return await read_subscription(tx, str(payload["subscription"]))


async def _shake(store: Store, tenant: UUID, payload: JsonObject) -> None:
    """Handler: the receiver is asked whether it is there; then the subscription is active."""
    one = await _row(store, tenant, payload)
    if one is None or one.shaken or one.status not in ("requested", "error"):
        return
    await _send(store, tenant, one, "handshake", [])


async def _beat(store: Store, tenant: UUID, payload: JsonObject) -> None:
    """Handler: a sign of life when there was nothing to tell."""
    one = await _row(store, tenant, payload)
    if one is None or not one.shaken or one.status == "off":
        return
    await _send(store, tenant, one, "heartbeat", [])
    await _notify(store, tenant, payload)  # what came meanwhile, and the end of this delivery


async def _notify(store: Store, tenant: UUID, payload: JsonObject) -> None:
    """Handler: all events that were not taken yet, in order, a message of at most ``max-count`` after the other."""
    while True:
        one = await _row(store, tenant, payload)
        if one is None:
            return
        if one.status == "off" or one.delivered >= one.events:
            if await _rest(store, tenant, one.id):
                return
            continue
        fault, machine = await _standing(store, tenant, one)
        if fault or machine is None:
            await _end(store, tenant, one.id, fault)
            return
        async with store.system_repo(tenant).transaction() as tx:
            events = await events_of(tx, one.id, one.delivered + 1, one.events, one.asked["most"])
        listed = await told(store.repo(machine.ctx, machine.policy), events, one.asked["content"])
        await _send(store, tenant, one, "event-notification", listed)


async def _rest(store: Store, tenant: UUID, id: str) -> bool:
    async with store.system_repo(tenant).transaction() as tx:
        found = await read_subscription(tx, id)
        return found is None or await rest(tx, id)


async def _end(store: Store, tenant: UUID, id: str, fault: str) -> None:
    async with store.system_repo(tenant).transaction() as tx:
        await set_status(tx, id, "off", fault)
    await show_status(store, tenant, id, "off", fault)


async def _send(store: Store, tenant: UUID, one: Subscription, kind: str, events: list[Told]) -> None:
    """One message; what becomes of it is kept. Raises: ``NeighbourFailed`` when it should be tried again."""
    code = next(t.code for t in await store.tenants() if t.id == tenant)
    at = fhir_instant(store.clock.now())
    status = "requested" if kind == "handshake" else "active"
    message = notification(fhir_base(store.settings, code), one, kind, status, at, events)
    asked = one.asked
    body = to_xml(message) if asked["media_type"].endswith("xml") else dumps(message)
    try:
        await call(store.settings, asked["endpoint"], body, asked["media_type"], asked["timeout_s"])
    except (NeighbourFailed, InvalidInput) as error:
        await _missed(store, tenant, one, error)
        return
    async with store.system_repo(tenant).transaction() as tx:
        number = events[-1].event.number if events else one.delivered
        await taken(tx, one.id, number, shook=kind == "handshake")
    if one.status != "active":
        await show_status(store, tenant, one.id, "active")


async def _missed(store: Store, tenant: UUID, one: Subscription, error: BenhanError) -> None:
    """An attempt failed: counted, shown, and raised again until it has failed too often."""
    if isinstance(error, InvalidInput) or one.failures + 1 >= LAST:
        await _end(store, tenant, one.id, error.text)
        return
    async with store.system_repo(tenant).transaction() as tx:
        await failed(tx, one.id, error.text, PATIENCE)
    if one.failures + 1 == PATIENCE:
        await show_status(store, tenant, one.id, "error", error.text)
    raise error
