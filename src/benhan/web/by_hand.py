"""The patient signs by hand: staff opens a link for one paper, the tablet shows it and takes the drawing, staff witnesses.

The tablet's pages need no sign-in and open nothing but that one paper: the link serves once, for minutes.
"""

from __future__ import annotations

import base64
import binascii
import io
from typing import Any
from uuid import UUID

import segno
from markupsafe import Markup
from starlette.responses import Response
from starlette.routing import Route

from benhan import records
from benhan.base.errors import InvalidInput, NotFound
from benhan.identity import name_of
from benhan.web import rail
from benhan.web.frame import PRE_COOKIE, Visit, attempt, cookie_secure, page, set_pre_cookie
from benhan.web.i18n import N_
from benhan.web.signing import sign_with

#: who may sign for a patient; the words go into the record as they stand
RELATIONS = ("", "vợ/chồng", "cha/mẹ", "con", "anh/chị/em", "người giám hộ", "người được ủy quyền")
SELF = N_("chính người bệnh")


@page("form.sign")
async def ask(visit: Visit) -> Response:
    """Open the link for a patient's place of a paper."""
    response_id = visit.path("response")

    async def again(visit: Visit, **_: Any) -> Response:
        return visit.go(f"/giay/{response_id}/ky")

    return await attempt(visit, _ask(visit), again)


async def _ask(visit: Visit) -> Response:
    response_id = visit.path("response")
    hand, token = await records.ask_hand(
        visit.repo,
        response_id,
        visit.text("role"),
        visit.text("shown"),
        await visit.staff(),
        authorize=visit.authorize,
    )
    _links[hand.id] = token
    if len(_links) > 2000:
        _links.pop(next(iter(_links)))
    return visit.go(f"/ky-tay/xem/{hand.id}")


#: tokens of links opened by this process, to show them again to whoever opened them; never stored
_links: dict[UUID, str] = {}


@page("form.sign")
async def watch(visit: Visit) -> Response:
    """Staff's side: the link, then the drawing and the PIN of the witness."""
    return await _watch(visit)


async def _watch(visit: Visit, **context: Any) -> Response:
    hand = await records.hand_of(visit.repo, _hand(visit))
    stored = await visit.repo.read("QuestionnaireResponse", hand.response_id)
    form = records.form_of(stored.data)
    frame = await rail.about_case(visit, hand.encounter_id, "benh-an")
    token = _links.get(hand.id, "") if hand.witness == visit.signed_in.ctx.actor.reference else ""
    address = f"{visit.settings.public_url or str(visit.request.base_url).rstrip('/')}/ky-tay/{token}"
    picture = base64.b64encode(await records.picture_of(visit.repo, hand)).decode() if hand.image else ""
    return visit.draw(
        "hand_watch.html",
        **{
            **frame,
            "hand": hand,
            "form_def": form,
            "place": next((p.title for p in form.signatures if p.role == hand.role), hand.role),
            "link": f"/ky-tay/{token}" if token and hand.state == "waiting" else "",
            "qr": _qr(address) if token and hand.state == "waiting" else "",
            "over": hand.state == "waiting" and visit.now >= hand.expires_at,
            "picture": picture,
            "mine": hand.witness == visit.signed_in.ctx.actor.reference,
            **context,
        },
    )


def _qr(address: str) -> Markup:
    drawn = io.BytesIO()
    segno.make(address, error="m", micro=False).save(
        drawn, kind="svg", border=2, scale=4, xmldecl=False, svgns=True
    )
    return Markup(drawn.getvalue().decode())  # noqa: S704 - made here, of an address of ours


@page("form.sign")
async def witness(visit: Visit) -> Response:
    """Witness with the PIN, or give up."""
    return await attempt(visit, _witness(visit), _watch)


