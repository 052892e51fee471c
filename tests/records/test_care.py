"""Orders, results, drugs, vital signs, running sheets."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from benhan import records
from benhan.base.errors import Conflict, InvalidInput, NotFound, RuleViolation
from benhan.catalogue import systems
from benhan.records import Administration, DrugOrder, Entry, LabOrder, ResultInput, everything_allowed
from benhan.store import Repository


async def test_result_keeps_its_three_times(ward: Repository, build: Any, clock: Any) -> None:
    """NGAY_YL is the order's, NGAY_TH_YL the specimen's, NGAY_KQ the result's; the digits stay as typed."""
    encounter_id = (await build.an_admission(ward)).encounter.id
    (order,) = await records.order_lab(ward, encounter_id, LabOrder(("LAB001",), clock.now(), build.DOCTOR))
    taken = clock.now() + timedelta(minutes=10)
    clock.move(hours=1)
    done = await records.enter_result(
        ward, order.id, ResultInput(Decimal("4.50"), clock.now(), build.LAB, taken=taken, machine="XN1.2.3")
    )
    observation = done.observation.data
    assert observation["effectiveDateTime"] < observation["issued"]
    assert str(observation["valueQuantity"]["value"]) == "4.50"
    assert observation["performer"][0]["identifier"]["value"] == build.LAB.licence
    assert observation["interpretation"][0]["coding"][0]["code"] == "N"
    assert done.report.data["result"] == [{"reference": f"Observation/{done.observation.id}"}]
    assert (await ward.read("ServiceRequest", order.id)).data["status"] == "completed"
    with pytest.raises(Conflict) as error:
        await records.enter_result(ward, order.id, ResultInput(Decimal(5), clock.now(), build.LAB))
    assert error.value.code == "records.order-done"


async def test_result_before_its_order_is_refused(ward: Repository, build: Any, clock: Any) -> None:
    """Times run: order, specimen, result."""
    encounter_id = (await build.an_admission(ward)).encounter.id
    (order,) = await records.order_lab(ward, encounter_id, LabOrder(("LAB001",), clock.now(), build.DOCTOR))
    with pytest.raises(RuleViolation) as error:
        await records.enter_result(
            ward, order.id, ResultInput(Decimal(5), clock.now() - timedelta(hours=1), build.LAB)
        )
    assert error.value.code == "records.times-out-of-order"


async def test_items_ordered_together_share_their_number(ward: Repository, build: Any, clock: Any) -> None:
    """One request per item, one số phiếu."""
    encounter_id = (await build.an_admission(ward)).encounter.id
    made = await records.order_lab(
        ward, encounter_id, LabOrder(("LAB001", "LAB002", "LAB001"), clock.now(), build.DOCTOR)
    )
    assert len(made) == 2
    assert len({m.data["requisition"]["value"] for m in made}) == 1


async def test_trend_of_a_result(ward: Repository, build: Any, clock: Any) -> None:
    """Points by time with range and flag; a correction replaces its point, the first value stays in the log."""
    admitted = await build.an_admission(ward)
    values = ["4.50", "3.10", "6.20"]
    last = None
    for value in values:
        (order,) = await records.order_lab(
            ward, admitted.encounter.id, LabOrder(("LAB001",), clock.now(), build.DOCTOR)
        )
        clock.move(hours=6)
        last = await records.enter_result(ward, order.id, ResultInput(Decimal(value), clock.now(), build.LAB))
    patient_id = admitted.encounter.data["subject"]["reference"].split("/")[1]
    series = await records.result_series(ward, patient_id, "LAB001")
    assert [str(p.value) for p in series] == values
    assert [p.flag for p in series] == ["N", "L", "H"]
    assert last is not None
    corrected = await records.correct_result(
        ward, last.observation.id, ResultInput(Decimal("5.20"), clock.now(), build.LAB), "Nhập nhầm"
    )
    assert corrected.data["status"] == "corrected"
    assert [str(p.value) for p in await records.result_series(ward, patient_id, "LAB001")][-1] == "5.20"
    first = await ward.vread("Observation", last.observation.id, 1)
    assert str(first.data["valueQuantity"]["value"]) == "6.20"


async def test_dose_given_is_charged_and_stops_with_the_order(
    ward: Repository, build: Any, clock: Any
) -> None:
    """Each dose is a line of its quantity; after stopping nothing is given."""
    encounter_id = (await build.an_admission(ward)).encounter.id
    drug = await records.order_drug(
        ward, encounter_id, DrugOrder("TH0001", Decimal(1), "viên", "Uống", 3, 5, clock.now(), build.DOCTOR)
    )
    clock.move(minutes=5)
    await records.administer(ward, drug.id, Administration(clock.now(), Decimal(2), build.NURSE))
    (line,) = await records.charge_lines(ward, encounter_id)
    assert (line.system, line.code, line.quantity) == (systems.DRUG, "TH0001", Decimal(2))
    await records.stop_drug(ward, drug.id, "Hết sốt", clock.now())
    with pytest.raises(Conflict) as error:
        await records.administer(ward, drug.id, Administration(clock.now(), Decimal(1), build.NURSE))
    assert error.value.code == "records.drug-stopped"


