"""Values inside a FHIRPath evaluation: typed nodes, navigation, equality and order.

A node is a tuple ``(type, value, extension)``: the FHIR type (or ``String``, ``Boolean`` … for results of
operators), the JSON value (None for a primitive that has only extensions), and the ``_name`` object of a
primitive. A collection is a list of nodes.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from benhan.fhir.tables import CHOICES, ELEMENTS

Node = tuple[str, Any, Any]
Nodes = list[Node]

_STAMP = re.compile(
    r"^(\d{4})(?:-(\d{2})(?:-(\d{2})(?:T(\d{2})(?::(\d{2})(?::(\d{2}(?:\.\d+)?))?)?(Z|[+-]\d{2}:\d{2})?)?)?)?$"
)
_DATES = frozenset({"date", "dateTime", "instant", "Date", "DateTime"})
_NUMBERS = (int, Decimal, float)


def boolean(value: bool) -> Nodes:
    """The collection of one truth value."""
    return [("Boolean", value, None)]


def resource_node(resource: dict[str, Any]) -> Node:
    """The node of a resource, typed by its resourceType."""
    return (str(resource.get("resourceType", "")), resource, None)


def _nodes(kind: str, value: Any, extension: Any, many: bool) -> Nodes:
    if not many:
        if kind == "Resource" and isinstance(value, dict):
            return [resource_node(value)]
        return [(kind, value, extension)]
    if kind == "Resource":
        return [resource_node(v) for v in value or ()]
    if extension is None:
        return [(kind, v, None) for v in value]
    values = value or [None] * len(extension)
    beside = list(extension) + [None] * (len(values) - len(extension))
    return [(kind, v, e) for v, e in zip(values, beside, strict=False)]


def child(node: Node, name: str) -> Nodes:
    """Children of that element name; a choice is asked by its name without type (``value``)."""
    kind, value, extension = node
    if value.__class__ is not dict:
        if extension and name in ("extension", "id"):
            found = extension.get(name)
            if found is None:
                return []
            return (
                [("Extension", e, None) for e in found] if name == "extension" else [("string", found, None)]
            )
        return []
    table = ELEMENTS.get(kind)
    if table is None:
        return []
    entry = table.get(name)
    if entry is not None:
        found = value.get(name)
        beside = value.get("_" + name) if entry[0][0].islower() else None
        if found is None and beside is None:
            return []
        return _nodes(entry[0], found, beside, entry[1])
    for key in CHOICES.get(kind, {}).get(name, ()):
        if key in value or "_" + key in value:
            entry = table[key]
            return _nodes(entry[0], value.get(key), value.get("_" + key), entry[1])
    if name == "resourceType" and name in value:
        return [("code", value[name], None)]
    return []


def children(node: Node) -> Nodes:
    """All children."""
    kind, value, extension = node
    out: Nodes = []
    if value.__class__ is not dict:
        if extension:
            out = child(node, "id") + child(node, "extension")
        return out
    table = ELEMENTS.get(kind, {})
    for key, entry in table.items():
        found, beside = value.get(key), value.get("_" + key)
        if found is not None or beside is not None:
            out += _nodes(entry[0], found, beside, entry[1])
    return out


def descendants(nodes: Nodes) -> Nodes:
    """All nodes below, at any depth."""
    out: Nodes = []
    level = nodes
    while level:
        level = [c for node in level for c in children(node)]
        out += level
    return out


def equal(a: Node, b: Node) -> bool | None:
    """FHIRPath ``=`` of two items; None when it cannot be known (dates of different precision)."""
    x, y = a[1], b[1]
    if isinstance(x, str) and isinstance(y, str):
        if a[0] in _DATES or b[0] in _DATES:
            order = compare_dates(x, y)
            return None if order is None else order == 0
        return x == y
    if isinstance(x, bool) or isinstance(y, bool):
        return x is y
    if isinstance(x, tuple) or isinstance(y, tuple):
        left, right = quantity(a), quantity(b)
        return left is not None and left == right
    return bool(x == y)


def quantity(node: Node) -> tuple[Any, str] | None:
    """(value, unit) of a Quantity or a quantity literal."""
    value = node[1]
    if isinstance(value, tuple):
        return value[0], value[1]
    if isinstance(value, dict) and "value" in value:
        return value["value"], str(value.get("code") or value.get("unit") or "1")
    return None


def compare(a: Node, b: Node) -> int | None:
    """−1, 0, 1, or None when the two cannot be ordered."""
    x, y = a[1], b[1]
    if isinstance(x, str) and isinstance(y, str):
        if a[0] in _DATES or b[0] in _DATES:
            return compare_dates(x, y)
        return (x > y) - (x < y)
    if isinstance(x, _NUMBERS) and isinstance(y, _NUMBERS):
        return (x > y) - (x < y)
    left, right = quantity(a), quantity(b)
    if left is None or right is None or left[1] != right[1]:
        return None
    return int(left[0] > right[0]) - int(left[0] < right[0])


def compare_dates(x: str, y: str) -> int | None:
    """Order of two partial dates; None when they agree as far as the less precise goes."""
    a, b = _STAMP.match(x), _STAMP.match(y)
    if a is None or b is None:
        return (x > y) - (x < y)
    shift = _offset(a.group(7)) is not None and _offset(b.group(7)) is not None
    left, right = _fields(a, shift), _fields(b, shift)
    for one, other in zip(left, right, strict=False):
        if one != other:
            return 1 if one > other else -1
    return 0 if len(left) == len(right) else None


def _offset(zone: str | None) -> int | None:
    if zone is None:
        return None
    if zone == "Z":
        return 0
    minutes = int(zone[1:3]) * 60 + int(zone[4:6])
    return -minutes if zone[0] == "-" else minutes


def _fields(match: re.Match[str], shift: bool) -> list[Decimal]:
    parts = [Decimal(p) for p in match.groups()[:6] if p is not None]
    offset = _offset(match.group(7))
    if not shift or not offset or len(parts) < 5:
        return parts
    year, month, day, hour, minute = (int(p) for p in parts[:5])
    try:
        moved = datetime(year, month, day, hour, minute) - timedelta(minutes=offset)  # noqa: DTZ001
    except (ValueError, OverflowError):
        return parts
    utc = [Decimal(n) for n in (moved.year, moved.month, moved.day, moved.hour, moved.minute)]
    return utc + parts[5:]
