"""Reads by id of many callers at once, one way to the server for all that may see the same rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benhan.store import reading
from benhan.store.gathering import Gathering
from benhan.store.model import Ctx
from benhan.store.reading import Current

if TYPE_CHECKING:
    from benhan.store.store import Store

Place = tuple[str, str]


class Lookup:
    """Gives current versions by place (type, id). What row-level security asks of a caller (``Ctx.sees``) is the same
    for all of one statement; policy and audit stay with each caller."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._group: Gathering[tuple[Ctx, Place], Current | None] = Gathering(self._find)

    async def current(self, ctx: Ctx, place: Place) -> Current | None:
        """What stands at a place, as the database shows it to the caller; None: nothing.

        Raises: ``StoreUnavailable`` (store.unavailable), as a transaction does.
        """
        return await self._group.put((ctx, place))

    async def close(self) -> None:
        """Wait for what is under way."""
        await self._group.close()

    async def _find(self, group: list[tuple[Ctx, Place]]) -> list[Current | None]:
        by_sight: dict[tuple[str, ...], list[int]] = {}
        for number, (ctx, _) in enumerate(group):
            by_sight.setdefault(ctx.sees, []).append(number)
        found: list[Current | None] = [None] * len(group)
        for numbers in by_sight.values():
            held = await self._ask(group[numbers[0]][0], {group[number][1] for number in numbers})
            for number in numbers:
                found[number] = held.get(group[number][1])
        return found

    async def _ask(self, ctx: Ctx, places: set[Place]) -> dict[Place, Current]:
        store, held = self._store, list[Current]()
        async with store.begin(ctx, reads_only=True) as tx:
            asked = reading.CURRENT_OF_PLACES.encode(), reading.values_of(ctx.tenant, places)
            for row in await (await tx.connection.execute(*asked)).fetchall():
                held.append(await reading.current_of(store.keys, tx.connection, ctx.tenant, row))
        return {(one.stored.type, one.stored.id): one for one in held}
