"""The limits: what PostgreSQL itself does with the very rows our writes make. SQL of the bench, none of the product's."""

from __future__ import annotations

import asyncio
from io import BytesIO
from uuid import UUID

import psycopg
from psycopg import sql

from benhan.bench.measure import seconds_async
from benhan.store import Store

TABLES: dict[str, str] = {
    "log": "at, custodian, key_id, epoch, version, dictionary, type, id, author, action, sha256, bytes",
    "current_version": "rid, at, custodian, version, deleted, type, id, patient",
    "index_equal": "key, rid, system",
    "index_string": "key, rid, exact, folded",
    "index_trigram": "key, rid",
    "index_date": "key, rid, low, high",
    "index_number": "key, rid, low, high",
    "audit": "at, account, reader, epoch, version, actor, actor_display, actor_kind, purpose, action, entity, patient, "
    "outcome, correlation, detail",
}
_SET = "select set_config('benhan.tenant', %s, true)"
_READ = "select bytes from log where tenant = %s and type = %s and id = %s order by version desc limit 1"
_INSERT = (
    "insert into log (tenant, at, epoch, version, dictionary, type, id, author, action, sha256, bytes) "
    "select tenant, at, epoch, version + %s, dictionary, type, id, author, action, sha256, bytes from log "
    "where tenant = %s and type = %s and id = %s and version = 1"
)


async def copy_seconds(store: Store, tenant: UUID, other: UUID) -> float:
    """Time to COPY a tenant's rows, from memory, into the same tables under ``other``, indexes and all."""
    async with await psycopg.AsyncConnection.connect(store.database.admin) as connection:
        held = {}
        for table, columns in TABLES.items():
            query = sql.SQL(
                "copy (select {}::uuid, {} from {} where tenant = {}) to stdout (format binary)"
            ).format(
                sql.Literal(str(other)), sql.SQL(columns), sql.Identifier(table), sql.Literal(str(tenant))
            )
            out = BytesIO()
            async with connection.cursor().copy(query) as source:
                async for block in source:
                    out.write(block)
            held[table] = out.getvalue()
        await connection.commit()

        async def put() -> None:
            for table, columns in TABLES.items():
                query = sql.SQL("copy {} (tenant, {}) from stdin (format binary)").format(
                    sql.Identifier(table), sql.SQL(columns)
                )
                async with connection.cursor().copy(query) as target:
                    await target.write(held[table])
            await connection.commit()

        return await seconds_async(put)


async def insert_seconds(store: Store, tenant: UUID, resource_id: str, count: int, lanes: int) -> float:
    """Time for ``count`` bare inserts of one log row each, a transaction each, over ``lanes`` pooled sessions."""
    numbers = iter(range(1000, 1000 + count))

    async def lane() -> None:
        for number in numbers:
            async with store.pool.connection() as connection, connection.transaction():
                await connection.execute(_SET, (str(tenant),))
                await connection.execute(_INSERT, (number, tenant, "Patient", resource_id))

    async def work() -> None:
        await asyncio.gather(*(lane() for _ in range(lanes)))

    return await seconds_async(work)


async def read(store: Store, tenant: UUID, resource_type: str, resource_id: str) -> bytes:
    """One bare select with the tenant set, in its transaction, through the same pool and role."""
    async with store.pool.connection() as connection, connection.transaction():
        await connection.execute(_SET, (str(tenant),))
        row = await (await connection.execute(_READ, (tenant, resource_type, resource_id))).fetchone()
    return bytes(row[0]) if row else b""
