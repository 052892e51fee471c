"""Generated searches over generated resources: the store finds what a slow, obvious evaluator finds (search_oracle)."""

from __future__ import annotations

import itertools
import os
from functools import partial
from random import Random
from typing import Any
from uuid import UUID

import psycopg
import pytest
from tests.conftest import TESTER
from tests.store.search_making import CLINICAL, ICD, IN_VALUE_SET, VALUE_SET_URL, Asking, Making
from tests.store.search_oracle import Resource, World

from benhan.store import Action, Ctx, Repository, Scope, Store, SystemPolicy

pytestmark = pytest.mark.server
SEED = int(os.environ.get("BENHAN_SEARCH_SEED", "20261123"))
OBSERVATION_STATUS = [
    ("http://hl7.org/fhir/observation-status", c)
    for c in (
        "registered",
        "preliminary",
        "final",
        "amended",
        "corrected",
        "cancelled",
        "entered-in-error",
        "unknown",
    )
]
SETS = {
    VALUE_SET_URL: IN_VALUE_SET,
    "ValueSet/val0": IN_VALUE_SET,
    "http://hl7.org/fhir/ValueSet/observation-status": OBSERVATION_STATUS,
}
PARENTS = {
    (ICD, "A00"): ["A00-A09", "I"], (ICD, "A00.0"): ["A00", "A00-A09", "I"], (ICD, "A00.1"): ["A00", "A00-A09", "I"],
    (ICD, "A01.0"): ["A01", "A00-A09", "I"],
    (CLINICAL, "recurrence"): ["active"], (CLINICAL, "relapse"): ["active"],
    (CLINICAL, "remission"): ["inactive"], (CLINICAL, "resolved"): ["inactive"],
    ("http://hl7.org/fhir/observation-status", "corrected"): ["amended"],
}  # fmt: skip


class SomePatients(SystemPolicy):
    """Shows the compartments of some patients, everything of three types, and no Group."""

    def __init__(self, patients: frozenset[str]) -> None:
        self.patients = patients

    def scope(self, ctx: Ctx, action: Action, resource_type: str) -> Scope:
        if resource_type in ("Organization", "Practitioner", "ValueSet"):
            return Scope.ALL
        return Scope.NONE if resource_type == "Group" else Scope.patients(self.patients)


def patient_of(r: Resource) -> str:
    if r["resourceType"] == "Patient":
        return str(r["id"])
    found = [r.get("subject", {}), r.get("asserter", {}), *r.get("performer", [])]
    inside = [f["reference"] for f in found if f.get("reference", "").startswith("Patient/")]
    return inside[0].removeprefix("Patient/") if inside else ""


def seen(patients: frozenset[str], r: Resource) -> bool:
    if r["resourceType"] in ("Organization", "Practitioner", "ValueSet"):
        return True
    return r["resourceType"] != "Group" and patient_of(r) in patients


async def fill(repo: Repository, resources: list[Resource]) -> None:
    for first in range(0, len(resources), 100):
        some = resources[first : first + 100]
        await repo.bundle(
            {
                "resourceType": "Bundle",
                "type": "batch",
                "entry": [
                    {"resource": r, "request": {"method": "PUT", "url": f"{r['resourceType']}/{r['id']}"}} for r in some
                ],
            }
        )  # fmt: skip


async def pages(repo: Repository, kind: str, asked: list[tuple[str, str]], count: int) -> list[str]:
    """Ids in order, walked page by page."""
    out: list[str] = []
    cursor: list[tuple[str, str]] = []
    while True:
        page = await repo.search(kind, [*asked, ("_count", str(count)), *cursor])
        assert not page.ignored, asked
        out += [s.id for s in page.entries]
        if page.next is None:
            return out
        cursor = [("_cursor", page.next)]


def in_order(
    found: list[str], by_id: dict[str, Resource], world: World, sort: list[tuple[str, bool]]
) -> None:
    """Each neighbour pair is in the order of the sort keys, by one end of a period or by the other; no value comes last."""
    ways = itertools.product(*([False, True] for _ in sort))
    assert any(_ordered([by_id[i] for i in found], world, sort, ends) for ends in ways), sort


