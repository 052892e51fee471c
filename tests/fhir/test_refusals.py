"""What validation refuses, where it says so, and how."""

from __future__ import annotations

import contextlib
import copy
import csv
import time
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benhan import fhir
from benhan.base import json_door, xml_door
from benhan.base.errors import BenhanError, InvalidInput
from benhan.fhir.narrative import faults as narrative_faults
from benhan.fhir.validation import faults, https_address

DATA = Path(__file__).parents[1] / "data"
CORPUS = DATA / "parser-attack-corpus"
EXAMPLES = DATA / "fhir-r4-examples"
Json = dict[str, Any]

STORY = {
    "Patient": "Patient-example",
    "Practitioner": None,
    "Organization": None,
    "Location": None,
    "EpisodeOfCare": None,
    "Encounter": None,
    "Composition": None,
    "QuestionnaireResponse": None,
    "Condition": None,
    "Observation": None,
    "AllergyIntolerance": None,
    "Procedure": None,
    "ServiceRequest": None,
    "DiagnosticReport": None,
    "Specimen": None,
    "MedicationRequest": None,
    "MedicationAdministration": None,
    "Coverage": None,
    "ChargeItem": None,
    "Claim": None,
    "CarePlan": None,
    "Appointment": None,
    "Task": None,
    "Communication": None,
    "Consent": None,
    "Provenance": None,
    "DocumentReference": None,
    "List": None,
    "Bundle": None,
    "AuditEvent": None,
}


def example(kind: str) -> Json:
    """An example of a type, the named or the first one."""
    name = STORY.get(kind)
    paths = [EXAMPLES / f"{name}.json"] if name else sorted(EXAMPLES.glob(f"{kind}-*.json"))
    return json_door.loads_object(paths[0].read_bytes())


def refused(resource: Any) -> list[tuple[str, str | None]]:
    """(code, location) of every issue."""
    with pytest.raises(InvalidInput) as caught:
        fhir.validate(resource)
    assert caught.value.status == 400
    for issue in caught.value.issues:
        assert issue.text[-1] in ".)"
        assert issue.diagnostics
        assert issue.issue_type
    fhir.validate(fhir.operation_outcome(caught.value))
    return [(i.code, i.expression) for i in caught.value.issues]


WITH_EXAMPLE = [k for k in STORY if list(EXAMPLES.glob(f"{k}-*.json"))]


def test_most_types_of_the_story_have_an_example() -> None:
    """The mutations below stand on real examples."""
    assert len(WITH_EXAMPLE) >= 28, set(STORY) - set(WITH_EXAMPLE)


@pytest.mark.parametrize("kind", WITH_EXAMPLE)
def test_unknown_element_is_refused(kind: str) -> None:
    """An element that the definition does not have."""
    resource = {**example(kind), "soHoSo": "1"}
    assert ("fhir.element-unknown", f"{kind}.soHoSo") in refused(resource)


@pytest.mark.parametrize("kind", WITH_EXAMPLE)
def test_wrong_id_is_refused(kind: str) -> None:
    """An id beyond 64 characters or with a strange one."""
    for bad in ("x" * 65, "a b", "", 7, None):
        assert f"{kind}.id" in [e for _, e in refused({**example(kind), "id": bad})]


def _required(kind: str) -> list[str]:
    from benhan.fhir.tables import load

    body = load("schema")["definitions"][kind]
    names = [n for n in body["required"] if n != "resourceType"]
    for rule in body.get("allOf", []):
        first = rule.get("anyOf", [{}])[0].get("required", [""])[0]
        if first and not first.startswith("_"):
            names.append(first)
    return names


@pytest.mark.parametrize("kind", WITH_EXAMPLE)
def test_missing_required_element_is_refused(kind: str) -> None:
    """Each required element of the type, one at a time, is missed by its name."""
    for name in _required(kind):
        resource = example(kind)
        resource.pop(name, None)
        resource.pop("_" + name, None)
        assert ("fhir.element-missing", f"{kind}.{name}") in refused(resource)


