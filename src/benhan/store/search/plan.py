"""From what is asked to SQL. Only constant fragments; every value is bound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benhan.base.errors import InvalidInput
from benhan.fhir import search_params
from benhan.store.hashing import key64, param32
from benhan.store.model import Scope
from benhan.store.reading import COLUMNS
from benhan.store.search import date as date_conditions
from benhan.store.search.condition import Values, alternatives, bad_modifier, bad_value
from benhan.store.search.number import number
from benhan.store.search.parse import Asked, Filter
from benhan.store.search.reference import reference
from benhan.store.search.string import string
from benhan.store.search.token import token, uri

_NAME_PARAMS = ("name", "family", "given")


@dataclass(frozen=True)
class SortKey:
    """One sort key: the expression over ``c``, its cast for the cursor, direction, join that it needs."""

    expression: str
    cast: str
    descending: bool
    join: str = ""


def where(values: Values, asked: Asked, scope: Scope, extra: Sequence[str] = ()) -> str:
    """The condition over ``current_version c``."""
    parts = ["c.tenant = %(tenant)s", f"c.type = {values.add(asked.type)}", "not c.deleted", *extra]
    if scope.kind == "patients":
        parts.append(f"c.patient = any({values.add(sorted(scope.patient_ids))}::text[])")
    parts += [condition(values, asked.type, f) for f in asked.filters if not f.chain]
    return " and ".join(parts)


def condition(values: Values, resource_type: str, asked: Filter) -> str:
    """The condition of one filter without chain."""
    name, modifier = asked.param.name, asked.modifier
    if modifier == "missing":
        return _missing(values, name, asked.value)
    if name == "_id":
        if modifier:
            raise bad_modifier(name, modifier)
        return f"c.id = any({values.add(alternatives(asked.value))}::text[])"
    if name == "_lastUpdated":
        return date_conditions.last_updated(values, modifier, asked.value)
    kind = asked.param.type
    if kind == "token":
        return token(values, resource_type, name, modifier, asked.value)
    if kind == "string":
        return string(values, resource_type, name, modifier, asked.value)
    if kind == "date":
        return date_conditions.date(values, resource_type, name, modifier, asked.value)
    if kind == "reference":
        return reference(values, resource_type, asked.param, modifier, asked.value)
    if kind in ("number", "quantity"):
        return number(values, resource_type, name, modifier, asked.value)
    return uri(values, resource_type, name, modifier, asked.value)


def _missing(values: Values, name: str, value: str) -> str:
    if value not in ("true", "false"):
        raise bad_value(f"{name}:missing")
    test = f"{values.add(param32(name))}::integer = any(c.present)"
    return f"not ({test})" if value == "true" else test


def sort_keys(values: Values, asked: Asked) -> list[SortKey]:
    """The sort keys; the row number comes after them, so that the order is total."""
    known = search_params(asked.type)
    keys = []
    for number_, (name, descending) in enumerate(asked.sort):
        if name == "_id":
            keys.append(SortKey("c.id", "text", descending))
        elif name == "_lastUpdated":
            keys.append(SortKey("c.at", "timestamptz", descending))
        elif name in known and known[name].type in ("date", "string"):
            keys.append(_indexed(values, asked.type, name, known[name].type, descending, number_))
        else:
            raise InvalidInput("store.search-sort", f"Không sắp xếp được theo {name}.", expression="_sort")
    return keys


def _indexed(
    values: Values, resource_type: str, name: str, kind: str, descending: bool, number_: int
) -> SortKey:
    alias = f"s{number_}"
    if kind == "date":
        table, column, cast = "index_date", "i.high" if descending else "i.low", "timestamptz"
        key, absent = key64(resource_type, name), "'-infinity'" if descending else "'infinity'"
    else:
        table, column, cast = "index_string", "i.folded", "text"
        suffix = (
            ("name", ":sort")
            if name in _NAME_PARAMS and resource_type in ("Patient", "Practitioner")
            else (name,)
        )
        key, absent = key64(resource_type, *suffix), "''" if descending else "'~~~~'"
    function = "max" if descending else "min"
    join = (
        f"cross join lateral (select coalesce({function}({column}), {absent}::{cast}) as v from {table} i "  # noqa: S608
        f"where i.tenant = %(tenant)s and i.rid = c.rid and i.key = {values.add(key)}::bigint) {alias}"
    )
    return SortKey(f"{alias}.v", cast, descending, join)


def after(values: Values, keys: Sequence[SortKey], cursor: Sequence[Any]) -> str:
    """Condition: behind the place of the cursor in the sorted order."""
    if len(cursor) != len(keys) + 1:
        raise InvalidInput("store.bad-cursor", "Con trỏ trang không thuộc lần tìm này.")
    expressions = [*((k.expression, k.cast, k.descending) for k in keys), ("c.rid", "bigint", False)]
    bound = [f"{values.add(str(v))}::{cast}" for v, (_, cast, _) in zip(cursor, expressions, strict=True)]
    tests = []
    for n, (expression, _, descending) in enumerate(expressions):
        same = [f"{expressions[m][0]} = {bound[m]}" for m in range(n)]
        tests.append(
            "(" + " and ".join([*same, f"{expression} {'<' if descending else '>'} {bound[n]}"]) + ")"
        )
    return "(" + " or ".join(tests) + ")"


def page_sql(values: Values, asked: Asked, scope: Scope, extra: Sequence[str] = ()) -> str:
    """The statement of one page: one row more than asked, to know whether there is a next page."""
    keys = sort_keys(values, asked)
    conditions = [where(values, asked, scope, extra)]
    if asked.cursor is not None:
        conditions.append(after(values, keys, asked.cursor))
    order = ", ".join([*(k.expression + (" desc" if k.descending else "") for k in keys), "c.rid"])
    picked = "".join(f", {k.expression} as k{n}" for n, k in enumerate(keys))
    joins = " ".join(k.join for k in keys)
    outer = ", ".join([*(f"m.k{n}" + (" desc" if k.descending else "") for n, k in enumerate(keys)), "m.rid"])
    texts = "".join(f", m.k{n}::text" for n in range(len(keys)))
    return (
        f"with m as materialized (select c.rid, c.type, c.id, c.version, c.patient{picked} "  # noqa: S608
        f"from current_version c {joins} where {' and '.join(conditions)} "
        f"order by {order} limit {values.add(asked.count + 1)}) "
        f"select {COLUMNS}, m.rid, m.patient{texts} from m "
        "join log l on l.tenant = %(tenant)s and l.type = m.type and l.id = m.id and l.version = m.version "
        f"left join record_key k on k.tenant = l.tenant and k.id = l.key_id order by {outer}"
    )


def count_sql(values: Values, asked: Asked, scope: Scope, extra: Sequence[str] = ()) -> str:
    """The statement that counts."""
    return f"select count(*) from current_version c where {where(values, asked, scope, extra)}"  # noqa: S608
