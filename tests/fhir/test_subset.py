"""``_elements`` and ``_summary``: what stays, what goes, and that nobody takes a part for the whole."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from benhan import fhir
from benhan.base import json_door
from benhan.base.errors import InvalidInput

FILES = sorted((Path(__file__).parents[1] / "data" / "fhir-r4-examples").glob("*.json"))
TAG = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}
WEIGHT: dict[str, Any] = {
    "resourceType": "Observation",
    "id": "w",
    "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">Cân nặng 72,50</div>'},
    "status": "final",
    "code": {"text": "Cân nặng"},
    "note": [{"text": "cân buổi sáng"}],
    "valueQuantity": {
        "value": Decimal("72.50"),
        "unit": "kg",
        "extension": [{"url": "urn:a", "valueCode": "b"}],
    },
    "referenceRange": [{"text": "50–80"}],
}


def test_elements_keep_what_is_named_and_what_must_stand() -> None:
    """Named by the choice; status and code are mandatory; digits stay; the resource itself is untouched."""
    part = fhir.elements(WEIGHT, ["value"])
    assert list(part) == ["resourceType", "id", "meta", "status", "code", "valueQuantity"]
    assert b'"value":72.50' in json_door.dumps(part)
    assert part["meta"]["tag"] == [TAG]
    assert "meta" not in WEIGHT
    assert fhir.elements(part, ["value"])["meta"]["tag"] == [TAG]


def test_elements_of_another_type_and_extensions_of_primitives() -> None:
    """``Patient.birthDate`` says nothing about an Observation; ``_birthDate`` comes with ``birthDate``."""
    assert "valueQuantity" not in fhir.elements(WEIGHT, ["Patient.value", "khongCo"])
    patient = {"resourceType": "Patient", "birthDate": "2000", "_birthDate": {"id": "x"}, "gender": "male"}
    assert set(fhir.elements(patient, ["Patient.birthDate"])) == {
        "resourceType", "meta", "birthDate", "_birthDate",
    }  # fmt: skip
    assert fhir.has_element("Patient", "deceased")
    assert not fhir.has_element("Patient", "khongCo")


def test_summary_modes() -> None:
    """true by the definition at every depth; text is the narrative and what is mandatory; data all but it."""
    short = fhir.summary(WEIGHT, "true")
    assert set(short) == {"resourceType", "id", "meta", "status", "code", "valueQuantity"}
    assert short["valueQuantity"] == {"value": Decimal("72.50"), "unit": "kg"}
    assert set(fhir.summary(WEIGHT, "text")) == {"resourceType", "id", "meta", "text", "status", "code"}
    assert set(WEIGHT) - set(fhir.summary(WEIGHT, "data")) == {"text"}
    assert fhir.summary(WEIGHT, "false") is WEIGHT
    with pytest.raises(InvalidInput) as caught:
        fhir.summary(WEIGHT, "count")
    assert caught.value.code == "fhir.summary-mode"


def test_resources_inside_a_bundle_are_marked_too() -> None:
    """A summary of a stored Bundle summarises and marks what it holds."""
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": WEIGHT}]}
    inside = fhir.summary(bundle, "true")["entry"][0]["resource"]
    assert "note" not in inside
    assert inside["meta"]["tag"] == [TAG]


@pytest.mark.parametrize("mode", ["true", "text", "data"])
def test_parts_of_every_example_hold_what_is_mandatory(mode: str) -> None:
    """No part of a valid resource lacks an element that the definition requires."""
    for path in FILES:
        part = fhir.summary(json_door.loads_object(path.read_bytes()), mode)
        missing = [i for i in fhir.judge(part) if i.code == "fhir.element-missing"]
        assert not missing, (path.name, missing)
        assert TAG in part["meta"]["tag"]
