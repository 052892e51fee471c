"""The statement of one page: order, place of the cursor, limit.

The first sort key, where it is an index row, drives the statement: the page is read from the index in its order, each
resource at its least (descending: greatest) value. Of a period its start counts (descending: its end), or that end which
a filter on the same date bounds: FHIR does not say which. Resources without a value come last, as a second phase whose cursor
begins with null. Further keys are looked up row by row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from benhan.base.errors import InvalidInput
from benhan.fhir import is_single
from benhan.store.hashing import key64
from benhan.store.indexing import NAMED_TYPES
from benhan.store.reading import COLUMNS
from benhan.store.search.ask import Plain
from benhan.store.search.condition import Values
from benhan.store.search.date import bounded_end, date_tests
from benhan.store.search.parse import Asked
from benhan.store.search.plan import known_type, where

Phase = Literal["present", "absent"]
_NAME_PARAMS = ("name", "family", "given")
#: Kind → table, columns compared (ascending, descending), cast, value that sorts last (ascending, descending).
_TABLES = {
    "date": ("index_date", ("low", "high"), "timestamptz", ("'infinity'", "'-infinity'")),
    "string": ("index_string", ("folded", "folded"), "text", ("'\U0010ffff'", "''")),
    "number": ("index_number", ("low", "high"), "float8", ("'infinity'", "'-infinity'")),
}
_KINDS = {"date": "date", "string": "string", "uri": "string", "number": "number", "quantity": "number"}
_OTHER = {"low": "high", "high": "low", "folded": "exact"}


@dataclass(frozen=True)
class SortKey:
    """One key: ``expression`` over ``c``, its cast for the cursor, direction; ``table``, ``column``, ``key`` of index rows."""

    expression: str
    cast: str
    descending: bool
    table: str = ""
    column: str = ""
    key: int = 0
    last: str = ""


def sort_keys(asked: Asked) -> list[SortKey]:
    """The sort keys; the row number comes after them, so that the order is total.

    Raises: ``InvalidInput`` (store.search-sort): token, reference and composite values are kept as hashes.
    """
    keys = [_key(asked.type, name, descending, n) for n, (name, descending) in enumerate(asked.sort)]
    for one in _of_sort_row(asked) if has_phases(keys) else ():
        if column := bounded_end(one.value, keys[0].descending):
            keys[0] = replace(keys[0], column=column)
    return keys


def _key(resource_type: str, name: str, descending: bool, n: int) -> SortKey:
    if name == "_id":
        return SortKey("c.id", "text", descending)
    if name == "_lastUpdated":
        return SortKey("c.at", "timestamptz", descending)
    kind = _KINDS.get(known_type(resource_type, name), "")
    if not kind or name.startswith(("combo-", "_text", "_content")):
        raise InvalidInput("store.search-sort", f"Không sắp xếp được theo {name[:100]}.", expression="_sort")
    table, columns, cast, last = _TABLES[kind]
    place = (resource_type, name)
    if _sorts_people(resource_type, name):
        place = (resource_type, "name", ":sort")  # type: ignore[assignment]
    column = columns[int(descending)]
    return SortKey(f"s{n}.v", cast, descending, table, column, key64(*place), last[int(descending)])


def has_phases(keys: Sequence[SortKey]) -> bool:
    """Whether resources without the first key come in a second phase."""
    return bool(keys) and bool(keys[0].table)


def page_sql(
    values: Values, asked: Asked, limit: int, phase: Phase = "present", extra: Sequence[str] = ()
) -> str:
    """The statement of one page of at most ``limit`` rows: columns of the log, rid, patient, sort keys as text."""
    keys = sort_keys(asked)
    phased = has_phases(keys)
    own = _of_sort_row(asked) if phased and phase == "present" else []
    parts = [where(values, "c", replace(asked, filters=[f for f in asked.filters if f not in own]), extra)]
    parts += [date_tests(values, "s0", asked.sort[0][0], f.value) for f in own]
    joins = []
    if phased and phase == "absent":
        first, keys = keys[0], keys[1:]
        parts.append(_no_row(values, first))
    elif phased:
        joins.append(_driving(values, keys[0]))
        if not _one_row(asked):
            parts.append(_is_first(keys[0]))
    start = 1 if phased and phase == "present" else 0
    joins += [_looked_up(values, k) for k in keys[start:] if k.table]
    down = bool(keys) and keys[0].descending
    if asked.cursor is not None and (not phased or (asked.cursor[0] is None) == (phase == "absent")):
        place = asked.cursor[1:] if phased and phase == "absent" else asked.cursor
        parts.append(_after(values, keys, place, down))
    order = ", ".join(_ordered(k.expression, k.descending) for k in keys)
    order = f"{order}, " if order else ""
    outer = ", ".join(
        [*(_ordered(f"m.k{n}", k.descending) for n, k in enumerate(keys)), _ordered("m.rid", down)]
    )
    picked = "".join(f", {k.expression} as k{n}" for n, k in enumerate(keys))
    texts = "".join(f", m.k{n}::text" for n in range(len(keys)))
    return (
        f"with m as materialized (select c.rid, c.type, c.id, c.version, c.patient{picked} "  # noqa: S608
        f"from current_version c {' '.join(joins)} where {' and '.join(parts)} "
        f"order by {order}{_ordered('c.rid', down)} limit {values.add(limit)}) "
        f"select {COLUMNS}, m.rid, m.patient{texts} from m "
        "join log l on l.tenant = %(tenant)s and l.type = m.type and l.id = m.id and l.version = m.version "
        f"left join record_key k on k.tenant = l.tenant and k.id = l.key_id order by {outer}"
    )


def _of_sort_row(asked: Asked) -> list[Plain]:
    """Filters on the date that the page is sorted by, where a resource has at most one: they are asked of the very row
    that drives the page, so that the index begins where they hold and not at the newest of all."""
    name = asked.sort[0][0]
    if known_type(asked.type, name) != "date" or not is_single(asked.type, name):
        return []
    return [f for f in asked.filters if isinstance(f, Plain) and f.param.name == name and not f.modifier]


def _one_row(asked: Asked) -> bool:
    """Whether a resource has at most one row of the first sort key: no other can come before it."""
    name = asked.sort[0][0]
    return _sorts_people(asked.type, name) or is_single(asked.type, name)


def _sorts_people(resource_type: str, name: str) -> bool:
    return name in _NAME_PARAMS and resource_type in NAMED_TYPES


def _ordered(expression: str, descending: bool) -> str:
    return expression + (" desc" if descending else "")


def _driving(values: Values, key: SortKey) -> str:
    return (
        f"join (select i.*, i.{key.column} as v from {key.table} i where i.tenant = %(tenant)s "  # noqa: S608
        f"and i.key = {values.add(key.key)}::bigint) s0 on s0.rid = c.rid"
    )


def _is_first(key: SortKey) -> str:
    """No other row of the resource comes before this one."""
    other = _OTHER[key.column]
    sign = ">" if key.descending else "<"
    return (
        f"not exists (select from {key.table} x where x.tenant = %(tenant)s and x.rid = s0.rid and x.key = s0.key "
        f"and (x.{key.column}, x.{other}) {sign} (s0.{key.column}, s0.{other}))"
    )


def _no_row(values: Values, key: SortKey) -> str:
    return (
        f"not exists (select from {key.table} x where x.tenant = %(tenant)s and x.rid = c.rid "
        f"and x.key = {values.add(key.key)}::bigint)"
    )


def _looked_up(values: Values, key: SortKey) -> str:
    function = "max" if key.descending else "min"
    return (
        f"cross join lateral (select coalesce({function}(i.{key.column}), {key.last}::{key.cast}) as v "  # noqa: S608
        f"from {key.table} i where i.tenant = %(tenant)s and i.rid = c.rid "
        f"and i.key = {values.add(key.key)}::bigint) {key.expression.partition('.')[0]}"
    )


def _after(values: Values, keys: Sequence[SortKey], cursor: Sequence[Any], down: bool) -> str:
    """Condition: behind the place of the cursor in the sorted order."""
    if len(cursor) != len(keys) + 1 or any(v is None for v in cursor):
        raise InvalidInput("store.bad-cursor", "Con trỏ trang không thuộc lần tìm này.")
    expressions = [*((k.expression, k.cast, k.descending) for k in keys), ("c.rid", "bigint", down)]
    if not all(_fits(v, cast) for v, (_, cast, _) in zip(cursor, expressions, strict=True)):
        raise InvalidInput("store.bad-cursor", "Con trỏ trang không đọc được.")
    bound = [f"{values.add(str(v))}::{cast}" for v, (_, cast, _) in zip(cursor, expressions, strict=True)]
    if all(
        descending == down for _, _, descending in expressions
    ):  # one comparison of rows, which an index can use
        left = ", ".join(e for e, _, _ in expressions)
        return f"({left}) {'<' if down else '>'} ({', '.join(bound)})"
    tests = []
    for n, (expression, _, descending) in enumerate(expressions):
        same = [f"{expressions[m][0]} = {bound[m]}" for m in range(n)]
        tests.append(
            "(" + " and ".join([*same, f"{expression} {'<' if descending else '>'} {bound[n]}"]) + ")"
        )
    return "(" + " or ".join(tests) + ")"


def _fits(value: Any, cast: str) -> bool:
    """Whether the database will read a cursor's value: a cursor comes from outside."""
    try:
        if cast == "timestamptz":
            return value in ("infinity", "-infinity") or bool(datetime.fromisoformat(value))
        if cast == "float8":
            return abs(float(value)) >= 0
        return abs(value) < 2**63 if cast == "bigint" else "\x00" not in value
    except (TypeError, ValueError):
        return False


def count_sql(values: Values, asked: Asked, extra: Sequence[str] = ()) -> str:
    """The statement that counts."""
    return f"select count(*) from current_version c where {where(values, 'c', asked, extra)}"  # noqa: S608