def _ordered(
    found: list[Resource], world: World, sort: list[tuple[str, bool]], ends: tuple[bool, ...]
) -> bool:
    keys = [
        [world.sort_value(r, name, down, end) for (name, down), end in zip(sort, ends, strict=True)]
        for r in found
    ]
    for a, b in itertools.pairwise(keys):
        for x, y, (_, down) in zip(a, b, sort, strict=True):
            if x == y:
                continue
            if y is None or (x is not None and (x > y if down else x < y)):
                break
            return False
    return True


async def compare(store: Store, tenant: UUID, size: int, queries: int, seed: int) -> dict[str, int]:
    """Ask both; gives how often what was asked."""
    resources = Making(seed).population(size)
    everything = store.repo(Ctx(tenant=tenant, actor=TESTER), SystemPolicy())
    await fill(everything, resources)
    for r in resources:
        assert await everything.count(r["resourceType"], [("_id", r["id"])]) == 1, r
    async with await psycopg.AsyncConnection.connect(store.database.admin, autocommit=True) as admin:
        await admin.execute("analyze")
    rng = Random(seed)
    some = frozenset(rng.sample([r["id"] for r in resources if r["resourceType"] == "Patient"], 12))
    narrow = store.repo(Ctx(tenant=tenant, actor=TESTER), SomePatients(some))
    now = store.clock.now()
    worlds = {
        True: World(resources, partial(seen, some), SETS, PARENTS, now),
        False: World(resources, lambda r: True, SETS, PARENTS, now),
    }
    asking = Asking(seed + 1, resources)
    tally = {"queries": 0, "found": 0, "empty": 0, "chain": 0, "has": 0, "sort": 0, "include": 0, "policy": 0}
    while tally["queries"] < queries:
        kind, asked = asking.query()
        limited = (
            rng.random() < 0.35 and kind != "Group" and not any("in" in n.split(":")[1:] for n, _ in asked)
        )
        world, repo = worlds[limited], narrow if limited else everything
        expected = {r["id"]: r for r in world.search(kind, asked)}
        extra: list[tuple[str, str]] = []
        sort: list[tuple[str, bool]] = []
        if rng.random() < 0.3:
            sort = asking.sort(kind)
            extra.append(("_sort", ",".join(("-" if down else "") + name for name, down in sort)))
        found = await pages(repo, kind, asked + extra, rng.choice((3, 7, 1000, 1000, 1000)))
        context = (kind, asked, extra, limited, sorted(set(found) ^ set(expected)))
        assert len(found) == len(set(found)), context
        assert set(found) == set(expected), context
        in_order(found, expected, world, sort)
        if rng.random() < 0.2:
            assert await repo.count(kind, asked) == len(expected), context
        if rng.random() < 0.2 and expected:
            includes = asking.includes(kind)
            page = await repo.search(kind, [*asked, *includes, ("_count", "1000"), ("_total", "accurate")])
            assert page.total == len(expected)
            shown = {s.reference for s in page.included}
            assert shown == world.include(list(expected.values()), includes), (kind, asked, includes, limited)
            tally["include"] += 1
        names = [n for n, _ in asked]
        tally["queries"] += 1
        tally["found"] += len(found)
        tally["empty"] += not found
        tally["policy"] += limited
        tally["sort"] += bool(sort)
        tally["has"] += any("_has:" in n for n in names)
        tally["chain"] += any("." in n and not n.startswith("_has:") for n in names)
    return tally


def enough(tally: dict[str, Any], queries: int) -> None:
    """The comparison means something: every way was taken, and most searches found something."""
    assert tally["queries"] == queries
    assert tally["empty"] < queries * 0.6, tally
    assert (
        min(tally["chain"], tally["has"], tally["include"], tally["sort"], tally["policy"]) > queries * 0.05
    ), tally


async def test_searches_find_what_the_specification_says(store: Store, tenant: UUID) -> None:
    enough(await compare(store, tenant, 200, 300, SEED), 300)


@pytest.mark.long
@pytest.mark.parametrize("part", range(10))
async def test_ten_thousand_searches(store: Store, tenant: UUID, part: int) -> None:
    enough(await compare(store, tenant, 240, 1000, SEED + 100 * (part + 1)), 1000)
