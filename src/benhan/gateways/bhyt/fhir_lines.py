"""One line of XML2-XML15 as a FHIR resource. Pure.

A drug given in hospital is an administration, one prescribed to take home a request; a result with a value is an
observation, a conclusion of imaging, pathology or culture a report; a paper is a composition.
"""

from __future__ import annotations

import re
from decimal import Decimal
from html import escape

from benhan.base.json_door import JsonObject
from benhan.catalogue import systems
from benhan.gateways.bhyt.fhir_parts import (
    PLAIN,
    TABLE,
    About,
    clean,
    concept,
    instant,
    line_id,
    row_extension,
)
from benhan.gateways.bhyt.package import Row
from benhan.gateways.bhyt.tables import tables
from benhan.gateways.bhyt.values import fits, number

_DECIMAL = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?")
#: kinds of care whose drugs are given on the spot
_ON_THE_SPOT = ("03", "04", "06", "09")


def line_resource(about: About, row: Row) -> JsonObject:
    """The resource of a line of any table but XML1, with the line itself kept whole in its extension."""
    make = {"XML2": _drug, "XML3": _service, "XML4": _result, "XML5": _progress}.get(row.table, _composition)
    resource = make(about, row)
    return {
        **resource,
        "id": line_id(about.package, row.table, row.line),
        "extension": [*resource.get("extension", []), row_extension(row)],
    }


def _drug(about: About, row: Row) -> JsonObject:
    amount = clean({"value": number(row, "SO_LUONG"), "unit": row.get("DON_VI_TINH").strip()})
    text = row.get("LIEU_DUNG").strip()
    shared: JsonObject = {
        "status": "completed",
        "medicationCodeableConcept": concept(systems.DRUG, row.get("MA_THUOC"), row.get("TEN_THUOC")),
        "subject": about.patient,
    }
    ordered = instant(row.get("NGAY_YL")) or about.start
    if about.kind in _ON_THE_SPOT:
        return {
            "resourceType": "MedicationAdministration",
            **shared,
            "context": about.encounter,
            "effectiveDateTime": instant(row.get("NGAY_TH_YL")) or ordered,
            "dosage": clean({"text": text, "dose": amount}),
        }
    return clean(
        {
            "resourceType": "MedicationRequest",
            **shared,
            "intent": "order",
            "encounter": about.encounter,
            "authoredOn": ordered,
            "dosageInstruction": [{"text": text}] if text else [],
            "dispenseRequest": {"quantity": amount},
        }
    )


def _service(about: About, row: Row) -> JsonObject:
    """A service that was carried out is a Procedure; laboratory and imaging are the request their results answer."""
    code = concept(
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


def _result(about: About, row: Row) -> JsonObject:
    value, unit = row.get("GIA_TRI").strip(), row.get("DON_VI_DO").strip()
    shared: JsonObject = {
        "status": "final",
        "code": concept(
            systems.LAB if row.get("MA_CHI_SO") else systems.SERVICE,
            row.get("MA_CHI_SO") or row.get("MA_DICH_VU"),
            row.get("TEN_CHI_SO"),
        ),
        "subject": about.patient,
        "encounter": about.encounter,
        "effectiveDateTime": instant(row.get("NGAY_KQ")) or about.end,
    }
    told = "\n".join(t for n in ("MO_TA", "KET_LUAN") if (t := row.get(n).strip()) and PLAIN.fullmatch(t))
    if not value:
        return clean({"resourceType": "DiagnosticReport", **shared, "conclusion": told})
    category = concept("http://terminology.hl7.org/CodeSystem/observation-category", "laboratory", "")
    observation: JsonObject = {"resourceType": "Observation", **shared, "category": [category]}
    if _DECIMAL.fullmatch(value) and fits(Decimal(value)):
        observation["valueQuantity"] = clean({"value": Decimal(value), "unit": unit})
    elif PLAIN.fullmatch(value):
        observation["valueString"] = value
    if told:
        observation["note"] = [{"text": told}]
    return observation


def _progress(about: About, row: Row) -> JsonObject:
    text = row.get("DIEN_BIEN_LS")
    observation: JsonObject = {
        "resourceType": "Observation",
        "status": "final",
        "code": concept(TABLE, "XML5", "Diễn biến lâm sàng"),
        "subject": about.patient,
        "encounter": about.encounter,
        "effectiveDateTime": instant(row.get("THOI_DIEM_DBLS")) or about.start,
    }
    if text.strip() and PLAIN.fullmatch(text):
        observation["valueString"] = text
    return observation


def _composition(about: About, row: Row) -> JsonObject:
    """A paper (XML6-XML11, XML13-XML15): its tags as a readable list."""
    table = tables()[row.table]
    return {
        "resourceType": "Composition",
        "status": "final",
        "type": concept(TABLE, row.table, table.title),
        "subject": about.patient,
        "encounter": about.encounter,
        "date": instant(row.get("NGAY_CT")) or about.end,
        "author": [about.provider],
        "title": table.title,
        "section": [{"title": table.title, "text": {"status": "generated", "div": paper_text(row)}}],
    }


def paper_text(row: Row) -> str:
    """The tags of a paper that are not empty, with their titles, as XHTML."""
    titles = {f.name: f.title for f in tables()[row.table].fields}
    lines = "".join(
        f"<p><b>{escape(titles.get(n, n))}:</b> {escape(t)}</p>" for n, t in row.values.items() if t.strip()
    )
    return f'<div xmlns="http://www.w3.org/1999/xhtml">{lines or "<p>-</p>"}</div>'
