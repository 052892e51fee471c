"""Referral pages: send from the signed slip, the two work lists, one referral with its steps and the person's papers."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from starlette.responses import Response
from starlette.routing import Route

from benhan import exchange, records
from benhan.base.errors import BenhanError, InvalidInput, NotFound
from benhan.web import rail
from benhan.web.frame import Visit, attempt, page
from benhan.web.history import facility_title, requester
from benhan.web.i18n import N_

#: state → words that are true, and the look of the tag.
STATES = {
    "sent": (N_("đã gửi, nơi nhận chưa xem"), "warn"),
    "seen": (N_("nơi nhận đã xem, chưa trả lời"), "warn"),
    "accepted": (N_("nhận, chờ người bệnh đến"), "ok"),
    "refused": (N_("từ chối"), "bad"),
    "arrived": (N_("người bệnh đã đến, đang điều trị"), "ok"),
    "treated": (N_("đã phản hồi, nơi gửi chưa đọc"), "warn"),
    "closed": (N_("xong"), ""),
    "refusal-read": (N_("bị từ chối, nơi gửi đã biết"), ""),
}
EVENTS = {
    "send": N_("Gửi phiếu chuyển"),
    "see": N_("Đã xem"),
    "accept": N_("Nhận người bệnh"),
    "refuse": N_("Từ chối"),
    "arrive": N_("Người bệnh đã đến"),
    "reply": N_("Phản hồi kết quả"),
    "read": N_("Đã đọc"),
}


async def own_code(visit: Visit) -> str:
    """MA_CSKCB of the facility the person works in."""
    return next(t.code for t in await visit.store.tenants() if t.id == visit.signed_in.ctx.tenant)


async def _list(visit: Visit, side: str) -> Response:
    code = await own_code(visit)
    found = await (
        exchange.referrals(visit.repo, sender=code)
        if side == "sender"
        else exchange.referrals(visit.repo, receiver=code)
    )
    open_ones = [r for r in found if r.state not in ("closed", "refusal-read")]
    return visit.draw(
        "referrals.html",
        **await rail.around(visit),
        side=side,
        rows=[(r, r.overdue(visit.now)) for r in found],
        count=len(open_ones),
        states=STATES,
        facility_title=facility_title,
    )


@page("exchange.read")
async def outgoing(visit: Visit) -> Response:
    """Work list *Chuyển đi*."""
    return await _list(visit, "sender")


@page("exchange.read")
async def incoming(visit: Visit) -> Response:
    """Work list *Chuyển đến*."""
    return await _list(visit, "receiver")


@page("exchange.read")
async def one(visit: Visit) -> Response:
    """One referral: the person, the reasons, the steps with names and clocks, what may be done now."""
    return await _one(visit)


async def _one(visit: Visit, **context: Any) -> Response:
    here = await exchange.referral(visit.repo, _id(visit))
    side = here.side(await own_code(visit))
    shown: dict[str, Any] = {
        "here": here,
        "side": side,
        "patient": here.request["patient"],
        "asked": here.request["request"],
        "steps": await exchange.referral_steps(visit.repo, here.id),
        "events": exchange.possible(here.state, side) if visit.may("exchange.refer") else [],
        "titles": EVENTS,
        "states": STATES,
        "late": here.overdue(visit.now),
        "items": None,
        "away": None,
        "facility_title": facility_title,
    }
    return visit.draw("referral.html", **{**await rail.around(visit), **shown, **context})


def _id(visit: Visit) -> UUID:
    try:
        return UUID(visit.path("referral"))
    except ValueError:
        raise NotFound("exchange.no-referral", "Không có phiếu chuyển này.") from None


@page("exchange.refer")
async def step(visit: Visit) -> Response:
    """Do a step; the page says so when the referral has moved on meanwhile."""
    return await attempt(visit, _step(visit), _one)


async def _step(visit: Visit) -> Response:
    referral_id, seen = _id(visit), visit.text("seen")
    if not seen.isdigit():
        raise InvalidInput("web.old-page", "Trang đã cũ; tải lại trang rồi làm lại.")
    code, event = await own_code(visit), visit.text("event")
    await exchange.act(visit.repo, code, referral_id, event, visit.text("note"), seen=int(seen))
    return visit.go(f"/chuyen/{referral_id}", "da-ghi-buoc")


@page("exchange.read")
async def papers(visit: Visit) -> Response:
    """Ask the hub for the person's papers, by the right the referral gives."""
    try:
        items = await exchange.referral_papers(visit.repo, _id(visit), requester(visit))
    except BenhanError as answer:
        return await _one(visit, away=answer)
    return await _one(visit, items=items)


@page("exchange.read")
async def paper(visit: Visit) -> Response:
    """One paper of another facility; shown, not kept here."""
    data = await exchange.referral_paper(visit.repo, _id(visit), visit.path("sha256"), requester(visit))
    pdf = data.startswith(b"%PDF")
    headers = {
        "Content-Disposition": f'{"inline" if pdf else "attachment"}; filename="{visit.path("sha256")[:16]}"'
    }
    return Response(
        data, media_type="application/pdf" if pdf else "application/octet-stream", headers=headers
    )


@page("exchange.refer")
async def send_page(visit: Visit) -> Response:
    """Send from the signed slip of the đợt; what was sent before."""
    return await _send_page(visit)


async def _send_page(visit: Visit, **context: Any) -> Response:
    encounter_id = visit.path("encounter")
    frame = await rail.about_case(visit, encounter_id, "chuyen-di")
    slips = []
    for slip in await exchange.signed_slips(visit.repo, encounter_id):
        answers = await records.paper_answers(visit.repo, slip.response.id)
        slips.append((slip, (answers.get("ma_noi_den") or {}).get("code", "")))
    shown = {
        "slips": slips,
        "before": await exchange.referrals(visit.repo, encounter_id=encounter_id),
        "states": STATES,
        "facility_title": facility_title,
    }
    return visit.draw("refer.html", **{**frame, **shown, **context})


@page("exchange.refer")
async def send(visit: Visit) -> Response:
    """Send the referral."""
    return await attempt(visit, _send(visit), _send_page)


async def _send(visit: Visit) -> Response:
    encounter_id = visit.path("encounter")
    visit.require("exchange.refer", (await records.case(visit.repo, encounter_id)).khoa)
    made = await exchange.refer(
        visit.repo,
        await own_code(visit),
        encounter_id,
        visit.text("slip"),
        year=visit.text("year") == "1",
        urgent=visit.text("urgent") == "1",
    )
    return visit.go(f"/chuyen/{made.id}", "da-gui-chuyen")


ROUTES = [
    Route("/chuyen-di", outgoing, methods=["GET"]),
    Route("/chuyen-den", incoming, methods=["GET"]),
    Route("/chuyen/{referral}", one, methods=["GET"]),
    Route("/chuyen/{referral}", step, methods=["POST"]),
    Route("/chuyen/{referral}/tai-lieu", papers, methods=["POST"]),
    Route("/chuyen/{referral}/tai-lieu/{sha256}", paper, methods=["GET"]),
    Route("/dot/{encounter}/chuyen-di", send_page, methods=["GET"]),
    Route("/dot/{encounter}/chuyen-di", send, methods=["POST"]),
]
