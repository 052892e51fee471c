"""Administrative acts taken back (practice A11): asked by one, granted by another; obstacles are listed, the rest follows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from benhan import records
from benhan.base.errors import Conflict, NotFound, RuleViolation
from benhan.records import Bed, everything_allowed
from benhan.store import Repository

ALLOWED = {"authorize": everything_allowed}


@pytest.fixture
def director(ward: Repository, build: Any) -> Repository:
    """The same facility as the person who grants sees it."""
    repo: Repository = ward.store.repo(build.ctx(ward.ctx.tenant, build.DIRECTOR), ward.policy)
    return repo


@pytest.fixture
def undo(ward: Repository, director: Repository) -> Callable[..., Any]:
    """Ask as the doctor, grant as the director."""

    async def act(encounter_id: str, name: str, target: str = "") -> records.Request:
        wish = await records.ask_undo(ward, encounter_id, name, "Nhập nhầm", target=target, **ALLOWED)
        return await records.grant_undo(director, wish.id, **ALLOWED)

    return act


async def transferred(ward: Repository, build: Any, clock: Any) -> str:
    """A patient taken over by K02."""
    encounter_id = str((await build.an_admission(ward)).encounter.id)
    clock.move(hours=1)
    task = await records.request_transfer(
        ward, encounter_id, "K02", "Khoa Hồi sức", clock.now(), "Suy hô hấp", build.DOCTOR
    )
    clock.move(hours=1)
    await records.accept_transfer(ward, task.id, clock.now(), build.HEAD, Bed("201", "H009"))
    return encounter_id


async def test_nobody_grants_his_own_wish(ward: Repository, director: Repository, build: Any) -> None:
    """A reason is needed, the asker cannot grant, a request is granted once; a refusal leaves everything as it was."""
    encounter_id = (await build.an_admission(ward)).encounter.id
    with pytest.raises(RuleViolation) as silent:
        await records.ask_undo(ward, encounter_id, "cancel", " ", **ALLOWED)
    assert silent.value.code == "records.reason-needed"
    wish = await records.ask_undo(ward, encounter_id, "cancel", "Nhầm", **ALLOWED)
    with pytest.raises(Conflict) as alone:
        await records.grant_undo(ward, wish.id, **ALLOWED)
    assert alone.value.code == "records.same-person"
    await records.decide(director, wish.id, False, note="Người bệnh vẫn ở khoa", **ALLOWED)
    with pytest.raises(Conflict) as late:
        await records.grant_undo(director, wish.id, **ALLOWED)
    assert late.value.code == "records.already-decided"
    assert (await records.case(ward, encounter_id)).state == "open"
    with pytest.raises(NotFound):
        await records.obstacles(ward, encounter_id, "wish")


async def test_admission_is_taken_back_with_its_numbers(
    ward: Repository, build: Any, undo: Callable[..., Any]
) -> None:
    """Đợt, stay and binder end; số vào viện and số bệnh án are cancelled with the reason; the patient can come again."""
    admitted = await build.an_admission(ward)
    opened = await records.open_record(ward, admitted.encounter.id, "01/BV1", build.DOCTOR, ward.clock.now())
    await undo(admitted.encounter.id, "cancel")
    assert (await records.case(ward, admitted.encounter.id)).state == "cancelled"
    assert (await ward.read("Encounter", admitted.encounter.id)).data["status"] == "cancelled"
    assert (await ward.read("Composition", opened.composition.id)).data["status"] == "entered-in-error"
    for kind in ("so_vao_vien", "so_benh_an"):
        (row,) = await records.numbers_taken(ward, kind)
        assert row.cancel_reason == "Nhập nhầm"
    patient = await ward.read("Patient", (await records.case(ward, admitted.encounter.id)).patient_id)
    assert (await build.an_admission(ward, patient)).encounter.id != admitted.encounter.id


async def test_obstacles_are_all_named(ward: Repository, build: Any, clock: Any) -> None:
    """Signed papers, signed lines and charges are listed with what to do; nothing is broken."""
    record = await build.a_discharged_record(ward, clock)
    told = await records.obstacles(ward, record.id, "cancel")
    assert any("hủy ra viện trước" in t for t in told)
    assert any("dòng chi phí chưa đảo" in t for t in told)
    assert any("dòng đã ký" in t for t in told)
    with pytest.raises(Conflict) as error:
        await records.ask_undo(ward, record.id, "cancel", "Nhầm", **ALLOWED)
    assert [i.text for i in error.value.issues] == told
    other = await build.a_patient(ward, cccd="051075000076")
    assert any("dòng đã ký" in t for t in await records.obstacles(ward, record.id, "patient", other.id))


async def test_transfer_is_taken_back_to_the_old_bed(
    ward: Repository, build: Any, clock: Any, undo: Callable[..., Any]
) -> None:
    """The old stay runs on without a gap, the new one is cancelled, the khoa and doctor are those of before."""
    encounter_id = await transferred(ward, build, clock)
    await undo(encounter_id, "transfer")
    (stay,) = await records.stays(ward, encounter_id)
    assert (stay.khoa, stay.end, stay.beds[-1].bed, stay.beds[-1].end) == ("K01", None, "H001", None)
    here = await records.case(ward, encounter_id)
    assert (here.khoa, here.doctor) == ("K01", build.DOCTOR.reference)
    assert await records.obstacles(ward, encounter_id, "transfer") == [
        "Đợt này không có lần chuyển khoa nào để hủy."
    ]
    again = await records.request_transfer(
        ward, encounter_id, "K02", "Khoa Hồi sức", clock.now(), "Suy hô hấp", build.DOCTOR
    )
    assert again.data["status"] == "requested"


async def test_charges_of_the_receiving_khoa_block(ward: Repository, build: Any, clock: Any) -> None:
    """What the receiving khoa has charged must be reversed first."""
    encounter_id = await transferred(ward, build, clock)
    system = "urn:benhan:test"
    line = records.ChargeInput(
        system, "DV01", "Khí dung", Decimal(1), clock.now(), price=Decimal(20_000), khoa="K02"
    )
    made = await records.charge(ward, encounter_id, line)
    assert await records.obstacles(ward, encounter_id, "transfer") == [
        "Còn 1 dòng chi phí của khoa nhận chưa đảo."
    ]
    await records.reverse_charge(ward, made.id, "Hủy chuyển khoa")
    assert await records.obstacles(ward, encounter_id, "transfer") == []


async def test_discharge_is_taken_back_by_two(
    ward: Repository, build: Any, clock: Any, undo: Callable[..., Any]
) -> None:
    """Stay and bed run again, bed-days are reversed, diagnoses are entered in error; a second discharge is possible."""
    record = await build.a_discharged_record(ward, clock)
    await undo(record.id, "discharge")
    assert (await records.case(ward, record.id)).state == "open"
    (stay,) = await records.stays(ward, record.id)
    assert stay.end is None
    beds = [c for c in await records.charge_lines(ward, record.id) if c.code == "GIUONG.NOI"]
    assert sum(c.amount for c in beds) == 0
    assert "encounter.diagnosis.discharge" not in await records.facts(ward, record.id)
    clock.move(days=1)
    await records.discharge(ward, record.id, build.an_end(clock.now()), **ALLOWED)
    assert (await records.case(ward, record.id)).state == "discharged"


async def test_a_dot_goes_to_the_right_patient(
    ward: Repository, build: Any, undo: Callable[..., Any]
) -> None:
    """Everything in the đợt names the right person afterwards; his cards are not the other's."""
    record = await build.an_inpatient_record(ward)
    right = await build.a_patient(ward, cccd="051075000077", name="Đinh Văn Đúng")
    with pytest.raises(RuleViolation) as unnamed:
        await records.ask_undo(ward, record.id, "patient", "Nhầm", **ALLOWED)
    assert unnamed.value.code == "records.undo-target"
    await undo(record.id, "patient", right.id)
    assert (await records.case(ward, record.id)).patient_id == right.id
    wrong = f"Patient/{record.patient.id}"
    for kind in ("Encounter", "Observation", "QuestionnaireResponse", "Composition", "EpisodeOfCare"):
        param = "patient" if kind == "EpisodeOfCare" else "subject"
        assert not (await ward.search(kind, [(param, wrong)])).entries, kind
    assert (await ward.search("Observation", [("subject", f"Patient/{right.id}")])).entries
    assert await records.entitlement_line(ward, record.id) == []


