"""Merges undone in any order give back what was, byte for byte; two desks that register one person make one."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from random import Random
from typing import Any
from uuid import UUID, uuid4

import pytest
from psycopg import AsyncConnection, sql

from benhan.base.errors import Conflict
from benhan.base.json_door import dumps
from benhan.identity import (
    PersonInput,
    crossref,
    current_id,
    family,
    find_or_register,
    link_patient,
    merge,
    patient_resource,
    sources,
    unmerge,
)
from benhan.store import Repository

PEOPLE = (
    PersonInput(name="Phạm Văn Thử Một", birth_date="1971-02-03", sex="male", cccd="051071000001"),
    PersonInput(name="Đinh Thị Mẫu Hai", birth_date="1985", sex="female", bhyt="GD4515100000002"),
    PersonInput(name="Y Thử Ba", birth_date="1999-12-31", sex="female", phone="0905000003"),
    PersonInput(name="Hồ Văn Ví Dụ", birth_date="2004-06-05", sex="male", cccd="051204000004"),
)
_INDEX = {
    "index_equal": "key, system",
    "index_string": "key, exact, folded",
    "index_trigram": "key",
    "index_date": "key, low, high",
    "index_number": "key, low, high",
}


async def picture(repo: Repository, people: list[str], links: list[tuple[UUID, str]]) -> dict[str, Any]:
    """Everything a merge could touch: the bytes of both people and their papers, index rows, links, today's ids."""
    seen: dict[str, Any] = {}
    for person in people:
        stored = await repo.read("Patient", person)
        seen[person] = dumps({k: v for k, v in stored.data.items() if k != "meta"})
        papers = await repo.search("DocumentReference", [("patient", person), ("_count", "50")])
        seen[f"papers {person}"] = sorted(dumps(p.data) for p in papers.entries)
        seen[f"family {person}"] = await family(repo, person)
        seen[f"today {person}"] = await current_id(repo, person)
        seen[f"sources {person}"] = sorted(
            (str(s.source), s.source_patient_id, s.how) for s in await sources(repo, person)
        )
        async with repo.transaction() as tx:
            assert tx.connection is not None
            seen[f"index {person}"] = await index_rows(tx.connection, repo.ctx.tenant, person)
    for source, own in links:
        seen[f"link {own}"] = await crossref(repo, source, own)
    return seen


async def index_rows(connection: AsyncConnection[Any], tenant: UUID, person: str) -> dict[str, list[Any]]:
    """Index rows (match keys among them) of a person."""
    found = {}
    for table, columns in _INDEX.items():
        rows = await connection.execute(
            sql.SQL(
                "select {} from {} where tenant = %s and rid = (select rid from current_version where tenant = %s"
                " and type = 'Patient' and id = %s)"
            ).format(sql.SQL(columns), sql.Identifier(table)),
            (tenant, tenant, person),
        )
        found[table] = sorted(str(r) for r in await rows.fetchall())
    return found


async def province(repo: Repository, rng: Random) -> tuple[list[str], list[tuple[UUID, str]]]:
    """Unlike people of several facilities, one paper each."""
    people, links = [], []
    for number, person in enumerate(PEOPLE):
        source = uuid4()
        resource = patient_resource(person, patient_id=f"p-{number}")
        if rng.random() < 0.5:
            resource["active"] = True
        made = await link_patient(repo, source, resource)
        assert made.how == "created"
        await repo.create(paper(made.patient_id, number))
        people.append(made.patient_id)
        links.append((source, f"p-{number}"))
    return people, links


def paper(person: str, number: int) -> dict[str, Any]:
    """A paper about a person."""
    return {
        "resourceType": "DocumentReference",
        "status": "current",
        "type": {"coding": [{"system": "urn:benhan:paper", "code": "TT25/2025-M02"}]},
        "subject": {"reference": f"Patient/{person}"},
        "content": [{"attachment": {"contentType": "application/pdf", "url": f"Binary/{number:064d}"}}],
    }


@pytest.mark.parametrize("seed", range(8))
async def test_merges_undone_in_any_order_leave_no_trace(repo: Repository, seed: int) -> None:
    """Random sequences over four people, chains included: when all is undone, all is as before."""
    await walk(repo, seed)


