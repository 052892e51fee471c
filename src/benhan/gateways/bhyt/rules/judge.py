"""Judging a package by rules: each applies to the lines of its tables, and says where and what."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from benhan.gateways.bhyt.money import CENT
from benhan.gateways.bhyt.package import Package
from benhan.gateways.bhyt.rules.book import Rule
from benhan.gateways.bhyt.rules.expression import UNKNOWN, evaluate
from benhan.gateways.bhyt.rules.finding import Finding
from benhan.gateways.bhyt.rules.lines import Case, Line

_TAG = re.compile(r"\{([A-Z][A-Z0-9_]*)\}")


def judge(package: Package, rules: Iterable[Rule], day: date) -> Iterator[Finding]:
    """Faults by the rules in force on ``day``, in the order of the rules."""
    case = Case(package, day)
    for rule in rules:
        if not rule.holds_on(day):
            continue
        for table in rule.tables:
            for line in case.lines[table]:
                yield from _line(rule, line, case)


def _line(rule: Rule, line: Line, case: Case) -> Iterator[Finding]:
    case.line = line
    head: Mapping[str, Any] = case.head
    if rule.applies is not None and evaluate(rule.applies, line, head, case) is not True:
        return
    if rule.condition is not None:
        kept = evaluate(rule.condition, line, head, case)
        if kept is True or kept is UNKNOWN:
            return
        yield _fault(rule, line, _TAG.sub(lambda m: line.row.get(m.group(1)), rule.text))
    elif rule.expected is not None:
        value = evaluate(rule.expected, line, head, case)
        if not isinstance(value, Decimal):
            return
        told = line[rule.fields[0]] or Decimal(0)
        if abs(told - value) > (Decimal(0) if rule.exact else CENT):
            counted = "cộng các dòng được" if rule.exact else "tính được"
            text = f"ghi {line.row.get(rule.fields[0])}, {counted} {value}"
            yield _fault(rule, line, text)


def _fault(rule: Rule, line: Line, text: str) -> Finding:
    if rule.place:
        return Finding(rule.severity, rule.code, rule.place, text, rule.id)
    field = next((f for f in rule.fields if line.row.get(f)), rule.fields[-1])
    return Finding(rule.severity, rule.code, f"{line.row.place}/{field}", text, rule.id)
