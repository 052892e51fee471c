"""Admission, stays and beds."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from benhan import records
from benhan.base.errors import Conflict, RuleViolation
from benhan.catalogue import systems
from benhan.records import Bed
from benhan.store import Repository


async def test_admission_makes_the_chain(ward: Repository, build: Any) -> None:
    """Episode → đợt with MA_LK and số vào viện → stay with its bed; the case is open."""
    admitted = await build.an_admission(ward)
    encounter = admitted.encounter.data
    assert {i["system"]: i["value"] for i in encounter["identifier"]} == {
        systems.MA_LK: admitted.ma_lk,
        systems.SO_VAO_VIEN: admitted.so_vao_vien,
    }
    assert encounter["episodeOfCare"] == [{"reference": f"EpisodeOfCare/{admitted.episode.id}"}]
    (stay,) = await records.stays(ward, admitted.encounter.id)
    assert (stay.khoa, stay.beds[0].room, stay.beds[0].bed, stay.end) == ("K01", "101", "H001", None)
    assert (await records.case(ward, admitted.encounter.id)).state == "open"
    assert (await records.encounter_by_ma_lk(ward, admitted.ma_lk)).id == admitted.encounter.id


async def test_patient_in_bed_is_not_admitted_twice(ward: Repository, build: Any) -> None:
    """The running đợt has to end first."""
    patient = await build.a_patient(ward)
    await build.an_admission(ward, patient)
    with pytest.raises(Conflict) as error:
        await build.an_admission(ward, patient)
    assert error.value.code == "records.already-admitted"


async def test_transfer_ends_when_the_other_khoa_accepts(ward: Repository, build: Any, clock: Any) -> None:
    """Until then the patient stays; acceptance gives the bed, ends the old stay and moves the case."""
    admitted = await build.an_admission(ward)
    task = await records.request_transfer(
        ward, admitted.encounter.id, "K02", "Khoa Hồi sức", clock.now(), "Suy hô hấp", build.DOCTOR
    )
    assert (await records.current_stay(ward, admitted.encounter.id)).khoa == "K01"
    clock.move(hours=1)
    await records.accept_transfer(ward, task.id, clock.now(), build.HEAD, Bed("201", "C002"))
    first, second = await records.stays(ward, admitted.encounter.id)
    assert first.end == second.start
    assert first.beds[0].end == second.start
    assert (second.khoa, second.beds[0].bed) == ("K02", "C002")
    assert (await records.case(ward, admitted.encounter.id)).khoa == "K02"
    with pytest.raises(Conflict):
        await records.accept_transfer(ward, task.id, clock.now(), build.HEAD, Bed("201", "C002"))


async def test_one_transfer_at_a_time_and_it_can_be_taken_back(
    ward: Repository, build: Any, clock: Any
) -> None:
    """A second request waits for the first; taking back needs a reason."""
    encounter_id = (await build.an_admission(ward)).encounter.id
    ask = (ward, encounter_id, "K02", "Khoa Hồi sức", clock.now(), "Suy hô hấp", build.DOCTOR)
    task = await records.request_transfer(*ask)
    with pytest.raises(Conflict) as error:
        await records.request_transfer(*ask)
    assert error.value.code == "records.transfer-pending"
    with pytest.raises(RuleViolation):
        await records.cancel_transfer(ward, task.id, " ", build.HEAD)
    await records.cancel_transfer(ward, task.id, "Hết giường", build.HEAD)
    assert (await records.request_transfer(*ask)).id != task.id


async def test_change_of_bed_keeps_both_intervals(ward: Repository, build: Any, clock: Any) -> None:
    """Beds are a time line inside the stay."""
    encounter_id = (await build.an_admission(ward)).encounter.id
    await records.move_bed(ward, encounter_id, Bed("102", "H005", shared=True), clock.now())
    (stay,) = await records.stays(ward, encounter_id)
    assert [(b.bed, b.shared, b.end is None) for b in stay.beds] == [
        ("H001", False, False),
        ("H005", True, True),
    ]


async def test_late_entry_needs_a_reason_and_shows_it(ward: Repository, build: Any, clock: Any) -> None:
    """More than the facility's limit after it happened: refused without reason, marked with it; the future is refused."""
    long_ago = clock.now() - timedelta(days=2)
    with pytest.raises(RuleViolation) as error:
        await build.an_admission(ward, happened=long_ago)
    assert error.value.code == "records.late-reason-needed"
    patient = await build.a_patient(ward, cccd="051075000032")
    admitted = await build.an_admission(ward, patient, happened=long_ago, late_reason="Mất điện")
    assert records.shapes.late_reason_of(admitted.encounter.data) == "Mất điện"
    with pytest.raises(RuleViolation) as future:
        await build.an_admission(
            ward, await build.a_patient(ward, cccd="051075000033"), happened=clock.now() + timedelta(hours=1)
        )
    assert future.value.code == "records.in-future"
