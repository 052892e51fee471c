"""Expansion of the value sets that HL7 defines, for required bindings (by the generator) and for search.

A value set that draws on a code system that is not shipped (or not complete there) has no expansion.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

Json = dict[str, Any]
Codes = dict[tuple[str, str], None]


class NoExpansion(Exception):
    """The codes of this value set cannot be enumerated from what is shipped; says why."""


class Expander:
    """Expands value sets by canonical address."""

    def __init__(self, definitions: Iterable[Json]) -> None:
        self._systems: dict[str, Json] = {}
        self._sets: dict[str, Json] = {}
        for one in definitions:
            home = self._systems if one["resourceType"] == "CodeSystem" else self._sets
            if "url" in one:
                home[one["url"]] = one

    def codes(self, canonical: str) -> list[tuple[str, str]]:
        """Pairs (system, code), sorted. Raises ``NoExpansion``."""
        return sorted(self._expand(canonical.split("|")[0], frozenset()))

    def system(self, url: str) -> Json | None:
        """A code system that is shipped complete, or None."""
        found = self._systems.get(url)
        return found if found is not None and found.get("content", "complete") == "complete" else None

    def _expand(self, url: str, seen: frozenset[str]) -> Codes:
        if url in seen:
            raise NoExpansion(f"value set includes itself: {url}")
        value_set = self._sets.get(url)
        if value_set is None:
            raise NoExpansion(f"value set not shipped: {url}")
        compose = value_set.get("compose")
        if not compose:
            raise NoExpansion(f"value set without composition: {url}")
        out: Codes = {}
        for part in compose.get("include", []):
            out.update(self._part(part, seen | {url}))
        for part in compose.get("exclude", []):
            for pair in self._part(part, seen | {url}):
                out.pop(pair, None)
        return out

    def _part(self, part: Json, seen: frozenset[str]) -> Codes:
        found: Codes | None = None
        if "system" in part:
            found = dict.fromkeys((part["system"], code) for code in self._system_codes(part))
        for other in part.get("valueSet", []):
            codes = self._expand(other.split("|")[0], seen)
            found = codes if found is None else {pair: None for pair in found if pair in codes}
        return found or {}

    def _system_codes(self, part: Json) -> list[str]:
        if "concept" in part:
            return [c["code"] for c in part["concept"]]
        system = self.system(part["system"])
        if system is None:
            raise NoExpansion(f"code system not shipped complete: {part['system']}")
        parents = dict(concept_parents(system))
        codes = list(parents)
        for rule in part.get("filter", []):
            codes = [code for code in codes if _admits(rule, code, parents)]
        return codes


def concept_parents(system: Json) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each code of a code system with all its ancestors."""
    return _concepts(system.get("concept", []), ())


def _admits(rule: Mapping[str, str], code: str, parents: Mapping[str, tuple[str, ...]]) -> bool:
    if rule["op"] == "is-a":
        return code == rule["value"] or rule["value"] in parents[code]
    if rule["op"] == "descendent-of":
        return rule["value"] in parents[code]
    if rule["op"] == "is-not-a":
        return not (code == rule["value"] or rule["value"] in parents[code])
    raise NoExpansion(f"filter {rule['op']} on {rule['property']}")


def _concepts(concepts: list[Json], above: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Code and all its ancestors: by nesting and by the ``subsumedBy`` property."""
    for concept in concepts:
        extra = tuple(
            p["valueCode"]
            for p in concept.get("property", [])
            if p.get("code") == "subsumedBy" and "valueCode" in p
        )
        yield concept["code"], above + extra
        yield from _concepts(concept.get("concept", []), (*above, *extra, concept["code"]))
