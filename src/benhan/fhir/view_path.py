"""FHIRPath of SQL on FHIR views: constants, ``%rowIndex`` and the key functions, on the project's own engine.

Constants (``%name``) and ``%rowIndex`` are put into the syntax tree before it is compiled. ``%rowIndex`` means the
place of the row's element, so it is refused inside the arguments of a function, where another element is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from benhan.fhir.path import Scope, compile_tree
from benhan.fhir.path_parse import PathSyntaxError, Tree, parse
from benhan.fhir.path_values import Node, resource_node

ViewConstant = tuple[str, Any]
"""FHIRPath type (``String``, ``Integer``, ``Decimal``, ``Boolean``, ``Date`` …) and value."""

ViewPath = Callable[[dict[str, Any], "Node | None", int], list[Any]]
"""(resource, element looked at or None, its place) → nodes; ``node[1]`` is the JSON value."""

_ENGINE = frozenset({"resource", "rootResource", "context", "ucum"})
_KEYED = frozenset({"getReferenceKey"})


def view_path(text: str, constants: Mapping[str, ViewConstant]) -> ViewPath:
    """Compile an expression of a view. Raises: ``PathSyntaxError`` for what is no FHIRPath or not implemented."""
    closure = compile_tree(_bound(parse(text), constants, inside=False))

    def run(resource: dict[str, Any], node: Node | None, place: int) -> list[Any]:
        focus = node if node is not None else resource_node(resource)
        return closure(Scope(resource, resource, focus, focus, place), [] if node is None else [node])

    return run


def view_root(resource: dict[str, Any]) -> Node:
    """The element a view begins with."""
    return resource_node(resource)


def _bound(tree: Tree, constants: Mapping[str, ViewConstant], *, inside: bool) -> Tree:
    head = tree[0]
    if head == "literal":
        return tree
    if head == "var":
        return _variable(tree, constants, inside)
    if head == "call" and tree[1] in _KEYED:
        return ("call", tree[1], [_type_name(argument) for argument in tree[2]])
    inside = inside or head == "call"
    return tuple(_part(part, constants, inside) for part in tree)


def _part(part: Any, constants: Mapping[str, ViewConstant], inside: bool) -> Any:
    if isinstance(part, tuple):
        return _bound(part, constants, inside=inside)
    if isinstance(part, list):
        return [_part(one, constants, inside) for one in part]
    return part


def _variable(tree: Tree, constants: Mapping[str, ViewConstant], inside: bool) -> Tree:
    name = str(tree[1])
    if name == "rowIndex":
        if inside:
            raise PathSyntaxError("%rowIndex inside a function is not implemented")
        return ("var", "$index")
    if name in constants:
        kind, value = constants[name]
        return ("literal", kind, value)
    if name in _ENGINE or name.startswith("$"):
        return tree
    raise PathSyntaxError(f"constant %{name} is not defined")


def _type_name(argument: Any) -> Any:
    """``getReferenceKey(Patient)`` names a type, not an element."""
    if isinstance(argument, tuple) and argument[0] in ("name", "type"):
        return ("literal", "String", argument[1])
    return argument
