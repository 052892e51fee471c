"""Validation against a profile: what its snapshot asks beyond the base definition.

A snapshot is compiled once into a tree of the elements where it differs from its base: cardinality, fixed and
pattern values, narrowed types, slices (discriminators ``value``, ``pattern`` and ``exists``), own invariants.
Anything else a profile may say (bindings, profiles of targets) is not checked. Only a resource that is valid by the
base is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from benhan.base.errors import Issue
from benhan.fhir.path import Closure, Scope, compile_path, truth
from benhan.fhir.path_values import Node, Nodes, child, resource_node
from benhan.fhir.tables import CHOICES, ELEMENTS, load

JsonObject = dict[str, Any]


@dataclass(slots=True)
class Rule:
    """One element of a profile, with what it asks of each place and what stands below it."""

    id: str
    name: str
    low: int
    high: int | None
    types: frozenset[str] = frozenset()
    fixed: Any = None
    pattern: Any = None
    checks: tuple[tuple[str, Closure, str], ...] = ()
    children: list[Rule] = field(default_factory=list)
    slices: list[Slice] = field(default_factory=list)
    closed: bool = False


@dataclass(frozen=True, slots=True)
class Slice:
    """A slice and the test that tells its items."""

    rule: Rule
    admits: Callable[[Node], bool]


@lru_cache(maxsize=1)
def profiles() -> Mapping[str, JsonObject]:
    """The local profiles as StructureDefinitions, by canonical address."""
    return {one["url"]: one for one in load("profiles")["profiles"]}


@lru_cache(maxsize=256)
def _known(url: str) -> tuple[str, Rule] | None:
    definition = profiles().get(url.partition("|")[0])
    if definition is None or url.partition("|")[2] not in ("", definition["version"]):
        return None
    return definition["type"], compile_profile(definition)


def is_known(url: str) -> bool:
    """Whether this canonical address (with version or without) is a profile of ours."""
    return _known(url) is not None


def claimed(resource: JsonObject) -> list[str]:
    """Profiles that a resource says it follows (``meta.profile``)."""
    meta = resource.get("meta")
    named = (meta or {}).get("profile", ())
    return list(dict.fromkeys(url for url in named if isinstance(url, str)))


def issues(resource: JsonObject, url: str, where: str) -> list[Issue]:
    """Everything a resource lacks for a profile; nothing for a profile that is not known here."""
    found = _known(url)
    if found is None:
        return []
    kind, rule = found
    if resource.get("resourceType") != kind:
        text = f"Hồ sơ mẫu {url} dành cho loại {kind}."
        return [Issue("fhir.profile-type", text, where, "profile of another type", issue_type="invalid")]
    node = resource_node(resource)
    scope = Scope(resource, resource, node, node)
    return [replace(i, diagnostics=f"{i.diagnostics}; profile {url}") for i in _of(rule, node, where, scope)]


# -- checking -------------------------------------------------------------------------------------------


def _of(rule: Rule, node: Node, where: str, scope: Scope) -> Iterator[Issue]:
    """Faults of one node by its rule and the rules below (not below a type that should not stand here)."""
    if rule.types and node[0] not in rule.types:
        text = f"Hồ sơ mẫu chỉ cho kiểu {', '.join(sorted(rule.types))}."
        said = "type not admitted by the profile"
        yield Issue("fhir.profile-type", text, where, said, issue_type="structure")
        return
    yield from _value(rule, node, where)
    for key, check, human in rule.checks:
        at = Scope(scope.resource, scope.root, node, node)
        if truth(check(at, [node])) is False:
            yield Issue(f"fhir.profile.{key}", human, where, f"{key} of the profile", issue_type="invariant")
    for below in rule.children:
        yield from _among(below, child(node, below.name), node, where, scope)


def _value(rule: Rule, node: Node, where: str) -> Iterator[Issue]:
    if rule.fixed is not None and node[1] != rule.fixed:
        yield _wrong(rule.fixed, where)
    if rule.pattern is not None and not fits(node[1], rule.pattern):
        yield _wrong(rule.pattern, where)


def _wrong(wanted: Any, where: str) -> Issue:
    shown = f" “{wanted}”" if isinstance(wanted, str) else ""
    text = f"Hồ sơ mẫu cần giá trị{shown} ở đây."
    return Issue("fhir.profile-value", text, where, "not the value of the profile", issue_type="value")


def _among(rule: Rule, found: Nodes, parent: Node, where: str, scope: Scope) -> Iterator[Issue]:
    """Faults of all items of one element: their number, their slices, each of them."""
    here = f"{where}.{rule.name}"
    yield from _number(rule, len(found), here)
    counts = dict.fromkeys((s.rule.id for s in rule.slices), 0)
    for place, node in enumerate(found):
        at = _place(parent, rule.name, node, here, place)
        yield from _of(rule, node, at, scope)
        member = next((s for s in rule.slices if s.admits(node)), None)
        if member is not None:
            counts[member.rule.id] += 1
            yield from _of(member.rule, node, at, scope)
        elif rule.closed:
            text = "Hồ sơ mẫu không cho phần tử nào ngoài các loại đã nêu."
            yield Issue("fhir.profile-slice", text, at, "item of no slice", issue_type="structure")
    for one in rule.slices if found or not rule.low else ():
        yield from _number(one.rule, counts[one.rule.id], here, one.rule.id.rpartition(":")[2])


def _number(rule: Rule, count: int, where: str, slice_name: str = "") -> Iterator[Issue]:
    said = f"{rule.name}:{slice_name}" if slice_name else rule.name
    place = f"{rule.id}: " if slice_name else ""
    if count < rule.low:
        text = f"Hồ sơ mẫu cần phần tử “{said}”."
        yield Issue("fhir.profile-min", text, where, f"{place}fewer than {rule.low}", issue_type="required")
    if rule.high is not None and count > rule.high:
        text = f"Hồ sơ mẫu chỉ cho tối đa {rule.high} phần tử “{said}”."
        yield Issue("fhir.profile-max", text, where, f"{place}more than {rule.high}", issue_type="structure")


def _place(parent: Node, name: str, node: Node, here: str, place: int) -> str:
    if name in CHOICES.get(parent[0], {}):
        return f"{here}.ofType({node[0]})"
    return f"{here}[{place}]" if ELEMENTS.get(parent[0], {}).get(name, ("", False))[1] else here


def fits(value: Any, pattern: Any) -> bool:
    """A value holds all that a pattern holds: members of objects, items of lists in any order."""
    if isinstance(pattern, dict):
        return isinstance(value, dict) and all(k in value and fits(value[k], p) for k, p in pattern.items())
    if isinstance(pattern, list):
        return isinstance(value, list) and all(any(fits(v, p) for v in value) for p in pattern)
    return bool(value == pattern)


# -- compiling ------------------------------------------------------------------------------------------


def compile_profile(definition: JsonObject) -> Rule:
    """The rule tree of a StructureDefinition with snapshot.

    Raises: ``ValueError`` for a discriminator that is not implemented; ``PathSyntaxError`` for its invariants.
    """
    elements = definition["snapshot"]["element"]
    rules = {e["id"]: _rule(e, definition["url"]) for e in elements}
    root = rules[definition["type"]]
    by_id = {e["id"]: e for e in elements}
    for element in elements[1:]:
        key = element["id"]
        head, _, last = key.rpartition(".")
        if ":" in last:
            whole = f"{head}.{last.partition(':')[0]}"
            rules[whole].slices.append(Slice(rules[key], _admits(by_id, key, by_id[whole])))
        else:
            rules[head].children.append(rules[key])
    _prune(root, by_id)
    return root


def _rule(element: JsonObject, source: str) -> Rule:
    base = element["base"]
    sliced = ":" in element["id"].rpartition(".")[2]
    changed = sliced or element["max"] != base["max"]
    own = [c for c in element.get("constraint", ()) if c.get("source") == source and c["severity"] == "error"]
    return Rule(
        id=element["id"],
        name=element["path"].rpartition(".")[2].removesuffix("[x]"),
        low=element["min"] if sliced or element["min"] > base["min"] else 0,
        high=int(element["max"]) if changed and element["max"] != "*" else None,
        types=_types(element),
        fixed=_said(element, "fixed"),
        pattern=_said(element, "pattern"),
        checks=tuple((c["key"], compile_path(c["expression"]), c["human"]) for c in own),
        closed=element.get("slicing", {}).get("rules") == "closed",
    )


def _types(element: JsonObject) -> frozenset[str]:
    """Types of a choice that the profile narrows; empty when it leaves them all."""
    kind, _, name = element["base"]["path"].rpartition(".")
    keys = CHOICES.get(kind, {}).get(name.removesuffix("[x]"), ())
    given = frozenset(one["code"] for one in element.get("type", ()))
    return given if keys and len(given) < len(keys) else frozenset()


def _said(element: JsonObject, what: str) -> Any:
    return next((v for k, v in element.items() if k.startswith(what) and k[len(what) :][:1].isupper()), None)


def _admits(by_id: Mapping[str, JsonObject], key: str, whole: JsonObject) -> Callable[[Node], bool]:
    """The test of a slice by the discriminators of the sliced element."""
    tests = []
    for one in whole["slicing"]["discriminator"]:
        if one["type"] not in ("value", "pattern", "exists"):
            raise ValueError(f"discriminator {one['type']} is not implemented: {key}")
        if one["type"] == "exists":
            wanted: Any = by_id[f"{key}.{one['path']}"]["min"] > 0
        else:
            wanted = _wanted(by_id, key, one["path"])
        tests.append(_test(one["path"], one["type"], wanted))
    return lambda node: all(test(node) for test in tests)


def _wanted(by_id: Mapping[str, JsonObject], key: str, path: str) -> Any:
    """Value that a discriminator's path has in a slice: fixed there, or part of what is fixed above."""
    steps = [] if path == "$this" else path.split(".")
    for depth in range(len(steps), -1, -1):
        element = by_id.get(".".join([key, *steps[:depth]]), {})
        value = _said(element, "fixed")
        value = _said(element, "pattern") if value is None else value
        for step in steps[depth:]:
            value = value[0] if isinstance(value, list) else value
            value = value.get(step) if isinstance(value, dict) else None
        if value is not None:
            return value
    raise ValueError(f"slice without a value for its discriminator: {key} {path}")


def _test(path: str, kind: str, wanted: Any) -> Callable[[Node], bool]:
    steps = [] if path == "$this" else path.split(".")

    def test(node: Node) -> bool:
        found: Nodes = [node]
        for step in steps:
            found = [c for n in found for c in child(n, step)]
        if kind == "exists":
            return bool(found) is wanted
        return any(fits(n[1], wanted) for n in found)

    return test


def _prune(rule: Rule, by_id: Mapping[str, JsonObject]) -> bool:
    """Leave out what asks nothing; tells whether anything is left."""
    rule.children = [c for c in rule.children if _prune(c, by_id)]
    for one in rule.slices:
        _prune(one.rule, by_id)
    asks = rule.low or rule.high is not None or rule.types or rule.checks or rule.closed
    return bool(asks or rule.fixed is not None or rule.pattern is not None or rule.children or rule.slices)
