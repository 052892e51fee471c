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
from benhan.records import case, form_of
from benhan.web import show
from benhan.web.frame import Visit, page
from benhan.web.record import DRAFT_SINCE, draft_key, is_closed, require_write

MAX_PATCHES, MAX_FIELD, MAX_VALUE = 500, 200, 100_000


@page("record.read")
async def patch(visit: Visit) -> Response:
    """Take patches ``{"patches": [{"field", "value", "at", "seq"}]}``; answer when they are durable."""
    response_id = visit.path("response")
    body = loads_object(await visit.request.body())
    patches = body.get("patches")
    if not isinstance(patches, list) or len(patches) > MAX_PATCHES:
        raise InvalidInput("web.bad-draft", "Nội dung tự lưu không đọc được.")
    stored = await visit.repo.read("QuestionnaireResponse", response_id)
    here = await case(visit.repo, stored.data["encounter"]["reference"].split("/")[1])
    require_write(visit, form_of(stored.data), here.khoa)
    if is_closed(here):
        raise InvalidInput("web.draft-closed", "Hồ sơ đã đóng, không ghi thêm được.")
    async with visit.repo.transaction() as tx:
        for entry in patches:
            field, value, at, seq = read_patch(entry)
            await visit.store.drafts.put(tx, draft_key(response_id), field, value, at, seq)
        if patches and isinstance(body.get("version"), int):
            since = str(body["version"])  # the first one stays: sequence 0 replaces nothing
            await visit.store.drafts.put(tx, draft_key(response_id), DRAFT_SINCE, since, visit.now, 0)
    return JSONResponse({"saved": show.clock_time(visit.now), "taken": len(patches)})


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


ROUTES = [Route("/giay/{response}/nhap", patch, methods=["POST"])]
