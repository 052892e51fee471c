"""Date parameters: ranges against ranges, by the rules of FHIR R4 3.1.1.4.7 (search prefixes).

A stored value is the half-open range its precision stands for; a value without offset is of the Vietnamese calendar.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from benhan.base.clock import SYSTEM_CLOCK
from benhan.fhir import date_range
from benhan.store.hashing import key64
from benhan.store.indexing import FIRST, LAST
from benhan.store.search.condition import (
    Values,
    alternatives,
    any_of,
    bad_modifier,
    bad_value,
    has_row,
    split_prefix,
)

#: Prefix → test of a stored range ``[low, high)`` of a row ``i`` against the asked one; an index can use the first bound.
TESTS = {
    "eq": "{i}.low >= {low} and {i}.low < {high} and {i}.high <= {high}",
    "ne": "({i}.low < {low} or {i}.high > {high})",
    "gt": "{i}.high > {high}",
    "lt": "{i}.low < {low}",
    "ge": "{i}.high > {low} and ({i}.high > {high} or {i}.low >= {low})",
    "le": "{i}.low < {high} and ({i}.low < {low} or {i}.high <= {high})",
    "sa": "{i}.low >= {high}",
    "eb": "{i}.high <= {low}",
    "ap": "{i}.low < {high} and {i}.high > {low}",
}
_FROM_ABOVE = {"lt": "low", "le": "low", "eq": "low", "ap": "low", "eb": "high"}
_FROM_BELOW = {"ge": "high", "gt": "high", "ap": "high", "eq": "low", "sa": "low"}
_AT_TESTS = {
    "eq": "({at} >= {low} and {at} < {high})",
    "ne": "({at} < {low} or {at} >= {high})",
    "gt": "{at} >= {high}",
    "sa": "{at} >= {high}",
    "lt": "{at} < {low}",
    "eb": "{at} < {low}",
    "ge": "{at} >= {low}",
    "le": "{at} < {high}",
    "ap": "({at} >= {low} and {at} < {high})",
}


def date(
    values: Values, alias: str, resource_type: str, names: tuple[str, ...], modifier: str, value: str
) -> str:
    """Condition of a date parameter, whose rows lie under ``names``."""
    if modifier:
        raise bad_modifier(names[0], modifier)
    keys = values.add([key64(resource_type, name) for name in names])
    tests = date_tests(values, "i", names[0], value)
    return has_row("index_date", alias, f"i.key = any({keys}::bigint[]) and {tests}")


def date_tests(values: Values, i: str, param: str, value: str) -> str:
    """Tests of a value, alternatives and all, against a row ``i`` of the parameter."""
    tests = []
    for part in alternatives(value):
        prefix, (low, high) = _asked(param, part)
        tests.append(TESTS[prefix].format(i=i, low=_instant(values, low), high=_instant(values, high)))
    return any_of(tests)


def bounded_end(value: str, descending: bool) -> str:
    """Column that these values bound on the side where a sorted page begins, so that an index can begin there; or ''."""
    ends = _FROM_ABOVE if descending else _FROM_BELOW
    found = {ends.get(split_prefix(part)[0], "") for part in alternatives(value)}
    return found.pop() if len(found) == 1 else ""


def last_updated(values: Values, alias: str, modifier: str, value: str) -> str:
    """Condition of ``_lastUpdated``: the instant at which the version was appended."""
    if modifier:
        raise bad_modifier("_lastUpdated", modifier)
    tests = []
    for part in alternatives(value):
        prefix, (low, high) = _asked("_lastUpdated", part)
        bound = {"low": _instant(values, low), "high": _instant(values, high), "at": f"{alias}.at"}
        tests.append(_AT_TESTS[prefix].format(**bound))
    return any_of(tests)


def _instant(values: Values, at: datetime) -> str:
    return values.add(at) + "::timestamptz"


def _asked(param: str, part: str) -> tuple[str, tuple[datetime, datetime]]:
    prefix, text = split_prefix(part.strip().replace(" ", "+"))
    found = date_range(text)
    if found is None:
        raise bad_value(param)
    low, high = found[0] or FIRST, found[1] or LAST
    if prefix == "ap":
        middle = low + (high - low) / 2
        margin = abs(SYSTEM_CLOCK.now() - middle) / 10
        low, high = _moved(low, -margin), _moved(high, margin)
    return prefix, (low, high)


def _moved(at: datetime, by: timedelta) -> datetime:
    try:
        return min(max(at + by, FIRST), LAST)
    except OverflowError:
        return FIRST if by.days < 0 else LAST
