"""Rebuilding what is derived from the log: current rows and index rows of a tenant, while others write.

Needed after the definitions of index rows have changed (``doctor`` says so), and as proof that they are derived: a
test compares rebuilt with live. Pages of resources are compared without a lock. What differs, or was written to
meanwhile, is then settled in small transactions that lock the current rows, as a write does: there is no moment in
which a search misses a row that it had, and nobody waits longer than for a write. Rows without a resource go at the end.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from benhan import fhir
from benhan.fhir import patient_of, search_params
from benhan.store.hashing import FINGERPRINT
from benhan.store.indexing import IndexRows, rows_of
from benhan.store.reading import COLUMNS, stored_of
from benhan.store.writing import add_index, drop_index

if TYPE_CHECKING:
    from benhan.store.repository import Repository
    from benhan.store.store import Store

_PAGE, _FEW = 5000, 50
_LOCK = "select pg_advisory_lock(hashtextextended('reindex' || %s, 0))"
_UNLOCK = "select pg_advisory_unlock(hashtextextended('reindex' || %s, 0))"
_PLACES = (
    "select distinct type, id from log where tenant = %(tenant)s and (type, id) > (%(type)s, %(id)s) "
    "order by type, id limit %(limit)s"
)
_LATEST = (
    f"select {COLUMNS} from unnest(%(types)s::text[], %(ids)s::text[]) as w (type, id) "  # noqa: S608 - constants
    "cross join lateral (select * from log where tenant = %(tenant)s and type = w.type and id = w.id "
    "order by version desc limit 1) l left join record_key k on k.tenant = l.tenant and k.id = l.key_id"
)
_CONTENT = (
    f"select {COLUMNS} from log l left join record_key k on k.tenant = l.tenant and k.id = l.key_id "  # noqa: S608
    "where l.tenant = %s and l.type = %s and l.id = %s and l.action <> 'delete' order by l.version desc limit 1"
)
_CURRENT = (
    "select c.type, c.id, c.rid, c.at, c.custodian, c.version, c.deleted, c.patient, c.present "
    "from unnest(%(types)s::text[], %(ids)s::text[]) as w (type, id) "
    "join current_version c on c.tenant = (select %(tenant)s::uuid) and c.type = w.type and c.id = w.id"
)
_LOCKED = f"{_CURRENT} order by c.type, c.id for update of c"
_VERSIONS = (
    "select c.type, c.id, c.version from unnest(%(types)s::text[], %(ids)s::text[]) as w (type, id) "
    "join current_version c on c.tenant = (select %(tenant)s::uuid) and c.type = w.type and c.id = w.id"
)
_PUT = (
    "insert into current_version as c (tenant, rid, at, custodian, version, deleted, type, id, patient, present) "
    "values (%(tenant)s, %(rid)s, %(at)s, %(custodian)s, %(version)s, %(deleted)s, %(type)s, %(id)s, %(patient)s, "
    "%(present)s::integer[]) on conflict (tenant, type, id) do update set at = excluded.at, "
    "custodian = excluded.custodian, version = excluded.version, deleted = excluded.deleted, "
    "patient = excluded.patient, present = excluded.present returning rid"
)
_ROWS = {
    "equal": "select rid, key, system from index_equal where tenant = %s and rid = any(%s)",
    "string": "select rid, key, exact, folded from index_string where tenant = %s and rid = any(%s)",
    "trigram": "select rid, key from index_trigram where tenant = %s and rid = any(%s)",
    "date": "select rid, key, low, high from index_date where tenant = %s and rid = any(%s)",
    "number": "select rid, key, low, high from index_number where tenant = %s and rid = any(%s)",
    "reference": "select rid, param, target from index_reference where tenant = %s and rid = any(%s)",
    "group": "select rid, key, grp, system, low, high from index_group where tenant = %s and rid = any(%s)",
}
_UNFOUNDED = (
    "delete from current_version c where c.tenant = %s and not exists "
    "(select from log l where l.tenant = c.tenant and l.type = c.type and l.id = c.id)"
)
_LOOSE = (
    "delete from {} i where i.tenant = %s and not exists "
    "(select from current_version c where c.tenant = i.tenant and c.rid = i.rid)"
)

Place = tuple[str, str]


@dataclass(frozen=True)
class _Head:
    """What a current row says of its resource."""

    at: datetime
    custodian: UUID | None
    version: int
    deleted: bool
    patient: str | None
    present: tuple[int, ...]


@dataclass
class _Live:
    """What stands now; ``doubled`` are rows that stand more than once."""

    rid: int
    head: _Head
    rows: IndexRows
    doubled: IndexRows


Wanted = dict[Place, tuple[_Head, IndexRows]]


async def reindex(store: Store, tenant: UUID) -> int:
    """Make all derived rows of a tenant what the log says; gives the number of resources."""
    total, place = 0, ("", "")
    async with _alone(store, tenant):
        while True:
            places = await _places(store, tenant, place)
            if not places:
                break
            wrong = await _differing(store, tenant, places)
            for first in range(0, len(wrong), _FEW):
                await _settle(store, tenant, wrong[first : first + _FEW])
            total += len(places)
            place = places[-1]
        async with store.system_repo(tenant).transaction() as tx:
            await tx.open_connection.execute(_UNFOUNDED, (tenant,))
            for name in _ROWS:
                await tx.open_connection.execute(_LOOSE.format(f"index_{name}").encode(), (tenant,))
            await tx.open_connection.execute(
                "update installation set indexed_by = %s", (index_fingerprint(),)
            )
    return total


@asynccontextmanager
async def _alone(store: Store, tenant: UUID) -> AsyncIterator[None]:
    """One at a time for a tenant; held by a connection outside of any transaction."""
    async with store.pool.connection() as holder:
        await holder.execute(_LOCK, (str(tenant),))
        try:
            yield
        finally:
            await holder.execute(_UNLOCK, (str(tenant),))


async def _places(store: Store, tenant: UUID, after: Place) -> list[Place]:
    values = {"tenant": tenant, "type": after[0], "id": after[1], "limit": _PAGE}
    async with store.system_repo(tenant).transaction() as tx:
        rows = await (await tx.open_connection.execute(_PLACES, values)).fetchall()
    return [(row[0], row[1]) for row in rows]


async def _differing(store: Store, tenant: UUID, places: Sequence[Place]) -> list[Place]:
    """Places whose rows are not those of the log, or that were written to while we looked."""
    async with store.system_repo(tenant).transaction() as tx:
        wanted = await _wanted(tx, places)
        live = await _live(tx, places, _CURRENT)
        after = await (await tx.open_connection.execute(_VERSIONS, _asked(tenant, places))).fetchall()
    versions = {(row[0], row[1]): row[2] for row in after}
    return [
        place
        for place, (head, rows) in wanted.items()
        if place not in live
        or live[place].head != head
        or live[place].rows != rows
        or live[place].doubled != IndexRows()
        or versions.get(place) != head.version
    ]


async def _settle(store: Store, tenant: UUID, places: Sequence[Place]) -> None:
    """Put right what differs, under the locks that writers take, all of it read again."""
    async with store.system_repo(tenant).transaction() as tx:
        connection = tx.open_connection
        await connection.execute(_LOCKED, _asked(tenant, places))
        wanted = await _wanted(tx, places)
        for place, (head, _) in wanted.items():
            values = {
                "tenant": tenant, "type": place[0], "id": place[1], "at": head.at, "custodian": head.custodian,
                "version": head.version, "deleted": head.deleted, "patient": head.patient,
                "present": list(head.present), "rid": await store.next_rid(connection),
            }  # fmt: skip
            await connection.execute(_PUT, values)
        live = await _live(tx, places, _LOCKED)
        params: dict[str, Any] = {"tenant": tenant}
        parts: list[str] = []
        found = [(live[place], rows) for place, (_, rows) in wanted.items()]
        add_index(
            params, parts, [(have.rid, _joined(rows.minus(have.rows), have.doubled)) for have, rows in found]
        )
        drop_index(
            params, parts, [(have.rid, _joined(have.rows.minus(rows), have.doubled)) for have, rows in found]
        )
        if parts:
            await connection.execute(("with " + ",\n".join(parts) + " select 1").encode(), params)


def _joined(some: IndexRows, more: IndexRows) -> IndexRows:
    return IndexRows(
        some.equal | more.equal,
        some.string | more.string,
        some.trigram | more.trigram,
        some.date | more.date,
        some.number | more.number,
        some.reference | more.reference,
        some.group | more.group,
    )


async def _wanted(tx: Repository, places: Sequence[Place]) -> Wanted:
    """What the log asks for; destroyed versions are left out."""
    connection, tenant, ring = tx.open_connection, tx.ctx.tenant, tx.store.keys
    out: Wanted = {}
    for row in await (await connection.execute(_LATEST.encode(), _asked(tenant, places))).fetchall():
        stored = await stored_of(ring, connection, tenant, row)
        if stored is None:
            continue
        rows, patient = IndexRows(), None
        if stored.deleted:  # a deletion has no content: the patient is that of the version before
            last = await (await connection.execute(_CONTENT, (tenant, stored.type, stored.id))).fetchone()
            before = None if last is None else await stored_of(ring, connection, tenant, last)
            patient = None if before is None else patient_of(before.data)
        else:
            rows, patient = rows_of(stored.data), patient_of(stored.data)
        present, rows.present = tuple(sorted(rows.present)), set()
        head = _Head(stored.at, stored.custodian, stored.version, stored.deleted, patient, present)
        out[stored.type, stored.id] = head, rows
    return out


async def _live(tx: Repository, places: Iterable[Place], sql: str) -> dict[Place, _Live]:
    """What stands now."""
    connection, tenant = tx.open_connection, tx.ctx.tenant
    out: dict[Place, _Live] = {}
    for row in await (await connection.execute(sql, _asked(tenant, places))).fetchall():
        head = _Head(row[3], row[4], row[5], row[6], row[7], tuple(sorted(row[8])))
        out[row[0], row[1]] = _Live(row[2], head, IndexRows(), IndexRows())
    by_rid = {one.rid: one for one in out.values()}
    for name, asked in _ROWS.items():
        for rid, *values in await (await connection.execute(asked, (tenant, list(by_rid)))).fetchall():
            value = values[0] if name == "trigram" else tuple(values)
            held: set[Any] = getattr(by_rid[rid].rows, name)
            (getattr(by_rid[rid].doubled, name) if value in held else held).add(value)
    return out


def _asked(tenant: UUID, places: Iterable[Place]) -> dict[str, Any]:
    listed = list(places)
    return {"tenant": tenant, "types": [p[0] for p in listed], "ids": [p[1] for p in listed]}


def index_fingerprint() -> str:
    """Changes when the definitions of index rows change: ours or the search parameters'."""
    digest = hashlib.sha256(FINGERPRINT.encode())
    for resource_type in sorted(fhir.RESOURCE_TYPES):
        for name, param in sorted(search_params(resource_type).items()):
            digest.update(f"{resource_type}|{name}|{param.type}|{param.expression}\n".encode())
    return digest.hexdigest()[:16]


async def indexed_by(store: Store) -> str:
    """Fingerprint under which the rows were last rebuilt; empty: never rebuilt."""
    async with store.pool.connection() as connection:
        row = await (await connection.execute("select indexed_by from installation")).fetchone()
    return str(row[0]) if row else ""
