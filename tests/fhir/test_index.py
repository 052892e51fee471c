"""Index values, compartments, references, outcomes, the capability statement."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benhan import fhir
from benhan.base import json_door
from benhan.base.errors import Conflict, Deleted, InvalidInput, Issue, NotFound, TooLarge
from benhan.fhir import IndexValue

EXAMPLES = Path(__file__).parents[1] / "data" / "fhir-r4-examples"
Json = dict[str, Any]


def of(resource: Json, param: str) -> list[dict[str, Any]]:
    """Index values of one parameter, without what is None."""
    names = [n for n in IndexValue.__slots__ if n not in ("param", "kind")]
    return [
        {n: getattr(v, n) for n in names if getattr(v, n) is not None}
        for v in fhir.extract(resource)
        if v.param == param
    ]


PATIENT: Json = {
    "resourceType": "Patient",
    "id": "p1",
    "meta": {"lastUpdated": "2026-11-23T08:00:00.500+07:00", "tag": [{"system": "urn:a", "code": "t"}]},
    "identifier": [
        {
            "type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "NI"}]},
            "system": "urn:benhan:id:cccd",
            "value": "051099000001",
        }
    ],
    "active": True,
    "name": [{"family": "Đỗ", "given": ["Thị", "Bích Ngọc"]}],
    "telecom": [{"system": "phone", "value": "0900000001"}],
    "gender": "female",
    "birthDate": "1999",
    "address": [{"city": "Quảng Ngãi", "line": ["Thôn 2"]}],
    "deceasedBoolean": False,
    "generalPractitioner": [{"reference": "http://hub.invalid/fhir/Practitioner/d1/_history/3"}],
    "managingOrganization": {"identifier": {"system": "urn:benhan:id:ma-cskcb", "value": "51001"}},
}


def test_tokens_carry_system_code_and_folded_text() -> None:
    """Codings, identifiers with their type, booleans, codes, contact points."""
    assert of(PATIENT, "identifier") == [
        {
            "system": "urn:benhan:id:cccd",
            "code": "051099000001",
            "type_system": "http://terminology.hl7.org/CodeSystem/v2-0203",
            "type_code": "NI",
        }
    ]
    assert of(PATIENT, "active") == [{"code": "true"}]
    assert of(PATIENT, "gender") == [{"code": "female"}]
    assert of(PATIENT, "phone") == [{"code": "0900000001"}]
    assert of(PATIENT, "email") == []
    assert of(PATIENT, "deceased") == [{"code": "false"}]
    assert of(PATIENT, "_tag") == [{"system": "urn:a", "code": "t"}]
    assert of(PATIENT, "_id") == [{"code": "p1"}]
    code = {"coding": [{"system": "urn:s", "code": "c", "display": "Đường huyết"}], "text": "Đường máu"}
    lab = {"resourceType": "Observation", "status": "final", "code": code}
    assert of(lab, "code") == [{"system": "urn:s", "code": "c", "text": "duong huyet"}, {"text": "duong mau"}]


def test_strings_carry_the_folded_form() -> None:
    """Each part of a name, and the name in Vietnamese order."""
    assert of(PATIENT, "name") == [
        {"value": "Đỗ", "folded": "do"},
        {"value": "Thị", "folded": "thi"},
        {"value": "Bích Ngọc", "folded": "bich ngoc"},
        {"value": "Đỗ Thị Bích Ngọc", "folded": "do thi bich ngoc"},
    ]
    assert {v["folded"] for v in of(PATIENT, "address")} == {"quang ngai", "thon 2"}
    decomposed = {"resourceType": "Patient", "name": [{"family": "D\u0306o\u0302\u0303"}]}
    assert of(decomposed, "family")[0]["value"] == "D̆ỗ"


def test_references_carry_type_id_or_identifier() -> None:
    """Literal ones lose host and version; logical ones give their identifier; contained ones nothing."""
    assert of(PATIENT, "general-practitioner") == [
        {
            "target_type": "Practitioner",
            "target_id": "d1",
            "url": "http://hub.invalid/fhir/Practitioner/d1/_history/3",
        }
    ]
    assert of(PATIENT, "organization") == [{"system": "urn:benhan:id:ma-cskcb", "code": "51001"}]
    flag = {
        "resourceType": "Flag",
        "status": "active",
        "code": {"text": "x"},
        "subject": {"reference": "Group/g"},
        "author": {"reference": "#a"},
        "contained": [{"resourceType": "Organization", "id": "a", "name": "x"}],
    }
    assert of(flag, "subject") == [{"target_type": "Group", "target_id": "g", "url": "Group/g"}]
    assert of(flag, "patient") == []
    assert of(flag, "author") == []


def test_dates_are_half_open_instants_in_utc() -> None:
    """The precision is the range; no offset means Viet Nam; a period may be open."""
    hour = timedelta(hours=7)
    assert of(PATIENT, "birthdate") == [
        {"low": datetime(1999, 1, 1, tzinfo=UTC) - hour, "high": datetime(2000, 1, 1, tzinfo=UTC) - hour}
    ]
    assert of(PATIENT, "_lastUpdated") == [
        {
            "low": datetime(2026, 11, 23, 1, 0, 0, 500000, tzinfo=UTC),
            "high": datetime(2026, 11, 23, 1, 0, 0, 501000, tzinfo=UTC),
        }
    ]
    stay = {
        "resourceType": "Encounter",
        "status": "in-progress",
        "class": {"code": "IMP"},
        "period": {"start": "2026-11-23T08:15:00+07:00"},
    }
    assert of(stay, "date") == [{"low": datetime(2026, 11, 23, 1, 15, tzinfo=UTC)}]
    plan = {"resourceType": "ServiceRequest", "occurrenceTiming": {"event": ["2026-11-23", "2026-12"]}}
    assert of(plan, "occurrence") == [  # the outer limits of a Timing count, not its single moments
        {"low": datetime(2026, 11, 23, tzinfo=UTC) - hour, "high": datetime(2027, 1, 1, tzinfo=UTC) - hour}
    ]


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("2024-02", "2024-02-01T00:00:00+07:00", "2024-03-01T00:00:00+07:00"),
        ("2023-12", "2023-12-01T00:00:00+07:00", "2024-01-01T00:00:00+07:00"),
        ("2024-02-29", "2024-02-29T00:00:00+07:00", "2024-03-01T00:00:00+07:00"),
        ("2024-02-29T10:30", "2024-02-29T10:30:00+07:00", "2024-02-29T10:31:00+07:00"),
        ("2024-02-29T10:30:05Z", "2024-02-29T10:30:05+00:00", "2024-02-29T10:30:06+00:00"),
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00+00:00", "2017-01-01T00:00:01+00:00"),
    ],
)
def test_date_range_follows_the_precision(text: str, low: str, high: str) -> None:
    """Year, month, day, minute, second, leap second."""
    assert fhir.date_range(text) == (datetime.fromisoformat(low), datetime.fromisoformat(high))


def test_dates_at_the_ends_of_the_calendar_are_open() -> None:
    """Nothing overflows; what is no date gives nothing."""
    assert fhir.date_range("9999-12-31") == (datetime(9999, 12, 30, 17, tzinfo=UTC), None)
    low, high = fhir.date_range("0001") or (None, None)
    assert low is None
    assert high is not None
    assert (high.year, high.month, high.day) == (1, 12, 31)
    for bad in ("", "2023-02-29", "2024-13", "24-01-01", "2024-01-01T24:00:00Z", "x", "2024-01-01T10:00:61Z"):
        assert fhir.date_range(bad) is None


@given(st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1)), st.sampled_from([4, 7, 10]))
@settings(max_examples=100, deadline=None)
def test_a_finer_date_lies_inside_a_coarser_one(at: datetime, length: int) -> None:
    """Ranges nest."""
    fine = fhir.date_range(at.isoformat(timespec="seconds"))
    coarse = fhir.date_range(at.isoformat()[:length])
    assert fine is not None
    assert coarse is not None
    assert coarse[0] <= fine[0] < fine[1] <= coarse[1]  # type: ignore[operator]


def test_quantities_keep_digits_and_give_their_range() -> None:
    """72.50 means 72.495 to 72.505; a comparator or a Range opens or widens it."""

    def weight(**value: Any) -> list[dict[str, Any]]:
        body = {
            "resourceType": "Observation",
            "status": "final",
            "code": {"text": "x"},
            "valueQuantity": value,
        }
        return of(body, "value-quantity")

    raw = b'{"value":72.50,"unit":"kg","system":"http://unitsofmeasure.org","code":"kg"}'
    assert weight(**json_door.loads_object(raw)) == [
        {
            "number": Decimal("72.50"),
            "number_low": Decimal("72.495"),
            "number_high": Decimal("72.505"),
            "system": "http://unitsofmeasure.org",
            "code": "kg",
            "unit": "kg",
        }
    ]
    assert str(weight(**json_door.loads_object(raw))[0]["number"]) == "72.50"
    assert "number_high" not in weight(value=5, comparator=">")[0]
    assert weight(value=5, comparator=">")[0]["number_low"] == 5
    assert "number_low" not in weight(value=5, comparator="<=")[0]
    assert fhir.number_range(5) == (Decimal("4.5"), Decimal("5.5"))
    assert fhir.number_range(Decimal("1E+2")) == (Decimal(50), Decimal(150))


@given(st.decimals(min_value=-10000, max_value=10000, places=3))
def test_a_number_lies_inside_its_own_range(number: Decimal) -> None:
    """And the range is as wide as its last digit."""
    low, high = fhir.number_range(number)
    assert low <= number < high
    assert high - low == Decimal("0.001")


def test_composites_are_tied_by_their_group() -> None:
    """Systolic goes with systolic."""
    pressure = json_door.loads_object((EXAMPLES / "Observation-blood-pressure.json").read_bytes())
    values = [v for v in fhir.extract(pressure) if v.param.startswith("component-code-value-quantity$")]
    groups = {v.group for v in values}
    assert groups == {0, 1}
    first = [v for v in values if v.group == 0]
    assert "8480-6" in [v.code for v in first]
    assert [v.number for v in first if v.kind == "quantity"] == [Decimal(107)]


def test_no_value_comes_twice() -> None:
    """Of all examples, every value is unique and hashable, and its parameter exists."""
    for path in EXAMPLES.glob("*.json"):
        resource = json_door.loads_object(path.read_bytes())
        values = fhir.extract(resource)
        assert len(values) == len(set(values))
        known = fhir.search_params(resource["resourceType"])
        assert {v.param.split("$")[0] for v in values} <= known.keys()


def test_search_parameters_know_their_targets() -> None:
    """By type; unknown types have none."""
    patient = fhir.search_params("Observation")["patient"]
    assert patient.type == "reference"
    assert "Patient" in patient.targets
    assert not fhir.search_params("Location")["near"].extracted
    assert not fhir.search_params("Khong")


@pytest.mark.parametrize(
    ("resource", "patient"),
    [
        (PATIENT, "p1"),
        ({"resourceType": "Observation", "subject": {"reference": "Patient/p2"}}, "p2"),
        ({"resourceType": "Observation", "subject": {"reference": "Group/p2"}}, None),
        (
            {
                "resourceType": "Observation",
                "performer": [{"reference": "Patient/p3"}],
                "subject": {"reference": "Patient/p2"},
            },
            "p2",
        ),
        ({"resourceType": "EpisodeOfCare", "patient": {"reference": "http://a.invalid/f/Patient/p4"}}, "p4"),
        ({"resourceType": "Coverage", "beneficiary": {"reference": "Patient/p5"}}, "p5"),
        ({"resourceType": "Task", "for": {"reference": "Patient/p6"}}, "p6"),
        ({"resourceType": "Provenance", "target": [{"reference": "Patient/p7"}]}, "p7"),
        ({"resourceType": "Binary", "securityContext": {"reference": "Patient/p8"}}, "p8"),
        ({"resourceType": "Appointment", "participant": [{"actor": {"reference": "Patient/p9"}}]}, "p9"),
        ({"resourceType": "Organization", "name": "x"}, None),
        (
            {
                "resourceType": "Flag",
                "subject": {"reference": "#c"},
                "contained": [{"resourceType": "Patient", "id": "c"}],
            },
            None,
        ),
    ],
)
def test_patient_compartment(resource: Json, patient: str | None) -> None:
    """The subject before other parts; contained patients are nobody's compartment."""
    assert fhir.patient_of(resource) == patient
    assert (patient in fhir.patients_of(resource)) is (patient is not None)


