"""Entitlement as a time line, charges from executed orders, reversal, the lock of the fees."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from benhan import records
from benhan.base.clock import VIETNAM
from benhan.base.errors import Conflict, RuleViolation
from benhan.catalogue import systems
from benhan.records import ChargeInput, LabOrder, ResultInput, everything_allowed
from benhan.records.charges import bed_days
from benhan.records.types import BedInterval, Stay
from benhan.store import Repository


async def a_lab_result(ward: Repository, build: Any, clock: Any, encounter_id: str) -> records.ResultEntered:
    (order,) = await records.order_lab(ward, encounter_id, LabOrder(("LAB001",), clock.now(), build.DOCTOR))
    clock.move(minutes=30)
    return await records.enter_result(ward, order.id, ResultInput(Decimal("4.50"), clock.now(), build.LAB))


async def test_charge_comes_from_the_executed_order(ward: Repository, build: Any, clock: Any) -> None:
    """No line at ordering; one line at the result, with price and payer of its date."""
    encounter_id = (await build.an_admission(ward)).encounter.id
    await build.a_card(ward, encounter_id)
    await records.order_lab(ward, encounter_id, LabOrder(("LAB002",), clock.now(), build.DOCTOR))
    assert await records.charge_lines(ward, encounter_id) == []
    await a_lab_result(ward, build, clock, encounter_id)
    (line,) = await records.charge_lines(ward, encounter_id)
    assert (line.code, line.payer, line.percent, line.unit_price) == ("LAB001", "bhyt", 80, Decimal(47200))
    assert (line.insurer_amount, line.patient_amount) == (Decimal(37760), Decimal(9440))


async def test_card_that_changes_mid_stay_recalculates_by_date(
    ward: Repository, build: Any, clock: Any
) -> None:
    """Lines before the new card keep the old right, lines after it have the new one, lines without a card are paid."""
    encounter_id = (await build.an_admission(ward)).encounter.id
    await a_lab_result(ward, build, clock, encounter_id)
    (before,) = await records.charge_lines(ward, encounter_id)
    assert (before.payer, before.percent) == ("thu-phi", 0)
    first = await build.a_card(ward, encounter_id, percent=80, valid_to=date(2026, 11, 21))
    (late_card,) = await records.charge_lines(ward, encounter_id)
    assert (late_card.payer, late_card.percent, late_card.coverage_id) == ("bhyt", 80, first.id)
    clock.move(days=1)
    change = clock.now()
    await a_lab_result(ward, build, clock, encounter_id)
    second = await build.a_card(ward, encounter_id, card="HN2515100000001", percent=100, starts=change)
    clock.move(days=1)
    await a_lab_result(ward, build, clock, encounter_id)
    lines = await records.charge_lines(ward, encounter_id)
    assert [(line.percent, line.coverage_id) for line in lines] == [
        (80, first.id),
        (100, second.id),
        (100, second.id),
    ]
    assert [e.coverage_id for e in await records.entitlement_line(ward, encounter_id)] == [
        first.id,
        second.id,
    ]
    held = await records.entitlement_on(ward, encounter_id, change - timedelta(minutes=1))
    assert held is not None
    assert held.coverage_id == first.id


async def test_right_ends_with_the_card(ward: Repository, build: Any, clock: Any) -> None:
    """After the last day of the card the patient pays."""
    encounter_id = (await build.an_admission(ward)).encounter.id
    await build.a_card(ward, encounter_id, valid_to=date(2026, 11, 20))
    assert await records.entitlement_on(ward, encounter_id, clock.now()) is not None
    assert await records.entitlement_on(ward, encounter_id, clock.now() + timedelta(days=1)) is None


async def test_price_of_its_date(ward: Repository, build: Any, clock: Any) -> None:
    """A line of June has the price of June."""
    encounter_id = (await build.an_admission(ward)).encounter.id
    june = clock.now().replace(month=6)
    for happened in (june, clock.now()):
        await records.charge(
            ward, encounter_id, ChargeInput(systems.SERVICE, "KHAM.NOI", "Khám Nội", Decimal(1), happened)
        )
    assert [c.unit_price for c in await records.charge_lines(ward, encounter_id)] == [
        Decimal(45000),
        Decimal(50000),
    ]
    with pytest.raises(RuleViolation) as error:
        await records.charge(
            ward, encounter_id, ChargeInput(systems.SERVICE, "X", "X", Decimal(1), clock.now())
        )
    assert error.value.code == "records.no-price"


async def test_reversal_is_a_negative_line(ward: Repository, build: Any, clock: Any) -> None:
    """The first line stays; the sum is nought; a line is reversed once."""
    encounter_id = (await build.an_admission(ward)).encounter.id
    line = await records.charge(
        ward, encounter_id, ChargeInput(systems.SERVICE, "KHAM.NOI", "Khám Nội", Decimal(1), clock.now())
    )
    await records.reverse_charge(ward, line.id, "Ghi nhầm")
    lines = await records.charge_lines(ward, encounter_id)
    assert sorted(c.amount for c in lines) == [Decimal(-50000), Decimal(50000)]
    assert (await records.account(ward, encounter_id)).total == 0
    with pytest.raises(Conflict) as error:
        await records.reverse_charge(ward, line.id, "Lần nữa")
    assert error.value.code == "records.already-reversed"


async def test_same_execution_is_charged_once(ward: Repository, build: Any, clock: Any) -> None:
    """A second call with the same source gives the line that stands."""
    encounter_id = (await build.an_admission(ward)).encounter.id
    item = ChargeInput(systems.SERVICE, "KHAM.NOI", "Khám Nội", Decimal(1), clock.now(), source="Procedure/x")
    assert (await records.charge(ward, encounter_id, item)).id == (
        await records.charge(ward, encounter_id, item)
    ).id


async def test_running_total_against_advances(ward: Repository, build: Any, clock: Any) -> None:
    """Tạm ứng less the patient's part is what is given back."""
    encounter_id = (await build.an_admission(ward)).encounter.id
    await records.add_advance(ward, encounter_id, Decimal(100000), clock.now(), "Tạm ứng lần 1")
    item = ChargeInput(systems.SERVICE, "KHAM.NOI", "Khám Nội", Decimal(1), clock.now())
    await records.charge(ward, encounter_id, item)
    total = await records.account(ward, encounter_id)
    assert (total.patient, total.advances, total.due) == (Decimal(50000), Decimal(100000), Decimal(-50000))


