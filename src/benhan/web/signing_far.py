"""Signing with a key that is elsewhere: a remote service, or the token at the signer's own computer.

What is to be signed is prepared first and kept. A remote service gets all hashes with one PIN; for a token the page asks
benhan-agent on the same computer (the PIN goes there and nowhere else) and posts the values back. A stop in between loses
nothing: the same page goes on, or gives up.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from benhan import records
from benhan.base.errors import BenhanError, InvalidInput, Issue
from benhan.base.json_door import loads_object
from benhan.records import SignWith
from benhan.signing import (
    CscSigner,
    Holder,
    Prepared,
    distant,
    finished,
    holder_of,
    remote_signer,
    time_stamper,
)
from benhan.web.frame import Visit, attempt, page

#: kinds of keys that sign in two phases
FAR = ("csc", "agent")
MOST_VALUE = 20_000
_running: set[asyncio.Task[Any]] = set()


def posted_pin(visit: Visit) -> str:
    """The PIN of the form. Raises: ``InvalidInput`` (web.no-pin)."""
    pin = str(visit.form.get("pin", ""))
    if not pin:
        text = "Ghi PIN ký."
        raise InvalidInput("web.no-pin", text, issues=[Issue("web.no-pin", text, "pin")])
    return pin


async def key_kind(visit: Visit) -> str:
    """Where this person's key is (software, pkcs11, csc, agent); ``""`` without a key that may sign."""
    try:
        return (await holder_of(visit.repo, visit.signed_in.ctx.actor.reference)).kind
    except BenhanError:
        return ""


async def sign_far(visit: Visit, chosen: Sequence[records.Chosen]) -> str:
    """Begin a batch whose key is elsewhere; gives the address of its page."""
    return await start_far(visit, (await records.begin_batch(visit.repo, chosen)).id)


async def start_far(visit: Visit, batch_id: UUID) -> str:
    """Prepare what waits in a batch; a remote service is asked at once, with the posted PIN. Gives the batch's address."""
    held = await holder_of(visit.repo, visit.signed_in.ctx.actor.reference)
    remote = await remote_signer(visit.repo, held, posted_pin(visit)) if held.kind == "csc" else None
    task = asyncio.create_task(_prepare(visit, batch_id, held, remote), name=f"prepare {batch_id}")
    _running.add(task)
    task.add_done_callback(_ended)
    return f"/viec/ky/lan/{batch_id}"


def _ended(task: asyncio.Task[Any]) -> None:
    _running.discard(task)
    if not task.cancelled():
        task.exception()  # noted in the batch already


async def _prepare(visit: Visit, batch_id: UUID, held: Holder, remote: CscSigner | None) -> None:
    staff, tsa = await visit.staff(), time_stamper(visit.settings)

    def in_role(role: str) -> SignWith:
        return SignWith(distant(held), staff, role, tsa)

    ready = await records.prepare_batch(
        visit.repo, batch_id, in_role, authorize=visit.authorize, goes_on=remote is not None
    )
    if remote is None or not ready:
        return
    try:
        made = await remote.sign_many([one.prepared for one in ready])
    except BenhanError as refused:
        await records.beat(visit.repo, batch_id, refused.text)
        return
    values = {one.seq: value for one, value in zip(ready, made, strict=True)}
    await _finish(visit, batch_id, held, values)


async def _finish(visit: Visit, batch_id: UUID, held: Holder, values: dict[int, bytes]) -> None:
    staff, tsa = await visit.staff(), time_stamper(visit.settings)

    def with_value(role: str, prepared: Prepared, value: bytes) -> SignWith:
        return SignWith(finished(held, prepared, value), staff, role, tsa)

    await records.finish_batch(visit.repo, batch_id, values, with_value, authorize=visit.authorize)


@page("form.sign")
async def to_be_signed(visit: Visit) -> Response:
    """``{"pieces": [base64], "hashes": [hex], "seqs": [int]}`` of what waits for the token."""
    ready = await records.prepared_of(visit.repo, batch_of(visit))
    return JSONResponse(
        {
            "pieces": [base64.b64encode(one.prepared.to_be_signed).decode() for one in ready],
            "hashes": [one.prepared.digest for one in ready],
            "seqs": [one.seq for one in ready],
        }
    )


@page("form.sign")
async def values(visit: Visit) -> Response:
    """Take the values the token has made: ``{"signatures": {seq: base64}}``."""
    held = await holder_of(visit.repo, visit.signed_in.ctx.actor.reference)
    await _finish(visit, batch_of(visit), held, _values(await visit.request.body()))
    return JSONResponse({"taken": True})


def _values(body: bytes) -> dict[int, bytes]:
    given = loads_object(body).get("signatures")
    try:
        if not isinstance(given, dict) or len(given) > records.MOST_SIGNED:
            raise ValueError
        made = {int(seq): base64.b64decode(value, validate=True) for seq, value in given.items()}
        if any(len(value) > MOST_VALUE for value in made.values()):
            raise ValueError
    except (ValueError, TypeError, binascii.Error):
        raise InvalidInput("web.bad-values", "Chữ ký gửi về không đúng dạng.") from None
    return made


@page("form.sign")
async def give_up(visit: Visit) -> Response:
    """Sign the rest no more."""

    async def again(visit: Visit, **_: Any) -> Response:
        return visit.go(f"/viec/ky/lan/{batch_of(visit)}")

    async def act() -> Response:
        await records.give_up_batch(visit.repo, batch_of(visit))
        return visit.go("/viec/ky")

    return await attempt(visit, act(), again)


def batch_of(visit: Visit) -> UUID:
    """The batch of the address. Raises: ``InvalidInput`` (web.no-such-act)."""
    try:
        return UUID(visit.path("batch"))
    except ValueError:
        raise InvalidInput("web.no-such-act", "Không có bước này.") from None


ROUTES = [
    Route("/viec/ky/lan/{batch}/can-ky", to_be_signed, methods=["GET"]),
    Route("/viec/ky/lan/{batch}/chu-ky", values, methods=["POST"]),
    Route("/viec/ky/lan/{batch}/thoi", give_up, methods=["POST"]),
]
