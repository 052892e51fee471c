"""Number and quantity parameters: ranges implied by the digits given (``72.5`` finds 72.45 up to 72.55).

A stored number is a point; a Range and a Quantity with comparator are ranges, closed at both ends. After ``gt``, ``lt``,
``ge``, ``le``, ``sa``, ``eb`` the number asked is exact (FHIR R4 3.1.1.4.6).
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from benhan.fhir import number_range
from benhan.store.hashing import key64
from benhan.store.indexing import in_base
from benhan.store.search.condition import (
    Values,
    alternatives,
    any_of,
    bad_modifier,
    bad_value,
    bars,
    has_row,
    split_prefix,
    unescape,
)

_TESTS = {
    "eq": "{i}.low >= {low} and {i}.low < {high} and {i}.high < {high}",
    "ne": "({i}.low < {low} or {i}.high >= {high})",
    "gt": "{i}.high > {value}",
    "lt": "{i}.low < {value}",
    "ge": "{i}.high >= {value}",
    "le": "{i}.low <= {value}",
    "sa": "{i}.low > {value}",
    "eb": "{i}.high < {value}",
    "ap": "{i}.low <= {high} and {i}.high >= {low}",
}
_LONGEST = 60


def number(
    values: Values, alias: str, resource_type: str, names: tuple[str, ...], modifier: str, value: str
) -> str:
    """Condition of a number or quantity parameter, whose rows lie under ``names``."""
    if modifier:
        raise bad_modifier(names[0], modifier)
    tests = [
        number_test(values, "i", (resource_type, name), part)
        for part in alternatives(value)
        for name in names
    ]
    return has_row("index_number", alias, any_of(tests))


def number_test(values: Values, i: str, place: tuple[str, str], part: str) -> str:
    """Test of one value ``[prefix]number[|system|code]`` against a row ``i`` of ``place`` (type, parameter)."""
    prefix, rest = split_prefix(part.strip())
    pieces = bars(rest)
    asked, low, high = _range(place[1], prefix, pieces[0])
    key = key64(*place)
    if len(pieces) > 1 and any(pieces[1:]):
        if len(pieces) > 3 or not pieces[-1]:
            raise bad_value(place[1])
        system, code = pieces[1] if len(pieces) == 3 else "", pieces[-1]
        if system:
            key, low_base, high_base = in_base(place, system, code, low, high)
            asked_base = in_base(place, system, code, asked, asked)[1]
            low, high, asked = low_base or low * 0, high_base or high * 0, asked_base or asked * 0
        else:
            key = key64(*place, code)
    test = _TESTS[prefix].format(
        i=i,
        value=values.add(float(asked)) + "::float8",
        low=values.add(float(low)) + "::float8",
        high=values.add(float(high)) + "::float8",
    )
    return f"({i}.key = {values.add(key)}::bigint and {test})"


def _range(param: str, prefix: str, text: str) -> tuple[Decimal, Decimal, Decimal]:
    """The number asked and the range it stands for under the prefix."""
    try:
        asked = Decimal(unescape(text))
        if len(text) > _LONGEST or not asked.is_finite() or abs(asked.adjusted()) > 300:
            raise bad_value(param)
        low, high = number_range(asked)
    except (InvalidOperation, ValueError):
        raise bad_value(param) from None
    if prefix == "ap":
        low, high = asked - abs(asked) / 10, asked + abs(asked) / 10
    return asked, low, high
