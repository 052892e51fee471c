"""Appending versions: everything that belongs to a write goes to the server as one statement.

Log, current row, index rows, keys and audit rows of any number of changes are passed as arrays; only the parts that
have rows take part, so a plain create stays small.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from benhan.base.json_door import JsonObject
from benhan.store import audit
from benhan.store.arrays import (
    Maker,
    bools,
    bytess,
    float8s,
    int2s,
    int4s,
    int8s,
    texts,
    times,
    uuids,
)
from benhan.store.audit import AuditEntry
from benhan.store.codec import CURRENT_DICTIONARY, compress, seal
from benhan.store.indexing import IndexRows
from benhan.store.keys import RecordKey, log_aad
from benhan.store.model import Action
from benhan.store.transaction import Transaction


@dataclass
class Change:
    """One version to be appended. ``old_rows`` are the index rows that stand now."""

    action: Action
    type: str
    id: str
    version: int
    rid: int
    at: datetime
    author: str
    custodian: UUID | None
    raw: bytes
    data: JsonObject | None
    scope: str
    patient: str | None
    rows: IndexRows
    old_rows: IndexRows | None
    detail: JsonObject | None = None
    sha256: bytes = b""

    @property
    def deleted(self) -> bool:
        """True for a deletion."""
        return self.action is Action.DELETE


_LOG = """v as (insert into log (tenant, at, custodian, key_id, epoch, version, dictionary, type, id, author, action,
  sha256, bytes) select %(tenant)s, u.at, u.custodian, u.key_id, (select epoch from installation), u.version,
  u.dictionary, u.type, u.id, u.author, u.action, u.sha256, u.bytes
  from unnest(%(at)s::timestamptz[], %(custodian)s::uuid[], %(key_id)s::uuid[], %(version)s::integer[],
  %(dictionary)s::smallint[], %(type)s::text[], %(id)s::text[], %(author)s::text[], %(action)s::text[],
  %(sha256)s::bytea[], %(bytes)s::bytea[]) with ordinality
  as u (at, custodian, key_id, version, dictionary, type, id, author, action, sha256, bytes, n) order by u.n)"""
_CURRENT = """c as (insert into current_version as c (tenant, rid, at, custodian, version, deleted, type, id, patient,
  present) select %(tenant)s, u.rid, u.at, u.custodian, u.version, u.deleted, u.type, u.id, u.patient,
  u.present::integer[] from unnest(%(rid)s::bigint[], %(at)s::timestamptz[], %(custodian)s::uuid[],
  %(version)s::integer[], %(deleted)s::boolean[], %(type)s::text[], %(id)s::text[], %(patient)s::text[],
  %(present)s::text[]) as u (rid, at, custodian, version, deleted, type, id, patient, present)
  on conflict (tenant, type, id) do update set at = excluded.at, custodian = excluded.custodian,
  version = excluded.version, deleted = excluded.deleted, patient = excluded.patient, present = excluded.present
  where c.version < excluded.version)"""
# Of two first writers one is late: it leaves the current row alone, and the log refuses its version (Conflict).
_KEYS = """k as (insert into record_key (tenant, id, scope, wrapped, created_at)
  select %(tenant)s, u.id, u.scope, u.wrapped, %(now)s
  from unnest(%(k_id)s::uuid[], %(k_scope)s::text[], %(k_wrapped)s::bytea[]) as u (id, scope, wrapped))"""
_EQUAL = """ie as (insert into index_equal (tenant, key, system, rid) select %(tenant)s, u.key, u.system, u.rid
  from unnest(%(e_key)s::bigint[], %(e_system)s::integer[], %(e_rid)s::bigint[]) as u (key, system, rid))"""
_STRING = """ist as (insert into index_string (tenant, key, exact, folded, rid)
  select %(tenant)s, u.key, u.exact, u.folded, u.rid
  from unnest(%(s_key)s::bigint[], %(s_exact)s::bigint[], %(s_folded)s::text[], %(s_rid)s::bigint[])
  as u (key, exact, folded, rid))"""
_TRIGRAM = """it as (insert into index_trigram (tenant, key, rid) select %(tenant)s, u.key, u.rid
  from unnest(%(t_key)s::bigint[], %(t_rid)s::bigint[]) as u (key, rid))"""
_DATE = """idt as (insert into index_date (tenant, key, low, high, rid) select %(tenant)s, u.key, u.low, u.high, u.rid
  from unnest(%(d_key)s::bigint[], %(d_low)s::timestamptz[], %(d_high)s::timestamptz[], %(d_rid)s::bigint[])
  as u (key, low, high, rid))"""
_NUMBER = """inb as (insert into index_number (tenant, key, low, high, rid)
  select %(tenant)s, u.key, u.low, u.high, u.rid
  from unnest(%(n_key)s::bigint[], %(n_low)s::float8[], %(n_high)s::float8[], %(n_rid)s::bigint[])
  as u (key, low, high, rid))"""
_REFERENCE = """ir as (insert into index_reference (tenant, param, target, rid)
  select %(tenant)s, u.param, u.target, u.rid
  from unnest(%(r_param)s::integer[], %(r_target)s::bigint[], %(r_rid)s::bigint[]) as u (param, target, rid))"""
_GROUP = """ig as (insert into index_group (tenant, key, grp, system, low, high, rid)
  select %(tenant)s, u.key, u.grp, u.system, u.low, u.high, u.rid
  from unnest(%(g_key)s::bigint[], %(g_grp)s::integer[], %(g_system)s::integer[], %(g_low)s::float8[],
  %(g_high)s::float8[], %(g_rid)s::bigint[]) as u (key, grp, system, low, high, rid))"""
_DROP_EQUAL = """xe as (delete from index_equal i
  using unnest(%(xe_key)s::bigint[], %(xe_system)s::integer[], %(xe_rid)s::bigint[]) as u (key, system, rid)
  where i.tenant = %(tenant)s and i.key = u.key and i.system = u.system and i.rid = u.rid)"""
_DROP_TRIGRAM = """xt as (delete from index_trigram i using unnest(%(xt_key)s::bigint[], %(xt_rid)s::bigint[]) as u (key, rid)
  where i.tenant = %(tenant)s and i.key = u.key and i.rid = u.rid)"""
_DROP_STRING = """xs as (delete from index_string i using unnest(%(xs_key)s::bigint[], %(xs_exact)s::bigint[],
  %(xs_folded)s::text[], %(xs_rid)s::bigint[]) as u (key, exact, folded, rid) where i.tenant = %(tenant)s
  and i.rid = u.rid and i.key = u.key and i.exact = u.exact and i.folded = u.folded)"""
_DROP_DATE = """xd as (delete from index_date i using unnest(%(xd_key)s::bigint[], %(xd_low)s::timestamptz[],
  %(xd_high)s::timestamptz[], %(xd_rid)s::bigint[]) as u (key, low, high, rid) where i.tenant = %(tenant)s
  and i.rid = u.rid and i.key = u.key and i.low = u.low and i.high = u.high)"""
_DROP_NUMBER = """xn as (delete from index_number i using unnest(%(xn_key)s::bigint[], %(xn_low)s::float8[],
  %(xn_high)s::float8[], %(xn_rid)s::bigint[]) as u (key, low, high, rid) where i.tenant = %(tenant)s
  and i.rid = u.rid and i.key = u.key and i.low = u.low and i.high = u.high)"""
_DROP_REFERENCE = """xr as (delete from index_reference i
  using unnest(%(xr_param)s::integer[], %(xr_target)s::bigint[], %(xr_rid)s::bigint[]) as u (param, target, rid)
  where i.tenant = %(tenant)s and i.param = u.param and i.target = u.target and i.rid = u.rid)"""
_DROP_GROUP = """xg as (delete from index_group i using unnest(%(xg_key)s::bigint[], %(xg_grp)s::integer[],
  %(xg_system)s::integer[], %(xg_low)s::float8[], %(xg_high)s::float8[], %(xg_rid)s::bigint[])
  as u (key, grp, system, low, high, rid) where i.tenant = %(tenant)s and i.rid = u.rid and i.key = u.key
  and i.grp = u.grp and i.system = u.system and i.low = u.low and i.high = u.high)"""

Params = dict[str, Any]


async def append(
    tx: Transaction,
    tenant: UUID,
    changes: Sequence[Change],
    keys: dict[str, RecordKey],
    entries: Sequence[AuditEntry],
    now: datetime,
    *,
    last: bool,
) -> None:
    """Append the changes with everything derived from them; gives each change its ``sha256``.

    ``last``: nothing follows in the transaction, so the statement goes out with the commit.
    """
    params: Params = {"tenant": tenant, "now": now}
    parts = [_LOG, _CURRENT]
    _log_columns(params, tenant, changes, keys)
    _key_columns(params, parts, [k for k in keys.values() if k.new])
    add_index(params, parts, [(c.rid, c.rows.minus(c.old_rows) if c.old_rows else c.rows) for c in changes])
    drop_index(params, parts, [(c.rid, c.old_rows.minus(c.rows)) for c in changes if c.old_rows])
    params.update(audit.columns(tenant, entries))
    statement = ("with " + ",\n".join(parts) + "\n" + audit.INSERT).encode()
    if last:
        tx.last = (statement, params)
    else:
        await tx.connection.execute(statement, params)
    for key in keys.values():
        key.new = False


def _log_columns(params: Params, tenant: UUID, changes: Sequence[Change], keys: dict[str, RecordKey]) -> None:
    sealed: list[bytes] = []
    for change in changes:
        change.sha256 = hashlib.sha256(change.raw).digest()
        if change.deleted:
            sealed.append(b"")
        else:
            aad = log_aad(tenant, change.type, change.id, change.version)
            sealed.append(seal(keys[change.scope].key, compress(change.raw), aad))
    params.update(
        at=times([c.at for c in changes]),
        custodian=uuids([c.custodian for c in changes]),
        key_id=uuids([None if c.deleted else keys[c.scope].id for c in changes]),
        version=int4s([c.version for c in changes]),
        dictionary=int2s([CURRENT_DICTIONARY] * len(changes)),
        type=texts([c.type for c in changes]),
        id=texts([c.id for c in changes]),
        author=texts([c.author for c in changes]),
        action=texts([c.action for c in changes]),
        sha256=bytess([c.sha256 for c in changes]),
        bytes=bytess(sealed),
        rid=int8s([c.rid for c in changes]),
        deleted=bools([c.deleted for c in changes]),
        patient=texts([c.patient for c in changes]),
        present=texts(["{" + ",".join(map(str, sorted(c.rows.present))) + "}" for c in changes]),
    )


def _key_columns(params: Params, parts: list[str], new: Sequence[RecordKey]) -> None:
    if new:
        parts.append(_KEYS)
        params.update(
            k_id=uuids([k.id for k in new]),
            k_scope=texts([k.scope for k in new]),
            k_wrapped=bytess([k.wrapped for k in new]),
        )


Column = tuple[str, Maker]
#: Kind of index rows → their columns, in the order of the tuples of :class:`IndexRows`.
_KINDS: dict[str, tuple[Column, ...]] = {
    "equal": (("e_key", int8s), ("e_system", int4s)),
    "string": (("s_key", int8s), ("s_exact", int8s), ("s_folded", texts)),
    "trigram": (("t_key", int8s),),
    "date": (("d_key", int8s), ("d_low", times), ("d_high", times)),
    "number": (("n_key", int8s), ("n_low", float8s), ("n_high", float8s)),
    "reference": (("r_param", int4s), ("r_target", int8s)),
    "group": (
        ("g_key", int8s),
        ("g_grp", int4s),
        ("g_system", int4s),
        ("g_low", float8s),
        ("g_high", float8s),
    ),
}
_ADD = {
    "equal": _EQUAL, "string": _STRING, "trigram": _TRIGRAM, "date": _DATE, "number": _NUMBER,
    "reference": _REFERENCE, "group": _GROUP,
}  # fmt: skip
_DROP = {
    "equal": _DROP_EQUAL, "string": _DROP_STRING, "trigram": _DROP_TRIGRAM, "date": _DROP_DATE,
    "number": _DROP_NUMBER, "reference": _DROP_REFERENCE, "group": _DROP_GROUP,
}  # fmt: skip


def add_index(params: Params, parts: list[str], rows: Iterable[tuple[int, IndexRows]]) -> None:
    """Arrays and statement parts that insert index rows of ``(rid, rows)``."""
    _index(params, parts, _ADD, "", rows)


def drop_index(params: Params, parts: list[str], rows: Iterable[tuple[int, IndexRows]]) -> None:
    """Arrays and statement parts that delete index rows of ``(rid, rows)``."""
    _index(params, parts, _DROP, "x", rows)


def _index(
    params: Params,
    parts: list[str],
    statements: dict[str, str],
    mark: str,
    rows: Iterable[tuple[int, IndexRows]],
) -> None:
    listed = list(rows)
    for kind, columns in _KINDS.items():
        flat = [(rid, row) for rid, held in listed for row in getattr(held, kind)]
        if not flat:
            continue
        parts.append(statements[kind])
        params[f"{mark}{kind[0]}_rid"] = int8s([rid for rid, _ in flat])
        if len(columns) == 1:
            ((name, maker),) = columns
            params[mark + name] = maker([row for _, row in flat])
            continue
        for (name, maker), values in zip(columns, zip(*[row for _, row in flat], strict=True), strict=True):
            params[mark + name] = maker(values)
