"""Records past their time of keeping: list, proposal, approval by another, destruction, certificates; legal hold."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from starlette.responses import Response
from starlette.routing import Route

from benhan import exchange, records
from benhan.base.errors import BenhanError, InvalidInput, Issue, NotFound
from benhan.web import rail
from benhan.web.closing import has_key
from benhan.web.frame import Visit, attempt, page
from benhan.web.signing import opened_signer, seal_with

ADDRESS = "/luu-tru/tieu-huy"


@page("archive.keep")
async def destruction_page(visit: Visit) -> Response:
    """What is due, what waits for a second person, what was destroyed."""
    return await _page(visit)


async def _page(visit: Visit, **context: Any) -> Response:
    repo = visit.repo
    waiting = [r for r in await records.requests(repo, kind="destroy", limit=1000) if r.decision is None]
    due = await records.due_records(repo, limit=200)
    proposed = {r.encounter_id for r in waiting}
    rows = {d.case.encounter_id: d for d in due}
    done = [
        (d, await records.case(repo, d.encounter_id), await exchange.ending_state(repo, d.encounter_id))
        for d in await records.destructions(repo, 50)
    ]
    return visit.draw(
        "destruction.html",
        **{
            **await rail.around(visit),
            "due": [d for d in due if d.case.encounter_id not in proposed],
            "waiting": [(r, rows.get(r.encounter_id)) for r in waiting],
            "stopped": await records.stopped_destructions(repo),
            "ended": done,
            "me": visit.signed_in.ctx.actor.reference,
            "may_propose": visit.may("record.close"),
            "may_decide": visit.may("record.destroy"),
            "may_hold": visit.may("record.hold"),
            "has_key": visit.may("record.destroy") and await has_key(visit),
            **context,
        },
    )


@page("record.close")
async def propose(visit: Visit) -> Response:
    """Propose the chosen records, each a request of its own."""
    return await attempt(visit, _propose(visit), _page)


async def _propose(visit: Visit) -> Response:
    chosen = [str(e) for e in visit.form.getlist("dot")]
    if not chosen:
        text = "Chọn ít nhất một hồ sơ."
        raise InvalidInput("web.nothing-chosen", text, issues=[Issue("web.nothing-chosen", text, "dot")])
    for encounter_id in chosen:
        await records.propose_destruction(
            visit.repo, encounter_id, visit.text("reason"), authorize=visit.authorize
        )
    return visit.go(ADDRESS, "da-de-nghi")


@page("record.destroy")
async def decide(visit: Visit) -> Response:
    """Approve and destroy the chosen proposals, or send them back to the archive with a reason."""
    return await attempt(visit, _decide(visit), _page)


async def _decide(visit: Visit) -> Response:
    chosen = [_uuid(str(r)) for r in visit.form.getlist("request")]
    if not chosen:
        text = "Chọn ít nhất một hồ sơ."
        raise InvalidInput("web.nothing-chosen", text, issues=[Issue("web.nothing-chosen", text, "request")])
    if visit.text("decision") != "approve":
        for request_id in chosen:
            await records.refuse_destruction(
                visit.repo, request_id, visit.text("note"), authorize=visit.authorize
            )
        return visit.go(ADDRESS, "da-tu-choi")
    if await has_key(visit):
        await opened_signer(visit)
    elif visit.text("confirm") != "1":
        text = "Đánh dấu xác nhận tiêu hủy."
        raise InvalidInput("web.confirm", text, issues=[Issue("web.confirm", text, "confirm")])
    seal, faults = await seal_with(visit), []
    for request_id in chosen:
        try:
            await records.destroy_record(visit.repo, request_id, seal, authorize=visit.authorize)
        except BenhanError as fault:
            if len(chosen) == 1:
                raise
            faults.append(fault)
    return visit.go(ADDRESS, "co-loi-tieu-huy" if faults else "da-tieu-huy")


@page("record.hold")
async def hold(visit: Visit) -> Response:
    """Hold a record on request of an authority, or release it."""
    return await attempt(visit, _hold(visit), _page)


async def _hold(visit: Visit) -> Response:
    held = visit.text("held") == "1"
    await records.set_legal_hold(
        visit.repo, visit.text("dot"), held, visit.text("reason"), authorize=visit.authorize
    )
    return visit.go(ADDRESS, "da-giu" if held else "da-thoi-giu")


@page("archive.keep")
async def certificate(visit: Visit) -> Response:
    """The signed certificate of a destruction."""
    data = await records.certificate_of(visit.repo, visit.path("encounter"), authorize=visit.authorize)
    name = f"tieu-huy-{visit.path('encounter')[:8]}.pdf"
    headers = {"Content-Disposition": f'inline; filename="{name}"'}
    return Response(data, media_type="application/pdf", headers=headers)


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise NotFound("web.no-such-page", "Không có trang này.") from None


ROUTES = [
    Route(ADDRESS, destruction_page, methods=["GET"]),
    Route(f"{ADDRESS}/de-nghi", propose, methods=["POST"]),
    Route(f"{ADDRESS}/quyet", decide, methods=["POST"]),
    Route(f"{ADDRESS}/giu", hold, methods=["POST"]),
    Route(f"{ADDRESS}/{{encounter}}/chung-nhan", certificate, methods=["GET"]),
]