async def test_a_paper_goes_to_the_right_record(
    ward: Repository, build: Any, undo: Callable[..., Any]
) -> None:
    """What was typed is kept, what the wrong record proposed is proposed anew; the old one stays readable as an error."""
    here = await build.an_inpatient_record(ward)
    there = await build.an_inpatient_record(ward, cccd="051075000078", name="Phạm Thị Kia")
    paper = await records.open_paper(ward, here.id, "46/BV2", build.DOCTOR, ward.clock.now())
    proposed = await records.paper_answers(ward, paper.id)
    form = records.form_of(paper.data)
    free = next(i.link_id for i in form.answerable() if i.type == "text" and not proposed.get(i.link_id))
    await records.save_form(ward, paper.id, {**proposed, free: "Gia đình xin đưa về"}, build.DOCTOR)
    await undo(here.id, "paper", f"{paper.id}>{there.id}")
    assert paper.id not in {p.response.id for p in await records.papers(ward, here.id)}
    assert (await ward.read("QuestionnaireResponse", paper.id)).data["status"] == "entered-in-error"
    (moved,) = [p for p in await records.papers(ward, there.id) if p.form_code == "46/BV2"]
    told = await records.paper_answers(ward, moved.response.id)
    assert told[free] == "Gia đình xin đưa về"
    assert "Phạm Thị Kia".casefold() in str(told).casefold()
    name = (await ward.read("Patient", here.patient.id)).data["name"][0]["text"]
    assert name.casefold() not in str(told).casefold()
    main = await records.obstacles(ward, here.id, "paper", f"{here.response_id}>{there.id}")
    assert any("Bệnh án chính" in t for t in main)


async def test_two_dots_of_one_illness_become_one(
    ward: Repository, build: Any, clock: Any, undo: Callable[..., Any]
) -> None:
    """The visit at the examination room goes before the admission; its numbers are cancelled, its signs are kept."""
    patient = await build.a_patient(ward)
    visit = await build.an_admission(ward, patient, ma_loai_kcb="01", bed=None)
    await records.record_vitals(ward, visit.encounter.id, build.vitals(clock.now()))
    clock.move(hours=2)
    admitted = await build.an_admission(ward, patient, happened=clock.now())
    await undo(visit.encounter.id, "merge", admitted.encounter.id)
    assert (await records.case(ward, visit.encounter.id)).state == "cancelled"
    kept = await records.case(ward, admitted.encounter.id)
    assert clock.now() - kept.admitted_at >= timedelta(hours=2)
    first, second = await records.stays(ward, admitted.encounter.id)
    assert first.end == second.start
    assert (await ward.search("Observation", [("encounter", f"Encounter/{admitted.encounter.id}")])).entries
    assert not (await ward.search("Observation", [("encounter", f"Encounter/{visit.encounter.id}")])).entries
    other = await build.an_admission(ward, await build.a_patient(ward, cccd="051075000079"))
    told = await records.obstacles(ward, other.encounter.id, "merge", admitted.encounter.id)
    assert "Hai đợt thuộc hai người bệnh." in told
