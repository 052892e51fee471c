"""FHIRPath compiled to Python closures.

``compile_path(text)`` gives a function of (resource, focus node) to a list of nodes. Covers what the search
parameters and invariants of FHIR R4 use; anything else raises :class:`PathSyntaxError` when compiled, never
when run. ``resolve()`` answers from what is at hand: a contained resource, or a bare node of the type that
the reference names. ``fhirpathpy`` is the oracle in the tests.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any

from benhan.fhir import path_functions as fn
from benhan.fhir.path_parse import PathSyntaxError, Tree, parse
from benhan.fhir.path_values import Node, Nodes, boolean, child, compare, equal, resource_node
from benhan.fhir.tables import ELEMENTS, RESOURCE_TYPES, ancestors

Closure = Callable[["Scope", Nodes], Nodes]


@dataclass(frozen=True, slots=True)
class Scope:
    """What ``%resource``, ``%rootResource``, ``%context`` and ``$this`` mean while an expression runs.

    ``local_ids`` are the ids of the root's contained resources, for the rule asked at every reference.
    """

    resource: dict[str, Any]
    root: dict[str, Any]
    context: Node
    focus: Node
    index: int = 0
    local_ids: frozenset[str] = frozenset()


@lru_cache(maxsize=8192)
def compile_path(text: str) -> Closure:
    """The closure of an expression; raises :class:`PathSyntaxError`."""
    return _compile(parse(text))


def compile_tree(tree: Tree) -> Closure:
    """The closure of a syntax tree that :func:`parse` gave; raises :class:`PathSyntaxError`."""
    return _compile(tree)


def evaluate(text: str, resource: dict[str, Any], root: dict[str, Any] | None = None) -> Nodes:
    """Nodes an expression selects from a resource."""
    node = resource_node(resource)
    return compile_path(text)(Scope(resource, root or resource, node, node), [node])


def truth(nodes: Nodes) -> bool | None:
    """A collection as a truth value: None when empty, a single item that is no Boolean counts as true."""
    if not nodes:
        return None
    if len(nodes) == 1 and isinstance(nodes[0][1], bool):
        return bool(nodes[0][1])
    return True


def _compile(tree: Tree) -> Closure:
    head = tree[0]
    if head in _BINARY:
        return _BINARY[head](_compile(tree[1]), _compile(tree[2]))
    return _FORMS[head](tree)


def _this(tree: Tree) -> Closure:
    return lambda scope, this: this


def _empty(tree: Tree) -> Closure:
    return lambda scope, this: []


def _literal(tree: Tree) -> Closure:
    result: Nodes = [(tree[1], tree[2], None)]
    return lambda scope, this: result


def _variable(tree: Tree) -> Closure:
    name = tree[1]
    if name == "resource":
        return lambda scope, this: [resource_node(scope.resource)]
    if name == "rootResource":
        return lambda scope, this: [resource_node(scope.root)]
    if name == "context":
        return lambda scope, this: [scope.context]
    if name == "$index":
        return lambda scope, this: [("Integer", scope.index, None)]
    if name == "ucum":
        return lambda scope, this: [("String", "http://unitsofmeasure.org", None)]
    raise PathSyntaxError(f"variable {name} is not implemented")


def _is_type(name: str) -> bool:
    return name[0].isupper() and (
        name in RESOURCE_TYPES or name in ("Resource", "DomainResource") or name in ELEMENTS
    )


def _name(tree: Tree) -> Closure:
    name = tree[1]
    if _is_type(name):
        return lambda scope, this: [n for n in this if n[0] == name or name in ancestors(n[0])]
    return lambda scope, this: [c for node in this for c in child(node, name)]


def _dot(tree: Tree) -> Closure:
    names: list[str] = []
    while tree[0] == "dot" and tree[2][0] == "name" and not _is_type(tree[2][1]):
        names.insert(0, tree[2][1])
        tree = tree[1]
    if names:
        return _steps(_compile(tree), tuple(names))
    left, right = _compile(tree[1]), _compile(tree[2])
    return lambda scope, this: right(scope, left(scope, this))


def _steps(start: Closure, names: tuple[str, ...]) -> Closure:
    """From ``start`` down by plain names: most paths of search parameters, in one closure."""

    def run(scope: Scope, this: Nodes) -> Nodes:
        nodes = start(scope, this)
        for name in names:
            if not nodes:
                return []
            nodes = child(nodes[0], name) if len(nodes) == 1 else [c for n in nodes for c in child(n, name)]
        return nodes

    return run


def _index(tree: Tree) -> Closure:
    left, at = _compile(tree[1]), _compile(tree[2])

    def run(scope: Scope, this: Nodes) -> Nodes:
        place = at(scope, this)
        return left(scope, this)[place[0][1] :][:1] if place else []

    return run


def _unary(tree: Tree) -> Closure:
    inner, minus = _compile(tree[2]), tree[1] == "-"
    return lambda scope, this: [(n[0], -n[1] if minus else n[1], None) for n in inner(scope, this)]


def _is(tree: Tree) -> Closure:
    inner, name = _compile(tree[1]), tree[2]
    return lambda scope, this: [("Boolean", has_type(n, name), None) for n in inner(scope, this)[:1]]


def _as(tree: Tree) -> Closure:
    inner, name = _compile(tree[1]), tree[2]
    return lambda scope, this: [n for n in inner(scope, this) if has_type(n, name)]


_SYSTEM = {"string": "String", "boolean": "Boolean", "integer": "Integer", "decimal": "Decimal"}


def has_type(node: Node, name: str) -> bool:
    """FHIRPath ``is``: the type, one it specialises, or its System twin."""
    kind = node[0]
    return kind == name or _SYSTEM.get(kind) == name or name in ancestors(kind)


# -- operators ----------------------------------------------------------------------------------------


def _logic(
    table: Callable[[bool | None, bool | None], bool | None], settled: dict[bool, bool]
) -> Callable[[Closure, Closure], Closure]:
    """An operator by its truth table; ``settled``: left side → result that needs no right side."""

    def make(left: Closure, right: Closure) -> Closure:
        def run(scope: Scope, this: Nodes) -> Nodes:
            first = truth(left(scope, this))
            if first in settled:
                return boolean(settled[first])
            result = table(first, truth(right(scope, this)))
            return [] if result is None else boolean(result)

        return run

    return make


def _and(a: bool | None, b: bool | None) -> bool | None:
    if a is False or b is False:
        return False
    return None if a is None or b is None else True


def _or(a: bool | None, b: bool | None) -> bool | None:
    if a or b:
        return True
    return None if a is None or b is None else False


def _xor(a: bool | None, b: bool | None) -> bool | None:
    return None if a is None or b is None else a != b


def _implies(a: bool | None, b: bool | None) -> bool | None:
    if a is False:
        return True
    if a is None:
        return True if b else None
    return b


def _equality(negate: bool, loose: bool) -> Callable[[Closure, Closure], Closure]:
    def make(left: Closure, right: Closure) -> Closure:
        def run(scope: Scope, this: Nodes) -> Nodes:
            a, b = left(scope, this), right(scope, this)
            if not loose and (not a or not b):
                return []
            same = fn.same_items(a, b, loose)
            return [] if same is None else boolean(same != negate)

        return run

    return make


def _order(test: Callable[[int], bool]) -> Callable[[Closure, Closure], Closure]:
    def make(left: Closure, right: Closure) -> Closure:
        def run(scope: Scope, this: Nodes) -> Nodes:
            a, b = left(scope, this), right(scope, this)
            if not a or not b:
                return []
            order = compare(a[0], b[0])
            return [] if order is None else boolean(test(order))

        return run

    return make


def _union(left: Closure, right: Closure) -> Closure:
    return lambda scope, this: fn.distinct(left(scope, this) + right(scope, this))


def _membership(flip: bool) -> Callable[[Closure, Closure], Closure]:
    def make(left: Closure, right: Closure) -> Closure:
        def run(scope: Scope, this: Nodes) -> Nodes:
            items, box = left(scope, this), right(scope, this)
            if flip:
                items, box = box, items
            return boolean(any(equal(items[0], one) for one in box)) if items else []

        return run

    return make


def _arithmetic(operator: str) -> Callable[[Closure, Closure], Closure]:
    def make(left: Closure, right: Closure) -> Closure:
        def run(scope: Scope, this: Nodes) -> Nodes:
            a, b = left(scope, this), right(scope, this)
            if operator == "&":
                text = "".join(str(n[1]) for n in (*a[:1], *b[:1]))
                return [("String", text, None)]
            if not a or not b:
                return []
            return _calculate(operator, a[0][1], b[0][1])

        return run

    return make


def _calculate(operator: str, x: Any, y: Any) -> Nodes:
    if isinstance(x, str) and isinstance(y, str) and operator == "+":
        return [("String", x + y, None)]
    if isinstance(x, str) or isinstance(y, str):
        return []
    a, b = Decimal(x), Decimal(y)
    if operator in ("/", "div", "mod") and b == 0:
        return []
    result = {
        "+": lambda: a + b,
        "-": lambda: a - b,
        "*": lambda: a * b,
        "/": lambda: a / b,
        "div": lambda: a // b,
        "mod": lambda: a % b,
    }[operator]()
    whole = result == result.to_integral_value() and operator != "/"
    return [("Integer", int(result), None) if whole else ("Decimal", result, None)]


_BINARY: dict[str, Callable[[Closure, Closure], Closure]] = {
    "and": _logic(_and, {False: False}),
    "or": _logic(_or, {True: True}),
    "xor": _logic(_xor, {}),
    "implies": _logic(_implies, {False: True}),
    "=": _equality(False, False),
    "!=": _equality(True, False),
    "~": _equality(False, True),
    "!~": _equality(True, True),
    "<": _order(lambda n: n < 0),
    ">": _order(lambda n: n > 0),
    "<=": _order(lambda n: n <= 0),
    ">=": _order(lambda n: n >= 0),
    "|": _union,
    "in": _membership(False),
    "contains": _membership(True),
    **{sign: _arithmetic(sign) for sign in ("+", "-", "*", "/", "&", "div", "mod")},
}


# -- functions ----------------------------------------------------------------------------------------


def _call(tree: Tree) -> Closure:
    name, arguments = tree[1], tree[2]
    if name == "is":
        return lambda scope, this: [("Boolean", has_type(n, arguments[0]), None) for n in this[:1]]
    if name in ("as", "ofType"):
        return lambda scope, this: [n for n in this if has_type(n, arguments[0])]
    compiled = [_compile(argument) for argument in arguments]
    if name in _LAZY and len(compiled) in (0, 1, 2, 3):
        return _LAZY[name](compiled)
    simple = fn.SIMPLE.get(name)
    if simple is None:
        raise PathSyntaxError(f"function {name}() is not implemented")

    def run(scope: Scope, this: Nodes) -> Nodes:
        return simple(this, [argument(scope, [scope.focus]) for argument in compiled])

    return run


def _each(scope: Scope, nodes: Nodes, body: Closure) -> list[tuple[Node, Nodes]]:
    return [
        (node, body(Scope(scope.resource, scope.root, scope.context, node, place), [node]))
        for place, node in enumerate(nodes)
    ]


def _where(arguments: list[Closure]) -> Closure:
    (body,) = arguments
    return lambda scope, this: [node for node, kept in _each(scope, this, body) if truth(kept)]


def _select(arguments: list[Closure]) -> Closure:
    (body,) = arguments
    return lambda scope, this: [found for _, part in _each(scope, this, body) for found in part]


def _exists(arguments: list[Closure]) -> Closure:
    if not arguments:
        return lambda scope, this: boolean(bool(this))
    (body,) = arguments
    return lambda scope, this: boolean(any(truth(kept) for _, kept in _each(scope, this, body)))


def _all(arguments: list[Closure]) -> Closure:
    (body,) = arguments
    return lambda scope, this: boolean(all(truth(kept) for _, kept in _each(scope, this, body)))


def _repeat(arguments: list[Closure]) -> Closure:
    (body,) = arguments

    def run(scope: Scope, this: Nodes) -> Nodes:
        out: Nodes = []
        level = this
        while level:
            level = [found for _, part in _each(scope, level, body) for found in part]
            out += level
        return out

    return run


def _iif(arguments: list[Closure]) -> Closure:
    def run(scope: Scope, this: Nodes) -> Nodes:
        if truth(arguments[0](scope, this)):
            return arguments[1](scope, this)
        return arguments[2](scope, this) if len(arguments) > 2 else []

    return run


def _trace(arguments: list[Closure]) -> Closure:
    return lambda scope, this: this


def _resolve(arguments: list[Closure]) -> Closure:
    return lambda scope, this: [found for node in this for found in resolve(scope, node)]


_REFERENCE = re.compile(r"(?:^|/)([A-Z][A-Za-z]+)/([A-Za-z0-9.-]{1,64})(?:/_history/[A-Za-z0-9.-]{1,64})?$")


@lru_cache(maxsize=16384)
def split_reference(text: str) -> tuple[str, str] | None:
    """(type, id) of a literal reference, relative or absolute; None for others."""
    match = _REFERENCE.search(text)
    if match is None or match.group(1) not in RESOURCE_TYPES:
        return None
    return match.group(1), match.group(2)


def resolve(scope: Scope, node: Node) -> Nodes:
    """The resource a Reference (or its text) means, as far as it can be known without looking it up."""
    value = node[1]
    text = value.get("reference") if isinstance(value, dict) else value
    if isinstance(text, str):
        if text.startswith("#"):
            inside = [*scope.root.get("contained", ()), *scope.resource.get("contained", ())]
            return [resource_node(r) for r in inside if r.get("id") == text[1:]][:1]
        found = split_reference(text)
        if found is not None:
            return [(found[0], {"resourceType": found[0], "id": found[1]}, None)]
    kind = value.get("type") if isinstance(value, dict) else None
    return [(kind, {"resourceType": kind}, None)] if kind in RESOURCE_TYPES else []


_LAZY: dict[str, Callable[[list[Closure]], Closure]] = {
    "where": _where,
    "select": _select,
    "exists": _exists,
    "all": _all,
    "repeat": _repeat,
    "iif": _iif,
    "trace": _trace,
    "resolve": _resolve,
}
_FORMS: dict[str, Callable[[Tree], Closure]] = {
    "this": _this,
    "empty": _empty,
    "literal": _literal,
    "var": _variable,
    "name": _name,
    "dot": _dot,
    "index": _index,
    "unary": _unary,
    "is": _is,
    "as": _as,
    "call": _call,
}
