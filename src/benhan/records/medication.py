"""Drugs of the ward: ``MedicationRequest`` (y lệnh) and ``MedicationAdministration`` (dose given, charged)."""

from __future__ import annotations

from datetime import datetime

from benhan.base.errors import Conflict, NotFound, RuleViolation
from benhan.catalogue import drug, systems
from benhan.records.cases import locked_case
from benhan.records.charges import charge
from benhan.records.shapes import (
    coding,
    fact,
    fact_of,
    house,
    id_of,
    instant,
    late,
    must,
    of_encounter,
    ref,
    staff_ref,
    with_extensions,
)
from benhan.records.stays import current_stay
from benhan.records.types import Administration, ChargeInput, DrugOrder, JsonObject
from benhan.store import Repository, Stored

_SPOKEN: JsonObject = {"coding": [coding(systems.ORDER_WAY, systems.SPOKEN, "Y lệnh miệng")]}


async def order_drug(repo: Repository, encounter_id: str, order: DrugOrder) -> Stored:
    """Order a drug. Raises: ``NotFound`` (records.no-such-drug); ``RuleViolation`` (records.bad-dose)."""
    medicine = drug(order.code)
    if medicine is None:
        raise NotFound("records.no-such-drug", f"Danh mục thuốc không có mã {order.code}.")
    if order.dose <= 0 or order.per_day < 1 or order.days < 1:
        raise RuleViolation("records.bad-dose", "Liều, số lần và số ngày phải lớn hơn 0.", expression="dose")
    async with repo.transaction() as tx:
        case = await locked_case(tx, encounter_id)
        stay = await current_stay(tx, encounter_id)
        extensions = await late(tx, order.happened, order.late_reason, place=await house(tx))
        codings = [coding(systems.DRUG, medicine.code, medicine.title)]
        if medicine.atc:
            codings.append(coding(systems.ATC, medicine.atc))
        text = (
            order.as_text
            or f"{medicine.title}: {order.dose} {order.unit} × {order.per_day} lần/ngày, {order.route}"
        )
        request: JsonObject = {
            "resourceType": "MedicationRequest",
            "status": "active",
            "intent": "order",
            "medicationCodeableConcept": {"coding": codings, "text": medicine.title},
            "subject": ref("Patient", case.patient_id),
            "encounter": ref("Encounter", encounter_id),
            "authoredOn": instant(order.happened),
            "requester": staff_ref(order.doctor),
            "dosageInstruction": [
                {
                    "text": text,
                    "timing": {
                        "repeat": {
                            "boundsDuration": {
                                "value": order.days, "unit": "ngày", "system": systems.UCUM, "code": "d",
                            },
                            "frequency": order.per_day,
                            "period": 1,
                            "periodUnit": "d",
                        }
                    },
                    "route": {"text": order.route},
                    "doseAndRate": [{"doseQuantity": {"value": order.dose, "unit": order.unit}}],
                }
            ],
            "dispenseRequest": {
                "quantity": {"value": order.dose * order.per_day * order.days, "unit": order.unit}
            },
        }  # fmt: skip
        if order.note:
            request["note"] = [{"text": order.note}]
        if order.recorder is not None:
            request |= {"recorder": staff_ref(order.recorder), "category": [_SPOKEN]}
        return await tx.create(with_extensions(request, fact("ma-khoa", stay.khoa), *extensions))


async def administer(repo: Repository, request_id: str, given: Administration) -> Stored:
    """Record one dose; it is charged at the price of its day.

    Raises: ``Conflict`` (records.drug-stopped); ``RuleViolation`` (records.before-order, records.bad-dose).
    """
    if given.quantity <= 0:
        raise RuleViolation("records.bad-dose", "Số lượng đã dùng phải lớn hơn 0.", expression="quantity")
    async with repo.transaction() as tx:
        request = await tx.read("MedicationRequest", request_id)
        if request.data["status"] != "active":
            raise Conflict("records.drug-stopped", "Y lệnh thuốc đã ngừng.")
        if given.happened < must(request.data["authoredOn"]):
            raise RuleViolation(
                "records.before-order", "Giờ dùng thuốc trước giờ y lệnh.", expression="happened"
            )
        extensions = await late(tx, given.happened, given.late_reason)
        instruction = request.data["dosageInstruction"][0]
        unit = instruction["doseAndRate"][0]["doseQuantity"]["unit"]
        administration: JsonObject = {
            "resourceType": "MedicationAdministration",
            "status": "completed",
            "medicationCodeableConcept": request.data["medicationCodeableConcept"],
            "subject": request.data["subject"],
            "context": request.data["encounter"],
            "effectiveDateTime": instant(given.happened),
            "performer": [{"actor": staff_ref(given.nurse)}],
            "request": ref("MedicationRequest", request_id),
            "dosage": {"route": instruction["route"], "dose": {"value": given.quantity, "unit": unit}},
        }
        if given.note:
            administration["note"] = [{"text": given.note}]
        stored = await tx.create(with_extensions(administration, *extensions))
        first = request.data["medicationCodeableConcept"]["coding"][0]
        line = ChargeInput(
            systems.DRUG, first["code"], first["display"], given.quantity, given.happened,
            source=f"MedicationAdministration/{stored.id}", khoa=fact_of(request.data, "ma-khoa") or None,
        )  # fmt: skip
        await charge(tx, id_of(request.data["encounter"]), line)
        return stored


async def stop_drug(repo: Repository, request_id: str, reason: str, happened: datetime) -> Stored:
    """Stop a drug, with a reason. Raises: ``Conflict`` (records.drug-stopped)."""
    if not reason.strip():
        raise RuleViolation("records.reason-needed", "Cần nêu lý do ngừng thuốc.", expression="reason")
    async with repo.transaction() as tx:
        request = await tx.read("MedicationRequest", request_id)
        if request.data["status"] != "active":
            raise Conflict("records.drug-stopped", "Y lệnh thuốc đã ngừng.")
        stopped = {**request.data, "status": "stopped", "statusReason": {"text": reason.strip()}}
        return await tx.update(
            with_extensions(stopped, fact("ngung-luc", instant(happened))), if_match=request.version
        )


async def drug_orders(repo: Repository, encounter_id: str) -> list[Stored]:
    """Drug orders of the đợt, by the time they were given."""
    found = await of_encounter(repo, "MedicationRequest", encounter_id)
    return sorted(found, key=lambda s: (s.data["authoredOn"], s.id))


async def administrations(repo: Repository, encounter_id: str) -> list[Stored]:
    """Doses given in the đợt, by time."""
    found = await of_encounter(repo, "MedicationAdministration", encounter_id)
    return sorted(found, key=lambda s: (s.data["effectiveDateTime"], s.id))
