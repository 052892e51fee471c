"""The archive looked after: every sealed container is read again and its hash compared, on a schedule."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from benhan.base.errors import BenhanError
from benhan.base.ids import new_uuid
from benhan.records.cases import list_cases
from benhan.records.cold import note_cold
from benhan.records.documents import blob_of
from benhan.records.sealing import containers
from benhan.records.shapes import connection
from benhan.store import Repository

KEPT = ["closed", "archived", "due"]
_COLUMNS = "id, started_at, ended_at, files, bytes, broken"
_NEW = (
    "insert into record_scrub (tenant, id, started_at, ended_at, files, bytes, broken)"
    " values (%s, %s, %s, %s, %s, %s, %s)"
)
_LIST = f"select {_COLUMNS} from record_scrub where tenant = %s order by ended_at desc, id limit %s"  # noqa: S608 - constant


@dataclass(frozen=True, slots=True)
class Scrub:
    """One walk through the archive. ``broken``: encounter, document, sha256 and fault of what is lost or altered."""

    id: UUID
    started_at: datetime
    ended_at: datetime
    files: int
    bytes: int
    broken: list[dict[str, Any]]


async def scrub(repo: Repository, *, limit: int = 1_000_000) -> Scrub:
    """Read every container of the closed records and compare its hash; the result is kept. Opens one file at a time."""
    started, files, size = repo.clock.now(), 0, 0
    broken: list[dict[str, Any]] = []
    for here in await list_cases(repo, KEPT, limit=limit):
        found = await containers(repo, here.encounter_id)
        if not found:
            broken.append(
                {"encounter": here.encounter_id, "document": None, "sha256": None, "fault": "no-container"}
            )
        for document in found:
            sha256 = blob_of(document.data)
            files += 1
            try:
                size += len(await repo.store.blobs.get(sha256))
                await note_cold(repo, document.id, "")
            except BenhanError as error:
                await note_cold(repo, document.id, error.code)
                entry = {"encounter": here.encounter_id, "document": document.id, "sha256": sha256}
                broken.append({**entry, "fault": error.code})
    async with repo.transaction() as tx:
        made = Scrub(new_uuid(clock=tx.clock), started, tx.clock.now(), files, size, broken)
        values = (tx.ctx.tenant, made.id, started, made.ended_at, files, size, Jsonb(broken))
        await connection(tx).execute(_NEW, values)
    return made


async def scrubs(repo: Repository, limit: int = 20) -> list[Scrub]:
    """Past walks, the newest first."""
    async with repo.transaction() as tx:
        rows = await (await connection(tx).execute(_LIST, (tx.ctx.tenant, limit))).fetchall()
        return [Scrub(*row) for row in rows]
