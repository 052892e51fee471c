"""Results nobody has seen yet: the doctor's inbox, critical ones first, acknowledged one by one or ticked together."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from benhan import records
from benhan.base.errors import BenhanError, InvalidInput, Issue
from benhan.web import plots, rail
from benhan.web.frame import Visit, attempt, page


@page("result.read")
async def unread_page(visit: Visit) -> Response:
    """The inbox."""
    return await _unread_page(visit)


async def _unread_page(visit: Visit, **context: Any) -> Response:
    found = await rail.unread_results(visit)
    rows = [(row, plots.range_text(row.low, row.high)) for row in found.rows]
    frame = await rail.around(visit)
    return visit.draw("unread.html", **{**frame, "rows": rows, "more": found.more, **context})


@page("order.write")
async def acknowledge(visit: Visit) -> Response:
    """Acknowledge the one whose button was pressed, or all ticked; each shows its fault when it is refused."""
    return await attempt(visit, _acknowledge(visit), _unread_page)


async def _acknowledge(visit: Visit) -> Response:
    one = visit.text("mot")
    chosen = [one] if one else [str(v) for v in visit.form.getlist("xem")]
    if not chosen:
        text = "Đánh dấu kết quả đã xem."
        raise InvalidInput("web.nothing-ticked", text, issues=[Issue("web.nothing-ticked", text, "xem")])
    issues: list[Issue] = []
    for value in chosen:
        report_id, _, version = value.partition(":")
        try:
            note = visit.text(f"note-{report_id}")
            number = int(version) if version.isdigit() else 0
            await records.acknowledge_result(visit.repo, report_id, number, note, authorize=visit.authorize)
        except BenhanError as refused:
            if not one and len(chosen) == 1:
                raise
            issues += [Issue(i.code, i.text, f"note-{report_id}") for i in refused.issues]
    if issues:
        return await _unread_page(visit, status=422, issues=issues, typed=visit.typed())
    return visit.go("/viec/ket-qua", "da-xem")


ROUTES = [
    Route("/viec/ket-qua", unread_page),
    Route("/viec/ket-qua", acknowledge, methods=["POST"]),
]
