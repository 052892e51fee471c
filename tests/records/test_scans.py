"""Records that were kept on paper: scanned, checked by another, conversion signed, sealed, kept as long, released by pages."""

from __future__ import annotations

import base64
import io
from datetime import UTC, date, datetime
from typing import Any

import pytest
from pypdf import PdfReader, PdfWriter

from benhan import records
from benhan.base.errors import Conflict, InvalidInput, RuleViolation
from benhan.forms import page_count
from benhan.store import Repository

ALL = records.everything_allowed
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def a_scan(pages: int = 3, note: str = "") -> bytes:
    """A PDF as a scanner gives it."""
    writer = PdfWriter()
    for number in range(pages):
        writer.add_blank_page(595, 842 + number)
    writer.add_metadata({"/Producer": f"May quet {note}"})
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


async def begun(repo: Repository, build: Any, **over: Any) -> records.Case:
    """A paper record of 2019 that is registered for scanning."""
    patient, _ = await records.find_or_register_patient(repo, build.person())
    given: dict[str, Any] = {
        "patient_id": patient.id,
        "so_luu_tru": "2019/K01/00123",
        "khoa": "K01",
        "khoa_name": "Khoa Nội tổng hợp",
        "admitted": date(2019, 3, 1),
        "discharged": date(2019, 3, 9),
        "pages": 4,
        "decision": "Quyết định 12/QĐ-BV ngày 01/10/2026",
        "icd10": "J18.9",
        "result": "1",
        "shelf": "Kho A, giá 3, hộp 17",
    }
    return await records.begin_scan(repo, records.ScanInput(**{**given, **over}), build.NURSE, authorize=ALL)


def other(ward: Repository, build: Any) -> Repository:
    """The same house through a second person."""
    return ward.store.repo(build.ctx(ward.ctx.tenant, build.DIRECTOR), ward.policy)


async def filled(repo: Repository, build: Any) -> records.Case:
    """Two files, four pages, all in the index."""
    here = await begun(repo, build)
    first = await records.add_scan(repo, here.encounter_id, "hs-1.pdf", a_scan(3), build.NURSE, authorize=ALL)
    second = await records.add_scan(repo, here.encounter_id, "hs-2.png", PNG, build.NURSE, authorize=ALL)
    rows = [
        records.IndexRow(first.document.id, 1, 2, "Bệnh án nội khoa", "01/BV1"),
        records.IndexRow(first.document.id, 3, 3, "Tờ điều trị"),
        records.IndexRow(second.document.id, 1, 1, "Giấy ra viện"),
    ]
    await records.index_scan(repo, here.encounter_id, rows, authorize=ALL)
    return here


async def archived(ward: Repository, build: Any) -> records.Case:
    """Scanned, checked, signed, sealed, archived."""
    here = await filled(ward, build)
    await records.check_scan(other(ward, build), here.encounter_id, authorize=ALL)
    await records.sign_scan(ward, here.encounter_id, build.sign_as(build.HEAD, ""), authorize=ALL)
    await records.close_record(ward, here.encounter_id, build.sign_as(build.HOUSE, ""), authorize=ALL)
    return await records.archive_record(ward, here.encounter_id, authorize=ALL)