@pytest.mark.parametrize("kind", WITH_EXAMPLE)
def test_scalar_where_an_object_belongs_is_refused(kind: str) -> None:
    """Type confusion: meta as text, a list where one belongs, one where a list belongs."""
    assert ("fhir.type-wrong", f"{kind}.meta") in refused({**example(kind), "meta": "x"})
    assert ("fhir.type-wrong", f"{kind}.meta") in refused({**example(kind), "meta": [{}]})
    if kind != "Bundle":
        found = refused({**example(kind), "extension": {"url": "urn:a", "valueString": "x"}})
        assert ("fhir.type-wrong", f"{kind}.extension") in found


def _patient(**more: Any) -> Json:
    return {"resourceType": "Patient", **more}


def _observation(**more: Any) -> Json:
    return {"resourceType": "Observation", "status": "final", "code": {"text": "x"}, **more}


CASES: list[tuple[str, Json, str, str]] = [
    ("type of a nested string", _patient(contact=[{"name": {"family": 7}}]), "fhir.type-wrong",
     "Patient.contact[0].name.family"),
    ("code outside its set", _patient(gender="nam"), "fhir.code-unknown", "Patient.gender"),
    ("two of a choice", _patient(deceasedBoolean=True, deceasedDateTime="2026-01-01"), "fhir.choice-many",
     "Patient.deceased"),
    ("value twice", _observation(valueString="a", valueInteger=1), "fhir.choice-many", "Observation.value"),
    ("choice type not allowed", _observation(valueMoney={"value": 1}), "fhir.element-unknown",
     "Observation.valueMoney"),
    ("no such day", _patient(birthDate="2026-02-30"), "fhir.value-wrong", "Patient.birthDate"),
    ("not a leap year", _patient(birthDate="1900-02-29"), "fhir.value-wrong", "Patient.birthDate"),
    ("time without zone", _observation(effectiveDateTime="2026-01-01T10:00:00"), "fhir.value-wrong",
     "Observation.effective.ofType(dateTime)"),
    ("25 o'clock", _observation(issued="2026-01-01T25:00:00Z"), "fhir.value-wrong", "Observation.issued"),
    ("decimal as text", _observation(valueQuantity={"value": "72.50"}), "fhir.type-wrong",
     "Observation.value.ofType(Quantity).value"),
    ("fraction as integer", _observation(valueInteger=Decimal("1.0")), "fhir.type-wrong",
     "Observation.value.ofType(integer)"),
    ("beyond 32 bits", _observation(valueInteger=2**31), "fhir.value-wrong",
     "Observation.value.ofType(integer)"),
    ("truth as number", _patient(active=1), "fhir.type-wrong", "Patient.active"),
    ("empty text", _patient(name=[{"family": ""}]), "fhir.value-wrong",
     "Patient.name[0].family"),
    ("blank text", _patient(name=[{"family": "  \t"}]), "fhir.value-wrong",
     "Patient.name[0].family"),
    ("control character", _patient(name=[{"family": "a\u0007"}]), "fhir.value-wrong",
     "Patient.name[0].family"),
    ("empty list", _patient(name=[]), "fhir.empty", "Patient.name"),
    ("empty object", _patient(name=[{}]), "fhir.empty", "Patient.name[0]"),
    ("null alone", _patient(name=[{"given": ["A", None]}]), "fhir.null-alone", "Patient.name[0].given[1]"),
    ("null on both sides", _patient(name=[{"given": ["A", None], "_given": [{"id": "x"}, None]}]),
     "fhir.null-alone", "Patient.name[0].given[1]"),
    ("code of another system", {"resourceType": "Condition", "subject": {"reference": "Patient/1"},
     "clinicalStatus": {"coding": [{"system": "urn:a", "code": "active"}]}}, "fhir.code-unknown",
     "Condition.clinicalStatus"),
    ("text where a code is required", {"resourceType": "Condition", "subject": {"reference": "Patient/1"},
     "clinicalStatus": {"text": "đang mắc"}}, "fhir.code-unknown", "Condition.clinicalStatus"),
    ("wrong item of a list", _patient(name=[{"given": ["A", 3]}]), "fhir.type-wrong",
     "Patient.name[0].given[1]"),
    ("null element", _patient(gender=None), "fhir.code-unknown", "Patient.gender"),
    ("extension without value", _patient(extension=[{"url": "urn:a"}]), "fhir.element-missing",
     "Patient.extension[0].value"),
    ("extension with both", _patient(extension=[{"url": "urn:a", "valueString": "x",
     "extension": [{"url": "b", "valueCode": "c"}]}]), "fhir.choice-many", "Patient.extension[0].value"),
    ("primitive extension wrong", _patient(_birthDate={"extension": [{"valueString": "x"}]}),
     "fhir.element-missing", "Patient.birthDate.extension[0].url"),
    ("no language tag", _patient(language="tiếng Việt"), "fhir.value-wrong", "Patient.language"),
    ("no media type", _patient(photo=[{"contentType": "pdf", "title": "x"}]), "fhir.value-wrong",
     "Patient.photo[0].contentType"),
    ("no language in the code", _patient(communication=[{"language": {"coding": [
     {"system": "urn:ietf:bcp:47", "code": "tiếng Việt"}]}}]), "fhir.code-unknown",
     "Patient.communication[0].language"),
    ("no currency", {"resourceType": "Invoice", "status": "issued", "totalNet": {"value": 1, "currency": "đồng"}},
     "fhir.value-wrong", "Invoice.totalNet.currency"),
    ("uri with blank", _patient(identifier=[{"system": "a b", "value": "1"}]), "fhir.value-wrong",
     "Patient.identifier[0].system"),
    ("base64 broken", _patient(photo=[{"contentType": "image/png", "data": "abc"}]), "fhir.value-wrong",
     "Patient.photo[0].data"),
    ("contained resource wrong", _patient(contained=[{"resourceType": "Observation", "id": "o"}]),
     "fhir.element-missing", "Patient.contained[0].status"),
    ("contained of no type", _patient(contained=[{"resourceType": "Benh", "id": "o"}]), "fhir.code-unknown",
     "Patient.contained[0].resourceType"),
    ("contained not referred to", _patient(contained=[{"resourceType": "Device", "id": "o"}]),
     "fhir.invariant.dom-3", "Patient.contained[0]"),
    ("reference to no contained", _patient(managingOrganization={"reference": "#o"}), "fhir.invariant.ref-1",
     "Patient.managingOrganization"),
    ("period upside down", _patient(identifier=[{"period": {"start": "2026-02", "end": "2026-01"}}]),
     "fhir.invariant.per-1", "Patient.identifier[0].period"),
    ("contact without anything", _patient(contact=[{"gender": "male"}]), "fhir.invariant.pat-1",
     "Patient.contact[0]"),
    ("value and reason of absence", _observation(valueString="x", dataAbsentReason={"text": "y"}),
     "fhir.invariant.obs-6", "Observation"),
    ("unit code without system", _observation(valueQuantity={"value": 1, "code": "mg"}),
     "fhir.invariant.qty-3", "Observation.value.ofType(Quantity)"),
    ("resource in a bundle", {"resourceType": "Bundle", "type": "collection",
     "entry": [{"resource": _patient(gender="nam")}]}, "fhir.code-unknown",
     "Bundle.entry[0].resource.gender"),
    ("script in narrative", _patient(text={"status": "generated",
     "div": '<div xmlns="http://www.w3.org/1999/xhtml"><script>1</script></div>'}), "fhir.narrative",
     "Patient.text.div"),
]  # fmt: skip


