"""Binder, timeline and work lists."""

from __future__ import annotations

from typing import Any

import pytest

from benhan import records
from benhan.access import roles as access_roles
from benhan.base.errors import RuleViolation
from benhan.forms import catalogue
from benhan.records import Reader, signers
from benhan.records.signers import waits_for
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


def reader(staff: Any, *permissions: str, roles: tuple[str, ...] = ()) -> Reader:
    """Somebody with these permissions in khoa K01."""
    return Reader(staff.reference, roles, lambda p, k: p in permissions and k == "K01")


async def test_papers_to_sign_wait_for_the_next_signer(ward: Repository, build: Any, clock: Any) -> None:
    """The author first, then the treating doctor, then the head; own unsigned lines too; each sees only his turn."""
    record = await build.an_inpatient_record(ward)
    sheet = await records.open_sheet(ward, record.id, "36/BV2", build.DOCTOR, clock.now())
    line = await records.add_entry(ward, sheet.id, records.Entry(clock.now(), build.DOCTOR, "Sốt"))
    doctor, head = reader(build.DOCTOR, "form.sign"), reader(build.HEAD, "form.sign", "form.sign_head")
    waiting = await records.papers_to_sign(ward, doctor)
    assert {w.response_id for w in waiting} == {record.response_id, line.id}
    assert next(w.sha256 for w in waiting if w.is_entry) == line.sha256
    assert await records.papers_to_sign(ward, head) == []
    assert [w.is_entry for w in await records.papers_to_sign(ward, reader(build.DOCTOR))] == [True]
    await build.sign(record, build.DOCTOR, "bac_si_lam_benh_an")
    (following,) = [w for w in await records.papers_to_sign(ward, doctor) if not w.is_entry]
    assert following.role == "bac_si_dieu_tri"
    assert await records.papers_to_sign(ward, head) == []
    await build.write(record, build.summary_answers())
    await build.sign(record, build.DOCTOR, "bac_si_dieu_tri")
    (last,) = await records.papers_to_sign(ward, head)
    assert (last.role, last.place_title) == ("truong_khoa", "Trưởng khoa")


async def test_a_trainee_drafts_and_the_supervisor_signs(ward: Repository, build: Any, clock: Any) -> None:
    """What somebody without a licence writes waits for the treating doctor: the paper's first place, and each line."""
    record = await build.an_inpatient_record(ward)
    trainee = records.Staff("Practitioner/hv1", "Học viên Thử", None, "K01")
    paper = await records.open_paper(ward, record.id, "29/BV2", trainee, clock.now())
    sheet = await records.open_sheet(ward, record.id, "36/BV2", build.DOCTOR, clock.now())
    line = await records.add_entry(ward, sheet.id, records.Entry(clock.now(), trainee, "Sốt, ho"))
    own = reader(trainee, "form.sign")
    assert {w.response_id for w in await records.papers_to_sign(ward, own)} == set()
    waiting = {w.response_id for w in await records.papers_to_sign(ward, reader(build.DOCTOR, "form.sign"))}
    assert {paper.id, line.id} <= waiting
    owing = {late.response_id: late.owed_by for late in await records.late_signatures(ward, "K01")}
    assert owing[paper.id] == build.DOCTOR.name
    other = await records.add_entry(ward, sheet.id, records.Entry(clock.now(), build.DOCTOR, "Đỡ sốt"))
    with pytest.raises(RuleViolation) as refused:
        await records.sign_entry(
            ward, other.id, build.sign_as(build.HEAD, ""), authorize=records.everything_allowed
        )
    assert refused.value.code == "records.not-your-line"
    with pytest.raises(RuleViolation):
        await records.sign_entry(
            ward, line.id, build.sign_as(trainee, ""), authorize=records.everything_allowed
        )
    await records.sign_entry(
        ward, line.id, build.sign_as(build.DOCTOR, ""), authorize=records.everything_allowed
    )
    first = next(f for f in catalogue().all() if f.code == "29/BV2").signatures[0].role
    with pytest.raises(RuleViolation) as refused:
        await records.sign_paper(
            ward, paper.id, build.sign_as(trainee, first), authorize=records.everything_allowed
        )
    assert refused.value.code == "records.no-licence"
    shown = next(e for e in await records.entries(ward, sheet.id) if e.id == line.id)
    assert (shown.author_name, shown.signed_by, shown.supervised) == ("Học viên Thử", build.DOCTOR.name, True)


def test_places_wait_for_those_the_table_names() -> None:
    """The patient's place for nobody on the staff; nursing places for nurses of the khoa, not for the treating doctor."""
    form = next(f for f in catalogue().all() if f.code == "01/BV2")
    place = next(p for p in form.signatures if p.role == "nguoi_benh")
    everybody = Reader("Practitioner/x", ("bac_si", "dieu_duong"), lambda p, k: True)
    assert not waits_for(
        form, place, "K01", author="Practitioner/x", doctor="Practitioner/x", reader=everybody
    )
    roles = {role for roles in signers._table()["by_role"].values() for role in roles}
    assert roles <= {r.code for r in access_roles()}
    held = {p.role for f in catalogue().all() for p in f.signatures}
    assert set(signers._table()["by_role"]) | set(signers._table()["patient"]) <= held


async def test_records_owed_count_the_days(ward: Repository, build: Any, clock: Any) -> None:
    """Discharged and not handed over, the most overdue first; gone when submitted."""
    record = await build.a_whole_record(ward, clock)
    clock.move(days=8)
    (owed,) = await records.records_owed(ward, "K01")
    assert (owed.days_late, owed.state) == (3, "discharged")
    await records.complete_record(ward, record.id, authorize=records.everything_allowed)
    await records.submit_record(ward, record.id, authorize=records.everything_allowed)
    assert await records.records_owed(ward, "K01") == []
