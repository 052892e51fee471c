"""FHIRPath functions whose arguments are plain values. Each takes the input and its evaluated arguments."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from benhan.fhir.match_keys import patient_match_keys
from benhan.fhir.narrative import faults
from benhan.fhir.path_values import Node, Nodes, boolean, children, descendants, equal

_sorted_json = msgspec.json.Encoder(decimal_format="number", order="sorted").encode

Simple = Callable[[Nodes, list[Nodes]], Nodes]


def same_items(a: Nodes, b: Nodes, loose: bool) -> bool | None:
    """Equality of two collections; ``loose`` is FHIRPath ``~`` (order and case do not matter)."""
    if len(a) != len(b):
        return False
    if loose:
        return all(any(_alike(x, y) for y in b) for x in a)
    result: bool | None = True
    for x, y in zip(a, b, strict=True):
        one = equal(x, y)
        if one is False:
            return False
        if one is None:
            result = None
    return result


def _alike(x: Node, y: Node) -> bool:
    if isinstance(x[1], str) and isinstance(y[1], str):
        return x[1].casefold() == y[1].casefold()
    return bool(equal(x, y))


def distinct(nodes: Nodes) -> Nodes:
    """Without repeats, first ones kept."""
    if len(nodes) < 2:
        return nodes
    out: dict[Any, Node] = {}
    for node in nodes:
        out.setdefault(_key(node), node)
    return list(out.values())


def _key(node: Node) -> Any:
    """What makes a node the same as another; hashable, so that many are told apart in one pass."""
    value, extension = node[1], node[2]
    if isinstance(value, dict | list) or extension is not None:
        return _sorted_json([value, extension])
    return (isinstance(value, bool), value)


def _text(nodes: Nodes) -> str | None:
    return nodes[0][1] if nodes and isinstance(nodes[0][1], str) else None


def _on_text(work: Callable[[str, str], bool | int | str]) -> Simple:
    def run(this: Nodes, arguments: list[Nodes]) -> Nodes:
        text, argument = _text(this), _text(arguments[0]) if arguments else ""
        if text is None or argument is None:
            return []
        return [_system(work(text, argument))]

    return run


def _system(value: bool | int | str) -> Node:
    if isinstance(value, bool):
        return ("Boolean", value, None)
    return ("Integer", value, None) if isinstance(value, int) else ("String", value, None)


def _matches(this: Nodes, arguments: list[Nodes]) -> Nodes:
    text, pattern = _text(this), _text(arguments[0])
    if text is None or pattern is None:
        return []
    return boolean(re.search(pattern, text, re.DOTALL) is not None)


def _replace_matches(this: Nodes, arguments: list[Nodes]) -> Nodes:
    text, pattern, by = _text(this), _text(arguments[0]), _text(arguments[1]) if len(arguments) > 1 else None
    if text is None or pattern is None or by is None:
        return []
    group = re.sub(r"\$(\d)", r"\\g<\1>", by.replace("\\", "\\\\"))
    return [("String", re.sub(pattern, group, text), None)]


def _substring(this: Nodes, arguments: list[Nodes]) -> Nodes:
    text = _text(this)
    if text is None or not arguments or not arguments[0]:
        return []
    start = int(arguments[0][0][1])
    if start < 0 or start >= len(text):
        return []
    stop = start + int(arguments[1][0][1]) if len(arguments) > 1 and arguments[1] else len(text)
    return [("String", text[start:stop], None)]


def _has_value(this: Nodes, arguments: list[Nodes]) -> Nodes:
    return boolean(len(this) == 1 and this[0][1] is not None and not isinstance(this[0][1], dict))


def _extension(this: Nodes, arguments: list[Nodes]) -> Nodes:
    url = _text(arguments[0])
    found = [c for node in this for c in _extensions(node)]
    return [e for e in found if e[1].get("url") == url]


def _extensions(node: Node) -> Nodes:
    holder = node[1] if isinstance(node[1], dict) else node[2]
    return [("Extension", e, None) for e in (holder or {}).get("extension", ())]


def _truths(kept: Callable[[list[bool]], bool]) -> Simple:
    return lambda this, arguments: boolean(kept([bool(n[1]) for n in this]))


def _to_integer(this: Nodes, arguments: list[Nodes]) -> Nodes:
    value = this[0][1] if this else None
    if isinstance(value, bool | int):
        return [("Integer", int(value), None)]
    if isinstance(value, str) and re.fullmatch(r"[+-]?\d{1,18}", value):
        return [("Integer", int(value), None)]
    return []


def _to_decimal(this: Nodes, arguments: list[Nodes]) -> Nodes:
    value = this[0][1] if this else None
    try:
        return [("Decimal", Decimal(value), None)] if isinstance(value, int | str | Decimal) else []
    except InvalidOperation:
        return []


def _to_string(this: Nodes, arguments: list[Nodes]) -> Nodes:
    if not this or isinstance(this[0][1], dict | None):
        return []
    value = this[0][1]
    return [("String", ("true" if value else "false") if isinstance(value, bool) else str(value), None)]


def _inside(a: Nodes, b: Nodes) -> bool:
    return all(any(equal(x, y) for y in b) for x in a)


def _not(this: Nodes, arguments: list[Nodes]) -> Nodes:
    if not this:
        return []
    return boolean(not this[0][1] if isinstance(this[0][1], bool) else False)


def _count(arguments: list[Nodes]) -> int:
    return int(arguments[0][0][1]) if arguments and arguments[0] else 0


def _join(this: Nodes, arguments: list[Nodes]) -> Nodes:
    if not this:
        return []
    between = (_text(arguments[0]) if arguments else None) or ""
    return [("String", between.join(str(n[1]) for n in this if n[1] is not None), None)]


def _resource_key(this: Nodes, arguments: list[Nodes]) -> Nodes:
    """SQL on FHIR ``getResourceKey()``: the id, which ``getReferenceKey`` of another row gives too."""
    return [("String", n[1]["id"], None) for n in this if isinstance(n[1], dict) and "id" in n[1]]


def _reference_key(this: Nodes, arguments: list[Nodes]) -> Nodes:
    """SQL on FHIR ``getReferenceKey([type])``: the id that a literal reference names, of that type if one is asked."""
    wanted = _text(arguments[0]) if arguments else None
    out: Nodes = []
    for node in this:
        text = node[1].get("reference") if isinstance(node[1], dict) else None
        parts = str(text or "").partition("/_history/")[0].split("/")
        if len(parts) >= 2 and parts[-1] and (wanted is None or parts[-2] == wanted):
            out.append(("String", parts[-1], None))
    return out


def _match_keys(this: Nodes, _: list[Nodes]) -> Nodes:
    """Ours: the keys under which look-alikes of a ``Patient`` are found."""
    return [("String", key, None) for node in this for key in patient_match_keys(node[1])]


SIMPLE: dict[str, Simple] = {
    "join": _join,
    "getResourceKey": _resource_key,
    "getReferenceKey": _reference_key,
    "empty": lambda this, _: boolean(not this),
    "not": _not,
    "count": lambda this, _: [("Integer", len(this), None)],
    "first": lambda this, _: this[:1],
    "last": lambda this, _: this[-1:],
    "tail": lambda this, _: this[1:],
    "single": lambda this, _: this[:1],
    "skip": lambda this, a: this[_count(a) :],
    "take": lambda this, a: this[: _count(a)],
    "distinct": lambda this, _: distinct(this),
    "isDistinct": lambda this, _: boolean(len(distinct(this)) == len(this)),
    "union": lambda this, a: distinct(this + a[0]),
    "combine": lambda this, a: this + a[0],
    "intersect": lambda this, a: distinct([n for n in this if any(equal(n, o) for o in a[0])]),
    "exclude": lambda this, a: [n for n in this if not any(equal(n, o) for o in a[0])],
    "subsetOf": lambda this, a: boolean(_inside(this, a[0])),
    "supersetOf": lambda this, a: boolean(_inside(a[0], this)),
    "allTrue": _truths(all),
    "anyTrue": _truths(any),
    "allFalse": _truths(lambda v: not any(v)),
    "anyFalse": _truths(lambda v: not all(v)),
    "hasValue": _has_value,
    "children": lambda this, _: [c for node in this for c in children(node)],
    "descendants": lambda this, _: descendants(this),
    "extension": _extension,
    "matches": _matches,
    "replaceMatches": _replace_matches,
    "startsWith": _on_text(lambda t, a: t.startswith(a)),
    "endsWith": _on_text(lambda t, a: t.endswith(a)),
    "contains": _on_text(lambda t, a: a in t),
    "indexOf": _on_text(lambda t, a: t.find(a)),
    "length": _on_text(lambda t, _: len(t)),
    "upper": _on_text(lambda t, _: t.upper()),
    "lower": _on_text(lambda t, _: t.lower()),
    "substring": _substring,
    "toInteger": _to_integer,
    "toDecimal": _to_decimal,
    "toString": _to_string,
    "matchKeys": _match_keys,
    "htmlChecks": lambda this, _: boolean(all(not faults(str(n[1])) for n in this)),
}
