"""Rules that need not be asked: what a schema can prove beforehand, in the same pass as the structure.

Most resources never come near the invariants of their elements (no reference to a contained resource, no period with both
ends …). ``GUARDS`` holds for a rule a schema that is stricter than the rule; a resource that passes the type's schema with
all guards added is *plain*, and only the rules without a guard are left to ask. One that does not pass may still be valid: it
is looked at in the long way. A test holds the two ways to the same verdict.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jsonschema_rs

from benhan.fhir import invariants
from benhan.fhir.structure import compiled, needed_definitions
from benhan.fhir.tables import CHOICES, ELEMENTS

JsonObject = dict[str, Any]


def _without(*keys: str) -> JsonObject:
    """None of the keys is there."""
    return {"properties": {key: {"not": {}} for key in keys}}


def _not_both(one: str, other: str) -> JsonObject:
    return {"not": {"required": [one, other]}}


def _some(*keys: str) -> JsonObject:
    """At least one of the keys is there."""
    return {"anyOf": [{"required": [key]} for key in keys]}


def _needs(key: str, other: str) -> JsonObject:
    return {"dependencies": {key: [other]}}


GUARDS: dict[str, JsonObject] = {
    "ref-1": {"properties": {"reference": {"not": {"pattern": "^#"}}}},
    "per-1": _not_both("start", "end"),
    "qty-3": _needs("code", "system"),
    "sqty-1": _without("comparator"),
    "rng-2": _not_both("low", "high"),
    "rat-1": {"required": ["numerator", "denominator"]},
    "cpt-2": _needs("value", "system"),
    "att-1": _needs("data", "contentType"),
    "dom-2": _without("contained"),
    "dom-4": _without("contained"),
    "dom-5": _without("contained"),
    "obs-3": _some("low", "high", "text"),
    "obs-6": _without("dataAbsentReason"),
    "obs-7": _without("component"),
    "con-1": _some("summary", "assessment"),
    "con-2": _some("code", "detail"),
    "con-4": _without(*CHOICES["Condition"]["abatement"]),
    "con-5": _without("verificationStatus"),
    "cmp-1": _some("text", "entry", "section"),
    "cmp-2": _without("emptyReason"),
    "mad-1": _some("dose", *CHOICES["MedicationAdministration.dosage"]["rate"]),
    "mdd-1": _not_both("whenHandedOver", "whenPrepared"),
    "org-1": _some("identifier", "name"),
    "pat-1": _some("name", "telecom", "address", "organization"),
    "prr-1": _without("orderDetail"),
    "qrs-1": _not_both("answer", "item"),
    "sev-1": _not_both("name", "query"),
}
"""Key of a rule → a schema of the element that bears it, which holds only where the rule holds."""

PROVED = frozenset(GUARDS)
"""The rules that hold in a plain resource."""


def is_plain(kind: str, resource: JsonObject) -> bool:
    """True when a resource has the structure of its type and ``PROVED`` need not be asked."""
    return bool(_validator(kind).is_valid(resource))


@lru_cache(maxsize=512)
def _validator(kind: str) -> Any:
    return compiled(kind, {name: _guarded(name, schema) for name, schema in needed_definitions(kind).items()})


def _guarded(name: str, schema: Any) -> Any:
    guards: list[JsonObject] = []
    for key, _, _ in invariants.rules(name):
        guard = GUARDS.get(key)
        if guard is not None and guard not in guards:
            guards.append(guard)
    beside = [
        f"_{key}" for key, (child, many) in ELEMENTS.get(name, {}).items() if many and child[0].islower()
    ]
    if (
        name == "Extension"
    ):  # the only way to types with rules that hardly any resource has: Age, Timing, Dosage …
        guards.append(_without(*_values_with_rules()))
    if beside:  # lists of primitives with extensions have a rule of their own: invariants.walk
        guards.append(_without(*beside))
    return {"allOf": [schema, *guards]} if guards else schema


def _values_with_rules() -> list[str]:
    """Keys of the values of an Extension below which a rule stands that has no guard."""
    table = ELEMENTS["Extension"].items()
    return [
        key for key, (child, _) in table if not child[0].islower() and invariants.bears_rules(child, PROVED)
    ]


def allows(key: str, element: JsonObject) -> bool:
    """Whether the guard of a rule finds nothing in an element of the type that bears the rule."""
    return bool(jsonschema_rs.Draft4Validator(GUARDS[key]).is_valid(element))
