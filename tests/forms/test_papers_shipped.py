"""The papers of Phụ lục XXIX and of the other circulars: none is missing, each view is watched, nothing is invented."""

from __future__ import annotations

import random
import re
from dataclasses import replace
from typing import Any

import pytest

from benhan.forms import Form, catalogue, check_all, reference
from benhan.forms.audit import compare, printed_items, views

PAPERS = [f for f in catalogue().all() if f.code in reference.sources() and not f.code.endswith("/BV1")]
NUMBERED = [f"{n:02d}/BV2" for n in range(1, 52)]
EYE = [f"{n}/BV2" for n in range(30, 36)]


def test_every_row_with_a_source_has_its_paper() -> None:
    """The list has 119 rows; none with a source is missing, those without are in no catalogue."""
    codes = {f.code for f in PAPERS}
    assert set(NUMBERED) <= codes
    wanted = {r.code for r in reference.rows() if r.code in reference.sources() and not r.superseded}
    assert {c for c in wanted if not catalogue().editions(c)} == set()


def test_no_row_of_the_list_is_bad() -> None:
    """A sample of the rows beyond the records is as the check wants it (all of them in the long run)."""
    found = check_all([r.code for r in reference.rows() if not r.code.endswith("/BV1")][::4])
    assert [c for c in found if c.bad] == []


@pytest.mark.parametrize("form", PAPERS, ids=lambda f: f.code)
def test_what_is_taken_out_of_a_view_of_a_paper_is_missed(form: Form) -> None:
    """A random item out of data and page, a label off the paper, an entry out of the reference: all are told."""
    rnd = random.Random(f"paper {form.code}")
    seen = views(form)
    assert list(compare(form, seen)) == []
    item = rnd.choice([i for i in form.items() if i.type != "display"])
    less = {**seen.questionnaire, "item": _without(list(seen.questionnaire["item"]), item.link_id)}
    assert list(compare(form, replace(seen, questionnaire=less))), f"data without {item.link_id}"
    page = seen.page.replace(f'data-link-id="{item.link_id}"', "")
    assert list(compare(form, replace(seen, page=page))), f"page without {item.link_id}"
    label = rnd.choice(list(printed_items(form))).label
    pattern = r"\s*".join(re.escape(c) for c in label.replace(" ", ""))
    paper = re.sub(pattern, "", seen.paper, count=1, flags=re.IGNORECASE)
    assert list(compare(form, replace(seen, paper=paper))), f"paper without {label}"
    gone = rnd.choice(list(seen.reference))
    rest = [e for e in seen.reference if e is not gone]
    assert any(gone.uid in text for text in compare(form, replace(seen, reference=rest))), gone


def _without(items: list[dict[str, Any]], link_id: str) -> list[dict[str, Any]]:
    return [
        {**i, "item": _without(i["item"], link_id)} if "item" in i else i
        for i in items
        if i["linkId"] != link_id
    ]


@pytest.mark.parametrize("code", EYE)
def test_eye_operations_are_marked_unconfirmed(code: str) -> None:
    """The source knows the titles only: the part is marked, and no code is invented for its choices."""
    form = catalogue().editions(code)[-1]
    assert all(s.unconfirmed for s in form.sections if s.key == "phau_thuat")
    assert {i.link_id for i in form.items() if i.type == "choice"} == {"gioi_tinh"}


def test_implants_are_held_apart() -> None:
    """Graft and lens identifiers are answers of their own, to be found again for a recall."""
    graft, lens = catalogue().editions("30/BV2")[-1], catalogue().editions("35/BV2")[-1]
    assert {"manh_ghep_nguon", "manh_ghep_ma"} <= {i.link_id for i in graft.items()}
    assert {"iol_hang", "iol_loai", "iol_cong_suat", "iol_so_lo", "iol_vi_tri"} <= {
        i.link_id for i in lens.items()
    }


def test_consent_to_other_use_of_data_stands_alone() -> None:
    """40/BV2: the question is in its own section, neither answered beforehand nor needed for admission."""
    form = catalogue().editions("40/BV2")[-1]
    asked = form.item("su_dung_du_lieu")
    assert asked.required_at is None
    assert asked.populate is None
    section = next(s for s in form.sections if any(i.link_id == "su_dung_du_lieu" for i in s.items))
    assert len(section.items) == 1
