"""From a resource to its index rows. Pure; what a search asks is built with the same keys.

A date, string or number row carries the key of (type, parameter); an equality row the key of (type, parameter, value);
a reference row the hashes of type and parameter, and of its target. What has no rows of its own:
:mod:`benhan.store.shapes`. Patients and practitioners get trigrams of their names and a key in the Vietnamese order of
names.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal

from benhan.base.json_door import JsonObject
from benhan.base.text import fold, name_sort_key, squeeze, trigrams
from benhan.fhir import UCUM, IndexValue, extract, ucum_unit
from benhan.store.hashing import key64, param32, ref64, system32
from benhan.store.shapes import literal_of, without_rows

NAMED_TYPES = frozenset({"Patient", "Practitioner", "Person", "RelatedPerson"})
FIRST = datetime(1, 1, 1, tzinfo=UTC)
LAST = datetime(9999, 12, 31, tzinfo=UTC)
_HUGE = 1.7e308
MAX_FOLDED = 400  # characters kept of a string; a B-tree row must stay below a third of a page


@dataclass
class IndexRows:
    """Index rows of one resource, as sets, so that two of them can be compared."""

    equal: set[tuple[int, int]] = field(default_factory=set)
    string: set[tuple[int, int, str]] = field(default_factory=set)
    trigram: set[int] = field(default_factory=set)
    date: set[tuple[int, datetime, datetime]] = field(default_factory=set)
    number: set[tuple[int, float, float]] = field(default_factory=set)
    reference: set[tuple[int, int]] = field(default_factory=set)
    group: set[tuple[int, int, int, float, float]] = field(default_factory=set)
    present: set[int] = field(default_factory=set)

    def minus(self, other: IndexRows) -> IndexRows:
        """Rows that are here and not there."""
        return IndexRows(
            self.equal - other.equal,
            self.string - other.string,
            self.trigram - other.trigram,
            self.date - other.date,
            self.number - other.number,
            self.reference - other.reference,
            self.group - other.group,
            self.present,
        )


def rows_of(resource: JsonObject) -> IndexRows:
    """All index rows of a resource."""
    rows = IndexRows()
    resource_type = resource["resourceType"]
    for value in extract(resource, leave_out=without_rows):
        if value.group is None:
            _add(rows, resource_type, value)
            rows.present.add(param32(value.param))
        else:
            rows.group.update(_group_rows(resource_type, value))
    if resource_type in NAMED_TYPES:
        for place, name in enumerate(_names(resource)):
            rows.trigram |= {key64(resource_type, "name", t) for t in trigrams(name)}
            if place == 0:  # people are sorted by the name that stands first
                rows.string.add((key64(resource_type, "name", ":sort"), 0, name_sort_key(name)[:MAX_FOLDED]))
    return rows


def _add(rows: IndexRows, resource_type: str, value: IndexValue) -> None:
    param = value.param
    if value.kind == "token":
        rows.equal.update(_token_keys(resource_type, value))
    elif value.kind == "uri":
        text = value.value or ""
        rows.equal.add((key64(resource_type, param, text), 0))
        rows.string.add((key64(resource_type, param), key64(text), text[:MAX_FOLDED]))
    elif value.kind == "reference":
        name, of_type = literal_of(resource_type, param)
        if name == param or value.target_type != of_type:
            rows.reference.update((param32(f"{resource_type}.{param}"), ref64(t)) for t in targets_of(value))
        if value.code is not None:
            rows.equal.add((key64(resource_type, param, ":identifier", value.code), system32(value.system)))
    elif value.kind == "string":
        folded = (value.folded if value.folded is not None else fold(value.value or ""))[:MAX_FOLDED]
        rows.string.add((key64(resource_type, param), key64(squeeze(value.value or "")), folded))
    elif value.kind == "date":
        rows.date.add((key64(resource_type, param), value.low or FIRST, value.high or LAST))
    else:
        rows.number.update(_number_rows(resource_type, value))


def _token_keys(resource_type: str, value: IndexValue) -> Iterator[tuple[int, int]]:
    if value.code is None:
        return
    param = value.param
    yield key64(resource_type, param, value.code), system32(value.system)
    if param == "identifier":
        yield key64(resource_type, param, ":any"), system32(value.system)
    if value.type_code is not None:
        key = key64(resource_type, param, ":of-type", value.type_code, value.code)
        yield key, system32(value.type_system)


def targets_of(value: IndexValue) -> Iterator[str]:
    """Texts whose hashes stand for the target: ``Type/id``, or an address with and without its version."""
    if value.target_type and value.target_id:
        yield f"{value.target_type}/{value.target_id}"
    elif value.url:
        yield value.url
        plain, bar, _ = value.url.partition("|")
        if bar:
            yield plain


def _number_rows(resource_type: str, value: IndexValue) -> Iterator[tuple[int, float, float]]:
    """Rows for the bare number, for its unit as written, and for its amount in base units (UCUM) or in its own system."""
    low, high = bounds_of(value)
    yield key64(resource_type, value.param), _float(low, -_HUGE), _float(high, _HUGE)
    for unit in {value.code, value.unit} - {None, ""}:
        yield key64(resource_type, value.param, str(unit)), _float(low, -_HUGE), _float(high, _HUGE)
    if value.system and value.code:
        key, low, high = in_base((resource_type, value.param), value.system, value.code, low, high)
        yield key, _float(low, -_HUGE), _float(high, _HUGE)


def bounds_of(value: IndexValue) -> tuple[Decimal | None, Decimal | None]:
    """Closed range of a stored number: a point, but for ranges and for numbers with a comparator."""
    if value.number is not None and value.number_low is not None and value.number_high is not None:
        return value.number, value.number
    return value.number_low, value.number_high


def in_base(
    place: tuple[str, ...], system: str, code: str, low: Decimal | None, high: Decimal | None
) -> tuple[int, Decimal | None, Decimal | None]:
    """Key and range of an amount with a unit: in base units where the unit is of UCUM and known, else as it stands."""
    unit = ucum_unit(code) if system == UCUM else None
    if unit is None:
        return key64(*place, ":unit", system, code), low, high
    low, high = (None if bound is None else unit.base(bound) for bound in (low, high))
    return key64(*place, ":base", unit.dimension), low, high


def _float(bound: Decimal | None, none: float) -> float:
    return none if bound is None else max(-_HUGE, min(_HUGE, float(bound)))


def _group_rows(resource_type: str, value: IndexValue) -> Iterator[tuple[int, int, int, float, float]]:
    """Rows of one component of a composite: ``(key, group, system, low, high)``; ``param`` is ``composite$component``."""
    group = value.group or 0
    if value.kind == "token":
        for key, system in _token_keys(resource_type, value):
            yield key, group, system, 0.0, 0.0
    elif value.kind == "reference":
        for target in targets_of(value):
            yield key64(resource_type, value.param, target), group, 0, 0.0, 0.0
    else:
        for key, low, high in _number_rows(resource_type, value):
            yield key, group, 0, low, high


def _names(resource: JsonObject) -> Iterator[str]:
    names = resource.get("name")
    for name in names if isinstance(names, list) else [names]:
        if isinstance(name, dict):
            parts = [name.get("family") or "", *(name.get("given") or [])]
            text = name.get("text") or " ".join(p for p in parts if p)
            if text:
                yield squeeze(text)
