"""Every field of the reference tables stands in the form, page, data and paper, in the paper's order."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from lxml import html

from benhan.base.text import fold
from benhan.forms import Form, Item, PrintContext, catalogue, pdf, render_fields

DATA = Path(__file__).parent / "data"

# Where a reference row is a whole name in prose, or one key stands in two places of the paper.
SAME = {("01-BV1.md", "ky"): "ky_lam_benh_an"}
TABLE_ROWS = {"di_ung", "ma_tuy", "ruou_bia", "thuoc_la", "thuoc_lao", "khac"}

M02_KEYS = {
    "so_luu_tru": "so_luu_tru",
    "ma_yte": "ma_y_te",
    "ngay_vao": "vao_vien",
    "ngay_ra": "ra_vien",
    "ma_the_tam": "so_the_bhyt",
    "ten_bs": "ten_bs",
    "ma_bs": "ten_bs",
    "ma_ttdv": "ten_ttdv",
}


def rows(name: str) -> Iterator[list[str]]:
    """Cells of every table row below a heading row."""
    for line in (DATA / name).read_text(encoding="utf-8").splitlines():
        if line.startswith("|") and not line.startswith("|---"):
            yield [c.strip() for c in line.strip()[1:-1].split("|")]


def keyed(name: str) -> list[tuple[str, str]]:
    """(key, label) of the tables that have a ``key`` column, one pair for each key, in order."""
    out: list[tuple[str, str]] = []
    at = label_at = -1
    for cells in rows(name):
        if "key" in cells:
            at, label_at = cells.index("key"), cells.index("Nhãn")
            continue
        if at < 0:
            continue
        keys = [re.sub(r"\(.*?\)|\[\]", "", k).strip() for k in cells[at].split(",")]
        keys = [re.sub(r"^\d\d ", "", k) for k in keys if k]
        labels = pieces(re.sub(r"^Ngày\s*…\s*;\s*", "", cells[label_at]), len(keys))
        out.extend(zip(keys, labels, strict=True))
    return out


def pieces(label: str, number: int) -> list[str]:
    """The label cut into one piece for each key; what cannot be told apart is empty (not compared)."""
    if number == 1:
        return [re.split(r"[;:(…]", label)[0] if re.split(r"[;:(…]", label)[0].strip() else label]
    for sign in (";", ","):
        parts = [p.strip() for p in label.split(sign)]
        if len(parts) >= number:
            return parts[:number]
    return [label, *[""] * (number - 1)]


def alike(reference: str, label: str) -> bool:
    """Whether one label contains the other, letters only, or nearly all words of the shorter are shared."""
    a, b = fold(reference).split(), fold(label).split()
    if not a or not b:
        return True
    shorter, longer = sorted((a, b), key=len)
    return sum(w in longer for w in shorter) / len(shorter) >= 0.75


def expected_of_record() -> list[tuple[str, str, str]]:
    out = []
    for name in ("00-common.md", "01-BV1.md"):
        for key, label in keyed(name):
            out.append((name, SAME.get((name, key), key), label))
    return out


def test_reference_tables_are_read_whole() -> None:
    """The parser of the tables sees every row, so that the comparison is not empty."""
    assert len(keyed("00-common.md")) >= 55
    assert len(keyed("01-BV1.md")) >= 34


@pytest.mark.parametrize(("source", "key", "label"), expected_of_record())
def test_every_reference_field_is_in_the_form(source: str, key: str, label: str, s: ModuleType) -> None:
    """Key and label of the reference are those of the form."""
    form = s.noi_khoa()
    if key in TABLE_ROWS:
        printed = [row["dac_diem"] for row in form.item("dac_diem_lien_quan").rows]
        assert any(alike(label, text) for text in printed)
        return
    assert key in form
    assert alike(label, form.item(key).label) or alike(label, " ".join(i.label for i in walk(form.item(key))))


def walk(item: Item) -> Iterator[Item]:
    yield item
    for child in item.children:
        yield from walk(child)


@pytest.mark.parametrize("name", ["00-common.md", "01-BV1.md"])
def test_fields_stand_in_the_papers_order(name: str, s: ModuleType) -> None:
    """The items of the form follow each other as the reference's rows do."""
    order = [item.link_id for item in s.noi_khoa().items()]
    keys = [SAME.get((name, key), key) for key, _ in keyed(name) if key not in TABLE_ROWS]
    places = [order.index(key) for key in keys]
    assert places == sorted(places)


