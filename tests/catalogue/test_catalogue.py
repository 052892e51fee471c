"""Lists, law and house rules as dated data."""

from __future__ import annotations

import time
from datetime import date
from decimal import Decimal

import pytest

from benhan import catalogue
from benhan.base.errors import NotFound, RuleViolation
from benhan.catalogue.validity import faults_of_periods, period, table

DAY = date(2026, 11, 20)


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("viem phoi", "J18.9"),
        ("viêm phổi do Haemophilus", "J14"),
        ("j18.9", "J18.9"),
        ("J189", "J18.9"),
        ("THA", "I10"),
        ("sot xuat huyet dengue", "A97"),
        ("đái tháo đường", "E10"),
    ],
)
def test_icd10_is_found_as_typed(typed: str, code: str) -> None:
    """A doctor finds a code without tones, by abbreviation or by the code itself, among the first twenty."""
    assert code in {e.key for e in catalogue.icd10_search(typed, 20)}


def test_icd10_search_is_fast() -> None:
    """The median search answers in under 50 ms."""
    catalogue.icd10_search("lao", 1)
    times = []
    for typed in ("viem phoi", "THA", "gay xuong dui", "j18", "dai thao duong type 2", "benh", "a"):
        start = time.perf_counter()
        catalogue.icd10_search(typed, 20)
        times.append(time.perf_counter() - start)
    assert sorted(times)[len(times) // 2] < 0.05


def test_icd10_by_code_ignores_dot_and_dagger() -> None:
    """One code, dotted or not."""
    dotted = catalogue.icd10("J18.9")
    assert dotted is not None
    assert catalogue.icd10("j189") == dotted
    assert catalogue.icd10("Z99.99") is None


def test_price_is_that_of_its_day() -> None:
    """The price changes on 01/07/2026 and is flagged synthetic."""
    before, after = (
        catalogue.price("KHAM.NOI", date(2026, 6, 30)),
        catalogue.price("KHAM.NOI", date(2026, 7, 1)),
    )
    assert before is not None
    assert after is not None
    assert (before.amount, after.amount) == (Decimal(45000), Decimal(50000))
    assert before.synthetic
    assert after.synthetic


def test_periods_neither_overlap_nor_gap() -> None:
    """Validity periods of every dated list follow each other day by day."""
    assert faults_of_periods(catalogue.prices(), lambda p: p.code, lambda p: p.valid) == []
    for name, keys in (
        ("settings.yaml", ("name", "facility")),
        ("numbering.yaml", ("kind", "facility", "khoa")),
        ("outcomes.yaml", ()),
        ("retention.yaml", ()),
        ("form_doi_tuong.yaml", ()),
    ):
        assert faults_of_periods(table(name), lambda r, k=keys: tuple(r[x] for x in k), period) == [], name


def test_periods_with_faults_are_named() -> None:
    """An overlap and a gap are both found."""
    rows = [
        {"valid_from": "2024-01-01", "valid_to": "2024-12-31"},
        {"valid_from": "2024-12-31", "valid_to": "2025-01-31"},
        {"valid_from": "2025-02-02", "valid_to": None},
    ]
    assert len(faults_of_periods(rows, lambda r: 1, period)) == 2


def test_one_outcome_gives_form_items_and_claim_codes() -> None:
    """Form items 17, 18, 24 and both claim codes follow from one choice and the result."""
    facts = catalogue.outcome_facts("ra-vien", "2", DAY)
    assert (facts.form_18, facts.form_24, facts.ma_loai_rv, facts.ket_qua_dtri) == ("1", "2", "1", "2")
    died = catalogue.outcome_facts("tu-vong", None, DAY)
    assert (died.form_24, died.ket_qua_dtri, died.ma_loai_rv) == ("5", "5", "")
    worse = catalogue.outcome_facts("nang-xin-ve", None, DAY)
    assert (worse.form_18, worse.ma_loai_rv, worse.ket_qua_dtri) == ("2", "4", "6")


def test_unknown_codes_stay_empty() -> None:
    """Đưa về has no claim code that is known: it is left empty, not guessed."""
    facts = catalogue.outcome_facts("dua-ve", "3", DAY)
    assert facts.ma_loai_rv == ""
    assert facts.outcome.confidence == "low"


def test_result_that_does_not_fit_is_refused() -> None:
    """A patient who leaves against advice in a grave state cannot be cured."""
    with pytest.raises(RuleViolation) as error:
        catalogue.outcome_facts("nang-xin-ve", "1", DAY)
    assert error.value.code == "catalogue.result-not-possible"


def test_retention_follows_the_law_of_the_day() -> None:
    """Years are data; a kind that the law of the day does not know is an error, not a default."""
    assert catalogue.retention_years("inpatient", DAY) == 10
    assert catalogue.retention_years("death", DAY) == 30
    assert catalogue.retention_years("incident", DAY) is None
    with pytest.raises(NotFound):
        catalogue.retention_years("incident", date(2020, 1, 1))


@pytest.mark.parametrize(
    ("facts", "kind", "years"),
    [
        ({"class": "IMP", "result": "2"}, "inpatient", 10),
        ({"class": "IMP", "result": "5"}, "death", 30),
        ({"class": "IMP", "result": "2", "form": "07/BV1"}, "mental-accident", 20),
        ({"class": "IMP", "result": "5", "icd10": "V03.1"}, "death", 30),
        ({"class": "AMB", "icd10": "F20.0"}, "mental-accident", 20),
        ({"class": "AMB", "icd10": "J18.9"}, "outpatient", 10),
    ],
)
def test_of_several_rules_the_longest_keeps_a_record(facts: dict[str, str], kind: str, years: int) -> None:
    assert catalogue.retention_of(facts, DAY) == (kind, years)


def test_a_record_that_no_rule_fits_is_not_destroyed_by_rule() -> None:
    with pytest.raises(NotFound):
        catalogue.retention_of({"class": "KHAC"}, DAY)


def test_number_pattern_restarts_by_scope() -> None:
    """Số bệnh án runs by year and khoa and shows both."""
    pattern = catalogue.numbering_pattern("so_benh_an", DAY, khoa="K01")
    assert pattern.scope_key(DAY, "K01") == "2026/K01"
    assert pattern.render(7, DAY, facility="51Z01", khoa="K01") == "26000007/BA-K01"
    birth = catalogue.numbering_pattern("giay_chung_sinh", DAY).render(12, DAY, facility="51Z01", khoa=None)
    assert birth == "51Z01.GCS.00012.26"
    assert len(birth) == 18


def test_lists_are_whole() -> None:
    """96 communes, 34 provinces, 142 facilities, 84 laboratory items, 126 drugs."""
    assert len(catalogue.communes()) == 96
    assert len(catalogue.provinces()) == 34
    assert len(catalogue.facilities()) == 142
    assert len(catalogue.lab_items()) == 84
    assert len(catalogue.drugs()) == 126
    assert catalogue.drugs_search("para")[0].name == "Paracetamol"
    assert catalogue.successors("21010")[0].new_code == "21028"
    assert catalogue.communes_search("nghia lo")[0].code == "21028"
