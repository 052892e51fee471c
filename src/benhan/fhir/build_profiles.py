"""Local profiles: differences in ``profiles.yaml`` → StructureDefinitions with differential and snapshot.

Used by the generator only. A snapshot is the base's, with slices laid beside the sliced element and data types
opened where a difference reaches into them (FHIR R4, profiling, "Snapshot").
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]

CANONICAL = "urn:benhan:profile:"
DATE = "2026-11-23"
_BASE = "http://hl7.org/fhir/StructureDefinition/"
_SHORT_FORMS = ("slicing", "system", "codes", "url", "matches", "said", "types")


def build(sources: list[Json], definitions: Mapping[str, Json]) -> list[Json]:
    """StructureDefinitions of the sources. Raises: ``ValueError`` for an element that the base does not have."""
    return [_profile(source, definitions) for source in sources]


def _profile(source: Json, definitions: Mapping[str, Json]) -> Json:
    base = definitions[source["type"]]
    url = CANONICAL + source["id"].removeprefix("benhan-")
    differential = _differential(source)
    snapshot = _Snapshot(base, definitions)
    for element in differential:
        snapshot.merge(element, url)
    return {
        "resourceType": "StructureDefinition",
        "id": source["id"],
        "url": url,
        "version": DATE,
        "name": "".join(word.title() for word in source["id"].split("-")),
        "title": source["title"],
        "status": "active",
        "date": DATE,
        "publisher": "Bệnh Án",
        "description": source["description"],
        "fhirVersion": "4.0.1",
        "kind": "resource",
        "abstract": False,
        "type": source["type"],
        "baseDefinition": base["url"],
        "derivation": "constraint",
        "snapshot": {"element": snapshot.elements},
        "differential": {"element": [{"id": source["type"], "path": source["type"]}, *differential]},
    }


def _differential(source: Json) -> list[Json]:
    """The differences written out, those of one element together and in the order of the source."""
    out: dict[str, Json] = {}
    numbers = 0
    for name, given in source["elements"].items():
        key = f"{source['type']}.{name}"
        out[key] = {**out.get(key, {}), **{k: v for k, v in given.items() if k not in _SHORT_FORMS}}
        if ":" in name.rpartition(".")[2]:
            out[key]["sliceName"] = name.rpartition(":")[2]
        if "slicing" in given:
            by = [{"type": "value", "path": path} for path in given["slicing"]]
            out[key]["slicing"] = {"discriminator": by, "rules": "open"}
        if "types" in given:
            out[key]["type"] = [{"code": code} for code in given["types"]]
        if "matches" in given:
            numbers += 1
            rule = f"$this.toString().matches('{given['matches']}')"
            out[key]["constraint"] = [
                {
                    "key": f"{source['id'].removeprefix('benhan-')}-{numbers}",
                    "severity": "error",
                    "human": given["said"],
                    "expression": rule,
                }
            ]
        for child, more in _children(given).items():
            out[f"{key}.{child}"] = {**out.get(f"{key}.{child}", {}), **more}
    return [{"id": key, "path": _path(key), **element} for key, element in out.items()]


def _children(given: Json) -> dict[str, Json]:
    if "system" in given:
        return {"system": {"min": 1, "fixedUri": given["system"]}, "value": {"min": 1}}
    if "codes" in given:
        return {"system": {"min": 1, "fixedUri": given["codes"]}, "code": {"min": 1}}
    return {"url": {"fixedUri": given["url"]}} if "url" in given else {}


def _path(key: str) -> str:
    """``Patient.identifier:cccd.value`` → ``Patient.identifier.value``."""
    return ".".join(step.partition(":")[0] for step in key.split("."))


class _Snapshot:
    """The elements of a snapshot while differences are merged into it."""

    def __init__(self, base: Json, definitions: Mapping[str, Json]) -> None:
        self._definitions = definitions
        self.elements: list[Json] = [_own(e) for e in base["snapshot"]["element"]]

    def merge(self, difference: Json, source: str) -> None:
        """Put one difference over the element it names, made if need be."""
        element = self._find(difference["id"])
        rules = [{**rule, "source": source} for rule in difference.get("constraint", ())]
        more = {k: v for k, v in difference.items() if k != "constraint"}
        element.update(copy.deepcopy(more))
        if rules:
            element["constraint"] = [*element.get("constraint", ()), *rules]

    def _at(self, key: str) -> int | None:
        return next((n for n, e in enumerate(self.elements) if e["id"] == key), None)

    def _find(self, key: str) -> Json:
        place = self._at(key)
        if place is None:
            place = self._slice(key) if ":" in key.rpartition(".")[2] else self._open(key)
        return self.elements[place]

    def _end(self, key: str) -> int:
        """Place behind an element, all below it and all its slices."""
        last = [
            n
            for n, e in enumerate(self.elements)
            if e["id"] == key or e["id"].startswith((key + ".", key + ":"))
        ]
        return last[-1] + 1

    def _slice(self, key: str) -> int:
        whole = key.rpartition(":")[0]
        plain = copy.deepcopy(self._find(whole))
        plain.pop("slicing", None)
        place = self._end(whole)
        self.elements.insert(place, {**plain, "id": key, "min": 0})
        return place

    def _open(self, key: str) -> int:
        """Lay the elements of a data type below the element that has it."""
        parent = key.rpartition(".")[0]
        holder = self._find(parent)
        codes = [one["code"] for one in holder.get("type", ())]
        if len(codes) != 1 or codes[0] not in self._definitions:
            raise ValueError(f"no type to open at {parent}: {codes}")
        inner = self._definitions[codes[0]]["snapshot"]["element"][1:]
        place = (self._at(parent) or 0) + 1
        opened = [
            _own({**e, "id": _below(parent, e["id"]), "path": _below(_path(parent), e["path"])})
            for e in inner
        ]
        self.elements[place:place] = opened
        found = self._at(key)
        if found is None:
            raise ValueError(f"{key} is not an element of {codes[0]}")
        return found


def _below(parent: str, path: str) -> str:
    return parent + path[path.index(".") :]


def _own(element: Json) -> Json:
    out = copy.deepcopy(element)
    if out.get("isModifier"):
        out.setdefault("isModifierReason", "As in the base definition")
    return out
