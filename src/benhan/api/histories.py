"""History as a Bundle, for the address and for entries of a Bundle alike."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request

from benhan.api import answering, asking
from benhan.base.json_door import JsonObject
from benhan.store import HistoryAsked, Repository

_MOST = 200


async def history_bundle(
    request: Request,
    repo: Repository,
    base: str,
    kind: str | None,
    given: str | None,
    params: Mapping[str, str],
) -> JsonObject:
    """Versions of one resource, a type or all, the newest first: ``_since``, ``_at``, ``_count``, ``_cursor``.

    Raises: ``InvalidInput`` (api.bad-query, store.bad-cursor), ``NotAllowed``, ``NotFound``.
    """
    found = dict(params)
    since, during = asking.instants(found, "_since"), asking.instants(found, "_at")
    asked = HistoryAsked(
        kind,
        given,
        None if since is None else since[0],
        during,
        max(1, min(asking.whole_number(found, "_count", 50), _MOST)),
        found.get("_cursor"),
    )
    page = await repo.history_page(asked)
    path = "/".join(p for p in (kind, given, "_history") if p)
    kept = [(k, v) for k, v in found.items() if k != "_cursor"] + asking.door_pairs(request)
    here = [("_cursor", found["_cursor"])] if "_cursor" in found else []
    links = [("self", answering.link(base, path, kept + here))]
    if page.next:
        links.append(("next", answering.link(base, path, [*kept, ("_cursor", page.next)])))
    entries = [answering.history_entry(request, v, base) for v in page.entries]
    return answering.bundle_of("history", entries, links)