async def test_vital_signs_are_one_entry_and_many_series(ward: Repository, build: Any, clock: Any) -> None:
    """One round gives its observations; the series are read back by name."""
    admitted = await build.an_admission(ward)
    made = await records.record_vitals(ward, admitted.encounter.id, build.vitals(clock.now()))
    assert len(made) == 6
    clock.move(hours=6)
    await records.record_vitals(
        ward, admitted.encounter.id, build.vitals(clock.now(), temperature=Decimal("37.0"))
    )
    patient_id = admitted.encounter.data["subject"]["reference"].split("/")[1]
    series = await records.vital_series(ward, patient_id, encounter_id=admitted.encounter.id)
    assert [str(p.value) for p in series["temperature"]] == ["38.5", "37.0"]
    assert [p.value for p in series["systolic"]] == [120, 120]
    assert series["spo2"] == []


async def test_impossible_vital_signs_are_refused_all_at_once(
    ward: Repository, build: Any, clock: Any
) -> None:
    """420 degrees and a pressure upside down: both faults are said."""
    encounter_id = (await build.an_admission(ward)).encounter.id
    wrong = build.vitals(clock.now(), temperature=Decimal(420), systolic=Decimal(60), diastolic=Decimal(90))
    with pytest.raises(InvalidInput) as error:
        await records.record_vitals(ward, encounter_id, wrong)
    assert {i.expression for i in error.value.issues} == {"temperature", "systolic"}


async def test_adding_a_line_never_hurts_an_earlier_signature(
    ward: Repository, build: Any, clock: Any
) -> None:
    """The signature covers the line's exact bytes; they are the same after ten more lines."""
    record = await build.an_inpatient_record(ward)
    sheet = await records.open_sheet(ward, record.id, "36/BV2", build.DOCTOR, clock.now())
    first = await records.add_entry(
        ward, sheet.id, Entry(clock.now(), build.DOCTOR, "Sốt 38,5 °C", "Paracetamol")
    )
    await records.sign_entry(ward, first.id, build.sign_as(build.DOCTOR, ""), authorize=everything_allowed)
    bytes_then, cms_then = await records.entry_proof(ward, first.id)
    for n in range(10):
        clock.move(minutes=30)
        await records.add_entry(ward, sheet.id, Entry(clock.now(), build.DOCTOR, f"Diễn biến {n}"))
    assert await records.entry_proof(ward, first.id) == (bytes_then, cms_then)
    assert bytes_then == first.raw
    lines = await records.entries(ward, sheet.id)
    assert len(lines) == 11
    assert [e.signed_by for e in lines] == [build.DOCTOR.name] + [None] * 10
    with pytest.raises(Conflict) as error:
        await records.sign_entry(
            ward, first.id, build.sign_as(build.DOCTOR, ""), authorize=everything_allowed
        )
    assert error.value.code == "records.entry-signed"


async def test_changed_line_is_a_new_version_to_be_signed(ward: Repository, build: Any, clock: Any) -> None:
    """The old version stays with its signature; the new one has none until it is signed; a reason is needed."""
    record = await build.an_inpatient_record(ward)
    sheet = await records.open_sheet(ward, record.id, "36/BV2", build.DOCTOR, clock.now())
    line = await records.add_entry(ward, sheet.id, Entry(clock.now(), build.DOCTOR, "Sốt 38,5 °C"))
    await records.sign_entry(ward, line.id, build.sign_as(build.DOCTOR, ""), authorize=everything_allowed)
    changed = Entry(clock.now(), build.DOCTOR, "Sốt 39,5 °C")
    with pytest.raises(RuleViolation):
        await records.amend_entry(ward, line.id, changed, " ")
    amended = await records.amend_entry(ward, line.id, changed, "Ghi nhầm nhiệt độ")
    assert amended.data["status"] == "amended"
    with pytest.raises(NotFound):
        await records.entry_proof(ward, line.id)
    assert (await ward.vread("QuestionnaireResponse", line.id, 1)).raw == line.raw


async def test_sheet_ends_when_every_line_is_signed(ward: Repository, build: Any, clock: Any) -> None:
    """Unsigned lines hold it open; ended it takes no more lines and prints its signed PDF."""
    record = await build.an_inpatient_record(ward)
    sheet = await records.open_sheet(ward, record.id, "36/BV2", build.DOCTOR, clock.now())
    line = await records.add_entry(ward, sheet.id, Entry(clock.now(), build.DOCTOR, "Sốt"))
    ink = build.sign_as(build.DOCTOR, "")
    with pytest.raises(Conflict) as error:
        await records.end_sheet(ward, sheet.id, ink, authorize=everything_allowed)
    assert error.value.code == "records.entries-unsigned"
    await records.sign_entry(ward, line.id, ink, authorize=everything_allowed)
    assert (await records.print_sheet(ward, sheet.id)).startswith(b"%PDF")
    document = await records.end_sheet(ward, sheet.id, ink, authorize=everything_allowed)
    assert (await records.print_sheet(ward, sheet.id)) == await records.content_of(ward, document.data)
    with pytest.raises(Conflict):
        await records.add_entry(ward, sheet.id, Entry(clock.now(), build.DOCTOR, "Thêm"))
