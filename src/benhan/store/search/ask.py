"""Conditions as a tree: a parameter, a chain through a reference, a reverse chain (``_has``). Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from benhan.base.errors import InvalidInput
from benhan.fhir import RESOURCE_TYPES, SearchParam, search_params
from benhan.store.shapes import union_of

#: Of all types, without an expression in their definition; answered without index rows.
FREE_TEXT = frozenset({"_text", "_content"})
_DEEPEST = 5


@dataclass(frozen=True)
class Plain:
    """One parameter of ``type``."""

    type: str
    param: SearchParam
    modifier: str
    value: str
    label: str

    @property
    def names(self) -> tuple[str, ...]:
        """Parameters under which the rows lie."""
        return union_of(self.type, self.param.name)


@dataclass(frozen=True)
class Chain:
    """A reference of ``type`` to a resource for which one of ``inner`` (one per target type) holds."""

    type: str
    param: SearchParam
    inner: tuple[Condition, ...]
    label: str
    value: str


@dataclass(frozen=True)
class Reverse:
    """A resource of another type that refers by ``param`` to this one, and for which ``inner`` holds."""

    type: str
    param: SearchParam
    inner: Condition
    label: str
    value: str


Condition = Plain | Chain | Reverse


def condition(resource_type: str, name: str, value: str, depth: int = 0) -> Condition | None:
    """Read one parameter; None when the type has none of this name.

    Raises: ``InvalidInput`` (store.search-chain): a chain that leads nowhere or is longer than five steps.
    """
    if depth > _DEEPEST:
        raise chain_error(name)
    if name.startswith("_has:"):
        return _reverse(resource_type, name, value, depth)
    head, dot, rest = name.partition(".")
    base, _, modifier = head.partition(":")
    param = search_params(resource_type).get(base)
    if param is None or not answered(param):
        return None
    if not dot:
        return Plain(resource_type, param, modifier, value, name)
    if param.type != "reference":
        raise chain_error(name)
    targets = [modifier] if modifier else sorted(param.targets)
    inner = []
    for target in targets:
        try:
            found = condition(target, rest, value, depth + 1)
        except InvalidInput:  # leads nowhere from this type; it may from another
            found = None
        if found is not None:
            inner.append(found)
    if not inner:
        raise chain_error(name)
    return Chain(resource_type, param, tuple(inner), name, value)


def answered(param: SearchParam) -> bool:
    """Whether the store answers this parameter: those with an expression, and free text."""
    return param.extracted or param.name in FREE_TEXT or param.name in ("_id", "_lastUpdated")


def _reverse(resource_type: str, name: str, value: str, depth: int) -> Condition:
    parts = name.split(":", 3)
    if len(parts) != 4 or parts[1] not in RESOURCE_TYPES:
        raise chain_error(name)
    _, source, reference, rest = parts
    param = search_params(source).get(reference)
    if param is None or param.type != "reference" or resource_type not in param.targets:
        raise chain_error(name)
    inner = condition(source, rest, value, depth + 1)
    if inner is None:
        raise chain_error(name)
    return Reverse(resource_type, param, inner, name, value)


def chain_error(name: str) -> InvalidInput:
    """The error for a chain that leads nowhere."""
    return InvalidInput(
        "store.search-chain", f"Không tìm nối tiếp được theo {name[:200]}.", expression=name[:200]
    )


def leaves(asked: Condition) -> Iterator[Plain]:
    """All parameters in a tree."""
    if isinstance(asked, Plain):
        yield asked
    elif isinstance(asked, Reverse):
        yield from leaves(asked.inner)
    else:
        for inner in asked.inner:
            yield from leaves(inner)
