"""Local profiles: valid themselves, and what they ask is asked at the right place."""

from __future__ import annotations

import copy
from decimal import Decimal
from typing import Any

import pytest

from benhan import fhir
from benhan.base.errors import InvalidInput
from benhan.fhir.profiling import compile_profile
from benhan.fhir.validation import faults

Json = dict[str, Any]
P = "urn:benhan:profile:"
CCCD = {"system": "urn:benhan:id:cccd", "value": "051075000031"}
PERSON: Json = {
    "resourceType": "Patient",
    "identifier": [CCCD, {"system": "urn:cua-noi-khac", "value": "x"}],
    "name": [{"text": "Nguyễn Văn Mẫu"}],
    "gender": "male",
}
BED: Json = {
    "resourceType": "Location",
    "identifier": [{"system": "urn:benhan:giuong", "value": "K01/101/H001"}],
    "name": "Buồng 101, giường H001",
    "physicalType": {
        "coding": [{"system": "http://terminology.hl7.org/CodeSystem/location-physical-type", "code": "bd"}]
    },
    "managingOrganization": {"identifier": {"system": "urn:benhan:id:ma-cskcb", "value": "51Z01"}},
}
DISPENSE: Json = {
    "resourceType": "MedicationDispense",
    "status": "completed",
    "medicationCodeableConcept": {"coding": [
        {"system": "http://www.whocc.no/atc", "code": "N02BE01"}, {"system": "urn:benhan:thuoc", "code": "T001"},
    ]},
    "subject": {"reference": "Patient/1"},
    "context": {"reference": "Encounter/1"},
    "performer": [{"actor": {"reference": "Practitioner/1"}}],
    "authorizingPrescription": [{"reference": "MedicationRequest/1"}],
    "quantity": {"value": Decimal("10.0"), "unit": "viên"},
    "whenHandedOver": "2026-11-23T08:00:00+07:00",
}  # fmt: skip


def found(resource: Json, profile: str) -> list[tuple[str, str | None]]:
    fhir.validate(resource)
    return [(i.code, i.expression) for i in fhir.judge(resource, P + profile) if i.severity == "error"]


def changed(resource: Json, **over: Any) -> Json:
    return {k: v for k, v in {**copy.deepcopy(resource), **over}.items() if v is not None}


@pytest.mark.parametrize("url", sorted(fhir.profiles()))
def test_profiles_are_valid_definitions_with_snapshot(url: str) -> None:
    """Each is a StructureDefinition that FHIR's own rules admit, with every sliced element in it."""
    definition = fhir.profiles()[url]
    assert faults(definition) == []
    ids = [e["id"] for e in definition["snapshot"]["element"]]
    assert len(set(ids)) == len(ids)
    assert {e["id"] for e in definition["differential"]["element"]} <= set(ids)
    assert fhir.from_xml(fhir.to_xml(definition)) == definition


def test_what_follows_a_profile_is_accepted() -> None:
    """Other identifiers, other codings and extensions are open to everybody."""
    for resource, profile in ((PERSON, "nguoi-benh"), (BED, "giuong"), (DISPENSE, "cap-phat-thuoc")):
        assert found(resource, profile) == []


