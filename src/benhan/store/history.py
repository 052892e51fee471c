"""History of one resource, of a type, or of everything: versions, newest first, page by page.

The order is that of the log (epoch, transaction, sequence), so a page never shifts while others write. What may be
shown is asked of the policy by type; under a scope of patients each version is judged by its own patient, and a
deletion by the patient of the last version. Destroyed versions are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from benhan.fhir import RESOURCE_TYPES, patient_of
from benhan.store.audit import AuditEntry
from benhan.store.model import Action, FeedCursor, Stored
from benhan.store.reading import COLUMNS, HISTORY, stored_of
from benhan.store.refusals import not_allowed, not_found, unknown_type

if TYPE_CHECKING:
    from benhan.store.repository import Repository

_HEAD = (
    f"select {COLUMNS}, l.epoch, l.tx::text, l.seq, c.patient from log l "  # noqa: S608 - constants only
    "join current_version c on c.tenant = l.tenant and c.type = l.type and c.id = l.id "
    "left join record_key k on k.tenant = l.tenant and k.id = l.key_id "
    "where l.tenant = %(tenant)s and (l.type = any(%(open)s) or (l.type = any(%(narrow)s) and c.patient = any(%(patients)s)))"
)
_ONE = " and l.type = %(type)s and l.id = %(id)s"
_SINCE = " and l.at >= %(since)s"
_DURING = (
    " and l.at < %(until)s and not exists (select 1 from log n where n.tenant = l.tenant and n.type = l.type "
    "and n.id = l.id and n.version = l.version + 1 and n.at <= %(from)s)"
)
_BEFORE = " and (l.epoch, l.tx, l.seq) < (%(epoch)s::integer, %(tx)s::text::xid8, %(seq)s::bigint)"
_LAST_VERSION = 2_147_483_647
_TAIL = " order by l.epoch desc, l.tx desc, l.seq desc limit %(limit)s"


@dataclass(frozen=True)
class HistoryPage:
    """Versions, newest first; ``next`` is the cursor of the page after."""

    entries: list[Stored]
    next: str | None = None


@dataclass(frozen=True)
class HistoryAsked:
    """``type`` None: everything; ``since``: written then or later; ``during``: current at some time in (low, high)."""

    type: str | None = None
    id: str | None = None
    since: datetime | None = None
    during: tuple[datetime, datetime] | None = None
    count: int = 50
    cursor: str | None = None


async def history_page(repo: Repository, asked: HistoryAsked) -> HistoryPage:
    """One page. Raises: ``NotAllowed``, ``NotFound`` (store.unknown-type, store.not-found), ``InvalidInput``
    (store.bad-cursor).
    """
    values = _scopes(repo, asked)
    sql = _HEAD + _conditions(asked, values) + _TAIL
    async with repo.looking() as tx:
        rows = await (await tx.open_connection.execute(sql.encode(), values)).fetchall()
        if not rows and asked.id is not None and not await _known(tx, asked, values):
            raise not_found(str(asked.type), asked.id)
        more, rows = len(rows) > asked.count, rows[: asked.count]
        found: list[tuple[Stored, str | None]] = []
        for row in rows:
            stored = await stored_of(repo.store.keys, tx.open_connection, repo.ctx.tenant, row)
            if stored is None:
                continue
            patient = row[15] if stored.deleted else patient_of(stored.data)
            if stored.type in values["open"] or patient in values["patients"]:
                found.append((stored, patient))
        _note(tx, asked, found)
    cursor = str(FeedCursor(rows[-1][12], int(rows[-1][13]), rows[-1][14])) if more and rows else None
    return HistoryPage([s for s, _ in found], cursor)


async def versions_of(
    repo: Repository, resource_type: str, resource_id: str, limit: int, before: int | None
) -> list[Stored]:
    """Versions of one resource below ``before``, newest first. Raises: ``NotAllowed``, ``NotFound``."""
    scope = repo.policy.scope(repo.ctx, Action.HISTORY, resource_type)
    if scope.kind == "none":
        raise not_allowed(Action.HISTORY, resource_type)
    async with repo.looking() as tx:
        rows = await tx.all(
            HISTORY, (repo.ctx.tenant, resource_type, resource_id, before or _LAST_VERSION, limit)
        )
        if not rows and before is None:
            raise not_found(resource_type, resource_id)
        found: list[Stored] = []
        for row in rows:
            stored = await stored_of(repo.store.keys, tx.open_connection, repo.ctx.tenant, row)
            if stored is not None:
                found.append(stored)
        patient = next((patient_of(s.data) for s in found if not s.deleted), None)
        if scope.kind == "patients":
            if patient not in scope.patient_ids:
                raise not_found(resource_type, resource_id)
            found = [s for s in found if s.deleted or patient_of(s.data) in scope.patient_ids]
        if found:
            tx.note(Action.HISTORY, found[0], patient)
    return found


def _scopes(repo: Repository, asked: HistoryAsked) -> dict[str, Any]:
    if asked.type is not None and asked.type not in RESOURCE_TYPES:
        raise unknown_type(asked.type)
    wholly: list[str] = []
    narrow: list[str] = []
    patients: set[str] = set()
    for kind in [asked.type] if asked.type is not None else sorted(RESOURCE_TYPES):
        scope = repo.policy.scope(repo.ctx, Action.HISTORY, kind)
        if scope.kind == "all":
            wholly.append(kind)
        elif scope.kind == "patients":
            narrow.append(kind)
            patients |= scope.patient_ids
    if not wholly and not narrow:
        raise not_allowed(Action.HISTORY, asked.type or "*")
    return {
        "tenant": repo.ctx.tenant,
        "open": wholly,
        "narrow": narrow,
        "patients": sorted(patients),
        "type": asked.type,
        "id": asked.id,
        "limit": asked.count + 1,
    }


def _conditions(asked: HistoryAsked, values: dict[str, Any]) -> str:
    sql = ""
    if asked.id is not None:
        sql += _ONE
    if asked.since is not None:
        sql += _SINCE
        values["since"] = asked.since
    if asked.during is not None:
        sql += _DURING
        values["from"], values["until"] = asked.during
    if asked.cursor is not None:
        sql += _BEFORE
        cursor = FeedCursor.parse(asked.cursor)
        values.update(epoch=cursor.epoch, tx=str(cursor.tx), seq=cursor.seq)
    return sql


async def _known(tx: Repository, asked: HistoryAsked, values: dict[str, Any]) -> bool:
    """True when the resource exists for this caller, though no version fits what was asked."""
    sql = _HEAD + _ONE + " limit 1"
    return await (await tx.open_connection.execute(sql.encode(), values)).fetchone() is not None


def _note(tx: Repository, asked: HistoryAsked, found: Sequence[tuple[Stored, str | None]]) -> None:
    counts: dict[str | None, int] = {}
    for _, patient in found:
        counts[patient] = counts.get(patient, 0) + 1
    entity = f"{asked.type or ''}/{asked.id or ''}".strip("/") or "?"
    for patient, number in (counts or {None: 0}).items():
        detail = {"found": number}
        tx.note_entry(AuditEntry(tx.ctx, tx.clock.now(), Action.HISTORY, entity, None, patient, "0", detail))
