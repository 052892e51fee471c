"""The official example resources: valid, kept digit for digit, and indexed as the oracle does."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from fhirpathpy import evaluate as oracle
from fhirpathpy.models import models

from benhan import fhir
from benhan.base import json_door
from benhan.fhir import generate, invariants
from benhan.fhir.path import Scope, compile_path, evaluate, truth
from benhan.fhir.path_values import resource_node
from benhan.fhir.tables import ELEMENTS, INVARIANTS, UNBOUND, load
from benhan.fhir.validation import faults

EXAMPLES = Path(__file__).parents[1] / "data" / "fhir-r4-examples"
FILES = sorted(EXAMPLES.glob("*.json"))


def read(path: Path) -> dict[str, Any]:
    return json_door.loads_object(path.read_bytes())


@pytest.fixture(scope="module")
def examples() -> list[dict[str, Any]]:
    return [read(path) for path in FILES]


def test_compiled_files_are_those_of_the_definitions() -> None:
    """Generating again gives the bytes that are checked in."""
    for name, content in generate.compile_all().items():
        assert generate.packed(content) == (generate.COMPILED / f"{name}.json.gz").read_bytes(), name


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_example_is_valid(path: Path) -> None:
    """Every official example is accepted, and written back with equal value and digits."""
    resource = read(path)
    fhir.validate(resource)
    again = json_door.loads(json_door.dumps(resource))
    assert json_door.dumps(again) == json_door.dumps(resource)
    assert again == json.loads(path.read_bytes(), parse_float=Decimal)


TRIMMED = {
    "fhir.invariant.eld-18": "the shipped copies are without isModifierReason (definitions/SOURCE.md)",
}
NOT_R4 = {"SubscriptionStatus": "a back-ported R4B definition: its fhirVersion is 4.3.0"}


def test_the_definitions_of_the_specification_are_valid_themselves() -> None:
    """Some 2,700 official resources of six types: all pass but for the reasons written above."""
    judged = 0
    for name in ("profiles-types", "profiles-resources", "search-parameters", "valuesets"):
        for resource in generate.read(f"{name}.json.gz"):
            judged += 1
            wrong = {i.code for i in faults(resource)} - set(TRIMMED)
            assert not wrong or resource["id"] in NOT_R4, (resource["id"], wrong)
    assert judged > 2_700


def test_all_types_are_compiled() -> None:
    """The 148 codes of R4 less the two abstract ones; each schema compiles and has common parameters."""
    from benhan.fhir.structure import validator

    assert len(fhir.RESOURCE_TYPES) == 146
    for name in fhir.RESOURCE_TYPES:
        assert not validator(name).is_valid({"resourceType": name, "khong_co": 1})
        assert {"_id", "_lastUpdated"} <= fhir.search_params(name).keys()


def _plain(nodes: list[Any]) -> list[str]:
    """Values without types, in a form that both engines can be compared in."""
    return sorted(json.dumps(_value(n), sort_keys=True, default=str) for n in nodes)


def _value(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _value(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_value(v) for v in value]
    if isinstance(value, bool) or value is None:
        return value
    return float(value) if isinstance(value, int | float | Decimal) else str(value)


def _floats(value: Any) -> Any:
    """The oracle knows no Decimal inside a resource."""
    if isinstance(value, dict):
        return {k: _floats(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_floats(v) for v in value]
    return float(value) if isinstance(value, Decimal) else value


def test_search_expressions_select_what_the_oracle_selects(examples: list[dict[str, Any]]) -> None:
    """Each search expression of each example's type gives the nodes that fhirpathpy gives.

    Expressions with resolve() are ours alone: the oracle would ask a server. It does not know the base types
    at the head of a path, and its ``as`` takes one item only; R4 search expressions mean ``ofType``.
    """
    compared = 0
    for resource in examples:
        plain = _floats(resource)
        for name, param in fhir.search_params(resource["resourceType"]).items():
            if not param.extracted or "resolve()" in param.expression or param.url.startswith("urn:"):
                continue
            ours = _plain([n[1] for n in evaluate(param.expression, resource) if n[1] is not None])
            asked = re.sub(r"\b(?:Domain)?Resource\.", resource["resourceType"] + ".", param.expression)
            asked = re.sub(r"\(([A-Z][\w.]+) as (\w+)\)", r"\1.ofType(\2)", asked)
            theirs = _plain(oracle(plain, asked, {}, models["r4"]))
            assert sorted(set(ours)) == sorted(set(theirs)), (
                resource["resourceType"],
                name,
                param.expression,
            )
            compared += 1
    assert compared > 1500


def test_written_out_invariants_agree_with_their_expressions(examples: list[dict[str, Any]]) -> None:
    """Those in Python and those compiled give the same verdict, on right and on wrong values."""
    wrong: dict[str, dict[str, Any]] = {
        "ref-1": {"reference": "#khong-co"},
        "per-1": {"start": "2026-05-02", "end": "2026-05-01T10:00:00+07:00"},
        "qty-3": {"value": Decimal("1.0"), "code": "mg"},
        "cpt-2": {"value": "0900000000"},
        "att-1": {"data": "YQ=="},
    }
    right: dict[str, list[dict[str, Any]]] = {
        "ref-1": [{"reference": "#co"}, {"reference": "Patient/1"}, {"display": "x"}],
        "per-1": [
            {"start": "2026-05", "end": "2026-05-01"},
            {"start": "2026-05-01T23:00:00+07:00", "end": "2026-05-01T17:00:00Z"},
            {"start": "2026-05-01"},
        ],
        "qty-3": [{"code": "mg", "system": "http://unitsofmeasure.org"}, {"unit": "mg"}],
        "cpt-2": [{"value": "0900000000", "system": "phone"}, {"use": "home"}],
        "att-1": [{"data": "YQ==", "contentType": "text/plain"}, {"url": "urn:a"}],
    }
    holder = {"resourceType": "Patient", "contained": [{"resourceType": "Organization", "id": "co"}]}
    kinds = {"ref-1": "Reference", "per-1": "Period", "qty-3": "Quantity", "cpt-2": "ContactPoint"}
    for key, kind in (kinds | {"att-1": "Attachment"}).items():
        expression = next(e for k, _, e, _ in INVARIANTS[kind] if k == key)
        for value, expected in [(wrong[key], False), *((v, True) for v in right[key])]:
            node = (kind, value, None)
            scope = Scope(holder, holder, node, node, local_ids=frozenset({"co"}))
            assert invariants.FAST[key](value, scope) is expected, (key, value)
            assert (truth(compile_path(expression)(scope, [node])) is not False) is expected, (key, value)


def test_invariants_of_resources_agree_with_the_oracle(examples: list[dict[str, Any]]) -> None:
    """Each rule of an example's type gives fhirpathpy's verdict (bdl-10 apart: it lacks hasValue)."""
    compared = 0
    for resource in examples:
        plain = _floats(resource)
        for key, _, expression, _ in INVARIANTS.get(resource["resourceType"], []):
            if key == "bdl-10" or "resolve()" in expression:
                continue
            theirs = oracle(plain, expression, {"resource": plain, "rootResource": plain}, models["r4"])
            expected = None if not theirs else theirs[0] if isinstance(theirs[0], bool) else True
            assert truth(evaluate(expression, resource)) == expected, (resource["resourceType"], key)
            compared += 1
    assert compared > 150


def test_what_is_left_unchecked_is_listed() -> None:
    """The only invariants and bindings that are not run are those named, each with a reason."""
    assert set(invariants.skipped()) == {"ele-1", "ext-1", "txt-1", "txt-2"}
    assert set(UNBOUND) == {
        "EvidenceVariable.characteristic.definitionByCombination.code",
        "MolecularSequence.structureVariant.variantType",
    }
    assert all("not shipped" in reason for reason in UNBOUND.values())


def test_resolve_answers_from_what_is_at_hand() -> None:
    """A reference's type is known from its text, from its type element, or from the contained resource."""
    report = {
        "resourceType": "Observation",
        "contained": [{"resourceType": "Patient", "id": "p"}],
        "subject": {"reference": "#p"},
        "performer": [{"reference": "http://a.invalid/fhir/Practitioner/1"}, {"type": "Organization"}],
    }
    assert [n[0] for n in evaluate("Observation.subject.resolve()", report)] == ["Patient"]
    kinds = [n[0] for n in evaluate("Observation.performer.resolve()", report)]
    assert kinds == ["Practitioner", "Organization"]
    assert len(evaluate("Observation.performer.where(resolve() is Practitioner)", report)) == 1
    assert resource_node(report)[0] == "Observation"


