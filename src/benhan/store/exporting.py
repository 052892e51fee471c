"""One page of an export: current resources of one type in the order of their ids, so that it can go on anywhere."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from benhan.store.audit import AuditEntry
from benhan.store.model import Action, Stored
from benhan.store.reading import COLUMNS, stored_of
from benhan.store.refusals import allowed_scope

if TYPE_CHECKING:
    from benhan.store.repository import Repository

_PAGE = (
    f"select {COLUMNS}, c.patient from current_version c "  # noqa: S608 - constants only
    "join log l on l.tenant = c.tenant and l.type = c.type and l.id = c.id and l.version = c.version "
    "left join record_key k on k.tenant = l.tenant and k.id = l.key_id "
    "where c.tenant = %(tenant)s and c.type = %(type)s and c.id > %(after)s and not c.deleted "
    "and (not %(compartment)s or c.patient is not null) "
    "and (%(patients)s::text[] is null or c.patient = any(%(patients)s)) "
    "and (%(members)s::text[] is null or c.patient = any(%(members)s)) "
    "and (%(since)s::timestamptz is null or c.at >= %(since)s) order by c.id limit %(limit)s"
)


_DELETED = (
    "select c.id, c.patient from current_version c where c.tenant = %(tenant)s and c.type = %(type)s "
    "and c.id > %(after)s and c.deleted and c.at >= %(since)s "
    "and (not %(compartment)s or c.patient is not null) "
    "and (%(patients)s::text[] is null or c.patient = any(%(patients)s)) "
    "and (%(members)s::text[] is null or c.patient = any(%(members)s)) order by c.id limit %(limit)s"
)


@dataclass(frozen=True)
class ExportAsked:
    """``compartment``: only what belongs to a patient; ``members``: to one of these; ``since``: written then or later;
    ``after``: id to go on from.
    """

    type: str
    after: str = ""
    since: datetime | None = None
    compartment: bool = False
    members: tuple[str, ...] | None = None
    limit: int = 500


async def export_page(repo: Repository, asked: ExportAsked) -> tuple[list[Stored], str | None]:
    """Resources, and the id to go on from (None at the end); destroyed ones are left out; audited by patient.

    Raises: ``NotAllowed``, ``NotFound`` (store.unknown-type).
    """
    values = _values(repo, asked)
    async with repo.looking() as tx:
        rows = await (await tx.open_connection.execute(_PAGE.encode(), values)).fetchall()
        found: list[Stored] = []
        counts: dict[str | None, int] = {}
        for row in rows:
            stored = await stored_of(repo.store.keys, tx.open_connection, repo.ctx.tenant, row)
            if stored is not None:
                found.append(stored)
                counts[row[12]] = counts.get(row[12], 0) + 1
        _note(tx, asked, counts)
    return found, rows[-1][1] if len(rows) == asked.limit else None


async def deleted_page(repo: Repository, asked: ExportAsked) -> tuple[list[str], str | None]:
    """Ids that were deleted since ``asked.since`` and still are, and the id to go on from; audited by patient.

    Raises: ``NotAllowed``, ``NotFound`` (store.unknown-type).
    """
    values = _values(repo, asked)
    async with repo.looking() as tx:
        rows = await (await tx.open_connection.execute(_DELETED.encode(), values)).fetchall()
        counts: dict[str | None, int] = {}
        for row in rows:
            counts[row[1]] = counts.get(row[1], 0) + 1
        _note(tx, asked, counts)
    return [row[0] for row in rows], rows[-1][0] if len(rows) == asked.limit else None


def _note(tx: Repository, asked: ExportAsked, counts: dict[str | None, int]) -> None:
    at, entity = tx.clock.now(), f"{asked.type}?"
    for patient, number in counts.items():
        tx.note_entry(AuditEntry(tx.ctx, at, Action.EXPORT, entity, None, patient, "0", {"found": number}))


def _values(repo: Repository, asked: ExportAsked) -> dict[str, Any]:
    scope = allowed_scope(repo, Action.EXPORT, asked.type)
    return {
        "tenant": repo.ctx.tenant,
        "type": asked.type,
        "after": asked.after,
        "since": asked.since,
        "compartment": asked.compartment,
        "patients": sorted(scope.patient_ids) if scope.kind == "patients" else None,
        "members": None if asked.members is None else list(asked.members),
        "limit": asked.limit,
    }
