"""Number and quantity parameters: ranges implied by the digits given (``72.5`` finds 72.45 up to 72.55)."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from benhan.fhir import number_range
from benhan.store.hashing import key64
from benhan.store.search.condition import (
    Values,
    alternatives,
    any_of,
    bad_modifier,
    bad_value,
    bars,
    split_prefix,
)

_TESTS = {
    "eq": "i.low >= {low} and i.high <= {high}",
    "ne": "(i.low < {low} or i.high > {high})",
    "gt": "i.high > {value} and i.low > {value} - ({high} - {low})",
    "lt": "i.low < {value} and i.high < {value} + ({high} - {low})",
    "ge": "i.high > {value}",
    "le": "i.low <= {value}",
    "sa": "i.low >= {value}",
    "eb": "i.high <= {value}",
    "ap": "i.low <= {high} and i.high >= {low}",
}


def number(values: Values, resource_type: str, param: str, modifier: str, value: str) -> str:
    """Condition of a number or quantity parameter: ``[prefix]number[|system|code]``; units are not converted."""
    if modifier:
        raise bad_modifier(param, modifier)
    parts = []
    for part in alternatives(value):
        prefix, rest = split_prefix(part)
        pieces = bars(rest)
        try:
            asked = Decimal(pieces[0])
            low, high = number_range(asked)
        except (InvalidOperation, ValueError):
            raise bad_value(param) from None
        if not asked.is_finite():
            raise bad_value(param)
        unit = pieces[-1] if len(pieces) > 1 else ""
        key = key64(resource_type, param, unit) if unit else key64(resource_type, param)
        if prefix == "ap":
            low, high = asked - abs(asked) / 10, asked + abs(asked) / 10
        parts.append(_row(values, key, prefix, float(asked), float(low), float(high)))
    return any_of(parts)


def _row(values: Values, key: int, prefix: str, asked: float, low: float, high: float) -> str:
    test = _TESTS[prefix].format(
        value=values.add(asked) + "::float8",
        low=values.add(low) + "::float8",
        high=values.add(high) + "::float8",
    )
    return (
        "exists (select from index_number i where i.tenant = %(tenant)s and i.rid = c.rid "
        f"and i.key = {values.add(key)}::bigint and {test})"
    )
