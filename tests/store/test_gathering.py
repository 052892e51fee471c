"""Many ask at once: each gets its own answer, its own error, its own sight of the rows, and its own line in the audit."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from benhan.base.errors import NotFound
from benhan.store import Repository, Store, SystemPolicy
from benhan.store.gathering import MOST, Gathering


async def test_a_group_gathers_while_one_is_under_way() -> None:
    """The first goes alone, those that come meanwhile go together, none waits for more."""
    groups: list[list[int]] = []

    async def act(asked: list[int]) -> list[int]:
        groups.append(asked)
        await asyncio.sleep(0)
        return [n * 2 for n in asked]

    gathering = Gathering(act)
    first = asyncio.ensure_future(gathering.put(1))
    await asyncio.sleep(0)
    assert await asyncio.gather(first, *(gathering.put(n) for n in range(2, MOST + 5))) == [
        n * 2 for n in range(1, MOST + 5)
    ]
    assert [len(g) for g in groups] == [1, MOST, 3]


async def test_a_group_that_fails_fails_for_each_and_the_next_goes_on() -> None:
    """The error reaches every caller of its group; a caller that has gone away is no error."""

    async def act(asked: list[int]) -> list[int]:
        await asyncio.sleep(0)
        if 0 in asked:
            raise NotFound("store.not-found", "Không có.")
        return asked

    gathering = Gathering(act)
    alone = asyncio.ensure_future(gathering.put(5))
    await asyncio.sleep(0)
    gone = asyncio.ensure_future(gathering.put(0))
    stays = asyncio.ensure_future(gathering.put(1))
    await asyncio.sleep(0)
    gone.cancel()
    assert await alone == 5
    with pytest.raises(NotFound):
        await stays
    assert await gathering.put(7) == 7


async def test_what_the_first_caller_has_set_is_not_the_others() -> None:
    """A permission held in a context variable does not leak into a group."""
    held: ContextVar[str] = ContextVar("held", default="nothing")

    async def act(asked: list[int]) -> list[str]:
        return [held.get() for _ in asked]

    held.set("a key")
    assert await Gathering(act).put(1) == "nothing"


async def test_reads_at_once_are_answered_and_audited_one_by_one(store: Store, repo: Repository) -> None:
    """Forty reads of twenty resources and of one that is not there: forty answers, forty rows, one refusal."""
    made = [await repo.create({"resourceType": "Basic", "code": {"text": f"số {n}"}}) for n in range(20)]
    before = await _reads(repo)
    found = await asyncio.gather(
        *(repo.read("Basic", made[n % 20].id) for n in range(40)),
        repo.read("Basic", "khong-co"),
        return_exceptions=True,
    )
    assert isinstance(found[-1], NotFound)
    assert [f.id for f in found[:-1]] == [made[n % 20].id for n in range(40)]
    assert await _reads(repo) - before == 40


async def test_two_facilities_in_one_group_see_their_own(store: Store, repo: Repository) -> None:
    """The same place asked at the same moment by two facilities is two places; a neighbour of the hub sees no more."""
    other_id = await store.create_tenant("facility", "51998", "Cơ sở khác")
    other = store.repo(replace(repo.ctx, tenant=other_id), SystemPolicy())
    neighbour = store.repo(replace(repo.ctx, reader=UUID(int=7)), SystemPolicy())
    mine = await repo.create({"resourceType": "Basic", "code": {"text": "của tôi"}})
    theirs = await other.update({"resourceType": "Basic", "id": mine.id, "code": {"text": "của họ"}})
    found: list[Any] = await asyncio.gather(
        repo.read("Basic", mine.id),
        other.read("Basic", mine.id),
        neighbour.read("Basic", mine.id),
        return_exceptions=True,
    )
    assert found[0].raw == mine.raw
    assert found[1].raw == theirs.raw
    assert isinstance(found[2], NotFound)


async def _reads(repo: Repository) -> int:
    async with repo.transaction() as tx:
        row = await tx.one(
            "select count(*) from audit where tenant = %s and action = 'read'", (repo.ctx.tenant,)
        )
    return int(row[0])
