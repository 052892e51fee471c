"""Small pieces that every resource of a package is made of: ids, times, concepts, the line kept whole. Pure."""

from __future__ import annotations

import base64
import re
from uuid import NAMESPACE_URL, uuid5

from benhan.base.clock import VIETNAM, fhir_instant
from benhan.base.json_door import JsonObject
from benhan.catalogue import systems
from benhan.gateways.bhyt.package import Package, Row, refused
from benhan.gateways.bhyt.tables import tables
from benhan.gateways.bhyt.values import moment

ROW = "urn:benhan:bhyt:"
TABLE = "urn:benhan:bhyt:bang"
#: text that a FHIR string may hold
PLAIN = re.compile(r"[ \r\n\t\S]+")


def line_id(package: Package, table: str, line: int | str) -> str:
    """Id of the resource of one line: the same for every repetition of the package."""
    return str(uuid5(NAMESPACE_URL, f"{package.facility}|{package.ma_lk}|{table}|{line}"))


def patient_id(package: Package) -> str:
    """Id of the patient at this facility."""
    number_of = package.table("XML1")[0].get("MA_BN") or package.ma_lk
    return str(uuid5(NAMESPACE_URL, f"{package.facility}|{number_of}"))


class About:
    """References that every resource of the package shares."""

    def __init__(self, package: Package) -> None:
        self.package = package
        self.patient = {"reference": f"Patient/{patient_id(package)}"}
        self.encounter = {"reference": f"Encounter/{line_id(package, 'XML1', 'dot')}"}
        self.provider = {"identifier": {"system": systems.MA_CSKCB, "value": package.facility}}
        head = package.table("XML1")[0]
        self.kind = head.get("MA_LOAI_KCB")
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
    known = tables()[row.table].name_set
    plain = PLAIN.fullmatch("".join(row.values.values())) is not None
    for name, text in row.values.items():
        if text and (plain or PLAIN.fullmatch(text)):
            parts.append({"url": name, "valueString": text})
        elif text:
            parts.append({"url": name, "valueBase64Binary": base64.b64encode(text.encode()).decode()})
        elif name not in known:
            parts.append({"url": name, "valueBoolean": False})
    return {"url": ROW + row.table, "extension": parts}


def row_values(parts: list[JsonObject]) -> tuple[int, dict[str, str]]:
    """Line number and tags of what :func:`row_extension` has written."""
    line = 1
    values: dict[str, str] = {}
    for part in parts:
        name = str(part["url"])
        if name == "dong" and "valueInteger" in part:
            line = int(part["valueInteger"])
        elif "valueString" in part:
            values[name] = part["valueString"]
        elif "valueBase64Binary" in part:
            values[name] = base64.b64decode(part["valueBase64Binary"]).decode()
        else:
            values[name] = ""
    return line, values


def clean(resource: JsonObject) -> JsonObject:
    """Without members that hold nothing."""
    return {k: v for k, v in resource.items() if v not in ("", None, [], {})}


def concept(system: str, code: str, text: str) -> JsonObject:
    """A CodeableConcept; a code loses blanks that FHIR does not allow in it (the line keeps them)."""
    plain = " ".join(code.split())
    told: JsonObject = {"coding": [{"system": system, "code": plain}]} if plain else {}
    if text.strip():
        told["text"] = text
    return told or {"text": "Không ghi"}
