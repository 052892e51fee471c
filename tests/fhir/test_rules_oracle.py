"""Every rule of the specification, asked of made resources and of broken ones, gives fhirpathpy's verdict."""

from __future__ import annotations

import contextlib
import copy
import io
from collections.abc import Iterator
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from fhirpathpy import evaluate as oracle
from fhirpathpy.models import models
from tests.fhir.instances import Json, Maker, sites

from benhan import fhir
from benhan.fhir.path import Scope, compile_path, truth
from benhan.fhir.tables import INVARIANTS, PARENTS

NOT_ASKED = {
    "ele-1": "the schema's",
    "ext-1": "the schema's",
    "txt-1": "the narrative check's",
    "txt-2": "the narrative check's",
    "dom-3": "written out; its own tests",
    "ref-1": "written out, held to its expression in test_examples",
    "per-1": "the oracle lacks hasValue(); held to its expression in test_examples",
    "bdl-10": "the oracle lacks hasValue()",
    "age-1": "the oracle lacks hasValue()",
}


def _plain(value: Any) -> Any:
    """The oracle knows no Decimal inside a resource."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_plain(v) for v in value]
    return float(value) if isinstance(value, Decimal) else value


def _objects(value: Any) -> Iterator[Json]:
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from _objects(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _objects(inner)


def thinned(resource: Json, random: Random) -> Json:
    """The resource without some of its elements: what rules are for."""
    out = copy.deepcopy(resource)
    for _ in range(random.randint(1, 4)):
        rich = [one for one in _objects(out) if len(one) > 1]
        if rich:
            holder = random.choice(rich)
            holder.pop(random.choice([k for k in holder if k != "resourceType"]))
    return out


def _rules(path: str) -> Iterator[tuple[str, str]]:
    at: str | None = path
    while at:
        yield from ((key, expression) for key, _, expression, _ in INVARIANTS.get(at, ()))
        at = PARENTS.get(at)


def compare(resource: Json) -> int:
    """Ask every rule at every place of both engines; how many were asked."""
    kind, plain, asked = resource["resourceType"], _plain(resource), 0
    for site in sites(resource, kind, kind):
        value, twin = resource, plain
        for step in site.keys:
            value, twin = value[step], twin[step]
        node = (site.path, value, None)
        for key, expression in _rules(site.path):
            if key in NOT_ASKED or "resolve()" in expression:
                continue
            ours = truth(compile_path(expression)(Scope(resource, resource, node, node), [node]))
            about = {
                "resource": plain,
                "rootResource": plain,
                "context": twin,
                "ucum": "http://unitsofmeasure.org",
            }
            asking = {"base": site.path, "expression": expression} if site.keys else expression
            theirs = oracle(twin, asking, about, models["r4"])
            assert (ours is False) == (theirs == [False]), (key, site.where, expression, value)
            asked += 1
    return asked


def _compared(kind: str, turns: int) -> int:
    asked = 0
    with contextlib.redirect_stdout(io.StringIO()):  # trace() of the oracle prints
        for turn in range(turns):
            maker = Maker(f"rules {kind} {turn}")
            resource = maker.resource(kind)
            asked += compare(resource) + compare(thinned(resource, maker.random))
    return asked


def test_rules_agree_on_a_resource_of_each_type() -> None:
    """All 146 types, whole and thinned."""
    assert sum(_compared(kind, 1) for kind in sorted(fhir.RESOURCE_TYPES)) > 1_500


@pytest.mark.long
@pytest.mark.parametrize("kind", sorted(fhir.RESOURCE_TYPES))
def test_rules_agree_at_length(kind: str) -> None:
    """Forty resources a type; a Binary has no rules."""
    assert _compared(kind, 20) > 0 or kind == "Binary"
