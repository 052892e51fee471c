"""Rebuilding what is derived from the log: current rows and index rows of a tenant.

Needed after the definitions of index rows have changed (``doctor`` says so), and as proof that they are derived: a
test compares rebuilt with live.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any
from uuid import UUID

from benhan import fhir
from benhan.fhir import patient_of, search_params
from benhan.store.hashing import FINGERPRINT
from benhan.store.indexing import IndexRows, rows_of
from benhan.store.reading import COLUMNS, stored_of
from benhan.store.writing import add_index

if TYPE_CHECKING:
    from benhan.store.store import Store

_PAGE = 200
_TABLES = ("index_equal", "index_string", "index_trigram", "index_date", "index_number")
_LOCK = "select pg_advisory_xact_lock(hashtextextended('reindex' || %s, 0))"
_LATEST = (
    f"select {COLUMNS} from (select distinct on (type, id) * from log where tenant = %(tenant)s "  # noqa: S608
    "and (type, id) > (%(type)s, %(id)s) order by type, id, version desc limit %(limit)s) l "
    "left join record_key k on k.tenant = l.tenant and k.id = l.key_id order by l.type, l.id"
)
_CURRENT = (
    "insert into current_version as c (tenant, rid, at, custodian, version, deleted, type, id, patient, present) "
    "values (%(tenant)s, coalesce((select rid from current_version where tenant = %(tenant)s and type = %(type)s "
    "and id = %(id)s), %(rid)s), %(at)s, %(custodian)s, %(version)s, %(deleted)s, %(type)s, %(id)s, %(patient)s, "
    "%(present)s::integer[]) on conflict (tenant, type, id) do update set at = excluded.at, "
    "custodian = excluded.custodian, version = excluded.version, deleted = excluded.deleted, "
    "patient = excluded.patient, present = excluded.present returning rid"
)


async def reindex(store: Store, tenant: UUID) -> int:
    """Rebuild all derived rows of a tenant in one transaction; gives the number of resources."""
    total = 0
    async with store.system_repo(tenant).transaction() as repo:
        connection = repo.open_connection
        await connection.execute(_LOCK, (str(tenant),))
        for table in _TABLES:
            await connection.execute(f"delete from {table} where tenant = %s".encode(), (tenant,))  # noqa: S608
        place = ("", "")
        while True:
            values = {"tenant": tenant, "type": place[0], "id": place[1], "limit": _PAGE}
            rows = await (await connection.execute(_LATEST.encode(), values)).fetchall()
            if not rows:
                break
            await _rebuild(store, connection, tenant, rows)
            total += len(rows)
            place = (rows[-1][0], rows[-1][1])
        await connection.execute("update installation set indexed_by = %s", (index_fingerprint(),))
    return total


async def _rebuild(store: Store, connection: Any, tenant: UUID, rows: list[Any]) -> None:
    built: list[tuple[int, IndexRows]] = []
    for row in rows:
        stored = await stored_of(store.keys, connection, tenant, row)
        if stored is None:
            continue
        index = IndexRows() if stored.deleted else rows_of(stored.data)
        patient = None if stored.deleted else patient_of(stored.data)
        if stored.deleted:
            patient = await _patient(connection, tenant, stored.type, stored.id)
        values = {
            "tenant": tenant, "type": stored.type, "id": stored.id, "version": stored.version, "at": stored.at,
            "custodian": stored.custodian, "deleted": stored.deleted,
            "patient": patient,
            "present": sorted(index.present), "rid": await store.next_rid(connection),
        }  # fmt: skip
        found = await (await connection.execute(_CURRENT, values)).fetchone()
        built.append((found[0], index))
    params: dict[str, Any] = {"tenant": tenant}
    parts: list[str] = []
    add_index(params, parts, built)
    if parts:
        await connection.execute(("with " + ",\n".join(parts) + " select 1").encode(), params)


async def _patient(connection: Any, tenant: UUID, resource_type: str, resource_id: str) -> str | None:
    """A deleted version has no content; its patient is kept from the row that stands."""
    sql = "select patient from current_version where tenant = %s and type = %s and id = %s"
    row = await (await connection.execute(sql, (tenant, resource_type, resource_id))).fetchone()
    return None if row is None else row[0]


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
