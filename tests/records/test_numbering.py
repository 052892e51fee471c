"""The numbering service: by pattern, at its event, without doubles under concurrency, cancelled ones with their reason."""

from __future__ import annotations

import asyncio
from datetime import date
from typing import Any

import pytest

from benhan.base.errors import Conflict, NotFound, RuleViolation
from benhan.records import cancel_number, lend_range, numbers_taken, record_lent, return_range, take_number
from benhan.store import Repository

DAY = date(2026, 11, 20)


async def test_numbers_run_by_year_and_khoa(ward: Repository) -> None:
    """Each year and khoa has its own series."""
    taken = [
        (await take_number(ward, "so_benh_an", event="open-record", khoa=khoa, on=on)).text
        for khoa, on in (("K01", DAY), ("K01", DAY), ("K02", DAY), ("K01", date(2027, 1, 1)))
    ]
    assert taken == ["26000001/BA-K01", "26000002/BA-K01", "26000001/BA-K02", "27000001/BA-K01"]


async def test_number_is_given_only_at_its_event(ward: Repository) -> None:
    """Số lưu trữ is not given at admission."""
    with pytest.raises(RuleViolation) as error:
        await take_number(ward, "so_luu_tru", event="admit")
    assert error.value.code == "records.number-not-at-event"


async def test_many_at_once_get_different_numbers(ward: Repository) -> None:
    """Forty takers in parallel: forty numbers in a row."""
    taken = await asyncio.gather(*(take_number(ward, "so_phieu", event="order", on=DAY) for _ in range(40)))
    assert sorted(n.seq for n in taken) == list(range(1, 41))
    assert len({n.text for n in taken}) == 40


async def test_number_goes_back_with_its_transaction(ward: Repository) -> None:
    """A rolled-back act leaves no hole."""

    async def failing() -> None:
        async with ward.transaction() as tx:
            await take_number(tx, "so_phieu", event="order", on=DAY)
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError):
        await failing()
    assert (await take_number(ward, "so_phieu", event="order", on=DAY)).seq == 1


async def test_cancelled_number_stays_with_its_reason(ward: Repository) -> None:
    """It is in the book, and never given again."""
    number = await take_number(ward, "so_phieu", event="order", on=DAY)
    await cancel_number(ward, "so_phieu", number.text, "Chỉ định nhầm người bệnh")
    following = await take_number(ward, "so_phieu", event="order", on=DAY)
    rows = {r.seq: r.cancel_reason for r in await numbers_taken(ward, "so_phieu")}
    assert rows == {1: "Chỉ định nhầm người bệnh", 2: None}
    assert following.seq == 2
    with pytest.raises(NotFound):
        await cancel_number(ward, "so_phieu", number.text, "lần nữa")


async def test_lent_range_is_for_one_machine(ward: Repository, clock: Any) -> None:
    """Others go on behind it; used numbers come back with their true time; nothing is entered twice or from outside."""
    lent = await lend_range(ward, "so_phieu", "tram-y-te-1", 10, on=DAY)
    other = await take_number(ward, "so_phieu", event="order", on=DAY)
    assert (lent.first, lent.last, other.seq) == (1, 10, 11)
    used = await record_lent(ward, lent.id, 3, event="order", at=clock.now())
    assert used.text == "260000003"
    with pytest.raises(Conflict):
        await record_lent(ward, lent.id, 3, event="order", at=clock.now())
    with pytest.raises(RuleViolation):
        await record_lent(ward, lent.id, 11, event="order", at=clock.now())
    await return_range(ward, lent.id)
    with pytest.raises(Conflict) as error:
        await record_lent(ward, lent.id, 4, event="order", at=clock.now())
    assert error.value.code == "records.range-returned"
