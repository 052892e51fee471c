"""Typing that is never lost: patches of single fields into the author's draft, acknowledged with the server's time.

The browser keeps every patch until it is acknowledged and sends it again when it was not; the store keeps the newest
by the browser's sequence, so sending twice changes nothing.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from benhan.base.errors import InvalidInput
from benhan.base.json_door import loads_object
from benhan.records import Case, case, form_of
from benhan.web import show, unsent
from benhan.web.frame import Visit, page
from benhan.web.record import DRAFT_SINCE, draft_key, is_closed, require_write
from benhan.web.sheets import require_line

MAX_PATCHES, MAX_FIELD, MAX_VALUE = 500, 200, 100_000


@page("record.read")
async def patch(visit: Visit) -> Response:
    """Take patches ``{"patches": [{"field", "value", "at", "seq"}]}``; answer when they are durable."""
    response_id = visit.path("response")
    body, patches = await _posted(visit)
    stored = await visit.repo.read("QuestionnaireResponse", response_id)
    here = await case(visit.repo, stored.data["encounter"]["reference"].split("/")[1])
    require_write(visit, form_of(stored.data), here.khoa)
    _require_open(here)
    async with visit.repo.transaction() as tx:
        for entry in patches:
            field, value, at, seq = read_patch(entry)
            await visit.store.drafts.put(tx, draft_key(response_id), field, value, at, seq)
        if patches and isinstance(body.get("version"), int):
            since = str(body["version"])  # the first one stays: sequence 0 replaces nothing
            await visit.store.drafts.put(tx, draft_key(response_id), DRAFT_SINCE, since, visit.now, 0)
    return JSONResponse({"saved": show.clock_time(visit.now), "taken": len(patches)})


async def _posted(visit: Visit) -> tuple[dict[str, Any], list[Any]]:
    body = loads_object(await visit.request.body())
    patches = body.get("patches")
    if not isinstance(patches, list) or len(patches) > MAX_PATCHES:
        raise InvalidInput("web.bad-draft", "Nội dung tự lưu không đọc được.")
    return body, patches


@page("record.read")
async def line_patch(visit: Visit) -> Response:
    """The same for the new line of a running sheet."""
    sheet_id = visit.path("sheet")
    stored, _ = await require_line(visit, sheet_id)
    _require_open(await case(visit.repo, stored.data["encounter"]["reference"].split("/")[1]))
    return await _keep(visit, unsent.LINE, sheet_id)


@page("record.read")
async def drug_patch(visit: Visit) -> Response:
    """The same for an order of drugs."""
    return await _order_patch(visit, "drug.prescribe", unsent.DRUGS)


@page("record.read")
async def labs_patch(visit: Visit) -> Response:
    """The same for an order of tests."""
    return await _order_patch(visit, "order.write", unsent.LABS)


async def _order_patch(visit: Visit, permission: str, what: str) -> Response:
    here = await case(visit.repo, visit.path("encounter"))
    visit.require(permission, here.khoa)
    _require_open(here)
    return await _keep(visit, what, here.encounter_id)


def _require_open(here: Case) -> None:
    if is_closed(here):
        raise InvalidInput("web.draft-closed", "Hồ sơ đã đóng, không ghi thêm được.")


async def _keep(visit: Visit, what: str, subject: str) -> Response:
    _, patches = await _posted(visit)
    read = [read_patch(entry) for entry in patches]
    async with visit.repo.transaction() as tx:
        for field, value, at, seq in read:
            await visit.store.drafts.put(tx, unsent.key(what, subject), field, value, at, seq)
    return JSONResponse({"saved": show.clock_time(visit.now), "taken": len(read)})


def read_patch(entry: Any) -> tuple[str, str, datetime, int]:
    """One patch, checked. Raises: ``InvalidInput`` (web.bad-draft)."""
    try:
        field, value, seq = entry["field"], entry["value"], entry["seq"]
        at = datetime.fromisoformat(entry["at"].replace("Z", "+00:00"))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise InvalidInput("web.bad-draft", "Nội dung tự lưu không đọc được.") from None
    good = (
        isinstance(field, str) and isinstance(value, str) and isinstance(seq, int) and at.tzinfo is not None
    )
    if not good or not 0 < len(field) <= MAX_FIELD or len(value) > MAX_VALUE or not 0 <= seq < 2**62:
        raise InvalidInput("web.bad-draft", "Nội dung tự lưu không đọc được.")
    return field, value, at, seq


ROUTES = [
    Route("/giay/{response}/nhap", patch, methods=["POST"]),
    Route("/to/{sheet}/nhap", line_patch, methods=["POST"]),
    Route("/dot/{encounter}/thuoc/nhap", drug_patch, methods=["POST"]),
    Route("/dot/{encounter}/xet-nghiem/nhap", labs_patch, methods=["POST"]),
]
