"""History of a person elsewhere in the province: asked of the hub, refused without a right, opened by one.

The seam to `benhan.exchange`: ``province_history``, ``province_summary``, ``province_document``, ``ask_right``.
Opening rights (consent, break-glass, referral to another facility) always says in one sentence what will happen.
"""

from __future__ import annotations

import re
from html import unescape
from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from benhan import exchange
from benhan.access import break_glass
from benhan.base.errors import BenhanError, InvalidInput, Issue
from benhan.catalogue import facility
from benhan.web import rail
from benhan.web.frame import Visit, attempt, page

PERMISSIONS = {
    "consent": "exchange.consent",
    "break-glass": "exchange.break_glass",
    "referral": "exchange.refer",
}
LEAST_REASON = 10


def requester(visit: Visit) -> exchange.Requester:
    """The person on whose behalf the hub is asked: shown in every audit of the look."""
    actor = visit.signed_in.ctx.actor
    return exchange.Requester(actor.reference, actor.display)


@page("exchange.read")
async def history_page(visit: Visit) -> Response:
    """The page before asking: nothing is asked of the hub until the button is pressed."""
    return await _history(visit)


async def _history(visit: Visit, **context: Any) -> Response:
    frame = await rail.about(visit, visit.path("patient"))
    shown: dict[str, Any] = {
        "items": None,
        "summary": [],
        "refused": None,
        "away": None,
        "facility_title": facility_title,
    }
    return visit.draw("history.html", **{**frame, "tab": "benh-su", **shown, **context})


def facility_title(code: str) -> str:
    """Name of a facility code, else the code; the hub gives codes as URNs."""
    bare = code.rsplit(":", 1)[-1]
    known = facility(bare)
    return known.name if known else bare


@page("exchange.read")
async def ask(visit: Visit) -> Response:
    """Ask the hub; a refusal shows the ways to a right, an absent hub says so."""
    try:
        items = await exchange.province_history(visit.repo, visit.path("patient"), requester(visit))
    except BenhanError as answer:
        refused = answer if answer.status == 403 else None
        return await _history(visit, refused=refused, away=None if refused else answer)
    return await _history(visit, items=items, summary=await _summary(visit))


async def _summary(visit: Visit) -> list[tuple[str, list[str]]]:
    """The patient summary by section, each line as the hub tells it; nothing where the hub cannot make one."""
    try:
        document = await exchange.province_summary(visit.repo, visit.path("patient"), requester(visit))
    except BenhanError:
        return []
    (first, *_) = document.get("entry") or [{}]
    sections = (first.get("resource") or {}).get("section") or []
    return [(str(s.get("title", "")), told_lines(s)) for s in sections]


def told_lines(section: dict[str, Any]) -> list[str]:
    """Lines of a section's narrative as plain text; the page escapes them again (pure)."""
    text = str((section.get("text") or {}).get("div", ""))
    return [unescape(re.sub(r"<[^>]*>", "", line)) for line in re.findall(r"<li>(.*?)</li>", text, re.DOTALL)]


@page("exchange.read")
async def document(visit: Visit) -> Response:
    """One document of another facility, its hash checked; shown, not kept here."""
    sha256 = visit.path("sha256")
    data = await exchange.province_document(visit.repo, visit.path("patient"), sha256, requester(visit))
    kind = "application/pdf" if data.startswith(b"%PDF") else "application/octet-stream"
    manner = "inline" if kind == "application/pdf" else "attachment"
    suffix = "pdf" if kind == "application/pdf" else "asice"
    headers = {"Content-Disposition": f'{manner}; filename="{sha256[:16]}.{suffix}"'}
    return Response(data, media_type=kind, headers=headers)


@page("exchange.read")
async def right(visit: Visit) -> Response:
    """Record a right at the hub: consent, referral to another facility, or break-glass with its reason."""
    return await attempt(visit, _right(visit), _history)


async def _right(visit: Visit) -> Response:
    kind, reason = visit.text("kind"), visit.text("reason")
    if kind not in PERMISSIONS:
        raise InvalidInput("web.no-such-right", "Không có loại quyền này.")
    visit.require(PERMISSIONS[kind])
    if len(reason) < LEAST_REASON:
        text = "Nêu lý do rõ ràng (ít nhất 10 chữ): lý do được ghi nhật ký và xét lại."
        raise InvalidInput(
            "web.short-reason", text, issues=[Issue("web.short-reason", text, f"reason-{kind}")]
        )
    if kind == "break-glass":
        await _open_here(visit, reason)
    evidence = await _evidence(visit, kind)
    target = visit.text("to_facility") or None
    await exchange.ask_right(
        visit.repo,
        visit.path("patient"),
        kind,
        reason,
        requester(visit),
        evidence_sha256=evidence,
        to_facility=target,
    )
    return visit.go(f"/nguoi-benh/{visit.path('patient')}/benh-su-tinh", "da-mo-quyen")


async def _open_here(visit: Visit, reason: str) -> None:
    """What is hidden from this person in our own record opens first, whatever becomes of the hub; it is reviewed too."""
    account = visit.signed_in.account.id
    await break_glass(visit.repo, visit.path("patient"), account, reason)


async def _evidence(visit: Visit, kind: str) -> str:
    """Hash of the signed consent that was scanned; the scan itself stays here."""
    given = visit.form.get("evidence")
    if kind != "consent":
        return ""
    data = b"" if given is None or isinstance(given, str) else await given.read()
    if not data:
        text = "Đính kèm phiếu đồng ý có chữ ký của người bệnh (PDF hoặc ảnh)."
        raise InvalidInput("web.no-evidence", text, issues=[Issue("web.no-evidence", text, "evidence")])
    return await visit.store.blobs.put(data)


ROUTES = [
    Route("/nguoi-benh/{patient}/benh-su-tinh", history_page, methods=["GET"]),
    Route("/nguoi-benh/{patient}/benh-su-tinh", ask, methods=["POST"]),
    Route("/nguoi-benh/{patient}/benh-su-tinh/quyen", right, methods=["POST"]),
    Route("/nguoi-benh/{patient}/benh-su-tinh/{sha256}", document, methods=["GET"]),
]
