"""What is derived is what the log says: after any writes, after damage, and while others write."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import psycopg
import pytest
from tests.fhir.instances import Maker

from benhan.base.errors import BenhanError
from benhan.base.json_door import loads_object
from benhan.fhir import RESOURCE_TYPES
from benhan.store import Repository, Store

EXAMPLES = Path(__file__).parents[1] / "data" / "fhir-r4-examples"
INDEX = ("index_equal", "index_string", "index_trigram", "index_date", "index_number")
Rows = dict[str, Counter[str]]
Json = dict[str, Any]


def material(seed: int, types: int) -> dict[str, list[Json]]:
    """Valid resources by type: official examples, and made ones with as many elements as can stand together."""
    chosen = Random(seed).sample(sorted(RESOURCE_TYPES - {"Subscription", "StructureDefinition"}), types)
    out: dict[str, list[Json]] = {}
    for kind in [*chosen, "Patient", "Observation"]:
        files = sorted(EXAMPLES.glob(f"{kind}-*.json"))[:3]
        out[kind] = [loads_object(f.read_bytes()) for f in files]
        out[kind] += [Maker(f"reindex {seed} {kind} {n}").resource(kind) for n in range(2)]
    return out


class Writer:
    """Writes whatever comes to mind, always the same for one seed."""

    def __init__(self, repo: Repository, seed: int, stock: dict[str, list[Json]]) -> None:
        self.repo, self.random, self.stock = repo, Random(seed), stock

    def made(self, kind: str, number: int) -> Json:
        return {**self.random.choice(self.stock[kind]), "id": f"{kind.lower()}-{number}"}

    async def step(self) -> None:
        """One write; what collides with another writer's is refused, and that is well."""
        r = self.random
        kind, number = r.choice(sorted(self.stock)), r.randrange(4)
        act = r.choices(("update", "patch", "delete", "transaction", "create"), (50, 15, 15, 15, 5))[0]
        try:
            if act == "update":
                await self.repo.update(self.made(kind, number))
            elif act == "create":
                await self.repo.create({k: v for k, v in self.made(kind, 0).items() if k != "id"})
            elif act == "delete":
                await self.repo.delete(kind, f"{kind.lower()}-{number}")
            elif act == "patch":
                tag = {"tag": [{"system": "urn:t", "code": str(r.randrange(9))}]}
                await self.repo.patch(kind, f"{kind.lower()}-{number}", lambda now: {**now, "meta": tag})
            else:
                await self.repo.bundle(self.bundle())
        except BenhanError:
            pass

    def bundle(self) -> Json:
        """A transaction of some puts, sometimes with a fault that takes all with it."""
        kinds = self.random.sample(sorted(self.stock), 3)
        entries = [
            {"resource": self.made(k, n), "request": {"method": "PUT", "url": f"{k}/{k.lower()}-{n}"}}
            for n, k in enumerate(kinds)
        ]
        if self.random.random() < 0.2:
            entries[-1] = {"request": {"method": "DELETE", "url": "Patient/khong-co"}}
        return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


async def derived(store: Store) -> Rows:
    """Every derived row by the resource it belongs to; rows of none under their own number."""
    out: Rows = {}
    async with await psycopg.AsyncConnection.connect(store.database.admin, autocommit=True) as admin:
        current = "select to_jsonb(c) - 'rid' - 'tenant' from current_version c"
        rows = await (await admin.execute(current)).fetchall()
        out["current_version"] = Counter(json.dumps(row[0], sort_keys=True) for row in rows)
        for table in INDEX:
            sql = (
                "select coalesce(c.type || '/' || c.id, i.rid::text), to_jsonb(i) - 'rid' - 'tenant' "
                f"from {table} i left join current_version c on c.tenant = i.tenant and c.rid = i.rid"
            )
            rows = await (await admin.execute(sql.encode())).fetchall()
            out[table] = Counter(f"{row[0]} {json.dumps(row[1], sort_keys=True)}" for row in rows)
    return out


