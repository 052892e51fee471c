"""Giving copies of a record away: request, approval, the marked copy, the log; as Điều 69 allows."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from starlette.responses import Response
from starlette.routing import Route

from benhan import records
from benhan.base.errors import InvalidInput, Issue, NotFound
from benhan.web import rail
from benhan.web.frame import Visit, attempt, page


@page()
async def release_page(visit: Visit) -> Response:
    """What may be given to whom now, what was asked, what was given."""
    return await _release_page(visit)


async def _release_page(visit: Visit, **context: Any) -> Response:
    if not visit.may("record.export"):
        visit.require("record.release")
    encounter_id = visit.path("encounter")
    frame = await rail.about_case(visit, encounter_id, "trich-sao")
    case: records.Case = frame["case"]
    wishes = await records.requests(visit.repo, encounter_id=encounter_id, kind="release")
    view = await records.binder(visit.repo, encounter_id) if visit.may("record.read") else None
    people = [(r, records.may_have(r.code, case.state)) for r in records.requesters()]
    return visit.draw(
        "release.html",
        **{
            **frame,
            "people": people,
            "acts": {a: records.act_title(a) for a in ("read", "copy", "summary")},
            "titles": {r.code: r.title for r, _ in people},
            "parts": view.parts if view else [],
            "waiting": [w for w in wishes if w.decision is None],
            "granted": [w for w in wishes if w.decision == "approved" and w.used_at is None],
            "made": await records.releases(visit.repo, encounter_id),
            "may_ask": visit.may("record.export", case.khoa),
            "may_decide": visit.may("record.release", case.khoa),
            "me": visit.signed_in.ctx.actor.reference,
            **context,
        },
    )


@page("record.export")
async def ask(visit: Visit) -> Response:
    """Put a request for somebody."""
    return await attempt(visit, _ask(visit), _release_page)


async def _ask(visit: Visit) -> Response:
    encounter_id = visit.path("encounter")
    days = visit.text("days")
    if not days.isdigit():
        text = "Ghi số ngày."
        raise InvalidInput("web.bad-number", text, issues=[Issue("web.bad-number", text, "days")])
    given = records.ReleaseInput(
        requester=visit.text("requester"),
        name=visit.text("name"),
        act=visit.text("act"),
        purpose=visit.text("purpose"),
        document=visit.text("document"),
        papers=tuple(str(p) for p in visit.form.getlist("papers")),
        days=int(days),
    )
    await records.ask_release(visit.repo, encounter_id, given, authorize=visit.authorize)
    return visit.go(f"/dot/{encounter_id}/trich-sao", "da-de-nghi")


@page("record.release")
async def decide(visit: Visit) -> Response:
    """Grant or refuse."""
    return await attempt(visit, _decide(visit), _release_page)


async def _decide(visit: Visit) -> Response:
    approved = visit.text("decision") == "approve"
    await records.decide(
        visit.repo, _uuid(visit.text("request")), approved, authorize=visit.authorize, note=visit.text("note")
    )
    done = "da-duyet" if approved else "da-tu-choi"
    return visit.go(f"/dot/{visit.path('encounter')}/trich-sao", done)


@page("record.export")
async def make(visit: Visit) -> Response:
    """Make the marked copy of a granted request."""
    return await attempt(visit, _make(visit), _release_page)


async def _make(visit: Visit) -> Response:
    await records.make_release(visit.repo, _uuid(visit.text("request")), authorize=visit.authorize)
    return visit.go(f"/dot/{visit.path('encounter')}/trich-sao", "da-lap-ban-sao")


@page("record.export")
async def file(visit: Visit) -> Response:
    """The marked copy, for printing; named by its code."""
    release_id = _uuid(visit.path("release"))
    data = await records.release_file(visit.repo, release_id, authorize=visit.authorize)
    name = f"ban-sao-{str(release_id)[:8]}.pdf"
    headers = {"Content-Disposition": f'inline; filename="{name}"'}
    return Response(data, media_type="application/pdf", headers=headers)


@page("record.release")
async def withdraw(visit: Visit) -> Response:
    """Take a copy back; its code says so from now on."""
    return await attempt(visit, _withdraw(visit), _release_page)


async def _withdraw(visit: Visit) -> Response:
    release_id = _uuid(visit.path("release"))
    await records.withdraw_release(visit.repo, release_id, visit.text("reason"), authorize=visit.authorize)
    return visit.go(f"/dot/{visit.path('encounter')}/trich-sao", "da-thu-hoi")


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise NotFound("web.no-such-page", "Không có trang này.") from None


ROUTES = [
    Route("/dot/{encounter}/trich-sao", release_page, methods=["GET"]),
    Route("/dot/{encounter}/trich-sao", ask, methods=["POST"]),
    Route("/dot/{encounter}/trich-sao/quyet", decide, methods=["POST"]),
    Route("/dot/{encounter}/trich-sao/lam", make, methods=["POST"]),
    Route("/dot/{encounter}/trich-sao/{release}/tep", file, methods=["GET"]),
    Route("/dot/{encounter}/trich-sao/{release}/thu-hoi", withdraw, methods=["POST"]),
]
