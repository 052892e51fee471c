"""Waiting for what other databases of the same server hold back: feed and sealer go by the server's oldest transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

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
