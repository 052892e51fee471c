"""The page of the ICD-10 list: read, compared, published from its day, taken back; who may not manage settings sees nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest

from benhan.catalogue import icd10_in_force, use_icd10

NEW = "code,title_vi\nJ18.9,Viêm phổi (tên mới)\nX99.9,Bệnh chỉ có ở danh mục mới\n"


@pytest.fixture(autouse=True)
def shipped_list_afterwards() -> Iterator[None]:
    yield
    use_icd10((), date.min)


async def send(person: Any, text: str, day: str, status: int = 200) -> str:
    """Upload a file for a preview."""
    fields = {"csrf": person.csrf(), "viec": "xem", "tu_ngay": day}
    person.last = await person.post("/bhyt/icd", data=fields, files={"tep": ("icd.csv", text.encode())})
    assert person.last.status_code == status, person.last.text[:400]
    return str(person.last.text)


async def test_a_list_is_judged_published_and_taken_back(as_person: Any, house: Any) -> None:
    """Nothing changes before publishing; afterwards codes and warnings follow the new list."""
    keeper, officer = await as_person("cntt"), await as_person("khth")
    text = await keeper.see("/bhyt/icd")
    assert "hết hiệu lực từ 01/07/2026" in text
    assert "nhờ quản trị nạp danh mục" in await officer.see("/bhyt")
    assert "Dòng 3" in await send(keeper, NEW.replace("X99.9", "sai"), "01/07/2026", 400)
    await keeper.see("/bhyt/icd")
    assert "01/07/2026 trở đi" in await send(keeper, NEW, "01/06/2026", 400)
    await keeper.see("/bhyt/icd")
    text = await send(keeper, NEW, "01/07/2026")
    assert "Bệnh chỉ có ở danh mục mới" in text
    assert "Viêm phổi (tên mới)" in text
    assert not icd10_in_force(date(2026, 8, 1))
    found = re.search(r'name="tep" value="([0-9a-f]{64})"', text)
    assert found
    text = await keeper.press("/bhyt/icd", viec="ban-hanh", tep=found[1], tu_ngay="01/07/2026")
    assert "hiệu lực từ" in text
    assert icd10_in_force(date(2026, 8, 1))
    assert "nhờ quản trị nạp danh mục" not in await officer.see("/bhyt")
    await keeper.see("/bhyt/icd")
    assert "hết hiệu lực từ 01/07/2026" in await keeper.press("/bhyt/icd", viec="bo")
    await keeper.press("/bhyt/icd", 404, viec="ban-hanh", tep="khong", tu_ngay="01/07/2026")


async def test_only_who_manages_settings(as_person: Any) -> None:
    await (await as_person("bacsi")).see("/bhyt/icd", 403)