@pytest.mark.parametrize(("resource", "code", "where"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_fault_is_named_at_its_place(resource: Json, code: str, where: str) -> None:
    """One fault, its code, its FHIRPath location."""
    assert (code, where) in refused(resource)


@pytest.mark.parametrize(
    "resource", [None, [], "Patient", 1, {}, {"resourceType": 1}, {"resourceType": "Resource"}]
)
def test_what_is_no_resource_is_refused(resource: Any) -> None:
    """No type, no validation."""
    with pytest.raises(InvalidInput) as caught:
        fhir.validate(resource)
    assert caught.value.issues[0].code == "fhir.type-unknown"


def test_all_faults_are_reported_at_once() -> None:
    """Not the first one alone."""
    found = refused(_patient(gender="nam", birthDate="2026-13-01", active="có", name=[{"ten": "A"}]))
    assert {where for _, where in found} == {
        "Patient.gender", "Patient.birthDate", "Patient.active", "Patient.name[0].ten",
    }  # fmt: skip


def test_what_is_allowed_is_accepted() -> None:
    """Data absent with a reason, null padding, partial dates, own extensions, decimals of any length."""
    url = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
    absent = {"extension": [{"url": url, "valueCode": "unknown"}]}
    fhir.validate(_patient(_birthDate=absent, name=[{"given": ["A", None], "_given": [None, absent]}]))
    fhir.validate({"resourceType": "Observation", "_status": absent, "code": {"text": "x"}})
    for tag in ("vi", "vi-VN", "zh-Hans-CN", "x-ba-na"):
        fhir.validate(_patient(language=tag, communication=[{"language": {"text": "Ba Na"}}]))
    for media in ("text/plain; charset=utf-8", "application/fhir+json", "application/dicom; variant=IHE IID"):
        fhir.validate(_patient(photo=[{"contentType": media, "title": "x"}]))
    for text in ("2026", "2026-02", "2024-02-29", "2000-02-29"):
        fhir.validate(_patient(birthDate=text))
    for text in ("2026-01-01T23:59:60Z", "2026-01-01T00:00:00.123456+07:00"):
        fhir.validate(_observation(effectiveDateTime=text))
    for number in ("72.50", "1E-7", "123456789.0000000001"):
        fhir.validate(_observation(valueQuantity={"value": Decimal(number)}))
    own = {"url": "urn:benhan:late-entry", "valueString": "Mất điện"}
    inside = {"resourceType": "Organization", "id": "o", "name": "x"}
    fhir.validate(_patient(extension=[own], contained=[inside], managingOrganization={"reference": "#o"}))


@given(st.dates(min_value=date(1, 1, 1)), st.integers(0, 400))
@settings(max_examples=200, deadline=None)
def test_dates_are_those_of_the_calendar(day: date, more: int) -> None:
    """Every day of the calendar is accepted; the day after the month's last is not."""
    fhir.validate(_patient(birthDate=day.isoformat()))
    last = (
        (day.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)
        if day.year < 9999
        else day
    )
    if last.day != day.day or day.year == 9999:
        return
    refused(_patient(birthDate=f"{day.year:04d}-{day.month:02d}-{last.day + 1:02d}"))


def _mutations(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = []
    if isinstance(value, dict):
        for key, inner in value.items():
            found += [(*path, key), *_mutations(inner, (*path, key))]
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            found += [(*path, place), *_mutations(inner, (*path, place))]
    return found


JUNK: list[Any] = [
    None, True, -1, Decimal("0.5"), "", " ", "\u0000", [], {}, [[]], [None], {"a": {"$gt": ""}}, "x" * 5000,
]  # fmt: skip


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_no_mutation_makes_validation_fall_over(data: st.DataObject) -> None:
    """Whatever stands anywhere, validation accepts or refuses with issues; it never fails otherwise."""
    resource: Json = copy.deepcopy(example(data.draw(st.sampled_from(WITH_EXAMPLE))))
    for _ in range(data.draw(st.integers(1, 3))):
        paths = _mutations(resource)
        path = data.draw(st.sampled_from(paths))
        holder: Any = resource
        for step in path[:-1]:
            holder = holder[step]
        holder[path[-1]] = copy.deepcopy(data.draw(st.sampled_from(JUNK)))
    found = faults(resource)
    assert all(i.expression and i.text for i in found)
    if found:
        return
    fhir.extract(resource)
    fhir.references(resource)
    fhir.patients_of(resource)


# -- the attack corpus ----------------------------------------------------------------------------------

INDEX = {
    row["file"]: row["expected"] for row in csv.DictReader((CORPUS / "index.csv").open(encoding="utf-8"))
}


def _through(name: str) -> Json:
    """A corpus file through the door and validation, as a request would go."""
    resource = json_door.loads_object((CORPUS / name).read_bytes())
    fhir.validate(resource)
    return resource


@pytest.mark.parametrize("name", sorted(n for n in INDEX if n.endswith(".json")))
def test_hostile_json_is_handled_as_its_index_says(name: str) -> None:
    """Refused with a 4xx, or accepted as plain data where the index wants it stored."""
    expected = INDEX[name]
    if expected.startswith("reject"):
        with pytest.raises(BenhanError) as caught:
            _through(name)
        assert 400 <= caught.value.status < 500
        return
    resource = _through_or_4xx(name)
    if name == "float_precision.json":
        assert resource is not None
        assert b'"value":0.10' in json_door.dumps(resource)
    elif name == "bundle_self_reference.json":
        bundle = json_door.loads_object((CORPUS / name).read_bytes())
        assert [r.reference for r in fhir.references(bundle)] == ["urn:uuid:a"]
        assert fhir.extract(bundle)
        assert fhir.patient_of(bundle) is None
    elif name == "attachment_ssrf.json":
        assert resource is not None
        assert fhir.references(resource) == []
    else:
        assert name == "binary_html.json"
        assert resource is not None
        assert resource["contentType"] == "text/html"


def _through_or_4xx(name: str) -> Json | None:
    with contextlib.suppress(InvalidInput):
        return _through(name)
    return None


def test_hostile_narrative_is_refused() -> None:
    """Script, event handler and javascript: link are each named."""
    root = xml_door.parse((CORPUS / "narrative_script.xml").read_bytes())
    div = next(e for e in root.iter() if str(e.tag).endswith("}div"))
    text = xml_door.serialize(div).decode().split("?>", 1)[1]
    found = " ".join(narrative_faults(text))
    assert "script" in found
    assert "onerror" in found
    assert "liên kết" in found


def test_search_strings_of_the_corpus_do_not_break_the_parsers_of_values() -> None:
    """A hostile search value is no date, no reference and no local request."""
    assert fhir.date_range("gt9999-99-99") is None
    assert fhir.date_range("9999-99-99") is None
    for text in ("http://169.254.169.254/x/", "Patient/../../admin", "//a.invalid/x", "Patient/1#x"):
        assert not fhir.local_request(text)
    for text in (
        "Patient",
        "Patient/1",
        "Patient?name=a&_count=3",
        "/Patient/1/_history/2",
        "$export",
        "?type=a",
    ):
        assert fhir.local_request(text)


def _div(inner: str) -> str:
    return f'<div xmlns="http://www.w3.org/1999/xhtml">{inner}</div>'


@pytest.mark.parametrize(
    "inner",
    [
        "<script>x</script>", '<p onclick="x">a</p>', '<a href="javascript:alert(1)">a</a>',
        '<a href="jAvA&#x9;script:alert(1)">a</a>', '<a href="&#1;javascript:x">a</a>',
        '<img src="http://a.invalid/x"/>',
        '<img src="data:image/svg+xml;base64,AA=="/>', "<iframe/>", "<form><input/></form>",
        "<style>p{}</style>",
        '<p style="background:url(http://a.invalid)">a</p>', '<object data="x"/>', "<svg><script/></svg>",
        "<p>a", "",
        '<a href="data:text/html,x">a</a>', '<a href="//a.invalid/">a</a>', "<!DOCTYPE a>", "<p>&xxe;</p>",
        '<p xmlns="http://www.w3.org/2000/svg">a</p>', "<?php x ?>a", '<base href="x"/>',
        '<meta charset="x"/>',
        '<link rel="x" href="x"/>', '<img src="//a.invalid/x.png"/>',
    ],
)  # fmt: skip
def test_unsafe_narrative_is_refused(inner: str) -> None:
    """Nothing that runs, loads or leads out unseen passes."""
    assert narrative_faults(_div(inner))


def test_plain_narrative_is_accepted() -> None:
    """What FHIR admits passes: tables, lists, links, local images, entities of HTML for blanks."""
    good = '<p class="a" style="color:red">Đỗ&nbsp;<b>x</b></p><table><tr><td colspan="2">1</td></tr></table>'
    assert narrative_faults(_div(good + '<a href="https://a.invalid/x">y</a><img src="#pic" alt="z"/>')) == ()
    assert narrative_faults("<div>no namespace</div>")


@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("https://hook.example.org/fhir", True), ("http://hook.example.org/", False), ("https://[", False),
        ("https:///x", False), ("https://u@example.org/", False), ("file:///etc/passwd", False),
    ],
)  # fmt: skip
def test_addresses_for_notification_are_https(url: str, good: bool) -> None:
    """Which hosts may be called is for the room that calls (tests/api/test_subscriptions.py)."""
    assert https_address(url) is good


def test_a_sound_contained_resource_beside_a_broken_one() -> None:
    """The broken neighbour is named; the sound one does not make validation fall over."""
    sound = {"resourceType": "Organization", "id": "o", "name": "x", "partOf": {"reference": "#p"}}
    for neighbour in ("x", None, 7, [], {"resourceType": 3}):
        found = refused(_patient(contained=[sound, neighbour], managingOrganization={"reference": "#o"}))
        assert any(str(where).startswith("Patient.contained[1]") for _, where in found)


def test_large_and_hostile_resources_take_time_in_proportion() -> None:
    """Thousands of entries, contained resources, local references or faults never take quadratic time."""
    entry = {"resource": {"resourceType": "Basic", "code": {"text": "x"}}}
    bundle = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"fullUrl": f"urn:uuid:{n}", **entry} for n in range(3000)],
    }
    inside = [{"resourceType": "Organization", "id": f"o{n}", "name": "x"} for n in range(3000)]
    carrier = _patient(contained=inside, generalPractitioner=[{"reference": f"#o{n}"} for n in range(3000)])
    form = {
        "resourceType": "Questionnaire",
        "status": "active",
        "item": [{"linkId": str(n), "type": "string"} for n in range(3000)],
    }
    started = time.process_time()
    for resource in (bundle, carrier, form):
        fhir.validate(resource)
    assert 50 < len(refused(_patient(name=[{"ten": "x", "family": 1}] * 3000))) <= 100
    assert time.process_time() - started < 5


