"""What is on its way to the portal, what was given up, and packages of other software that wait in quarantine."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from benhan import jobs
from benhan.base.errors import NotFound
from benhan.gateways import bhyt
from benhan.web import rail
from benhan.web.frame import Visit, attempt, page
from benhan.web.i18n import N_

TOPICS = {
    "bhyt.submit": N_("Gửi hồ sơ"),
    "bhyt.check-in": N_("Check-in"),
    "bhyt.card-check": N_("Tra thẻ"),
}


@page("claim.read")
async def queue_page(visit: Visit) -> Response:
    """The queue with attempts and the time of the next one; what was given up; the quarantine."""
    return await _queue(visit)


async def _queue(visit: Visit, **context: Any) -> Response:
    tenant = visit.signed_in.ctx.tenant
    given_up = [j for j in await jobs.dead(visit.store, tenant) if j.topic.startswith("bhyt.")]
    return visit.draw(
        "claim_queue.html",
        **{
            **await rail.around(visit),
            "topics": TOPICS,
            "pending": await jobs.pending(visit.store, tenant, "bhyt."),
            "dead": given_up,
            "held": await bhyt.quarantined(visit.repo),
            **context,
        },
    )


@page("claim.send")
async def again(visit: Visit) -> Response:
    """Try a given-up delivery again, or read a quarantined package again."""
    return await attempt(visit, _again(visit), _queue)


async def _again(visit: Visit) -> Response:
    job, sha256 = visit.text("viec"), visit.text("goi")
    if sha256:
        await bhyt.replay(visit.repo, sha256)
    elif not job.isdecimal() or not await jobs.replay(visit.store, int(job), visit.signed_in.ctx.tenant):
        raise NotFound("web.no-such-job", "Việc này không còn chờ.")
    return visit.go("/bhyt/hang-doi", "da-luu")


ROUTES = [
    Route("/bhyt/hang-doi", queue_page, methods=["GET"]),
    Route("/bhyt/hang-doi", again, methods=["POST"]),
]
