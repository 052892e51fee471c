"""Searches one by one that the differential test does not make: units, addresses, refusals, cursors from outside."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from tests.store.builders import a_patient, an_observation

from benhan.base.errors import InvalidInput
from benhan.catalogue import systems
from benhan.fhir import RESOURCE_TYPES, search_params, ucum_unit
from benhan.store import Repository
from benhan.store.hashing import param32
from benhan.store.search.ask import answered
from benhan.store.search.parse import write_cursor

pytestmark = pytest.mark.server


async def ids(repo: Repository, kind: str, query: str) -> list[str]:
    page = await repo.search(kind, query)
    assert not page.ignored, query
    return sorted(s.id for s in page.entries)


@pytest.mark.parametrize(
    ("one", "amount", "other"),
    [
        ("mg/dL", "100", "g/L"),
        ("Cel", "37", "[degF]"),
        ("10*3/uL", "5", "10*9/L"),
        ("m[iU]/mL", "3", "[IU]/L"),
    ],
)
def test_amounts_in_units_of_one_dimension_compare(one: str, amount: str, other: str) -> None:
    first, second = ucum_unit(one), ucum_unit(other)
    assert first is not None
    assert second is not None
    assert first.dimension == second.dimension
    base = first.base(Decimal(amount))
    assert second.base((base - second.offset) / second.factor) == base


@pytest.mark.parametrize("code", ["", "khong-co", "10*99999999", "dB", "x" * 500, "[iU", "((("])
def test_what_is_no_linear_unit_has_none(code: str) -> None:
    assert ucum_unit(code) is None


def test_arbitrary_units_are_no_numbers_of_things() -> None:
    """UCUM § 24: [iU]/L and 10*9/L do not compare, though both have the dimension of 1/volume."""
    assert ucum_unit("[iU]/L").dimension != ucum_unit("10*9/L").dimension  # type: ignore[union-attr]


async def test_quantities_are_found_in_other_units(repo: Repository) -> None:
    person = await repo.create(a_patient())
    made = await repo.create(an_observation(person.id, "72.50"))
    ucum = "http://unitsofmeasure.org"
    for asked, found in ((f"72500|{ucum}|g", True), (f"gt72|{ucum}|kg", True), (f"72500|{ucum}|mg", False),
                         (f"72.5|{ucum}|cm", False), ("72.5||kg", True), ("72500||g", False)):  # fmt: skip
        assert (await ids(repo, "Observation", f"value-quantity={asked}") == [made.id]) is found, asked


@pytest.mark.parametrize("step", [9, pytest.param(1, marks=pytest.mark.long)])
async def test_every_parameter_of_every_type_is_taken(repo: Repository, step: int) -> None:
    """With a value of its kind each is neither ignored nor refused; what is not answered is told."""
    values = {"token": "x", "string": "x", "reference": "Patient/x", "date": "2026", "number": "1", "uri": "urn:x",
              "quantity": "1", "special": "x"}  # fmt: skip
    silent, asked = set(), 0
    for kind in [*sorted(RESOURCE_TYPES)[::step], "Location"]:
        for name, param in search_params(kind).items():
            value = (
                "$".join(values[c.type] for c in param.components) if param.components else values[param.type]
            )
            page = await repo.search(kind, [(name, value), ("_count", "1")])
            asked += 1
            if page.ignored:
                silent.add((kind, name) if name != "_query" else ("", name))
    assert asked > 2500 / step
    assert silent == {("", "_query"), ("Location", "near")}


def test_hashes_of_reference_parameters_do_not_meet() -> None:
    names = [
        f"{kind}.{name}"
        for kind in RESOURCE_TYPES
        for name, p in search_params(kind).items()
        if p.type == "reference" and answered(p)
    ]
    assert len({param32(n) for n in names}) == len(names)


async def test_relationship_of_documents(repo: Repository) -> None:
    """R4 has its components the wrong way round; asked as its description says it finds."""
    old = await repo.create(_document())
    new = await repo.create(
        {**_document(), "relatesTo": [{"code": "replaces", "target": {"reference": old.reference}}]}
    )
    assert await ids(repo, "DocumentReference", f"relationship={old.reference}$replaces") == [new.id]
    assert await ids(repo, "DocumentReference", f"relationship={old.reference}$signs") == []


def _document() -> dict[str, Any]:
    return {"resourceType": "DocumentReference", "status": "current",
            "content": [{"attachment": {"contentType": "text/plain", "title": "x"}}]}  # fmt: skip


async def test_communes_lie_below_their_province(repo: Repository) -> None:
    code = {"coding": [{"system": systems.COMMUNE, "code": "21172"}]}
    made = await repo.create({"resourceType": "Basic", "code": code})
    found = await ids(repo, "Basic", f"code:below={systems.PROVINCE}|51")
    away = await ids(repo, "Basic", f"code:below={systems.PROVINCE}|01")
    assert (found, away) == ([made.id], [])


@pytest.mark.parametrize(
    "query",
    ["code:in=http://khong.co/vs", "code:below=urn:khong-co|x", "code:below=A00", "identifier:of-type=a|b", "_total=x",
     "_text:exact=x", "code-value-quantity=x", "code-value-quantity=a$b$c", "combo-code:exact=x", "status:identifier=x",
     "_has:Observation:khong-co:code=x", "_has:Khong:subject:code=x", "_has:Observation=x", "subject.khong-co=x",
     "_revinclude=*", "_include:xx=Observation:subject&_include=Observation:status", "_sort=status", "_compartment=Group/x",
     "value-quantity=1e999999", "value-quantity=5|a|b|c", "_cursor=W251bGxd", "date=gtgt2026",
     "&".join(["code=x"] * 41), "has-member." * 8 + "code=x"],
)  # fmt: skip
async def test_what_cannot_be_answered_is_refused(repo: Repository, query: str) -> None:
    with pytest.raises(InvalidInput):
        await repo.search("Observation", query)


@pytest.mark.parametrize(
    "place",
    [["x", 1], [None, 1], ["2026-99-99", 1], [1, 1], ["2026-01-01", 2**70], ["2026-01-01"], ["\x00", 1]],
)
async def test_cursors_from_outside_are_refused_or_harmless(repo: Repository, place: list[Any]) -> None:
    try:
        page = await repo.search("Observation", [("_sort", "date"), ("_cursor", write_cursor(place))])
    except InvalidInput:
        return
    assert page.entries == []


async def test_free_text_and_text_of_codes_need_no_tones(repo: Repository) -> None:
    person = await repo.create(a_patient())
    noted = {**an_observation(person.id), "note": [{"text": "Tràn dịch màng phổi phải"}]}
    noted["code"] = {"text": "Chụp X-quang ngực"}
    made = await repo.create(noted)
    await repo.create(an_observation(person.id))
    for query in (
        "_content=tran dich phoi",
        f"patient={person.id}&_content=TRÀN",
        "code:text=chup x",
        "_content=khong,ngực",
    ):
        assert await ids(repo, "Observation", query) == [made.id], query
    assert await ids(repo, "Observation", "_text=tran") == []
    assert await ids(repo, "Observation", "code=http://loinc.org|") != [made.id]
