"""Spoken orders (y lệnh miệng): taken down and read back by the nurse, confirmed by the doctor's signature within a set time.

The order is carried out at once; what waits is the doctor's signature over its exact bytes. Source: practice A6; the time
is the facility's setting ``spoken_order_confirm_hours``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from benhan.base.clock import local_date
from benhan.base.errors import NotFound, RuleViolation
from benhan.catalogue import facility_setting, systems
from benhan.identity import name_of
from benhan.records.cases import case
from benhan.records.shapes import all_of, house, id_of, instant, must
from benhan.records.signed_bytes import byte_signature, sign_bytes
from benhan.records.types import Authorize, JsonObject, SignWith
from benhan.store import Repository, Stored

#: how far back unconfirmed orders are looked for
_BACK = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class SpokenOrder:
    """A spoken order that waits: what, for whom, who gave it and who took it down, until when it is to be confirmed."""

    order_id: str
    encounter_id: str
    patient_name: str
    khoa: str
    title: str
    doctor: str
    doctor_name: str
    recorder_name: str
    at: datetime
    until: datetime
    overdue: bool


def is_spoken(order: JsonObject) -> bool:
    """True of an order that was taken down by a nurse."""
    codings = [c for category in order.get("category", []) for c in category.get("coding", [])]
    return any(c.get("system") == systems.ORDER_WAY and c.get("code") == systems.SPOKEN for c in codings)


async def confirm_spoken(repo: Repository, order_id: str, sign: SignWith, *, authorize: Authorize) -> Stored:
    """The doctor signs the very bytes that the nurse took down; gives the ``Provenance``.

    Raises: ``NotFound`` (records.not-spoken); ``RuleViolation`` (records.not-your-order); ``Conflict``
    (records.entry-signed); what signing raises.
    """
    order = await repo.read("MedicationRequest", order_id)
    if not is_spoken(order.data):
        raise NotFound("records.not-spoken", "Không có y lệnh miệng này.")
    authorize("order.write", (await case(repo, id_of(order.data["encounter"]))).khoa)
    if order.data["requester"].get("reference") != sign.staff.reference:
        raise RuleViolation("records.not-your-order", "Chỉ bác sĩ đã ra y lệnh miệng được ký xác nhận.")
    return await sign_bytes(repo, order, sign)


async def confirmed_at(repo: Repository, order: Stored) -> datetime | None:
    """When a spoken order was confirmed, None while it waits."""
    made = await byte_signature(repo, order)
    return None if made is None else must(made.data["recorded"])


async def spoken_waiting(repo: Repository, *, doctor: str | None = None) -> list[SpokenOrder]:
    """Spoken orders (of a doctor, of all) that nobody has confirmed, the oldest first."""
    now, place = repo.clock.now(), await house(repo)
    hours = float(facility_setting("spoken_order_confirm_hours", local_date(now), facility=place.code))
    query = [
        ("category", f"{systems.ORDER_WAY}|{systems.SPOKEN}"),
        ("authoredon", f"ge{instant(now - _BACK)}"),
    ]
    if doctor is not None:
        query.append(("requester", doctor))
    found = []
    for order in await all_of(repo, "MedicationRequest", query):
        if await byte_signature(repo, order) is not None:
            continue
        here = await case(repo, id_of(order.data["encounter"]))
        patient = (await repo.read("Patient", here.patient_id)).data
        at = must(order.data["authoredOn"])
        until = at + timedelta(hours=hours)
        asked, took = order.data["requester"], order.data.get("recorder", {})
        found.append(
            SpokenOrder(
                order.id, here.encounter_id, name_of(patient), here.khoa, order.data["dosageInstruction"][0]["text"],
                asked.get("reference", ""), asked.get("display", ""), took.get("display", ""), at, until, now > until,
            )
        )  # fmt: skip
    return sorted(found, key=lambda s: s.at)
