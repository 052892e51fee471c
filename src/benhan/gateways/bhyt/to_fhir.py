"""From a claim package to FHIR: a transaction Bundle of PUTs whose ids follow from facility, MA_LK, table and line.

What FHIR has a place for is said in FHIR. Every line is also kept whole in an extension ``urn:benhan:bhyt:<table>`` (one
part per tag that is not empty), so that :mod:`benhan.gateways.bhyt.from_fhir` gives back the very same package.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from html import escape
from uuid import NAMESPACE_URL, uuid5

from benhan.base.clock import VIETNAM, fhir_instant
from benhan.base.json_door import JsonObject
from benhan.catalogue import systems
from benhan.gateways.bhyt.package import Package, Row, refused, write_package
from benhan.gateways.bhyt.tables import codes, tables
from benhan.gateways.bhyt.values import moment, number

ROW = "urn:benhan:bhyt:"
PACKAGE = "urn:benhan:bhyt:goi"
_PLAIN = re.compile(r"[ \r\n\t\S]+")
_BIRTH_TIME = "http://hl7.org/fhir/StructureDefinition/patient-birthTime"
_INPATIENT = ("03", "04", "06", "09")
_ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
_TABLE = "urn:benhan:bhyt:bang"


def line_id(package: Package, table: str, line: int | str) -> str:
    """Id of the resource of one line: the same for every repetition of the package."""
    return str(uuid5(NAMESPACE_URL, f"{package.facility}|{package.ma_lk}|{table}|{line}"))


def patient_id(package: Package) -> str:
    """Id of the patient at this facility."""
    number_of = package.table("XML1")[0].get("MA_BN") or package.ma_lk
    return str(uuid5(NAMESPACE_URL, f"{package.facility}|{number_of}"))


def content_hash(package: Package) -> str:
    """Hash of what the package says, whatever its spelling."""
    return hashlib.sha256(write_package(package)).hexdigest()


def to_fhir(package: Package, source_name: str = "", recorded: datetime | None = None) -> JsonObject:
    """The transaction Bundle. ``recorded``: when it was read, for ``Provenance``.

    Raises: ``InvalidInput`` bhyt.unreadable for a package without MA_LK, NGAY_VAO or NGAY_RA.
    """
    resources = list(_resources(package))
    provenance = list(_provenances(package, resources, source_name, recorded))
    entries = [
        {"resource": r, "request": {"method": "PUT", "url": f"{r['resourceType']}/{r['id']}"}}
        for r in (*(r for _, r in resources), *provenance)
    ]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def _resources(package: Package) -> Iterator[tuple[str, JsonObject]]:
    head = package.table("XML1")[0]
    if not head.get("MA_LK"):
        raise refused("XML1/dòng 1/MA_LK", "thiếu mã liên kết")
    about = _About(package)
    yield "XML1", _patient(package, head)
    for sequence, card in enumerate(_split(head, "MA_THE_BHYT"), 1):
        yield "XML1", _coverage(about, head, sequence, card)
    yield "XML1", _encounter(about, head)
    yield "XML1", _condition(about, head.get("MA_BENH_CHINH"), head.get("CHAN_DOAN_RV"), "chinh")
    for code in _split(head, "MA_BENH_KT"):
        yield "XML1", _condition(about, code, "", f"kt:{code}")
    for name, rows in package.rows.items():
        if name != "XML1":
            for row in rows:
                yield name, _with_row(_of_line(about, row), row)
    yield "XML1", _claim(about, head)


class _About:
    """References that every resource of the package shares."""

    def __init__(self, package: Package) -> None:
        self.package = package
        self.patient = {"reference": f"Patient/{patient_id(package)}"}
        self.encounter = {"reference": f"Encounter/{line_id(package, 'XML1', 'dot')}"}
        self.provider = {"identifier": {"system": systems.MA_CSKCB, "value": package.facility}}
        head = package.table("XML1")[0]
        self.start = instant(head.get("NGAY_VAO"))
        self.end = instant(head.get("NGAY_RA"))
        if not self.start or not self.end:
            raise refused("XML1/dòng 1/NGAY_RA", "thiếu hoặc sai thời điểm đến, thời điểm ra")


def instant(text: str) -> str:
    """FHIR dateTime of ``yyyymmddHHMM``; empty when it is none."""
    at = moment(text)
    return fhir_instant(at.replace(tzinfo=VIETNAM)) if at else ""


def day(text: str) -> str:
    """FHIR date of ``yyyymmdd…`` with its own precision: unknown month or day are ``00``."""
    known = moment(text[:4] + text[4:8].replace("00", "01")) if len(text) >= 8 else None
    year, month, date_ = text[:4], text[4:6], text[6:8]
    if not year.isdigit() or len(year) != 4:
        return ""
    if month in ("", "00"):
        return year
    if date_ in ("", "00"):
        return f"{year}-{month}"
    return f"{year}-{month}-{date_}" if known or moment(text[:8]) else year


def row_extension(row: Row) -> JsonObject:
    """The line whole, tag by tag; text that FHIR strings forbid is kept in base64."""
    parts: list[JsonObject] = [{"url": "dong", "valueInteger": row.line}]
    for name, text in row.values.items():
        if text and _PLAIN.fullmatch(text):
            parts.append({"url": name, "valueString": text})
        elif text:
            parts.append({"url": name, "valueBase64Binary": base64.b64encode(text.encode()).decode()})
        elif name not in tables()[row.table].names():
            parts.append({"url": name, "valueBoolean": False})
    return {"url": ROW + row.table, "extension": parts}


def _with_row(resource: JsonObject, row: Row) -> JsonObject:
    return {**resource, "extension": [*resource.get("extension", []), row_extension(row)]}


def _split(row: Row, name: str) -> list[str]:
    return [part for part in row.get(name).split(";") if part]


def _clean(resource: JsonObject) -> JsonObject:
    """Without members that hold nothing."""
    return {k: v for k, v in resource.items() if v not in ("", None, [], {})}


def _concept(system: str, code: str, text: str) -> JsonObject:
    concept: JsonObject = {"coding": [{"system": system, "code": code}]} if code.strip() else {}
    if text.strip():
        concept["text"] = text
    return concept or {"text": "Không ghi"}


def _patient(package: Package, head: Row) -> JsonObject:
    pairs = ((systems.MA_BN, "MA_BN"), (systems.CCCD, "SO_CCCD"))
    identifiers = [{"system": s, "value": head.get(n)} for s, n in pairs if head.get(n)]
    identifiers += [{"system": systems.BHYT, "value": c} for c in _split(head, "MA_THE_BHYT") if len(c) == 15]
    born = head.get("NGAY_SINH")
    patient = _clean(
        {
            "resourceType": "Patient",
            "id": patient_id(package),
            "identifier": identifiers,
            "name": [{"text": head.get("HO_TEN")}] if head.get("HO_TEN") else [],
            "gender": {"1": "male", "2": "female"}.get(head.get("GIOI_TINH"), "unknown"),
            "birthDate": day(born),
            "telecom": [{"system": "phone", "value": head.get("DIEN_THOAI")}]
            if head.get("DIEN_THOAI")
            else [],
            "address": [{"text": head.get("DIA_CHI")}] if head.get("DIA_CHI") else [],
            "managingOrganization": {"identifier": {"system": systems.MA_CSKCB, "value": package.facility}},
        }
    )
    if born[8:] not in ("", "0000") and instant(born):
        patient["_birthDate"] = {"extension": [{"url": _BIRTH_TIME, "valueDateTime": instant(born)}]}
    return patient


def _nth(row: Row, name: str, sequence: int) -> str:
    parts = row.get(name).split(";")
    return parts[sequence - 1] if sequence <= len(parts) else ""


def _coverage(about: _About, head: Row, sequence: int, card: str) -> JsonObject:
    dates = (("start", "GT_THE_TU"), ("end", "GT_THE_DEN"))
    return _clean(
        {
            "resourceType": "Coverage",
            "id": line_id(about.package, "XML1", f"the:{sequence}"),
            "identifier": [{"system": systems.BHYT, "value": card}],
            "status": "active",
            "subscriberId": card,
            "beneficiary": about.patient,
            "period": _clean({key: day(_nth(head, name, sequence)) for key, name in dates}),
            "payor": [{"display": "Bảo hiểm xã hội Việt Nam"}],
        }
    )


def _encounter(about: _About, head: Row) -> JsonObject:
    inpatient = head.get("MA_LOAI_KCB") in _INPATIENT
    disposition = codes("MA_LOAI_RV").get(head.get("MA_LOAI_RV"))
    encounter = _clean(
        {
            "resourceType": "Encounter",
            "id": line_id(about.package, "XML1", "dot"),
            "identifier": [{"system": systems.MA_LK, "value": about.package.ma_lk}],
            "status": "finished",
            "class": {"system": _ACT, "code": "IMP" if inpatient else "AMB"},
            "type": [_concept(systems.MA_LOAI_KCB, head.get("MA_LOAI_KCB"), "")],
            "subject": about.patient,
            "period": {"start": about.start, "end": about.end},
            "reasonCode": [{"text": head.get("LY_DO_VV")}] if head.get("LY_DO_VV") else [],
            "diagnosis": [
                {"condition": {"reference": f"Condition/{line_id(about.package, 'XML1', 'chinh')}"}}
            ],
            "serviceProvider": about.provider,
        }
    )
    if disposition:
        chosen = _concept(systems.MA_LOAI_RV, disposition.code, disposition.title)
        encounter["hospitalization"] = {"dischargeDisposition": chosen}
    return encounter


def _condition(about: _About, code: str, text: str, key: str) -> JsonObject:
    return {
        "resourceType": "Condition",
        "id": line_id(about.package, "XML1", key),
        "code": _concept(systems.ICD10, code, text),
        "subject": about.patient,
        "encounter": about.encounter,
        "recordedDate": about.end,
    }


def _of_line(about: _About, row: Row) -> JsonObject:
    base = {"id": line_id(about.package, row.table, row.line)}
    if row.table == "XML2":
        return {**_drug(about, row), **base}
    if row.table == "XML3":
        return {**_service(about, row), **base}
    if row.table == "XML4":
        return {**_result(about, row), **base}
    if row.table == "XML5":
        return {**_progress(about, row), **base}
    return {**_composition(about, row), **base}


def _drug(about: _About, row: Row) -> JsonObject:
    dose = {"value": number(row, "SO_LUONG")}
    if row.get("DON_VI_TINH").strip():
        dose["unit"] = row.get("DON_VI_TINH")  # type: ignore[assignment]
    return {
        "resourceType": "MedicationAdministration",
        "status": "completed",
        "medicationCodeableConcept": _concept(systems.DRUG, row.get("MA_THUOC"), row.get("TEN_THUOC")),
        "subject": about.patient,
        "context": about.encounter,
        "effectiveDateTime": instant(row.get("NGAY_TH_YL")) or instant(row.get("NGAY_YL")) or about.start,
        "dosage": _clean({"text": row.get("LIEU_DUNG").strip(), "dose": dose}),
    }


def _service(about: _About, row: Row) -> JsonObject:
    """A service that was carried out is a Procedure; laboratory and imaging are the request their results answer."""
    code = _concept(
        systems.SERVICE,
        row.get("MA_DICH_VU") or row.get("MA_VAT_TU"),
        row.get("TEN_DICH_VU") or row.get("TEN_VAT_TU"),
    )
    shared: JsonObject = {
        "status": "completed",
        "code": code,
        "subject": about.patient,
        "encounter": about.encounter,
    }
    if row.get("MA_NHOM") in ("1", "2", "3"):
        at = instant(row.get("NGAY_YL")) or about.start
        return {"resourceType": "ServiceRequest", "intent": "order", "authoredOn": at, **shared}
    at = instant(row.get("NGAY_TH_YL")) or instant(row.get("NGAY_YL")) or about.start
    return {"resourceType": "Procedure", "performedDateTime": at, **shared}


def _result(about: _About, row: Row) -> JsonObject:
    value, unit = row.get("GIA_TRI").strip(), row.get("DON_VI_DO").strip()
    observation: JsonObject = {
        "resourceType": "Observation",
        "status": "final",
        "category": [
            _concept("http://terminology.hl7.org/CodeSystem/observation-category", "laboratory", "")
        ],
        "code": _concept(
            systems.LAB,
            row.get("MA_CHI_SO") or row.get("MA_DICH_VU"),
            row.get("TEN_CHI_SO") or row.get("KET_LUAN"),
        ),
        "subject": about.patient,
        "encounter": about.encounter,
        "effectiveDateTime": instant(row.get("NGAY_KQ")) or about.end,
    }
    text = value or row.get("KET_LUAN").strip() or row.get("MO_TA").strip()
    if re.fullmatch(r"-?(0|[1-9]\d*)(\.\d+)?", value):
        observation["valueQuantity"] = _clean({"value": Decimal(value), "unit": unit})
    elif text and _PLAIN.fullmatch(text):
        observation["valueString"] = text
    return observation


def _progress(about: _About, row: Row) -> JsonObject:
    text = row.get("DIEN_BIEN_LS")
    observation: JsonObject = {
        "resourceType": "Observation",
        "status": "final",
        "code": _concept(_TABLE, "XML5", "Diễn biến lâm sàng"),
        "subject": about.patient,
        "encounter": about.encounter,
        "effectiveDateTime": instant(row.get("THOI_DIEM_DBLS")) or about.start,
    }
    if text.strip() and _PLAIN.fullmatch(text):
        observation["valueString"] = text
    return observation


def _composition(about: _About, row: Row) -> JsonObject:
    """A paper (XML6-XML11, XML13-XML15): its tags as a readable list."""
    table = tables()[row.table]
    titles = {f.name: f.title for f in table.fields}
    lines = "".join(
        f"<p><b>{escape(titles.get(n, n))}:</b> {escape(t)}</p>" for n, t in row.values.items() if t.strip()
    )
    div = f'<div xmlns="http://www.w3.org/1999/xhtml">{lines or "<p>-</p>"}</div>'
    return {
        "resourceType": "Composition",
        "status": "final",
        "type": _concept(_TABLE, row.table, table.title),
        "subject": about.patient,
        "encounter": about.encounter,
        "date": instant(row.get("NGAY_CT")) or about.end,
        "author": [about.provider],
        "title": table.title,
        "section": [{"title": table.title, "text": {"status": "generated", "div": div}}],
    }


def _claim(about: _About, head: Row) -> JsonObject:
    package = about.package
    about_package: JsonObject = {
        "url": PACKAGE,
        "extension": [
            {"url": name, "valueString": text}
            for name, text in (
                ("co-so", package.facility),
                ("ngay-lap", package.made_on),
                ("chu-ky", package.signature),
                ("sha256", content_hash(package)),
            )
            if text
        ],
    }
    cards = range(1, len(_split(head, "MA_THE_BHYT")) + 1)
    references = [{"reference": f"Coverage/{line_id(package, 'XML1', f'the:{i}')}"} for i in cards]
    claim: JsonObject = {
        "resourceType": "Claim",
        "id": line_id(package, "XML1", 1),
        "extension": [about_package, row_extension(head)],
        "identifier": [{"system": systems.MA_LK, "value": package.ma_lk}],
        "status": "active",
        "type": _concept("http://terminology.hl7.org/CodeSystem/claim-type", "institutional", ""),
        "use": "claim",
        "patient": about.patient,
        "created": about.end,
        "provider": about.provider,
        "priority": _concept("http://terminology.hl7.org/CodeSystem/processpriority", "normal", ""),
        "insurance": [
            {"sequence": i, "focal": i == len(references), "coverage": reference}
            for i, reference in enumerate(references, 1)
        ]
        or [{"sequence": 1, "focal": True, "coverage": {"display": "Không có thẻ BHYT"}}],
        "item": [
            {
                "sequence": 1,
                "productOrService": _concept(_TABLE, "XML1", "Toàn đợt"),
                "encounter": [about.encounter],
            }
        ],
        "total": {"value": number(head, "T_TONGCHI_BV"), "currency": "VND"},
    }
    return claim


def provenance_id(package: Package, table: str) -> str:
    """Id of the Provenance of one inner file."""
    return line_id(package, table, "nguon")


def _provenances(
    package: Package, resources: list[tuple[str, JsonObject]], source_name: str, recorded: datetime | None
) -> Iterator[JsonObject]:
    """One for each inner file: its targets are the resources of its lines, in order."""
    at = fhir_instant(recorded) if recorded else instant(package.table("XML1")[0].get("NGAY_RA"))
    for table in package.rows:
        targets = [f"{r['resourceType']}/{r['id']}" for name, r in resources if name == table]
        yield {
            "resourceType": "Provenance",
            "id": provenance_id(package, table),
            "target": [{"reference": t} for t in dict.fromkeys(targets)],
            "recorded": at,
            "activity": {"text": "Đọc từ hồ sơ BHYT (XML)"},
            "agent": [{"who": {"identifier": {"system": systems.MA_CSKCB, "value": package.facility}}}],
            "entity": [
                {
                    "role": "source",
                    "what": {
                        "identifier": {
                            "system": "urn:benhan:bhyt:tep",
                            "value": f"{source_name or 'tep'}#{table}",
                        },
                        "display": f"Tệp {source_name}, bảng {table}; dòng ở phần mở rộng của từng tài liệu",
                    },
                }
            ],
        }
