"""The inbox of unseen results: marked critical at the laboratory, first in the doctor's list, gone when acknowledged."""

from __future__ import annotations

import re
from typing import Any

import pytest

from benhan import records
from benhan.identity import PersonInput

CODES = ("LAB001", "LAB002", "LAB003")


@pytest.fixture
async def ordered(house: Any) -> tuple[str, list[str]]:
    """A patient of K03 with three orders."""
    repo, now = house.repo, house.store.clock.now().replace(microsecond=0)
    doctor = records.Staff(house.people["bacsi"].reference, "Nguyễn Văn Thử", "000001/QNG-CCHN", "K03")
    person = PersonInput(name="Phạm Văn Mẫu", birth_date="1990-03-14", sex="male", cccd="051090001230")
    patient = await records.register_patient(repo, person)
    came = records.Admission(patient.id, now, "K03", "Khoa Nội tổng hợp", doctor)
    encounter = (await records.admit(repo, came)).encounter.id
    orders = await records.order_lab(repo, encounter, records.LabOrder(CODES, now, doctor))
    return encounter, [o.id for o in orders]


async def test_from_the_laboratory_to_the_doctor(house: Any, as_person: Any, ordered: Any) -> None:
    """Three results, one critical: counted in the rail, the critical one asks for a note, the labs page says who saw."""
    encounter, orders = ordered
    lab = await as_person("kythuat")
    for n, order in enumerate(orders):
        html = await lab.see(f"/dot/{encounter}/xet-nghiem")
        performed = re.search(rf'id="p-{order}" name="performed" value="([^"]+)"', html)
        assert performed is not None
        alarm = {"critical": "1"} if n == 1 else {}
        await lab.press(
            f"/dot/{encounter}/xet-nghiem/{order}/ket-qua", value="999", performed=performed[1], **alarm
        )
    doctor = await as_person("bacsi")
    html = await doctor.see("/viec/ket-qua")
    assert html.count('name="mot"') == 3
    assert html.count('name="xem"') == 2, "a critical one is not ticked together with others"
    first = re.findall(r'name="mot" value="([^"]+)"', html)[0]
    await doctor.press("/viec/ket-qua", 422, mot=first)
    assert "ghi đã xử trí gì" in doctor.last.text
    await doctor.press("/viec/ket-qua", mot=first, **{f"note-{first.split(':')[0]}": "Đã báo kíp trực"})
    rest = re.findall(r'name="xem" value="([^"]+)"', doctor.last.text)
    await doctor.press("/viec/ket-qua", 400)
    await doctor.press("/viec/ket-qua", xem=rest)
    assert "Không còn kết quả nào chưa xem" in doctor.last.text
    labs = await doctor.see(f"/dot/{encounter}/xet-nghiem")
    assert labs.count("Xem bởi Nguyễn Văn Thử") == 3
    assert "báo động" in labs
    nurse = await as_person("dieuduong")
    await nurse.see("/viec/ket-qua")
    await nurse.press("/viec/ket-qua", 403, xem=rest)
