"""The keys over the log: installation → tenant → record.

A record's key covers one *scope*: the đợt (top Encounter) a resource belongs to, else its patient, else the resource
itself. Deleting the key row makes every version under it unreadable for ever (crypto-shredding), backups of the rows
included. A scope may have several keys (two writers at once); each version names the one it is sealed under. A key is
always read from its row, so that a deleted key is gone at once; only the unwrapping is remembered.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID, uuid4

import psycopg
from psycopg.rows import TupleRow

from benhan.base.errors import ConfigurationError
from benhan.base.json_door import JsonObject
from benhan.fhir import patient_of
from benhan.store.codec import SealBroken, seal, unseal

_TENANT_KEY = "select wrapped, id from tenant_key where tenant = %s order by created_at, id limit 1"
_NEW_TENANT_KEY = "insert into tenant_key (tenant, id, wrapped, created_at) values (%s, %s, %s, %s)"
_SCOPES = (  # the tenant as a subquery: see benhan.store.reading
    "select distinct on (scope) scope, id, wrapped from record_key where tenant = (select %s::uuid) and scope = any(%s) "
    "order by scope, id"
)


class KeyWrapper(Protocol):
    """Wraps tenant keys; the key that does it never leaves. A file, PKCS#11 or a KMS."""

    def wrap(self, key: bytes, aad: bytes) -> bytes:
        """Wrapped form of ``key``."""
        ...

    def unwrap(self, wrapped: bytes, aad: bytes) -> bytes:
        """Inverse of ``wrap``; raises ``SealBroken``."""
        ...


class FileKeyWrapper:
    """Master key in a file of 32 bytes, mode 0600; made when absent."""

    def __init__(self, path: Path) -> None:
        self._key = _secret_file(path)

    def wrap(self, key: bytes, aad: bytes) -> bytes:
        """AES-256-GCM under the master key."""
        return seal(self._key, key, aad)

    def unwrap(self, wrapped: bytes, aad: bytes) -> bytes:
        """Inverse of ``wrap``."""
        return unseal(self._key, wrapped, aad)


def _secret_file(path: Path) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        key = path.read_bytes()
    else:
        key = os.urandom(32)
        with os.fdopen(handle, "wb") as file:
            file.write(key)
            file.flush()
            os.fsync(file.fileno())
    if len(key) != 32:
        raise ConfigurationError("store.bad-master-key", f"Tệp khóa {path.name} không đúng 32 byte.")
    return key


class RecordKey:
    """A record's key ready for use. ``new``: its row is still to be written, ``wrapped`` is its content."""

    __slots__ = ("id", "key", "new", "scope", "wrapped")

    def __init__(self, key_id: UUID, scope: str, key: bytes, wrapped: bytes, *, new: bool) -> None:
        self.id, self.scope, self.key, self.wrapped, self.new = key_id, scope, key, wrapped, new