def test_references_name_their_place() -> None:
    """In lists, backbones, choices, extensions, contained and bundled resources."""
    order = {
        "resourceType": "MedicationRequest",
        "contained": [
            {"resourceType": "Medication", "id": "m", "manufacturer": {"reference": "Organization/o"}}
        ],
        "medicationReference": {"reference": "#m"},
        "subject": {"reference": "Patient/p"},
        "extension": [{"url": "urn:x", "valueReference": {"reference": "Encounter/e"}}],
        "dispenseRequest": {"performer": {"identifier": {"value": "1"}}},
        "detectedIssue": [{"reference": "DetectedIssue/1"}, {"reference": "urn:uuid:x"}],
    }
    found = {r.path: (r.target_type, r.target_id, r.contained) for r in fhir.references(order)}
    assert found == {
        "MedicationRequest.contained[0].manufacturer": ("Organization", "o", None),
        "MedicationRequest.medication.ofType(Reference)": (None, None, "m"),
        "MedicationRequest.subject": ("Patient", "p", None),
        "MedicationRequest.extension[0].value.ofType(Reference)": ("Encounter", "e", None),
        "MedicationRequest.dispenseRequest.performer": (None, None, None),
        "MedicationRequest.detectedIssue[0]": ("DetectedIssue", "1", None),
        "MedicationRequest.detectedIssue[1]": (None, None, None),
    }
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": order}]}
    places = fhir.references(bundle)
    assert len(places) == 7
    places[0].element["reference"] = "Organization/moi"
    assert order["contained"][0]["manufacturer"]["reference"] == "Organization/moi"  # type: ignore[index]


