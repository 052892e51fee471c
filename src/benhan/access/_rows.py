"""SQL of this room runs here: named rows on the connection of a repository's transaction."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, LiteralString
from uuid import UUID

from psycopg.rows import dict_row

from benhan.store import Actor, Ctx, Repository, Store, SystemPolicy

DOOR = Actor(reference="Device/benhan-access", display="Cửa đăng nhập", kind="system")

#: Called with the store before each write of this room: what is remembered of it may no longer hold.
_ON_WRITE: list[Callable[[Store], None]] = []


def on_write(forget: Callable[[Store], None]) -> Callable[[Store], None]:
    """Have ``forget`` called with the store of each write."""
    _ON_WRITE.append(forget)
    return forget


def door(store: Store, tenant: UUID, correlation_id: str = "") -> Repository:
    """A repository for the time before anybody is known: only tables of this room are touched with it."""
    ctx = Ctx(tenant=tenant, actor=DOOR, purpose="SYSADMIN", correlation_id=correlation_id)
    return store.repo(ctx, SystemPolicy())


async def rows(tx: Repository, sql: LiteralString, values: Sequence[Any] = ()) -> list[dict[str, Any]]:
    """All rows of a query inside ``tx``."""
    if tx.connection is None:
        raise RuntimeError("access: rows() needs a repository inside transaction()")
    async with tx.connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(sql, values)
        return await cursor.fetchall() if cursor.description else []


async def one(tx: Repository, sql: LiteralString, values: Sequence[Any] = ()) -> dict[str, Any] | None:
    """First row of a query inside ``tx``, or None."""
    found = await rows(tx, sql, values)
    return found[0] if found else None


async def run(tx: Repository, sql: LiteralString, values: Sequence[Any] = ()) -> int:
    """Run a statement inside ``tx``; number of rows touched."""
    if tx.connection is None:
        raise RuntimeError("access: run() needs a repository inside transaction()")
    cursor = await tx.connection.execute(sql, values)
    for forget in _ON_WRITE:
        forget(tx.store)
    return cursor.rowcount


def sha256(text: str) -> bytes:
    """Digest under which a token or name is kept."""
    return hashlib.sha256(text.encode()).digest()
