"""A large invented facility, put down by COPY: sealed log rows, current rows and index rows just as writes make them.

Small resources: patients of about 350 bytes, and 19 observations of about 450 to each. Index rows are those of
``rows_of``, asked part by part, so that equal parts (a code, a day, a value) are worked out once; for the first resources
the union of the parts is compared with the whole.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from random import Random
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql

from benhan.base.clock import SYSTEM_CLOCK
from benhan.base.json_door import JsonObject, dumps, loads_object
from benhan.bench.storing import new_repo
from benhan.catalogue import names
from benhan.store import Repository, Store
from benhan.store.codec import CURRENT_DICTIONARY, compress, seal
from benhan.store.indexing import IndexRows, rows_of
from benhan.store.keys import log_aad

LOINC, LOCAL = "http://loinc.org", "urn:benhan:lab"
IDENTIFIER = "urn:benhan:id:ma-bn"
PER_PATIENT = 20
CODES, DAYS, VALUES = 200, 1500, 400
FIRST_DAY = datetime(2023, 1, 1, 1, 0, tzinfo=UTC)
_BATCH = 5000
_BIG = 200_000
_COLUMNS = {
    "log": "tenant, at, key_id, epoch, version, dictionary, type, id, author, action, sha256, bytes",
    "current_version": "tenant, rid, at, version, deleted, type, id, patient, present",
    "index_equal": "tenant, key, system, rid",
    "index_string": "tenant, key, exact, folded, rid",
    "index_trigram": "tenant, key, rid",
    "index_date": "tenant, key, low, high, rid",
    "index_number": "tenant, key, low, high, rid",
    "index_reference": "tenant, param, target, rid",
}
_KINDS = ("equal", "string", "date", "number", "reference")


def a_patient(n: int) -> JsonObject:
    """Patient ``n``: a Vietnamese name, sex, birth date, number."""
    source, parts = Random(n), names()
    family = source.choice(parts.surnames)[0]
    middle, given = source.choice(("Văn", "Minh", "Thị")), source.choice(parts.given_male)
    return {
        "resourceType": "Patient",
        "id": f"p{n}",
        "identifier": [{"system": IDENTIFIER, "value": f"P{n:08d}"}],
        "name": [{"text": f"{family} {middle} {given}", "family": family, "given": [middle, given]}],
        "gender": "male" if n % 2 else "female",
        "birthDate": (datetime(1940, 1, 1, tzinfo=UTC) + timedelta(days=n * 37 % 30_000)).date().isoformat(),
    }


def parts_of_observation(patient: int, n: int) -> Iterator[JsonObject]:
    """Observation ``n`` in parts whose index rows do not depend on each other."""
    source = Random(n)
    code = min(int(source.paretovariate(0.7)) - 1, CODES - 1)  # a few codes are most of the results
    at = FIRST_DAY + timedelta(days=source.randrange(DAYS), minutes=source.randrange(0, 600, 30))
    yield {
        "status": "final",
        "code": {"coding": [{"system": LOINC, "code": f"{code}-7"}, {"system": LOCAL, "code": f"LAB{code}"}]},
    }
    yield {"subject": {"reference": f"Patient/p{patient}"}}
    yield {"encounter": {"reference": f"Encounter/e{patient}-{n % 4}"}}
    yield {"effectiveDateTime": at.isoformat()}
    value = Decimal(source.randrange(VALUES)).scaleb(-1)
    yield {
        "valueQuantity": {"value": value, "unit": "g/L", "system": "http://unitsofmeasure.org", "code": "g/L"}
    }


def an_observation(patient: int, n: int) -> JsonObject:
    """Observation ``n`` whole."""
    whole: JsonObject = {"resourceType": "Observation", "id": f"o{n}"}
    for part in parts_of_observation(patient, n):
        whole |= part
    return whole


@lru_cache(maxsize=100_000)
def _rows_of_part(part: bytes) -> IndexRows:
    return rows_of(loads_object(part))


def _rows(resource: JsonObject, parts: list[JsonObject]) -> list[IndexRows]:
    if not parts:
        return [rows_of(resource)]
    return [_rows_of_part(dumps({"resourceType": resource["resourceType"], **part})) for part in parts]


class _Load:
    """Lines of COPY for each table, gathered and sent batch by batch."""

    def __init__(self, connection: psycopg.AsyncConnection[Any], tenant: UUID) -> None:
        self.connection, self.tenant = connection, str(tenant)
        self.lines: dict[str, list[str]] = {table: [] for table in _COLUMNS}
        self.at = SYSTEM_CLOCK.now().isoformat()

    def add(
        self, resource: JsonObject, rows: list[IndexRows], rid: int, patient: str, key: tuple[UUID, bytes]
    ) -> None:
        """All rows of one resource."""
        kind, identity, tenant = resource["resourceType"], resource["id"], self.tenant
        raw = dumps(resource)
        sealed = seal(key[1], compress(raw), log_aad(UUID(tenant), kind, identity, 1))
        digest = hashlib.sha256(raw).hexdigest()
        self.lines["log"].append(
            f"{tenant}\t{self.at}\t{key[0]}\t1\t1\t{CURRENT_DICTIONARY}\t{kind}\t{identity}\tDevice/bench\tcreate"
            f"\t\\\\x{digest}\t\\\\x{sealed.hex()}\n"
        )
        present = ",".join(str(p) for p in sorted({p for r in rows for p in r.present}))
        self.lines["current_version"].append(
            f"{tenant}\t{rid}\t{self.at}\t1\tf\t{kind}\t{identity}\t{patient}\t{{{present}}}\n"
        )
        for one in rows:
            for name in _KINDS:
                self.lines[f"index_{name}"] += [
                    "\t".join((tenant, *(_text(v) for v in row), f"{rid}\n")) for row in getattr(one, name)
                ]
            self.lines["index_trigram"] += [f"{tenant}\t{gram}\t{rid}\n" for gram in one.trigram]

    async def send(self) -> None:
        """COPY what was gathered, in one transaction."""
        async with self.connection.transaction(), self.connection.cursor() as cursor:
            for table, lines in self.lines.items():
                async with cursor.copy(f"copy {table} ({_COLUMNS[table]}) from stdin".encode()) as target:
                    await target.write("".join(lines))
                lines.clear()


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


async def populate(store: Store, code: str, size: int) -> Repository:
    """A facility with ``size`` resources, its statistics known."""
    repo = await new_repo(store, code)
    async with await psycopg.AsyncConnection.connect(store.database.admin, autocommit=True) as admin:
        dropped = await _drop_indexes(admin) if size >= _BIG else []
        load = _Load(admin, repo.ctx.tenant)
        rids = await _row_numbers(admin, size)
        for patient in range(max(1, size // PER_PATIENT)):
            key = await _key(store, repo, admin, patient)
            person = a_patient(patient)
            load.add(person, _rows(person, []), next(rids), person["id"], key)
            for number in range(patient * PER_PATIENT, patient * PER_PATIENT + PER_PATIENT - 1):
                resource = an_observation(patient, number)
                rows = _rows(resource, list(parts_of_observation(patient, number)))
                if number < 100:
                    _check(resource, rows)
                load.add(resource, rows, next(rids), person["id"], key)
            if len(load.lines["log"]) >= _BATCH:
                await load.send()
        await load.send()
        for statement in dropped:
            await admin.execute(statement.encode())
        await admin.execute("vacuum analyze")
    return repo


def _check(resource: JsonObject, rows: list[IndexRows]) -> None:
    whole = rows_of(resource)
    for name in (*_KINDS, "trigram", "present"):
        if set().union(*(getattr(r, name) for r in rows)) != getattr(whole, name):
            raise AssertionError(f"bench: rows of parts are not those of the whole: {name}")


async def _key(
    store: Store, repo: Repository, admin: psycopg.AsyncConnection[Any], patient: int
) -> tuple[UUID, bytes]:
    """A record key of this patient's own, wrapped as the store wraps them; one for twenty patients to save time."""
    if patient % 20 == 0 or not _held:
        async with repo.transaction() as tx:
            scope = f"Patient/p{patient}"
            made = (await store.keys.for_scopes(tx.open_connection, repo.ctx.tenant, {scope}, {scope}))[scope]
        await admin.execute(
            "insert into record_key (tenant, id, scope, wrapped, created_at) values (%s, %s, %s, %s, now())",
            (repo.ctx.tenant, made.id, scope, made.wrapped),
        )
        _held[:] = [(made.id, made.key)]
    return _held[0]


