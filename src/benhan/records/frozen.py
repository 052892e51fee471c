"""Signatures under way (table ``record_sealing``): what is to be signed or sealed is frozen before the signer is asked.

Signing may take minutes, on another machine, and this process may end meanwhile. So no signature is made inside a
database transaction: first transaction → frozen parts in the blob store (sealed at rest) and a row; the signer; second
transaction. Whatever stops in between is found in ``open_sealings`` and goes on from the same bytes.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from uuid import UUID

from benhan.base.errors import Conflict, NotFound
from benhan.base.ids import new_uuid
from benhan.records.shapes import connection
from benhan.store import Repository

_COLUMNS = "id, encounter_id, kind, stage, at, actor, frozen, document_id"
_NEW = (
    "insert into record_sealing (tenant, id, encounter_id, kind, stage, at, actor, frozen)"
    " values (%s, %s, %s, %s, %s, %s, %s, %s)"
)
_READ = f"select {_COLUMNS} from record_sealing where tenant = %s and id = %s"  # noqa: S608 - constant
_LOCKED = _READ + " for update"
_OPEN = (
    f"select {_COLUMNS} from record_sealing where tenant = %s and stage in ('to-sign', 'to-seal')"  # noqa: S608
    " and (%s::text is null or encounter_id = %s) and (%s::text is null or kind = %s) order by at, id"
)
_SIGNED = "update record_sealing set stage = 'to-seal', frozen = %s where tenant = %s and id = %s"
_END = "update record_sealing set stage = %s, document_id = %s, ended_at = %s where tenant = %s and id = %s"
_TIME = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Sealing:
    """A signature under way. ``kind``: close, addend; ``stage``: to-sign, to-seal, done, cancelled."""

    id: UUID
    encounter_id: str
    kind: str
    stage: str
    at: datetime
    actor: str
    frozen: str
    document_id: str | None


def pack(parts: Mapping[str, bytes]) -> bytes:
    """Frozen parts as one blob; equal parts give equal bytes (pure)."""
    out = BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(parts):
            archive.writestr(zipfile.ZipInfo(name, _TIME), parts[name])
    return out.getvalue()


def unpack(data: bytes) -> dict[str, bytes]:
    """Inverse of ``pack`` (pure)."""
    with zipfile.ZipFile(BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


async def freeze(
    tx: Repository, encounter_id: str, kind: str, stage: str, parts: Mapping[str, bytes]
) -> Sealing:
    """Keep the parts and the row inside the running transaction."""
    sha256 = await tx.store.blobs.put(pack(parts))
    made, now = new_uuid(clock=tx.clock), tx.clock.now()
    values = (tx.ctx.tenant, made, encounter_id, kind, stage, now, tx.ctx.actor.reference, sha256)
    await connection(tx).execute(_NEW, values)
    return Sealing(made, encounter_id, kind, stage, now, tx.ctx.actor.reference, sha256, None)


async def sealing(repo: Repository, sealing_id: UUID) -> Sealing:
    """One of them. Raises: ``NotFound`` (records.no-such-sealing)."""
    async with repo.transaction() as tx:
        return await _read(tx, _READ, sealing_id)


async def locked(tx: Repository, sealing_id: UUID, stage: str) -> Sealing:
    """The same, locked and still at this stage. Raises: ``Conflict`` (records.sealing-over)."""
    found = await _read(tx, _LOCKED, sealing_id)
    if found.stage != stage:
        raise Conflict("records.sealing-over", "Việc ký này đã xong hoặc đã thôi.")
    return found


async def frozen_parts(repo: Repository, begun: Sealing, stage: str) -> dict[str, bytes]:
    """The parts of a signature that still waits at this stage. Raises: ``Conflict`` (records.sealing-over)."""
    async with repo.transaction() as tx:
        now = await locked(tx, begun.id, stage)
    return unpack(await repo.store.blobs.get(now.frozen))


async def open_sealings(
    repo: Repository, encounter_id: str | None = None, kind: str | None = None
) -> list[Sealing]:
    """All that wait for a signer, oldest first."""
    async with repo.transaction() as tx:
        values = (tx.ctx.tenant, encounter_id, encounter_id, kind, kind)
        rows = await (await connection(tx).execute(_OPEN, values)).fetchall()
        return [Sealing(*row) for row in rows]


async def signed(tx: Repository, before: Sealing, parts: Mapping[str, bytes]) -> None:
    """The author has signed; these parts wait for the seal."""
    sha256 = await tx.store.blobs.put(pack(parts))
    await connection(tx).execute(_SIGNED, (sha256, tx.ctx.tenant, before.id))


async def ended(tx: Repository, before: Sealing, stage: str, document_id: str | None = None) -> None:
    """Done or cancelled."""
    await connection(tx).execute(_END, (stage, document_id, tx.clock.now(), tx.ctx.tenant, before.id))


async def _read(tx: Repository, query: str, sealing_id: UUID) -> Sealing:
    row = await (await connection(tx).execute(query, (tx.ctx.tenant, sealing_id))).fetchone()
    if row is None:
        raise NotFound("records.no-such-sealing", "Không có việc ký này.")
    return Sealing(*row)
