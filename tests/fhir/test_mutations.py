"""Single mutations of made resources of every type: each is refused, and at the right place.

The resources and the expected places come from the official definitions alone (``instances``), so the compiled tables
are judged by what they were compiled from.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import pytest
from tests.fhir.instances import BROKEN, Element, Json, Maker, Site, definitions, sites

from benhan import fhir
from benhan.fhir.validation import faults

Mutation = tuple[str, str, tuple[str | int, ...], Any, str]
"""What was done, expected code, where in JSON, the new value there (DROP: nothing), expected FHIRPath location."""

NOT_SHIPPED = {"http://hl7.org/fhir/ValueSet/characteristic-combination", "http://loinc.org/vs/LL379-9"}
"""Value sets that the definitions name and do not hold: any code passes."""

DROP = object()
WRONG = "fhir.type-wrong"
SEED = "2026-11-23"


def mutations(resource: Json, maker: Maker) -> Iterator[Mutation]:
    """All single mutations of a resource that this test knows."""
    kind = resource["resourceType"]
    for site in sites(resource, kind, kind):
        value: Any = resource
        for step in site.keys:
            value = value[step]
        yield "unknown", "fhir.element-unknown", (*site.keys, "soHoSo"), "1", f"{site.where}.soHoSo"
        for element in definitions()[site.path]:
            for key, of, inner in element.kinds:
                if key in value:
                    yield from _of_element(site, element, key, of, inner, value[key], maker)


def _of_element(
    site: Site, element: Element, key: str, of: str, inner: str, value: Any, maker: Maker
) -> Iterator[Mutation]:
    at = (*site.keys, key)
    where = f"{site.where}.{element.name}"
    typed = f"{where}.ofType({of})" if element.choice else where
    if element.low:
        yield "dropped", "fhir.element-missing", at, DROP, where
    if element.choice:
        for other, kind, path in element.kinds:
            if other != key:
                second = maker.value(element, kind, path, 3, 0)
                yield "two types", "fhir.choice-many", (*site.keys, other), second, where
                break
    if element.many:
        yield "one for a list", WRONG, at, value[0], typed
        yield "empty list", "fhir.empty", at, [], typed
        if element.high != "*":
            yield "too many", "fhir.too-many", at, [value[0]] * (int(element.high) + 1), typed
    else:
        yield "list for one", "", at, [value], typed
        yield "null", "", at, None, typed
    if element.value_set and of == "code" and element.value_set.split("|")[0] not in NOT_SHIPPED:
        yield (
            "no such code",
            "",
            (*at, 0) if element.many else at,
            "khong/co ma",
            f"{typed}[0]" if element.many else typed,
        )
    for bad in BROKEN.get(of, ()):
        place = f"{typed}[0]" if element.many else typed
        yield "format", "", (*at, 0) if element.many else at, bad, place


def mutated(resource: Json, keys: tuple[str | int, ...], value: Any) -> Json:
    """A copy in which one place is changed."""
    out = copy.deepcopy(resource)
    holder: Any = out
    for step in keys[:-1]:
        holder = holder[step]
    if value is DROP:
        del holder[keys[-1]]
    else:
        holder[keys[-1]] = copy.deepcopy(value)
    return out


@lru_cache(maxsize=1)
def types() -> list[str]:
    return sorted(fhir.RESOURCE_TYPES)


def refuse(kind: str, wanted: int) -> int:
    """Make resources of a type and mutate them until that many different mutations were refused at their place."""
    done: set[tuple[str, str, str]] = set()
    for turn in range(60):
        maker = Maker(f"{SEED} {kind} {turn}")
        resource = maker.resource(kind)
        every = list(mutations(resource, maker))
        maker.random.shuffle(every)
        for what, code, keys, value, where in every:
            sign = (what, where, repr(value))
            if sign in done:
                continue
            if len(done) >= wanted:
                return len(done)
            found = {(i.code, i.expression) for i in faults(mutated(resource, keys, value))}
            at = {c for c, w in found if w == where}
            assert at, (what, where, value, found, resource)
            assert not code or code in at, (what, where, value, found)
            done.add(sign)
    return len(done)


@pytest.mark.parametrize("kind", types())
def test_two_hundred_mutations_are_refused_at_their_place(kind: str) -> None:
    """Each of the 146 types: its resource is valid, and every one of 200 changes to it is not."""
    assert refuse(kind, 200) == 200


@pytest.mark.long
@pytest.mark.parametrize("kind", types())
def test_every_mutation_is_refused_at_its_place(kind: str) -> None:
    """All that this test can think of."""
    assert refuse(kind, 2_000) > 200


@pytest.mark.parametrize("kind", types())
def test_made_resources_survive_xml(kind: str) -> None:
    """Types that have no official example here go through XML and come back equal, too."""
    for turn in range(3):
        resource = Maker(f"xml {kind} {turn}").resource(kind)
        assert fhir.from_xml(fhir.to_xml(resource)) == resource