_held: list[tuple[UUID, bytes]] = []


async def _row_numbers(admin: psycopg.AsyncConnection[Any], size: int) -> Iterator[int]:
    rows = await (
        await admin.execute("select nextval('resource_rid') from generate_series(1, %s)", (size // 1000 + 2,))
    ).fetchall()
    blocks = [int(row[0]) for row in rows]
    return (first + n for first in blocks for n in range(1000))


async def _drop_indexes(admin: psycopg.AsyncConnection[Any]) -> list[str]:
    """Drop every index of the tables loaded; gives the statements that make them again."""
    found = await (
        await admin.execute(
            "select t.relname, i.relname, coalesce(pg_get_constraintdef(k.oid), pg_get_indexdef(x.indexrelid)), "
            "k.conname from pg_index x join pg_class i on i.oid = x.indexrelid join pg_class t on t.oid = x.indrelid "
            "left join pg_constraint k on k.conindid = i.oid and k.contype = 'p' where t.relname = any(%s) "
            "and t.relnamespace = 'public'::regnamespace",
            (list(_COLUMNS),),
        )
    ).fetchall()
    again = []
    for row in found:
        table, index, definition, constraint = (str(v) if v else "" for v in row)
        if constraint:
            again.append(f"alter table {table} add constraint {constraint} {definition}")
            drop = sql.SQL("alter table {} drop constraint {}")
            await admin.execute(drop.format(sql.Identifier(table), sql.Identifier(constraint)))
        else:
            again.append(definition)
            await admin.execute(sql.SQL("drop index {}").format(sql.Identifier(index)))
    return again
