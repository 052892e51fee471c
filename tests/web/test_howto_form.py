"""The how-to ``add-a-form`` followed on the pages: its file pasted, published, filled, signed, printed, by its own steps."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path
from typing import Any

from benhan import records
from benhan.forms import form_fields, sample, shelf
from benhan.forms.audit import pdf_text
from benhan.identity import PersonInput

#: of everybody in the house of the tests (conftest)
PIN = "246810"
HOWTO = (Path(__file__).parents[2] / "docs" / "howto" / "add-a-form.md").read_text(encoding="utf-8")


def steps() -> list[tuple[str, str]]:
    """(address, button) of each numbered step of "Put it into use"; the last one has no button."""
    part = HOWTO.partition("## 5. Put it into use")[2].partition("\n## ")[0]
    lines = re.findall(r"^\d+\. `(\S+)`(.*?)(?=^\d+\. |\Z)", part, re.S | re.M)
    return [(address, (re.findall(r"\*\*(.+?)\*\*", rest) or [""])[0]) for address, rest in lines]


async def test_a_newcomer_adds_a_form_of_twenty_fields_and_signs_it(house: Any, as_person: Any) -> None:
    """Address by address and button by button as the page says, without a line of code."""
    (load, save), (list_, publish), (stay, add), (paper, to_sign), (ink, sign), (printed, none) = steps()
    assert none == ""
    found = re.search(r"```yaml\n(.*?)```", HOWTO, re.S)
    assert found
    text = found[1].replace("form: CS1/", "form: CS51Z01/")
    form = shelf.read(text)
    assert sum(1 for _ in form.answerable()) >= 20
    office, nurse = await as_person("cntt"), await as_person("dieuduong")
    assert save in await office.see(load)
    seen = await office.press(load, text=text)
    assert "data:image/png" in seen
    assert publish in await office.see(list_)
    await office.press("/bieu-mau/viec", ma=form.code, ban=form.edition, viec="ban-hanh")

    doctor = records.Staff(house.people["bacsi"].reference, "Nguyễn Văn Thử", "000001/QNG-CCHN", "K03")
    person = PersonInput(name="Phạm Văn Kiểm Thử", birth_date="1990", sex="male")
    patient = await records.register_patient(house.repo, person)
    came = records.Admission(patient.id, house.store.clock.now(), "K03", "Khoa Nội tổng hợp", doctor)
    encounter = str((await records.admit(house.repo, came)).encounter.id)
    chief = await as_person("bacsi")
    await chief.see(f"/dot/{encounter}/benh-an")
    await chief.press(f"/dot/{encounter}/benh-an", form="01/BV1")
    page = await nurse.see(stay.replace("…", encounter))
    assert add in page
    assert form.code in page
    await nurse.press(f"/dot/{encounter}/giay", form=form.code)
    here = nurse.where().rpartition("/")[2]
    page = await nurse.see(paper.replace("…", here))
    assert to_sign in page
    version = re.search(r'name="version" value="(\d+)"', page)
    assert version
    answers = sample(form, 1)
    page = await nurse.press(f"/giay/{here}", version=version[1], tiep="ky", **form_fields(form, answers))
    assert nurse.where() == ink.replace("…", here)
    assert f">{sign}<" in page
    hidden = dict(re.findall(r'<input type="hidden" name="(version|shown)" value="([^"]+)"', page))
    await nurse.press(f"/giay/{here}/ky", **hidden, role="dieu_duong", pin=PIN)
    assert "Đủ chữ ký" in unescape(await nurse.see(f"/giay/{here}/ky"))
    answer = await nurse.get(printed.replace("…", here))
    assert answer.headers["content-type"] == "application/pdf"
    told = "".join(pdf_text(answer.content).split())
    assert "".join(str(answers["ke_hoach"]).split()) in told
    assert "Kýbởi:" in told
    assert b"/ByteRange" in answer.content
