"""Results: ``Observation`` + ``DiagnosticReport``; NGAY_YL, NGAY_TH_YL and NGAY_KQ stay apart; series for a trend."""

from __future__ import annotations

from decimal import Decimal

from benhan.base.errors import Conflict, RuleViolation
from benhan.catalogue import LabItem, lab_item, systems
from benhan.records.charges import charge
from benhan.records.orders import lab_concept
from benhan.records.shapes import (
    all_of,
    concept,
    fact_of,
    id_of,
    instant,
    must,
    ref,
    staff_ref,
    with_extensions,
)
from benhan.records.types import ChargeInput, JsonObject, Point, ResultEntered, ResultInput
from benhan.store import Repository, Stored

_CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
_FLAG = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"


async def enter_result(
    repo: Repository, order_id: str, result: ResultInput, *, charged: bool = True
) -> ResultEntered:
    """Result of one ordered item; the order is completed and charged (by the price of the day it was performed).

    Raises: ``Conflict`` (records.order-done); ``RuleViolation`` (records.times-out-of-order).
    """
    async with repo.transaction() as tx:
        order = await tx.read("ServiceRequest", order_id)
        if order.data["status"] != "active":
            raise Conflict("records.order-done", "Chỉ định đã có kết quả hoặc đã hủy.")
        _check_times(order.data, result)
        item = lab_item(order.data["code"]["coding"][0]["code"])
        observation = await tx.create(_observation(order, item, result))
        report = await tx.create(_report(order, item, result, observation.id))
        await tx.update({**order.data, "status": "completed"}, if_match=order.version)
        if charged:
            source = f"DiagnosticReport/{report.id}"
            khoa = fact_of(order.data, "ma-khoa") or None
            line = ChargeInput(
                systems.LAB, item.code, item.name, Decimal(1), result.performed, source, khoa=khoa
            )
            await charge(tx, id_of(order.data["encounter"]), line)
        return ResultEntered(report, observation)


def _check_times(order: JsonObject, result: ResultInput) -> None:
    ordered, taken = must(order["authoredOn"]), result.taken or result.performed
    if taken < ordered or result.performed < taken:
        raise RuleViolation(
            "records.times-out-of-order",
            "Thứ tự thời gian phải là: y lệnh, lấy mẫu, có kết quả.",
            expression="performed",
        )


def _observation(order: Stored, item: LabItem, result: ResultInput) -> JsonObject:
    observation: JsonObject = {
        "resourceType": "Observation",
        "basedOn": [ref("ServiceRequest", order.id)],
        "status": "final",
        "category": [concept(_CATEGORY, "laboratory", "Laboratory")],
        "code": lab_concept(item),
        "subject": order.data["subject"],
        "encounter": order.data["encounter"],
        "effectiveDateTime": instant(result.taken or result.performed),
        "issued": instant(result.performed),
        "performer": [staff_ref(result.performer)],
    }
    observation.update(_value(item, result))
    if item.low is not None or item.high is not None:
        observation["referenceRange"] = [_range(item)]
    if result.note:
        observation["note"] = [{"text": result.note}]
    if result.machine:
        return with_extensions(observation, {"url": systems.EXT_MACHINE, "valueString": result.machine})
    return observation


def _value(item: LabItem, result: ResultInput) -> JsonObject:
    if isinstance(result.value, str):
        alarm = {"interpretation": [concept(_FLAG, "AA")]} if result.critical else {}
        return {"valueString": result.value, **alarm}
    quantity: JsonObject = {"value": result.value, "unit": item.unit}
    if item.unit:
        quantity |= {"system": systems.UCUM, "code": item.unit}
    else:
        del quantity["unit"]
    flag = flag_of(result.value, item.low, item.high)
    if result.critical:
        flag = {"L": "LL", "H": "HH"}.get(flag, "AA")
    out: JsonObject = {"valueQuantity": quantity}
    if flag:
        out["interpretation"] = [concept(_FLAG, flag)]
    return out


def flag_of(value: Decimal, low: Decimal | None, high: Decimal | None) -> str:
    """``L``, ``H``, ``N``, or empty when there is no range."""
    if low is None and high is None:
        return ""
    if low is not None and value < low:
        return "L"
    return "H" if high is not None and value > high else "N"


def _range(item: LabItem) -> JsonObject:
    unit = {"unit": item.unit, "system": systems.UCUM, "code": item.unit} if item.unit else {}
    out: JsonObject = {}
    if item.low is not None:
        out["low"] = {"value": item.low, **unit}
    if item.high is not None:
        out["high"] = {"value": item.high, **unit}
    return out


def _report(order: Stored, item: LabItem, result: ResultInput, observation_id: str) -> JsonObject:
    return {
        "resourceType": "DiagnosticReport",
        "basedOn": [ref("ServiceRequest", order.id)],
        "status": "final",
        "category": [concept("http://terminology.hl7.org/CodeSystem/v2-0074", "LAB", "Laboratory")],
        "code": lab_concept(item),
        "subject": order.data["subject"],
        "encounter": order.data["encounter"],
        "effectiveDateTime": instant(result.taken or result.performed),
        "issued": instant(result.performed),
        "performer": [staff_ref(result.performer)],
        "result": [ref("Observation", observation_id)],
    }


async def correct_result(repo: Repository, observation_id: str, result: ResultInput, reason: str) -> Stored:
    """A corrected result: new version with reason, the report marked corrected; the first value stays in the log."""
    if not reason.strip():
        raise RuleViolation("records.reason-needed", "Cần nêu lý do sửa kết quả.", expression="reason")
    async with repo.transaction() as tx:
        before = await tx.read("Observation", observation_id)
        order = await tx.read("ServiceRequest", id_of(before.data["basedOn"][0]))
        _check_times(order.data, result)
        item = lab_item(before.data["code"]["coding"][0]["code"])
        after = {**_observation(order, item, result), "id": observation_id, "status": "corrected"}
        amended = with_extensions(after, {"url": systems.EXT_AMENDMENT, "valueString": reason.strip()})
        stored = await tx.update(amended, if_match=before.version)
        reports = await all_of(tx, "DiagnosticReport", [("result", f"Observation/{observation_id}")])
        for report in reports:
            changed = {**report.data, "status": "corrected", "issued": instant(result.performed)}
            await tx.update(changed, if_match=report.version)
        return stored


async def result_series(repo: Repository, patient_id: str, code: str) -> list[Point]:
    """Numeric results of one laboratory item of a patient, by time."""
    found = await all_of(
        repo, "Observation", [("subject", f"Patient/{patient_id}"), ("code", f"{systems.LAB}|{code}")]
    )
    points = [p for s in found if (p := point_of(s.id, s.data)) is not None]
    return sorted(points, key=lambda p: (p.at, p.observation_id))


def point_of(observation_id: str, observation: JsonObject) -> Point | None:
    """A trend point of an ``Observation`` with a quantity; None when it has none or was entered in error."""
    quantity = observation.get("valueQuantity")
    if quantity is None or observation["status"] == "entered-in-error":
        return None
    limits: JsonObject = next(iter(observation.get("referenceRange", [])), {})
    flags = observation.get("interpretation", [])
    return Point(
        at=must(observation["effectiveDateTime"]),
        value=Decimal(quantity["value"]),
        unit=quantity.get("unit", ""),
        low=Decimal(limits["low"]["value"]) if "low" in limits else None,
        high=Decimal(limits["high"]["value"]) if "high" in limits else None,
        observation_id=observation_id,
        flag=flags[0]["coding"][0]["code"] if flags else "",
    )