def test_treatment_sheet_has_the_reference_columns_and_header(s: ModuleType) -> None:
    """36/BV2 has the columns of the reference in order, and its header fields."""
    form = s.treatment_sheet()
    columns = [cells[0] for cells in rows("36-BV2.md") if cells[0] != "Cột"]
    labels = [c.label for c in form.item("dien_tien").children]
    assert len(columns) == len(labels) == 4
    assert all(alike(a, b) for a, b in zip(columns, labels, strict=True))
    header = next(
        line
        for line in (DATA / "36-BV2.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("Header:")
    )
    wanted = re.sub(r"\(.*?\)", "", header.removeprefix("Header:")).strip(" .")
    printed = [fold(i.label) for i in form.items()]
    for label in re.split(r"[,;]", wanted):
        assert fold(label) in printed, label


def test_discharge_paper_has_every_reference_row(s: ModuleType) -> None:
    """Every XML7 key and every named field of Mẫu 02 has its item."""
    form = s.discharge_paper()
    keys = set()
    for cells in rows("TT25-2025-M02.md"):
        if cells[0] == "Trường":
            continue
        for word in re.findall(r"\b[a-z]+(?:_[a-z]+)+\b", cells[1]) + re.findall(r"→ (.*)", cells[2]):
            keys.update(re.findall(r"[a-z]+(?:_[a-z]+)+", word))
    keys |= {"tuoi_thai"}
    assert len(keys) >= 18
    for key in keys:
        assert M02_KEYS.get(key, key) in form, key
    labels = " ".join(fold(i.label) for i in form.items())
    for label in ("họ tên", "ngày sinh", "giới", "dân tộc", "nghề nghiệp", "ngày cấp", "địa chỉ", "ghi chú"):
        assert fold(label) in labels


@pytest.mark.parametrize("form", list(catalogue().all()), ids=lambda f: f.code)
def test_questionnaire_carries_every_item_and_label(form: Form) -> None:
    """The Questionnaire has each linkId once, in the form's order, with its label."""
    found: list[tuple[str, str]] = []

    def visit(items: list[dict[str, Any]]) -> None:
        for item in items:
            if not item["linkId"].startswith("s-"):
                found.append((item["linkId"], item["text"]))
            visit(item.get("item", []))

    visit(form.questionnaire()["item"])
    assert found == [(i.link_id, i.label) for i in form.items()]


@pytest.mark.parametrize("form", list(catalogue().all()), ids=lambda f: f.code)
def test_page_carries_every_item_and_label(form: Form, s: ModuleType) -> None:
    """The page has each linkId in the form's order, with its label inside."""
    page = html.fromstring(f"<div>{render_fields(form, {})}</div>")
    found = page.xpath("//*[@data-link-id]")
    assert [e.get("data-link-id") for e in found] == [i.link_id for i in form.items()]
    for element, item in zip(found, form.items(), strict=True):
        assert s.squeezed(item.label) in s.squeezed(element.text_content())


@pytest.mark.parametrize("form", list(catalogue().all()), ids=lambda f: f.code)
def test_empty_paper_carries_every_label(form: Form, tmp_path: Path, s: ModuleType) -> None:
    """Text of the printed empty form holds the label, number and hint of every item that paper shows."""
    text = s.squeezed(s.pdf_text(pdf(form, PrintContext(blank=True)), tmp_path, "-raw"))
    missing = [i.label for i in printed_items(form) if s.squeezed(i.label) not in text]
    assert missing == []
    for section in form.sections:
        if section.area == "body" and not section.hidden_title:
            number = f"{section.number}." if section.number else ""
            assert s.squeezed(f"{number}{section.title}") in text
    for item in form.items():
        for choice in item.choices:
            if not item.layout.inline:
                assert s.squeezed(f"{choice.code}.{choice.label}") in text


def printed_items(form: Form) -> Iterator[Item]:
    for section in form.sections:
        for item in section.items:
            yield from shown(item)


def shown(item: Item) -> Iterator[Item]:
    """Items whose label paper prints: no halves of a blood pressure, no names of signature groups."""
    if not item.layout.print:
        return
    signers = item.type == "group" and any(c.type == "signature" for c in item.children)
    measures = item.type == "group" and all(c.type in ("quantity", "decimal", "group") for c in item.children)
    sheet = item.type == "table" and any(c.type == "signature" for c in item.children)
    if not signers and not sheet and not (measures and len(item.children) > 2):
        yield item
    if measures and len(item.children) == 2:
        return
    for child in item.children:
        yield from shown(child)
