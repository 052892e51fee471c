"""Rows to files. Both writers hold one block of rows in memory, and replace the file only when all are written."""

from __future__ import annotations

import csv
import os
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benhan.base.errors import ConfigurationError
from benhan.base.json_door import dumps
from benhan.views.definition import Column, Row, View

if TYPE_CHECKING:
    import pyarrow

_BLOCK = 10_000
_WHOLE = frozenset({"integer", "positiveInt", "unsignedInt"})


async def write_csv(path: Path, view: View, rows: AsyncIterator[Row]) -> int:
    """RFC 4180, UTF-8, a head line; null is empty, lists and objects are JSON, digits of numbers are kept.

    Gives the number of rows.
    """
    part = _part(path)
    count = 0
    with part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([c.name for c in view.columns])
        async for row in rows:
            writer.writerow([_text(v) for v in row])
            count += 1
    os.replace(part, path)
    return count


async def write_parquet(path: Path, view: View, rows: AsyncIterator[Row]) -> int:
    """Parquet (zstd): whole numbers as int64, booleans as bool, everything else as text with the digits kept; lists as
    lists. Dates stay text because FHIR's may be partial. Gives the number of rows.

    Raises: ``ConfigurationError`` (view.no-parquet) where pyarrow is not installed.
    """
    try:
        import pyarrow as arrow
        import pyarrow.parquet as parquet
    except ImportError:
        raise ConfigurationError(
            "view.no-parquet", "Ghi Parquet cần cài thêm benhan[parquet]; hoặc ghi ra .csv."
        ) from None
    schema = arrow.schema([(c.name, _arrow_type(arrow, c)) for c in view.columns])
    part = _part(path)
    count = 0
    with parquet.ParquetWriter(part, schema, compression="zstd") as writer:
        block: list[Row] = []

        def put() -> None:
            columns = [
                arrow.array([_cell(c, row[n]) for row in block], type=schema.field(n).type)
                for n, c in enumerate(view.columns)
            ]
            writer.write_table(arrow.Table.from_arrays(columns, schema=schema))
            block.clear()

        async for row in rows:
            block.append(row)
            count += 1
            if len(block) == _BLOCK:
                put()
        if block:
            put()
    os.replace(part, path)
    return count


def _part(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


def _arrow_type(arrow: Any, column: Column) -> pyarrow.DataType:
    kind = arrow.string()
    if column.type in _WHOLE:
        kind = arrow.int64()
    elif column.type == "boolean":
        kind = arrow.bool_()
    return arrow.list_(kind) if column.collection else kind


def _cell(column: Column, value: Any) -> Any:
    if column.collection:
        return [_scalar(column, v) for v in value or ()]
    return _scalar(column, value)


def _scalar(column: Column, value: Any) -> Any:
    if value is None or (column.type == "boolean" and isinstance(value, bool)):
        return value
    if column.type in _WHOLE and isinstance(value, int):
        return value
    return _text(value)


def _text(value: Any) -> str:
    """Text of a value as FHIR writes it."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, Decimal):
        return str(value)
    return dumps(value).decode()
