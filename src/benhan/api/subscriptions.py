"""Subscriptions at the door: who may have one and for what, and the operations ``$status`` and ``$events``.

Source: Subscriptions R5 Backport 1.1 for R4. The rule is a guard of the store, so that a Bundle, a patch or an import
cannot go round it: the topic is one that is shipped, the receiver one that the operator allows, the owner a registered
machine that may read the topic's type, and nobody else changes it. Making events and telling them: `notifying`.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import Response

from benhan.access import client_id_of
from benhan.api import answering, asking
from benhan.api.calling import checked_endpoint
from benhan.api.notices import CONTENTS, asked_of, notification, status_parameters, told
from benhan.api.notifying import HANDSHAKE
from benhan.api.operations import Door, Line
from benhan.api.topics import topics
from benhan.base.clock import fhir_instant
from benhan.base.errors import InvalidInput, NotAllowed, NotFound
from benhan.base.json_door import JsonObject
from benhan.jobs import (
    Subscription,
    drop_subscription,
    events_of,
    put_subscription,
    read_subscription,
    set_status,
)
from benhan.store import Action, Ctx, Repository, feed_end

_MOST = 1000


async def subscription_guard(
    tx: Repository, ctx: Ctx, action: Action, new: JsonObject | None, old: JsonObject | None
) -> None:
    """Guard of the store for Subscription; lets every other type pass.

    Raises: ``NotAllowed`` (api.subscription-owner, access.*), ``InvalidInput`` (api.subscription-*).
    """
    one = new or old or {}
    if one.get("resourceType") != "Subscription":
        return
    id = str(one["id"])
    row = await read_subscription(tx, id, lock=True)
    if ctx.actor.kind == "system":  # our own hand: the status that the row says; an administrator may delete
        if action is Action.DELETE:
            await drop_subscription(tx, id)
        elif row is None:
            raise _not_owner()
        return
    if ctx.actor.kind != "machine" or (row is not None and row.owner != client_id_of(ctx)):
        raise _not_owner()
    if new is None:
        await drop_subscription(tx, id)
    else:
        await _accept(tx, ctx, id, new, row)


async def _accept(tx: Repository, ctx: Ctx, id: str, new: JsonObject, row: Subscription | None) -> None:
    asked = asked_of(new)
    checked_endpoint(tx.store.settings, asked["endpoint"], "Subscription.channel.endpoint")
    tx.policy.check(ctx, Action.READ, topics()[asked["topic"]].resource, None)
    status = new.get("status")
    if row is not None and row.status == status and row.asked == asked:
        return  # a change of what is told about it, not of what it does
    if status == "off" and row is not None:
        await set_status(tx, id, "off")
        return
    if status != "requested":
        raise InvalidInput(
            "api.subscription-status",
            "Người đăng ký chỉ đặt trạng thái requested (bắt đầu) hoặc off (dừng).",
            expression="Subscription.status",
        )
    fresh = row is None or (row.status == "off" and not row.fault)
    await put_subscription(tx, id, client_id_of(ctx), asked, await feed_end(tx), fresh=fresh)
    await tx.outbox(HANDSHAKE, f"{id}/{uuid4()}", {"subscription": id})


def _not_owner() -> NotAllowed:
    return NotAllowed(
        "api.subscription-owner",
        "Chỉ máy kết nối đã đăng ký được tạo, và chỉ máy đã tạo được đổi đăng ký này.",
    )


def subscription_lines(door: Door) -> list[Line]:
    """Routes of the operations."""
    desk = Subscriptions(door)
    return [
        ("/{facility}/Subscription/$status", "GET", desk.all_status),
        ("/{facility}/Subscription/{id}/$status", "GET", desk.status),
        ("/{facility}/Subscription/{id}/$events", "GET", desk.events),
    ]


@dataclass(frozen=True, slots=True)
class Subscriptions:
    """Each function is one operation; each shows a caller the own subscriptions only."""

    door: Door

    async def status(self, request: Request) -> Response:
        """``$status`` of one."""
        repo = await self.door.repo(request)
        asking.wanted(request)
        return self._answer(request, [await _own(repo, asking.resource_id(request))])

    async def all_status(self, request: Request) -> Response:
        """``$status`` of those named by ``id`` (several), narrowed by ``status``."""
        repo = await self.door.repo(request)
        asking.wanted(request)
        repo.policy.check(repo.ctx, Action.READ, "Subscription", None)
        params = asking.query_pairs(request)
        if strange := sorted({name for name, _ in params} - {"id", "status"}):
            raise InvalidInput("api.bad-query", "Có tham số không hiểu.", expression=strange[0][:40])
        ids = [one for name, value in params if name == "id" for one in value.split(",") if one]
        states = {one for name, value in params if name == "status" for one in value.split(",") if one}
        found: list[Subscription] = []
        for id in dict.fromkeys(ids[:100]):
            try:
                found.append(await _own(repo, id))
            except NotFound:
                continue
        return self._answer(request, [one for one in found if not states or one.status in states])

    def _answer(self, request: Request, found: list[Subscription]) -> Response:
        base = self.door.base(request)
        entries = []
        for one in found:
            resource = status_parameters(base, one, "query-status", one.status)
            entries.append(
                {
                    "fullUrl": f"urn:uuid:{resource['id']}",
                    "resource": resource,
                    "search": {"mode": "match"},
                }
            )
        query = [(k, v) for k, v in asking.query_pairs(request)]
        path = (
            f"Subscription/{request.path_params['id']}/$status"
            if "id" in request.path_params
            else ("Subscription/$status")
        )
        links = [("self", answering.link(base, path, query))]
        return answering.bundle_response(request, "searchset", entries, links, len(entries))

    async def events(self, request: Request) -> Response:
        """``$events``: what was told or waits, by number (``eventsSinceNumber``, ``eventsUntilNumber``, ``content``).

        Raises: ``InvalidInput`` (api.bad-query), ``NotFound``.
        """
        repo = await self.door.repo(request)
        asking.wanted(request)
        one = await _own(repo, asking.resource_id(request))
        params = dict(asking.query_pairs(request))
        first = asking.whole_number(params, "eventsSinceNumber", 0)
        last = asking.whole_number(params, "eventsUntilNumber", one.events)
        content = params.get("content", str(one.asked["content"]))
        known = {"eventsSinceNumber", "eventsUntilNumber", "content"}
        if content not in CONTENTS or set(params) - known:
            raise InvalidInput("api.bad-query", "Có tham số không hiểu.", expression="content")
        async with repo.transaction() as tx:
            listed = await events_of(tx, one.id, first, last, _MOST)
        at = fhir_instant(repo.clock.now())
        shown = await told(repo, listed, content)
        bundle = notification(self.door.base(request), one, "query-event", one.status, at, shown)
        return answering.resource_response(request, bundle)


async def _own(repo: Repository, id: str) -> Subscription:
    """The caller's own subscription. Raises: ``NotAllowed``, ``NotFound`` (api.no-such-resource)."""
    repo.policy.check(repo.ctx, Action.READ, "Subscription", None)
    async with repo.transaction() as tx:
        row = await read_subscription(tx, id)
    if row is None or row.owner != client_id_of(repo.ctx):
        raise NotFound("api.no-such-resource", "Không có tài liệu này.")
    return row