async def test_from_paper_to_the_archive(ward: Repository, build: Any) -> None:
    """Every step asks for what the one before left; at the end it is a sealed record like every other."""
    here = await begun(ward, build)
    assert (here.state, here.scanned, here.so_luu_tru) == ("scanned", True, "2019/K01/00123")
    assert {g.code for g in await records.scan_gaps(ward, here.encounter_id)} == {"scan-missing"}
    first = await records.add_scan(ward, here.encounter_id, "hs-1.pdf", a_scan(3), build.NURSE, authorize=ALL)
    found = {g.code: g.text for g in await records.completeness(ward, here.encounter_id)}
    assert set(found) == {"scan-pages", "scan-index", "scan-unsigned"}
    assert "Đã quét 3 trang" in found["scan-pages"]
    assert "1–3" in found["scan-index"]
    with pytest.raises(RuleViolation) as refused:
        await records.check_scan(other(ward, build), here.encounter_id, authorize=ALL)
    assert refused.value.code == "records.incomplete"
    second = await records.add_scan(ward, here.encounter_id, "hs-2.png", PNG, build.NURSE, authorize=ALL)
    rows = [
        records.IndexRow(first.document.id, 1, 3, "Bệnh án nội khoa"),
        records.IndexRow(second.document.id, 1, 1, "Giấy ra viện"),
    ]
    await records.index_scan(ward, here.encounter_id, rows, authorize=ALL)
    with pytest.raises(Conflict) as same:
        await records.check_scan(ward, here.encounter_id, authorize=ALL)
    assert same.value.code == "records.same-person"
    with pytest.raises(Conflict) as early:
        await records.sign_scan(ward, here.encounter_id, build.sign_as(build.HEAD, ""), authorize=ALL)
    assert early.value.code == "records.scan-unchecked"
    checked = await records.check_scan(other(ward, build), here.encounter_id, authorize=ALL)
    assert checked.state == "received"
    with pytest.raises(RuleViolation):
        await records.close_record(ward, here.encounter_id, build.sign_as(build.HOUSE, ""), authorize=ALL)
    made = await records.sign_scan(ward, here.encounter_id, build.sign_as(build.HEAD, ""), authorize=ALL)
    assert len(made) == 3  # two files and the index sheet
    assert (
        await records.sign_scan(ward, here.encounter_id, build.sign_as(build.HEAD, ""), authorize=ALL) == []
    )
    container = await records.close_record(
        ward, here.encounter_id, build.sign_as(build.HOUSE, ""), authorize=ALL
    )
    after = await records.archive_record(ward, here.encounter_id, authorize=ALL)
    assert (after.state, after.composition_id is not None) == ("archived", True)
    assert container.data["content"][0]["attachment"]["contentType"].endswith("asic-e+zip")
    with pytest.raises(Conflict):
        await records.add_scan(
            ward, here.encounter_id, "hs-3.pdf", a_scan(1, "x"), build.NURSE, authorize=ALL
        )


async def test_the_index_sheet_names_hashes_and_who_converted(ward: Repository, build: Any) -> None:
    """The sheet says what the law asks for: system, owner, who, when, decision; and the hash of each file as scanned."""
    here = await archived(ward, build)
    held = await records.scanned_record(ward, here.encounter_id)
    documents = await ward.search("DocumentReference", [("encounter", f"Encounter/{here.encounter_id}")])
    (sheet,) = [d for d in documents.entries if d.data.get("description", "").startswith("Mục lục")]
    pdf = await records.content_of(ward, sheet.data)
    text = " ".join("".join(p.extract_text() for p in PdfReader(io.BytesIO(pdf)).pages).split())
    for said in ("2019/K01/00123", build.HEAD.name, "12/QĐ-BV", "Kho A, giá 3", "Tờ điều trị"):
        assert said in text, said
    solid = text.replace(" ", "")
    assert all(f.scanned_sha256 in solid for f in held.files)


