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
    typed = {f"col-{k}": v for k, v in cells.items()}
    number = next(k for k in cells if k in ("mach", "so_luong"))
    await nurse.press(f"/to/{sheet}", 422, happened=happened, **{**typed, f"col-{number}": "nhiều"})
    assert "nhiều" in nurse.last.text
    await nurse.press(f"/to/{sheet}", happened=happened, do="sign", pin=PIN, **typed)
    assert "Đinh Thị Ví Dụ" in nurse.last.text
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
