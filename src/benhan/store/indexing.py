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
from functools import lru_cache

from benhan.base.json_door import JsonObject
from benhan.base.text import fold, name_sort_key, squeeze, trigrams
from benhan.fhir import UCUM, IndexValue, SearchParam, Sink, ucum_unit, visit
from benhan.store.hashing import key64, param32, ref64, system32
from benhan.store.shapes import literal_of, without_rows

NAMED_TYPES = frozenset({"Patient", "Practitioner", "Person", "RelatedPerson"})
FIRST = datetime(1, 1, 1, tzinfo=UTC)
LAST = datetime(9999, 12, 31, tzinfo=UTC)
_HUGE = 1.7e308
_fold = lru_cache(maxsize=65536)(fold)
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
    visit(resource, _sink_of, rows)
    if resource_type in NAMED_TYPES:
        for place, name in enumerate(_names(resource)):
            rows.trigram |= {key64(resource_type, "name", t) for t in trigrams(name)}
            if place == 0:  # people are sorted by the name that stands first
                rows.string.add((key64(resource_type, "name", ":sort"), 0, name_sort_key(name)[:MAX_FOLDED]))
    return rows


def _sink_of(resource_type: str, param: SearchParam) -> Sink | None:
    return None if without_rows(param) else RowSink(resource_type, param.name)


class RowSink:
    """Makes index rows of the values of one parameter of a type, and notes that it has one."""

    def __init__(self, resource_type: str, param: str) -> None:
        self._type = resource_type
        self._param = param
        self._key = key64(resource_type, param)
        self._present = param32(param)
        self._reference = param32(f"{resource_type}.{param}")
        name, self._elsewhere = literal_of(resource_type, param)
        self._own = name == param
        self._identifier = param == "identifier"

    def token(
        self,
        out: IndexRows,
        system: str | None,
        code: str | None,
        text: str | None,
        type_system: str | None = None,
        type_code: str | None = None,
    ) -> None:
        """The code with its system; an identifier also by its system alone and by its type."""
        out.present.add(self._present)
        if code is None:
            return
        hashed = system32(system)
        out.equal.add((key64(self._type, self._param, code), hashed))
        if self._identifier:
            out.equal.add((key64(self._type, self._param, ":any"), hashed))
        if type_code is not None:
            key = key64(self._type, self._param, ":of-type", type_code, code)
            out.equal.add((key, system32(type_system)))

    def string(self, out: IndexRows, text: str) -> None:
        """The folded text, and the hash of the text as written."""
        out.present.add(self._present)
        out.string.add((self._key, key64(squeeze(text)), _fold(text)[:MAX_FOLDED]))

    def uri(self, out: IndexRows, text: str) -> None:
        """The address as a code and as a string."""
        out.present.add(self._present)
        out.equal.add((key64(self._type, self._param, text), 0))
        out.string.add((self._key, key64(text), text[:MAX_FOLDED]))

    def reference(
        self,
        out: IndexRows,
        system: str | None,
        code: str | None,
        target: tuple[str, str] | None,
        url: str | None,
    ) -> None:
        """The target, unless another parameter's row holds it; the identifier as a code."""
        out.present.add(self._present)
        if self._own or (target[0] if target else None) != self._elsewhere:
            for name in targets_of(target, url):
                out.reference.add((self._reference, ref64(name)))
        if code is not None:
            out.equal.add((key64(self._type, self._param, ":identifier", code), system32(system)))

    def date(self, out: IndexRows, low: datetime | None, high: datetime | None) -> None:
        """The range."""
        out.present.add(self._present)
        out.date.add((self._key, low or FIRST, high or LAST))

    def amount(
        self,
        out: IndexRows,
        unit: JsonObject,
        exact: Decimal | None,
        low: Decimal | None,
        high: Decimal | None,
    ) -> None:
        """The bare number, with its unit as written, and in base units."""
        out.present.add(self._present)
        out.number.update(_number_rows(self._type, self._param, unit, *_point(exact, low, high)))

    def group(self, out: IndexRows, values: list[IndexValue]) -> None:
        """Rows of the components of one group of a composite: ``(key, group, system, low, high)``."""
        for value in values:
            out.group.update(_group_rows(self._type, value))


def targets_of(target: tuple[str, str] | None, url: str | None) -> Iterator[str]:
    """Texts whose hashes stand for the target: ``Type/id``, or an address with and without its version."""
    if target:
        yield f"{target[0]}/{target[1]}"
    elif url:
        yield url
        plain, bar, _ = url.partition("|")
        if bar:
            yield plain


def _number_rows(
    resource_type: str, param: str, unit: JsonObject, low: Decimal | None, high: Decimal | None
) -> Iterator[tuple[int, float, float]]:
    """Rows for the bare number, for its unit as written, and for its amount in base units (UCUM) or in its own system."""
    bottom, top = _float(low, -_HUGE), _float(high, _HUGE)
    yield key64(resource_type, param), bottom, top
    code, written = unit.get("code"), unit.get("unit")
    if code:
        yield key64(resource_type, param, str(code)), bottom, top
    if written and written != code:
        yield key64(resource_type, param, str(written)), bottom, top
    system = unit.get("system")
    if system and code:
        key, low, high = in_base((resource_type, param), system, code, low, high)
        yield key, _float(low, -_HUGE), _float(high, _HUGE)


def _point(
    exact: Decimal | None, low: Decimal | None, high: Decimal | None
) -> tuple[Decimal | None, Decimal | None]:
    return (exact, exact) if exact is not None and low is not None and high is not None else (low, high)


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
    """Rows of one component of a composite; ``param`` is ``composite$component``."""
    group = value.group or 0
    if value.kind == "token":
        if value.code is not None:
            yield key64(resource_type, value.param, value.code), group, system32(value.system), 0.0, 0.0
    elif value.kind == "reference":
        target = (value.target_type, value.target_id) if value.target_type and value.target_id else None
        for name in targets_of(target, value.url):
            yield key64(resource_type, value.param, name), group, 0, 0.0, 0.0
    else:
        unit = {"system": value.system, "code": value.code, "unit": value.unit}
        low, high = _point(value.number, value.number_low, value.number_high)
        for key, bottom, top in _number_rows(resource_type, value.param, unit, low, high):
            yield key, group, 0, bottom, top


def _names(resource: JsonObject) -> Iterator[str]:
    names = resource.get("name")
    for name in names if isinstance(names, list) else [names]:
        if isinstance(name, dict):
            parts = [name.get("family") or "", *(name.get("given") or [])]
            text = name.get("text") or " ".join(p for p in parts if p)
            if text:
                yield squeeze(text)
