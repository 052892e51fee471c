"""The short ways of the hot paths say what the long ways say: plain paths, proved rules, binary arrays' rows."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benhan.base import json_door
from benhan.fhir import RESOURCE_TYPES, guards, invariants, search_params, structure
from benhan.fhir.path import Scope, compile_path
from benhan.fhir.path_values import resource_node
from benhan.fhir.plain_path import plain_path

EXAMPLES = sorted((Path(__file__).parents[1] / "data" / "fhir-r4-examples").glob("*.json"))
Json = dict[str, Any]


def resources() -> Iterator[Json]:
    """Every official example, and what its Bundles hold."""
    for path in EXAMPLES:
        resource = json_door.loads_object(path.read_bytes())
        yield resource
        for entry in resource.get("entry", []) if resource["resourceType"] == "Bundle" else []:
            if "resource" in entry:
                yield entry["resource"]


ALL = list(resources())


def scope_of(resource: Json) -> Scope:
    """Where an expression starts."""
    node = resource_node(resource)
    return Scope(resource, resource, node, node)


def test_most_parameters_have_plain_paths() -> None:
    """The short way is the common one: else the test below shows nothing."""
    params = [
        (kind, p.expression) for kind in RESOURCE_TYPES for p in search_params(kind).values() if p.extracted
    ]
    plain = [one for one in params if plain_path(one[1], one[0]) is not None]
    assert len(plain) > 0.85 * len(params)


def test_plain_paths_find_what_fhirpath_finds() -> None:
    """Of every parameter in every example: the same nodes with a value, in a union without their order and repeats."""
    looked = 0
    for resource in ALL:
        kind = resource["resourceType"]
        for param in search_params(kind).values():
            find = plain_path(param.expression, kind) if param.extracted else None
            if find is None:
                continue
            node = resource_node(resource)
            long = [
                n[:2] for n in compile_path(param.expression)(scope_of(resource), [node]) if n[1] is not None
            ]
            short = [n[:2] for n in find(resource) if n[1] is not None]
            assert all(one in short for one in long), (kind, param.name)
            assert all(one in long for one in short), (kind, param.name)
            looked += len(long)
    assert looked > 2000


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a resource."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in items:
        yield (*path, key)
        yield from places(one, (*path, key))


def changed(resource: Json, source: random.Random) -> Json:
    """The resource with one thing taken out, put in twice, or given what a rule does not like."""
    made = copy.deepcopy(resource)
    *way, last = source.choice([p for p in places(made) if p != ("resourceType",)])
    holder: Any = made
    for step in way:
        holder = holder[step]
    act = source.randrange(4)
    if act == 0:
        del holder[last]
    elif act == 1 and isinstance(holder[last], dict):
        extra = {
            "reference": "#none", "code": "g", "start": "2030", "end": "2020", "value": "1", "data": "QQ==",
            "comparator": "<", "dataAbsentReason": {"text": "x"}, "emptyReason": {"text": "x"}, "query": "QQ==",
        }  # fmt: skip
        key = source.choice(sorted(extra))
        holder[last][key] = extra[key]
    elif act == 2 and isinstance(holder[last], dict):
        holder[last].pop(source.choice(sorted(holder[last]) or [""]), None)
    elif isinstance(holder[last], str) and last == "reference":
        holder[last] = "#none"
    return made


def assert_proved(resource: Json) -> bool:
    """A plain resource has a right structure and breaks none of the rules that were not asked; gives whether it is plain."""
    kind = resource["resourceType"]
    if not guards.is_plain(kind, resource):
        return False
    assert structure.issues(kind, resource, kind) == []
    asked = list(invariants.walk(resource, kind, kind, scope_of(resource), guards.PROVED))
    every = list(invariants.walk(resource, kind, kind, scope_of(resource)))
    assert {(i.code, i.expression) for i in asked} == {(i.code, i.expression) for i in every}
    return True


def test_rules_that_are_not_asked_hold() -> None:
    """Over all examples and four changes of each: what is found plain would have passed the long way too."""
    source = random.Random(7)
    plain = sum(assert_proved(one) for one in ALL)
    assert plain > 0.4 * len(ALL)
    for resource in ALL:
        if len(json_door.dumps(resource)) < 20_000:
            for _ in range(4):
                assert_proved(changed(resource, source))


@pytest.mark.long
@pytest.mark.parametrize("seed", range(10))
def test_rules_that_are_not_asked_hold_often(seed: int) -> None:
    """The same with two hundred changes of each."""
    source = random.Random(100 + seed)
    for resource in ALL:
        if len(json_door.dumps(resource)) < 20_000:
            for _ in range(20):
                assert_proved(changed(resource, source))


BROKEN: dict[str, tuple[str, Json]] = {
    "ref-1": ("Reference", {"reference": "#none"}),
    "per-1": ("Period", {"start": "2030", "end": "2020"}),
    "qty-3": ("Quantity", {"code": "g"}),
    "sqty-1": ("SimpleQuantity", {"comparator": "<"}),
    "rng-2": ("Range", {"low": {"value": 2}, "high": {"value": 1}}),
    "rat-1": ("Ratio", {"numerator": {"value": 2}}),
    "cpt-2": ("ContactPoint", {"value": "1"}),
    "att-1": ("Attachment", {"data": "QQ=="}),
    "dom-2": ("Patient", {"contained": [{"resourceType": "Patient"}]}),
    "dom-4": ("Patient", {"contained": [{"resourceType": "Patient"}]}),
    "dom-5": ("Patient", {"contained": [{"resourceType": "Patient"}]}),
    "obs-3": ("Observation.referenceRange", {"type": {"text": "x"}}),
    "obs-6": ("Observation", {"dataAbsentReason": {"text": "x"}, "valueString": "x"}),
    "obs-7": ("Observation", {"component": [], "valueString": "x"}),
    "con-1": ("Condition.stage", {"type": {"text": "x"}}),
    "con-2": ("Condition.evidence", {"id": "x"}),
    "con-4": ("Condition", {"abatementString": "x"}),
    "con-5": ("Condition", {"verificationStatus": {"text": "x"}}),
    "cmp-1": ("Composition.section", {"title": "x"}),
    "cmp-2": ("Composition.section", {"emptyReason": {"text": "x"}, "entry": []}),
    "mad-1": ("MedicationAdministration.dosage", {"text": "x"}),
    "mdd-1": ("MedicationDispense", {"whenHandedOver": "2020", "whenPrepared": "2021"}),
    "org-1": ("Organization", {"active": True}),
    "pat-1": ("Patient.contact", {"gender": "male"}),
    "prr-1": ("ServiceRequest", {"orderDetail": [{"text": "x"}]}),
    "qrs-1": ("QuestionnaireResponse.item", {"answer": [], "item": []}),
    "sev-1": ("AuditEvent.entity", {"name": "x", "query": "QQ=="}),
}


@pytest.mark.parametrize("key", sorted(guards.GUARDS))
def test_no_guard_lets_its_fault_pass(key: str) -> None:
    """For each guard an element that breaks its rule (or comes near it): the schema of the element refuses it."""
    kind, element = BROKEN[key]
    assert key in {rule[0] for rule in invariants.rules(kind)}
    assert not guards.allows(key, element)
