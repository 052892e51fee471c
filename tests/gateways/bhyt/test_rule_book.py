"""Rules as data: each has an example it lets through and one it stops; the language reaches nothing but the claim."""

from __future__ import annotations

from datetime import date

import pytest

from benhan.base.errors import InvalidInput
from benhan.gateways.bhyt.package import Package, make_row
from benhan.gateways.bhyt.rules import Rule, judge, read_rules, shipped_rules
from benhan.gateways.bhyt.rules.book import Example
from benhan.gateways.bhyt.structure import field_rules
from benhan.gateways.bhyt.values import day_of

TODAY = date(2026, 8, 5)


def _package(example: Example) -> Package:
    rows = {
        table: tuple(make_row(table, number, line) for number, line in enumerate(lines, 1))
        for table, lines in example.items()
    }
    return Package("51001", "20260805", rows)


def _day(rule: Rule, example: Example) -> date:
    left = day_of(next(iter(example.get("XML1", ({},)))).get("NGAY_RA", ""))
    return left or min(max(TODAY, rule.first), rule.last)


@pytest.mark.parametrize("rule", shipped_rules(), ids=lambda r: r.id)
def test_each_rule_lets_its_good_example_through_and_stops_its_bad_one(rule: Rule) -> None:
    assert list(judge(_package(rule.good), [rule], _day(rule, rule.good))) == []
    (found, *_) = judge(_package(rule.bad), [rule], _day(rule, rule.bad))
    assert (found.rule, found.code, found.severity) == (rule.id, rule.code, rule.severity)
    assert found.text, "a fault has a sentence"
    assert "{" not in found.text, "the sentence says what the line says"


def test_the_book_is_large_and_every_rule_names_its_source() -> None:
    ids = [r.id for r in shipped_rules()] + [r.id for r in field_rules(TODAY)]
    assert len(ids) == len(set(ids)) > 1000
    assert all(r.source for r in shipped_rules())
    assert all(r.severity == "warning" for r in shipped_rules() if r.confidence != "high")


def test_rules_hold_by_the_day_of_leaving() -> None:
    old, new = (next(r for r in shipped_rules() if r.id == i) for i in ("ICD-CHINH-CO", "ICD-CHINH-CU"))
    head = {"XML1": ({"MA_BENH_CHINH": "Q99.99"},)}
    june = [f.rule for f in judge(_package(head), [old, new], date(2026, 6, 30))]
    july = [f.rule for f in judge(_package(head), [old, new], date(2026, 7, 1))]
    assert (june, july) == (["ICD-CHINH-CO"], ["ICD-CHINH-CU"])


RULE = """rules:
  - {{id: R1, code: own, table: XML2, field: SO_LUONG, {condition}, text: t, source: s, good: {{}}, bad: {{}}}}
"""


@pytest.mark.parametrize(
    "condition",
    [
        "must: __import__('os').system('true')",
        "must: SO_LUONG.__class__",
        "must: (lambda: 1)()",
        "must: open('x')",
        "must: line['SO_LUONG']",
        "must: '[x for x in XML3]'",
        "must: any(l.real for l in XML3)",
        "must: KHONG_CO > 1",
        "must: SO_LUONG >",
        "must: 'any(head.X for head in XML3)'",
        "value: SO_LUONG, must: SO_LUONG > 0",
    ],
)
def test_what_is_no_condition_is_refused_with_the_rule_named(condition: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        read_rules(RULE.format(condition=condition), "riêng.yaml")
    assert refused.value.code == "bhyt.rule-file"
    assert "R1" in refused.value.text


def test_an_empty_value_is_no_fault_of_a_comparison() -> None:
    """The structure rule says that it is missing; one fault is not told twice."""
    (rule,) = read_rules(RULE.format(condition="must: SO_LUONG < DON_GIA"), "riêng.yaml")
    assert list(judge(_package({"XML2": ({"SO_LUONG": "3"},)}), [rule], TODAY)) == []
    (found,) = judge(_package({"XML2": ({"SO_LUONG": "3", "DON_GIA": "2"},)}), [rule], TODAY)
    assert found.place == "XML2/dòng 1/SO_LUONG"
