"""Sealed containers in a cold place: moved there some time after closing, read from there as from anywhere, faults listed.

The bytes are the same and sealed under the same keys; only where they lie changes. The scrub (``archive``) reads them too.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from benhan.base.errors import BenhanError
from benhan.records.cases import list_cases
from benhan.records.documents import blob_of
from benhan.records.sealing import containers
from benhan.records.shapes import connection
from benhan.store import Repository

_KNOWN = "select sha256 from record_cold where tenant = %s and fault = '' and moved_at is not null"
_NOTE = (
    "insert into record_cold (tenant, document_id, sha256, encounter_id, moved_at, fault, looked_at)"
    " values (%s, %s, %s, %s, %s, %s, %s) on conflict (tenant, document_id) do update set sha256 = excluded.sha256,"
    " moved_at = coalesce(excluded.moved_at, record_cold.moved_at), fault = excluded.fault, looked_at = excluded.looked_at"
)
_FAULT = (
    "update record_cold set fault = %s, looked_at = %s where tenant = %s and document_id = %s and fault <> %s"
)
_SUMMARY = (
    "select count(*) filter (where moved_at is not null), count(*) filter (where fault <> ''), max(moved_at)"
    " from record_cold where tenant = %s"
)
_FAULTY = (
    "select encounter_id, document_id, moved_at, fault, looked_at from record_cold where tenant = %s and fault <> ''"
    " order by looked_at desc, document_id limit %s"
)


@dataclass(frozen=True, slots=True)
class ColdState:
    """How many containers lie cold, how many had a fault when last looked at, when the last one moved."""

    moved: int
    faulty: int
    last: datetime | None


@dataclass(frozen=True, slots=True)
class ColdFault:
    """A container that could not be moved (``moved_at`` None) or not be read back."""

    encounter_id: str
    document_id: str
    moved_at: datetime | None
    fault: str
    looked_at: datetime


async def move_to_cold(repo: Repository, after: timedelta, *, limit: int = 1000) -> int:
    """Move containers of archived records closed longer ago than ``after``; gives how many moved.

    A fault of one is noted and stops none of the others. Without a cold place nothing is done.
    """
    if not repo.store.blobs.has_cold:
        return 0
    moved, now = 0, repo.clock.now()
    async with repo.transaction() as tx:
        there = {str(r[0]) for r in await tx.all(_KNOWN, (tx.ctx.tenant,))}
    for here in await list_cases(repo, ["archived", "due"], limit=1_000_000):
        if here.closed_at is None or here.closed_at > now - after or moved >= limit:
            continue
        for document in await containers(repo, here.encounter_id):
            sha256, fault = blob_of(document.data), ""
            if sha256 in there:
                continue
            try:
                await repo.store.blobs.cool(sha256)
                moved += 1
            except BenhanError as error:
                fault = error.code
            async with repo.transaction() as tx:
                at = None if fault else tx.clock.now()
                values = (tx.ctx.tenant, document.id, sha256, here.encounter_id, at, fault, tx.clock.now())
                await connection(tx).execute(_NOTE, values)
    return moved


async def note_cold(repo: Repository, document_id: str, fault: str) -> None:
    """What reading a container found; only those that lie cold have a row."""
    async with repo.transaction() as tx:
        await connection(tx).execute(_FAULT, (fault, tx.clock.now(), tx.ctx.tenant, document_id, fault))


async def cold_state(repo: Repository) -> ColdState:
    """The cold place in numbers."""
    async with repo.transaction() as tx:
        row = await tx.one(_SUMMARY, (tx.ctx.tenant,))
    return ColdState(*row)


async def cold_faults(repo: Repository, limit: int = 50) -> list[ColdFault]:
    """Containers with a fault, the latest first."""
    async with repo.transaction() as tx:
        return [ColdFault(*row) for row in await tx.all(_FAULTY, (tx.ctx.tenant, limit))]


async def places(repo: Repository, encounter_id: str) -> list[tuple[str, str]]:
    """(document id, "warm", "cold" or "lost") of each container of a record, the oldest first."""
    found: list[tuple[str, str]] = []
    for document in await containers(repo, encounter_id):
        try:
            place: str = await repo.store.blobs.where(blob_of(document.data)) or "lost"
        except BenhanError:
            place = "lost"
        found.append((document.id, place))
    return found
