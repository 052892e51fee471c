"""Sheets of nurses: each line is signed by itself, read back as typed, and printed with its signer."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from pypdf import PdfReader
from tests.web.test_acts import PIN, stay, value_of

__all__ = ["stay"]


@pytest.mark.parametrize(
    ("form", "cells", "printed"),
    [
        ("LEGACY-CNS", {"mach": "88", "nhiet_do": "37,5", "huyet_ap": "120/80"}, ("88", "37,5", "120/80")),
        ("07/BV2", {"ten_dich": "Natri clorid 0,9%", "so_luong": "500"}, ("Natri clorid 0,9%", "500")),
    ],
)
async def test_nurse_signs_each_line(
    as_person: Any, stay: tuple[str, str], form: str, cells: dict[str, str], printed: tuple[str, ...]
) -> None:
    """A line with its signature; a number that cannot be read is said beside its field, what was typed is kept."""
    doctor = await as_person("bacsi")
    await doctor.see(f"/dot/{stay[1]}/benh-an")
    await doctor.press(f"/dot/{stay[1]}/benh-an", form="01/BV1")
    nurse = await as_person("dieuduong")
    await nurse.see(f"/dot/{stay[1]}/benh-an")
    await nurse.press(f"/dot/{stay[1]}/giay", form=form)
    assert nurse.where().startswith("/to/")
    sheet = nurse.where().rsplit("/", 1)[-1]
    happened = value_of(nurse.last.text, "happened")
    first = next(iter(cells))
    await nurse.type(f"/to/{sheet}/nhap", **{f"col-{first}": "gõ dở"})
    await nurse.see(f"/to/{sheet}")
    assert 'value="gõ dở"' in nurse.last.text
    typed = {f"col-{k}": v for k, v in cells.items()}
    number = next(k for k in cells if k in ("mach", "so_luong"))
    await nurse.press(f"/to/{sheet}", 422, happened=happened, **{**typed, f"col-{number}": "nhiều"})
    assert "nhiều" in nurse.last.text
    await nurse.press(f"/to/{sheet}", happened=happened, do="sign", pin=PIN, **typed)
    assert "Đinh Thị Ví Dụ" in nurse.last.text
    assert "gõ dở" not in nurse.last.text
    await nurse.press(f"/to/{sheet}", happened=happened, **typed)
    await nurse.press(f"/to/{sheet}/ket-thuc", 409, pin=PIN)
    line = re.findall(rf"/to/{sheet}/dong/([^/]+)/ky", nurse.last.text)
    await nurse.press(f"/to/{sheet}/dong/{line[0]}/ky", pin=PIN)
    await nurse.press(f"/to/{sheet}/ket-thuc", pin=PIN)
    await nurse.see(f"/giay/{sheet}/pdf")
    text = " ".join(p.extract_text() for p in PdfReader(io.BytesIO(nurse.last.content)).pages)
    text = re.sub(r"\s+", " ", text)
    for word in printed:
        assert text.count(word) >= 2
    assert re.sub(r"\s", "", text).count("ĐinhThịVíDụ") >= 2


async def test_an_order_half_typed_is_there_again(as_person: Any, stay: tuple[str, str]) -> None:
    """Drugs and tests: what was typed or ticked comes back until it is ordered; a refused form keeps its ticks."""
    doctor = await as_person("bacsi")
    drugs, labs = f"/dot/{stay[1]}/thuoc", f"/dot/{stay[1]}/xet-nghiem"
    await doctor.see(drugs)
    await doctor.type(f"{drugs}/nhap", drug="Para", per_day="3", note="sau ăn")
    await doctor.see(drugs)
    assert 'value="sau ăn"' in doctor.last.text
    assert 'name="drug" value="Para"' in doctor.last.text
    page = await doctor.see(labs)
    codes = re.findall(r'name="codes" value="([^"]+)"', page)[:2]
    await doctor.type(f"{labs}/nhap", **{f"codes={codes[0]}": codes[0], f"codes={codes[1]}": ""}, note="gấp")
    assert ticked(await doctor.see(labs)) == [codes[0]]
    assert 'value="gấp"' in doctor.last.text
    await doctor.press(labs, 400, happened="hôm qua", codes=codes)
    assert ticked(doctor.last.text) == codes
    await doctor.press(labs, happened=value_of(await doctor.see(labs), "happened"), codes=codes)
    assert ticked(doctor.last.text) == []
    nurse = await as_person("dieuduong")
    await nurse.see(drugs)
    answer = await nurse.post(f"{drugs}/nhap", json={"patches": []}, headers={"X-CSRF-Token": nurse.csrf()})
    assert answer.status_code == 403
    assert "sau ăn" not in nurse.last.text


def ticked(html: str) -> list[str]:
    """Tests that are ticked."""
    return re.findall(r'name="codes" value="([^"]+)" data-many checked', html)
