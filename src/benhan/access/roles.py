"""Roles, permissions and resource rights, read once from the YAML tables of this room.

Nothing here decides for a person: `permissions` and `policy` do, from these tables. What a table does not
name is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import yaml

from benhan.store import Action

AccountKind = Literal["staff", "admin", "external", "patient"]
PermissionScope = Literal["none", "khoa", "facility"]

#: Letters of SMART v2 scopes (and x for export) and what each admits at the store.
LETTERS: Mapping[str, frozenset[Action]] = {
    "c": frozenset({Action.CREATE}),
    "r": frozenset({Action.READ, Action.VREAD, Action.HISTORY}),
    "u": frozenset({Action.UPDATE}),
    "d": frozenset({Action.DELETE}),
    "s": frozenset({Action.SEARCH, Action.COUNT}),
    "x": frozenset({Action.EXPORT}),
}


@dataclass(frozen=True, slots=True)
class Role:
    """A role: code, Vietnamese title, type of account that may hold it, and whether it belongs to a khoa."""

    code: str
    title: str
    kind: AccountKind
    khoa: bool


@dataclass(frozen=True, slots=True)
class Permission:
    """A permission: name, Vietnamese title, and the scope in which each role has it."""

    name: str
    title: str
    roles: Mapping[str, PermissionScope]


def actions_of(letters: str) -> frozenset[Action]:
    """Actions of a string of letters; inclusion in another's search needs both reading and searching."""
    out: set[Action] = set()
    for letter in letters:
        out |= LETTERS[letter]
    if {"r", "s"} <= set(letters):
        out.add(Action.INCLUDE)
    return frozenset(out)


@cache
def table(name: str) -> dict[str, Any]:
    """A table of this room; not to be changed by who reads it."""
    text = files("benhan.access").joinpath("data", name).read_text(encoding="utf-8")
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


def roles() -> tuple[Role, ...]:
    """All roles, in the order of the table."""
    return tuple(role_table().values())


@cache
def role_table() -> Mapping[str, Role]:
    """All roles by code."""
    return {
        code: Role(code, r["title"], r["kind"], r["khoa"]) for code, r in table("roles.yaml")["roles"].items()
    }


@cache
def permissions() -> Mapping[str, Permission]:
    """All permissions by name."""
    return {
        name: Permission(name, p["title"], dict(p["roles"]))
        for name, p in table("permissions.yaml")["permissions"].items()
    }


@cache
def groups() -> Mapping[str, tuple[str, ...]]:
    """Groups of resource types; a type lies in one group only."""
    return {name: tuple(types) for name, types in table("resources.yaml")["groups"].items()}


@cache
def role_rights(role: str) -> Mapping[str, frozenset[Action]]:
    """Resource type → actions of one role; empty for a role that is not in the table."""
    rights = table("resources.yaml")["roles"].get(role, {})
    return {kind: actions_of(letters) for group, letters in rights.items() for kind in groups()[group]}


@cache
def rights_of(codes: frozenset[str]) -> Mapping[str, frozenset[Action]]:
    """Union of the rights of several roles."""
    out: dict[str, frozenset[Action]] = {}
    for code in codes:
        for kind, actions in role_rights(code).items():
            out[kind] = out.get(kind, frozenset()) | actions
    return out
