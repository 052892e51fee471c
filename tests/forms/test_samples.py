"""Complete random answers of every form go through page, data and paper and come back equal."""

from __future__ import annotations

from datetime import datetime
from types import ModuleType
from typing import Any

import pytest

from benhan.base.clock import VIETNAM
from benhan.forms import (
    Form,
    Item,
    PrintContext,
    answers,
    catalogue,
    check,
    drawing,
    form_fields,
    load_form,
    parse_form_post,
    print_form,
    response,
    sample,
)
from benhan.forms.audit import pdf_text
from benhan.forms.values import describe_value, number_text

FORMS = list(catalogue().all())
NOW = datetime(2026, 12, 1, 8, 0, tzinfo=VIETNAM)


def there_and_back(form: Form, seed: int) -> None:
    """Page and data give the answers back; nothing that must be there is missing."""
    given = sample(form, seed)
    assert [f for f in check(form, given, "close", NOW) if f.severity == "error"] == []
    assert parse_form_post(form, form_fields(form, given)) == given
    written = response(form, given, "Patient/1", "Encounter/1", "Practitioner/1", NOW)
    assert answers(form, written) == given


@pytest.mark.parametrize("form", FORMS, ids=lambda f: f.code)
def test_complete_answers_come_back(form: Form) -> None:
    """One complete set of every form."""
    there_and_back(form, 1)


@pytest.mark.long
@pytest.mark.parametrize("form", FORMS, ids=lambda f: f.code)
def test_many_complete_answers_come_back(form: Form) -> None:
    """Two hundred complete sets of every form."""
    for seed in range(200):
        there_and_back(form, seed)


def words_of(item: Item, value: Any) -> list[str]:
    """What the paper must show of an answer, piece by piece."""
    if item.type == "table":
        return [w for row in value for c in item.children for w in words_of(c, row.get(c.column))]
    if value is None or item.type in ("boolean", "choice", "date", "datetime", "time"):
        return []
    if item.type == "drawing":
        return [mark["label"] for mark in value["marks"]]
    many = value if isinstance(value, list) else [value]
    if item.type == "code":
        return [v["text"] for v in many]
    if item.type in ("quantity", "decimal", "integer"):
        return [number_text(v) for v in many]
    return [line for v in many for line in describe_value(item, v).split("\n")]


def on_paper(form: Form, seed: int, s: ModuleType) -> None:
    """The paper's text holds every text, number, code and mark that was answered."""
    given = sample(form, seed)
    result = print_form(
        form, PrintContext(answers=given, facility=s.HOSPITAL, patient=s.NAME, record_number="26-1")
    )
    text = s.squeezed(pdf_text(result.pdf))
    for item in form.answerable():
        if item.link_id in given and item.layout.print:
            for word in words_of(item, given[item.link_id]):
                assert s.squeezed(word) in text, (item.link_id, word)


@pytest.mark.parametrize("form", FORMS[::4], ids=lambda f: f.code)
def test_complete_answers_stand_on_paper(form: Form, s: ModuleType) -> None:
    """A sample of forms."""
    on_paper(form, 2, s)


@pytest.mark.long
@pytest.mark.parametrize("form", FORMS, ids=lambda f: f.code)
def test_complete_answers_stand_on_every_paper(form: Form, s: ModuleType) -> None:
    """Ten sets of every form."""
    for seed in range(10):
        on_paper(form, seed, s)


def test_same_seed_same_answers() -> None:
    """Reproducible; another seed gives others."""
    assert sample(FORMS[0], 5) == sample(FORMS[0], 5) != sample(FORMS[0], 6)


def test_what_a_drawing_refuses() -> None:
    """A mark needs a place inside the figure; a line needs more than one point; texts come back letter by letter."""
    mark = {"x": 0.5, "y": 0.25, "shape": "point", "label": "a; b"}
    assert drawing.fault({"marks": [mark]}) is None
    assert drawing.load(drawing.dump({"marks": [mark]})) == {"marks": [mark]}
    for wrong in (
        {**mark, "x": 1.2},
        {"shape": "point", "label": "x"},
        {**mark, "shape": "line"},
        {**mark, "y": "a"},
    ):
        assert drawing.fault({"marks": [wrong]})
    assert drawing.fault("x")


def test_every_figure_that_a_form_names_is_drawn() -> None:
    """No form shows an empty frame; figures carry no style, script or foreign reference."""
    for form in FORMS:
        for item in form.items():
            if item.figure:
                assert drawing.figure(item.figure).known, (form.code, item.figure)
    for name in drawing.figures():
        svg = drawing.figure(name).svg
        assert "style=" not in svg
        assert "href" not in svg
        for region in drawing.figure(name).regions:
            assert 0 <= region.x <= 1
            assert 0 <= region.y <= 1


def test_chart_plots_every_row(tmp_path: Any) -> None:
    """Pulse and pressure of each row stand in the chart; what is off the scale is written beside its edge."""
    path = tmp_path / "x.yaml"
    path.write_text(
        """
form: CS1/BD
title: BIỂU ĐỒ
source: nội bộ
valid_from: 2026-01-01
sections:
  - key: a
    title: A
    items:
      - key: bang
        type: table
        label: Bảng
        columns:
          - {key: gio, type: time, label: Giờ}
          - {key: mach, type: integer, label: Mạch}
          - {key: huyet_ap, type: text, label: Huyết áp}
      - {key: bd, type: chart, chart: vitals, of: bang, label: Biểu đồ}
""",
        encoding="utf-8",
    )
    from benhan.forms import render_fields

    form = load_form(path)
    rows = [
        {"gio": "23:00:00", "mach": 90, "huyet_ap": "120/80"},
        {"gio": "00:30:00", "mach": 250, "huyet_ap": "110/70"},
    ]
    page = str(render_fields(form, {"bang": rows}))
    assert page.count("<circle") == 2
    assert ">250</text>" in page
    assert page.count("<path") == 4 + 2
    assert ">23:00</text>" in page
