"""Searches of a large facility: 95 % of them are answered within this time. Whole ``Repository.search``: policy, index,
opening of what is found, audit durable before the answer.

The limit is the same answer by a statement written by hand for the shape, as the application's role under row-level
security, through the same pool, in its transaction, bytes left sealed. Both are asked in turn, with the same values.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from random import Random
from typing import Any

from benhan.base.text import fold
from benhan.bench.measure import Result, Sizes, cost
from benhan.bench.population import (
    CODES,
    DAYS,
    FIRST_DAY,
    IDENTIFIER,
    LOINC,
    PER_PATIENT,
    a_patient,
    populate,
)
from benhan.bench.storing import new_repo
from benhan.store import Repository, Store
from benhan.store.hashing import key64, param32, ref64, system32

Values = dict[str, Any]
_SET = "select set_config('benhan.tenant', %s, true)"
_ROW = (
    "join log l on l.tenant = c.tenant and l.type = c.type and l.id = c.id and l.version = c.version "
    "left join record_key k on k.tenant = l.tenant and k.id = l.key_id"
)
_SHOW = "select l.bytes, l.sha256, k.wrapped from"
_EQUAL = "index_equal i join current_version c on c.tenant = %(tenant)s and c.rid = i.rid"
_REFERENCE = "index_reference i join current_version c on c.tenant = %(tenant)s and c.rid = i.rid"


@dataclass(frozen=True)
class Shape:
    """One kind of search: the query for a number, and the statement by hand with its values."""

    type: str
    query: Callable[[int], str]
    sql: str
    values: Callable[[int], Values]


def _patient(n: int) -> str:
    return f"P{n:08d}"


def _day(n: int) -> str:
    return (FIRST_DAY + timedelta(days=n % DAYS)).date().isoformat()


def _next(n: int) -> str:
    return (FIRST_DAY + timedelta(days=n % DAYS + 1)).date().isoformat()


def _name(n: int) -> str:
    return fold(a_patient(n)["name"][0]["text"])


def _code(n: int) -> int:
    return n % CODES


_IDENTIFIER = Shape(
    "Patient",
    lambda n: f"identifier={IDENTIFIER}|{_patient(n)}",
    f"{_SHOW} {_EQUAL} {_ROW} where i.tenant = %(tenant)s and i.key = %(key)s and i.system = %(system)s limit 51",
    lambda n: {"key": key64("Patient", "identifier", _patient(n)), "system": system32(IDENTIFIER)},
)
_OF_CODE = Shape(
    "Observation",
    lambda n: f"code={LOINC}|{_code(n)}-7",
    f"{_SHOW} {_EQUAL} {_ROW} where i.tenant = %(tenant)s and i.key = %(key)s and i.system = %(system)s "
    "order by i.rid limit 51",
    lambda n: {"key": key64("Observation", "code", f"{_code(n)}-7"), "system": system32(LOINC)},
)
_NAME = Shape(
    "Patient",
    lambda n: f"name={_name(n)}",
    f"{_SHOW} index_string i join current_version c on c.tenant = %(tenant)s and c.rid = i.rid {_ROW} "
    "where i.tenant = %(tenant)s and i.key = %(key)s and i.folded >= %(low)s and i.folded < %(high)s limit 51",
    lambda n: {"key": key64("Patient", "name"), "low": _name(n), "high": _name(n) + "\x7f"},
)
_ON_DAY = Shape(
    "Observation",
    lambda n: f"date={_day(n)}",
    f"{_SHOW} index_date i join current_version c on c.tenant = %(tenant)s and c.rid = i.rid {_ROW} "
    "where i.tenant = %(tenant)s and i.key = %(key)s and i.low >= %(low)s::timestamptz and i.low < %(high)s::timestamptz "
    "and i.high <= %(high)s::timestamptz order by i.rid limit 51",
    lambda n: {
        "key": key64("Observation", "date"), "low": f"{_day(n)}T00:00+07:00", "high": f"{_next(n)}T00:00+07:00",
    },
)  # fmt: skip
_OF_PATIENT = Shape(
    "Observation",
    lambda n: f"patient=p{n}",
    f"{_SHOW} {_REFERENCE} {_ROW} where i.tenant = %(tenant)s and i.param = %(param)s and i.target = %(target)s limit 51",
    lambda n: {"param": param32("Observation.subject"), "target": ref64(f"Patient/p{n}")},
)
_BY_NUMBER = Shape(
    "Observation",
    lambda n: f"patient.identifier={IDENTIFIER}|{_patient(n)}",
    f"{_SHOW} index_equal e join current_version p on p.tenant = %(tenant)s and p.rid = e.rid "
    "join index_reference i on i.tenant = %(tenant)s and i.param = %(param)s and i.target = p.ref "
    f"join current_version c on c.tenant = %(tenant)s and c.rid = i.rid {_ROW} "
    "where e.tenant = %(tenant)s and e.key = %(key)s and e.system = %(system)s limit 51",
    lambda n: {
        "key": key64("Patient", "identifier", _patient(n)), "system": system32(IDENTIFIER),
        "param": param32("Observation.subject"),
    },
)  # fmt: skip
_WHO_HAS = Shape(
    "Patient",
    lambda n: f"birthdate={a_patient(n)['birthDate']}&_has:Observation:patient:code={LOINC}|0-7",
    f"{_SHOW} index_date d join current_version c on c.tenant = %(tenant)s and c.rid = d.rid {_ROW} "
    "where d.tenant = %(tenant)s and d.key = %(key)s and d.low = %(low)s::timestamptz and exists (select from "
    "index_reference i join index_equal e on e.tenant = %(tenant)s and e.key = %(code)s and e.system = %(system)s "
    "and e.rid = i.rid where i.tenant = %(tenant)s and i.param = %(param)s and i.target = c.ref) limit 51",
    lambda n: {
        "key": key64("Patient", "birthdate"), "low": f"{a_patient(n)['birthDate']}T00:00+07:00",
        "code": key64("Observation", "code", "0-7"), "system": system32(LOINC), "param": param32("Observation.subject"),
    },
)  # fmt: skip
_WITH_OBSERVATIONS = Shape(
    "Patient",
    lambda n: f"identifier={IDENTIFIER}|{_patient(n)}&_revinclude=Observation:subject",
    f"{_SHOW} {_REFERENCE} {_ROW} where i.tenant = %(tenant)s and i.param = %(param)s and i.target = %(target)s limit 51",
    _OF_PATIENT.values,
)
_WITH_PATIENT = Shape(
    "Observation",
    lambda n: f"patient=p{n}&_include=Observation:subject",
    _OF_PATIENT.sql,
    _OF_PATIENT.values,
)
_NEWEST = Shape(
    "Observation",
    lambda n: f"date=lt{_day(n)}&_sort=-date&_count=20",
    f"{_SHOW} index_date i join current_version c on c.tenant = %(tenant)s and c.rid = i.rid {_ROW} "
    "where i.tenant = %(tenant)s and i.key = %(key)s and i.high <= %(low)s::timestamptz order by i.high desc limit 21",
    lambda n: {"key": key64("Observation", "date"), "low": f"{_day(n)}T00:00+07:00"},
)
_NEWEST_OF_PATIENT = Shape(
    "Observation", lambda n: f"patient=p{n}&_sort=-date", _OF_PATIENT.sql, _OF_PATIENT.values
)
_BY_NAME = Shape(
    "Patient",
    lambda n: f"gender={'male' if n % 2 else 'female'}&_sort=name&_count=20",
    f"{_SHOW} index_string i join current_version c on c.tenant = %(tenant)s and c.rid = i.rid {_ROW} "
    "where i.tenant = %(tenant)s and i.key = %(key)s and exists (select from index_equal e where e.tenant = %(tenant)s "
    "and e.key = %(gender)s and e.rid = c.rid) order by i.folded, i.rid limit 21",
    lambda n: {
        "key": key64("Patient", "name", ":sort"), "gender": key64("Patient", "gender", "male" if n % 2 else "female"),
    },
)  # fmt: skip
SHAPES = {
    "search-token": (_IDENTIFIER, _OF_CODE),
    "search-string": (_NAME,),
    "search-date": (_ON_DAY,),
    "search-reference": (_OF_PATIENT,),
    "search-chain": (_BY_NUMBER, _WHO_HAS),
    "search-include": (_WITH_OBSERVATIONS, _WITH_PATIENT),
    "search-sort": (_NEWEST, _NEWEST_OF_PATIENT, _BY_NAME),
}
_filled: dict[int, Repository] = {}


async def search_bench(name: str, store: Store, sizes: Sizes) -> Result:
    """p95 in ms of one kind of search, its shapes in turn."""
    repo = await _facility(store, sizes.population)
    shapes, source = SHAPES[name], Random(name)
    people = max(1, sizes.population // PER_PATIENT)
    ours, limits = [], []
    for number in range(
        -len(shapes) * 6, sizes.searches
    ):  # the first are to warm up: prepared statements, cache
        shape, n = shapes[number % len(shapes)], source.randrange(people)
        times = (
            await _seconds(partial(repo.search, shape.type, shape.query(n))),
            await _seconds(partial(_by_hand, repo, shape, n)),
        )
        if number >= 0:
            ours.append(times[0])
            limits.append(times[1])
    return cost(name, "ms p95", [_p95(ours) * 1000], [_p95(limits) * 1000])


async def _facility(store: Store, size: int) -> Repository:
    if id(store) not in _filled:
        _filled.clear()
        _filled[id(store)] = await populate(store, "BSEARCH", size)
        await new_repo(store, "BSNEIGHBOUR")
    return _filled[id(store)]


async def _seconds(work: Callable[[], Awaitable[object]]) -> float:
    begun = time.perf_counter()
    await work()
    return time.perf_counter() - begun


async def _by_hand(repo: Repository, shape: Shape, n: int) -> None:
    async with repo.store.pool.connection() as connection, connection.transaction():
        await connection.execute(_SET, (str(repo.ctx.tenant),))
        values = {"tenant": repo.ctx.tenant, **shape.values(n)}
        await (await connection.execute(shape.sql.encode(), values)).fetchall()


def _p95(times: list[float]) -> float:
    return sorted(times)[min(len(times) - 1, int(len(times) * 0.95))]


SEARCHES = {name: partial(search_bench, name) for name in SHAPES}
