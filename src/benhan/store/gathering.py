"""Doing in one go what many ask for at once: while one group is under way the next one gathers.

A busy node pays one way to the server for many, and a quiet one pays its own; nobody waits for others to come.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from typing import Generic, TypeVar

Asked = TypeVar("Asked")
Given = TypeVar("Given")
MOST = 256


class Gathering(Generic[Asked, Given]):
    """Belongs to the event loop it is used in. ``act`` answers a group, each in its place; what it raises goes to all of it."""

    def __init__(self, act: Callable[[list[Asked]], Awaitable[Sequence[Given]]]) -> None:
        self._act = act
        self._waiting: list[tuple[Asked, asyncio.Future[Given]]] = []
        self._task: asyncio.Task[None] | None = None

    async def put(self, asked: Asked) -> Given:
        """Its answer, once its group has been dealt with. A caller that goes away takes nothing from the others."""
        done: asyncio.Future[Given] = asyncio.get_running_loop().create_future()
        self._waiting.append((asked, done))
        if self._task is None:  # in a context of its own: what the first caller has set is not the others'
            self._task = asyncio.get_running_loop().create_task(self._work(), context=Context())
        return await asyncio.shield(done)

    async def close(self) -> None:
        """Wait for what is under way."""
        while self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    async def _work(self) -> None:
        try:
            while self._waiting:
                group, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
                try:
                    answers = await self._act([asked for asked, _ in group])
                except Exception as error:
                    for _, done in group:
                        if not done.done():
                            done.set_exception(error)
                else:
                    for (_, done), answer in zip(group, answers, strict=True):
                        if not done.done():
                            done.set_result(answer)
        finally:
            self._task = None
