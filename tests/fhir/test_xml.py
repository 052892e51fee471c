"""XML both ways: nothing is lost, nothing is added, and what is no FHIR XML is refused at its place."""

from __future__ import annotations

import contextlib
import copy
import csv
import json
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest
from lxml import etree
from tests.fhir.instances import Maker

from benhan import fhir
from benhan.base import json_door
from benhan.base.errors import BenhanError, InvalidInput

DATA = Path(__file__).parents[1] / "data"
FILES = sorted((DATA / "fhir-r4-examples").glob("*.json"))
CORPUS = DATA / "parser-attack-corpus"
NS = 'xmlns="http://hl7.org/fhir"'
Json = dict[str, Any]


def canonical(value: Any) -> str:
    """Sorted JSON in which a decimal shows its digits."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=lambda d: f"Decimal {d}")


def both_ways(resource: Json) -> Json:
    return fhir.from_xml(fhir.to_xml(resource))


def refused(xml: str) -> set[tuple[str, str | None]]:
    with pytest.raises(InvalidInput) as caught:
        fhir.from_xml(xml.encode())
    return {(i.code, i.expression) for i in caught.value.issues}


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_every_example_survives_xml(path: Path) -> None:
    """JSON → XML → JSON is canonically the same; XML → JSON → XML the same bytes; still valid."""
    resource = json_door.loads_object(path.read_bytes())
    again = both_ways(resource)
    assert canonical(again) == canonical(resource)
    assert fhir.to_xml(again) == fhir.to_xml(resource)
    fhir.validate(again)


def test_what_json_writes_beside_stands_inside_in_xml() -> None:
    """Digits, padding, ids, extensions of primitives, narrative, contained resources: all kept, in both forms."""
    why = {
        "extension": [
            {"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}
        ]
    }
    div = '<div xmlns="http://www.w3.org/1999/xhtml" xml:lang="vi">Đỗ &amp; <b class="x">y</b><!-- z --><br/> cuối</div>'
    resource: Json = {
        "resourceType": "Observation",
        "id": "o1",
        "text": {"status": "generated", "div": div},
        "contained": [
            {
                "resourceType": "Patient",
                "id": "p",
                "name": [{"id": "n", "given": ["A", None], "_given": [None, why]}],
            }
        ],
        "status": "final",
        "_status": {"id": "s"},
        "code": {"text": "dòng 1\n\tdòng 2 \"<&>' ../x file:y"},
        "subject": {"reference": "#p"},
        "_effectiveDateTime": why,
        "valueQuantity": {"value": Decimal("72.50"), "unit": "kg"},
        "component": [{"code": {"text": "e"}, "valueQuantity": {"value": Decimal("1E-7")}}],
    }
    fhir.validate(resource)
    xml = fhir.to_xml(resource)
    assert b'<value value="72.50"/>' in xml
    assert b'<status id="s" value="final"/>' in xml or b'<status value="final" id="s"/>' in xml
    assert canonical(both_ways(resource)) == canonical(resource)


def test_namespaces_and_notes_around_do_not_leak_in() -> None:
    """Prefixes of the document, comments and instructions outside the narrative are no part of the resource."""
    xml = (
        '<?xml version="1.0"?><?look here?><f:Patient xmlns:f="http://hl7.org/fhir" xmlns:h="http://www.w3.org/1999/xhtml"'
        ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="http://hl7.org/fhir patient.xsd">'
        '<!-- a --><f:text><f:status value="generated"/><h:div><h:p>x</h:p></h:div></f:text><f:active value="true"/>'
        "</f:Patient>"
    )
    assert fhir.from_xml(xml.encode()) == {
        "resourceType": "Patient",
        "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml"><p>x</p></div>'},
        "active": True,
    }


def test_faults_of_form_are_told_all_at_once() -> None:
    """Unknown element and attribute, loose text, wrong order, repeats, two resources in one place."""
    found = refused(
        f'<Patient {NS} soHoSo="1"><active value="true" x="2"/>lạc<active value="false"/><ten value="A"/>'
        '<birthDate value="2000"/><gender value="male"/><contained><Patient/><Patient/></contained>'
        "<name><given>A</given></name></Patient>"
    )
    assert found == {
        ("fhir.element-unknown", "Patient.soHoSo"),
        ("fhir.element-unknown", "Patient.active.x"),
        ("fhir.xml-text", "Patient"),
        ("fhir.too-many", "Patient.active"),
        ("fhir.element-unknown", "Patient.ten"),
        ("fhir.xml-order", "Patient.gender"),
        ("fhir.xml-order", "Patient.contained"),
        ("fhir.too-many", "Patient.contained[0]"),
        ("fhir.xml-order", "Patient.name"),
        ("fhir.xml-text", "Patient.name[0].given[0]"),
    }


@pytest.mark.parametrize(
    ("xml", "code", "where"),
    [
        ("<Patient/>", "fhir.type-unknown", "Patient"),
        (f"<Benh {NS}/>", "fhir.type-unknown", "Benh"),
        (f'<Patient {NS}><x:active xmlns:x="urn:a" value="true"/></Patient>', "fhir.element-unknown", "Patient.active"),
        (f"<Patient {NS}><text><status value='empty'/><div/></text></Patient>", "fhir.element-unknown", "Patient.text.div"),
        (f"<Patient {NS}><resourceType value='Patient'/></Patient>", "fhir.element-unknown", "Patient.resourceType"),
        (f"<Patient {NS}><extension><url value='urn:a'/></extension></Patient>", "fhir.element-unknown",
         "Patient.extension[0].url"),
    ],
)  # fmt: skip
def test_what_is_not_of_the_format_is_refused(xml: str, code: str, where: str) -> None:
    """Another namespace, another type, attributes as elements."""
    assert (code, where) in refused(xml)


def test_wrong_values_reach_validation_as_written() -> None:
    """Text where a number or truth belongs is refused by validation, at its place."""
    xml = f'<Patient {NS}><active value="TRUE"/><birthDate value="2026-02-30"/><multipleBirthInteger value="007"/></Patient>'
    wrong = {i.expression for i in fhir.judge(fhir.from_xml(xml.encode()))}
    assert wrong == {"Patient.active", "Patient.birthDate", "Patient.multipleBirth.ofType(integer)"}
    empty = fhir.from_xml(f"<Patient {NS}><name/><gender/></Patient>".encode())
    assert {i.expression for i in fhir.judge(empty)} == {"Patient.gender", "Patient.name[0]"}


def test_what_has_no_place_in_xml_is_not_written() -> None:
    """A resource that was never validated is refused with its place, not written wrongly."""
    cases: list[tuple[Json, str]] = [
        ({"resourceType": "Patient", "ten": "A"}, "Patient.ten"),
        ({"resourceType": "Patient", "name": {"family": "A"}}, "Patient.name"),
        ({"resourceType": "Patient", "name": ["A"]}, "Patient.name[0]"),
        ({"resourceType": "Patient", "gender": {"a": 1}}, "Patient.gender"),
        ({"resourceType": "Patient", "name": [{"family": "\u0001"}]}, "Patient.name[0].family"),
        ({"resourceType": "Patient", "contained": [{"id": "x"}]}, "Patient.contained[0]"),
        ({"resourceType": "X"}, "X"),
    ]
    for resource, where in cases:
        with pytest.raises(InvalidInput) as caught:
            fhir.to_xml(resource)
        assert (caught.value.code, caught.value.issues[0].expression) == ("fhir.xml-unwritable", where)


def test_hostile_xml_is_refused() -> None:
    """Every hostile document of the corpus, and entities, depth, bidirectional signs, digits without end."""
    rows = csv.DictReader((CORPUS / "index.csv").open(encoding="utf-8"))
    names = [row["file"] for row in rows if row["file"].endswith(".xml") and "ignore" not in row["expected"]]
    assert len(names) > 5
    styled = fhir.from_xml((CORPUS / "xslt_pi.xml").read_bytes())
    assert styled == {"resourceType": "Patient", "name": [{"family": "a"}]}
    deep = "<extension url='a'>" * 100 + "</extension>" * 100
    documents = [(CORPUS / name).read_bytes() for name in names] + [
        f'<!DOCTYPE a [<!ENTITY x "y">]><Patient {NS}/>'.encode(),
        f"<Patient {NS}>{deep}</Patient>".encode(),
        f'<Patient {NS}><name><family value="a&#x202E;b"/></name></Patient>'.encode(),
        f'<Basic {NS}><extension url="a"><valueDecimal value="1.{"0" * 60}"/></extension></Basic>'.encode(),
        b"\xff\xfe", b"", b"{}",
    ]  # fmt: skip
    for raw in documents:
        with pytest.raises(BenhanError) as caught:
            fhir.validate(fhir.from_xml(raw))
        assert 400 <= caught.value.status < 500


def test_a_canonical_form_of_the_written_document_is_stable() -> None:
    """Written twice, the same canonical XML: what a signature would cover."""
    resource = json_door.loads_object(FILES[0].read_bytes())
    first, second = fhir.to_xml(resource), fhir.to_xml(both_ways(resource))
    assert etree.canonicalize(first.decode()) == etree.canonicalize(second.decode())


def test_a_document_of_faults_is_left_early() -> None:
    """A hundred thousand unknown elements are told as a hundred, at once."""
    xml = f"<Patient {NS}>" + "<ten/>" * 100_000 + "</Patient>"
    started = time.perf_counter()
    with pytest.raises(InvalidInput) as caught:
        fhir.from_xml(xml.encode())
    assert len(caught.value.issues) == 100
    assert time.perf_counter() - started < 5


JUNK: list[Any] = [
    None, True, -1, Decimal("0.5"), Decimal("NaN"), "", "\u0000", "\ud800", [], {}, [[]], [None], "<div", {"a": {"$gt": ""}},
    {"resourceType": "Patient"},
]  # fmt: skip
PIECES = [
    b"<a/>", b'value="1"', b"<contained/>", b'<div xmlns="http://www.w3.org/1999/xhtml"/>', b"&#1;", b"<!-- x -->",
    b"<?p i?>", b"x",
]  # fmt: skip


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    members = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, inner in members:
        yield value, key
        yield from _places(inner)


def _fuzz(seed: int) -> None:
    random = Random(seed)
    maker = Maker(f"fuzz {seed % 20}")
    resource = maker.resource(random.choice(sorted(fhir.RESOURCE_TYPES)))
    raw = bytearray(fhir.to_xml(resource))
    for _ in range(random.randint(1, 4)):
        at = random.randrange(len(raw))
        raw[at : at + random.choice((0, 1, 20))] = random.choice([*PIECES, bytes([random.randrange(256)])])
    with contextlib.suppress(BenhanError):
        fhir.judge(fhir.from_xml(bytes(raw)))
    for _ in range(random.randint(1, 3)):
        holder, key = random.choice(list(_places(resource)))
        holder[key] = copy.deepcopy(random.choice(JUNK))
    with contextlib.suppress(BenhanError):
        fhir.to_xml(resource)


def test_broken_documents_and_resources_are_refused_and_nothing_else() -> None:
    """Changed bytes and junk anywhere: an error of ours, or a resource; never another exception."""
    for seed in range(150):
        _fuzz(seed)


@pytest.mark.long
def test_broken_documents_and_resources_at_length() -> None:
    """Ten thousand of them."""
    for seed in range(150, 10_150):
        _fuzz(seed)