def test_rules_are_asked_beside_faults_of_values() -> None:
    """An unknown element or a wrong value does not hide the broken rules, of the base or of a profile named."""
    resource = _patient(
        meta={"profile": ["urn:benhan:profile:nguoi-benh"]},
        birthDate="2026-02-30",
        ten="A",
        contact=[{"gender": "male"}],
        identifier=[{"period": {"start": "2026-02", "end": "2026-01"}}],
    )
    assert {where for _, where in refused(resource)} == {
        "Patient.birthDate", "Patient.ten", "Patient.contact[0]", "Patient.identifier[0].period",
        "Patient.name", "Patient.gender",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("code", "fine"),
    [
        ("mg", True), ("mmol/L", True), ("10*3/uL", True), ("mm[Hg]", True), ("kg/m2", True), ("{score}", True),
        ("/min", True), ("mL/min/{1.73_m2}", True), ("10*-6", True), ("1", True), ("%", True), ("(m/s).kg", True),
        ("viên", False), ("mg per", False), ("mg//L", False), ("/", False), ("{viên}", False),
    ],
)  # fmt: skip
def test_unit_codes_that_are_no_ucum_are_advised_against(code: str, fine: bool) -> None:
    """A warning of $validate, not a refusal: the unit may still be told to a person."""
    unit = {"value": 1, "unit": "x", "code": code, "system": "http://unitsofmeasure.org"}
    resource = _observation(valueQuantity=unit)
    fhir.validate(resource)
    at = [i.expression for i in fhir.judge(resource) if i.code == "fhir.unit-form"]
    assert at == ([] if fine else ["Observation.value.ofType(Quantity).code"])
