"""Facts the record already knows, in the answer shape of forms: what ``populate`` of a form may ask for.

A fact has one home; a form shows it as a default and freezes it when signed.
"""

from __future__ import annotations

from typing import Any

from benhan.base.clock import fhir_instant, local_date
from benhan.base.errors import NotAllowed, NotFound
from benhan.base.text import fold
from benhan.catalogue import commune, form_doi_tuong, provinces, systems
from benhan.forms import Form, catalogue, empty
from benhan.identity import name_of, person_of
from benhan.records.cases import case
from benhan.records.entitlement import entitled, entitlement_line
from benhan.records.shapes import all_of, fact_of, house, identifier_of, must, of_encounter
from benhan.records.stays import stays
from benhan.records.types import Case, JsonObject, Stay
from benhan.records.vitals import latest, vital_series
from benhan.store import Repository, Stored

_SIGNS = ("pulse", "temperature", "systolic", "diastolic", "breathing", "spo2", "weight", "height")
#: stage of a diagnosis (system urn:benhan:giai-doan-chan-doan) → name of the fact
_STAGES = {
    "noi-chuyen-den": "encounter.diagnosis.referral",
    "kkb": "encounter.diagnosis.emergency",
    "vao-khoa": "encounter.diagnosis.admission",
    "ra-vien": "encounter.diagnosis.discharge",
}


def form_of(response: JsonObject) -> Form:
    """The form and edition a ``QuestionnaireResponse`` was opened under: old records print on the old edition.

    Raises: ``NotFound`` (records.no-such-form).
    """
    url, _, edition = str(response.get("questionnaire", "")).partition("|")
    for form in catalogue().all():
        if form.url == url and form.edition == edition:
            return form
    raise NotFound("records.no-such-form", "Không có biểu mẫu của tờ này.", diagnostics=url)


async def facts(repo: Repository, encounter_id: str) -> dict[str, Any]:
    """Every fact about the đợt that a form may ask for; empty ones are left out."""
    here = await case(repo, encounter_id)
    encounter = await repo.read("Encounter", encounter_id)
    place = await house(repo)
    known: dict[str, Any] = {
        "facility.name": place.name,
        "facility.code": place.code,
        "facility.authority": "Sở Y tế tỉnh Quảng Ngãi",
        "record.number": here.so_benh_an,
        "record.archive_number": here.so_luu_tru,
        "now": _minute(fhir_instant(repo.clock.now())),
        "patient.allergies": await _allergies(repo, here.patient_id),
        **await _patient(repo, here),
        **_encounter(encounter.data),
        **_stays(await stays(repo, encounter_id), here),
        **({} if here.scanned else await _coverage(repo, encounter_id, here)),
        **await diagnoses(repo, encounter_id),
    }
    series = latest(await vital_series(repo, here.patient_id, encounter_id=encounter_id))
    known |= {f"vitals.{name}": series[name].value for name in _SIGNS if name in series}
    return {name: value for name, value in known.items() if not empty(value)}


async def _patient(repo: Repository, here: Case) -> dict[str, Any]:
    patient = (await repo.read("Patient", here.patient_id)).data
    person = person_of(patient)
    unit = commune(person.commune_code)
    province = person.province_code or (unit.province_code if unit else "")
    named = next((p for p in provinces() if p.code == province), None)
    identity = person.cccd or person.passport
    known: dict[str, Any] = {
        "patient.name": name_of(patient).upper(),
        "patient.birth_date": person.birth_date,
        "patient.gender": {"male": "1", "female": "2"}.get(person.sex),
        "patient.occupation": {"text": person.occupation} if person.occupation else None,
        "patient.nationality": {
            "text": person.nationality or "Việt Nam",
            "code": "" if person.nationality else "000",
        },
        "patient.address": full_address(person.address, unit.full_name if unit else ""),
        **_address_lines(patient, person.address),
        "patient.workplace": person.workplace,
        "patient.phone": person.phone,
        "patient.identity": identity,
        "patient.number": identifier_of(patient, systems.MA_BN),
        "patient.father": _relative(patient, "FTH"),
        "patient.mother": _relative(patient, "MTH") or await _mother(repo, person.mother_id),
        "patient.identity.issued": _issued(patient),
        "patient.contact.name": person.contact_name,
        "patient.contact.address": person.contact_address,
        "patient.contact.phone": person.contact_phone,
    }
    if person.ethnicity:
        coding: JsonObject = next(
            (e["valueCoding"] for e in patient.get("extension", []) if e["url"] == systems.EXT_ETHNICITY), {}
        )
        known["patient.ethnicity"] = {"code": person.ethnicity, "text": coding.get("display", "")}
    if unit:
        known["patient.address.commune"] = {"code": unit.code, "text": unit.full_name}
    if named:
        known["patient.address.province"] = {"code": named.code, "text": named.full_name}
    if known["patient.nationality"]["code"] == "":
        known["patient.nationality"] = {"text": person.nationality}
    return known


def _address_lines(patient: JsonObject, typed: str) -> dict[str, str]:
    """House number and hamlet, where somebody has told them apart; else all of it as the hamlet."""
    address: JsonObject = next(iter(patient.get("address", [])), {})
    lines = address.get("line", [])
    if len(lines) > 1:
        return {
            "patient.address.line": str(lines[0]),
            "patient.address.hamlet": ", ".join(map(str, lines[1:])),
        }
    return {"patient.address.hamlet": typed}


def _relative(patient: JsonObject, role: str) -> str:
    """Name of a contact by its HL7 role (v3-RoleCode)."""
    for contact in patient.get("contact", []):
        codes = {c.get("code") for r in contact.get("relationship", []) for c in r.get("coding", [])}
        if role in codes:
            return str(contact.get("name", {}).get("text", ""))
    return ""


