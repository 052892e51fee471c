"""Every running sheet in a real browser: a line typed by keyboard, signed, read back from the page, the store and the paper."""

from __future__ import annotations

import re
import subprocess
from typing import Any

import pytest

from benhan import records
from benhan.access import COOKIE, sign_in, totp_code
from benhan.base.clock import local
from benhan.forms import Form, catalogue, sample
from benhan.identity import PersonInput

pytestmark = pytest.mark.browser
PASSWORD, PIN = "Mat-khau-kiem-thu-2026", "246810"
SHEETS = [f for f in catalogue().all() if f.valid_to is None and any(p.per_entry for p in f.signatures)]
TYPED = ("text", "longtext", "integer", "decimal")


def line_of(form: Form) -> dict[str, str]:
    """What is typed: field of the page → text, from a seeded random line of the sheet's table."""
    table = next(i for i in form.answerable() if i.type == "table")
    row = sample(form, 4)[table.link_id][0]
    columns = [c for c in table.children if c.type in TYPED and row.get(c.column) not in (None, "")]
    if form.code == "36/BV2":
        return {
            "progress": "Bệnh nhân tỉnh, hết sốt, ăn được.",
            "orders": "Ăn cháo; theo dõi mạch, nhiệt độ 6 giờ một lần",
        }
    return {f"col-{c.column}": str(row[c.column]).replace(".", ",") for c in columns}


CASES = [pytest.param(f, id=f.slug, marks=[] if f.code == "36/BV2" else pytest.mark.long) for f in SHEETS]


@pytest.mark.parametrize("form", CASES)
async def test_a_line_comes_back_from_the_browser(house: Any, server: Any, chromium: Any, form: Form) -> None:
    """Typed, signed with the PIN, shown, kept and printed as it was typed."""
    repo, now = house.repo, house.store.clock.now()
    who = await house.person("bacsi" if form.code == "36/BV2" else "dieuduong")
    staff = records.Staff(who.reference, "Người ghi", "000009/QNG-CCHN", "K03")
    patient = await records.register_patient(
        repo, PersonInput(name="Phạm Văn Kiểm Thử", birth_date="1990", sex="male")
    )
    admitted = await records.admit(
        repo, records.Admission(patient.id, now, "K03", "Khoa Nội tổng hợp", staff)
    )
    await records.open_record(repo, admitted.encounter.id, "01/BV1", staff, now)
    sheet = await records.open_sheet(repo, admitted.encounter.id, form.code, staff, now)
    token = await sign_in(house.store, "51Z01", who.username, PASSWORD, totp_code(who.secret, now))
    context = await chromium.new_context(viewport={"width": 1366, "height": 768}, locale="vi-VN")
    await context.add_cookies([{"name": COOKIE, "value": token.token, "url": server.url}])
    page = await context.new_page()
    await page.goto(f"{server.url}/to/{sheet.id}")
    typed = line_of(form)
    assert typed
    for name, text in typed.items():
        await page.locator(f'[name="{name}"]').first.click()
        await page.keyboard.type(text)
    await page.locator('[name="pin"]').first.click()
    await page.keyboard.type(PIN)
    await page.get_by_role("button", name="Ghi và ký").first.click()
    await page.wait_for_url("**xong=*")
    shown = re.sub(r"\s+", " ", await page.inner_text("main"))
    (entry,) = await records.entries(repo, sheet.id)
    assert entry.signed_by
    kept = {v if isinstance(v, str) else str(v).replace(".", ",") for v in entry.values.values()}
    text = re.sub(
        r"\s+",
        "",
        await printed(await (await context.request.get(f"{server.url}/giay/{sheet.id}/pdf")).body()),
    )
    for given in typed.values():
        assert given in shown
        assert given in kept, (given, kept)
        for word in re.findall(r"\w+", given):
            assert word in text, (word, form.code)
    assert local(entry.happened).strftime("%d/%m/%Y") in shown


async def printed(pdf: bytes) -> str:
    """Text of a PDF as an outside reader sees it."""
    found = subprocess.run(["pdftotext", "-layout", "-", "-"], input=pdf, capture_output=True, check=True)
    return found.stdout.decode()