def _official_rules() -> dict[str, set[str]]:
    """Key of each error rule of the definitions → the paths it stands on, profiles of data types by their own name."""
    out: dict[str, set[str]] = {}
    for name in ("profiles-types", "profiles-resources"):
        for one in generate.read(f"{name}.json.gz"):
            if one["id"] not in NOT_R4:
                for element in one.get("snapshot", {}).get("element", ()):
                    path = one["id"] + element["path"][len(one["type"]) :].replace("[x]", "")
                    for rule in element.get("constraint", ()):
                        if rule["severity"] == "error" and rule.get("source", one["url"]) == one["url"]:
                            out.setdefault(rule["key"], set()).add(path)
    return out


def test_every_rule_of_the_definitions_is_asked() -> None:
    """Each stands on every path where the definitions put it, and the walk comes by there."""
    official = _official_rules()
    ours: dict[str, set[str]] = {}
    for path, rules in INVARIANTS.items():
        for key, severity, *_ in rules:
            if severity == "error":
                ours.setdefault(key, set()).add(path)
    assert ours == official
    asked: set[str] = set()
    waiting, seen = list(fhir.RESOURCE_TYPES), set()
    while waiting:
        kind = waiting.pop()
        if kind not in seen:
            seen.add(kind)
            asked |= {rule[0] for rule in invariants.rules(kind)}
            for key, (child, _) in ELEMENTS.get(kind, {}).items():
                asked |= {rule[0] for rule in invariants._path_rules(kind, key)}
                waiting.append(child)
    assert set(official) - asked == {"mqty-1"} | set(invariants.COVERED) | set(invariants.SKIPPED)


