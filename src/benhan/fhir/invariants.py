"""The rules of the base specification that a schema cannot say.

One typed walk over a resource runs, at each element, the error-severity invariants of its type, compiled
once. The most frequent are written out in Python (``FAST``), each with the same outcome as its FHIRPath (a
test holds them to the compiled one); ``COVERED`` are enforced by the schema; ``SKIPPED`` are left out, with
the reason.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Any

from benhan.base.errors import Issue
from benhan.fhir.narrative import faults
from benhan.fhir.path import Closure, Scope, compile_path, truth
from benhan.fhir.path_parse import PathSyntaxError
from benhan.fhir.path_values import Node, compare_dates
from benhan.fhir.syntax import UNIT
from benhan.fhir.tables import CHOICE_OF, ELEMENTS, INVARIANTS, PARENTS, RESOURCE_TYPES, ancestors, load

JsonObject = dict[str, Any]

COVERED = {
    "ele-1": "schema: empty objects and null values are refused",
    "ext-1": "schema: Extension has extension or exactly one value[x]",
    "txt-1": "narrative check, with a sentence per fault",
    "txt-2": "narrative check",
}
SKIPPED = {
    "dom-3": "written out: a contained resource is referred to, or refers to its container",
}


def _scalar(value: object) -> object:
    return value if isinstance(value, str) else None


def _ref_1(value: JsonObject, scope: Scope) -> bool:
    text = value.get("reference")
    if not isinstance(text, str) or not text.startswith("#") or text == "#":
        return True
    return text[1:] in scope.local_ids


def _per_1(value: JsonObject, scope: Scope) -> bool:
    start, end = value.get("start"), value.get("end")
    if start is None or end is None:
        return True
    if len(start) == len(end) and (len(start) <= 10 or start[19:] == end[19:]) and start <= end:
        return True
    order = compare_dates(start, end)
    return order is None or order <= 0


def _qty_3(value: JsonObject, scope: Scope) -> bool:
    return "code" not in value or "system" in value


def _cpt_2(value: JsonObject, scope: Scope) -> bool:
    return "value" not in value or "system" in value


def _att_1(value: JsonObject, scope: Scope) -> bool:
    return "data" not in value or "contentType" in value


FAST: dict[str, Callable[[JsonObject, Scope], bool]] = {
    "ref-1": _ref_1,
    "per-1": _per_1,
    "qty-3": _qty_3,
    "cpt-2": _cpt_2,
    "att-1": _att_1,
}

Rule = tuple[str, Callable[[Node, Scope], bool], str]


@lru_cache(maxsize=2048)
def rules(kind: str, proved: frozenset[str] = frozenset()) -> tuple[Rule, ...]:
    """The error-severity invariants of a type, its bases included, but those ``proved``: (key, check, English text)."""
    out: list[Rule] = []
    at: str | None = kind
    seen: set[str] = set()
    while at and at not in seen:
        seen.add(at)
        for key, severity, expression, human in INVARIANTS.get(at, ()):
            if severity == "error" and key not in COVERED and key not in SKIPPED and key not in proved:
                check = _check(key, expression)
                if check is not None:
                    out.append((key, check, human))
        at = PARENTS.get(at)
    return tuple(out)


def _check(key: str, expression: str) -> Callable[[Node, Scope], bool] | None:
    fast = FAST.get(key)
    if fast is not None:
        chosen = fast
        return lambda node, scope: chosen(node[1], scope)
    try:
        closure = compile_path(expression)
    except PathSyntaxError:
        return None
    if expression.startswith("contained."):
        return lambda node, scope: "contained" not in node[1] or _holds(closure, node, scope)
    return lambda node, scope: _holds(closure, node, scope)


def _holds(closure: Closure, node: Node, scope: Scope) -> bool:
    at = Scope(scope.resource, scope.root, node, node)
    return truth(closure(at, [node])) is not False


Entry = tuple[str, bool, str, tuple[Rule, ...], tuple[Rule, ...]]


@lru_cache(maxsize=2048)
def _interesting(kind: str, proved: frozenset[str]) -> dict[str, Entry]:
    """JSON key → (type, many, FHIRPath step, rules of the type, of the element), where a rule may stand."""
    out: dict[str, Entry] = {}
    for key, (child, many) in ELEMENTS.get(kind, {}).items():
        own = _path_rules(kind, key)
        if child == "Resource" or not (own or (not child[0].islower() and bears_rules(child, proved))):
            continue
        choice = CHOICE_OF.get(kind, {}).get(key)
        step = f".{choice}.ofType({child})" if choice else f".{key}"
        out[key] = (child, many, step, rules(child, proved), own)
    return out


def _path_rules(kind: str, key: str) -> tuple[Rule, ...]:
    """Rules that stand on one element rather than on its type."""
    name = CHOICE_OF.get(kind, {}).get(key, key)
    path = f"{kind}.{name}"
    return rules(path) if path in INVARIANTS and path not in ELEMENTS else ()


@lru_cache(maxsize=2048)
def bears_rules(kind: str, proved: frozenset[str]) -> bool:
    """Some rule stands on this type or below it. Where rules are proved, so is every Extension (:mod:`benhan.fhir.guards`)."""
    seen: set[str] = set()
    waiting = [kind]
    while waiting:
        at = waiting.pop()
        if at in seen or (proved and at == "Extension"):
            continue
        seen.add(at)
        if rules(at, proved) or any(_path_rules(at, key) for key in ELEMENTS.get(at, {})):
            return True
        waiting += [child for child, _ in ELEMENTS.get(at, {}).values() if not child[0].islower()]
    return False


def walk(
    resource: JsonObject, kind: str, base: str, scope: Scope, proved: frozenset[str] = frozenset()
) -> Iterator[Issue]:
    """Every broken rule, of those not ``proved``, of a resource that is right in structure."""
    for key, check, human in rules(kind, proved):
        if not check((kind, resource, None), scope):
            yield broken(key, base, human)
    stack: list[tuple[str, JsonObject, str]] = [(kind, resource, base)]
    while stack:
        at, value, where = stack.pop()
        table = _interesting(at, proved)
        for name, found in value.items():
            entry = table.get(name)
            if entry is None:
                if name[0] == "_" and found.__class__ is list:
                    yield from _padding(value.get(name[1:]) or [], found, f"{where}.{name[1:]}")
                continue
            child, many, step, of_type, of_element = entry
            for place, one in enumerate(found) if many else ((None, found),):
                here = where + step if place is None else f"{where}{step}[{place}]"
                for key, check, human in of_element + of_type:
                    if not check((child, one, None), scope):
                        yield broken(key, here, human)
                if one.__class__ is dict:
                    stack.append((child, one, here))


_UNIT = re.compile(UNIT.pattern).fullmatch


def advice(resource: JsonObject, kind: str, base: str, scope: Scope) -> Iterator[Issue]:
    """Every rule of severity ``warning`` that a valid resource breaks, and unit codes that are no UCUM by their form;
    nested resources are not entered."""
    stack: list[tuple[str, Any, str, str]] = [(kind, resource, base, kind)]
    while stack:
        at, value, where, path = stack.pop(0)
        for key, check, human in _advised(at) + (_advised(path) if path != at else ()):
            if not check((at, value, None), scope):
                yield replace(broken(key, where, human), severity="warning")
        if not isinstance(value, dict):
            continue
        if (
            value.get("system") == UNIT.system
            and "Quantity" in ancestors(at)
            and not _UNIT(value.get("code", "1"))
        ):
            text = f"Mã đơn vị “{value['code']}” không theo UCUM."
            yield Issue("fhir.unit-form", text, f"{where}.code", "not a UCUM term", "warning", "code-invalid")
        for name, (child, many) in ELEMENTS.get(at, {}).items():
            found = value.get(name)
            if found is None or child == "Resource":
                continue
            choice = CHOICE_OF.get(at, {}).get(name)
            step = f"{where}.{choice}.ofType({child})" if choice else f"{where}.{name}"
            below = f"{at}.{choice or name}"
            for place, one in enumerate(found) if many else ((None, found),):
                stack.append((child, one, step if place is None else f"{step}[{place}]", below))


@lru_cache(maxsize=2048)
def _advised(kind: str) -> tuple[Rule, ...]:
    out: list[Rule] = []
    at: str | None = kind
    while at:
        for key, severity, expression, human in INVARIANTS.get(at, ()):
            check = _check(key, expression) if severity == "warning" else None
            if check is not None:
                out.append((key, check, human))
        at = PARENTS.get(at)
    return tuple(out)


def _padding(values: list[Any], beside: list[Any], where: str) -> Iterator[Issue]:
    """A list of primitives and its extensions: at each place one of the two says something."""
    for place in range(max(len(values), len(beside))):
        value = values[place] if place < len(values) else None
        if value is None and (place >= len(beside) or beside[place] is None):
            text = "Giá trị null chỉ được dùng để giữ chỗ cho phần mở rộng cùng vị trí."
            said = "null without an extension at the same place"
            yield Issue("fhir.null-alone", text, f"{where}[{place}]", said, issue_type="structure")


def broken(key: str, where: str, human: str) -> Issue:
    """The issue of one broken invariant."""
    return Issue(f"fhir.invariant.{key}", sentence(key), where, f"{key}: {human}", issue_type="invariant")


def sentence(key: str) -> str:
    """The Vietnamese sentence of a rule (``invariants_vi.yaml``)."""
    every = load("sentences")
    return str(every.get(key) or every["?-0"])


def narrative(resource: JsonObject, where: str) -> Iterator[Issue]:
    """Faults of ``text.div``."""
    text = resource.get("text")
    if isinstance(text, dict) and isinstance(text.get("div"), str):
        for fault in faults(text["div"]):
            place = f"{where}.text.div"
            yield Issue("fhir.narrative", fault, place, "unsafe or empty narrative", issue_type="value")


_LOCAL = re.compile(r'"#([^"\s]*)"')


def contained_unused(resource: JsonObject, where: str) -> Iterator[Issue]:
    """dom-3: a contained resource is referred to from elsewhere, or refers to its container (``#``)."""
    inside = resource.get("contained")
    if not isinstance(inside, list) or not inside:
        return
    outside = set(_local_references({k: v for k, v in resource.items() if k != "contained"}))
    each = [set(_local_references(one)) for one in inside]
    times = Counter(name for own in each for name in own)
    for place, (one, own) in enumerate(zip(inside, each, strict=True)):
        identity = one.get("id")
        elsewhere = identity in outside or times[identity] > (identity in own)
        if not elsewhere and "" not in own:
            yield broken("dom-3", f"{where}.contained[{place}]", "contained resource is not referred to")


def _local_references(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        if value.startswith("#"):
            yield value[1:]
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _local_references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _local_references(inner)


def skipped() -> dict[str, str]:
    """Invariants of error severity that are not run, with the reason; for documentation and tests."""
    out = dict(COVERED) | {k: v for k, v in SKIPPED.items() if k != "dom-3"}
    for entries in INVARIANTS.values():
        for key, severity, expression, _ in entries:
            if severity == "error" and key not in FAST and key not in out:
                try:
                    compile_path(expression)
                except PathSyntaxError as reason:
                    out[key] = str(reason)
    return out


def is_resource(value: object) -> bool:
    """A JSON object that names a known resource type."""
    return isinstance(value, dict) and _scalar(value.get("resourceType")) in RESOURCE_TYPES
