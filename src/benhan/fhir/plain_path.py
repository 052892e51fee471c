"""The plain paths of search parameters, walked without the FHIRPath machine.

Nearly all expressions of search parameters are names in a row, with a cast or ``where(resolve() is Type)`` at the end, and
unions of these. The type of every step is known beforehand, so that what is left at run time is looking up keys. What is not
plain is left to :mod:`benhan.fhir.path`; a test holds the two to the same nodes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from benhan.fhir.build_search import split_union
from benhan.fhir.path import has_type, split_reference
from benhan.fhir.path_values import Node, Nodes
from benhan.fhir.tables import CHOICES, ELEMENTS, RESOURCE_TYPES, ancestors

JsonObject = dict[str, Any]
Finder = Callable[[JsonObject], Nodes]
Step = tuple[str, bool]
Way = tuple[tuple[Step, ...], str]

_PLAIN = re.compile(
    r"(?P<root>[A-Z]\w*)(?P<names>(?:\.[a-z]\w*(?![\w(]))+)"
    r"(?:\s+as\s+(?P<cast>\w+)|\.(?:as|ofType)\((?P<typed>\w+)\)|\.where\(resolve\(\) is (?P<target>\w+)\))?"
)


def plain_path(expression: str, resource_type: str) -> Finder | None:
    """A function that gives the nodes of ``expression`` in a valid resource of a type; None when it is not plain.

    Nodes of a union may repeat. A primitive that has extensions and no value gives none.
    """
    finders: list[Finder] = []
    for member in split_union(expression):
        found = _member(member.strip(), resource_type)
        if found is None:
            return None
        finders += found
    if len(finders) == 1:
        return finders[0]
    return lambda resource: [node for find in finders for node in find(resource)]


def _member(text: str, resource_type: str) -> list[Finder] | None:
    while text.startswith("(") and text.endswith(")"):
        text = text[1:-1].strip()
    match = _PLAIN.fullmatch(text)
    if match is None or match["root"] not in ancestors(resource_type):
        return None
    ways = _ways(resource_type, match["names"].strip(".").split("."))
    if ways is None:
        return None
    cast = match["cast"] or match["typed"]
    if cast:
        ways = [way for way in ways if has_type((way[1], None, None), cast)]
    target = match["target"]
    if target:
        return [_leading(_walk(way), target) for way in ways]
    return [_walk(way) for way in ways]


def _ways(kind: str, names: list[str]) -> list[Way] | None:
    """Every row of JSON keys that the names may mean, with the type at its end; None: a resource or unknown on the way."""
    ways: list[Way] = [((), kind)]
    for name in names:
        further: list[Way] = []
        for steps, at in ways:
            table = ELEMENTS.get(at, {})
            keys = [name] if name in table else CHOICES.get(at, {}).get(name, [])
            if not keys or any(table[key][0] == "Resource" for key in keys):
                return None
            further += [((*steps, (key, table[key][1])), table[key][0]) for key in keys]
        ways = further
    return ways


def _walk(way: Way) -> Finder:
    steps, kind = way
    if len(steps) == 1:
        ((key, many),) = steps
        return _many(key, kind) if many else _single(key, kind)

    def find(resource: JsonObject) -> Nodes:
        level: list[Any] = [resource]
        for key, many in steps:
            below: list[Any] = []
            for one in level:
                found = one.get(key) if one.__class__ is dict else None
                if found is not None:
                    if many:
                        below += found
                    else:
                        below.append(found)
            if not below:
                return []
            level = below
        return [(kind, one, None) for one in level]

    return find


def _single(key: str, kind: str) -> Finder:
    def find(resource: JsonObject) -> Nodes:
        found = resource.get(key)
        return [] if found is None else [(kind, found, None)]

    return find


def _many(key: str, kind: str) -> Finder:
    def find(resource: JsonObject) -> Nodes:
        return [(kind, one, None) for one in resource.get(key, ())]

    return find


def _leading(find: Finder, target: str) -> Finder:
    """Only references that lead to a type, as far as can be known without looking them up."""

    def narrowed(resource: JsonObject) -> Nodes:
        return [node for node in find(resource) if _target(node, resource) == target]

    return narrowed


def _target(node: Node, resource: JsonObject) -> str | None:
    value = node[1]
    text = value.get("reference") if value.__class__ is dict else value
    if text.__class__ is str:
        if text.startswith("#"):
            inside = [one for one in resource.get("contained", ()) if one.get("id") == text[1:]]
            return str(inside[0].get("resourceType", "")) if inside else None
        found = split_reference(text)
        if found is not None:
            return found[0]
    kind = value.get("type") if value.__class__ is dict else None
    return kind if kind in RESOURCE_TYPES else None