def test_rules_on_single_elements_are_asked() -> None:
    """Rules that stand on an element, not on its type: on lists, primitives, choices and references to content."""
    wrong: list[tuple[dict[str, Any], str, str]] = [
        ({"resourceType": "Organization", "name": "x", "address": [{"text": "a"}, {"use": "home", "text": "b"}]},
         "org-2", "Organization.address[1]"),
        ({"resourceType": "Organization", "name": "x", "telecom": [{"system": "phone", "use": "home", "value": "1"}]},
         "org-3", "Organization.telecom[0]"),
        ({"resourceType": "RiskAssessment", "status": "final", "subject": {"display": "x"},
          "prediction": [{"probabilityRange": {"low": {"value": 1, "code": "mg", "system": "http://unitsofmeasure.org"}}}]},
         "ras-1", "RiskAssessment.prediction[0].probability.ofType(Range)"),
    ]  # fmt: skip
    for resource, key, where in wrong:
        assert (f"fhir.invariant.{key}", where) in [(i.code, i.expression) for i in faults(resource)]


def test_every_rule_has_its_vietnamese_sentence() -> None:
    """No broken rule is told as a bare key; those on machine names (``xxx-0``) share one sentence."""
    keys = {key for rules in INVARIANTS.values() for key, *_ in rules} - set(invariants.COVERED)
    lacking = {k for k in keys if k not in load("sentences") and not re.fullmatch(r"[a-z]+-0", k)}
    assert not lacking
    assert all(text.endswith(".") for text in load("sentences").values())
    assert set(load("sentences")) - keys == {"?-0"}
