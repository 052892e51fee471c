"""Requests for what one person alone may not do: reopen, destroy, give a copy away, undo. Asked by one, decided by another.

Kept for ever in ``record_request``; decided once, used once. The database refuses a decision by the asker as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from benhan.base.errors import Conflict, NotFound, RuleViolation
from benhan.base.ids import new_uuid
from benhan.records.cases import case
from benhan.records.shapes import connection
from benhan.records.types import Authorize, JsonObject
from benhan.store import Repository

#: kind → (permission to ask, permission to decide)
PERMISSIONS = {
    "reopen": ("record.ask_reopen", "record.reopen"),
    "destroy": ("record.close", "record.destroy"),
    "release": ("record.export", "record.release"),
    "undo": ("admission.ask_undo", "admission.undo"),
}
_COLUMNS = "id, encounter_id, kind, asked_at, asked_by, reason, detail, decision, decided_at, decided_by, note, used_at"
_ASK = (
    "insert into record_request (tenant, id, encounter_id, kind, asked_at, asked_by, reason, detail)"
    " values (%s, %s, %s, %s, %s, %s, %s, %s)"
)
_READ = f"select {_COLUMNS} from record_request where tenant = %s and id = %s"  # noqa: S608 - constant
_LOCKED = _READ + " for update"
_DECIDE = (
    "update record_request set decision = %s, decided_at = %s, decided_by = %s, note = %s"
    " where tenant = %s and id = %s"
)
_USE = (
    "update record_request set used_at = nullif(current_setting('benhan.now', true), '')::timestamptz"
    " where tenant = %s and id = %s"
)
_LIST = (
    f"select {_COLUMNS} from record_request where tenant = %s and (%s::text is null or encounter_id = %s)"  # noqa: S608
    " and (%s::text is null or kind = %s) order by asked_at desc, id limit %s"
)


@dataclass(frozen=True, slots=True)
class Request:
    """One request; ``decision`` is None while it waits."""

    id: UUID
    encounter_id: str
    kind: str
    asked_at: datetime
    asked_by: str
    reason: str
    detail: Mapping[str, Any]
    decision: str | None
    decided_at: datetime | None
    decided_by: str | None
    note: str
    used_at: datetime | None


async def ask(
    repo: Repository,
    encounter_id: str,
    kind: str,
    reason: str,
    *,
    authorize: Authorize,
    detail: JsonObject | None = None,
) -> Request:
    """Put a request. Raises: ``RuleViolation`` (records.reason-needed); ``NotAllowed`` of ``authorize``."""
    if not reason.strip():
        raise RuleViolation("records.reason-needed", "Bước này phải nêu lý do.", expression="reason")
    async with repo.transaction() as tx:
        here = await case(tx, encounter_id)
        authorize(PERMISSIONS[kind][0], here.khoa)
        made = new_uuid(clock=tx.clock)
        values = (
            tx.ctx.tenant, made, encounter_id, kind, tx.clock.now(), tx.ctx.actor.reference, reason.strip(),
            Jsonb(detail or {}),
        )  # fmt: skip
        await connection(tx).execute(_ASK, values)
        return await _read(tx, _READ, made)


async def decide(
    repo: Repository, request_id: UUID, approved: bool, *, authorize: Authorize, note: str = ""
) -> Request:
    """Grant or refuse a request of somebody else.

    Raises: ``Conflict`` records.same-person, records.already-decided; ``RuleViolation`` records.reason-needed (a refusal).
    """
    async with repo.transaction() as tx:
        found = await _read(tx, _LOCKED, request_id)
        here = await case(tx, found.encounter_id)
        authorize(PERMISSIONS[found.kind][1], here.khoa)
        if found.decision is not None:
            raise Conflict("records.already-decided", "Yêu cầu đã được quyết định.")
        if found.asked_by == tx.ctx.actor.reference:
            raise Conflict("records.same-person", "Người đề nghị không được tự duyệt.")
        if not approved and not note.strip():
            raise RuleViolation("records.reason-needed", "Từ chối phải nêu lý do.", expression="note")
        values = (
            "approved" if approved else "refused", tx.clock.now(), tx.ctx.actor.reference, note.strip(),
            tx.ctx.tenant, request_id,
        )  # fmt: skip
        await connection(tx).execute(_DECIDE, values)
        return await _read(tx, _READ, request_id)


async def use_request(tx: Repository, request_id: UUID | None, encounter_id: str, kind: str) -> Request:
    """Spend a granted request inside the running transaction. Raises: ``Conflict`` (records.not-approved)."""
    found = None if request_id is None else await _read(tx, _LOCKED, request_id)
    if (
        found is None
        or (found.encounter_id, found.kind, found.decision) != (encounter_id, kind, "approved")
        or found.used_at is not None
    ):
        raise Conflict("records.not-approved", "Bước này cần đề nghị đã được người khác duyệt.")
    await connection(tx).execute(_USE, (tx.ctx.tenant, found.id))
    return await _read(tx, _READ, found.id)


async def request(repo: Repository, request_id: UUID) -> Request:
    """One request. Raises: ``NotFound`` (records.no-such-request)."""
    async with repo.transaction() as tx:
        return await _read(tx, _READ, request_id)


async def requests(
    repo: Repository, *, encounter_id: str | None = None, kind: str | None = None, limit: int = 200
) -> list[Request]:
    """Requests, the newest first."""
    async with repo.transaction() as tx:
        values = (tx.ctx.tenant, encounter_id, encounter_id, kind, kind, limit)
        rows = await (await connection(tx).execute(_LIST, values)).fetchall()
        return [Request(*row) for row in rows]


async def _read(tx: Repository, query: str, request_id: UUID) -> Request:
    row = await (await connection(tx).execute(query, (tx.ctx.tenant, request_id))).fetchone()
    if row is None:
        raise NotFound("records.no-such-request", "Không có yêu cầu này.")
    return Request(*row)
