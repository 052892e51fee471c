"""People who may be one: the steward's list at the hub, two people side by side, the decision and its undoing."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from starlette.responses import Response
from starlette.routing import Route

from benhan import identity
from benhan.base.errors import InvalidInput, NotFound
from benhan.base.text import squeeze
from benhan.catalogue import commune
from benhan.store import Stored
from benhan.web import rail, show
from benhan.web.frame import Visit, attempt, page
from benhan.web.i18n import N_

LIST = "/dinh-danh"
#: Rows of the comparison: field of the reasons (or none), title, field of the person.
ROWS = (
    ("name", N_("Họ tên"), "name"),
    ("birth_date", N_("Ngày sinh"), "birth_date"),
    ("sex", N_("Giới tính"), "sex"),
    ("identifier", N_("Số định danh"), "cccd"),
    ("bhxh", N_("Mã số BHXH"), "bhxh"),
    ("document", N_("Số CMND cũ"), "cmnd"),
    ("document", N_("Hộ chiếu"), "passport"),
    ("phone", N_("Điện thoại"), "phone"),
    ("place", N_("Xã, phường"), "commune_code"),
    ("place", N_("Địa chỉ"), "address"),
    ("", N_("Người liên hệ"), "contact_name"),
)


@page("patient.merge")
async def worklist(visit: Visit) -> Response:
    """Pairs that wait, the likeliest first; below, what was merged lately."""
    return await _worklist(visit)


async def _worklist(visit: Visit, **context: Any) -> Response:
    pairs, total = await identity.open_reviews(visit.repo)
    merges = await identity.merges(visit.repo)
    return visit.draw(
        "steward.html", **{**await rail.around(visit), "pairs": pairs, "total": total, "merges": merges, **context}
    )  # fmt: skip


@page("patient.merge")
async def pair(visit: Visit) -> Response:
    """Two people side by side, field by field, with what speaks for and against."""
    return await _pair(visit)


async def _pair(visit: Visit, **context: Any) -> Response:
    review = await identity.open_review(visit.repo, _uuid(visit.path("review")))
    faces = [_facts(visit, stored) for stored in (review.other, review.one)]
    sources = [await identity.sources(visit.repo, stored.id) for stored in (review.other, review.one)]
    said = {r["field"]: r for r in review.reasons}
    rows = [
        (
            title,
            faces[0][name],
            faces[1][name],
            said.get(field) if (faces[0][name] or faces[1][name]) else None,
        )
        for field, title, name in ROWS
    ]
    frame = await rail.around(visit)
    return visit.draw(
        "steward_pair.html", **{**frame, "review": review, "rows": rows, "sources": sources, **context}
    )


def _facts(visit: Visit, stored: Stored) -> dict[str, str]:
    person = identity.person_of(stored.data)
    unit = commune(person.commune_code)
    return {
        "name": person.name,
        "birth_date": show.day(person.birth_date),
        "sex": visit._(show.SEX.get(person.sex, "Chưa rõ")),
        "cccd": person.cccd,
        "bhxh": identity.bhxh_number(person),
        "cmnd": person.cmnd,
        "passport": person.passport,
        "phone": person.phone,
        "commune_code": unit.full_name if unit else "",
        "address": person.address,
        "contact_name": squeeze(f"{person.contact_name} {person.contact_phone}"),
    }


@page("patient.merge")
async def decide(visit: Visit) -> Response:
    """Keep the decision: one human, or two."""
    return await attempt(visit, _decide(visit), _pair)


async def _decide(visit: Visit) -> Response:
    decision, reason = visit.text("decision"), visit.text("reason")
    if decision not in ("same", "different"):
        raise InvalidInput("web.no-decision", "Chọn: một người, hoặc hai người khác nhau.")
    kind: identity.Decision = "same" if decision == "same" else "different"
    await identity.decide_review(visit.repo, _uuid(visit.path("review")), kind, reason)
    return visit.go(LIST, "da-quyet-dinh")


@page("patient.merge")
async def undo(visit: Visit) -> Response:
    """Undo a merge: both people are what they were, their records with them."""
    return await attempt(visit, _undo(visit), _worklist)


async def _undo(visit: Visit) -> Response:
    reason = visit.text("reason")
    if not reason:
        raise InvalidInput("identity.reason-missing", "Ghi lý do hủy lần gộp này.")
    await identity.unmerge(visit.repo, _uuid(visit.path("merge")), reason)
    return visit.go(LIST, "da-tach")


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise NotFound("identity.no-review", "Không có cặp này, hoặc đã được quyết định.") from None


ROUTES = [
    Route(LIST, worklist, methods=["GET"]),
    Route(LIST + "/{review}", pair, methods=["GET"]),
    Route(LIST + "/{review}", decide, methods=["POST"]),
    Route(LIST + "/gop/{merge}/huy", undo, methods=["POST"]),
]
