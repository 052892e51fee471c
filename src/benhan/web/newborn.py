"""A child born in this đợt of its mother: registered from her page, with date and time of birth, then admitted."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from benhan import records
from benhan.base.errors import InvalidInput, Issue
from benhan.identity import PersonInput, name_of, person_of
from benhan.web import rail, show
from benhan.web.frame import Visit, attempt, page

#: months after admission of the mother in which a birth can belong to her đợt
MOST_DAYS = 300


@page("patient.register")
async def child_page(visit: Visit) -> Response:
    """The short form of a newborn."""
    return await _child(visit)


async def _child(visit: Visit, **context: Any) -> Response:
    frame = await rail.about_case(visit, visit.path("encounter"))
    return visit.draw("newborn.html", **{**frame, **context})


@page("patient.register")
async def register(visit: Visit) -> Response:
    """Register the child as newborn of this mother and go to its admission."""
    return await attempt(visit, _register(visit), _child)


async def _register(visit: Visit) -> Response:
    case = await records.case(visit.repo, visit.path("encounter"))
    mother = (await visit.repo.read("Patient", case.patient_id)).data
    known = person_of(mother)
    if known.sex == "male":
        raise InvalidInput("web.no-mother", "Người bệnh này là nam: mở trang của người mẹ.")
    born = show.read_moment(visit.text("born"), "born")
    if not case.admitted_at - timedelta(days=1) <= born <= visit.now or born > case.admitted_at + timedelta(
        days=MOST_DAYS
    ):
        said = (
            "Giờ sinh phải trong đợt của mẹ (sớm nhất một ngày trước khi mẹ vào viện) và không ở tương lai."
        )
        raise InvalidInput("web.bad-birth", said, issues=[Issue("web.bad-birth", said, "born")])
    order = visit.text("order")
    child = PersonInput(
        name=visit.text("name"),
        birth_date=f"{born:%Y-%m-%d}",
        birth_time=f"{born:%H:%M}",
        sex=visit.text("sex") or "unknown",
        address=known.address,
        commune_code=known.commune_code,
        ethnicity=known.ethnicity,
        nationality=known.nationality,
        contact_name=name_of(mother),
        contact_phone=known.phone,
        status="newborn",
        mother_id=case.patient_id,
        birth_order=int(order) if order.isdecimal() and 0 < int(order) < 10 else None,
        source="newborn",
    )
    made = await records.register_patient(visit.repo, child)
    return visit.go(f"/tiep-don/nhap-vien/{made.id}", "da-dang-ky")


ROUTES = [
    Route("/dot/{encounter}/con", child_page, methods=["GET"]),
    Route("/dot/{encounter}/con", register, methods=["POST"]),
]
