"""SMART App Launch 2.2 scopes of version 2 for systems: ``system/Observation.rs``, ``system/*.cruds``.

Scopes with a query (``?category=…``), of users or patients, and of version 1 (``.read``) are not granted:
a scope that cannot be enforced is not promised.

One letter is ours: ``x``, bulk export. Bulk Data clients ask for ``rs``; a client gets ``x`` with it when it was registered
with it, so that whoever may read one by one may not for that reason take everything away.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from benhan.access.roles import actions_of, groups
from benhan.fhir import RESOURCE_TYPES
from benhan.store import Action

#: A scope of ours, granted to a client registered with it: rows of sensitive groups are not hidden from the machine.
SENSITIVE = "benhan/sensitive"
_SCOPE = re.compile(r"system/(\*|[A-Z][A-Za-z]+)\.(c?r?u?d?s?x?)")


def parse(scope: str) -> tuple[str, str] | None:
    """``(type or *, letters)`` of one system scope; None when it is not one this node enforces."""
    match = _SCOPE.fullmatch(scope)
    if match is None or not match[2]:
        return None
    return match[1], match[2]


def narrow(requested: str, allowed: str) -> str:
    """The part of ``requested`` that ``allowed`` covers, as a scope string in the order requested; may be
    empty.
    """
    limits = [p for p in map(parse, allowed.split()) if p is not None]
    out: list[str] = []
    for wanted in map(parse, requested.split()):
        if wanted is None:
            continue
        out.extend(_cut(wanted, limits))
    if out and SENSITIVE in requested.split() and SENSITIVE in allowed.split():
        out.append(SENSITIVE)
    return " ".join(dict.fromkeys(out))


def _cut(wanted: tuple[str, str], limits: list[tuple[str, str]]) -> list[str]:
    kind, letters = wanted
    if {"r", "s"} <= set(letters) and "x" not in letters:
        letters += "x"
    covered = {x for limit, have in limits if limit in ("*", kind) for x in have}
    whole = "".join(x for x in letters if x in covered)
    out = [f"system/{kind}.{whole}"] if whole else []
    if kind == "*":  # beside what holds for all types, the single types that allow more
        for limit, have in limits:
            more = "".join(x for x in letters if x in have)
            if limit != "*" and more and set(more) - set(whole):
                out.append(f"system/{limit}.{more}")
    return out


@lru_cache(maxsize=256)
def rights_of_scopes(scopes: str) -> Mapping[str, frozenset[Action]]:
    """Resource type → actions of a granted scope string. No scope reaches the access trail or the plumbing
    types.
    """
    letters: dict[str, set[str]] = {}
    reachable = RESOURCE_TYPES - set(groups()["trail"]) - set(groups()["plumbing"])
    for parsed in map(parse, scopes.split()):
        if parsed is None:
            continue
        kind, given = parsed
        for name in reachable if kind == "*" else reachable & {kind}:
            letters.setdefault(name, set()).update(given)
    return {name: actions_of("".join(sorted(given))) for name, given in letters.items()}
