"""Vital signs: one entry at the bed becomes one ``Observation`` per sign; charts, 37–38/BV2 and warnings read them."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from benhan.base.errors import InvalidInput, Issue
from benhan.catalogue import systems
from benhan.records.cases import locked_case
from benhan.records.results import point_of
from benhan.records.shapes import (
    all_of,
    coding,
    concept,
    house,
    instant,
    late,
    ref,
    staff_ref,
    with_extensions,
)
from benhan.records.types import JsonObject, Point, VitalSigns
from benhan.store import Repository, Stored

_CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"


@dataclass(frozen=True, slots=True)
class Sign:
    """A vital sign: LOINC, name, unit, and the limits beyond which it cannot be true."""

    loinc: str
    name: str
    unit: str
    ucum: str
    low: Decimal
    high: Decimal


SIGNS: dict[str, Sign] = {
    "pulse": Sign("8867-4", "Mạch", "lần/phút", "/min", Decimal(0), Decimal(350)),
    "temperature": Sign("8310-5", "Nhiệt độ", "°C", "Cel", Decimal(20), Decimal(45)),
    "systolic": Sign("8480-6", "Huyết áp tâm thu", "mmHg", "mm[Hg]", Decimal(0), Decimal(350)),
    "diastolic": Sign("8462-4", "Huyết áp tâm trương", "mmHg", "mm[Hg]", Decimal(0), Decimal(250)),
    "breathing": Sign("9279-1", "Nhịp thở", "lần/phút", "/min", Decimal(0), Decimal(120)),
    "spo2": Sign("59408-5", "SpO₂", "%", "%", Decimal(0), Decimal(100)),
    "weight": Sign("29463-7", "Cân nặng", "kg", "kg", Decimal("0.2"), Decimal(400)),
    "height": Sign("8302-2", "Chiều cao", "cm", "cm", Decimal(15), Decimal(260)),
}
_PRESSURE = ("systolic", "diastolic")


def check_vitals(signs: VitalSigns) -> None:
    """Refuse what cannot be true, all faults at once. Raises: ``InvalidInput`` (records.bad-vitals)."""
    faults = []
    given = {name: getattr(signs, name) for name in SIGNS if getattr(signs, name) is not None}
    for name, value in given.items():
        sign = SIGNS[name]
        if not sign.low <= value <= sign.high:
            faults.append(
                Issue(
                    "records.bad-vitals", f"{sign.name} phải từ {sign.low} đến {sign.high} {sign.unit}.", name
                )
            )
    if not given:
        faults.append(Issue("records.bad-vitals", "Chưa nhập dấu hiệu sinh tồn nào."))
    if ("systolic" in given) != ("diastolic" in given):
        faults.append(Issue("records.bad-vitals", "Huyết áp cần cả hai số.", "diastolic"))
    elif "systolic" in given and given["systolic"] <= given["diastolic"]:
        faults.append(Issue("records.bad-vitals", "Huyết áp tâm thu phải lớn hơn tâm trương.", "systolic"))
    if faults:
        raise InvalidInput("records.bad-vitals", "Dấu hiệu sinh tồn chưa hợp lệ.", issues=faults)


async def record_vitals(repo: Repository, encounter_id: str, signs: VitalSigns) -> list[Stored]:
    """Append one observation per measured sign (blood pressure: one with two components)."""
    check_vitals(signs)
    async with repo.transaction() as tx:
        case = await locked_case(tx, encounter_id)
        extensions = await late(tx, signs.happened, signs.late_reason, place=await house(tx))
        made = []
        for body in _bodies(signs):
            observation = {
                "resourceType": "Observation",
                "status": "final",
                "category": [concept(_CATEGORY, "vital-signs", "Vital Signs")],
                **body,
                "subject": ref("Patient", case.patient_id),
                "encounter": ref("Encounter", encounter_id),
                "effectiveDateTime": instant(signs.happened),
                "performer": [staff_ref(signs.nurse)],
            }
            made.append(await tx.create(with_extensions(observation, *extensions)))
        return made


def _bodies(signs: VitalSigns) -> list[JsonObject]:
    bodies: list[JsonObject] = []
    for name, sign in SIGNS.items():
        value = getattr(signs, name)
        if value is not None and name not in _PRESSURE:
            bodies.append({"code": _code(sign), "valueQuantity": _quantity(sign, value)})
    if signs.systolic is not None and signs.diastolic is not None:
        parts = [
            {"code": _code(SIGNS[n]), "valueQuantity": _quantity(SIGNS[n], getattr(signs, n))}
            for n in _PRESSURE
        ]
        panel = {"coding": [coding(systems.LOINC, "85354-9", "Blood pressure panel")], "text": "Huyết áp"}
        bodies.append({"code": panel, "component": parts})
    return bodies


def _code(sign: Sign) -> JsonObject:
    return {"coding": [coding(systems.LOINC, sign.loinc)], "text": sign.name}


def _quantity(sign: Sign, value: Decimal) -> JsonObject:
    return {"value": value, "unit": sign.unit, "system": systems.UCUM, "code": sign.ucum}


async def vital_series(
    repo: Repository, patient_id: str, *, encounter_id: str | None = None
) -> dict[str, list[Point]]:
    """Points of every sign by time; keys are the field names of ``VitalSigns``."""
    params = [("subject", f"Patient/{patient_id}"), ("category", "vital-signs")]
    if encounter_id:
        params.append(("encounter", f"Encounter/{encounter_id}"))
    series: dict[str, list[Point]] = {name: [] for name in SIGNS}
    by_loinc = {sign.loinc: name for name, sign in SIGNS.items()}
    for stored in await all_of(repo, "Observation", params):
        for part in [stored.data, *_components(stored.data)]:
            name = by_loinc.get(part["code"]["coding"][0]["code"])
            point = point_of(stored.id, part) if name else None
            if name and point:
                series[name].append(point)
    return {name: sorted(points, key=lambda p: p.at) for name, points in series.items()}


def _components(observation: JsonObject) -> list[JsonObject]:
    common = {"status": observation["status"], "effectiveDateTime": observation["effectiveDateTime"]}
    return [{**component, **common} for component in observation.get("component", [])]


def latest(series: dict[str, list[Point]]) -> dict[str, Point]:
    """Last point of each sign that has one (pure)."""
    return {name: points[-1] for name, points in series.items() if points}


__all__ = ["SIGNS", "Sign", "check_vitals", "latest", "record_vitals", "vital_series"]
