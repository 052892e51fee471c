"""Spoken orders: the nurse takes them down, they are carried out at once, the doctor who gave them signs in time."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

from tests.web.test_acts import PIN, stay, value_of

from benhan import records
from benhan.catalogue import drugs_search

__all__ = ["stay"]


async def test_taken_down_given_and_confirmed(house: Any, as_person: Any, stay: tuple[str, str]) -> None:
    """Only the doctor named confirms, with his signature; until then it stands on his list, overdue on the head's."""
    nurse, doctor, head = [await as_person(name) for name in ("dieuduong", "bacsi", "truongkhoa")]
    drugs, owner = f"/dot/{stay[1]}/thuoc", house.people["bacsi"].reference
    page = await nurse.see(drugs)
    assert "Ghi y lệnh miệng của bác sĩ" in page
    code = drugs_search("paracetamol")[0].code
    medicine = {
        "drug": "Paracetamol",
        "drug_code": code,
        "dose": "1",
        "per_day": "2",
        "days": "1",
        "unit": "viên",
    }
    happened = value_of(page, "happened")
    await nurse.press(f"{drugs}/mieng", 422, happened=happened, **medicine)
    await nurse.press(f"{drugs}/mieng", happened=happened, doctor=owner, **medicine)
    assert "y lệnh miệng, chờ bác sĩ xác nhận" in nurse.last.text
    (order,) = await records.drug_orders(house.repo, stay[1])
    assert order.data["requester"]["reference"] == owner
    assert order.data["recorder"]["reference"] == house.people["dieuduong"].reference
    await nurse.press(
        f"{drugs}/{order.id}/dung", happened=value_of(nurse.last.text, "happened"), quantity="1"
    )
    assert "Y lệnh miệng chờ tôi xác nhận" in await doctor.see("/viec/ky")
    await head.see(drugs)
    await head.press(f"{drugs}/{order.id}/xac-nhan", 422, pin=PIN)
    assert "Y lệnh miệng quá hạn" not in await head.see("/viec/ky-tre")
    (waiting,) = await records.spoken_waiting(house.repo, doctor=owner)
    assert waiting.until - waiting.at == timedelta(hours=24)
    await doctor.see(drugs)
    await doctor.press(f"{drugs}/{order.id}/xac-nhan", 403, pin="000000")
    await doctor.see(drugs)
    await doctor.press(f"{drugs}/{order.id}/xac-nhan", pin=PIN)
    assert "y lệnh miệng, đã xác nhận" in doctor.last.text
    assert await records.spoken_waiting(house.repo) == []
    assert "Y lệnh miệng chờ tôi" not in await doctor.see("/viec/ky")
    await doctor.see(drugs)
    assert not re.search(rf"{order.id}/xac-nhan", doctor.last.text)
