"""Columns of many rows as PostgreSQL's binary arrays, made in one pass.

What the driver makes of a list it makes element by element, by the type of each; these columns have one type, known here.
The bytes are those of ``array_recv``: dimensions, whether there are nulls, the element's oid, length and first index, then each
element with its length (-1: null).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from struct import Struct, pack
from typing import Any
from uuid import UUID

import psycopg
from psycopg.adapt import Buffer, Dumper
from psycopg.pq import Format

_HEAD = Struct(">iiIii")
_LENGTH = Struct(">i")
_NULL = _LENGTH.pack(-1)
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Array:
    """A finished array; see the functions below."""

    __slots__ = ("data",)
    array_oid = 0

    def __init__(self, data: bytes) -> None:
        self.data = data


class _Bool(Array):
    array_oid = 1000


class _Bytes(Array):
    array_oid = 1001


class _Int2(Array):
    array_oid = 1005


class _Int4(Array):
    array_oid = 1007


class _Text(Array):
    array_oid = 1009


class _Int8(Array):
    array_oid = 1016


class _Float8(Array):
    array_oid = 1022


class _Time(Array):
    array_oid = 1185


class _Uuid(Array):
    array_oid = 2951


def _dumper(kind: type[Array]) -> type[Dumper]:
    class ArrayDumper(Dumper):
        format = Format.BINARY
        oid = kind.array_oid

        def dump(self, obj: Any) -> Buffer | None:
            data: bytes = obj.data
            return data

    return ArrayDumper


for _kind in (_Bool, _Bytes, _Int2, _Int4, _Text, _Int8, _Float8, _Time, _Uuid):
    psycopg.adapters.register_dumper(_kind, _dumper(_kind))


def _fixed(oid: int, size: int, letter: str, values: Sequence[Any]) -> bytes:
    """An array of numbers without nulls."""
    count = len(values)
    flat: list[Any] = [size] * (2 * count)
    flat[1::2] = values
    return _HEAD.pack(1, 0, oid, count, 1) + pack(">" + f"i{letter}" * count, *flat)


def _varied(oid: int, values: Sequence[bytes | None]) -> bytes:
    nulls = 1 if None in values else 0
    parts = [_HEAD.pack(1, nulls, oid, len(values), 1)]
    for value in values:
        if value is None:
            parts.append(_NULL)
        else:
            parts.append(_LENGTH.pack(len(value)))
            parts.append(value)
    return b"".join(parts)


def int2s(values: Sequence[int]) -> Array:
    """``smallint[]``."""
    return _Int2(_fixed(21, 2, "h", values))


def int4s(values: Sequence[int]) -> Array:
    """``integer[]``."""
    return _Int4(_fixed(23, 4, "i", values))


def int8s(values: Sequence[int]) -> Array:
    """``bigint[]``."""
    return _Int8(_fixed(20, 8, "q", values))


def float8s(values: Sequence[float]) -> Array:
    """``float8[]``."""
    return _Float8(_fixed(701, 8, "d", values))


def bools(values: Sequence[bool]) -> Array:
    """``boolean[]``."""
    return _Bool(_fixed(16, 1, "?", values))


def times(values: Sequence[datetime]) -> Array:
    """``timestamptz[]`` of aware instants."""
    return _Time(_fixed(1184, 8, "q", [_micros(v) for v in values]))


@lru_cache(maxsize=16384)
def _micros(at: datetime) -> int:
    return (at - _EPOCH) // _MICROSECOND


def texts(values: Sequence[str | None]) -> Array:
    """``text[]``."""
    return _Text(_varied(25, [None if v is None else v.encode() for v in values]))


def bytess(values: Sequence[bytes]) -> Array:
    """``bytea[]``."""
    return _Bytes(_varied(17, values))


def uuids(values: Sequence[UUID | None]) -> Array:
    """``uuid[]``."""
    return _Uuid(_varied(2950, [None if v is None else v.bytes for v in values]))


def nullable_int4s(values: Sequence[int | None]) -> Array:
    """``integer[]`` with nulls."""
    return _Int4(_varied(23, [None if v is None else _LENGTH.pack(v) for v in values]))


Maker = Callable[[Sequence[Any]], Array]
