"""Judging a package by rules: each applies to the lines of its tables, and says where and what."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from benhan.gateways.bhyt.money import CENT
from benhan.gateways.bhyt.package import Package
from benhan.gateways.bhyt.rules.book import Rule
from benhan.gateways.bhyt.rules.expression import UNANSWERED
from benhan.gateways.bhyt.rules.finding import Finding
from benhan.gateways.bhyt.rules.lines import Case, Line

_TAG = re.compile(r"\{([A-Z][A-Z0-9_]*)\}")


def judge(package: Package, rules: Iterable[Rule], day: date) -> Iterator[Finding]:
    """Faults by the rules in force on ``day``, in the order of the rules."""
    case = Case(package, day)
    head: Mapping[str, Any] = case.head
    for rule in rules:
        if not rule.holds_on(day):
            continue
        for table in rule.tables:
            for line in case.lines[table]:
                case.line = line
                try:
                    if rule.applies is not None and rule.applies(line, head, case) is not True:
                        continue
                    if rule.condition is not None:
                        if rule.condition(line, head, case) is not True:
                            yield _fault(rule, line, _TAG.sub(_said(line), rule.text))
                    elif rule.expected is not None:
                        yield from _amount(rule, line, rule.expected(line, head, case))
                except UNANSWERED:
                    continue


def _said(line: Line) -> Callable[[re.Match[str]], str]:
    return lambda match: line.row.get(match.group(1))


def _amount(rule: Rule, line: Line, value: Any) -> Iterator[Finding]:
    if not isinstance(value, Decimal):
        return
    told = line[rule.fields[0]] or Decimal(0)
    if abs(told - value) > (Decimal(0) if rule.exact else CENT):
        counted = "cộng các dòng được" if rule.exact else "tính được"
        yield _fault(rule, line, f"ghi {line.row.get(rule.fields[0])}, {counted} {value}")


def _fault(rule: Rule, line: Line, text: str) -> Finding:
    if rule.place:
        return Finding(rule.severity, rule.code, rule.place, text, rule.id)
    field = next((f for f in rule.fields if line.row.get(f)), rule.fields[-1])
    return Finding(rule.severity, rule.code, f"{line.row.place}/{field}", text, rule.id)
