"""Every form in a real browser: a random complete answer set filled in, saved, printed, extracted, read back equal."""

from __future__ import annotations

import asyncio
import importlib.util
import random
import re
import subprocess
import sys
import unicodedata
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, async_playwright

from benhan import records
from benhan.access import COOKIE, sign_in, totp_code
from benhan.forms import Form, catalogue, compute, extractions, form_fields, normal, sample
from benhan.identity import PersonInput

pytestmark = pytest.mark.browser
PASSWORD = "Mat-khau-kiem-thu-2026"
SEED = 4
SAMPLED = 3


def _live() -> Any:
    name = "web_live"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).parent / "live.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


live = _live()


def written_whole() -> list[Form]:
    """Forms that are written as one page; running sheets are written line by line and have a test of their own."""
    return [
        f
        for f in catalogue().all()
        if f.valid_to is None and not any(p.per_entry for p in f.signatures) and list(f.answerable())
    ]


FORMS = written_whole()
SAMPLE = random.Random(SEED).sample(FORMS, SAMPLED)


@pytest.fixture
async def page(house: Any) -> AsyncIterator[tuple[Page, Any]]:
    """A doctor signed in, in the system's Chromium, before a running server."""
    server = live.LiveServer(house.store.settings)
    await server.start()
    secret = house.people["bacsi"].secret
    token = await sign_in(house.store, "51Z01", "bacsi", PASSWORD, totp_code(secret, house.store.clock.now()))
    async with async_playwright() as play:
        browser = await play.chromium.launch(executable_path=live.chromium(), args=list(live.ARGS))
        context = await browser.new_context(viewport={"width": 1366, "height": 768}, locale="vi-VN")
        await context.add_cookies([{"name": COOKIE, "value": token.token, "url": server.url}])
        try:
            yield await context.new_page(), server
        finally:
            await browser.close()
            server.stop()


async def opened(house: Any, form: Form) -> str:
    """A new person's record with a paper of the form, arranged below the pages."""
    repo, now = house.repo, house.store.clock.now()
    doctor = records.Staff(house.people["bacsi"].reference, "Nguyễn Văn Thử", "000001/QNG-CCHN", "K03")
    person = PersonInput(name="Phạm Văn Kiểm Thử", birth_date="1990", sex="male")
    patient = await records.register_patient(repo, person)
    admitted = await records.admit(
        repo, records.Admission(patient.id, now, "K03", "Khoa Nội tổng hợp", doctor)
    )
    encounter = admitted.encounter.id
    if form.kind == "benh_an":
        return str((await records.open_record(repo, encounter, form.code, doctor, now)).response.id)
    await records.open_record(repo, encounter, "01/BV1", doctor, now)
    return str((await records.open_paper(repo, encounter, form.code, doctor, now)).id)


#: Writes into the fields one after another and fires what a person's keys fire; tells which could not be written.
FILL = """(given) => {
  const refused = [];
  const fire = (f) => ["input", "change"].forEach((kind) => f.dispatchEvent(new Event(kind, {bubbles: true})));
  for (const f of document.querySelectorAll("#giay .ba-paper [name]")) {
    if (f.readOnly || f.disabled || f.name in given) continue;
    if (f.type === "checkbox" && f.checked) { f.click(); }
    else if (f.type === "radio") { if (f.value === "" && !f.checked) f.click(); }
    else if (f.tagName !== "SELECT" && f.type !== "checkbox" && f.value) { f.value = ""; fire(f); }
  }
  for (const [name, value] of Object.entries(given)) {
    const fields = [...document.querySelectorAll(`#giay [name="${CSS.escape(name)}"]`)];
    const one = fields.find((f) => !["radio", "checkbox"].includes(f.type) || f.value === value);
    if (!one) { refused.push(name); continue; }
    if (one.readOnly || one.disabled) continue;
    if (one.type === "radio" || one.type === "checkbox") { if (!one.checked) one.click(); continue; }
    one.value = value;
    fire(one);
  }
  return refused;
}"""


def letters(text: str) -> str:
    """Text without blanks: lines of a page break where they must."""
    return re.sub(r"\s+", "", text)


async def printed(pdf: bytes) -> str:
    """Text of a PDF as an outside reader sees it."""

    def read() -> bytes:
        return subprocess.run(["pdftotext", "-", "-"], input=pdf, capture_output=True, check=True).stdout

    return (await asyncio.to_thread(read)).decode()


#: What the fields of the page say, by name; a list of boxes by the values that are ticked.
READ = """() => {
  const said = {};
  for (const f of document.querySelectorAll("#giay [name]")) {
    if (["checkbox", "radio"].includes(f.type)) { if (f.checked && f.value !== "") said[f.name] = f.value; }
    else if (f.value !== "") said[f.name] = f.value;
  }
  return said;
}"""
_WORD = re.compile(r"\w+")


def words(text: str) -> set[str]:
    """Words of a text; lines and columns of a page break between them."""
    return set(_WORD.findall(unicodedata.normalize("NFC", text)))


def said_words(form: Form, answers: dict[str, Any]) -> set[str]:
    """Every word that was written into a text field which the official paper has, of tables too: all have to be on it."""
    out: set[str] = set()
    for item in form.answerable():
        given = answers.get(item.link_id)
        if item.type in ("text", "longtext") and item.layout.boxes is None and item.layout.print:
            for one in given if isinstance(given, list) else [given]:
                out |= words(one) if isinstance(one, str) else set()
    return out


async def walk_through(house: Any, page: Page, server: Any, form: Form, seed: int) -> None:
    """Fill, save, read the page, the store, the paper and what is extracted."""
    paper = await opened(house, form)
    wanted = compute(form, sample(form, seed))
    fields = form_fields(form, wanted)
    await page.goto(f"{server.url}/giay/{paper}")
    assert await page.evaluate(FILL, fields) == [], form.code
    await page.keyboard.press("Control+s")
    await page.wait_for_url("**xong=da-luu", timeout=15_000)
    got = await records.paper_answers(house.repo, paper)
    locked = {i.link_id for i in form.answerable() if i.computed or i.readonly}
    keys = (set(wanted) | set(got)) - locked
    assert {k: got.get(k) for k in keys} == {k: wanted.get(k) for k in keys}, form.code
    shown, asked = await page.evaluate(READ), form_fields(form, got)
    assert {k: v for k, v in shown.items() if k in asked} == {k: v for k, v in asked.items() if v != ""}, (
        form.code
    )
    assert normal(form, got) == got
    assert extractions(form, got) == extractions(form, {**wanted, **{k: got[k] for k in locked & set(got)}})
    text = await printed(await records.print_paper(house.repo, paper))
    assert unicodedata.is_normalized("NFC", text)
    plain = letters(text)
    absent = sorted(w for w in said_words(form, got) if w not in plain)
    assert absent == [], (form.code, absent[:8])


@pytest.mark.parametrize("form", SAMPLE, ids=lambda f: f.slug)
async def test_form_comes_back_from_the_browser(house: Any, page: tuple[Page, Any], form: Form) -> None:
    """A seeded sample of the forms."""
    await walk_through(house, *page, form, SEED)


@pytest.mark.long
async def test_every_form_comes_back_from_the_browser(house: Any, page: tuple[Page, Any]) -> None:
    """All forms, each fault named."""
    faults = []
    for form in FORMS:
        try:
            await walk_through(house, *page, form, SEED)
        except Exception as fault:
            faults.append(f"{form.code}: {str(fault)[:600]}")
    assert not faults, "\n".join(faults)
