"""The public page where anybody asks whether a printed code is true. Nothing of the patient is told; guesses are slowed."""

from __future__ import annotations

from collections import deque

from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from benhan import records
from benhan.base.errors import TooMany
from benhan.web.frame import Visit, page

WINDOW_S, MOST = 60.0, 20
MOST_ALL = 600
_asked: dict[str, deque[float]] = {}


def slow_down(source: str, now: float) -> None:
    """Count a question of a source. Raises: ``TooMany`` (web.too-many-codes) above 20 a minute, 600 of all sources."""
    if len(_asked) > 10_000:
        _asked.clear()
    for key, most in ((source, MOST), ("", MOST_ALL)):
        times = _asked.setdefault(key, deque())
        while times and not 0 <= now - times[0] < WINDOW_S:
            times.popleft()
        if len(times) >= most:
            raise TooMany("web.too-many-codes", "Tra cứu quá nhiều lần. Chờ một phút rồi thử lại.")
        times.append(now)


@page(open_to_all=True)
async def code_page(visit: Visit) -> Response:
    """The form, and for a code its answer."""
    code = visit.request.path_params.get("code", "")
    asked = visit.request.query_params.get("ma", "").strip()
    if asked and not code:
        return RedirectResponse(f"/tra-cuu/{''.join(c for c in asked if c.isalnum() or c == '-')[:40]}", 303)
    answer = None
    if code:
        client = visit.request.client
        slow_down(client.host if client else "?", visit.now.timestamp())
        answer = await records.verify_code(visit.store, code)
    act = records.act_title(answer.act) if answer else ""
    return visit.draw("verify_code.html", code=code[:40].upper(), answer=answer, act=act)


ROUTES = [
    Route("/tra-cuu", code_page, methods=["GET"]),
    Route("/tra-cuu/{code}", code_page, methods=["GET"]),
]
