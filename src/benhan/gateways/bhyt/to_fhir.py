"""From a claim package to FHIR: a transaction Bundle of PUTs whose ids follow from facility, MA_LK, table and line.

What FHIR has a place for is said in FHIR. Every line is also kept whole in an extension ``urn:benhan:bhyt:<table>`` (one
part per tag that is not empty), so that :mod:`benhan.gateways.bhyt.from_fhir` gives back the very same package.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import datetime

from benhan.base.clock import fhir_instant
from benhan.base.json_door import JsonObject, dumps
from benhan.catalogue import systems
from benhan.gateways.bhyt.fhir_lines import line_resource
from benhan.gateways.bhyt.fhir_parts import (
    TABLE,
    About,
    clean,
    concept,
    day,
    instant,
    line_id,
    patient_id,
    row_extension,
)
from benhan.gateways.bhyt.package import Package, Row, refused
from benhan.gateways.bhyt.tables import codes
from benhan.gateways.bhyt.values import number, parts

PACKAGE = "urn:benhan:bhyt:goi"
_BIRTH_TIME = "http://hl7.org/fhir/StructureDefinition/patient-birthTime"
_INPATIENT = ("03", "04", "06", "09")
_ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"


def content_hash(package: Package) -> str:
    """Hash of what the package says, whatever its spelling: facility, date, signature, and every tag of every line."""
    said = [package.facility, package.made_on, package.signature]
    rows = {name: [[row.line, *row.values.items()] for row in rows] for name, rows in package.rows.items()}
    return hashlib.sha256(dumps([said, rows])).hexdigest()


def to_fhir(
    package: Package, source_name: str = "", recorded: datetime | None = None, source_sha256: str = ""
) -> JsonObject:
    """The transaction Bundle. ``recorded``: when it was read; ``source_sha256``: blob of the source file.

    Raises: ``InvalidInput`` bhyt.unreadable for a package without MA_LK, NGAY_VAO or NGAY_RA.
    """
    resources = list(_resources(package))
    provenance = list(_provenances(package, resources, source_name, recorded, source_sha256))
    entries = [
        {"resource": r, "request": {"method": "PUT", "url": f"{r['resourceType']}/{r['id']}"}}
        for r in (*(r for _, r in resources), *provenance)
    ]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def _resources(package: Package) -> Iterator[tuple[str, JsonObject]]:
    head = package.table("XML1")[0]
    if not head.get("MA_LK"):
        raise refused("XML1/dòng 1/MA_LK", "thiếu mã liên kết")
    about = About(package)
    yield "XML1", _patient(package, head)
    for sequence, card in enumerate(parts(head, "MA_THE_BHYT"), 1):
        yield "XML1", _coverage(about, head, sequence, card)
    yield "XML1", _encounter(about, head)
    yield "XML1", _condition(about, head.get("MA_BENH_CHINH"), head.get("CHAN_DOAN_RV"), "chinh")
    for code in dict.fromkeys(parts(head, "MA_BENH_KT")):
        yield "XML1", _condition(about, code, "", f"kt:{code}")
    for name, rows in package.rows.items():
        if name != "XML1":
            for row in rows:
                yield name, line_resource(about, row)
    yield "XML1", _claim(about, head)


def _patient(package: Package, head: Row) -> JsonObject:
    pairs = ((systems.MA_BN, "MA_BN"), (systems.CCCD, "SO_CCCD"))
    identifiers = [{"system": s, "value": head.get(n)} for s, n in pairs if head.get(n)]
    identifiers += [{"system": systems.BHYT, "value": c} for c in parts(head, "MA_THE_BHYT") if len(c) == 15]
    born = head.get("NGAY_SINH")
    patient = clean(
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


def _coverage(about: About, head: Row, sequence: int, card: str) -> JsonObject:
    dates = (("start", "GT_THE_TU"), ("end", "GT_THE_DEN"))
    return clean(
        {
            "resourceType": "Coverage",
            "id": line_id(about.package, "XML1", f"the:{sequence}"),
            "identifier": [{"system": systems.BHYT, "value": card}],
            "status": "active",
            "subscriberId": card,
            "beneficiary": about.patient,
            "period": clean({key: day(_nth(head, name, sequence)) for key, name in dates}),
            "payor": [{"display": "Bảo hiểm xã hội Việt Nam"}],
        }
    )


def _encounter(about: About, head: Row) -> JsonObject:
    inpatient = head.get("MA_LOAI_KCB") in _INPATIENT
    disposition = codes("MA_LOAI_RV").get(head.get("MA_LOAI_RV"))
    encounter = clean(
        {
            "resourceType": "Encounter",
            "id": line_id(about.package, "XML1", "dot"),
            "identifier": [{"system": systems.MA_LK, "value": about.package.ma_lk}],
            "status": "finished",
            "class": {"system": _ACT, "code": "IMP" if inpatient else "AMB"},
            "type": [concept(systems.MA_LOAI_KCB, head.get("MA_LOAI_KCB"), "")],
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
        chosen = concept(systems.MA_LOAI_RV, disposition.code, disposition.title)
        encounter["hospitalization"] = {"dischargeDisposition": chosen}
    return encounter


def _condition(about: About, code: str, text: str, key: str) -> JsonObject:
    return {
        "resourceType": "Condition",
        "id": line_id(about.package, "XML1", key),
        "code": concept(systems.ICD10, code, text),
        "subject": about.patient,
        "encounter": about.encounter,
        "recordedDate": about.end,
    }


def _claim(about: About, head: Row) -> JsonObject:
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
    cards = range(1, len(parts(head, "MA_THE_BHYT")) + 1)
    references = [{"reference": f"Coverage/{line_id(package, 'XML1', f'the:{i}')}"} for i in cards]
    claim: JsonObject = {
        "resourceType": "Claim",
        "id": line_id(package, "XML1", 1),
        "extension": [about_package, row_extension(head)],
        "identifier": [{"system": systems.MA_LK, "value": package.ma_lk}],
        "status": "active",
        "type": concept("http://terminology.hl7.org/CodeSystem/claim-type", "institutional", ""),
        "use": "claim",
        "patient": about.patient,
        "created": about.end,
        "provider": about.provider,
        "priority": concept("http://terminology.hl7.org/CodeSystem/processpriority", "normal", ""),
        "insurance": [
            {"sequence": i, "focal": i == len(references), "coverage": reference}
            for i, reference in enumerate(references, 1)
        ]
        or [{"sequence": 1, "focal": True, "coverage": {"display": "Không có thẻ BHYT"}}],
        "item": [
            {
                "sequence": 1,
                "productOrService": concept(TABLE, "XML1", "Toàn đợt"),
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
    package: Package,
    resources: list[tuple[str, JsonObject]],
    source_name: str,
    recorded: datetime | None,
    source_sha256: str,
) -> Iterator[JsonObject]:
    """One for each inner file: its targets are the resources of its lines, in order."""
    at = fhir_instant(recorded) if recorded else instant(package.table("XML1")[0].get("NGAY_RA"))
    for table in package.rows:
        targets = [f"{r['resourceType']}/{r['id']}" for name, r in resources if name == table]
        named = {"system": "urn:benhan:bhyt:tep", "value": f"{source_name or 'tep'}#{table}"}
        display = f"Tệp {source_name}, bảng {table}; dòng ở phần mở rộng của từng tài liệu"
        entity: list[JsonObject] = [{"role": "source", "what": {"identifier": named, "display": display}}]
        if source_sha256:
            blob = {"system": "urn:ietf:rfc:3986", "value": f"urn:sha256:{source_sha256}"}
            entity.append({"role": "source", "what": {"identifier": blob, "display": "Tệp gốc nguyên vẹn"}})
        yield {
            "resourceType": "Provenance",
            "id": provenance_id(package, table),
            "target": [{"reference": t} for t in dict.fromkeys(targets)],
            "recorded": at,
            "activity": {"text": "Đọc từ hồ sơ BHYT (XML)"},
            "agent": [{"who": {"identifier": {"system": systems.MA_CSKCB, "value": package.facility}}}],
            "entity": entity,
        }
