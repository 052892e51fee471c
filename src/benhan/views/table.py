"""A view as a table of PostgreSQL, ``views.<name>``, for readers of SQL: one tenant's rows replaced in one transaction.

Resources are sealed, so no SQL view can look into them; the rows are worked out by the program and written in the
clear, like index rows. The table begins with the tenant, has row-level security, and only ``benhan_reader`` (and the
owner) may select. Running the view again replaces the rows; what was destroyed since then is gone from it.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql

from benhan.base.errors import InvalidInput
from benhan.base.json_door import dumps
from benhan.store import Store
from benhan.views.definition import Column, Row, View

SCHEMA = "views"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,59}")
_WHOLE = frozenset({"integer", "positiveInt", "unsignedInt"})
_COLUMNS = (
    "select a.attname::text, format_type(a.atttypid, a.atttypmod) from pg_attribute a "
    "where a.attrelid = to_regclass(%s) and a.attnum > 0 and not a.attisdropped order by a.attnum"
)
_PROTECT = (
    "alter table {table} enable row level security",
    "alter table {table} force row level security",
    "create policy tenant on {table} using (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid) "
    "with check (tenant = nullif(current_setting('benhan.tenant', true), '')::uuid)",
    "create index on {table} (tenant)",
    "grant select on {table} to benhan_reader",
)


async def write_table(store: Store, tenant: UUID, name: str, view: View, rows: AsyncIterator[Row]) -> int:
    """Replace the tenant's rows in ``views.<name>``; the table is made when there is none. Gives the number of rows.

    Raises: ``InvalidInput`` (view.bad-table, view.other-columns).
    """
    if not _NAME.fullmatch(name):
        raise InvalidInput("view.bad-table", "Tên bảng chỉ gồm chữ thường, số, gạch dưới; tối đa 60.")
    table = sql.Identifier(SCHEMA, name)
    names = [sql.Identifier(c.name.lower()) for c in view.columns]
    count = 0
    async with await psycopg.AsyncConnection.connect(store.database.admin) as connection:
        await connection.execute("set local role benhan_owner")
        await connection.execute("select set_config('benhan.tenant', %s, true)", (str(tenant),))
        await _prepare(connection, f"{SCHEMA}.{name}", table, view)
        await connection.execute(sql.SQL("delete from {} where tenant = %s").format(table), (tenant,))
        # COPY FROM is refused on a table with row-level security, so rows go by INSERT in blocks
        insert = sql.SQL("insert into {} (tenant, {}) values (%s, {})").format(
            table, sql.SQL(", ").join(names), sql.SQL(", ").join(sql.Placeholder() for _ in names)
        )
        async with connection.cursor() as cursor:
            block: list[list[Any]] = []
            async for row in rows:
                block.append([tenant, *(_cell(c, v) for c, v in zip(view.columns, row, strict=True))])
                count += 1
                if len(block) == 1000:
                    await cursor.executemany(insert, block)
                    block = []
            if block:
                await cursor.executemany(insert, block)
    return count


async def _prepare(
    connection: psycopg.AsyncConnection[Any], place: str, table: sql.Identifier, view: View
) -> None:
    """The table with the columns of the view."""
    wanted = [("tenant", "uuid"), *((c.name.lower(), _type(c)) for c in view.columns)]
    if len({n for n, _ in wanted}) < len(wanted):
        raise InvalidInput(
            "view.other-columns", "Trong bảng, tên cột không phân biệt hoa thường và phải khác tenant."
        )
    have = await (await connection.execute(_COLUMNS, (place,))).fetchall()
    if have:
        if have != wanted:
            raise InvalidInput(
                "view.other-columns",
                "Đã có bảng cùng tên với các cột khác; hãy chọn tên khác.",
                diagnostics=place,
            )
        return
    await connection.execute(sql.SQL("create schema if not exists {}").format(sql.Identifier(SCHEMA)))
    await connection.execute(
        sql.SQL("grant usage on schema {} to benhan_reader").format(sql.Identifier(SCHEMA))
    )
    columns = sql.SQL(", ").join(sql.SQL("{} {}").format(sql.Identifier(n), sql.SQL(t)) for n, t in wanted)
    await connection.execute(sql.SQL("create table {} ({})").format(table, columns))
    for statement in _PROTECT:
        await connection.execute(sql.SQL(statement).format(table=table))


def _type(column: Column) -> str:
    kind = "text"
    if column.type in _WHOLE:
        kind = "bigint"
    elif column.type == "boolean":
        kind = "boolean"
    elif column.type == "decimal":
        kind = "numeric"
    return f"{kind}[]" if column.collection else kind


def _cell(column: Column, value: Any) -> Any:
    if column.collection:
        return [_scalar(column, v) for v in value]
    return None if value is None else _scalar(column, value)


def _scalar(column: Column, value: Any) -> Any:
    kind = _type(column).removesuffix("[]")
    fits = {
        "bigint": isinstance(value, int) and not isinstance(value, bool),
        "boolean": isinstance(value, bool),
        "numeric": isinstance(value, int | Decimal) and not isinstance(value, bool),
        "text": True,
    }[kind]
    if not fits:
        raise InvalidInput(
            "view.wrong-type",
            f"Cột {column.name} có giá trị không phải kiểu {column.type}.",
            expression=column.name,
        )
    if kind != "text" or isinstance(value, str):
        return value
    return str(value) if isinstance(value, Decimal) else dumps(value).decode()
