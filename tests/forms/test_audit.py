"""`benhan forms check`: every row of the list has a state, and what is taken out of any view is missed."""

from __future__ import annotations

import random
import re
from dataclasses import replace
from typing import Any

import pytest
from typer.testing import CliRunner

from benhan.cli import app
from benhan.forms import Form, catalogue, check_all, reference
from benhan.forms.audit import compare, printed_items, views

FORMS = [f for f in catalogue().all() if f.code in reference.sources()]
SAMPLE = FORMS[:: max(len(FORMS) // 8, 1)]


def test_every_row_of_the_list_has_a_state() -> None:
    """All rows are told, none twice; a row without a field file is listed and is in no catalogue."""
    found = check_all(["52/BV2", "54/BV2", "EXTRA-TNT", "01/BV1"])
    assert {c.code: c.state for c in found} == {
        "01/BV1": "ok",
        "52/BV2": "superseded",
        "54/BV2": "superseded",
        "EXTRA-TNT": "no-source",
    }
    rows = reference.rows()
    assert len(rows) == len({r.code for r in rows}) == 119
    for row in rows:
        if row.code not in reference.sources():
            assert not catalogue().editions(row.code)


def test_command_tells_the_states_and_fails_on_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 0 with JSON when all is well, 1 when a form with a source differs."""
    good = CliRunner().invoke(app, ["forms", "check", "01/BV1", "--json"])
    assert good.exit_code == 0, good.output
    assert '"state": "ok"' in good.output
    monkeypatch.setattr("benhan.forms.audit.compare", lambda form, seen: iter(["thiếu"]))
    assert CliRunner().invoke(app, ["forms", "check", "01/BV1"]).exit_code == 1


def mutilated(items: list[dict[str, Any]], link_id: str) -> list[dict[str, Any]]:
    """Questionnaire items without one."""
    return [
        {**i, "item": mutilated(i["item"], link_id)} if "item" in i else i
        for i in items
        if i["linkId"] != link_id
    ]


def without_one_item(form: Form, seed: int) -> None:
    """Take one item out of each view in turn: the comparison tells it."""
    rnd = random.Random(seed)
    seen = views(form)
    assert list(compare(form, seen)) == []
    item = rnd.choice([i for i in form.items() if i.type not in ("display",)])
    less = {**seen.questionnaire, "item": mutilated(list(seen.questionnaire["item"]), item.link_id)}
    assert list(compare(form, replace(seen, questionnaire=less))), f"data without {item.link_id}"
    page = seen.page.replace(f'data-link-id="{item.link_id}"', "")
    assert list(compare(form, replace(seen, page=page))), f"page without {item.link_id}"
    label = rnd.choice(list(printed_items(form))).label
    pattern = r"\s*".join(re.escape(c) for c in label.replace(" ", ""))
    paper = re.sub(pattern, "", seen.paper, count=1, flags=re.IGNORECASE)
    assert paper != seen.paper
    assert list(compare(form, replace(seen, paper=paper))), f"paper without {label}"
    gone = rnd.randrange(len(seen.reference))
    rest = [e for n, e in enumerate(seen.reference) if n != gone]
    told = list(compare(form, replace(seen, reference=rest)))
    linked = seen.reference[gone]
    assert any(linked.uid in text for text in told), f"reference without {linked}"


@pytest.mark.parametrize("form", SAMPLE, ids=lambda f: f.code)
def test_what_is_taken_out_of_a_view_is_missed(form: Form) -> None:
    """One random item of each view of a sample of forms."""
    without_one_item(form, 4)


@pytest.mark.long
@pytest.mark.parametrize("form", FORMS, ids=lambda f: f.code)
@pytest.mark.parametrize("seed", range(5))
def test_what_is_taken_out_of_a_view_is_missed_for_all(form: Form, seed: int) -> None:
    """Five random items of each view of every form."""
    without_one_item(form, seed)


@pytest.mark.parametrize("form", FORMS, ids=lambda f: f.code)
def test_all_views_agree(form: Form) -> None:
    """Page, paper, data and reference tell the same."""
    assert list(compare(form, views(form))) == []


def test_reference_tables_are_read_whole() -> None:
    """Every file with a source gives entries; keys for both eyes, ranges and several forms in a file."""
    for code in reference.sources():
        assert len(reference.entries(code)) >= 3, code
    assert "18/BV2" in reference.sources()
    assert reference.sources()["47/BV2"] == reference.sources()["28/BV2"] == "28-47-BV2.md"
    assert {"tl_khong_kinh_mp", "tl_khong_kinh_mt"} <= {
        e.key
        for e in reference._Parser("00-mat-common.md", "00-mat").read(reference.text_of("00-mat-common.md"))
    }
    assert "28/BV2" in reference.sources()
    assert not any("tình trạng lúc vào" in e.label for e in reference.entries("28/BV2"))
    assert any("tình trạng lúc vào" in e.label for e in reference.entries("47/BV2"))
