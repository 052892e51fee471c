"""Search parameters of each type, and the index values of a resource under them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from decimal import Decimal
from functools import lru_cache
from operator import attrgetter
from types import MappingProxyType
from typing import Any

from benhan.base.text import fold, nfc
from benhan.fhir.build_search import split_union
from benhan.fhir.dates import date_range
from benhan.fhir.model import Component, IndexValue, SearchParam
from benhan.fhir.path import Closure, Scope, compile_path, split_reference
from benhan.fhir.path_values import Node, Nodes, resource_node
from benhan.fhir.tables import CHOICES, ELEMENTS, RESOURCE_TYPES, load

JsonObject = dict[str, Any]
_CURRENCY = "urn:iso:std:iso:4217"
_NOTHING: Mapping[str, SearchParam] = MappingProxyType({})
_HEAD = re.compile(r"\(?[A-Z][A-Za-z]+\.([a-z][A-Za-z]*)(?![A-Za-z(])")
_CAST = re.compile(r"\.(?:as|ofType)\([A-Za-z]+\)|\s+as\s+[A-Za-z]+")
_HALF = Decimal("0.5")
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


def extract(
    resource: JsonObject, *, leave_out: Callable[[SearchParam], bool] | None = None
) -> list[IndexValue]:
    """All index values of a valid resource, under every parameter of its type, without repeats.

    Contained resources give none. See :class:`IndexValue` for the fields. Parameters that ``leave_out`` (a function of
    a module: plans are kept by it) says yes to are not looked at.
    """
    node = resource_node(resource)
    scope = Scope(resource, resource, node, node)
    start = [node]
    out: dict[IndexValue, None] = {}
    present = resource.keys()
    for name, closure, make, parts, heads in _plan(node[0], leave_out):
        if heads and heads.isdisjoint(present):
            continue
        found = closure(scope, start)
        if not found:
            continue
        if parts:
            out.update(dict.fromkeys(_composite(name, scope, found, parts)))
        else:
            for one in found:
                for value in make(name, one):
                    out[value] = None
    return list(out)


Maker = Callable[[str, Node], Iterator[IndexValue]]
Part = tuple[str, Closure, Maker]


@lru_cache(maxsize=256)
def _plan(
    resource_type: str, leave_out: Callable[[SearchParam], bool] | None = None
) -> tuple[tuple[str, Closure, Maker, tuple[Part, ...], frozenset[str]], ...]:
    """Compiled parameters, each with the JSON keys without which it has no value (empty: unknown)."""
    plan = []
    for param in search_params(resource_type).values():
        if param.extracted and not (leave_out and leave_out(param)):
            parts = tuple(
                (f"{param.name}${c.code}", compile_path(c.expression), MAKERS[c.type])
                for c in param.components
            )
            heads = _heads(param.expression, resource_type)
            make = MAKERS.get(param.type, _none)
            plan.append((param.name, compile_path(param.expression), make, parts, heads))
    return tuple(plan)


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


def _composite(name: str, scope: Scope, found: Nodes, parts: tuple[Part, ...]) -> Iterator[IndexValue]:
    """Rows of each group; a group in which a component has no value is left out."""
    group = 0
    for node in found:
        at = Scope(scope.resource, scope.root, node, node)
        nodes = [closure(at, [node]) for _, closure, _ in reversed(parts)]
        if not all(nodes):
            continue
        rows = [
            [value for one in chosen for value in make(label, one)]
            for (label, _, make), chosen in zip(parts, reversed(nodes), strict=True)
        ]
        if all(rows):
            for row in rows:
                for value in row:
                    yield _grouped(value, group)
            group += 1


def _grouped(value: IndexValue, group: int) -> IndexValue:
    values: list[Any] = [*_UNGROUPED(value), group]
    return IndexValue(*values)


def _none(param: str, node: Node) -> Iterator[IndexValue]:
    return iter(())


# -- token ----------------------------------------------------------------------------------------------


def _token(param: str, node: Node) -> Iterator[IndexValue]:
    kind, value, _ = node
    if isinstance(value, bool):
        yield IndexValue(param, "token", code="true" if value else "false")
    elif isinstance(value, str):
        yield IndexValue(param, "token", code=nfc(value))
    elif isinstance(value, int | Decimal):
        yield IndexValue(param, "token", code=str(value))
    elif isinstance(value, dict):
        yield from _token_of(param, kind, value)


def _token_of(param: str, kind: str, value: JsonObject) -> Iterator[IndexValue]:
    if kind == "CodeableConcept":
        for coding in value.get("coding", ()):
            yield from _coding(param, coding)
        if value.get("text"):
            yield IndexValue(param, "token", text=_fold(value["text"]))
    elif kind == "Coding":
        yield from _coding(param, value)
    elif kind == "Identifier":
        yield from _identifier(param, value)
    elif kind == "ContactPoint":
        if "value" in value:
            yield IndexValue(param, "token", code=nfc(value["value"]))
    elif kind in ("Quantity", "SimpleQuantity", "Money"):
        code = value.get("code") or value.get("currency")
        if code:
            yield IndexValue(param, "token", system=value.get("system"), code=code)


def _coding(param: str, coding: JsonObject) -> Iterator[IndexValue]:
    display = coding.get("display")
    text = _fold(display) if display else None
    if "code" in coding or text:
        yield IndexValue(param, "token", system=coding.get("system"), code=coding.get("code"), text=text)


def _identifier(param: str, value: JsonObject) -> Iterator[IndexValue]:
    if "value" not in value and "system" not in value:
        return
    kinds: list[JsonObject] = value.get("type", {}).get("coding") or [{}]
    text = _fold(value.get("type", {}).get("text", "")) or None
    for kind in kinds:
        yield IndexValue(
            param,
            "token",
            system=value.get("system"),
            code=nfc(value["value"]) if "value" in value else None,
            text=text,
            type_system=kind.get("system"),
            type_code=kind.get("code"),
        )


# -- string and uri -------------------------------------------------------------------------------------

_NAME_PARTS = ("text", "family", "given", "prefix", "suffix")
_ADDRESS_PARTS = ("text", "line", "city", "district", "state", "postalCode", "country")


def _string(param: str, node: Node) -> Iterator[IndexValue]:
    kind, value, _ = node
    if isinstance(value, str):
        yield _words(param, value)
    elif isinstance(value, dict):
        for part in _parts(kind, value):
            yield _words(param, part)


def _words(param: str, value: str) -> IndexValue:
    text = nfc(value)
    return IndexValue(param, "string", value=text, folded=_fold(text))


def _parts(kind: str, value: JsonObject) -> Iterator[str]:
    """Strings inside a name, an address or a concept; a name also whole, family name first."""
    if kind == "HumanName":
        yield from _texts(value, _NAME_PARTS)
        whole = " ".join(_texts(value, ("family", "given")))
        if whole and " " in whole:
            yield whole
    elif kind == "Address":
        yield from _texts(value, _ADDRESS_PARTS)
    elif kind == "CodeableConcept":
        yield from _texts(value, ("text",))
        for coding in value.get("coding", ()):
            yield from _texts(coding, ("display",))
    else:
        yield from _texts(value, ("text", "display", "value"))


def _texts(value: JsonObject, names: tuple[str, ...]) -> Iterator[str]:
    for name in names:
        found = value.get(name)
        for one in found if isinstance(found, list) else (found,):
            if isinstance(one, str):
                yield one


def _uri(param: str, node: Node) -> Iterator[IndexValue]:
    if isinstance(node[1], str):
        yield IndexValue(param, "uri", value=node[1])


# -- reference ------------------------------------------------------------------------------------------


def _reference(param: str, node: Node) -> Iterator[IndexValue]:
    kind, value, _ = node
    if isinstance(value, str):
        yield from _literal(param, value, None, None)
    elif kind in RESOURCE_TYPES and isinstance(value, dict):
        if "id" in value:
            yield IndexValue(
                param, "reference", target_type=kind, target_id=value["id"], url=f"{kind}/{value['id']}"
            )
    elif isinstance(value, dict):
        identifier = value.get("identifier", {})
        system, code = identifier.get("system"), identifier.get("value")
        yield from _literal(param, value.get("reference"), system, code)


def _literal(param: str, text: str | None, system: str | None, code: str | None) -> Iterator[IndexValue]:
    if text and text.startswith("#"):
        text = None
    if text is None and code is None:
        return
    target = split_reference(text) if text else None
    yield IndexValue(
        param,
        "reference",
        system=system,
        code=code,
        target_type=target[0] if target else None,
        target_id=target[1] if target else None,
        url=text,
    )


# -- date, number, quantity -----------------------------------------------------------------------------


def _date(param: str, node: Node) -> Iterator[IndexValue]:
    kind, value, _ = node
    if isinstance(value, str):
        found = date_range(value)
        if found is not None:
            yield IndexValue(param, "date", low=found[0], high=found[1])
    elif kind == "Period":
        yield from _period(param, value)
    elif kind == "Timing":
        yield from _timing(param, value)


def _timing(param: str, value: JsonObject) -> Iterator[IndexValue]:
    """The outer limits; what is scheduled between them does not matter (FHIR R4 3.1.1.4.7)."""
    ranges = [found for event in value.get("event", ()) if event and (found := date_range(event))]
    bounds = value.get("repeat", {}).get("boundsPeriod", {})
    ranges += [(v.low, v.high) for v in _period(param, bounds)]
    if ranges:
        lows, highs = [low for low, _ in ranges if low], [high for _, high in ranges if high]
        low = min(lows) if len(lows) == len(ranges) else None
        yield IndexValue(param, "date", low=low, high=max(highs) if len(highs) == len(ranges) else None)


def _period(param: str, value: JsonObject) -> Iterator[IndexValue]:
    start = date_range(value["start"]) if "start" in value else None
    end = date_range(value["end"]) if "end" in value else None
    if start is not None or end is not None:
        yield IndexValue(param, "date", low=start[0] if start else None, high=end[1] if end else None)


def number_range(value: int | Decimal) -> tuple[Decimal, Decimal]:
    """Implicit range ``[low, high)`` of a number by its digits (72.50 → 72.495 … 72.505)."""
    number = Decimal(value)
    exponent = number.as_tuple().exponent
    half = _HALF.scaleb(exponent) if isinstance(exponent, int) else _HALF
    return number - half, number + half


def _number(param: str, node: Node) -> Iterator[IndexValue]:
    value = node[1]
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        low, high = number_range(value)
        yield IndexValue(param, "number", number=Decimal(value), number_low=low, number_high=high)


def _quantity(param: str, node: Node) -> Iterator[IndexValue]:
    kind, value, _ = node
    if not isinstance(value, dict):
        return
    if kind == "Range":
        yield from _range(param, value)
    elif kind == "Money":
        if "value" in value:
            low, high = number_range(value["value"])
            yield _amount(
                param,
                Decimal(value["value"]),
                low,
                high,
                {"system": _CURRENCY, "code": value.get("currency")},
            )
    elif "value" in value:
        yield _compared(param, value)


def _compared(param: str, value: JsonObject) -> IndexValue:
    low: Decimal | None
    high: Decimal | None
    low, high = number_range(value["value"])
    comparator = value.get("comparator", "")
    if comparator.startswith("<"):
        low, high = None, Decimal(value["value"])
    elif comparator.startswith(">"):
        low, high = Decimal(value["value"]), None
    return _amount(param, Decimal(value["value"]), low, high, value)


def _range(param: str, value: JsonObject) -> Iterator[IndexValue]:
    low, high = value.get("low", {}), value.get("high", {})
    if "value" in low or "value" in high:
        yield _amount(
            param,
            None,
            Decimal(low["value"]) if "value" in low else None,
            Decimal(high["value"]) if "value" in high else None,
            low if "value" in low else high,
        )


def _amount(
    param: str, exact: Decimal | None, low: Decimal | None, high: Decimal | None, unit: JsonObject
) -> IndexValue:
    return IndexValue(
        param,
        "quantity",
        system=unit.get("system"),
        code=unit.get("code"),
        unit=unit.get("unit"),
        number=exact,
        number_low=low,
        number_high=high,
    )


MAKERS: dict[str, Maker] = {
    "token": _token,
    "string": _string,
    "uri": _uri,
    "reference": _reference,
    "date": _date,
    "number": _number,
    "quantity": _quantity,
}