@pytest.mark.parametrize(
    ("profile", "resource", "expected"),
    [
        ("nguoi-benh", changed(PERSON, name=None), [("fhir.profile-min", "Patient.name")]),
        ("nguoi-benh", changed(PERSON, name=[{"family": "A"}]), [("fhir.profile-min", "Patient.name[0].text")]),
        ("nguoi-benh", changed(PERSON, identifier=[{"system": "urn:a", "value": "1"}, {**CCCD, "value": "51"}]),
         [("fhir.profile.nguoi-benh-1", "Patient.identifier[1].value")]),
        ("nguoi-benh", changed(PERSON, identifier=[CCCD, CCCD]), [("fhir.profile-max", "Patient.identifier")]),
        ("nguoi-benh", changed(PERSON, identifier=[{"system": CCCD["system"]}], gender=None),
         [("fhir.profile-min", "Patient.identifier[0].value"), ("fhir.profile-min", "Patient.gender")]),
        ("nguoi-benh", BED, [("fhir.profile-type", "Location")]),
        ("giuong", changed(BED, identifier=[CCCD]), [("fhir.profile-min", "Location.identifier")]),
        ("giuong", changed(BED, physicalType={"coding": [{**BED["physicalType"]["coding"][0], "code": "ro"}]}),
         [("fhir.profile-value", "Location.physicalType.coding[0].code")]),
        ("cap-phat-thuoc", changed(DISPENSE, medicationCodeableConcept={"coding": [{"system": "urn:a", "code": "b"}]}),
         [("fhir.profile-min", "MedicationDispense.medication.ofType(CodeableConcept).coding")]),
        ("cap-phat-thuoc", changed(DISPENSE, medicationCodeableConcept=None, medicationReference={"display": "x"}),
         [("fhir.profile-type", "MedicationDispense.medication.ofType(Reference)")]),
        ("dot-dieu-tri", {"resourceType": "Encounter", "status": "planned", "class": {"code": "IMP"},
         "subject": {"display": "x"}, "serviceProvider": {"display": "y"}, "partOf": {"display": "z"},
         "period": {"start": "2026"}, "identifier": [{"system": "urn:benhan:ma-lk", "value": "1"}]},
         [("fhir.profile-min", "Encounter.class.system"), ("fhir.profile-max", "Encounter.partOf")]),
        ("ho-so-benh-an", {"resourceType": "Composition", "status": "final", "date": "2026", "title": "x",
         "type": {"coding": [{"system": "urn:benhan:mau", "code": "khac"}]}, "author": [{"display": "x"}],
         "subject": {"display": "x"}, "encounter": {"display": "x"}, "custodian": {"display": "x"},
         "extension": [{"url": "urn:benhan:record-state", "valueString": "open"}],
         "identifier": {"system": "urn:benhan:id:so-benh-an", "value": "1"}},
         [("fhir.profile-type", "Composition.extension[0].value.ofType(string)"),
          ("fhir.profile-value", "Composition.type")]),
    ],
)  # fmt: skip
def test_what_a_profile_misses_is_told_at_its_place(
    profile: str, resource: Json, expected: list[tuple[str, str]]
) -> None:
    """Every fault of a case, and no other."""
    assert sorted(found(resource, profile)) == sorted(expected)


def test_a_resource_is_held_to_the_profile_it_names() -> None:
    """At the gate of the store; with a version, too; a profile that is not ours is a warning of $validate only."""
    bad = changed(PERSON, gender=None, meta={"profile": [P + "nguoi-benh"]})
    with pytest.raises(InvalidInput) as caught:
        fhir.validate(bad)
    assert [i.expression for i in caught.value.issues] == ["Patient.gender"]
    version = fhir.profiles()[P + "nguoi-benh"]["version"]
    assert faults(changed(bad, meta={"profile": [f"{P}nguoi-benh|{version}"]}))
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": bad}]}
    assert [i.expression for i in faults(bundle)] == ["Bundle.entry[0].resource.gender"]
    strange = changed(bad, meta={"profile": ["http://a.invalid/StructureDefinition/x"]})
    fhir.validate(strange)
    assert ("warning", "fhir.profile-unknown") in [(i.severity, i.code) for i in fhir.judge(strange)]
    assert ("error", "fhir.profile-unknown") in [(i.severity, i.code) for i in fhir.judge(PERSON, "urn:a")]


def test_faults_of_the_base_do_not_hide_those_of_a_profile_asked_for() -> None:
    """A wrong date and a missing name are told together; over a broken shape the profile is not asked."""
    bad = changed(PERSON, name=None, birthDate="2026-02-30")
    assert {i.expression for i in fhir.judge(bad, P + "nguoi-benh")} == {"Patient.name", "Patient.birthDate"}
    broken = changed(PERSON, name="A", identifier="B")
    assert {i.code for i in fhir.judge(broken, P + "nguoi-benh")} == {"fhir.type-wrong"}


def _definition(*elements: Json) -> Json:
    base = {"base": {"path": "Patient.name", "min": 0, "max": "*"}, "min": 0, "max": "*"}
    rows = [{"id": "Patient", "path": "Patient", **base}, *({**base, **e} for e in elements)]
    return {"url": "urn:a", "version": "1", "type": "Patient", "snapshot": {"element": rows}}


def test_profiles_that_cannot_be_checked_are_refused_when_compiled() -> None:
    """A discriminator that is not implemented, or a slice that nothing tells apart, is no silent pass."""
    whole = {"id": "Patient.name", "path": "Patient.name", "sliceName": "n"}
    one = {"id": "Patient.name:n", "path": "Patient.name"}
    for kind, path in (("profile", "$this"), ("value", "use")):
        slicing = {"discriminator": [{"type": kind, "path": path}], "rules": "open"}
        with pytest.raises(ValueError, match="discriminator"):
            compile_profile(_definition({**whole, "slicing": slicing}, one))


def test_an_answer_is_bounded() -> None:
    """Twenty thousand wrong numbers, under one profile named five times: five hundred issues, in time."""
    url = P + "nguoi-benh"
    bad = changed(PERSON, identifier=[{**CCCD, "value": "1"}] * 20_000, meta={"profile": [url] * 5})
    assert len(fhir.validation_outcome(bad)["issue"]) == 500
    with pytest.raises(InvalidInput) as caught:
        fhir.validate(bad)
    assert len(caught.value.issues) == 100
