"""A facility's additions to an official form: the form stands unchanged, the additions on a page of their own."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from types import ModuleType

import pytest

from benhan.base.errors import InvalidInput
from benhan.fhir import validate
from benhan.forms import PrintContext, check, get, print_form, render_fields, sample, shelf
from benhan.forms.audit import pdf_text

ADDED = """
form: CS51Z01/01-BV1
extends: 01/BV1
title: Bệnh án nội khoa
source: Quy chế của cơ sở, số 12/QĐ-BV
valid_from: 2026-02-01
sections:
  - key: dinh_duong
    title: Sàng lọc dinh dưỡng
    items:
      - {key: diem_dinh_duong, type: integer, label: Điểm sàng lọc, required_at: sign, range: {min: 0, max: 7}}
      - {key: ghi_chu_dinh_duong, type: longtext, label: Ghi chú dinh dưỡng,
         enabled_when: {item: cd_vao_khoa, exists: true}}
      - {key: ky_dinh_duong, type: signature, role: dinh_duong, label: Cán bộ dinh dưỡng}
signatures:
  - {role: dinh_duong, order: 9, title: Cán bộ dinh dưỡng, permission: form.sign}
"""
DAY = date(2026, 3, 1)


@pytest.mark.parametrize("code", ["01/BV1", "39/BV2", "TT25/2025-M02"])
def test_the_official_form_stands_unchanged(code: str) -> None:
    """Every section, rule, signer and word of the official form is there, in its order, before the additions."""
    official = get(code, DAY)
    text = ADDED.replace("extends: 01/BV1", f"extends: {code}").replace(
        ",\n         enabled_when: {item: cd_vao_khoa, exists: true}", ""
    )
    form = shelf.read(text)
    assert form.sections[: len(official.sections)] == official.sections
    assert set(official.rules) <= set(form.rules)
    assert [s for s in form.signatures if s.role != "dinh_duong"] == list(official.signatures)
    assert (form.title, form.kind, form.by) == (official.title, official.kind, official.by)
    before = print_form(official, PrintContext(blank=True))
    after = print_form(form, PrintContext(blank=True))
    assert after.pages == before.pages + 1
    pages = pdf_text(after.pdf).split("\f")
    kept = [p.replace(f"/{after.pages}", f"/{before.pages}").replace(form.code, code) for p in pages]
    assert kept[: before.pages] == pdf_text(before.pdf).split("\f")[: before.pages]
    assert "Phần bổ sung của cơ sở" in pages[before.pages]
    assert "Sàng lọc dinh dưỡng" in pages[before.pages]
    assert [b.role for b in after.signature_boxes][-1] == "dinh_duong"


def test_the_additions_are_page_data_and_rule() -> None:
    """They are asked for, shown, kept as data, and say what they derive from."""
    form = shelf.read(ADDED)
    data = form.questionnaire()
    validate(data)
    assert data["derivedFrom"] == ["urn:benhan:mau:01-BV1|2024-01-01"]
    assert "Phần bổ sung của cơ sở" in render_fields(form, {})
    answers = sample(form, 2)
    assert {"diem_dinh_duong", "ghi_chu_dinh_duong", "ly_do"} <= set(answers)
    del answers["diem_dinh_duong"]
    assert [f.link_id for f in check(form, answers, "sign") if f.severity == "error"] == ["diem_dinh_duong"]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("extends: 01/BV1", "extends: 99/BV9", "không có biểu mẫu '99/BV9' có hiệu lực ngày 01/02/2026"),
        ("valid_from: 2026-02-01", "valid_from: 2023-02-01", "không có biểu mẫu '01/BV1'"),
        ("key: diem_dinh_duong", "key: ly_do", "mục 'ly_do' đã có"),
        ("item: cd_vao_khoa", "item: cd_vao_khoaa", "không có mục 'cd_vao_khoaa'"),
    ],
)
def test_what_would_change_the_official_form_is_refused(old: str, new: str, told: str) -> None:
    """Its keys are taken, its name must be known, on that day."""
    with pytest.raises(InvalidInput) as caught:
        shelf.read(ADDED.replace(old, new))
    assert told in caught.value.text


def test_papers_of_additions_are_archive_pdf(tmp_path: Path, s: ModuleType) -> None:
    """The filled paper prints, with the additions last."""
    form = shelf.read(ADDED)
    printed = print_form(form, s.record_context(answers=sample(form, 2), signatures=[]))
    assert "Điểm sàng lọc" in pdf_text(printed.pdf).split("\f")[printed.pages - 1]
