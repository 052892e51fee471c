"""Phiếu dữ kiện: what XML6 (HIV), XML9 (giấy chứng sinh), XML10 (nghỉ dưỡng thai), XML11 (nghỉ việc hưởng BHXH) and XML15
(lao) say beyond the rest of the record, as the doctor writes it for one đợt.

A slip is a ``Composition`` of the shape that :mod:`.to_fhir` gives the same table of a foreign claim: type ``<table>``, the
row whole in its extension, tag by tag. ``attester`` is the practitioner who answers for it; only an attested slip travels.
Tags that repeat XML1, or follow from the record, are not asked again (:func:`proposed`). Sources of the tags: QĐ 130, 4750
and 3176/QĐ-BYT; the printed certificates of TT 25/2025 (M07, M11) and TT 22/2025 (M01) are papers of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from benhan import records
from benhan.base.clock import fhir_instant, local_date, parse_instant
from benhan.base.errors import InvalidInput, Issue, NotFound, RuleViolation
from benhan.base.json_door import JsonObject
from benhan.catalogue import systems
from benhan.gateways.bhyt.claim import NOT_REPEATED, minute
from benhan.gateways.bhyt.fhir_lines import paper_text
from benhan.gateways.bhyt.fhir_parts import ROW, TABLE, concept, row_extension, row_values
from benhan.gateways.bhyt.package import make_row, today_text
from benhan.gateways.bhyt.tables import Field, codes, tables
from benhan.identity import name_of, person_of
from benhan.records import Staff
from benhan.store import Repository, Stored

SLIPS: Mapping[str, str] = {
    "XML6": "Chăm sóc và điều trị HIV/AIDS",
    "XML9": "Giấy chứng sinh",
    "XML10": "Giấy nghỉ dưỡng thai",
    "XML11": "Giấy nghỉ việc hưởng BHXH",
    "XML15": "Điều trị bệnh lao",
}
#: tables of which an đợt has one slip only
SINGLE = frozenset({"XML10", "XML11"})
_SHARED = frozenset({"MA_LK", "STT", "DU_PHONG", "MA_CSKCB"})
#: code list of a tag where it is not named ``<table>.<tag>`` or ``<tag>``
_LISTS = {"GIOI_TINH_CON": "GIOI_TINH"}


@dataclass(frozen=True, slots=True)
class Slip:
    """A slip as it stands: own tags by name; ``by``: who answers for it, empty while nobody does."""

    id: str
    table: str
    values: Mapping[str, str]
    at: datetime
    by: str
    version: int


def own_fields(table: str) -> tuple[Field, ...]:
    """The tags a slip of this table asks for: all but those that repeat XML1.

    Raises: ``InvalidInput`` bhyt.no-slip.
    """
    if table not in SLIPS:
        raise InvalidInput("bhyt.no-slip", "Không có phiếu dữ kiện cho bảng này.", expression="bang")
    repeated = _SHARED | (
        tables()["XML1"].name_set - set(NOT_REPEATED.get(table, ())) - _OWN_ANYWAY.get(table, set())
    )
    return tuple(f for f in tables()[table].fields if f.name not in repeated)


#: tags named like one of XML1 that a slip states itself
_OWN_ANYWAY: Mapping[str, set[str]] = {
    "XML9": {"MA_QUOCTICH", "MA_TTDV", "CAN_NANG_CON"},
    "XML10": {"MA_TTDV"},
    "XML11": {"CHAN_DOAN_RV", "MA_TTDV"},
}


def choices(table: str, tag: str) -> list[tuple[str, str]]:
    """Codes and titles of a tag; empty when it is free text."""
    for name in (f"{table}.{tag}", _LISTS.get(tag, tag)):
        found = codes(name)
        if found:
            return [(c.code, c.title) for c in found.values()]
    return []


async def proposed(repo: Repository, encounter_id: str, table: str, author: Staff) -> dict[str, str]:
    """What the record already says of the tags of a slip, as a first draft."""
    here = await records.case(repo, encounter_id)
    person = person_of((await repo.read("Patient", here.patient_id)).data)
    known = await records.facts(repo, encounter_id)
    day = today_text(local_date(here.discharged_at or repo.clock.now()))
    diagnosis = known.get("encounter.diagnosis.discharge") or known.get("encounter.diagnosis.admission") or {}
    said = {
        "TU_NGAY": minute(here.admitted_at)[:8],
        "NGAY_CT": day,
        "MA_BS": author.licence or "",
        "TEN_BS": author.name,
        "DON_VI": person.workplace,
        "MA_BHXH": person.bhxh,
        "MA_DINH_CHI_THAI": "0",
        "CHAN_DOAN_RV": "dưỡng thai" if table == "XML10" else str(diagnosis.get("text", "")),
        "PP_DIEUTRI": str(known.get("record.treatment", "")),
        "MAU_SO": "CT07",
        "NGUOI_GHI_PHIEU": author.name,
    }
    if table == "XML9":
        said |= await _mother(repo, here.patient_id, known)
    own = {f.name for f in own_fields(table)}
    return {tag: text for tag, text in said.items() if tag in own and text}


async def _mother(repo: Repository, patient_id: str, known: Mapping[str, Any]) -> dict[str, str]:
    data = (await repo.read("Patient", patient_id)).data
    person = person_of(data)
    return {
        "HO_TEN_NND": name_of(data),
        "NGAYSINH_NND": person.birth_date.replace("-", "").ljust(8, "0"),
        "MA_DANTOC_NND": person.ethnicity,
        "SO_CCCD_NND": person.cccd or person.passport,
        "NOI_CU_TRU_NND": str(known.get("patient.address", "")),
        "MA_BHXH_NND": person.bhxh,
        "MA_THE_NND": str(known.get("coverage.number", "")),
        "MA_QUOCTICH": "" if person.nationality else "000",
        "NOI_SINH_CON": str(known.get("facility.name", "")),
        "SO_CON": "1",
        "SINHCON_PHAUTHUAT": "0",
        "SINHCON_DUOI32TUAN": "0",
    }


async def slips(repo: Repository, encounter_id: str) -> list[Slip]:
    """Slips of a đợt that stand, by table and in the order in which they were written."""
    await records.case(repo, encounter_id)
    params = [("encounter", f"Encounter/{encounter_id}"), ("_count", "200")]
    found = []
    for stored in (await repo.search("Composition", params)).entries:
        table = _table(stored.data)
        if table in SLIPS and stored.data["status"] in ("preliminary", "final"):
            found.append(_slip(stored, table))
    order = list(SLIPS)
    return sorted(found, key=lambda s: (order.index(s.table), s.at, s.id))


def _table(composition: JsonObject) -> str:
    codings = composition.get("type", {}).get("coding", [])
    return next((str(c["code"]) for c in codings if c.get("system") == TABLE), "")


def _slip(stored: Stored, table: str) -> Slip:
    extension = next(e for e in stored.data.get("extension", []) if e["url"] == ROW + table)
    _, values = row_values(extension["extension"])
    attested: JsonObject = next(iter(stored.data.get("attester", [])), {})
    by = str(attested.get("party", {}).get("display", ""))
    own = {f.name for f in own_fields(table)}
    kept = {tag: text for tag, text in values.items() if tag in own}
    return Slip(stored.id, table, kept, parse_instant(stored.data["date"]), by, stored.version)


async def save_slip(
    repo: Repository,
    encounter_id: str,
    table: str,
    values: Mapping[str, str],
    author: Staff,
    *,
    slip_id: str | None = None,
    attest: bool = False,
) -> Stored:
    """Write a slip, or its next version; ``attest``: the author answers for it, and the claim carries it.

    Raises: ``InvalidInput`` bhyt.slip-fields with a fault for every tag that is wrong; ``RuleViolation`` bhyt.slip-twice,
    bhyt.slip-licence; ``NotFound`` bhyt.no-slip.
    """
    given = {f.name: values.get(f.name, "").strip() for f in own_fields(table)}
    issues = [i for f in own_fields(table) for i in _faults(table, f, given[f.name], attest)]
    if issues:
        raise InvalidInput("bhyt.slip-fields", issues[0].text, issues=issues)
    if attest and not author.licence:
        text = "Người xác nhận phiếu phải có giấy phép hành nghề."
        raise RuleViolation("bhyt.slip-licence", text)
    async with repo.transaction() as tx:
        standing = {s.id: s for s in await slips(tx, encounter_id)}
        if slip_id is not None and slip_id not in standing:
            raise NotFound("bhyt.no-slip", "Không có phiếu này trong đợt.")
        if slip_id is None and table in SINGLE and any(s.table == table for s in standing.values()):
            raise RuleViolation("bhyt.slip-twice", "Đợt này đã có phiếu loại ấy; sửa phiếu đang có.")
        resource = await _resource(tx, encounter_id, table, given, author, attest)
        if slip_id is None:
            return await tx.create(resource)
        return await tx.update({**resource, "id": slip_id}, if_match=standing[slip_id].version)


def _faults(table: str, field: Field, text: str, complete: bool) -> list[Issue]:
    told = []
    listed = {code for code, _ in choices(table, field.name)}
    parts = text.split(";") if text else []
    if not text and complete and field.required == "always":
        told.append(f"{field.title}: bắt buộc.")
    if field.max_length is not None and len(text) > field.max_length:
        told.append(f"{field.title}: tối đa {field.max_length} ký tự.")
    if text and field.type == "date" and not (len(text) == 8 and text.isdigit()):
        told.append(f"{field.title}: không phải ngày.")
    if text and field.type == "datetime" and not (len(text) == 12 and text.isdigit()):
        told.append(f"{field.title}: không phải ngày giờ.")
    if listed and any(p not in listed for p in parts):
        told.append(f"{field.title}: mã ngoài danh mục.")
    return [Issue("bhyt.slip-fields", t, field.name) for t in told]


async def _resource(
    tx: Repository, encounter_id: str, table: str, given: Mapping[str, str], author: Staff, attest: bool
) -> JsonObject:
    here = await records.case(tx, encounter_id)
    row = make_row(table, 1, given)
    now = fhir_instant(tx.clock.now())
    writer: JsonObject = {"reference": author.reference, "display": author.name}
    if author.licence:
        writer["identifier"] = {"system": systems.CCHN, "value": author.licence}
    resource: JsonObject = {
        "resourceType": "Composition",
        "status": "final" if attest else "preliminary",
        "extension": [row_extension(row)],
        "type": concept(TABLE, table, SLIPS[table]),
        "subject": {"reference": f"Patient/{here.patient_id}"},
        "encounter": {"reference": f"Encounter/{encounter_id}"},
        "date": now,
        "author": [writer],
        "title": SLIPS[table],
        "section": [{"title": SLIPS[table], "text": {"status": "generated", "div": paper_text(row)}}],
    }
    if attest:
        resource["attester"] = [{"mode": "professional", "time": now, "party": writer}]
    return resource


async def withdraw_slip(repo: Repository, encounter_id: str, slip_id: str) -> Stored:
    """Take a slip back: it stays readable and no longer travels. Raises: ``NotFound`` bhyt.no-slip."""
    async with repo.transaction() as tx:
        if slip_id not in {s.id for s in await slips(tx, encounter_id)}:
            raise NotFound("bhyt.no-slip", "Không có phiếu này trong đợt.")
        before = await tx.read("Composition", slip_id)
        return await tx.update({**before.data, "status": "entered-in-error"}, if_match=before.version)


async def slip_rows(repo: Repository, encounter_id: str) -> dict[str, tuple[dict[str, str], ...]]:
    """Own tags of every attested slip, by table: what :class:`.claim.ClaimFacts` carries as ``papers``."""
    found: dict[str, tuple[dict[str, str], ...]] = {}
    for slip in await slips(repo, encounter_id):
        if slip.by:
            found[slip.table] = (*found.get(slip.table, ()), dict(slip.values))
    return found