async def test_bad_files_are_refused_in_words(ward: Repository, build: Any) -> None:
    """What cannot be kept is named with the file: wrong kind, locked, broken, with scripts, twice."""
    here = await begun(ward, build)
    locked = PdfWriter()
    locked.add_blank_page(100, 100)
    locked.encrypt("x")
    out = io.BytesIO()
    locked.write(out)
    active = PdfWriter()
    active.add_blank_page(100, 100)
    active.add_attachment("la.exe", b"MZ")
    script = io.BytesIO()
    active.write(script)
    cases = {
        "forms.scan-kind": b"GIF89a" + bytes(40),
        "forms.scan-locked": out.getvalue(),
        "forms.scan-broken": b"%PDF-1.4 " + bytes(200),
        "forms.scan-active": script.getvalue(),
    }
    for code, data in cases.items():
        with pytest.raises(InvalidInput) as refused:
            await records.add_scan(ward, here.encounter_id, "hs.pdf", data, build.NURSE, authorize=ALL)
        assert refused.value.code == code
        assert "hs.pdf" in str(refused.value)
    await records.add_scan(ward, here.encounter_id, "hs.pdf", a_scan(), build.NURSE, authorize=ALL)
    with pytest.raises(Conflict) as twice:
        await records.add_scan(ward, here.encounter_id, "lai.pdf", a_scan(), build.NURSE, authorize=ALL)
    assert twice.value.code == "records.scan-twice"
    with pytest.raises(Conflict) as known:
        await begun(ward, build)
    assert known.value.code == "records.already-scanned"


async def test_a_bad_scan_is_taken_out_and_scanned_again(ward: Repository, build: Any) -> None:
    """A file leaves with its reason and stays readable; after the check only the way back opens the record again."""
    here = await filled(ward, build)
    await records.check_scan(other(ward, build), here.encounter_id, authorize=ALL)
    await records.sign_scan(ward, here.encounter_id, build.sign_as(build.HEAD, ""), authorize=ALL)
    (first, _) = (await records.scanned_record(ward, here.encounter_id)).files
    with pytest.raises(Conflict) as over:
        await records.drop_scan(ward, here.encounter_id, first.document.id, "mờ", authorize=ALL)
    assert over.value.code == "records.scan-over"
    with pytest.raises(Conflict):
        await records.return_record(ward, here.encounter_id, ["mờ"], date(2026, 12, 1), authorize=ALL)
    await records.rescan(other(ward, build), here.encounter_id, "Trang 2 mờ", authorize=ALL)
    await records.drop_scan(ward, here.encounter_id, first.document.id, "mờ", authorize=ALL)
    left = await records.scanned_record(ward, here.encounter_id)
    assert [r.title for r in left.index] == ["Giấy ra viện"]
    assert not any(f.signed for f in left.files)
    gone = await ward.read("DocumentReference", first.document.id)
    assert gone.data["status"] == "entered-in-error"


async def test_kept_as_long_as_a_record_of_those_days(ward: Repository, build: Any, clock: Any) -> None:
    """Years count from the end of the treatment on paper: 2019 + 10; one that ended in death 30."""
    here = await archived(ward, build)
    clock.set(datetime(2029, 12, 31, 9, tzinfo=UTC))
    assert await records.due_records(ward) == []
    clock.set(datetime(2030, 1, 2, 9, tzinfo=UTC))
    (due,) = await records.due_records(ward)
    assert (due.case.encounter_id, due.kept_until) == (here.encounter_id, date(2029, 12, 31))


async def test_exact_pages_are_released(ward: Repository, build: Any) -> None:
    """A copy of one paper of the index holds cover and that paper's pages, marked; nothing else."""
    here = await archived(ward, build)
    (first, *_) = (await records.binder(ward, here.encounter_id)).parts
    assert first.title == "Bệnh án nội khoa"
    copy = await records.print_record(ward, here.encounter_id, (first.response_id,))
    assert page_count(copy) == 1 + 2
    last = PdfReader(io.BytesIO(copy)).pages[-1]
    assert float(last.mediabox.height) == 843  # page 2 of the scan


async def test_a_wrong_registration_is_cancelled_by_two(ward: Repository, build: Any) -> None:
    """Registered on the wrong person: taken back on request and yes, the archive number is free again."""
    here = await begun(ward, build)
    wish = await records.ask_undo(ward, here.encounter_id, "cancel", "Nhầm người bệnh", authorize=ALL)
    await records.grant_undo(other(ward, build), wish.id, authorize=ALL)
    assert (await records.case(ward, here.encounter_id)).state == "cancelled"
    again = await begun(ward, build)
    assert again.state == "scanned"