class KeyRing:
    """Keys of one installation. Tenant keys are remembered after the first use."""

    def __init__(self, wrapper: KeyWrapper) -> None:
        self._wrapper = wrapper
        self._tenants: dict[UUID, bytes] = {}
        self._unwrap = lru_cache(maxsize=20_000)(self._unwrap_record)

    async def create_tenant_key(
        self, connection: psycopg.AsyncConnection[Any], tenant: UUID, at: datetime
    ) -> None:
        """Give a new tenant its key."""
        key_id, key = uuid4(), os.urandom(32)
        await connection.execute(
            _NEW_TENANT_KEY, (tenant, key_id, self._wrapper.wrap(key, _tenant_aad(tenant, key_id)), at)
        )

    async def tenant_key(self, connection: psycopg.AsyncConnection[Any], tenant: UUID) -> bytes:
        """The tenant's key; the connection has the tenant set. Raises: ``ConfigurationError`` (store.no-tenant-key)."""
        known = self._tenants.get(tenant)
        if known is not None:
            return known
        row = await (await connection.execute(_TENANT_KEY, (tenant,))).fetchone()
        if row is None:
            raise ConfigurationError("store.no-tenant-key", "Cơ sở này chưa có khóa.")
        try:
            key = self._wrapper.unwrap(row[0], _tenant_aad(tenant, row[1]))
        except SealBroken as error:
            raise ConfigurationError(
                "store.wrong-master-key",
                "Khóa chủ của cài đặt không mở được khóa của cơ sở: tệp khóa không đúng.",
            ) from error
        self._tenants[tenant] = key
        return key

    async def for_scopes(
        self,
        connection: psycopg.AsyncConnection[Any],
        tenant: UUID,
        scopes: Iterable[str],
        fresh: Iterable[str] = (),
        found: Sequence[TupleRow] | None = None,
    ) -> dict[str, RecordKey]:
        """A key for each scope: the one there is, else a new one. ``fresh`` scopes are known to have none yet; ``found``:
        the answer to :meth:`ask_scopes` in this transaction."""
        tenant_key = await self.tenant_key(connection, tenant)
        new = set(fresh)
        wanted = [s for s in set(scopes) if s not in new]
        keys: dict[str, RecordKey] = {}
        if wanted:
            if found is None:
                found = await (await connection.execute(*self.ask_scopes(tenant, wanted))).fetchall()
            for scope, key_id, wrapped in found:
                keys[scope] = RecordKey(key_id, scope, self.open(tenant, key_id, wrapped), wrapped, new=False)
        for scope in {*wanted, *new} - keys.keys():
            key_id, key = uuid4(), os.urandom(32)
            wrapped = seal(tenant_key, key, key_id.bytes)
            keys[scope] = RecordKey(key_id, scope, key, wrapped, new=True)
        return keys

    @staticmethod
    def ask_scopes(tenant: UUID, scopes: Iterable[str]) -> tuple[bytes, Any]:
        """The question for the keys of scopes."""
        return _SCOPES.encode(), (tenant, list(scopes))

    def open(self, tenant: UUID, key_id: UUID, wrapped: bytes) -> bytes:
        """Unwrap a record's key; the tenant's key has been loaded."""
        return self._unwrap(tenant, key_id, bytes(wrapped))

    def _unwrap_record(self, tenant: UUID, key_id: UUID, wrapped: bytes) -> bytes:
        return unseal(self._tenants[tenant], wrapped, key_id.bytes)


def _tenant_aad(tenant: UUID, key_id: UUID) -> bytes:
    return b"tenant-key" + tenant.bytes + key_id.bytes


def log_aad(tenant: UUID, resource_type: str, resource_id: str, version: int) -> bytes:
    """What binds sealed bytes to their place in the log."""
    return f"log|{tenant}|{resource_type}|{resource_id}|{version}".encode()


#: of a person, but with a key each: claims, and at the hub the papers of one record of many, can be destroyed by themselves
_ALONE = frozenset({"Claim", "ClaimResponse", "DocumentReference", "List"})


def scope_of(resource: JsonObject) -> str:
    """The scope whose key seals this resource: đợt, else patient (but for those that have a key each), else itself."""
    resource_type, resource_id = resource["resourceType"], resource["id"]
    if resource_type == "Encounter":
        parent = _reference(resource.get("partOf"))
        return parent or f"Encounter/{resource_id}"
    encounter = resource.get("encounter")
    context = resource.get("context")
    if encounter is None and isinstance(context, dict):
        encounter = context.get("encounter", context)
    if isinstance(encounter, list):
        encounter = encounter[0] if encounter else None
    found = _reference(encounter)
    if found is not None:
        return found
    if resource_type in _ALONE:
        return f"{resource_type}/{resource_id}"
    patient = patient_of(resource)
    return f"Patient/{patient}" if patient else f"{resource_type}/{resource_id}"


def _reference(value: Any) -> str | None:
    if isinstance(value, dict):
        text = value.get("reference")
        if isinstance(text, str) and text.startswith("Encounter/"):
            return "/".join(text.split("/")[:2])
    return None