async def _mother(repo: Repository, mother_id: str) -> str:
    """Name of the newborn's mother; nothing where her record is not ours to read."""
    try:
        return name_of((await repo.read("Patient", mother_id)).data) if mother_id else ""
    except (NotAllowed, NotFound):
        return ""


def _issued(patient: JsonObject) -> str:
    """Day on which the citizen's card was issued."""
    card: JsonObject = next((i for i in patient.get("identifier", []) if i.get("system") == systems.CCCD), {})
    return str(card.get("period", {}).get("start", ""))


async def _allergies(repo: Repository, patient_id: str) -> str:
    """Allergies on one line, the refuted and those set entered-in-error left out."""
    found = await all_of(repo, "AllergyIntolerance", [("patient", f"Patient/{patient_id}")])
    names = [str(s.data.get("code", {}).get("text", "")) for s in found if _stands(s.data)]
    return "; ".join(dict.fromkeys(name for name in names if name))


def _stands(allergy: JsonObject) -> bool:
    codings = allergy.get("verificationStatus", {}).get("coding", [])
    return not any(c.get("code") in ("entered-in-error", "refuted") for c in codings)


def full_address(typed: str, commune: str) -> str:
    """Address on one line: what was typed or read from a card, and the commune unless that names it already."""
    told = fold(commune) in fold(typed)
    return ", ".join(part for part in (typed, "" if told else commune) if part)


def _encounter(encounter: JsonObject) -> dict[str, Any]:
    period = encounter["period"]
    return {
        "encounter.number": identifier_of(encounter, systems.SO_VAO_VIEN),
        "encounter.start": _minute(period["start"]),
        "encounter.end": _minute(period.get("end")),
        "encounter.entry": fact_of(encounter, "truc-tiep-vao"),
        "encounter.referrer": fact_of(encounter, "noi-gioi-thieu"),
        "encounter.discharge_way": fact_of(encounter, "muc-18"),
        "encounter.result": fact_of(encounter, "muc-24"),
        "record.treatment": fact_of(encounter, "pp-dieu-tri"),
        "record.advice": fact_of(encounter, "loi-dan"),
    }


def _minute(text: str | None) -> str:
    return must(text).replace(microsecond=0).isoformat() if text else ""


def _khoa(stay: Stay) -> JsonObject:
    return {"code": stay.khoa, "text": stay.khoa_name}


def _stays(found: list[Stay], here: Case) -> dict[str, Any]:
    if not found:
        return {}
    now, first = found[-1], found[0]
    bed = now.beds[-1] if now.beds else None
    return {
        "encounter.department": _khoa(now),
        "encounter.room": bed.room if bed else "",
        "encounter.bed": bed.bed if bed else "",
        "encounter.first_stay.department": _khoa(first),
        "encounter.first_stay.start": first.start.replace(microsecond=0).isoformat(),
        "encounter.first_stay.days": _days(first),
        "encounter.transfers": [
            {"khoa": _khoa(s), "luc": s.start.replace(microsecond=0).isoformat(), **_days_cell(s)}
            for s in found[1:]
        ],
        "encounter.discharge_department": _khoa(now) if here.discharged_at else None,
    }


def _days(stay: Stay) -> int | None:
    if stay.end is None:
        return None
    return max((local_date(stay.end) - local_date(stay.start)).days, 1)


def _days_cell(stay: Stay) -> JsonObject:
    days = _days(stay)
    return {} if days is None else {"so_ngay": days}


async def _coverage(repo: Repository, encounter_id: str, here: Case) -> dict[str, Any]:
    at = here.discharged_at or repo.clock.now()
    right = entitled(await entitlement_line(repo, encounter_id), at)
    payer = "bhyt" if right else "thu-phi"
    known: dict[str, Any] = {"encounter.payer": form_doi_tuong(payer, local_date(at))}
    if right:
        known["coverage.number"] = right.card
        known["coverage.end"] = right.valid_to.isoformat() if right.valid_to else ""
        known["coverage.social_number"] = right.card[-10:]
    return known


async def diagnoses(repo: Repository, encounter_id: str) -> dict[str, Any]:
    """Diagnoses of the đợt by the fact of their stage."""
    known: dict[str, Any] = {}
    others: list[JsonObject] = []
    for stored in await of_encounter(repo, "Condition", encounter_id):
        stage, value = diagnosis_stage(stored), diagnosis_value(stored.data)
        if not value or is_error(stored.data):
            continue
        if stage in _STAGES:
            known.setdefault(_STAGES[stage], value)
        elif stage == "kem-theo":
            others.append(value)
    if others:
        known["encounter.diagnosis.discharge_other"] = others
    return known


def diagnosis_stage(condition: Stored) -> str:
    """Stage of a diagnosis, ``""`` when the Condition is none of the record's diagnoses."""
    for category in condition.data.get("category", []):
        for coding in category.get("coding", []):
            if coding.get("system") == systems.DIAGNOSIS_STAGE:
                return str(coding["code"])
    return ""


def diagnosis_value(condition: JsonObject) -> JsonObject:
    """Code and text of a diagnosis in the answer shape of forms."""
    code = condition.get("code", {})
    icd: JsonObject = next((c for c in code.get("coding", []) if c.get("system") == systems.ICD10), {})
    value = {"code": icd.get("code", ""), "text": code.get("text", "")}
    return {k: v for k, v in value.items() if v}


def is_error(resource: JsonObject) -> bool:
    """True when a resource was set entered-in-error."""
    if resource.get("status") == "entered-in-error":
        return True
    codings = resource.get("verificationStatus", {}).get("coding", [])
    return any(c.get("code") == "entered-in-error" for c in codings)
