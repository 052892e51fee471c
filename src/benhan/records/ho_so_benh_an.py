"""Export ``HoSoBenhAn`` in JSON and XML: the eleven groups of Công văn 365/TTYQG-GPQLCL (2025), Phụ lục III.1.1 d.

The names of the groups and of ``cccd_so``, ``maicd``, ``tenicd``, ``maicd_khac``, ``chuky_hoten`` are the document's;
its full field list was not at hand, so every other field carries the form's own key and label. The document gives
the signature as a name only: the signed PDFs and the sealed container go beside this file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lxml import etree

from benhan.base import xml_door
from benhan.base.json_door import dumps
from benhan.base.text import nfc
from benhan.catalogue import systems
from benhan.forms import answers, describe
from benhan.identity import name_of, person_of
from benhan.records.cases import case
from benhan.records.facts import diagnosis_stage, diagnosis_value, form_of, is_error
from benhan.records.papers import papers
from benhan.records.shapes import house, identifier_of, of_encounter
from benhan.records.sheets import entries, is_sheet
from benhan.records.stays import stays
from benhan.records.types import Case, JsonObject, Paper
from benhan.store import Repository, Stored

GROUPS = (
    "ThongTinBenhNhan",
    "ThongTinVaoVien",
    "ThongTinDieuTri",
    "YLenhThuocVatTu",
    "PhieuChiDinh",
    "KetQuaChanDoanHinhAnh",
    "KetQuaXetNghiem",
    "GiayChuyenVien",
    "HoSoCapCuu",
    "PhieuThuThuat",
    "PhieuPhauThuat",
)
_IMAGING = {f"{n:02d}/BV2" for n in range(8, 16)}
_LABORATORY = {f"{n:02d}/BV2" for n in range(16, 27)}
_OPERATION = {f"{n:02d}/BV2" for n in (2, 5, 6, *range(30, 36))}
_EMERGENCY = {"39/BV2"}
_TRANSFER = {"TT01/2025-PL6", "45/BV2"}


async def ho_so_benh_an(repo: Repository, encounter_id: str) -> JsonObject:
    """The record in eleven groups; empty groups are there and empty."""
    here = await case(repo, encounter_id)
    found = [await _paper(repo, p) for p in await papers(repo, encounter_id)]
    orders = await of_encounter(repo, "ServiceRequest", encounter_id)
    results = await of_encounter(repo, "Observation", encounter_id)
    drugs = await of_encounter(repo, "MedicationRequest", encounter_id)
    groups: dict[str, Any] = {name: [] for name in GROUPS}
    groups["ThongTinBenhNhan"] = await _patient(repo, here)
    groups["ThongTinVaoVien"] = await _admission(repo, here)
    groups["ThongTinDieuTri"] = {**await _diagnoses(repo, encounter_id), "giay_to": []}
    for paper in found:
        _place(groups, paper)
    groups["YLenhThuocVatTu"] += [_coded(d, "medicationCodeableConcept", "authoredOn") for d in drugs]
    groups["PhieuChiDinh"] += [_coded(o, "code", "authoredOn") for o in orders]
    groups["KetQuaXetNghiem"] += [_result(r) for r in results if "laboratory" in _categories(r)]
    return {"HoSoBenhAn": groups}


def _place(groups: dict[str, Any], paper: JsonObject) -> None:
    code = paper["mau"]
    if code in _IMAGING:
        groups["KetQuaChanDoanHinhAnh"].append(paper)
    elif code in _LABORATORY:
        groups["KetQuaXetNghiem"].append(paper)
    elif code in _EMERGENCY:
        groups["HoSoCapCuu"].append(paper)
    elif code in _TRANSFER:
        groups["GiayChuyenVien"].append(paper)
    elif code in _OPERATION:
        minor = any(i["ma"] == "loai" and "thủ thuật" in str(i["gia_tri"]).lower() for i in paper["noi_dung"])
        groups["PhieuThuThuat" if minor else "PhieuPhauThuat"].append(paper)
    else:
        groups["ThongTinDieuTri"]["giay_to"].append(paper)


async def _paper(repo: Repository, paper: Paper) -> JsonObject:
    form = form_of(paper.response.data)
    given = answers(form, paper.response.data)
    out: JsonObject = {
        "mau": form.code,
        "ten": form.title,
        "ban": paper.response.version,
        "ngay": paper.response.data["authored"],
        "chuky_hoten": [s.name for s in paper.signatures if s.standing],
        "noi_dung": _answers(form, given),
    }
    if is_sheet(form):
        out["dong"] = [
            {
                "ngay": line.happened.isoformat(timespec="seconds"),
                "chuky_hoten": [line.signed_by] if line.signed_by else [],
                "noi_dung": [{"ma": k, "gia_tri": _text(v)} for k, v in line.values.items()],
            }
            for line in await entries(repo, paper.response.id)
        ]
    return out


def _answers(form: Any, given: Mapping[str, Any]) -> list[JsonObject]:
    return [
        {"ma": link_id, "ten": form.item(link_id).label, "gia_tri": describe(form, link_id, value)}
        for link_id, value in given.items()
    ]


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(str(value[k]) for k in ("code", "text") if value.get(k))
    return str(value)


async def _patient(repo: Repository, here: Case) -> JsonObject:
    patient = (await repo.read("Patient", here.patient_id)).data
    person = person_of(patient)
    known = {
        "ma_bn": identifier_of(patient, systems.MA_BN),
        "ho_ten": name_of(patient),
        "ngay_sinh": person.birth_date,
        "gioi_tinh": {"male": "Nam", "female": "Nữ"}.get(person.sex or ""),
        "cccd_so": person.cccd,
        "ho_chieu": person.passport,
        "dan_toc": person.ethnicity,
        "dia_chi": person.address,
        "dien_thoai": person.phone,
        "xaphuong_ma": person.commune_code,
        "tinh_ma": person.province_code,
    }
    return {k: v for k, v in known.items() if v}


async def _admission(repo: Repository, here: Case) -> JsonObject:
    place = await house(repo)
    encounter = (await repo.read("Encounter", here.encounter_id)).data
    known = {
        "ma_cskcb": place.code,
        "ten_cskcb": place.name,
        "so_vao_vien": identifier_of(encounter, systems.SO_VAO_VIEN),
        "so_benh_an": here.so_benh_an,
        "so_luu_tru": here.so_luu_tru,
        "vao_vien": here.admitted_at.isoformat(timespec="seconds"),
        "ra_vien": here.discharged_at.isoformat(timespec="seconds") if here.discharged_at else None,
        "khoa": [
            {"ma": s.khoa, "ten": s.khoa_name, "tu": s.start.isoformat(timespec="seconds")}
            for s in await stays(repo, here.encounter_id)
        ],
    }
    return {k: v for k, v in known.items() if v}


async def _diagnoses(repo: Repository, encounter_id: str) -> JsonObject:
    main: JsonObject = {}
    others: list[str] = []
    for stored in await of_encounter(repo, "Condition", encounter_id):
        value, stage = diagnosis_value(stored.data), diagnosis_stage(stored)
        if not value or is_error(stored.data) or not stage:
            continue
        if stage == "kem-theo":
            others.append(value.get("code") or value.get("text", ""))
        elif stage == "ra-vien" or not main:
            main = {"maicd": value.get("code", ""), "tenicd": value.get("text", "")}
    return {**main, **({"maicd_khac": ";".join(others)} if others else {})}


def _coded(stored: Stored, concept: str, when: str) -> JsonObject:
    code = stored.data.get(concept, {})
    first: JsonObject = next(iter(code.get("coding", [])), {})
    return {
        "ma": first.get("code", ""),
        "ten": code.get("text") or first.get("display", ""),
        "ngay": stored.data.get(when, ""),
        "trang_thai": stored.data.get("status", ""),
        "chuky_hoten": [n for n in [stored.data.get("requester", {}).get("display")] if n],
    }


def _categories(stored: Stored) -> set[str]:
    return {c.get("code", "") for k in stored.data.get("category", []) for c in k.get("coding", [])}


def _result(stored: Stored) -> JsonObject:
    quantity = stored.data.get("valueQuantity", {})
    value = quantity.get("value", stored.data.get("valueString", ""))
    out = _coded(stored, "code", "effectiveDateTime")
    return {**out, "ket_qua": str(value), "don_vi": quantity.get("unit", "")}


def to_json(record: JsonObject) -> bytes:
    """JSON text of the export."""
    return dumps(record)


def to_xml(record: JsonObject) -> bytes:
    """XML of the export: an element for each name, ``muc`` for each entry of a list."""
    root = etree.Element("HoSoBenhAn")
    for name, value in record["HoSoBenhAn"].items():
        _put(etree.SubElement(root, name), value)
    return xml_door.serialize(root)


def _put(element: etree._Element, value: Any) -> None:
    if isinstance(value, Mapping):
        for name, part in value.items():
            _put(etree.SubElement(element, name), part)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for part in value:
            _put(etree.SubElement(element, "muc"), part)
    else:
        element.text = "".join(c for c in nfc(str(value)) if c >= " " or c in "\n\t")


def from_xml(raw: bytes) -> JsonObject:
    """The export read back from its XML (texts as texts)."""
    root = xml_door.parse(raw)
    return {"HoSoBenhAn": {str(group.tag): _get(group) for group in root}}


def _get(element: etree._Element) -> Any:
    children = list(element)
    if not children:
        return element.text or ""
    if all(child.tag == "muc" for child in children):
        return [_get(child) for child in children]
    return {str(child.tag): _get(child) for child in children}