async def damage(store: Store, share: float, *, heads: bool) -> None:
    """Rows lost, doubled and invented by an accident; ``heads``: current rows too."""
    async with await psycopg.AsyncConnection.connect(store.database.admin, autocommit=True) as admin:
        for table in INDEX:
            await admin.execute(f"delete from {table} where random() < {share}".encode())
        for table in ("index_string", "index_date", "index_number"):
            await admin.execute(
                f"insert into {table} select * from {table} where random() < {share}".encode()
            )
        await admin.execute("insert into index_equal select id, 7, 77, 777 from tenant limit 1")
        await admin.execute("insert into index_equal select tenant, 8, rid, 888 from current_version limit 9")
        await admin.execute(
            f"update current_version set patient = 'sai', present = '{{1}}' where random() < {share}".encode()
        )
        if heads:
            await admin.execute(f"delete from current_version where random() < {share}".encode())


async def rebuilt_from_nothing(store: Store, repo: Repository) -> Rows:
    """The derived rows after all of them were thrown away."""
    async with await psycopg.AsyncConnection.connect(store.database.admin, autocommit=True) as admin:
        for table in (*INDEX, "current_version"):
            await admin.execute(f"delete from {table}".encode())
    await store.reindex(repo.ctx.tenant)
    return await derived(store)


async def one_run(store: Store, repo: Repository, seed: int, types: int, steps: int) -> None:
    """Random writes; then live, mended after damage, and rebuilt from nothing are all the same."""
    writer = Writer(repo, seed, material(seed, types))
    for _ in range(steps):
        await writer.step()
    live = await derived(store)
    assert all(live.values())
    await store.reindex(repo.ctx.tenant)
    assert await derived(store) == live
    await damage(store, 0.3, heads=True)
    assert await derived(store) != live
    await store.reindex(repo.ctx.tenant)
    assert await derived(store) == live
    assert await rebuilt_from_nothing(store, repo) == live


async def test_live_rows_are_the_rows_of_the_log(store: Store, repo: Repository) -> None:
    """A sample of types on every run."""
    await one_run(store, repo, 1, 8, 60)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2, 14))
async def test_live_rows_of_all_types(store: Store, repo: Repository, seed: int) -> None:
    """All types, over the seeds, and many more writes."""
    await one_run(store, repo, seed, 60, 800)


async def online(store: Store, repo: Repository, seed: int, writers: int, rounds: int) -> None:
    """Rebuilding beside writers: nobody is refused by it, no search misses a row, and at the end all is right."""
    stock = material(seed, 6)
    hands = [Writer(repo, seed * 100 + n, stock) for n in range(writers)]
    await asyncio.gather(*(hand.step() for hand in hands for _ in range(10)))
    known = {"resourceType": "Patient", "id": "biet", "identifier": [{"system": "urn:t", "value": "biet"}]}
    await repo.update(known)
    running, missed, asked = True, 0, 0

    async def write(hand: Writer) -> None:
        while running:
            await hand.step()

    async def look() -> None:
        nonlocal missed, asked
        while running:
            asked += 1
            missed += await repo.count("Patient", "identifier=urn:t|biet") != 1

    tasks = [asyncio.create_task(write(hand)) for hand in hands] + [asyncio.create_task(look())]
    try:
        for _ in range(rounds):
            await store.reindex(repo.ctx.tenant)
    finally:
        running = False
        await asyncio.gather(*tasks)
    assert asked > 0
    assert missed == 0
    live = await derived(store)
    assert await rebuilt_from_nothing(store, repo) == live


async def test_rebuilding_beside_writers(store: Store, repo: Repository) -> None:
    """A few writers on every run."""
    await online(store, repo, 5, 3, 3)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(20, 26))
async def test_rebuilding_beside_many_writers(store: Store, repo: Repository, seed: int) -> None:
    """More writers, more rounds."""
    await online(store, repo, seed, 8, 25)


async def test_damage_is_mended_beside_writers(store: Store, repo: Repository) -> None:
    """Index rows were lost; one rebuilding beside writers makes them whole."""
    stock = material(7, 6)
    hands = [Writer(repo, 700 + n, stock) for n in range(3)]
    for hand in hands:
        for _ in range(20):
            await hand.step()
    await damage(store, 0.3, heads=False)
    running = True

    async def write(hand: Writer) -> None:
        while running:
            await hand.step()

    tasks = [asyncio.create_task(write(hand)) for hand in hands]
    try:
        await store.reindex(repo.ctx.tenant)
    finally:
        running = False
        await asyncio.gather(*tasks)
    live = await derived(store)
    assert await rebuilt_from_nothing(store, repo) == live
