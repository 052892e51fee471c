"""Every form in a real browser: filled by its fields, kept by autosave, saved, printed, extracted, read back equal."""

from __future__ import annotations

import asyncio
import importlib.util
import random
import re
import subprocess
import sys
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page

from benhan import records
from benhan.forms import (
    Form,
    Item,
    catalogue,
    compute,
    describe_value,
    extractions,
    form_fields,
    normal,
    parse_form_post,
    sample,
)

pytestmark = pytest.mark.browser
PASSWORD = "Mat-khau-kiem-thu-2026"
SEED = 4
SAMPLED = 2


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


def said(form: Form, given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Item and text of every answer that a paper must show in words or digits; code boxes spread theirs."""
    for item in form.answerable():
        if not item.layout.print or given.get(item.link_id) is None:
            continue
        if item.type == "table":
            for n, row in enumerate(given[item.link_id]):
                fixed = item.rows[n] if item.rows else {}
                for column in item.children:
                    if column.column not in fixed and row.get(column.column) is not None:
                        yield from _said(column, row[column.column])
        else:
            values = given[item.link_id] if item.repeats else [given[item.link_id]]
            for value in values:
                yield from _said(item, value)


def _said(item: Item, value: Any) -> Iterator[tuple[str, str]]:
    if item.layout.boxes:
        return
    if item.type in ("text", "longtext"):
        yield item.link_id, str(value)
    elif item.type == "code":
        yield item.link_id, str(value["text"])
    elif item.type in ("integer", "decimal", "quantity"):
        yield item.link_id, describe_value(item, value).split()[0]


async def printed(pdf: bytes) -> str:
    """Text of a PDF in the order it was written, so that a cell of a table stays together."""

    def read() -> bytes:
        return subprocess.run(
            ["pdftotext", "-raw", "-", "-"], input=pdf, capture_output=True, check=True
        ).stdout

    return (await asyncio.to_thread(read)).decode()


#: Name and value of every field of the live page that holds something.
READ = """() => Object.fromEntries([...document.querySelectorAll("#giay .ba-paper [name]")]
  .filter((f) => !f.disabled && f.value && (!["radio", "checkbox"].includes(f.type) || f.checked))
  .map((f) => [f.name, f.value]))"""


async def walk_through(house: Any, page: Page, server: Any, form: Form, seed: int) -> None:
    """Fill, wait for autosave, read the reopened page, save, print, extract."""
    paper = await live.opened(house, form)
    wanted = compute(form, sample(form, seed))
    fields = form_fields(form, wanted)
    await page.goto(f"{server.url}/giay/{paper}")
    assert await page.evaluate(FILL, fields) == [], form.code
    await page.wait_for_selector('[data-saving][data-state="saved"]')
    await page.evaluate("indexedDB.deleteDatabase('benhan-drafts')")  # only what the server has counts now
    await page.reload()
    shown = parse_form_post(form, await page.evaluate(READ))
    locked = {i.link_id for i in form.answerable() if i.computed or i.readonly}
    assert {k: v for k, v in shown.items() if k not in locked} == {
        k: v for k, v in wanted.items() if k not in locked
    }
    await page.keyboard.press("Control+s")
    await page.wait_for_url("**xong=da-luu")
    got = await records.paper_answers(house.repo, paper)
    keys = (set(wanted) | set(got)) - locked
    assert {k: got.get(k) for k in keys} == {k: wanted.get(k) for k in keys}, form.code
    assert normal(form, got) == got
    assert extractions(form, got) == extractions(form, {**wanted, **{k: got[k] for k in locked & set(got)}})
    text = await printed(await records.print_paper(house.repo, paper))
    assert unicodedata.is_normalized("NFC", text)
    plain = letters(text)
    absent = [
        (name, one)
        for name, one in said(form, got)
        if letters(unicodedata.normalize("NFC", one)) not in plain
    ]
    assert absent == [], form.code


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
    assert faults == []
