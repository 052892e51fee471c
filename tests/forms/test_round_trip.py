"""Answers → QuestionnaireResponse → answers, and answers → page → post → answers, for any answers."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import html

from benhan.base import json_door
from benhan.base.clock import VIETNAM
from benhan.base.errors import RuleViolation
from benhan.base.text import squeeze
from benhan.fhir import validate
from benhan.forms import (
    Answers,
    Form,
    Item,
    answers,
    catalogue,
    form_fields,
    normal,
    parse_date,
    parse_datetime,
    parse_form_post,
    render_fields,
    response,
)

FORMS = list(catalogue().all())
AUTHORED = datetime(2026, 3, 14, 3, 5, tzinfo=UTC)
LETTERS = st.characters(
    codec="utf-8", categories=("L", "N", "P", "S", "Zs"), exclude_characters="\u2028\u2029\ufeff"
)


def words(lines: bool = False) -> st.SearchStrategy[str]:
    text = st.text(LETTERS, min_size=1, max_size=30).map(squeeze).filter(bool)
    return st.lists(text, min_size=1, max_size=3).map("\n".join) if lines else text


def dates() -> st.SearchStrategy[str]:
    whole = st.dates(date(1900, 1, 1), date(2100, 1, 1)).map(date.isoformat)
    return st.one_of(whole, whole.map(lambda d: d[:7]), whole.map(lambda d: d[:4]))


def instants() -> st.SearchStrategy[str]:
    start = datetime(1980, 1, 1, tzinfo=VIETNAM)
    return st.integers(0, 60 * 24 * 36500).map(
        lambda m: (start + timedelta(minutes=m)).isoformat(timespec="seconds")
    )


def numbers() -> st.SearchStrategy[Decimal]:
    return st.tuples(st.integers(-9999, 99999), st.integers(0, 3)).map(lambda p: Decimal(p[0]).scaleb(-p[1]))


def times() -> st.SearchStrategy[str]:
    return st.times().map(lambda t: t.replace(microsecond=0, second=0).isoformat())


def drawings() -> st.SearchStrategy[Any]:
    place = st.integers(0, 1000).map(lambda n: n / 1000)
    corners = st.lists(st.lists(place, min_size=2, max_size=2), min_size=1, max_size=3)
    words_of_mark = {"label": words()}
    point = st.fixed_dictionaries({"x": place, "y": place, "shape": st.just("point")}, optional=words_of_mark)
    shape = st.sampled_from(["line", "area"])
    path = st.fixed_dictionaries(
        {"x": place, "y": place, "shape": shape, "points": corners}, optional=words_of_mark
    )
    return st.lists(point | path, min_size=1, max_size=3).map(lambda marks: {"marks": marks})


def value(item: Item) -> st.SearchStrategy[Any]:
    if item.type == "table":
        cells = {c.column: value(c) for c in item.children if c.holds_answer}
        row = st.fixed_dictionaries({}, optional=cells)
        return st.lists(row, max_size=len(item.rows) or 4)
    one: st.SearchStrategy[Any] = {
        "text": words(),
        "longtext": words(lines=True),
        "integer": st.integers(-99999, 999999),
        "decimal": numbers(),
        "quantity": numbers(),
        "boolean": st.booleans(),
        "date": dates(),
        "datetime": instants(),
        "time": times(),
        "drawing": drawings(),
        "choice": st.sampled_from([c.code for c in item.choices] or ["?"]),
        "code": st.fixed_dictionaries(
            {}, optional={"text": words(), "code": st.from_regex(r"[A-Z][0-9]{2}(\.[0-9])?", fullmatch=True)}
        ),
    }[item.type]
    return st.lists(one, max_size=3) if item.repeats else one


def answer_sets(form: Form) -> st.SearchStrategy[Answers]:
    every = {i.link_id: value(i) for i in form.answerable()}
    return st.fixed_dictionaries({}, optional=every).map(lambda a: normal(form, a))


def round_trips(form: Form, given_answers: Answers) -> None:
    written = response(form, given_answers, "Patient/p", "Encounter/e", "Practitioner/d", AUTHORED)
    read = json_door.loads(json_door.dumps(written))
    assert answers(form, read) == given_answers
    posted = form_fields(form, given_answers)
    assert parse_form_post(form, posted) == given_answers
    assert parse_form_post(form, submitted(str(render_fields(form, given_answers)))) == given_answers


def submitted(page: str) -> dict[str, str]:
    """What a browser would post."""
    out: dict[str, str] = {}
    fields = "//input[@name] | //textarea[@name] | //select[@name]"
    for field in html.fromstring(f"<form>{page}</form>").xpath(fields):
        if field.tag == "textarea":
            out[field.get("name")] = (field.text or "").removeprefix("\n")
        elif field.tag == "select":
            out[field.get("name")] = next(iter(field.xpath("./option[@selected]/@value")), "")
        elif field.get("type") not in ("radio", "checkbox") or field.get("checked") is not None:
            out[field.get("name")] = field.get("value", "")
    return out


def _checked(form: Form, examples: int) -> None:
    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    @given(answer_sets(form))
    def run(some: Answers) -> None:
        round_trips(form, some)

    run()


@pytest.mark.parametrize("form", FORMS, ids=lambda f: f.code)
def test_any_answers_come_back_the_same(form: Form) -> None:
    """Through FHIR and through the page nothing is lost or changed."""
    _checked(form, 12)


@pytest.mark.long
@pytest.mark.parametrize("form", FORMS, ids=lambda f: f.code)
def test_any_answers_come_back_the_same_long(form: Form) -> None:
    """The same over many more answer sets."""
    _checked(form, 600)


@pytest.mark.parametrize("form", FORMS, ids=lambda f: f.code)
def test_questionnaire_is_valid_fhir(form: Form) -> None:
    """The Questionnaire of every form passes strict validation."""
    validate(form.questionnaire())
    assert form.questionnaire()["url"] == form.url


def test_response_is_valid_fhir_and_keeps_digits(s: ModuleType) -> None:
    """A complete record is a valid QuestionnaireResponse; 38.70 stays 38.70."""
    form = s.noi_khoa()
    written = response(
        form, s.record_answers(), "Patient/p", "Encounter/e", "Practitioner/d", AUTHORED, id="r-1"
    )
    validate(written)
    assert b'"value":38.70' in json_door.dumps(written)
    assert written["questionnaire"] == "urn:benhan:mau:01-BV1|2024-01-01"
    assert written["authored"] == "2026-03-14T10:05:00.000+07:00"


def test_blank_response_is_valid_and_empty(s: ModuleType) -> None:
    """An empty response has no items and reads back as no answers."""
    blank = s.noi_khoa().blank_response()
    validate(blank)
    assert answers(s.noi_khoa(), blank) == {}


def test_unreadable_answers_are_refused_together(s: ModuleType) -> None:
    """What cannot be typed is named, all at once, and never stored."""
    form = s.noi_khoa()
    posted = parse_form_post(form, {"mach": "tám mươi", "ngay_sinh": "31/02/1990", "ly_do": "Sốt"})
    with pytest.raises(RuleViolation) as caught:
        response(form, posted, "Patient/p", None, "Practitioner/d", AUTHORED)
    assert caught.value.code == "forms.unreadable-answer"
    assert {i.expression for i in caught.value.issues} == {"mach", "ngay_sinh"}


def test_a_draft_patch_changes_one_field(s: ModuleType) -> None:
    """Autosave: the saved fields with one field over them are the new answers."""
    form = s.noi_khoa()
    saved = s.record_answers()
    patched = parse_form_post(form, {**form_fields(form, saved), "dac_diem_lien_quan#1.co": "1", "ly_do": ""})
    assert patched["dac_diem_lien_quan"][1] == {"ma": "02", "dac_diem": "Ma túy", "co": True}
    assert "ly_do" not in patched
    assert {k: v for k, v in patched.items() if k not in ("dac_diem_lien_quan", "ly_do")} == {
        k: v for k, v in normal(form, saved).items() if k not in ("dac_diem_lien_quan", "ly_do")
    }


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("14/03/2026", "2026-03-14"),
        ("14032026", "2026-03-14"),
        ("4.3.2026", "2026-03-04"),
        ("03/2026", "2026-03"),
        ("1958", "1958"),
        ("2026-03-14", "2026-03-14"),
        ("30/02/2026", None),
        ("mai", None),
    ],
)
def test_dates_are_read_as_people_type_them(typed: str, read: str | None) -> None:
    """Day, month or year precision; what does not exist is not read."""
    assert parse_date(typed) == read


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("14/03/2026 08:05", "2026-03-14T08:05:00+07:00"),
        ("8h05 14/03/2026", "2026-03-14T08:05:00+07:00"),
        ("8 giờ 05 phút, ngày 14/03/2026", "2026-03-14T08:05:00+07:00"),
        ("140320260805", "2026-03-14T08:05:00+07:00"),
        ("2026-03-14T01:05:00Z", "2026-03-14T01:05:00+00:00"),
        ("14/03/2026", None),
        ("14/03/2026 25:05", None),
        ("hôm qua 14/03/2026 08:05", None),
    ],
)
def test_instants_are_read_as_people_type_them(typed: str, read: str | None) -> None:
    """Both orders of hour and day; nothing is guessed."""
    assert parse_datetime(typed) == read
