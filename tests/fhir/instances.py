"""Made resources of every type, straight from the official definitions: not by the tables that are under test."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import Any

from benhan.fhir import generate
from benhan.fhir.expansion import Expander, NoExpansion
from benhan.fhir.validation import faults

Json = dict[str, Any]

VALUES: dict[str, list[Any]] = {
    "boolean": [True, False],
    "decimal": [1, 72],
    "integer": [1, 12],
    "unsignedInt": [0, 7],
    "positiveInt": [1, 9],
    "string": ["Bệnh viện", "x"],
    "markdown": ["*x*"],
    "code": ["a-b"],
    "id": ["id-1"],
    "uri": ["urn:a:b"],
    "url": ["https://a.invalid/x"],
    "canonical": ["http://a.invalid/x|1"],
    "oid": ["urn:oid:1.2.3"],
    "uuid": ["urn:uuid:c757873d-ec9a-4326-a141-556f43239520"],
    "date": ["2024-02-29", "2026-01"],
    "dateTime": ["2024-02-29T08:00:00+07:00", "2026"],
    "instant": ["2024-02-29T08:00:00+07:00"],
    "time": ["08:30:00"],
    "base64Binary": ["YQ=="],
}
BROKEN: dict[str, list[Any]] = {
    "boolean": ["true", 1],
    "decimal": ["72.5", True],
    "integer": [2**31, "1"],
    "unsignedInt": [-1, 2**31],
    "positiveInt": [0, "1"],
    "string": ["", "\u0001", 5],
    "markdown": ["", 5],
    "code": ["a  b", " a", "", 5],
    "id": ["a_b", "x" * 65],
    "uri": ["a b", "", "\u0001"],
    "url": ["a b", ""],
    "canonical": ["a b", ""],
    "oid": ["1.2.3", "urn:oid:3.1"],
    "uuid": ["urn:uuid:1"],
    "date": ["2026-02-29", "26-01-01", "2026-13"],
    "dateTime": ["2026-02-29", "2026-01-01T08:00:00", "2026-01-01T25:00:00Z"],
    "instant": ["2026-02-29T08:00:00Z", "2026-01-01"],
    "time": ["24:00:00", "8:30"],
    "base64Binary": ["a", "YQ="],
}
GRAMMARS = {
    "languages": "vi",
    "all-languages": "vi",
    "mimetypes": "text/plain",
    "ucum-units": "mg",
    "currencies": "VND",
}
SYSTEMS = {
    "ucum-units": "http://unitsofmeasure.org",
    "all-languages": "urn:ietf:bcp:47",
    "languages": "urn:ietf:bcp:47",
}


@dataclass(frozen=True)
class Element:
    """One element as a definition has it; ``kinds`` are (key in JSON, type, path of its children)."""

    name: str
    low: int
    high: str
    choice: bool
    kinds: tuple[tuple[str, str, str], ...]
    value_set: str
    targets: tuple[str, ...]

    @property
    def many(self) -> bool:
        return self.high != "1"


@lru_cache(maxsize=1)
def expander() -> Expander:
    return Expander(generate.read("valuesets.json.gz"))


@lru_cache(maxsize=1)
def definitions() -> dict[str, list[Element]]:
    """Path (``Patient``, ``Patient.contact``, ``HumanName``) → its elements."""
    out: dict[str, list[Element]] = {}
    for file in ("profiles-types.json.gz", "profiles-resources.json.gz"):
        for one in generate.read(file):
            if one["resourceType"] == "StructureDefinition" and one["kind"] != "primitive-type":
                _collect(one, out)
    return out


def _collect(definition: Json, out: dict[str, list[Element]]) -> None:
    root, kind = definition["id"], definition["type"]
    rows = [{**e, "path": root + e["path"][len(kind) :]} for e in definition["snapshot"]["element"]]
    parents = {row["path"].rpartition(".")[0] for row in rows}
    out.setdefault(root, [])
    for row in rows[1:]:
        if row["max"] != "0":
            out.setdefault(row["path"].rpartition(".")[0], []).append(_element(row, parents))


def _element(row: Json, parents: set[str]) -> Element:
    path, name = row["path"], row["path"].rpartition(".")[2]
    choice = name.endswith("[x]")
    name = name.removesuffix("[x]")
    kinds = []
    for one in row.get("type", ()):
        code = _kind(row, one)
        key = name + code[0].upper() + code[1:] if choice else name
        kinds.append((key, code, path if path in parents else _profiled(one, code)))
    if "contentReference" in row:
        target = row["contentReference"].rpartition("#")[2]
        kinds = [(name, "BackboneElement", target)]
    binding = row.get("binding", {})
    bound = binding.get("valueSet", "") if binding.get("strength") == "required" else ""
    targets = [t.rpartition("/")[2] for one in row.get("type", ()) for t in one.get("targetProfile", ())]
    most = [x["valueCanonical"] for x in binding.get("extension", ()) if x["url"].endswith("maxValueSet")]
    return Element(
        name, row["min"], row["max"], choice, tuple(kinds), bound or (most or [""])[0], tuple(targets)
    )


def _kind(row: Json, one: Json) -> str:
    code = str(one["code"])
    if code.startswith("http"):
        said = [
            x["valueUrl"]
            for x in one.get("extension", ())
            if x["url"].endswith("structuredefinition-fhir-type")
        ]
        return "id" if row["base"]["path"] == "Resource.id" else said[0] if said else "string"
    return code


def _profiled(one: Json, code: str) -> str:
    profile = "".join(one.get("profile", ())[:1]).rpartition("/")[2]
    return profile if profile in ("SimpleQuantity", "MoneyQuantity") else code


@lru_cache(maxsize=1)
def _profiles() -> list[Json]:
    """Small official StructureDefinitions: their rules bind elements to each other, so that chance finds none."""
    every = generate.read("profiles-types.json.gz")
    small = [d for d in every if d["kind"] == "complex-type" and len(d["snapshot"]["element"]) < 6]
    return [d for d in small if not faults(d)]


class Maker:
    """Makes values of definitions with one source of chance."""

    def __init__(self, seed: str) -> None:
        self.random = Random(seed)

    def resource(self, kind: str) -> Json:
        """A valid resource with as many elements as can stand together; raises ``LookupError`` if none is found."""
        if kind == "StructureDefinition":
            return self._enriched(copy.deepcopy(self.random.choice(_profiles())), kind)
        for _ in range(300):
            out = {"resourceType": kind, **self.object(kind, 0, rich=self.random.random() * 0.5)}
            if not faults(out):
                return self._enriched(out, kind)
        raise LookupError(kind)

    def _enriched(self, out: Json, kind: str) -> Json:
        rows = [e for e in definitions()[kind] if e.name not in ("contained", "text", "id")]
        self.random.shuffle(rows)
        for element in rows:
            if any(key in out for key, _, _ in element.kinds):
                continue
            key, value = self._member(element, 1, 0.5)
            more = {**out, key: value}
            if not faults(more):
                out = more
        return out

    def object(self, path: str, depth: int, rich: float) -> Json:
        out: Json = {}
        rows = [
            e
            for e in definitions()[path]
            if e.name not in ("id", "contained", "extension", "modifierExtension")
        ]
        for element in rows:
            if element.low or (depth < 3 and self.random.random() < rich / (depth + 1)):
                key, value = self._member(element, depth, rich)
                out[key] = value
        while not out and rows:
            key, value = self._member(self.random.choice(rows), 3, 0)
            out = {key: value}
        return out

    def _member(self, element: Element, depth: int, rich: float) -> tuple[str, Any]:
        key, kind, path = self.random.choice(element.kinds)
        count = max(element.low, self.random.choice((1, 1, 2)) if element.many else 1)
        count = count if element.high == "*" else min(count, int(element.high))
        values = [self.value(element, kind, path, depth, rich) for _ in range(count)]
        return key, values if element.many else values[0]

    def value(self, element: Element, kind: str, path: str, depth: int, rich: float) -> Any:
        """One value of an element in one of its types."""
        if kind == "Resource":
            return {"resourceType": "Basic", "code": {"text": "x"}}
        if kind == "xhtml":
            return '<div xmlns="http://www.w3.org/1999/xhtml">x</div>'
        if element.value_set and kind in ("code", "string", "uri", "Coding", "CodeableConcept"):
            return self._coded(element.value_set.split("|")[0], kind)
        if kind in VALUES:
            return self.random.choice(VALUES[kind])
        if kind == "Reference":
            known = [t for t in element.targets if t != "Resource"] or ["Patient"]
            return {"reference": f"{self.random.choice(known)}/1"}
        if kind == "Extension":
            return {"url": "urn:a", "valueString": "x"}
        return self.object(path, depth + 1, rich)

    def _coded(self, url: str, kind: str) -> Any:
        name = url.rpartition("/")[2]
        try:
            system, code = self.random.choice(expander().codes(url))
        except NoExpansion:
            system, code = (
                SYSTEMS.get(name, "urn:a"),
                GRAMMARS.get(name, "N" if "Confiden" in name else "text/plain"),
            )
        coding = {"system": system, "code": code}
        return {"Coding": coding, "CodeableConcept": {"coding": [coding]}}.get(kind, code)


@dataclass(frozen=True)
class Site:
    """A place where an object of a definition stands in an instance: keys to it, its path, its FHIRPath location."""

    keys: tuple[str | int, ...]
    path: str
    where: str


def sites(value: Json, path: str, where: str, keys: tuple[str | int, ...] = ()) -> Iterator[Site]:
    """Every object that a definition describes, nested resources and extensions' inside left out."""
    yield Site(keys, path, where)
    for element in definitions()[path]:
        for key, kind, inner in element.kinds:
            if key not in value or kind in ("Resource", "xhtml", *VALUES) or inner not in definitions():
                continue
            here = f"{where}.{element.name}.ofType({kind})" if element.choice else f"{where}.{element.name}"
            found = value[key]
            if not isinstance(found, list):
                yield from sites(found, inner, here, (*keys, key))
                continue
            for place, one in enumerate(found):
                yield from sites(one, inner, f"{here}[{place}]", (*keys, key, place))
