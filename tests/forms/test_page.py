"""The page of a form: reachable labels, errors beside fields, no inline code, nothing unescaped."""

from __future__ import annotations

import re
from types import ModuleType

import pytest
from lxml import html

from benhan.forms import STATIC_DIR, Form, catalogue, check, render_fields

FORMS = list(catalogue().all())


@pytest.mark.parametrize("form", FORMS, ids=lambda f: f.code)
@pytest.mark.parametrize("readonly", [False, True])
def test_every_control_has_a_name_and_a_label(form: Form, readonly: bool) -> None:
    """Ids are unique, each label and description points to something, each control can be named."""
    page = html.fromstring(
        f"<div>{render_fields(form, {}, check(form, {}, 'close'), readonly=readonly)}</div>"
    )
    ids = page.xpath("//@id")
    assert len(ids) == len(set(ids))
    for target in page.xpath("//label/@for | //@aria-labelledby | //@aria-describedby"):
        assert set(target.split()) <= set(ids), target
    labelled = set(page.xpath("//label/@for"))
    for control in page.xpath("//input | //textarea"):
        named = (
            control.get("aria-label") or control.get("id") in labelled or control.getparent().tag == "label"
        )
        assert named, control.get("name")


@pytest.mark.parametrize("form", FORMS, ids=lambda f: f.code)
def test_page_has_no_inline_code(form: Form) -> None:
    """Strict content security policy: no style, script or handler attributes."""
    page = str(render_fields(form, {}))
    assert not re.search(r"<script|<style|\sstyle=|\son\w+=", page)


def test_errors_stand_beside_their_field(s: ModuleType) -> None:
    """The field is invalid, described by its message, and keeps what was typed."""
    answers = {"ngay_sinh": "31/02/1990", "vao_vien": "2026-03-14T08:05:00+07:00"}
    page = html.fromstring(f"<div>{render_fields(s.noi_khoa(), answers, check(s.noi_khoa(), answers))}</div>")
    field = page.get_element_by_id("f-ngay_sinh")
    assert field.get("aria-invalid") == "true"
    assert field.get("value") == "31/02/1990"
    described = [page.get_element_by_id(i).text_content() for i in field.get("aria-describedby").split()]
    assert any("không phải là ngày có thật" in text for text in described)


def test_typed_text_is_escaped(s: ModuleType) -> None:
    """Markup that somebody typed is text."""
    page = str(render_fields(s.noi_khoa(), {"ly_do": '"><script>x</script>', "toan_than": "</textarea><b>"}))
    assert "<script>" not in page
    assert "</textarea><b>" not in page


def test_readonly_page_has_nothing_to_write(s: ModuleType) -> None:
    """A signed form is shown, not edited."""
    page = html.fromstring(f"<div>{render_fields(s.noi_khoa(), s.record_answers(), readonly=True)}</div>")
    for control in page.xpath("//input | //textarea"):
        assert control.get("readonly") is not None or control.get("disabled") is not None


def test_vital_signs_stand_in_one_line(s: ModuleType) -> None:
    """Pulse, temperature, pressure, breathing and weight are in one grid row group."""
    page = html.fromstring(f"<div>{render_fields(s.noi_khoa(), {})}</div>")
    (line,) = page.xpath("//*[contains(@class, 'bf-vitals')]")
    inside = line.xpath(".//input/@name")
    assert inside[:6] == [
        "mach",
        "nhiet_do",
        "huyet_ap.tam_thu",
        "huyet_ap.tam_truong",
        "nhip_tho",
        "can_nang",
    ]


def test_style_sheet_is_small_and_prefixed() -> None:
    """Fewer than 250 lines; every class of ours begins with bf-."""
    css = (STATIC_DIR / "forms.css").read_text(encoding="utf-8")
    assert len(css.splitlines()) < 250
    assert {
        c for c in re.findall(r"\.([a-z][\w-]*)", re.sub(r"\d*\.\d+\w*", "", css)) if not c.startswith("bf-")
    } == set()
