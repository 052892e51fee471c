"""Signing with a PIN: what exactly is signed, by whom, in which role; withdrawing; issuing with the seal.

A paper always asks for the PIN. For entries of running sheets the opened key may serve for ``pin_minutes`` in the
same session: it is kept in this process's memory only, and asked again when the session, the PIN time or the process ends.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from benhan import records
from benhan.access import unlock_pin
from benhan.base.errors import InvalidInput, NotAllowed
from benhan.forms import Form, SignaturePlace, check, compute
from benhan.records import SignWith
from benhan.signing import AgentSigner, CscSigner, KeyStore, Signer, signer_of, time_stamper
from benhan.web.frame import Visit, attempt, page
from benhan.web.record import paper_frame
from benhan.web.signing_far import FAR, key_kind, posted_pin, sign_far

_opened: dict[bytes, tuple[Signer, datetime]] = {}
MOST_OPENED = 2000


def _key(visit: Visit) -> bytes:
    return hashlib.sha256(visit.token.encode()).digest()


def pin_needed(visit: Visit) -> bool:
    """Whether signing an entry asks for the PIN now; a key that is elsewhere is not kept open."""
    kept = _opened.get(_key(visit))
    return kept is None or visit.now >= kept[1] or not visit.signed_in.pin_open(visit.now)


async def opened_signer(visit: Visit) -> Signer:
    """The person's key, opened by the posted PIN; remembered for entries.

    Raises: ``InvalidInput`` (web.no-pin); ``NotAllowed`` (signing.wrong-pin, signing.at-the-token …).
    """
    signer = await signer_of(visit.repo, visit.signed_in.ctx.actor.reference, posted_pin(visit))
    if isinstance(signer, CscSigner):
        await signer.check_pin()
    elif isinstance(signer, AgentSigner):
        raise NotAllowed(
            "signing.at-the-token", "Khóa ký nằm ở thiết bị của người ký: ký việc này từ trang Chờ tôi ký."
        )
    until = await unlock_pin(visit.store, visit.token)
    for stale in [k for k, (_, end) in _opened.items() if end <= visit.now]:
        del _opened[stale]
    if len(_opened) < MOST_OPENED:
        _opened[_key(visit)] = (signer, until)
    return signer


async def sign_with(visit: Visit, role: str, *, always_pin: bool = True, reason: str = "") -> SignWith:
    """How this person signs in a role of a form."""
    kept = _opened.get(_key(visit))
    if always_pin or kept is None or pin_needed(visit):
        signer = await opened_signer(visit)
    else:
        signer = kept[0]
    return SignWith(signer, await visit.staff(), role, time_stamper(visit.settings), reason)


async def seal_with(visit: Visit) -> SignWith:
    """The organisation's seal, put on by this person."""
    signer = await KeyStore(visit.repo).seal_signer(visit.signed_in.ctx.tenant)
    return SignWith(signer, await visit.staff(), "co_so", time_stamper(visit.settings, of_seal=True))


@page("form.sign")
async def sign_page(visit: Visit) -> Response:
    """What is about to be signed, its print, and the PIN."""
    return await paper_page_to_sign(visit)


async def paper_page_to_sign(visit: Visit, **context: Any) -> Response:
    """The page of one paper that is to be signed, sent back or sent again."""
    stored, form, frame = await paper_frame(visit, visit.path("response"))
    held = await records.paper(visit.repo, stored.id)
    answers = await records.paper_answers(visit.repo, stored.id)
    findings = check(form, compute(form, answers), at="sign")
    draft = await visit.store.drafts.get(visit.repo, f"paper/{stored.id}")
    shown = (
        None
        if any(f.severity == "error" for f in findings)
        else await records.show_paper(visit.repo, stored.id)
    )
    return visit.draw(
        "sign.html",
        **{
            **frame,
            "stored": stored,
            "form_def": form,
            "paper": held,
            "findings": findings,
            "shown": shown,
            "roles_open": [] if held.returned else roles_open(form, held),
            "hand_places": [] if held.returned or shown is None else hand_places(form, held),
            "author": stored.data.get("author", {}).get("reference", ""),
            "returns": await records.returns_of(visit.repo, stored.id),
            "drafted": bool(draft),
            "staff": await visit.staff(),
            "key_kind": await key_kind(visit),
            **context,
        },
    )


def roles_open(form: Form, held: records.Paper) -> list[tuple[str, str]]:
    """Places that may be signed now, the next required one first."""
    standing = {s.role for s in held.signatures if s.standing}
    return [(p.role, p.title) for p in _open(form, standing) if not records.is_patients(p)]


def hand_places(form: Form, held: records.Paper) -> list[tuple[str, str]]:
    """Places of the patient or a relative that may be signed now, by hand."""
    standing = {s.role for s in held.signatures if s.standing}
    return [(p.role, p.title) for p in _open(form, standing) if records.is_patients(p)]


def _open(form: Form, standing: set[str]) -> list[SignaturePlace]:
    places = [p for p in form.signatures if p.role not in standing and not p.per_entry]
    first = min((p.order for p in places if p.required), default=99)
    allowed = [p for p in places if p.order <= first or not p.required]
    return sorted(allowed, key=lambda p: (p.order != first, p.order))


@page("form.sign")
async def sign(visit: Visit) -> Response:
    """Sign the shown version in a role."""
    return await attempt(visit, _sign(visit), paper_page_to_sign)


async def _sign(visit: Visit) -> Response:
    response_id = visit.path("response")
    stored = await visit.repo.read("QuestionnaireResponse", response_id)
    if visit.text("version") != str(stored.version):
        text = "Giấy vừa có bản mới. Xem lại rồi ký."
        raise InvalidInput("web.signed-other-version", text)
    if await key_kind(visit) in FAR and visit.text("shown"):
        chosen = records.Chosen(response_id, visit.text("shown"), visit.text("role"))
        return visit.go(await sign_far(visit, [chosen]))
    signing = await sign_with(visit, visit.text("role"), reason=visit.text("note"))
    await records.sign_paper(
        visit.repo, response_id, signing, authorize=visit.authorize, shown=visit.text("shown") or None
    )
    return visit.go(f"/giay/{response_id}", "da-ky")


@page("form.withdraw")
async def withdraw(visit: Visit) -> Response:
    """Take one's own last signature back, with a reason."""
    return await attempt(visit, _withdraw(visit), paper_page_to_sign)


async def _withdraw(visit: Visit) -> Response:
    response_id = visit.path("response")
    await records.withdraw_signature(
        visit.repo, response_id, await visit.staff(), visit.text("reason"), authorize=visit.authorize
    )
    return visit.go(f"/giay/{response_id}", "da-rut")


@page("paper.issue")
async def issue(visit: Visit) -> Response:
    """Issue a fully signed paper with the organisation's seal."""
    return await attempt(visit, _issue(visit), paper_page_to_sign)


async def _issue(visit: Visit) -> Response:
    response_id = visit.path("response")
    await records.issue_paper(visit.repo, response_id, seal=await seal_with(visit), authorize=visit.authorize)
    return visit.go(f"/giay/{response_id}", "da-cap")


ROUTES = [
    Route("/giay/{response}/ky", sign_page, methods=["GET"]),
    Route("/giay/{response}/ky", sign, methods=["POST"]),
    Route("/giay/{response}/rut", withdraw, methods=["POST"]),
    Route("/giay/{response}/cap", issue, methods=["POST"]),
]