@pytest.mark.parametrize(
    "error",
    [
        NotFound("store.absent", "Không tìm thấy."),
        Deleted("store.deleted", "Đã xóa."),
        Conflict("records.closed", "Bệnh án đã đóng.", expression="Composition.status"),
        TooLarge("json.too-large", "Quá lớn."),
        InvalidInput(
            "a.b", "Sai.", issues=[Issue("a.b", "Sai.", "x", "y", "warning"), Issue("a.c", "Sai nữa.")]
        ),
    ],
)
def test_outcome_of_every_error_is_valid(error: Any) -> None:
    """One issue per fault, with code, sentence and place."""
    outcome = fhir.operation_outcome(error)
    fhir.validate(outcome)
    assert len(outcome["issue"]) == len(error.issues)
    assert outcome["issue"][0]["details"]["coding"][0]["code"] == error.issues[0].code
    assert outcome["issue"][0]["details"]["text"] == error.issues[0].text


def test_capability_statement_says_what_it_is_given_and_no_more() -> None:
    """Valid FHIR; a claim that R4 does not know is a mistake of the caller."""
    said = fhir.capability_statement(
        ["Patient", "Observation"],
        {"Patient": ["read", "search-type", "update"], "Observation": ["read", "vread"]},
        {"Patient": ["name", "identifier"]},
        "https://a.invalid/fhir/51001",
        "0.1.0",
        "2026-11-23",
        includes={"Observation": ["Observation:patient"]},
        conditional=True,
    )
    fhir.validate(said)
    observation, patient = said["rest"][0]["resource"]
    assert [p["name"] for p in patient["searchParam"]] == ["identifier", "name"]
    assert patient["conditionalUpdate"] is True
    assert patient["conditionalCreate"] is False
    assert "searchParam" not in observation
    assert observation["readHistory"] is True
    for types, acts, params in (
        (["Benh"], ["read"], {}),
        (["Patient"], ["fly"], {}),
        (["Patient"], ["read"], {"Patient": ["ten"]}),
    ):
        with pytest.raises(ValueError, match="not of FHIR R4"):
            fhir.capability_statement(types, acts, params, "https://a.invalid", "0", "2026")