async def _witness(visit: Visit) -> Response:
    hand = await records.hand_of(visit.repo, _hand(visit))
    if visit.text("viec") == "bo":
        await records.drop_hand(visit.repo, hand.id)
        return visit.go(f"/giay/{hand.response_id}/ky")
    signing = await sign_with(visit, hand.role)
    await records.witness_hand(visit.repo, hand.id, signing, authorize=visit.authorize)
    return visit.go(f"/giay/{hand.response_id}", "da-ky")


def _hand(visit: Visit) -> UUID:
    try:
        return UUID(visit.path("hand"))
    except ValueError:
        raise NotFound("records.no-such-hand", "Không có lần ký này.") from None


# ---- the tablet -------------------------------------------------------------------------------------------------


@page(open_to_all=True)
async def tablet(visit: Visit) -> Response:
    """The paper, a place to draw, and who signs."""
    return await _tablet(visit)


async def _tablet(visit: Visit, **context: Any) -> Response:
    token = visit.path("token")
    repo, hand = await records.hand_by_token(visit.store, token)
    stored = await repo.read("QuestionnaireResponse", hand.response_id)
    form = records.form_of(stored.data)
    patient = await repo.read("Patient", stored.data["subject"]["reference"].split("/")[1])
    pre = visit.request.cookies.get(PRE_COOKIE, "")
    shown = {
        "token": token,
        "hand": hand,
        "title": form.title,
        "place": next((p.title for p in form.signatures if p.role == hand.role), ""),
        "patient_name": name_of(patient.data),
        "relations": [(r, r or SELF) for r in RELATIONS],
        "done": None,
        **context,
    }
    drawn = visit.draw("hand_tablet.html", **{"csrf": visit.who.csrf if visit.who else pre, **shown})
    if visit.who is None:
        made = set_pre_cookie(visit, drawn)
        if made != pre:
            drawn = visit.draw("hand_tablet.html", **{"csrf": made, **shown})
            drawn.set_cookie(
                PRE_COOKIE, made, max_age=3600, httponly=True, samesite="strict", secure=cookie_secure(visit)
            )
    drawn.headers["Referrer-Policy"] = "no-referrer"
    return drawn


@page(open_to_all=True)
async def tablet_pdf(visit: Visit) -> Response:
    """The exact PDF that is signed."""
    repo, hand = await records.hand_by_token(visit.store, visit.path("token"))
    data = await records.shown_pdf(repo, hand.response_id, hand.shown)
    headers = {
        "Content-Disposition": f'inline; filename="xem-{hand.shown[:12]}.pdf"',
        "Referrer-Policy": "no-referrer",
    }
    framed = {"X-Frame-Options": "SAMEORIGIN", "Content-Security-Policy": "frame-ancestors 'self'"}
    return Response(data, media_type="application/pdf", headers={**headers, **framed})


@page(open_to_all=True)
async def draw(visit: Visit) -> Response:
    """Take the drawing."""
    return await attempt(visit, _draw(visit), _tablet)


async def _draw(visit: Visit) -> Response:
    token = visit.path("token")
    relation = visit.text("relation")
    if relation not in RELATIONS:
        raise InvalidInput("web.no-such-act", "Không có bước này.")
    await records.draw_hand(
        visit.store,
        token,
        _png(visit.text("drawing")),
        name=visit.text("name"),
        relation=relation,
        number=visit.text("number"),
        device=visit.request.headers.get("user-agent", ""),
    )
    return visit.draw("hand_done.html")


def _png(text: str) -> bytes:
    head = "data:image/png;base64,"
    try:
        return base64.b64decode(text.removeprefix(head), validate=True)
    except (binascii.Error, ValueError):
        return b""


ROUTES = [
    Route("/giay/{response}/ky-tay", ask, methods=["POST"]),
    Route("/ky-tay/xem/{hand}", watch, methods=["GET"]),
    Route("/ky-tay/xem/{hand}", witness, methods=["POST"]),
    Route("/ky-tay/{token}", tablet, methods=["GET"]),
    Route("/ky-tay/{token}", draw, methods=["POST"]),
    Route("/ky-tay/{token}/ban-in", tablet_pdf, methods=["GET"]),
]
