"""A person as typed or scanned, and the ``Patient`` resource made of it (pure)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from benhan.base.clock import local, parse_instant
from benhan.base.errors import InvalidInput, Issue
from benhan.base.text import squeeze
from benhan.catalogue import commune, ethnic_groups, systems
from benhan.identity.qr import CardScan

JsonObject = dict[str, Any]
STATUSES = ("verified", "provisional", "unknown", "newborn")
BIRTH_TIME = "http://hl7.org/fhir/StructureDefinition/patient-birthTime"
_TIME = re.compile(r"^([01]\d|2[0-3]):[0-5]\d$")
_BIRTH = re.compile(r"^\d{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?)?$")


@dataclass(frozen=True, slots=True)
class PersonInput:
    """What is known of a person. ``birth_date`` keeps its precision: ``1975``, ``1975-03`` or ``1975-03-02``;
    ``birth_time``: ``HH:MM`` in Viet Nam, for the newborn."""

    name: str = ""
    birth_date: str = ""
    sex: str = "unknown"
    cccd: str = ""
    cmnd: str = ""
    passport: str = ""
    bhyt: str = ""
    bhxh: str = ""
    phone: str = ""
    address: str = ""
    commune_code: str = ""
    province_code: str = ""
    ethnicity: str = ""
    occupation: str = ""
    nationality: str = ""
    workplace: str = ""
    contact_name: str = ""
    contact_phone: str = ""
    contact_address: str = ""
    status: str = "provisional"
    mother_id: str = ""
    birth_order: int | None = None
    source: str = ""
    birth_time: str = ""


def person_from_scan(scan: CardScan) -> PersonInput:
    """The person a card speaks of; identity is *scanned, unverified*."""
    if scan.kind == "cccd":
        return PersonInput(
            scan.name, scan.birth_date, scan.sex, cccd=scan.number, cmnd=scan.old_number, address=scan.address,
            source="qr-cccd",
        )  # fmt: skip
    is_citizen_number = len(scan.number) == 12
    return PersonInput(
        scan.name,
        scan.birth_date,
        scan.sex,
        cccd=scan.number if is_citizen_number else "",
        bhyt=scan.number if len(scan.number) == 15 else "",
        bhxh=scan.number if len(scan.number) == 10 else scan.number[5:] if len(scan.number) == 15 else "",
        address=scan.address,
        contact_name=scan.guardian,
        source="qr-bhyt",
    )


def check_person(person: PersonInput) -> None:
    """Refuse what cannot be a person, all faults at once.

    Raises: ``InvalidInput`` (identity.bad-person).
    """
    faults = []

    def fault(field: str, text: str) -> None:
        faults.append(Issue("identity.bad-person", text, field))

    if not squeeze(person.name) and person.status not in ("unknown", "newborn"):
        fault("name", "Thiếu họ tên.")
    if len(person.name) > 200:
        fault("name", "Họ tên quá dài.")
    if person.birth_date and not _BIRTH.match(person.birth_date):
        fault("birth_date", "Ngày sinh phải là năm, tháng-năm hoặc ngày đầy đủ.")
    if person.birth_time and not (_TIME.match(person.birth_time) and len(person.birth_date) == 10):
        fault("birth_time", "Giờ sinh viết như 08:05, kèm ngày sinh đầy đủ.")
    if person.sex not in ("male", "female", "other", "unknown"):
        fault("sex", "Giới tính không hợp lệ.")
    if person.cccd and not re.fullmatch(r"\d{12}", person.cccd):
        fault("cccd", "Số định danh phải có 12 chữ số.")
    if person.bhyt and not re.fullmatch(r"[A-Z]{2}[1-5]\d{12}|\d{10}|\d{12}", person.bhyt):
        fault("bhyt", "Mã thẻ BHYT không đúng cấu trúc.")
    if person.status not in STATUSES:
        fault("status", "Tình trạng xác minh không hợp lệ.")
    if person.status == "newborn" and not person.mother_id:
        fault("mother_id", "Trẻ sơ sinh phải gắn với người mẹ.")
    if faults:
        raise InvalidInput("identity.bad-person", "Thông tin người bệnh chưa hợp lệ.", issues=faults)


def display_name(person: PersonInput) -> str:
    """Name as stored: what was given, else what the ward calls an unnamed person."""
    name = squeeze(person.name)
    if name:
        return name
    return "Con bà (chưa đặt tên)" if person.status == "newborn" else "Chưa rõ họ tên"


def patient_resource(
    person: PersonInput,
    *,
    ma_bn: str | None = None,
    patient_id: str | None = None,
    temporary: str | None = None,
) -> JsonObject:
    """``Patient`` of the person. ``temporary``: a visible ``TMP-…`` number for who has none; never 12 digits."""
    check_person(person)
    patient: JsonObject = {"resourceType": "Patient"}
    if patient_id:
        patient["id"] = patient_id
    extensions = _extensions(person)
    patient["extension"] = extensions
    identifiers = _identifiers(person, ma_bn, temporary)
    if identifiers:
        patient["identifier"] = identifiers
    patient["active"] = True
    patient["name"] = [human_name(display_name(person))]
    telecom = [{"system": "phone", "value": squeeze(person.phone)}] if person.phone else []
    if telecom:
        patient["telecom"] = telecom
    patient["gender"] = person.sex
    if person.birth_date:
        patient["birthDate"] = person.birth_date
    if person.birth_time:
        born = f"{person.birth_date}T{person.birth_time}:00+07:00"
        patient["_birthDate"] = {"extension": [{"url": BIRTH_TIME, "valueDateTime": born}]}
    if person.birth_order is not None:
        patient["multipleBirthInteger"] = person.birth_order
    address = _address(person)
    if address:
        patient["address"] = [address]
    contact = _contact(person)
    if contact:
        patient["contact"] = [contact]
    return patient


def human_name(full: str) -> JsonObject:
    """``HumanName``: first word the family name, the rest given names; ``text`` is what is shown."""
    words = full.split(" ")
    name: JsonObject = {"use": "official", "text": full, "family": words[0]}
    if len(words) > 1:
        name["given"] = words[1:]
    return name


def _extensions(person: PersonInput) -> list[JsonObject]:
    out: list[JsonObject] = [{"url": systems.EXT_PERSON_STATUS, "valueCode": person.status}]
    if person.ethnicity:
        display = ethnic_groups().get(person.ethnicity, person.ethnicity)
        coding = {"system": systems.ETHNICITY, "code": person.ethnicity, "display": display}
        out.append({"url": systems.EXT_ETHNICITY, "valueCoding": coding})
    if person.occupation:
        out.append({"url": systems.EXT_OCCUPATION, "valueString": squeeze(person.occupation)})
    if person.nationality:
        out.append({"url": systems.EXT_FACT + "quoc-tich", "valueString": squeeze(person.nationality)})
    if person.workplace:
        out.append({"url": systems.EXT_FACT + "noi-lam-viec", "valueString": squeeze(person.workplace)})
    if person.mother_id:
        out.append(
            {"url": systems.EXT_MOTHER, "valueReference": {"reference": f"Patient/{person.mother_id}"}}
        )
    return out


def _identifiers(person: PersonInput, ma_bn: str | None, temporary: str | None) -> list[JsonObject]:
    found = (
        (systems.CCCD, person.cccd),
        (systems.CMND, person.cmnd),
        (systems.PASSPORT, person.passport),
        (systems.BHYT, person.bhyt),
        (systems.BHXH, person.bhxh),
        (systems.MA_BN, ma_bn or ""),
        (systems.TMP, temporary or ""),
    )
    out: list[JsonObject] = []
    for system, value in found:
        if not value:
            continue
        identifier: JsonObject = {"system": system, "value": value}
        if person.source.startswith("qr-") and system in (
            systems.CCCD,
            systems.CMND,
            systems.BHYT,
            systems.BHXH,
        ):
            identifier["extension"] = [{"url": systems.EXT_UNVERIFIED, "valueBoolean": True}]
        if system in (systems.CMND, systems.TMP):
            identifier["use"] = "old" if system == systems.CMND else "temp"
        out.append(identifier)
    return out


def _address(person: PersonInput) -> JsonObject:
    address: JsonObject = {}
    unit = commune(person.commune_code) if person.commune_code else None
    if unit:
        address["extension"] = [
            {
                "url": systems.COMMUNE,
                "valueCoding": {"system": systems.COMMUNE, "code": unit.code, "display": unit.full_name},
            }
        ]
        address["city"] = unit.full_name
    if person.province_code or unit:
        address["state"] = person.province_code or (unit.province_code if unit else "")
    if person.address:
        address["text"] = squeeze(person.address)
    if address:
        address["use"] = "home"
        address["country"] = "VN"
    return address


def _contact(person: PersonInput) -> JsonObject:
    contact: JsonObject = {}
    if person.contact_name:
        contact["name"] = {"text": squeeze(person.contact_name)}
    if person.contact_phone:
        contact["telecom"] = [{"system": "phone", "value": squeeze(person.contact_phone)}]
    if person.contact_address:
        contact["address"] = {"text": squeeze(person.contact_address)}
    return contact


def person_of(patient: JsonObject) -> PersonInput:
    """The person a ``Patient`` describes, for comparing and for forms."""
    ids = {
        i.get("system"): i.get("value", "") for i in patient.get("identifier", []) if i.get("use") != "old"
    }
    ext = {e.get("url"): e for e in patient.get("extension", [])}
    address: JsonObject = next(iter(patient.get("address", [])), {})
    contact: JsonObject = next(iter(patient.get("contact", [])), {})
    phone = next((t.get("value", "") for t in patient.get("telecom", []) if t.get("system") == "phone"), "")
    unit = next(
        (e["valueCoding"]["code"] for e in address.get("extension", []) if e.get("url") == systems.COMMUNE),
        "",
    )
    mother = ext.get(systems.EXT_MOTHER, {}).get("valueReference", {}).get("reference", "")
    return PersonInput(
        name=name_of(patient),
        birth_date=patient.get("birthDate", ""),
        sex=patient.get("gender", "unknown"),
        cccd=ids.get(systems.CCCD, ""),
        cmnd=ids.get(systems.CMND, ""),
        passport=ids.get(systems.PASSPORT, ""),
        bhyt=ids.get(systems.BHYT, ""),
        bhxh=ids.get(systems.BHXH, ""),
        phone=phone,
        address=address.get("text", ""),
        commune_code=unit,
        province_code=address.get("state", ""),
        ethnicity=ext.get(systems.EXT_ETHNICITY, {}).get("valueCoding", {}).get("code", ""),
        occupation=ext.get(systems.EXT_OCCUPATION, {}).get("valueString", ""),
        nationality=ext.get(systems.EXT_FACT + "quoc-tich", {}).get("valueString", ""),
        workplace=ext.get(systems.EXT_FACT + "noi-lam-viec", {}).get("valueString", ""),
        contact_name=contact.get("name", {}).get("text", ""),
        contact_phone=next((t.get("value", "") for t in contact.get("telecom", [])), ""),
        contact_address=contact.get("address", {}).get("text", ""),
        status=ext.get(systems.EXT_PERSON_STATUS, {}).get("valueCode", "provisional"),
        mother_id=mother.removeprefix("Patient/"),
        birth_order=patient.get("multipleBirthInteger"),
        birth_time=_birth_time(patient),
    )


def _birth_time(patient: JsonObject) -> str:
    told = patient.get("_birthDate", {}).get("extension", [])
    at = next((str(e.get("valueDateTime", "")) for e in told if e.get("url") == BIRTH_TIME), "")
    return f"{local(parse_instant(at)):%H:%M}" if at else ""


def name_of(patient: JsonObject) -> str:
    """Full name of a ``Patient`` as shown."""
    name: JsonObject = next(iter(patient.get("name", [])), {})
    if name.get("text"):
        return str(name["text"])
    return " ".join([*([name["family"]] if name.get("family") else []), *name.get("given", [])])
