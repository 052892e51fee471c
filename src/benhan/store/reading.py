"""From rows of the log to ``Stored``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import TupleRow

from benhan.base.errors import Deleted
from benhan.store.arrays import Array, int8s
from benhan.store.codec import decompress, unseal
from benhan.store.hashing import ref64
from benhan.store.keys import KeyRing, log_aad
from benhan.store.model import Stored

#: Columns that ``stored_of`` reads, from ``log l`` left joined to ``record_key k``.
COLUMNS = "l.type, l.id, l.version, l.at, l.author, l.action, l.custodian, l.key_id, l.dictionary, l.sha256, l.bytes, k.wrapped"
# ``(select %s::uuid)`` and not ``%s``: the planner must not see which tenant is asked for. Of one that no statistics know
# it expects a single row, and takes any index that begins with the tenant for as good as the primary key.
_JOINS = (
    "join log l on l.tenant = c.tenant and l.type = c.type and l.id = c.id and l.version = c.version "
    "left join record_key k on k.tenant = l.tenant and k.id = l.key_id"
)
CURRENT = (
    f"select {COLUMNS}, c.rid, c.patient from current_version c {_JOINS} "  # noqa: S608 - constants only
    "where c.tenant = (select %s::uuid) and c.type = %s and c.id = %s"
)
# A writer that waited for another gets the new row of current_version, but in this statement's snapshot the log has no
# such version yet: the columns of the log are null. The lock is held all the same: a second run of the statement reads
# it. A place with no row at all is absent, and needs no second run.
_LOCK_JOINS = f"left {_JOINS}"
CURRENT_FOR_UPDATE = (
    f"select {COLUMNS}, c.rid, c.patient from current_version c {_LOCK_JOINS} "  # noqa: S608 - constants only
    "where c.tenant = (select %s::uuid) and c.type = %s and c.id = %s for update of c"
)
# By the hash of the place, as PLACES_FOR_UPDATE.
CURRENT_OF_PLACES = (
    f"select {COLUMNS}, c.rid, c.patient from current_version c {_JOINS} "  # noqa: S608 - constants only
    "where c.tenant = (select %s::uuid) and c.ref = any(%s)"
)
CURRENT_BY_RID = (
    f"select {COLUMNS}, c.rid, c.patient from current_version c {_JOINS} "  # noqa: S608 - constants only
    "where c.tenant = (select %s::uuid) and c.rid = any(%s)"
)
CURRENT_BY_REFERENCE = (
    f"select {COLUMNS}, c.rid, c.patient from unnest(%s::text[], %s::text[]) as w (type, id) "  # noqa: S608
    f"join current_version c on c.tenant = (select %s::uuid) and c.type = w.type and c.id = w.id {_JOINS} where not c.deleted"
)
# By the hash of the place, whose index leads to few rows whatever the statistics say; who asks looks at type and id. Most
# resources of a Bundle are new: what stands there is read, with the second statement, only where something does.
PLACES_FOR_UPDATE = (
    "select c.type, c.id from current_version c where c.tenant = (select %s::uuid) and c.ref = any(%s) "
    "order by c.type, c.id for update"
)
CURRENT_OF_MANY_FOR_UPDATE = (
    f"select {COLUMNS}, c.rid, c.patient, c.type, c.id from current_version c {_LOCK_JOINS} "  # noqa: S608
    "where c.tenant = (select %s::uuid) and c.ref = any(%s) order by c.type, c.id for update of c"
)


def ask_places(tenant: UUID, places: Iterable[tuple[str, str]]) -> tuple[bytes, tuple[UUID, Array]]:
    """The question that locks what stands at places (type, id), and others whose hash is the same."""
    return PLACES_FOR_UPDATE.encode(), values_of(tenant, places)


def values_of(tenant: UUID, places: Iterable[tuple[str, str]]) -> tuple[UUID, Array]:
    """Values of the statements that ask by the hashes of places."""
    return tenant, int8s([ref64(f"{kind}/{identity}") for kind, identity in places])


VERSION = (
    f"select {COLUMNS} from log l left join record_key k on k.tenant = l.tenant and k.id = l.key_id "  # noqa: S608
    "where l.tenant = (select %s::uuid) and l.type = %s and l.id = %s and l.version = %s"
)
HISTORY = (
    f"select {COLUMNS} from log l left join record_key k on k.tenant = l.tenant and k.id = l.key_id "  # noqa: S608
    "where l.tenant = (select %s::uuid) and l.type = %s and l.id = %s and l.version < %s order by l.version desc limit %s"
)


@dataclass(frozen=True)
class Current:
    """The current version with its row number and patient."""

    stored: Stored
    rid: int
    patient: str | None
    destroyed: bool


class Destroyed(Deleted):
    """The record's key has been destroyed by law: its bytes cannot be read any more."""


def destroyed(resource_type: str, resource_id: str) -> Destroyed:
    """The error for a shredded record."""
    return Destroyed(
        "store.destroyed",
        "Hồ sơ này đã được hủy theo quy định.",
        diagnostics=f"{resource_type}/{resource_id}",
    )


async def stored_of(
    ring: KeyRing, connection: psycopg.AsyncConnection[Any], tenant: UUID, row: TupleRow
) -> Stored | None:
    """The version of one row; None when its key has been destroyed."""
    (
        resource_type,
        resource_id,
        version,
        at,
        author,
        action,
        custodian,
        key_id,
        dictionary,
        sha256,
        sealed,
        wrapped,
    ) = row[:12]
    raw = b""
    if key_id is not None:
        if wrapped is None:
            return None
        await ring.tenant_key(connection, tenant)
        key = ring.open(tenant, key_id, wrapped)
        raw = decompress(
            unseal(key, bytes(sealed), log_aad(tenant, resource_type, resource_id, version)), dictionary
        )
    return make(resource_type, resource_id, version, at, author, action, raw, bytes(sha256).hex(), custodian)


def make(
    resource_type: str,
    resource_id: str,
    version: int,
    at: datetime,
    author: str,
    action: str,
    raw: bytes,
    sha256: str,
    custodian: UUID | None,
) -> Stored:
    """A ``Stored``."""
    return Stored(
        type=resource_type,
        id=resource_id,
        version=version,
        at=at,
        author=author,
        action=action,
        raw=raw,
        sha256=sha256,
        deleted=action == "delete",
        custodian=custodian,
    )


async def current_of(
    ring: KeyRing, connection: psycopg.AsyncConnection[Any], tenant: UUID, row: TupleRow
) -> Current:
    """The current version of one row of ``CURRENT``; a destroyed one has empty bytes."""
    stored = await stored_of(ring, connection, tenant, row)
    if stored is None:
        kind, number, version, at, author, action, custodian = row[:7]
        stored = make(kind, number, version, at, author, action, b"", bytes(row[9]).hex(), custodian)
        return Current(stored, row[12], row[13], True)
    return Current(stored, row[12], row[13], False)
