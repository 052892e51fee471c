"""Papers that leave the facility carry no abbreviations: each is named with its meanings, none is expanded."""

from __future__ import annotations

from types import ModuleType

import pytest

from benhan.forms import check
from benhan.forms.abbreviations import abbreviations, found_in


def test_the_list_is_read_whole() -> None:
    """Every abbreviation has a meaning; ambiguous ones have several."""
    assert len(abbreviations()) >= 120
    assert all(abbreviations().values())
    assert any(len(meanings) > 1 for meanings in abbreviations().values())


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("BN tỉnh, YHCT", ["BN", "YHCT"]),
        ("người bệnh tỉnh, bn", []),
        ("BNX không phải", []),
        ("(BN) BN.", ["BN"]),
    ],
)
def test_only_whole_words_count(text: str, found: list[str]) -> None:
    """Words of their own, as written."""
    assert found_in(text) == found


def test_a_paper_that_leaves_warns_and_a_record_does_not(s: ModuleType) -> None:
    """The discharge paper warns beside the field and can still be saved; the record inside the house does not."""
    paper = {**s.discharge_answers(), "ghi_chu": "BN tái khám sau một tuần"}
    told = [f for f in check(s.discharge_paper(), paper, "sign") if f.rule == "abbreviation"]
    assert [f.link_id for f in told] == ["ghi_chu"]
    assert told[0].severity == "warning"
    assert "bệnh nhân" in told[0].text
    record = s.record_answers(toan_than="BN tỉnh")
    assert not [f for f in check(s.noi_khoa(), record, "sign") if f.rule == "abbreviation"]