async def test_locked_fees_refuse_lines_also_by_the_store(ward: Repository, build: Any, clock: Any) -> None:
    """The lock of the fees is its own: room and store refuse; unlocking needs a reason."""
    encounter_id = (await build.an_admission(ward)).encounter.id
    item = ChargeInput(systems.SERVICE, "KHAM.NOI", "Khám Nội", Decimal(1), clock.now())
    line = await records.charge(ward, encounter_id, item)
    await records.lock_charges(ward, encounter_id, authorize=everything_allowed)
    for attempt in (
        records.charge(ward, encounter_id, item),
        ward.update({**line.data, "quantity": {"value": 2}}),
        records.lock_charges(ward, encounter_id, authorize=everything_allowed),
    ):
        with pytest.raises(Conflict) as error:
            await attempt
        assert error.value.code == "records.fees-locked"
    with pytest.raises(RuleViolation):
        await records.unlock_charges(ward, encounter_id, authorize=everything_allowed, reason="")
    await records.unlock_charges(ward, encounter_id, authorize=everything_allowed, reason="Thu thiếu")
    await records.charge(ward, encounter_id, item)
    assert [e.event for e in await records.events(ward, encounter_id)][-2:] == [
        "lock-charges",
        "unlock-charges",
    ]


@pytest.mark.parametrize(
    ("days", "moved_in", "moved_out", "shared", "wanted"),
    [
        (5, False, False, False, "5"),
        (0, False, False, False, "1"),
        (2, False, True, False, "2.5"),
        (2, True, False, False, "1.5"),
        (0, True, True, False, "0.5"),
        (4, False, False, True, "2.0"),
    ],
)
def test_bed_days(
    days: int, moved_in: bool, moved_out: bool, shared: bool, wanted: str, clock: Any, build: Any
) -> None:
    """Nights; half a day to each khoa on the day of a transfer; a shared bed counts half."""
    start = build.noon(date(2026, 11, 1)).astimezone(VIETNAM)
    end = start + timedelta(days=days, hours=1)
    stay = Stay("s", "K01", "Nội", start, end, "", "", (BedInterval("1", "H001", shared, start, end),))
    half = Decimal("0.5")
    assert bed_days(stay, start, half, half, moved_in=moved_in, moved_out=moved_out) == Decimal(wanted)


async def test_another_payer_makes_a_reversal_pair_with_reason_and_author(
    ward: Repository, build: Any, clock: Any
) -> None:
    """BHYT → patient → other source → BHYT: every step leaves the line before it and its reversal; sums follow the last."""
    encounter_id = (await build.an_admission(ward)).encounter.id
    await build.a_card(ward, encounter_id)
    await a_lab_result(ward, build, clock, encounter_id)
    (line,) = await records.charge_lines(ward, encounter_id)
    steps = [("thu-phi", "", 0, 47200), ("nguon-khac", "vtnn", 0, 0), ("bhyt", "", 37760, 9440)]
    for number, (payer, other, insurer, patient) in enumerate(steps, 1):
        made = await records.change_payer(ward, line.id, payer, f"Lý do {number}", other=other)
        lines = await records.charge_lines(ward, encounter_id)
        assert len(lines) == 1 + 2 * number
        line = next(c for c in lines if c.id == made.id)
        told = await records.account(ward, encounter_id)
        assert (line.payer, line.other, told.insurer, told.patient) == (payer, other, insurer, patient)
        assert (line.reason, line.by, told.total) == (f"Lý do {number}", build.DOCTOR.name, Decimal(47200))
    await records.recalculate(ward, encounter_id)
    assert (await records.account(ward, encounter_id)).insurer == 37760, "the pairs stay even"
    again = await records.charge(
        ward,
        encounter_id,
        ChargeInput(line.system, line.code, line.name, Decimal(1), clock.now(), line.source),
    )
    assert again.id == line.id, "the executed order is still charged once"


async def test_a_payer_that_cannot_pay_is_refused(ward: Repository, build: Any, clock: Any) -> None:
    """No card, no reason, no source, an unknown payer: nothing is written."""
    encounter_id = (await build.an_admission(ward)).encounter.id
    await a_lab_result(ward, build, clock, encounter_id)
    (line,) = await records.charge_lines(ward, encounter_id)
    wrong = [
        ("bhyt", "Thẻ đến muộn", "", "records.no-right"),
        ("nguon-khac", "Dự án", "", "records.bad-payer"),
        ("thu-phi", "", "", "records.reason-needed"),
        ("ai-do", "Thử", "", "records.bad-payer"),
    ]
    for payer, reason, other, code in wrong:
        with pytest.raises(RuleViolation) as error:
            await records.change_payer(ward, line.id, payer, reason, other=other)
        assert error.value.code == code
    assert len(await records.charge_lines(ward, encounter_id)) == 1
