"""Phiếu dữ kiện: what XML6 (HIV), XML10 (nghỉ dưỡng thai), XML11 (nghỉ việc hưởng BHXH) and XML15 (lao) say beyond the
rest of the record, as the doctor writes it for one đợt.

A slip is a ``Composition`` of the shape that :mod:`.to_fhir` gives the same table of a foreign claim: type ``<table>``, the
row whole in its extension, tag by tag. It is signed over its exact bytes like a line of a running sheet; only a slip whose
present version is signed travels, and a later change needs a new signature.
Tags that repeat XML1, or follow from the record, are not asked again (:func:`proposed`). Sources of the tags: QĐ 130, 4750
and 3176/QĐ-BYT. XML9 is the signed giấy chứng sinh (TT 22/2025, M01), see :mod:`.record_papers`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

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
from benhan.identity import person_of
from benhan.records import Authorize, SignWith, Staff
from benhan.store import Repository, Stored

SLIPS: Mapping[str, str] = {
    "XML6": "Chăm sóc và điều trị HIV/AIDS",
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
    """A slip as it stands: own tags by name; ``by``: who signed this version, empty while nobody has; ``complete``: it may
    be signed."""

    id: str
    table: str
    values: Mapping[str, str]
    at: datetime
    by: str
    version: int
    complete: bool


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
    own = {f.name for f in own_fields(table)}
    return {tag: text for tag, text in said.items() if tag in own and text}


async def slips(repo: Repository, encounter_id: str) -> list[Slip]:
    """Slips of a đợt that stand, by table and in the order in which they were written."""
    await records.case(repo, encounter_id)
    params = [("encounter", f"Encounter/{encounter_id}"), ("_count", "200")]
    found = []
    for stored in (await repo.search("Composition", params)).entries:
        table = _table(stored.data)
        if table in SLIPS and stored.data["status"] in ("preliminary", "final"):
            found.append(await _slip(repo, stored, table))
    order = list(SLIPS)
    return sorted(found, key=lambda s: (order.index(s.table), s.at, s.id))


def _table(composition: JsonObject) -> str:
    codings = composition.get("type", {}).get("coding", [])
    return next((str(c["code"]) for c in codings if c.get("system") == TABLE), "")


async def _slip(repo: Repository, stored: Stored, table: str) -> Slip:
    extension = next(e for e in stored.data.get("extension", []) if e["url"] == ROW + table)
    _, values = row_values(extension["extension"])
    signature = await records.byte_signature(repo, stored)
    by = "" if signature is None else str(signature.data["agent"][0]["who"].get("display", ""))
    own = {f.name for f in own_fields(table)}
    kept = {tag: text for tag, text in values.items() if tag in own}
    at, complete = parse_instant(stored.data["date"]), stored.data["status"] == "final"
    return Slip(stored.id, table, kept, at, by, stored.version, complete)


async def save_slip(
    repo: Repository,
    encounter_id: str,
    table: str,
    values: Mapping[str, str],
    author: Staff,
    *,
    slip_id: str | None = None,
    complete: bool = False,
) -> Stored:
    """Write a slip, or its next version; ``complete``: nothing that the table needs is missing, it may be signed.

    Raises: ``InvalidInput`` bhyt.slip-fields with a fault for every tag that is wrong; ``RuleViolation`` bhyt.slip-twice;
    ``NotFound`` bhyt.no-slip.
    """
    given = {f.name: values.get(f.name, "").strip() for f in own_fields(table)}
    issues = [i for f in own_fields(table) for i in _faults(table, f, given[f.name], complete)]
    if issues:
        raise InvalidInput("bhyt.slip-fields", issues[0].text, issues=issues)
    async with repo.transaction() as tx:
        standing = {s.id: s for s in await slips(tx, encounter_id)}
        if slip_id is not None and slip_id not in standing:
            raise NotFound("bhyt.no-slip", "Không có phiếu này trong đợt.")
        if slip_id is None and table in SINGLE and any(s.table == table for s in standing.values()):
            raise RuleViolation("bhyt.slip-twice", "Đợt này đã có phiếu loại ấy; sửa phiếu đang có.")
        resource = await _resource(tx, encounter_id, table, given, author, complete)
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
    tx: Repository, encounter_id: str, table: str, given: Mapping[str, str], author: Staff, complete: bool
) -> JsonObject:
    here = await records.case(tx, encounter_id)
    row = make_row(table, 1, given)
    now = fhir_instant(tx.clock.now())
    writer: JsonObject = {"reference": author.reference, "display": author.name}
    if author.licence:
        writer["identifier"] = {"system": systems.CCHN, "value": author.licence}
    resource: JsonObject = {
        "resourceType": "Composition",
        "status": "final" if complete else "preliminary",
        "extension": [row_extension(row)],
        "type": concept(TABLE, table, SLIPS[table]),
        "subject": {"reference": f"Patient/{here.patient_id}"},
        "encounter": {"reference": f"Encounter/{encounter_id}"},
        "date": now,
        "author": [writer],
        "title": SLIPS[table],
        "section": [{"title": SLIPS[table], "text": {"status": "generated", "div": paper_text(row)}}],
    }
    return resource


async def sign_slip(
    repo: Repository, encounter_id: str, slip_id: str, sign: SignWith, *, authorize: Authorize
) -> Stored:
    """Sign the present version of a slip: from now on the claim carries it.

    Raises: ``NotFound`` bhyt.no-slip; ``RuleViolation`` bhyt.slip-licence, bhyt.slip-incomplete; ``Conflict``
    records.entry-signed.
    """
    authorize("form.sign", (await records.case(repo, encounter_id)).khoa)
    slip = next((s for s in await slips(repo, encounter_id) if s.id == slip_id), None)
    if slip is None:
        raise NotFound("bhyt.no-slip", "Không có phiếu này trong đợt.")
    if not sign.staff.licence:
        raise RuleViolation("bhyt.slip-licence", "Người ký phiếu phải có giấy phép hành nghề.")
    if not slip.complete:
        raise RuleViolation("bhyt.slip-incomplete", "Phiếu còn thiếu dữ kiện: ghi đủ rồi ký.")
    stored = await repo.read("Composition", slip_id)
    role = SignWith(sign.signer, sign.staff, "bac_si", sign.tsa, sign.reason)
    return await records.sign_bytes(repo, stored, role)


async def withdraw_slip(repo: Repository, encounter_id: str, slip_id: str) -> Stored:
    """Take a slip back: it stays readable and no longer travels. Raises: ``NotFound`` bhyt.no-slip."""
    async with repo.transaction() as tx:
        if slip_id not in {s.id for s in await slips(tx, encounter_id)}:
            raise NotFound("bhyt.no-slip", "Không có phiếu này trong đợt.")
        before = await tx.read("Composition", slip_id)
        return await tx.update({**before.data, "status": "entered-in-error"}, if_match=before.version)


async def slip_rows(repo: Repository, encounter_id: str) -> dict[str, tuple[dict[str, str], ...]]:
    """Own tags of every signed slip, by table: what :class:`.claim.ClaimFacts` carries as ``papers``."""
    found: dict[str, tuple[dict[str, str], ...]] = {}
    for slip in await slips(repo, encounter_id):
        if slip.by:
            found[slip.table] = (*found.get(slip.table, ()), dict(slip.values))
    return found
