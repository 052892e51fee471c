"""Binder, timeline and work lists."""

from __future__ import annotations

from typing import Any

from benhan import records
from benhan.store import Repository


async def test_binder_is_in_the_papers_order(ward: Repository, build: Any, clock: Any) -> None:
    """Template first, then running sheets, then other papers, each with its PDF and state."""
    record = await build.a_closed_record(ward, clock)
    folder = await records.binder(ward, record.id)
    assert [(p.form_code, p.state) for p in folder.parts] == [
        ("01/BV1", "signed"),
        ("36/BV2", "sheet:ended"),
        ("TT25/2025-M02", "issued"),
    ]
    assert all(p.sha256 and p.document_id for p in folder.parts)
    assert len(folder.containers) == 1


async def test_timeline_tells_the_stay_newest_first(ward: Repository, build: Any, clock: Any) -> None:
    """Admission at the bottom, discharge near the top, each with its kind."""
    record = await build.a_discharged_record(ward, clock)
    items = await records.timeline(ward, record.patient.id)
    assert [i.at for i in items] == sorted((i.at for i in items), reverse=True)
    kinds = [i.kind for i in items]
    assert {"admission", "stay", "paper", "order", "result", "drug", "diagnosis", "discharge"} <= set(kinds)
    assert kinds.index("discharge") < kinds.index("admission")
    assert all(i.encounter_id == record.id for i in items)


async def test_my_patients_are_those_in_treatment(ward: Repository, build: Any, clock: Any) -> None:
    """By doctor and by khoa; gone after discharge."""
    record = await build.an_inpatient_record(ward)
    (mine,) = await records.my_patients(ward, build.DOCTOR.reference)
    assert (mine.name, mine.bed, mine.so_benh_an) == ("Nguyễn Văn Mẫu", "H001", "26000001/BA-K01")
    assert await records.my_patients(ward, build.HEAD.reference) == []
    assert len(await records.my_patients(ward, khoa="K01")) == 1
    await records.discharge(ward, record.id, build.an_end(clock.now()), authorize=records.everything_allowed)
    assert await records.my_patients(ward, build.DOCTOR.reference) == []


async def test_papers_to_sign_wait_for_the_right_role(ward: Repository, build: Any, clock: Any) -> None:
    """The doctor's turn first; after it the next role; own unsigned lines too."""
    record = await build.an_inpatient_record(ward)
    sheet = await records.open_sheet(ward, record.id, "36/BV2", build.DOCTOR, clock.now())
    line = await records.add_entry(ward, sheet.id, records.Entry(clock.now(), build.DOCTOR, "Sốt"))
    waiting = await records.papers_to_sign(ward, build.DOCTOR.reference, roles={"bac_si_lam_benh_an"})
    assert {w.response_id for w in waiting} == {record.response_id, line.id}
    assert await records.papers_to_sign(ward, build.HEAD.reference, roles={"truong_khoa"}) == []
    await build.sign(record, build.DOCTOR, "bac_si_lam_benh_an")
    (following,) = await records.papers_to_sign(ward, build.HEAD.reference, roles={"bac_si_dieu_tri"})
    assert following.role == "bac_si_dieu_tri"


async def test_records_owed_count_the_days(ward: Repository, build: Any, clock: Any) -> None:
    """Discharged and not handed over, the most overdue first; gone when submitted."""
    record = await build.a_whole_record(ward, clock)
    clock.move(days=8)
    (owed,) = await records.records_owed(ward, "K01")
    assert (owed.days_late, owed.state) == (3, "discharged")
    await records.complete_record(ward, record.id, authorize=records.everything_allowed)
    await records.submit_record(ward, record.id, authorize=records.everything_allowed)
    assert await records.records_owed(ward, "K01") == []
