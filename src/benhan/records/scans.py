"""Records that were kept on paper, scanned: register, files, index of papers, check by a second person, conversion signature.

A scanned record is a record like every other one from then on: sealed, archived, kept as long, released, destroyed. It begins
in the state ``scanned``; who checks it is not who scanned it; ``scan_signing`` signs the conversion, then it is closed.
Source: TT 13/2025/TT-BYT Điều 5 (decision of the head); NĐ 137/2024/NĐ-CP Điều 4–5; TT 33/2025/TT-BYT (time of keeping).
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any

from benhan.base.clock import VIETNAM, local_date
from benhan.base.errors import Conflict, InvalidInput, Issue, NotFound, RuleViolation
from benhan.catalogue import icd10, systems
from benhan.forms import page_count, scan_pdf
from benhan.records.cases import (
    add_case,
    add_event,
    case,
    list_cases,
    locked_case,
    scanned_with_number,
    set_opened,
)
from benhan.records.documents import attachment, blob_of, documents
from benhan.records.shapes import (
    coding,
    concept,
    fact,
    fact_of,
    house,
    house_ref,
    id_of,
    instant,
    ref,
    staff_ref,
    with_extensions,
)
from benhan.records.steps import step
from benhan.records.types import Authorize, BinderPart, Case, Gap, JsonObject, ScanInput, Signature, Staff
from benhan.store import Repository, Stored

SIGNED = "chuyen-doi"
_ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
_CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"
_CONFIRMED = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
_CATEGORY = "http://terminology.hl7.org/CodeSystem/condition-category"
_CLERK = "Phòng KHTH"


@dataclass(frozen=True, slots=True)
class ScanFile:
    """One scanned file of a record. ``scanned_sha256``: of the bytes the scanner gave; ``signed``: conversion signed."""

    document: Stored
    name: str
    pages: int
    scanned_sha256: str
    sha256: str
    by: str
    by_name: str
    signed: bool


@dataclass(frozen=True, slots=True)
class IndexRow:
    """A paper of a scanned record: what it is and on which pages of which file it stands (from 1, both ends count)."""

    document_id: str
    first: int
    last: int
    title: str
    form_code: str = ""


@dataclass(frozen=True, slots=True)
class Scanned:
    """A scanned record: case, what stands on its cover, files, index of papers."""

    case: Case
    encounter: Stored
    patient: Stored
    files: tuple[ScanFile, ...]
    index: tuple[IndexRow, ...]

    @property
    def pages_counted(self) -> int:
        """Pages with writing on them, counted on the paper."""
        return int(fact_of(self.encounter.data, "so-trang-giay") or 0)

    @property
    def pages(self) -> int:
        """Pages that were scanned."""
        return sum(f.pages for f in self.files)


async def begin_scan(repo: Repository, given: ScanInput, staff: Staff, *, authorize: Authorize) -> Case:
    """Register a paper record that is to be scanned; its archive number stays the one on the paper.

    Raises: ``RuleViolation`` (records.scan-incomplete, records.no-such-icd10) with every fault; ``Conflict``
    (records.already-scanned) when a record with this archive number is there.
    """
    authorize("record.scan", given.khoa)
    async with repo.transaction() as tx:
        today = local_date(tx.clock.now())
        faults = _faults(given, today)
        if faults:
            raise RuleViolation("records.scan-incomplete", faults[0].text, issues=faults)
        if await scanned_with_number(tx, given.so_luu_tru.strip()):
            raise Conflict("records.already-scanned", f"Hồ sơ số lưu trữ {given.so_luu_tru} đã có trong kho.")
        place = await house(tx)
        patient = await tx.read("Patient", given.patient_id)
        encounter = await tx.create(_encounter(given, house_ref(place)))
        if given.icd10:
            condition = await tx.create(_diagnosis(given, encounter.id, staff))
            use = concept(systems.DIAGNOSIS_STAGE, "ra-vien")
            listed = {
                **encounter.data,
                "diagnosis": [{"condition": ref("Condition", condition.id), "use": use}],
            }
            encounter = await tx.update(listed, if_match=encounter.version)
        await add_case(
            tx, encounter.id, patient.id, given.khoa, staff.reference, _noon(given.admitted), _key(encounter.id),
            state="scanned", discharged=_noon(given.discharged), so_luu_tru=given.so_luu_tru.strip(),
        )  # fmt: skip
        binder = await tx.create(_binder(given, encounter.id, staff, house_ref(place), tx.clock.now()))
        await set_opened(
            tx, encounter.id, binder.id, given.form_code or None, given.so_benh_an.strip() or None
        )
        await add_event(
            tx, encounter.id, "scan", "", "scanned", given.decision.strip(), {"lo": given.batch.strip()}
        )
        return await case(tx, encounter.id)


def _key(encounter_id: str) -> str:
    """What stands in place of a MA_LK: a paper record has none."""
    return f"GIAY-{encounter_id.replace('-', '')[-12:].upper()}"


def _faults(given: ScanInput, today: date) -> list[Issue]:
    found = []
    needed = (
        ("so_luu_tru", given.so_luu_tru, "Ghi số lưu trữ trên bìa hồ sơ giấy."),
        ("khoa", given.khoa, "Ghi khoa đã điều trị."),
        ("decision", given.decision, "Ghi số quyết định của người đứng đầu cho số hóa."),
    )
    found += [
        Issue("records.scan-incomplete", text, name) for name, value, text in needed if not value.strip()
    ]
    if given.pages < 1:
        found.append(Issue("records.scan-incomplete", "Ghi số trang đã đếm trên giấy.", "pages"))
    if given.discharged < given.admitted:
        found.append(Issue("records.scan-incomplete", "Ngày ra viện trước ngày vào viện.", "discharged"))
    if given.discharged > today:
        found.append(Issue("records.scan-incomplete", "Ngày ra viện ở tương lai.", "discharged"))
    if given.icd10 and icd10(given.icd10) is None:
        found.append(Issue("records.no-such-icd10", f"Không có mã ICD-10 {given.icd10}.", "icd10"))
    return found


def _noon(day: date) -> datetime:
    """Old papers say the day, the record needs an instant: noon, with the fact ``chi-biet-ngay``."""
    return datetime.combine(day, time(12), VIETNAM)


def _encounter(given: ScanInput, custodian: JsonObject) -> JsonObject:
    code, display = ("IMP", "inpatient encounter") if given.inpatient else ("AMB", "ambulatory")
    facts = {
        "so-hoa": given.decision,
        "so-trang-giay": str(given.pages),
        "vi-tri-giay": given.shelf,
        "lo-so-hoa": given.batch,
        "ket-qua-dtri": given.result,
        "khoa-giay": given.khoa_name or given.khoa,
        "chi-biet-ngay": "1",
    }
    return {
        "resourceType": "Encounter",
        "extension": [fact(name, value.strip()) for name, value in facts.items() if value.strip()],
        "identifier": [{"system": systems.SO_LUU_TRU, "value": given.so_luu_tru.strip()}],
        "status": "finished",
        "class": {"system": _ACT, "code": code, "display": display},
        "subject": ref("Patient", given.patient_id),
        "period": {"start": instant(_noon(given.admitted)), "end": instant(_noon(given.discharged))},
        "serviceProvider": custodian,
    }


def _diagnosis(given: ScanInput, encounter_id: str, staff: Staff) -> JsonObject:
    text = given.diagnosis.strip() or str(getattr(icd10(given.icd10), "name", "") or given.icd10)
    return {
        "resourceType": "Condition",
        "clinicalStatus": {"coding": [coding(_CLINICAL, "active")]},
        "verificationStatus": {"coding": [coding(_CONFIRMED, "confirmed")]},
        "category": [concept(_CATEGORY, "encounter-diagnosis"), concept(systems.DIAGNOSIS_STAGE, "ra-vien")],
        "code": concept(systems.ICD10, given.icd10, text),
        "subject": ref("Patient", given.patient_id),
        "encounter": ref("Encounter", encounter_id),
        "recordedDate": given.discharged.isoformat(),
        "recorder": staff_ref(staff),
    }


def _binder(
    given: ScanInput, encounter_id: str, staff: Staff, custodian: JsonObject, now: datetime
) -> JsonObject:
    return {
        "resourceType": "Composition",
        "extension": [
            {"url": systems.EXT_STATE, "valueCode": "scanned"},
            *([fact("mau-benh-an", given.form_code)] if given.form_code else []),
            fact("so-luu-tru", given.so_luu_tru.strip()),
        ],
        "identifier": {
            "system": systems.SO_BENH_AN if given.so_benh_an.strip() else systems.SO_LUU_TRU,
            "value": given.so_benh_an.strip() or given.so_luu_tru.strip(),
        },
        "status": "preliminary",
        "type": concept(systems.FORM, systems.BINDER_TYPE, "Hồ sơ bệnh án"),
        "subject": ref("Patient", given.patient_id),
        "encounter": ref("Encounter", encounter_id),
        "date": instant(now),
        "author": [staff_ref(staff)],
        "title": "Hồ sơ bệnh án giấy số hóa",
        "custodian": custodian,
    }


async def add_scan(
    repo: Repository, encounter_id: str, name: str, data: bytes, staff: Staff, *, authorize: Authorize
) -> ScanFile:
    """Put a scanned file (PDF, JPEG or PNG; a picture becomes a page) into a record that is being scanned.

    Raises: ``InvalidInput`` (forms.scan-*) for what cannot be kept; ``Conflict`` (records.scan-twice, records.scan-over).
    """
    pdf = await asyncio.to_thread(scan_pdf, data, name)
    pages, scanned = page_count(pdf), hashlib.sha256(data).hexdigest()
    async with repo.transaction() as tx:
        here = await _open(tx, encounter_id, authorize)
        if any(f.scanned_sha256 == scanned for f in await scan_files(tx, encounter_id)):
            raise Conflict("records.scan-twice", f"Tệp {name} đã có trong hồ sơ này.")
        sha256, now = await tx.store.blobs.put(pdf), tx.clock.now()
        document: JsonObject = {
            "resourceType": "DocumentReference",
            "extension": [fact("so-trang", str(pages)), fact("sha256-quet", scanned)],
            "status": "current",
            "docStatus": "preliminary",
            "type": concept(systems.FORM, systems.BINDER_TYPE, "Hồ sơ bệnh án"),
            "category": [concept(systems.DOCUMENT_KIND, systems.DOC_SCAN, "Bản số hóa từ giấy")],
            "subject": ref("Patient", here.patient_id),
            "date": instant(now),
            "author": [staff_ref(staff)],
            "description": name,
            "content": [{"attachment": attachment(sha256, len(pdf), name, now, "application/pdf")}],
            "context": {"encounter": [ref("Encounter", encounter_id)]},
        }
        return _file(await tx.create(document))


async def drop_scan(
    repo: Repository, encounter_id: str, document_id: str, reason: str, *, authorize: Authorize
) -> None:
    """Take a file out (a bad scan): it stays readable as an error with its reason; its lines leave the index.

    Raises: ``RuleViolation`` (records.reason-needed); ``NotFound``; ``Conflict`` (records.scan-over).
    """
    if not reason.strip():
        raise RuleViolation("records.reason-needed", "Bước này phải nêu lý do.", expression="reason")
    async with repo.transaction() as tx:
        await _open(tx, encounter_id, authorize)
        found = next((f for f in await scan_files(tx, encounter_id) if f.document.id == document_id), None)
        if found is None:
            raise NotFound("records.no-such-scan", "Không có tệp này trong hồ sơ.")
        data = with_extensions(found.document.data, fact("ly-do-huy", reason.strip()))
        await tx.update({**data, "status": "entered-in-error"}, if_match=found.document.version)
        await _write_index(
            tx, encounter_id, [r for r in await scan_index(tx, encounter_id) if r.document_id != document_id]
        )


async def index_scan(
    repo: Repository, encounter_id: str, rows: Sequence[IndexRow], *, authorize: Authorize
) -> None:
    """Write the index of papers anew. Raises: ``RuleViolation`` (records.scan-index) with every fault by line."""
    async with repo.transaction() as tx:
        await _open(tx, encounter_id, authorize)
        files = {f.document.id: f for f in await scan_files(tx, encounter_id)}
        faults = []
        for number, row in enumerate(rows, 1):
            held = files.get(row.document_id)
            if not row.title.strip():
                faults.append(Issue("records.scan-index", f"Dòng {number}: ghi tên giấy.", f"title.{number}"))
            if held is None or not 1 <= row.first <= row.last <= held.pages:
                text = f"Dòng {number}: trang {row.first} đến {row.last} không có trong tệp."
                faults.append(Issue("records.scan-index", text, f"first.{number}"))
        if faults:
            raise RuleViolation("records.scan-index", faults[0].text, issues=faults)
        await _write_index(tx, encounter_id, rows)


async def _write_index(tx: Repository, encounter_id: str, rows: Sequence[IndexRow]) -> None:
    here = await case(tx, encounter_id)
    binder = await tx.read("Composition", str(here.composition_id))
    sections = [_section(r) for r in rows]
    bare = {k: v for k, v in binder.data.items() if k != "section"}
    await tx.update({**bare, "section": sections} if sections else bare, if_match=binder.version)


def _section(row: IndexRow) -> JsonObject:
    section: JsonObject = {
        "extension": [fact("trang-tu", str(row.first)), fact("trang-den", str(row.last))],
        "title": row.title.strip(),
        "entry": [ref("DocumentReference", row.document_id)],
    }
    if row.form_code:
        section["code"] = concept(systems.FORM, row.form_code)
    return section


async def check_scan(repo: Repository, encounter_id: str, *, authorize: Authorize) -> Case:
    """A second person has compared scan and paper: the record is complete and goes to be signed and closed.

    Raises: ``RuleViolation`` (records.incomplete) with what is missing; ``Conflict`` (records.same-person).
    """
    async with repo.transaction() as tx:
        files = await scan_files(tx, encounter_id)
        me = tx.ctx.actor.reference
        gaps = [g for g in await scan_gaps(tx, encounter_id) if g.code != "scan-unsigned"]
        if gaps:
            issues = [Issue("records.incomplete", f"{g.text} ({g.who})", g.field) for g in gaps]
            raise RuleViolation("records.incomplete", f"Hồ sơ còn thiếu {len(gaps)} mục.", issues=issues)
        if any(f.by == me or f.document.author == me for f in files):
            raise Conflict("records.same-person", "Người quét không tự kiểm tra bản quét của mình.")
        detail = {"trang": sum(f.pages for f in files), "tep": [f.scanned_sha256 for f in files]}
        return await step(tx, encounter_id, "check_scan", authorize=authorize, detail=detail)


async def rescan(repo: Repository, encounter_id: str, reason: str, *, authorize: Authorize) -> Case:
    """Back to scanning with the reason; the conversion must be signed again."""
    async with repo.transaction() as tx:
        await _needs_scanned(tx, encounter_id)
        after = await step(tx, encounter_id, "rescan", authorize=authorize, reason=reason)
        for file in await scan_files(tx, encounter_id):
            if file.signed:
                bare = [e for e in file.document.data["extension"] if not e["url"].endswith(SIGNED)]
                await tx.update({**file.document.data, "extension": bare}, if_match=file.document.version)
        return after


async def _needs_scanned(tx: Repository, encounter_id: str) -> Case:
    here = await locked_case(tx, encounter_id)
    if not here.scanned:
        raise Conflict("records.not-scanned", "Hồ sơ này không phải hồ sơ giấy số hóa.")
    return here


async def _open(tx: Repository, encounter_id: str, authorize: Authorize) -> Case:
    here = await _needs_scanned(tx, encounter_id)
    authorize("record.scan", here.khoa)
    if here.state != "scanned":
        raise Conflict("records.scan-over", "Bản số hóa đã kiểm tra xong: trả lại để quét bổ sung.")
    return here


async def scanned_record(repo: Repository, encounter_id: str) -> Scanned:
    """Everything about a scanned record. Raises: ``Conflict`` (records.not-scanned)."""
    async with repo.transaction() as tx:
        here = await case(tx, encounter_id)
        if not here.scanned:
            raise Conflict("records.not-scanned", "Hồ sơ này không phải hồ sơ giấy số hóa.")
        return Scanned(
            here,
            await tx.read("Encounter", encounter_id),
            await tx.read("Patient", here.patient_id),
            tuple(await scan_files(tx, encounter_id)),
            tuple(await scan_index(tx, encounter_id)),
        )


async def scanned_cases(repo: Repository) -> list[Case]:
    """Paper records that are being scanned, or checked and not closed yet, the oldest first."""
    return [c for c in await list_cases(repo, ["scanned", "received", "closing"], limit=2000) if c.scanned]


async def scan_files(repo: Repository, encounter_id: str) -> list[ScanFile]:
    """Files that stand, in the order of their names."""
    found = await documents(repo, encounter_id)
    files = [_file(d) for d in found if is_scan(d.data) and d.data["status"] == "current"]
    return sorted(files, key=lambda f: (f.name, f.document.id))


def is_scan(document: JsonObject) -> bool:
    """True for the ``DocumentReference`` of a scanned file."""
    return systems.DOC_SCAN in {
        c.get("code") for g in document.get("category", []) for c in g.get("coding", [])
    }


def _file(document: Stored) -> ScanFile:
    data = document.data
    (who, *_) = data["author"]
    return ScanFile(
        document, str(data.get("description", "")), int(fact_of(data, "so-trang") or 0), fact_of(data, "sha256-quet"),
        blob_of(data), str(who.get("reference", "")), str(who.get("display", "")), bool(fact_of(data, SIGNED)),
    )  # fmt: skip


async def scan_index(repo: Repository, encounter_id: str) -> list[IndexRow]:
    """Papers of the index in its order."""
    here = await case(repo, encounter_id)
    binder = await repo.read("Composition", str(here.composition_id))
    return [
        IndexRow(
            id_of(s["entry"][0]), int(fact_of(s, "trang-tu")), int(fact_of(s, "trang-den")), str(s.get("title", "")),
            str((s.get("code", {}).get("coding") or [{}])[0].get("code", "")),
        )
        for s in binder.data.get("section", [])
    ]  # fmt: skip


async def scan_gaps(repo: Repository, encounter_id: str) -> list[Gap]:
    """What a scanned record lacks before it may be checked or closed: pages, index, signature of the conversion."""
    found = await scanned_record(repo, encounter_id)
    gaps: list[Gap] = []
    if not found.files:
        gaps.append(Gap("scan-missing", "Chưa có tệp quét nào.", _CLERK))
    elif found.pages < found.pages_counted:
        text = f"Đã quét {found.pages} trang, trên giấy đếm được {found.pages_counted} trang."
        gaps.append(Gap("scan-pages", text, _CLERK))
    for file in found.files:
        missing = unlisted(file, found.index)
        if missing:
            text = f"{file.name}: trang {_ranges(missing)} chưa có trong mục lục."
            gaps.append(Gap("scan-index", text, _CLERK))
    if found.files and not all(f.signed for f in found.files):
        gaps.append(Gap("scan-unsigned", "Chưa ký chuyển đổi từ giấy sang điện tử.", _CLERK))
    return gaps


def unlisted(file: ScanFile, index: Sequence[IndexRow]) -> list[int]:
    """Pages of a file that no line of the index holds (pure)."""
    held = {
        page
        for row in index
        if row.document_id == file.document.id
        for page in range(row.first, row.last + 1)
    }
    return [page for page in range(1, file.pages + 1) if page not in held]


def _ranges(pages: Sequence[int]) -> str:
    """1, 2, 3, 7 → "1–3, 7" (pure)."""
    runs: list[list[int]] = []
    for page in pages:
        if runs and page == runs[-1][1] + 1:
            runs[-1][1] = page
        else:
            runs.append([page, page])
    return ", ".join(str(a) if a == b else f"{a}–{b}" for a, b in runs)


def row_id(row: IndexRow) -> str:
    """What names a line of the index where papers are chosen: file and pages."""
    return f"{row.document_id}:{row.first}-{row.last}"


async def scan_parts(repo: Repository, encounter_id: str) -> list[BinderPart]:
    """The index as parts of the binder; each is printed as its pages of the file."""
    files = {f.document.id: f for f in await scan_files(repo, encounter_id)}
    parts = []
    for row in await scan_index(repo, encounter_id):
        file = files.get(row.document_id)
        if file is not None:
            signatures: tuple[Signature, ...] = ()
            parts.append(
                BinderPart(
                    row.title, row.form_code, row_id(row), file.document.id, file.sha256, "scan", signatures,
                    f"DocumentReference/{file.document.id}",
                )
            )  # fmt: skip
    return parts


def pages_of(part_id: str) -> tuple[str, int, int]:
    """File and pages of a part's id (pure). Raises: ``InvalidInput`` (records.no-such-scan)."""
    document_id, _, pages = part_id.partition(":")
    first, _, last = pages.partition("-")
    if not (first.isdigit() and last.isdigit()):
        raise InvalidInput("records.no-such-scan", "Không có trang này trong hồ sơ.")
    return document_id, int(first), int(last)


def scan_facts(found: Scanned) -> dict[str, Any]:
    """What stands on the cover: decision, batch, shelf, khoa, days."""
    data = found.encounter.data
    names = {"decision": "so-hoa", "batch": "lo-so-hoa", "shelf": "vi-tri-giay", "khoa": "khoa-giay"}
    return {name: fact_of(data, key) for name, key in names.items()}