@pytest.mark.long
async def test_many_sequences(repo: Repository) -> None:
    """As above, three hundred sequences."""
    for seed in range(100, 400):
        await walk(repo, seed, salt=f"{seed:06d}")


async def walk(repo: Repository, seed: int, salt: str = "") -> None:
    """One sequence."""
    rng = Random(seed)
    people, links = await province(repo, rng) if not salt else await strangers(repo, salt)
    before = await picture(repo, people, links)
    standing: dict[UUID, tuple[str, str]] = {}
    for _ in range(rng.randint(4, 12)):
        if standing and rng.random() < 0.45:
            chosen = rng.choice(list(standing))
            await unmerge(repo, chosen, "Nhầm")
            del standing[chosen]
            continue
        kept, gone = rng.sample(people, 2)
        if await current_id(repo, kept) != kept or await current_id(repo, gone) != gone:
            with pytest.raises(Conflict):
                await merge(repo, kept, gone, "Cùng một người")
            continue
        standing[await merge(repo, kept, gone, "Cùng một người")] = (kept, gone)
        assert await current_id(repo, gone) == kept
    order = list(standing)
    rng.shuffle(order)
    for chosen in order:
        await unmerge(repo, chosen, "Nhầm")
    after = await picture(repo, people, links)
    for what, value in before.items():
        assert after[what] == value, what


async def strangers(repo: Repository, salt: str) -> tuple[list[str], list[tuple[UUID, str]]]:
    """Four people nobody has seen before."""
    people, links = [], []
    for number in range(4):
        source, own = uuid4(), f"p-{salt}-{number}"
        person = PersonInput(
            name=f"Người Thử {salt} {number}", birth_date="", sex="male", cccd=f"0510{number}1{salt}"
        )
        people.append((await link_patient(repo, source, patient_resource(person, patient_id=own))).patient_id)
        links.append((source, own))
    return people, links


async def test_what_comes_in_while_merged_goes_back(repo: Repository) -> None:
    """A new number and a new facility of the merged person belong to that person again after the undoing."""
    people, links = await province(repo, Random(1))
    one, other = people[0], people[1]
    merged = await merge(repo, one, other, "Cùng một người")
    source, own = links[1]
    again = patient_resource(replace(PEOPLE[1], cccd="051185000099"), patient_id=own)
    assert (await link_patient(repo, source, again)).patient_id == other
    elsewhere = uuid4()
    third = await link_patient(repo, elsewhere, patient_resource(PEOPLE[1], patient_id="p-c"))
    assert third.patient_id == other, "known by the number of the one who was merged, not made anew"
    assert await crossref(repo, elsewhere, "p-c") == one
    await unmerge(repo, merged, "Nhầm")
    assert await crossref(repo, elsewhere, "p-c") == other
    numbers = [i["value"] for i in (await repo.read("Patient", one)).data["identifier"]]
    assert numbers == ["051071000001"]
    assert "051185000099" in [i["value"] for i in (await repo.read("Patient", other)).data["identifier"]]


async def test_two_desks_at_once_register_one_person(repo: Repository) -> None:
    """Six desks with one card at the same moment: one person, at the facility and at the hub."""
    found = await asyncio.gather(*(find_or_register(repo, PEOPLE[0]) for _ in range(6)))
    assert len({f.patient.id for f in found}) == 1
    assert sum(f.created for f in found) == 1
    hub = await asyncio.gather(
        *(link_patient(repo, uuid4(), patient_resource(PEOPLE[3], patient_id=f"p-{n}")) for n in range(6))
    )
    assert len({h.patient_id for h in hub}) == 1
    assert sorted(h.how for h in hub) == ["created", *["exact"] * 5]


async def test_one_facility_sends_one_person_twice_at_once(repo: Repository) -> None:
    """The same local person in two messages at the same moment is linked once."""
    source = uuid4()
    bare = patient_resource(PersonInput(name="", sex="unknown", status="unknown"), patient_id="p-x")
    results = await asyncio.gather(*(link_patient(repo, source, bare) for _ in range(4)))
    assert len({r.patient_id for r in results}) == 1
