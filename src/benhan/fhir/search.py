"""Search parameters of each type, and the index values of a resource under them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from operator import attrgetter
from types import MappingProxyType
from typing import Any

from benhan.base.text import fold
from benhan.fhir.build_search import split_union
from benhan.fhir.index_values import MAKERS, Maker, Sink, nothing
from benhan.fhir.model import Component, IndexValue, SearchParam
from benhan.fhir.path import Closure, Scope, compile_path
from benhan.fhir.path_values import Nodes, resource_node
from benhan.fhir.plain_path import Finder, plain_path
from benhan.fhir.tables import CHOICES, ELEMENTS, load

JsonObject = dict[str, Any]
_NOTHING: Mapping[str, SearchParam] = MappingProxyType({})
_HEAD = re.compile(r"\(?[A-Z][A-Za-z]+\.([a-z][A-Za-z]*)(?![A-Za-z(])")
_CAST = re.compile(r"\.(?:as|ofType)\([A-Za-z]+\)|\s+as\s+[A-Za-z]+")
_UNGROUPED: Callable[[IndexValue], tuple[Any, ...]] = attrgetter(
    *(f.name for f in fields(IndexValue) if f.name != "group")
)
_fold = lru_cache(maxsize=65536)(fold)


@lru_cache(maxsize=256)
def search_params(resource_type: str) -> Mapping[str, SearchParam]:
    """Search parameters of a type by name, the common ones (``_id``, ``_lastUpdated`` …) included.

    An unknown type has none.
    """
    table = load("search")["params"].get(resource_type)
    if table is None:
        return _NOTHING
    return MappingProxyType({name: _param(name, entry) for name, entry in table.items()})


def _param(name: str, entry: JsonObject) -> SearchParam:
    return SearchParam(
        name,
        entry["type"],
        entry["expression"],
        frozenset(entry.get("target", ())),
        tuple(Component(c["code"], c["type"], c["expression"]) for c in entry.get("components", ())),
        entry["url"],
        bool(entry["expression"]) and entry["type"] != "special",
    )


@lru_cache(maxsize=4096)
def is_code(resource_type: str, name: str) -> bool:
    """Whether a token parameter looks at elements of type ``code`` alone, whose code system is not written out."""
    members = split_union(search_params(resource_type)[name].expression)
    return all(_type_at(member) == "code" for member in members)


@lru_cache(maxsize=4096)
def is_single(resource_type: str, name: str) -> bool:
    """Whether a date, number or quantity parameter has at most one value in a resource."""
    param = search_params(resource_type)[name]
    paths = {_CAST.sub("", member).strip("() ") for member in split_union(param.expression)}
    if len(paths) != 1 or param.type not in ("date", "number", "quantity"):
        return False
    kind, *keys = paths.pop().split(".")
    for key in keys:
        elements = ELEMENTS.get(kind, {})
        found = [elements[k] for k in CHOICES.get(kind, {}).get(key, [key]) if k in elements]
        if not found or any(many for _, many in found):
            return False
        kind = found[0][0]
    return True


def _type_at(path: str) -> str:
    """Type of the element at a plain path; empty for any other expression."""
    kind, *keys = path.split(".")
    for key in keys:
        kind = ELEMENTS.get(kind, {}).get(key, ("", False))[0]
    return kind


@lru_cache(maxsize=256)
def compartment_params(resource_type: str) -> tuple[str, ...]:
    """Parameters that put a resource of the type into the compartment of the patient they point to."""
    known = search_params(resource_type)
    return tuple(p for p in load("search")["compartment"].get(resource_type, ()) if p in known)


def extract(resource: JsonObject) -> list[IndexValue]:
    """All index values of a valid resource, under every parameter of its type, without repeats.

    Contained resources give none. See :class:`IndexValue` for the fields.
    """
    out: dict[IndexValue, None] = {}
    visit(resource, _values_of, out)
    return list(out)


SinkOf = Callable[[str, SearchParam], Sink | None]
Part = tuple[Closure, Maker, "ValueSink"]


@dataclass(frozen=True, slots=True)
class _Planned:
    """One parameter of a type: how its nodes are found and read, and who is told."""

    find: Finder | None
    closure: Closure
    make: Maker
    parts: tuple[Part, ...]
    sink: Sink


def visit(resource: JsonObject, sink_of: SinkOf, out: Any) -> None:
    """Tell sinks every value of a valid resource under the parameters of its type; ``out`` is passed on to them.

    ``sink_of``: a function of a module (plans are kept by it) that gives the sink of a parameter, or None to pass it by.
    """
    node = resource_node(resource)
    plan, places, always = _plan(node[0], sink_of)
    wanted = {place for key in resource for place in places.get(key, ())}
    wanted.update(always)
    scope: Scope | None = None
    for place in sorted(wanted):
        one = plan[place]
        if one.find is not None:
            nodes = one.find(resource)
        else:
            scope = scope or Scope(resource, resource, node, node)
            nodes = one.closure(scope, [node])
        if not nodes:
            continue
        if one.parts:
            scope = scope or Scope(resource, resource, node, node)
            _composite(one, scope, nodes, out)
        else:
            make, sink = one.make, one.sink
            for found in nodes:
                make(sink, out, found)


@lru_cache(maxsize=512)
def _plan(
    resource_type: str, sink_of: SinkOf
) -> tuple[tuple[_Planned, ...], dict[str, tuple[int, ...]], tuple[int, ...]]:
    """Compiled parameters; JSON key → those that have no value without it (or another key); those of unknown keys."""
    plan: list[_Planned] = []
    places: dict[str, list[int]] = {}
    always: list[int] = []
    for param in search_params(resource_type).values():
        sink = sink_of(resource_type, param) if param.extracted else None
        if sink is None:
            continue
        parts = tuple(
            (compile_path(c.expression), MAKERS[c.type], ValueSink(f"{param.name}${c.code}", c.type))
            for c in param.components
        )
        find = plain_path(param.expression, resource_type)
        heads = _heads(param.expression, resource_type)
        for head in heads:
            places.setdefault(head, []).append(len(plan))
        if not heads:
            always.append(len(plan))
        make = MAKERS.get(param.type, nothing)
        plan.append(_Planned(find, compile_path(param.expression), make, parts, sink))
    return tuple(plan), {key: tuple(found) for key, found in places.items()}, tuple(always)


def _heads(expression: str, resource_type: str) -> frozenset[str]:
    """Keys at the top of a resource where the members of a union begin."""
    out: set[str] = set()
    for member in split_union(expression):
        head = _HEAD.match(member)
        if head is None:
            return frozenset()
        name = head.group(1)
        keys = CHOICES.get(resource_type, {}).get(name, [name])
        out.update(keys)
        out.update("_" + key for key in keys)
    return frozenset(out)


def _composite(one: _Planned, scope: Scope, found: Nodes, out: Any) -> None:
    """Values of each group; a group in which a component has no value is left out."""
    group = 0
    for node in found:
        at = Scope(scope.resource, scope.root, node, node)
        rows: list[dict[IndexValue, None]] = []
        for closure, make, sink in reversed(one.parts):  # the value most often decides
            row: dict[IndexValue, None] = {}
            for chosen in closure(at, [node]):
                make(sink, row, chosen)
            if not row:
                break
            rows.append(row)
        else:
            one.sink.group(out, [_grouped(v, group) for row in reversed(rows) for v in row])
            group += 1


def _grouped(value: IndexValue, group: int) -> IndexValue:
    values: list[Any] = [*_UNGROUPED(value), group]
    return IndexValue(*values)


class ValueSink:
    """Keeps what it is told as :class:`IndexValue`, as the keys of a mapping."""

    def __init__(self, param: str, kind: str) -> None:
        self._param = param
        self._kind: Any = kind

    def token(
        self,
        out: dict[IndexValue, None],
        system: str | None,
        code: str | None,
        text: str | None,
        type_system: str | None = None,
        type_code: str | None = None,
    ) -> None:
        """A code with its folded text."""
        folded = _fold(text) if text else None
        out[IndexValue(self._param, "token", system, code, folded or None, type_system, type_code)] = None

    def string(self, out: dict[IndexValue, None], text: str) -> None:
        """The text and its folded form."""
        out[IndexValue(self._param, "string", value=text, folded=_fold(text))] = None

    def uri(self, out: dict[IndexValue, None], text: str) -> None:
        """The address as written."""
        out[IndexValue(self._param, "uri", value=text)] = None

    def reference(
        self,
        out: dict[IndexValue, None],
        system: str | None,
        code: str | None,
        target: tuple[str, str] | None,
        url: str | None,
    ) -> None:
        """A literal reference, a logical one, or both in one value."""
        kind, identity = target or (None, None)
        value = IndexValue(
            self._param,
            "reference",
            system=system,
            code=code,
            target_type=kind,
            target_id=identity,
            url=url,
        )
        out[value] = None

    def date(self, out: dict[IndexValue, None], low: datetime | None, high: datetime | None) -> None:
        """The range."""
        out[IndexValue(self._param, "date", low=low, high=high)] = None

    def amount(
        self,
        out: dict[IndexValue, None],
        unit: JsonObject,
        exact: Decimal | None,
        low: Decimal | None,
        high: Decimal | None,
    ) -> None:
        """A number, or a quantity with its unit."""
        value = IndexValue(
            self._param,
            self._kind,
            system=unit.get("system"),
            code=unit.get("code"),
            unit=unit.get("unit"),
            number=exact,
            number_low=low,
            number_high=high,
        )
        out[value] = None

    def group(self, out: dict[IndexValue, None], values: list[IndexValue]) -> None:
        """All of them."""
        out.update(dict.fromkeys(values))


def _values_of(resource_type: str, param: SearchParam) -> Sink:
    return ValueSink(param.name, param.type)
