"""Whose duty a signature is: send a paper back, send it again, sign for another between two days, who owes what."""

from __future__ import annotations

from datetime import timedelta
from functools import cache
from typing import Any
from uuid import UUID

from starlette.responses import Response
from starlette.routing import Route

from benhan import records
from benhan.access import list_accounts
from benhan.base.errors import InvalidInput, Issue, NotFound
from benhan.catalogue import facility_setting
from benhan.forms import catalogue
from benhan.records import Staff
from benhan.web import rail, show
from benhan.web.frame import Visit, attempt, page
from benhan.web.signing import paper_page_to_sign

#: one tick for all records of the circular: their covers are signed by the same people
ALL_RECORDS = "BV1"
DUTIES = {"form.sign_head": "truong_khoa", "form.sign_director": "lanh_dao"}


@cache
def forms_of(permission: str) -> tuple[tuple[str, str], ...]:
    """Papers with a place of this duty: code and title; all records stand as one."""
    found: dict[str, str] = {}
    for form in catalogue().all():
        if any(p.permission == permission for p in form.signatures):
            if form.code.endswith("/BV1"):
                found[ALL_RECORDS] = "Bệnh án các chuyên khoa (01/BV1 – 29/BV1)"
            else:
                found[form.code] = form.title.capitalize()
    return tuple(sorted(found.items(), key=lambda f: (f[0] != ALL_RECORDS, f[1])))


def codes_of(permission: str, ticked: list[str]) -> list[str]:
    """Codes of forms behind the ticks."""
    codes = [c for c, _ in forms_of(permission) if c in ticked and c != ALL_RECORDS]
    if ALL_RECORDS in ticked:
        codes += [
            f.code
            for f in catalogue().all()
            if f.code.endswith("/BV1") and any(p.permission == permission for p in f.signatures)
        ]
    return codes


@page("form.sign")
async def send_back(visit: Visit) -> Response:
    """Send a paper that waits for my signature back to its author."""
    return await attempt(visit, _send_back(visit), paper_page_to_sign)


async def _send_back(visit: Visit) -> Response:
    reason = visit.text("return_reason")
    if not reason:
        text = "Ghi lý do trả lại."
        raise InvalidInput("web.no-reason", text, issues=[Issue("web.no-reason", text, "return_reason")])
    await records.return_paper(
        visit.repo, visit.path("response"), await visit.staff(), reason, authorize=visit.authorize
    )
    return visit.go("/viec/ky", "da-tra-lai")


@page("record.read")
async def send_again(visit: Visit) -> Response:
    """Send a returned paper of mine again as it is, with an answer."""
    return await attempt(visit, _send_again(visit), paper_page_to_sign)


async def _send_again(visit: Visit) -> Response:
    response_id = visit.path("response")
    await records.resend_paper(visit.repo, response_id, await visit.staff(), visit.text("answer"))
    return visit.go(f"/giay/{response_id}", "da-gui-lai")


@page()
async def late(visit: Visit) -> Response:
    """Who owes which signature since when, in the head's khoa; in all of the facility for the director."""
    _require_duty(visit)
    places = list(visit.signed_in.khoa)
    everywhere = any(r.khoa is None for r in visit.signed_in.roles) or not places
    found = [
        row
        for khoa in ([None] if everywhere else places)
        for row in await records.late_signatures(visit.repo, khoa)
    ]
    hours = float(facility_setting("late_entry_hours", rail.today(visit)))
    rows = [(r, _hours(visit, r)) for r in sorted(found, key=lambda r: r.since)]
    people: dict[str, int] = {}
    for row, waited in rows:
        if waited >= hours:
            people[row.owed_by] = people.get(row.owed_by, 0) + 1
    owing = sorted(people.items(), key=lambda p: (-p[1], p[0]))
    waiting = await records.spoken_waiting(visit.repo)
    spoken = [s for s in waiting if s.overdue and (everywhere or s.khoa in places)]
    around = await rail.around(visit)
    return visit.draw("late_signatures.html", spoken=spoken, rows=rows, limit=hours, owing=owing, **around)


