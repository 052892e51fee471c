"""SearchParameters and the patient compartment → one table per resource type. Used by the generator only."""

from __future__ import annotations

import re
from typing import Any

Json = dict[str, Any]

_ALL_TYPES = ("Resource", "DomainResource")
_RELATIONSHIP = "http://hl7.org/fhir/SearchParameter/DocumentReference-relationship"
#: R4 gives the components of this parameter each other's expression.
_EXCHANGED = {(_RELATIONSHIP, "code"): "target", (_RELATIONSHIP, "target"): "code"}


def split_union(expression: str) -> list[str]:
    """The members of a FHIRPath union, split at ``|`` outside brackets and quotes."""
    parts: list[str] = []
    depth = 0
    quoted = False
    start = 0
    for place, char in enumerate(expression):
        if char == "'":
            quoted = not quoted
        elif quoted:
            continue
        elif char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
        elif char == "|" and depth == 0:
            parts.append(expression[start:place].strip())
            start = place + 1
    parts.append(expression[start:].strip())
    return parts


def expression_for(expression: str, resource_type: str, parents: tuple[str, ...]) -> str:
    """The members of the union that start at this type or at one of its bases; a bare element is of this type."""
    own = []
    for part in split_union(expression):
        if re.fullmatch(r"[a-z]\w*", part):  # InsurancePlan-name is written ``name | alias``
            part = f"{resource_type}.{part}"
        head = re.match(r"[(\s]*([A-Z][A-Za-z]*)", part)
        if head and head.group(1) in (resource_type, *parents):
            own.append(part)
    return " | ".join(own)


def build(parameters: list[Json], resource_types: list[str]) -> dict[str, dict[str, Json]]:
    """type → parameter name → {type, expression, target, components, url}; keys sorted."""
    by_url = {p["url"]: p for p in parameters}
    out: dict[str, dict[str, Json]] = {name: {} for name in resource_types}
    for parameter in sorted(parameters, key=lambda p: str(p["url"])):
        for base in parameter["base"]:
            for resource_type in resource_types if base in _ALL_TYPES else [base]:
                if resource_type not in out or (base == "DomainResource" and _bare(resource_type)):
                    continue
                out[resource_type][parameter["code"]] = _entry(parameter, resource_type, by_url)
    return {name: dict(sorted(params.items())) for name, params in sorted(out.items())}


def _bare(resource_type: str) -> bool:
    return resource_type in ("Bundle", "Binary", "Parameters")


def _entry(parameter: Json, resource_type: str, by_url: dict[str, Json]) -> Json:
    entry: Json = {
        "type": parameter["type"],
        "expression": expression_for(parameter.get("expression", ""), resource_type, _ALL_TYPES),
        "url": parameter["url"],
    }
    if parameter.get("target"):
        entry["target"] = sorted(parameter["target"])
    if parameter.get("component"):
        entry["components"] = [
            {
                "code": by_url[c["definition"]]["code"],
                "type": by_url[c["definition"]]["type"],
                "expression": _EXCHANGED.get((parameter["url"], c["expression"]), c["expression"]),
            }
            for c in parameter["component"]
            if c["definition"] in by_url
        ]
    return entry


def compartment(definition: Json) -> dict[str, list[str]]:
    """type → search parameters that put a resource into the patient compartment."""
    return {r["code"]: r["param"] for r in definition["resource"] if r.get("param")}
