"""Orders of the laboratory: one ``ServiceRequest`` per item, sharing a requisition number (số phiếu)."""

from __future__ import annotations

from benhan.base.errors import Conflict, RuleViolation
from benhan.catalogue import LabItem, lab_item, systems
from benhan.records.cases import locked_case
from benhan.records.numbering import take_number
from benhan.records.shapes import (
    coding,
    concept,
    fact,
    house,
    instant,
    late,
    of_encounter,
    ref,
    staff_ref,
    with_extensions,
)
from benhan.records.stays import current_stay
from benhan.records.types import JsonObject, LabOrder
from benhan.store import Repository, Stored


def lab_concept(item: LabItem) -> JsonObject:
    """Code of a laboratory item: the local one first, LOINC beside it."""
    codings = [coding(systems.LAB, item.code, item.name)]
    if item.loinc:
        codings.append(coding(systems.LOINC, item.loinc))
    return {"coding": codings, "text": item.name}


async def order_lab(repo: Repository, encounter_id: str, order: LabOrder) -> list[Stored]:
    """Order laboratory items together; NGAY_YL is ``happened``.

    Raises: ``RuleViolation`` (records.nothing-ordered); ``NotFound`` (catalogue.no-such-lab).
    """
    if not order.codes:
        raise RuleViolation("records.nothing-ordered", "Chưa chọn xét nghiệm nào.", expression="codes")
    items = [lab_item(code) for code in dict.fromkeys(order.codes)]
    async with repo.transaction() as tx:
        case = await locked_case(tx, encounter_id)
        stay = await current_stay(tx, encounter_id)
        extensions = await late(tx, order.happened, order.late_reason, place=await house(tx))
        number = await take_number(
            tx, "so_phieu", event="order", khoa=stay.khoa, subject=f"Encounter/{encounter_id}"
        )
        made = []
        for item in items:
            request: JsonObject = {
                "resourceType": "ServiceRequest",
                "requisition": {"system": systems.SO_PHIEU, "value": number.text},
                "status": "active",
                "intent": "order",
                "category": [
                    concept("http://snomed.info/sct", "108252007", "Laboratory procedure", "Xét nghiệm")
                ],
                "priority": "urgent" if order.urgent else "routine",
                "code": lab_concept(item),
                "subject": ref("Patient", case.patient_id),
                "encounter": ref("Encounter", encounter_id),
                "authoredOn": instant(order.happened),
                "requester": staff_ref(order.doctor),
            }
            if order.note:
                request["note"] = [{"text": order.note}]
            made.append(await tx.create(with_extensions(request, fact("ma-khoa", stay.khoa), *extensions)))
        return made


async def cancel_order(repo: Repository, order_id: str, reason: str) -> Stored:
    """Revoke an order that has not been executed, with a reason. Raises: ``Conflict`` (records.order-done)."""
    if not reason.strip():
        raise RuleViolation("records.reason-needed", "Cần nêu lý do hủy chỉ định.", expression="reason")
    async with repo.transaction() as tx:
        order = await tx.read("ServiceRequest", order_id)
        if order.data["status"] != "active":
            raise Conflict("records.order-done", "Chỉ định đã thực hiện hoặc đã hủy.")
        revoked = with_extensions({**order.data, "status": "revoked"}, fact("ly-do-huy", reason.strip()))
        return await tx.update(revoked, if_match=order.version)


async def orders(repo: Repository, encounter_id: str) -> list[Stored]:
    """Orders of the đợt, by the time they were given."""
    found = await of_encounter(repo, "ServiceRequest", encounter_id)
    return sorted(found, key=lambda s: (s.data["authoredOn"], s.id))