def _hours(visit: Visit, row: records.LateSignature) -> int:
    return int((visit.now - row.since) / timedelta(hours=1))


def _require_duty(visit: Visit) -> None:
    if not visit.may("form.sign_director"):
        visit.require("form.sign_head")


@page()
async def delegations(visit: Visit) -> Response:
    """What I have handed on, and the form to hand on more."""
    return await _delegations(visit)


async def _delegations(visit: Visit, **context: Any) -> Response:
    _require_duty(visit)
    duties = [(p, forms_of(p)) for p in records.DELEGABLE if visit.may(p)]
    me = visit.signed_in.ctx.actor.reference
    people = [
        (a.person, a.display)
        for a in await list_accounts(visit.repo)
        if a.kind == "staff" and a.status == "active" and a.person != me
    ]
    made = [
        (d, _state(d, rail.today(visit)), _titles(d)) for d in await records.delegations_from(visit.repo, me)
    ]
    return visit.draw(
        "delegations.html",
        **{
            "duties": duties,
            "people": sorted(people, key=lambda p: p[1]),
            "khoa": list(visit.signed_in.khoa),
            "made": made,
            "ticked": visit.form.getlist("forms") if visit.form else [],
            "tomorrow": rail.today(visit),
            **await rail.around(visit),
            **context,
        },
    )


def _state(made: records.Delegation, today: Any) -> str:
    if made.ended_at is not None:
        return "ended"
    return "later" if today < made.first else "over" if today > made.last else "now"


def _titles(made: records.Delegation) -> str:
    named = dict(forms_of(made.permission))
    found = [named[c] for c in made.forms if c in named]
    if any(c.endswith("/BV1") for c in made.forms):
        found.insert(0, named.get(ALL_RECORDS, ALL_RECORDS))
    return ", ".join(found)


@page()
async def delegate(visit: Visit) -> Response:
    """Hand a duty on."""
    return await attempt(visit, _delegate(visit), _delegations)


async def _delegate(visit: Visit) -> Response:
    permission, taker = visit.text("permission"), visit.text("taker")
    if permission not in DUTIES:
        raise InvalidInput("web.no-such-act", "Không có bước này.")
    named = next((a for a in await list_accounts(visit.repo) if a.person == taker), None)
    if named is None:
        text = "Chọn người ký thay."
        raise InvalidInput("web.no-taker", text, issues=[Issue("web.no-taker", text, "taker")])
    everywhere = any(r.khoa is None and r.role == DUTIES[permission] for r in visit.signed_in.roles)
    for khoa in [None] if everywhere else list(visit.signed_in.khoa):
        if not visit.may(permission, khoa):
            continue
        await records.delegate(
            visit.repo,
            await visit.staff(),
            Staff(named.person, named.display),
            permission=permission,
            khoa=khoa,
            forms=codes_of(permission, [str(f) for f in visit.form.getlist("forms")]),
            first=show.read_day(visit.text("first"), "first"),
            last=show.read_day(visit.text("last"), "last"),
            reason=visit.text("reason"),
            authorize=visit.authorize,
        )
    return visit.go("/viec/uy-quyen", "da-uy-quyen")


@page()
async def end(visit: Visit) -> Response:
    """Take a delegation of mine back."""
    _require_duty(visit)
    try:
        made = UUID(visit.path("delegation"))
    except ValueError:
        raise NotFound("web.no-such-page", "Không có trang này.") from None
    await records.end_delegation(visit.repo, made)
    return visit.go("/viec/uy-quyen", "da-thoi-uy-quyen")


ROUTES = [
    Route("/giay/{response}/tra-lai", send_back, methods=["POST"]),
    Route("/giay/{response}/gui-lai", send_again, methods=["POST"]),
    Route("/viec/ky-tre", late, methods=["GET"]),
    Route("/viec/uy-quyen", delegations, methods=["GET"]),
    Route("/viec/uy-quyen", delegate, methods=["POST"]),
    Route("/viec/uy-quyen/{delegation}/thoi", end, methods=["POST"]),
]
