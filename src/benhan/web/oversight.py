"""How the province stands, for the Department of Health: figures by facility, down to a record's status, never its content."""

from __future__ import annotations

from uuid import UUID

from starlette.responses import Response
from starlette.routing import Route

from benhan import oversight
from benhan.base.errors import NotFound
from benhan.web import rail
from benhan.web.frame import Visit, page

FIGURES = ("opened", "signed", "closed", "sent", "refused", "waiting")


@page("oversight.read")
async def dashboard(visit: Visit) -> Response:
    """All facilities; the page asks for fresh figures every few seconds."""
    board = await oversight.dashboard(visit.repo)
    return visit.draw("oversight.html", board=board, figures=FIGURES, **await rail.around(visit))


@page("oversight.read")
async def facility(visit: Visit) -> Response:
    """Records of one facility: number, state, claim."""
    try:
        facility_id = UUID(visit.path("facility"))
    except ValueError:
        raise NotFound("web.no-such-facility", "Không có cơ sở này.") from None
    board = await oversight.dashboard(visit.repo)
    line = next((entry for entry in board.lines if entry.id == facility_id), None)
    if line is None:
        raise NotFound("web.no-such-facility", "Không có cơ sở này.")
    rows = await oversight.drill_down(visit.repo, facility_id)
    return visit.draw("oversight_facility.html", line=line, rows=rows, **await rail.around(visit))


ROUTES = [
    Route("/so-y-te", dashboard, methods=["GET"]),
    Route("/so-y-te/{facility}", facility, methods=["GET"]),
]
