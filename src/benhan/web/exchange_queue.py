"""Sharing as it stands, both sides: what waits for the hub or was received, the daily comparison; at the hub, quarantine."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from benhan import exchange
from benhan.base.errors import NotFound
from benhan.signing import KeyStore, time_stamper
from benhan.store import TenantInfo
from benhan.web import rail
from benhan.web.frame import Visit, attempt, page
from benhan.web.i18n import N_

ADDRESS = "/lien-thong"
#: state → words that are true, and the look of the tag.
STATES = {
    "waiting": (N_("chờ gửi"), "warn"),
    "received": (N_("trục đã nhận"), "ok"),
    "quarantined": (N_("trục giữ lại, chờ xử lý"), "bad"),
    "refused": (N_("trục từ chối"), "bad"),
}
LANES = {"urgent": N_("khẩn"), "normal": N_("thường"), "archive": N_("lưu trữ")}


@page("exchange.watch")
async def board(visit: Visit) -> Response:
    """The queue of a facility, or the quarantine of the hub."""
    return await _board(visit)


async def _board(visit: Visit, **context: Any) -> Response:
    frame = await rail.around(visit)
    if visit.settings.role == "hub":
        names = {t.id: t for t in await visit.store.tenants()}
        kept = [(q, names.get(q.source)) for q in await exchange.quarantined(visit.repo)]
        return visit.draw("exchange_quarantine.html", **{**frame, "kept": kept, **context})
    return visit.draw(
        "exchange_queue.html",
        **{
            **frame,
            "counts": await exchange.queue_counts(visit.repo),
            "rows": await exchange.queue(visit.repo),
            "days": await exchange.comparisons(visit.repo),
            "states": STATES,
            "lanes": LANES,
            **context,
        },
    )


@page("exchange.watch")
async def replay(visit: Visit) -> Response:
    """Hand a quarantined message to the registry again."""
    return await attempt(visit, _replay(visit), _board)


async def _replay(visit: Visit) -> Response:
    source = await _facility(visit, visit.text("source"))
    signer = await KeyStore(visit.repo).seal_signer(visit.signed_in.ctx.tenant)
    tsa = time_stamper(visit.settings, of_seal=True)
    await exchange.replay_quarantined(visit.repo, source, visit.text("message"), signer=signer, tsa=tsa)
    return visit.go(ADDRESS, "da-phat-lai")


async def _facility(visit: Visit, code: str) -> TenantInfo:
    found = next((t for t in await visit.store.tenants() if t.code == code), None)
    if found is None or visit.settings.role != "hub":
        raise NotFound("exchange.not-quarantined", "Không có lần gửi này trong vùng cách ly.")
    return found


ROUTES = [
    Route(ADDRESS, board, methods=["GET"]),
    Route(ADDRESS + "/phat-lai", replay, methods=["POST"]),
]
