"""The list of TT 06/2026: judged before it is loaded, in force from its day, the old one until then."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from benhan.base.errors import InvalidInput
from benhan.catalogue import icd10, icd10_in_force, icd10_search, use_icd10
from benhan.gateways.bhyt import check, keep_icd_list, make_row, read_icd_list, use_icd_list
from benhan.gateways.bhyt.package import Package
from benhan.gateways.bhyt.samples import package_of, stories

NEW = "code,title_vi,not_main,sex_only\nJ18.9,Viêm phổi (tên mới),,\nX99.9,Bệnh chỉ có ở danh mục mới,1,F\n"
JUNE, JULY = date(2026, 6, 30), date(2026, 7, 1)


@pytest.fixture(autouse=True)
def shipped_list_afterwards() -> Iterator[None]:
    yield
    use_icd10((), date.min)


def _with(code: str, left: str) -> Package:
    package = package_of(stories()[0], 1)
    head = package.table("XML1")[0]
    row = make_row("XML1", 1, {**head.values, "MA_BENH_CHINH": code, "NGAY_RA": left})
    return Package(package.facility, package.made_on, {**package.rows, "XML1": (row,)})


def _rules(code: str, left: str) -> set[str]:
    return {f.rule for f in check(_with(code, left)) if f.rule.startswith("ICD-")}


def test_after_the_last_day_every_claim_is_warned_until_the_list_is_loaded(tmp_path: Path) -> None:
    assert "ICD-HET-HAN" not in _rules("J18.9", "202606300800")
    assert "ICD-HET-HAN" in _rules("J18.9", "202608050800")
    assert not icd10_in_force(JULY)
    told = read_icd_list(NEW)
    assert (told.new, told.retitled) == (("X99.9",), ("J18.9",))
    assert icd10("X99.9") is None, "judging loads nothing"
    keep_icd_list(tmp_path, told.entries, JULY)
    assert _rules("J18.9", "202608050800") == set()
    assert _rules("X99.9", "202608050800") >= {"ICD-CHINH-KHONG"}, "flags of the new list hold"
    assert "ICD-CHINH-CU" in _rules("A00.0", "202608050800"), "a code the new list has dropped"
    assert "ICD-CHINH-CO" in _rules("X99.9", "202606300800"), "the old list answers for its own days"
    title = icd10("J18.9", JUNE)
    assert title is not None
    assert "tên mới" not in title.title
    assert [e.code for e in icd10_search("chi co o danh muc moi", on=JULY)] == ["X99.9"]
    use_icd10((), date.min)
    assert use_icd_list(tmp_path), "the next start takes it up"
    assert icd10_in_force(JULY)


def test_a_bad_list_is_refused_line_by_line() -> None:
    with pytest.raises(InvalidInput) as wrong:
        read_icd_list("code,title_vi,sex_only\nJ18.9,A,\nj18.9,B,\nKHAC,C,\nI10,,\nI11,D,X\n")
    assert [i.text[:7] for i in wrong.value.issues] == ["Dòng 3:", "Dòng 4:", "Dòng 5:", "Dòng 6:"]
    for text in ("", "ma,ten\nJ18,A\n", "<xml/>"):
        with pytest.raises(InvalidInput):
            read_icd_list(text)
