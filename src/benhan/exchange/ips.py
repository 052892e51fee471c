"""The International Patient Summary as a FHIR document (pure): sections, their resources, what is not known said as such.

Source: HL7 International Patient Summary IG 1.1 (Composition-uv-ips: LOINC 60591-5; sections 11450-4 problems, 48765-2
allergies and 10160-0 medications are required, a section without facts carries an entry of the absent-unknown code system).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from uuid import NAMESPACE_URL, uuid5

from benhan.base.clock import fhir_instant
from benhan.base.json_door import JsonObject, dumps
from benhan.catalogue import systems

ABSENT = "http://hl7.org/fhir/uv/ips/CodeSystem/absent-unknown-uv-ips"
_CLINICAL = "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical"
#: drugs and results beyond these numbers stay in the records they come from
MOST_DRUGS, MOST_RESULTS, RESULTS_OF_ONE = 60, 120, 3


@dataclass(frozen=True, slots=True)
class Fact:
    """A resource of a record and the facility (name) that keeps it."""

    resource: JsonObject
    facility: str


@dataclass(frozen=True, slots=True)
class Section:
    """A section: LOINC code, title, types it holds, how one is told in a line, what stands where nothing is known."""

    code: str
    display: str
    title: str
    kind: str
    absent: str = ""


#: what must be seen first comes first
SECTIONS = (
    Section("48765-2", "Allergies and adverse reactions Document", "Dị ứng", "AllergyIntolerance", "no-allergy-info"),
    Section("11450-4", "Problem list - Reported", "Bệnh, vấn đề sức khỏe", "Condition", "no-problem-info"),
    Section("10160-0", "History of Medication use Narrative", "Thuốc", "MedicationRequest", "no-medication-info"),
    Section("11369-6", "History of Immunization note", "Tiêm chủng", "Immunization"),
    Section("30954-2", "Relevant diagnostic tests/laboratory data note", "Kết quả xét nghiệm", "Observation"),
    Section("47519-4", "History of Procedures Document", "Thủ thuật, phẫu thuật", "Procedure"),
)  # fmt: skip

#: type → (elements that are kept, element of the person)
_KEPT: dict[str, tuple[tuple[str, ...], str]] = {
    "Condition": (
        ("clinicalStatus", "verificationStatus", "category", "severity", "code", "onsetDateTime", "recordedDate"), "subject"),
    "AllergyIntolerance": (
        ("clinicalStatus", "verificationStatus", "type", "category", "criticality", "code", "recordedDate"), "patient"),
    "MedicationRequest": (
        ("status", "intent", "medicationCodeableConcept", "authoredOn", "dosageInstruction"), "subject"),
    "Immunization": (("status", "vaccineCode", "occurrenceDateTime", "lotNumber"), "patient"),
    "Observation": (
        ("status", "category", "code", "effectiveDateTime", "valueQuantity", "valueString", "valueCodeableConcept",
         "interpretation", "referenceRange"), "subject"),
    "Procedure": (("status", "code", "performedDateTime", "performedPeriod"), "subject"),
}  # fmt: skip


def summary_document(
    patient: JsonObject,
    facts: Sequence[Fact],
    told: Sequence[str],
    silent: Sequence[str],
    custodian: str,
    at: datetime,
) -> JsonObject:
    """The document Bundle. ``told``, ``silent``: names of facilities whose records are in it, and of those known to treat the
    person from which nothing came.
    """
    who = _urn("Patient", patient["id"])
    entries: list[JsonObject] = []
    sections: list[JsonObject] = []
    for section in SECTIONS:
        chosen = _chosen(section.kind, [f for f in facts if f.resource["resourceType"] == section.kind])
        if not chosen and not section.absent:
            continue
        resources = [_kept(f, who) for f in chosen] or [_unknown(section, who)]
        said: list[str] = [_line(f) for f in chosen] or ["Không có thông tin."]
        placed = [{"fullUrl": _urn(r["resourceType"], str(r["id"])), "resource": r} for r in resources]
        entries += placed
        sections.append(_section(section, said, [str(e["fullUrl"]) for e in placed]))
    lines = [*(f"Có hồ sơ: {name}" for name in told), *(f"Chưa có hồ sơ gửi đến: {name}" for name in silent)]
    lines.append("Hồ sơ cơ sở này không có quyền xem không nằm trong bản tóm tắt.")
    sections.append({"title": "Nguồn của bản tóm tắt", "text": _div(lines)})
    composition: JsonObject = {
        "resourceType": "Composition",
        "id": str(uuid5(NAMESPACE_URL, f"{who}|{fhir_instant(at)}")),
        "status": "final",
        "type": {
            "coding": [{"system": systems.LOINC, "code": "60591-5", "display": "Patient summary Document"}]
        },
        "subject": {"reference": who},
        "date": fhir_instant(at),
        "author": [{"display": custodian}],
        "title": "Tóm tắt bệnh sử (International Patient Summary)",
        "custodian": {"display": custodian},
        "section": sections,
    }
    first = {"fullUrl": f"urn:uuid:{composition['id']}", "resource": composition}
    person = {"fullUrl": who, "resource": _person(patient)}
    return {
        "resourceType": "Bundle",
        "identifier": {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{composition['id']}"},
        "type": "document",
        "timestamp": fhir_instant(at),
        "entry": [first, person, *entries],
    }


def _urn(kind: str, id_: str) -> str:
    return f"urn:uuid:{uuid5(NAMESPACE_URL, f'{kind}/{id_}')}"


def _person(patient: JsonObject) -> JsonObject:
    kept = ("resourceType", "id", "identifier", "active", "name", "telecom", "gender", "birthDate", "address")
    return {k: patient[k] for k in kept if k in patient}


def _kept(fact: Fact, who: str) -> JsonObject:
    """The elements that mean something outside the record, the facility named; nothing points out of the document."""
    source = fact.resource
    names, person = _KEPT[source["resourceType"]]
    own = uuid5(
        NAMESPACE_URL, f"{fact.facility}/{source['resourceType']}/{source['id']}"
    )  # two facilities may use one id
    resource: JsonObject = {"resourceType": source["resourceType"], "id": str(own)}
    resource["meta"] = {"source": "urn:benhan:co-so", "tag": [{"display": fact.facility}]}
    resource |= {name: source[name] for name in names if name in source}
    resource[person] = {"reference": who}
    if source["resourceType"] == "Observation":
        resource["performer"] = [{"display": fact.facility}]
    return resource


def _unknown(section: Section, who: str) -> JsonObject:
    """IPS: what is not known is said so, never left out and never turned into "none"."""
    code = {"coding": [{"system": ABSENT, "code": section.absent}], "text": "Không có thông tin"}
    names: dict[str, JsonObject] = {
        "Condition": {"code": code, "subject": {"reference": who}},
        "AllergyIntolerance": {
            "clinicalStatus": {"coding": [{"system": _CLINICAL, "code": "active"}]},
            "code": code,
            "patient": {"reference": who},
        },
        "MedicationRequest": {
            "status": "unknown",
            "intent": "order",
            "medicationCodeableConcept": code,
            "subject": {"reference": who},
        },
    }
    if section.kind == "Condition":
        status = "http://terminology.hl7.org/CodeSystem/condition-clinical"
        names["Condition"]["clinicalStatus"] = {"coding": [{"system": status, "code": "active"}]}
    return {"resourceType": section.kind, "id": section.absent, **names[section.kind]}


def _chosen(kind: str, facts: list[Fact]) -> list[Fact]:
    """What goes into a section, the newest first: each thing of a facility once, results the last few of each kind."""
    standing = [f for f in facts if not _is_error(f.resource)]
    standing.sort(key=lambda f: _when(f.resource), reverse=True)
    if kind == "Observation":
        standing = [f for f in standing if _is_laboratory(f.resource)]
        return _first_of_each(standing, _name, RESULTS_OF_ONE)[:MOST_RESULTS]
    if kind in ("Condition", "AllergyIntolerance"):
        return _first_of_each(standing, lambda r: dumps(r.get("code", {})).decode(), 1)
    return standing[:MOST_DRUGS]


def _first_of_each(facts: Sequence[Fact], key: Callable[[JsonObject], str], most: int) -> list[Fact]:
    seen: dict[str, int] = {}
    kept = []
    for fact in facts:
        name = f"{fact.facility}|{key(fact.resource)}"
        seen[name] = seen.get(name, 0) + 1
        if seen[name] <= most:
            kept.append(fact)
    return kept


def _is_error(resource: JsonObject) -> bool:
    codes = {c.get("code") for c in (resource.get("verificationStatus") or {}).get("coding", [])}
    return resource.get("status") in ("entered-in-error", "cancelled") or bool(
        codes & {"entered-in-error", "refuted"}
    )


def _is_laboratory(resource: JsonObject) -> bool:
    return any(
        c.get("code") == "laboratory" for g in resource.get("category", []) for c in g.get("coding", [])
    )


def _when(resource: JsonObject) -> str:
    names = (
        "effectiveDateTime", "authoredOn", "performedDateTime", "occurrenceDateTime", "recordedDate", "onsetDateTime",
    )  # fmt: skip
    period = resource.get("performedPeriod") or {}
    return next((str(resource[n]) for n in names if n in resource), str(period.get("start", "")))


def _name(resource: JsonObject) -> str:
    code = (
        resource.get("code") or resource.get("medicationCodeableConcept") or resource.get("vaccineCode") or {}
    )
    coding = (code.get("coding") or [{}])[0]
    return str(code.get("text") or coding.get("display") or coding.get("code") or "?")


def _value(resource: JsonObject) -> str:
    quantity = resource.get("valueQuantity") or {}
    if quantity:
        return f"{quantity.get('value', '')} {quantity.get('unit', '')}".strip()
    return str(resource.get("valueString") or (resource.get("valueCodeableConcept") or {}).get("text") or "")


def _line(fact: Fact) -> str:
    resource = fact.resource
    dose = (resource.get("dosageInstruction") or [{}])[0].get("text", "")
    day = "/".join(reversed(_when(resource)[:10].split("-")))
    parts = (_name(resource), _value(resource), dose, day, fact.facility)
    return " · ".join(p for p in parts if p)


def _section(section: Section, lines: Sequence[str], references: Sequence[str]) -> JsonObject:
    return {
        "title": section.title,
        "code": {"coding": [{"system": systems.LOINC, "code": section.code, "display": section.display}]},
        "text": _div(lines),
        "entry": [{"reference": r} for r in references],
    }


def _div(lines: Sequence[str]) -> JsonObject:
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml"><ul>{items}</ul></div>'}
