"""Unread results: new until a doctor of the khoa acknowledges that version; corrections and late ones come back."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

import pytest

from benhan import records
from benhan.base.errors import Conflict, NotAllowed, NotFound, RuleViolation
from benhan.records import LabOrder, ResultInput, everything_allowed
from benhan.store import Repository


async def result(ward: Repository, build: Any, encounter_id: str, value: Any, **more: Any) -> Any:
    """One more result of LAB001."""
    (order,) = await records.order_lab(
        ward, encounter_id, LabOrder(("LAB001",), ward.clock.now(), build.DOCTOR)
    )
    return await records.enter_result(ward, order.id, ResultInput(value, ward.clock.now(), build.LAB, **more))


async def see(ward: Repository, report: Any, note: str = "") -> None:
    """Acknowledge a version."""
    await records.acknowledge_result(ward, report.id, report.version, note, authorize=everything_allowed)


async def test_new_until_seen_and_new_again_when_corrected(ward: Repository, build: Any) -> None:
    """Seen once it is gone for the whole khoa and bears the first name; a correction is new; an old version is refused."""
    encounter_id = (await build.an_admission(ward)).encounter.id
    made = await result(ward, build, encounter_id, Decimal("6.20"))
    (row,) = (await records.unread_results(ward)).rows
    assert (row.report_id, str(row.value), row.flag, row.corrected) == (made.report.id, "6.20", "H", False)
    assert row.encounter_id == encounter_id
    await see(ward, made.report)
    await see(ward, made.report, "lần hai")
    assert (await records.unread_results(ward)).rows == []
    assert (await records.seen_by(ward, [made.report.id]))[made.report.id].note == ""
    corrected = ResultInput(Decimal("5.20"), ward.clock.now(), build.LAB)
    await records.correct_result(ward, made.observation.id, corrected, "Nhập nhầm")
    (row,) = (await records.unread_results(ward)).rows
    assert (str(row.value), row.corrected, row.version) == ("5.20", True, made.report.version + 1)
    with pytest.raises(Conflict) as error:
        await see(ward, made.report)
    assert error.value.code == "records.result-changed"


@pytest.mark.parametrize(
    ("value", "flag"), [(Decimal("6.20"), "HH"), (Decimal("3.10"), "LL"), ("Dương tính", "AA")]
)
async def test_critical_needs_what_was_done(ward: Repository, build: Any, value: Any, flag: str) -> None:
    """A critical result stands first and is acknowledged only with a note."""
    encounter_id = (await build.an_admission(ward)).encounter.id
    made = await result(ward, build, encounter_id, value, critical=True)
    await result(ward, build, encounter_id, Decimal("4.50"))
    rows = (await records.unread_results(ward)).rows
    assert [r.flag for r in rows] == [flag, "N"]
    with pytest.raises(RuleViolation) as error:
        await see(ward, made.report, "  ")
    assert error.value.code == "records.critical-needs-note"
    await see(ward, made.report, "Đã báo kíp trực")
    assert [r.flag for r in (await records.unread_results(ward)).rows] == ["N"]
    assert (await records.seen_by(ward, [made.report.id]))[made.report.id].note == "Đã báo kíp trực"


async def test_only_the_khoa_of_the_patient(ward: Repository, build: Any) -> None:
    """Other khoa do not see it in their list; whoever has no right there cannot acknowledge; an unknown id is unknown."""
    admitted = await build.an_admission(ward)
    made = await result(ward, build, admitted.encounter.id, Decimal("4.50"))
    khoa = (await records.case(ward, admitted.encounter.id)).khoa
    assert len((await records.unread_results(ward, [khoa])).rows) == 1
    assert (await records.unread_results(ward, ["K99"])).rows == []
    assert (await records.unread_results(ward, [])).rows == []

    def refuse(permission: str, where: str | None) -> None:
        assert (permission, where) == ("order.write", khoa)
        raise NotAllowed("access.denied", "Không có quyền.")

    with pytest.raises(NotAllowed):
        await records.acknowledge_result(ward, made.report.id, 1, authorize=refuse)
    with pytest.raises(NotFound):
        await records.acknowledge_result(ward, "khong-co", 1, authorize=everything_allowed)
    assert len((await records.unread_results(ward)).rows) == 1


@pytest.mark.parametrize("seed", range(4))
async def test_nothing_twice_nothing_lost(ward: Repository, build: Any, seed: int) -> None:
    """Over a random day of results, corrections and acknowledgements the list is what nobody has seen, exactly."""
    chance = random.Random(seed)
    encounter_id = (await build.an_admission(ward)).encounter.id
    unseen: dict[str, int] = {}
    known: list[Any] = []
    for _ in range(25):
        act = chance.choice(["new", "new", "correct", "see"])
        if act == "new" or not known:
            made = await result(ward, build, encounter_id, Decimal(chance.randint(20, 90)) / 10)
            known.append(made)
            unseen[made.report.id] = 1
        elif act == "correct":
            made = chance.choice(known)
            value = ResultInput(Decimal(chance.randint(20, 90)) / 10, ward.clock.now(), build.LAB)
            await records.correct_result(ward, made.observation.id, value, "Nhập nhầm")
            unseen[made.report.id] = (await ward.read("DiagnosticReport", made.report.id)).version
        elif unseen:
            report_id = chance.choice(sorted(unseen))
            version = unseen.pop(report_id)
            await records.acknowledge_result(ward, report_id, version, authorize=everything_allowed)
        rows = (await records.unread_results(ward)).rows
        assert {r.report_id: r.version for r in rows} == unseen
        assert len(rows) == len(unseen)
