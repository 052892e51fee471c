"""The compiled definitions in memory, read once: element table, choices, invariants, search tables."""

from __future__ import annotations

import gzip
import json
from functools import lru_cache
from importlib import resources
from typing import Any


@lru_cache(maxsize=8)
def load(name: str) -> dict[str, Any]:
    """Content of ``compiled/<name>.json.gz``."""
    raw = resources.files("benhan.fhir").joinpath("compiled", f"{name}.json.gz").read_bytes()
    content: dict[str, Any] = json.loads(gzip.decompress(raw))
    return content


_MODEL = load("model")

RESOURCE_TYPES: frozenset[str] = frozenset(_MODEL["resources"])
"""Every concrete resource type of FHIR R4."""

ELEMENTS: dict[str, dict[str, tuple[str, bool]]] = {
    kind: {key: (entry[0], entry[1]) for key, entry in table.items()}
    for kind, table in _MODEL["elements"].items()
}
"""Type → JSON key → (FHIR type, is a list)."""

CHOICES: dict[str, dict[str, list[str]]] = _MODEL["choices"]
"""Type → element name of a choice → its JSON keys."""

CHOICE_OF: dict[str, dict[str, str]] = {
    kind: {key: name for name, keys in table.items() for key in keys} for kind, table in CHOICES.items()
}
"""Type → JSON key → element name of the choice it belongs to."""

PARENTS: dict[str, str] = _MODEL["parents"]
"""Type → the type it specialises."""

INVARIANTS: dict[str, list[list[str]]] = _MODEL["invariants"]
"""Type or element path → [key, severity, FHIRPath, human text]."""

UNBOUND: dict[str, str] = _MODEL["unbound"]
"""Elements whose required binding is not checked, with the reason."""


@lru_cache(maxsize=4096)
def ancestors(kind: str) -> tuple[str, ...]:
    """The type itself and all it specialises, nearest first."""
    out = [kind]
    while (kind := PARENTS.get(kind, "")) and kind not in out:
        out.append(kind)
    return tuple(out)


@lru_cache(maxsize=1)
def layout() -> dict[str, dict[str, str]]:
    """Type → JSON key → flags, the keys in the order of the definition, which XML needs.

    Flags: ``a`` an attribute in XML, ``s`` part of the summary, ``m`` mandatory or a modifier.
    """
    return {kind: dict(pairs) for kind, pairs in load("layout")["types"].items()}
