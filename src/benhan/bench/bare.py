"""The limits: what PostgreSQL itself does with the very rows our writes make. SQL of the bench, none of the product's."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from io import BytesIO
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql

from benhan.bench.measure import seconds_async
from benhan.store import Store

#: What a resource leaves behind, in the order it is copied.
TABLES = (
    "record_key", "log", "current_version", "index_equal", "index_string", "index_trigram", "index_date", "index_number",
    "index_reference", "index_group", "audit", "outbox",
)  # fmt: skip
_COLUMNS = (
    "select column_name from information_schema.columns where table_schema = 'public' and table_name = %s "
    "and column_name not in ('tenant', 'tx', 'seq') and is_generated = 'NEVER' order by ordinal_position"
)
_SIZES = "select coalesce(sum(pg_total_relation_size(format('%%I', t)::regclass)), 0)::bigint from unnest(%s::text[]) as t"
_SET = "select set_config('benhan.tenant', %s, true)"
_READ = "select bytes from log where tenant = %s and type = %s and id = %s order by version desc limit 1"
_INSERT = (
    "insert into log (tenant, at, epoch, version, dictionary, type, id, author, action, sha256, bytes) "
    "select tenant, at, epoch, version + %s, dictionary, type, id, author, action, sha256, bytes from log "
    "where tenant = %s and type = %s and id = %s and version = 1"
)


async def copy_seconds(store: Store, tenant: UUID, other: UUID) -> float:
    """Time to COPY a tenant's rows, from memory, into the same tables under ``other``, indexes, audit and commit and all."""
    async with await psycopg.AsyncConnection.connect(store.database.admin) as connection:
        columns = {table: await _columns(connection, table) for table in TABLES}
        held = {table: await _rows(connection, table, columns[table], tenant, other) for table in TABLES}
        await connection.commit()

        async def put() -> None:
            for table in TABLES:
                query = sql.SQL("copy {} (tenant, {}) from stdin (format binary)").format(
                    sql.Identifier(table), columns[table]
                )
                async with connection.cursor().copy(query) as target:
                    await target.write(held[table])
            await connection.commit()

        return await seconds_async(put)


async def _columns(connection: psycopg.AsyncConnection[Any], table: str) -> sql.Composed:
    """Every column of a table but the tenant and what the server gives."""
    rows = await (await connection.execute(_COLUMNS, (table,))).fetchall()
    return sql.SQL(", ").join(sql.Identifier(name) for (name,) in rows)


async def _rows(
    connection: psycopg.AsyncConnection[Any], table: str, columns: sql.Composed, tenant: UUID, other: UUID
) -> bytes:
    """The rows of ``tenant`` as COPY's binary stream, already under ``other``."""
    query = sql.SQL("copy (select {}::uuid, {} from {} where tenant = {}) to stdout (format binary)").format(
        sql.Literal(str(other)), columns, sql.Identifier(table), sql.Literal(str(tenant))
    )
    out = BytesIO()
    async with connection.cursor().copy(query) as source:
        async for block in source:
            out.write(block)
    return out.getvalue()


async def size_of(store: Store, tables: Sequence[str]) -> int:
    """Bytes on disk of tables with their indexes and large values."""
    async with await psycopg.AsyncConnection.connect(store.database.admin) as connection:
        row = await (await connection.execute(_SIZES, (list(tables),))).fetchone()
    return int(row[0]) if row else 0


async def insert_seconds(
    store: Store, tenant: UUID, resource_id: str, first: int, count: int, lanes: int
) -> float:
    """Time for ``count`` bare inserts of one log row each (versions from ``first``), a transaction each, over ``lanes``
    pooled sessions."""
    numbers = iter(range(first, first + count))

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
