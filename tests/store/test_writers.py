"""Many at once: of 16 writers with If-Match one wins each round, versions have no gaps, interleaving loses nothing."""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benhan.base.errors import BenhanError, Conflict, StaleVersion
from benhan.store import Actor, Ctx, Repository, Store, SystemPolicy

TESTER = Actor("Device/test", "Kiểm thử", "system")
WRITERS = 16
ROUNDS = 4
EXAMPLES = 12


def person(resource_id: str, number: int) -> dict:
    """A Patient whose name tells who wrote it."""
    return {"resourceType": "Patient", "id": resource_id, "name": [{"text": f"Người {number}"}]}


async def test_of_sixteen_writers_exactly_one_wins(repo: Repository) -> None:
    """Each round all know the same version; one update and then one patch gets through, fifteen are told."""
    await repo.update(person("p1", 0))
    version = 1
    for turn in range(ROUNDS):

        async def write(number: int, turn: int = turn, version: int = version) -> bool:
            try:
                if turn % 2:
                    await repo.patch(
                        "Patient", "p1", lambda c: {**c, "active": bool(number % 2)}, if_match=version
                    )
                else:
                    await repo.update(person("p1", number), if_match=version)
            except StaleVersion:
                return False
            return True

        won = await asyncio.gather(*(write(n) for n in range(WRITERS)))
        assert won.count(True) == 1
        version += 1
    history = await repo.history("Patient", "p1")
    assert [s.version for s in history] == list(range(version, 0, -1))
    assert [s.at for s in history] == sorted((s.at for s in history), reverse=True)


async def test_unconditional_writers_all_get_a_version(repo: Repository) -> None:
    """Without If-Match all are kept, one after the other; a first write under the same id may be told to try again."""
    await repo.update(person("p1", 0))
    await asyncio.gather(*(repo.update(person("p1", n)) for n in range(WRITERS)))
    versions = [s.version for s in await repo.history("Patient", "p1")]
    assert versions == list(range(WRITERS + 1, 0, -1))


async def test_first_writers_under_one_id(repo: Repository) -> None:
    """Sixteen create the same id at once: at least one is kept, the others follow or are told of the conflict."""

    async def write(number: int) -> bool:
        try:
            await repo.update(person("moi", number))
        except Conflict:
            return False
        return True

    kept = (await asyncio.gather(*(write(n) for n in range(WRITERS)))).count(True)
    versions = [s.version for s in await repo.history("Patient", "moi")]
    assert kept >= 1
    assert versions == list(range(kept, 0, -1))


STEP = st.tuples(st.sampled_from(["update", "match", "delete", "fail"]), st.integers(0, 2), st.integers(1, 3))


Plans = list[list[tuple[str, int, int]]]
SHARED = [HealthCheck.function_scoped_fixture]
PLANS = st.lists(st.lists(STEP, min_size=1, max_size=4), min_size=2, max_size=5)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=SHARED)
@given(plans=PLANS)
async def test_interleaved_transactions(store: Store, tenant: UUID, plans: Plans) -> None:
    """A few plans on every run."""
    await interleave(store, tenant, plans)


@pytest.mark.long
@settings(max_examples=400, deadline=None, suppress_health_check=SHARED)
@given(plans=st.lists(st.lists(STEP, min_size=1, max_size=5), min_size=2, max_size=16))
async def test_many_interleaved_transactions(store: Store, tenant: UUID, plans: Plans) -> None:
    """Many plans, up to sixteen transactions at once."""
    await interleave(store, tenant, plans)


async def interleave(store: Store, tenant: UUID, plans: Plans) -> None:
    """Transactions of several steps run at once: each is kept whole or not at all, and the log has no gap."""
    repo = store.repo(Ctx(tenant=tenant, actor=TESTER), SystemPolicy())
    salt = uuid4()
    ids = [f"{salt}-{n}" for n in range(3)]
    for resource_id in ids:
        await repo.update(person(resource_id, 0))

    async def run(number: int, plan: list[tuple[str, int, int]]) -> int:
        """Versions that this transaction wrote; 0 when it failed."""
        written = 0
        try:
            async with repo.transaction() as tx:
                for kind, which, expected in plan:
                    if kind == "fail":
                        raise Conflict("test.fail", "Thử nghiệm.")
                    if kind == "delete":
                        await tx.lock_currents({("Patient", ids[which])})
                        deleted = (await tx.history("Patient", ids[which], limit=1))[0].deleted
                        await tx.delete("Patient", ids[which])
                        written += not deleted
                    else:
                        match = expected if kind == "match" else None
                        await tx.update(person(ids[which], number + 1), if_match=match)
                        written += 1
                    await asyncio.sleep(0)
        except BenhanError:
            return 0
        return written

    written = await asyncio.gather(*(run(n, plan) for n, plan in enumerate(plans)))
    total = 0
    for resource_id in ids:
        history = await repo.history("Patient", resource_id)
        assert [s.version for s in history] == list(range(len(history), 0, -1))
        total += len(history) - 1
    assert total == sum(written)
