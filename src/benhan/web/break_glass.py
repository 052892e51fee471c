"""Emergency openings that wait for a review: who opened whose record, why, what was looked at since, and the verdict."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from starlette.responses import Response
from starlette.routing import Route

from benhan.access import Review, open_reviews, review_break_glass
from benhan.base.errors import Deleted, InvalidInput, Issue, NotFound
from benhan.web import rail
from benhan.web.frame import Visit, attempt, page

ADDRESS = "/mo-khan-cap"
LEAST_NOTE = 10
_LOOKS = 500


@dataclass(frozen=True, slots=True)
class Opening:
    """One opening as the page shows it; ``looks``: accesses by who opened, since then, to this patient's data."""

    review: Review
    patient: str
    who: str
    looks: int
    late: bool
    own: bool


@page("break_glass.review")
async def board(visit: Visit) -> Response:
    """The list, the most urgent first."""
    return await _board(visit)


async def _board(visit: Visit, **context: object) -> Response:
    frame = await rail.around(visit)
    openings = [await _opening(visit, review) for review in await open_reviews(visit.repo)]
    return visit.draw("break_glass.html", **{**frame, "openings": openings, **context})


async def _opening(visit: Visit, review: Review) -> Opening:
    trail = await visit.repo.audit_of_patient(review.patient_id, _LOOKS)
    mine = [row for row in trail if row.actor == review.opened_by and row.at >= review.opened_at]
    return Opening(
        review,
        await _name(visit, f"Patient/{review.patient_id}"),
        next((row.actor_display for row in mine), "") or review.opened_by,
        sum(row.action not in ("grant", "break-glass") for row in mine),
        visit.store.clock.now() > review.due_at,
        review.opened_by == visit.signed_in.ctx.actor.reference,
    )


async def _name(visit: Visit, reference: str) -> str:
    kind, _, resource_id = reference.partition("/")
    try:
        names = (await visit.store.system_repo(visit.signed_in.ctx.tenant).read(kind, resource_id)).data.get(
            "name"
        )
    except (NotFound, Deleted):
        return ""
    return str((names or [{}])[0].get("text", ""))


@page("break_glass.review")
async def review(visit: Visit) -> Response:
    """Record a verdict with its ground."""
    return await attempt(visit, _review(visit), _board)


async def _review(visit: Visit) -> Response:
    note, verdict = visit.text("note"), visit.text("verdict")
    if verdict not in ("justified", "not-justified") or len(note.strip()) < LEAST_NOTE:
        text = "Chọn kết luận và nêu căn cứ (ít nhất 10 chữ)."
        raise InvalidInput("web.no-verdict", text, issues=[Issue("web.no-verdict", text, "note")])
    try:
        grant = UUID(visit.path("grant"))
    except ValueError:
        raise NotFound("access.no-such-review", "Không có lần mở khẩn cấp này.") from None
    await review_break_glass(visit.repo, grant, justified=verdict == "justified", note=note.strip())
    return visit.go(ADDRESS, "da-xet")


ROUTES = [
    Route(ADDRESS, board, methods=["GET"]),
    Route(ADDRESS + "/{grant}", review, methods=["POST"]),
]
