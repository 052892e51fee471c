"""From a resource to its index rows. Pure; what a search asks is built with the same keys.

Left out on purpose: composite parameters and ``combo-*`` (they double others), ``:text``. A date, string or number row
carries the key of (type, parameter); an equality row the key of (type, parameter, value). Patients and practitioners
get trigrams of their names and a key in the Vietnamese order of names.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from benhan.base.json_door import JsonObject
from benhan.base.text import fold, name_sort_key, squeeze, trigrams
from benhan.fhir import IndexValue, SearchParam, extract
from benhan.store.hashing import key64, param32, system32

NAMED_TYPES = frozenset({"Patient", "Practitioner", "Person", "RelatedPerson"})
FIRST = datetime(1, 1, 1, tzinfo=UTC)
LAST = datetime(9999, 12, 31, tzinfo=UTC)
_HUGE = 1.7e308
_MAX_FOLDED = 400  # characters kept of a string; a B-tree row must stay below a third of a page


@dataclass
class IndexRows:
    """Index rows of one resource, as sets, so that two of them can be compared."""

    equal: set[tuple[int, int]] = field(default_factory=set)
    string: set[tuple[int, int, str]] = field(default_factory=set)
    trigram: set[int] = field(default_factory=set)
    date: set[tuple[int, datetime, datetime]] = field(default_factory=set)
    number: set[tuple[int, float, float]] = field(default_factory=set)
    present: set[int] = field(default_factory=set)

    def minus(self, other: IndexRows) -> IndexRows:
        """Rows that are here and not there."""
        return IndexRows(
            self.equal - other.equal,
            self.string - other.string,
            self.trigram - other.trigram,
            self.date - other.date,
            self.number - other.number,
            self.present,
        )


def rows_of(resource: JsonObject) -> IndexRows:
    """All index rows of a resource."""
    rows = IndexRows()
    resource_type = resource["resourceType"]
    for value in extract(resource, leave_out=_left_out):
        _add(rows, resource_type, value)
        rows.present.add(param32(value.param))
    if resource_type in NAMED_TYPES:
        for name in _names(resource):
            rows.trigram |= {key64(resource_type, "name", t) for t in trigrams(name)}
            rows.string.add((key64(resource_type, "name", ":sort"), 0, name_sort_key(name)[:_MAX_FOLDED]))
    return rows


def _left_out(param: SearchParam) -> bool:
    return bool(param.components) or param.name.startswith("combo-") or param.name in ("_id", "_lastUpdated")


def _add(rows: IndexRows, resource_type: str, value: IndexValue) -> None:
    param = value.param
    if value.kind == "token":
        if value.code is not None:
            rows.equal.add((key64(resource_type, param, value.code), system32(value.system)))
            if param == "identifier":
                rows.equal.add((key64(resource_type, param, ":any"), system32(value.system)))
    elif value.kind == "uri":
        rows.equal.add((key64(resource_type, param, value.value or ""), 0))
    elif value.kind == "reference":
        rows.equal.update(_reference_keys(resource_type, value))
    elif value.kind == "string":
        folded = (value.folded if value.folded is not None else fold(value.value or ""))[:_MAX_FOLDED]
        rows.string.add((key64(resource_type, param), key64(squeeze(value.value or "")), folded))
    elif value.kind == "date":
        rows.date.add((key64(resource_type, param), value.low or FIRST, value.high or LAST))
    else:
        rows.number.update(_number_rows(resource_type, value))


def _reference_keys(resource_type: str, value: IndexValue) -> Iterator[tuple[int, int]]:
    if value.target_type and value.target_id:
        yield key64(resource_type, value.param, f"{value.target_type}/{value.target_id}"), 0
    elif value.url:
        yield key64(resource_type, value.param, value.url), 0
    if value.code is not None:
        yield key64(resource_type, value.param, ":identifier", value.code), system32(value.system)


def _number_rows(resource_type: str, value: IndexValue) -> Iterator[tuple[int, float, float]]:
    low = -_HUGE if value.number_low is None else float(value.number_low)
    high = _HUGE if value.number_high is None else float(value.number_high)
    yield key64(resource_type, value.param), low, high
    for unit in {value.code, value.unit} - {None, ""}:
        yield key64(resource_type, value.param, str(unit)), low, high


def _names(resource: JsonObject) -> Iterator[str]:
    names = resource.get("name")
    for name in names if isinstance(names, list) else [names]:
        if isinstance(name, dict):
            parts = [name.get("family") or "", *(name.get("given") or [])]
            text = name.get("text") or " ".join(p for p in parts if p)
            if text:
                yield squeeze(text)
