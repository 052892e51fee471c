"""Waiting for what other databases of the same server hold back: feed and sealer go by the server's oldest transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from benhan.store import Repository

T = TypeVar("T")


async def until(ask: Callable[[], Awaitable[T]], good: Callable[[T], bool], tries: int = 500) -> T:
    """Ask again until the answer is good (at most some 10 s)."""
    answer = await ask()
    for _ in range(tries):
        if good(answer):
            break
        await asyncio.sleep(0.02)
        answer = await ask()
    return answer


async def all_settled(repo: Repository) -> None:
    """Wait until every row committed before the call is shown by the feeds."""

    async def number(query: str) -> int:
        async with repo.store.pool.connection() as connection:
            row = await (await connection.execute(query)).fetchone()
        return int(row[0]) if row else 0

    end = await number("select pg_snapshot_xmax(pg_current_snapshot())::text")
    await until(lambda: number("select settled_before()::text"), lambda before: before >= end)
