"""The audit: append-only rows. Writes are audited in their own transaction; reads before the answer leaves.

Reads are committed in groups: while one group is being made durable the next one gathers, so a busy node pays one
commit for many reads and a quiet one pays its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from benhan.base.json_door import JsonObject, dumps, loads_object
from benhan.store.arrays import nullable_int4s, texts, times, uuids
from benhan.store.gathering import Gathering
from benhan.store.model import AuditRow, Ctx

_COLUMNS = (
    "at, account, reader, version, actor, actor_display, actor_kind, purpose, action, entity, patient, outcome, "
    "correlation, detail"
)
ARRAYS = (
    "unnest(%(a_at)s::timestamptz[], %(a_account)s::uuid[], %(a_reader)s::uuid[], %(a_version)s::integer[], "
    "%(a_actor)s::text[], %(a_display)s::text[], %(a_kind)s::text[], %(a_purpose)s::text[], %(a_action)s::text[], "
    "%(a_entity)s::text[], %(a_patient)s::text[], %(a_outcome)s::text[], %(a_correlation)s::text[], "
    "%(a_detail)s::text[]) with ordinality as u (at, account, reader, version, actor, actor_display, actor_kind, "
    "purpose, action, entity, patient, outcome, correlation, detail, n)"
)
INSERT = (
    f"insert into audit (tenant, epoch, {_COLUMNS}) "  # noqa: S608 - constants only
    f"select %(tenant)s, (select epoch from installation), {_COLUMNS} from {ARRAYS} order by n"
)
_OF_PATIENT = (
    f"select {_COLUMNS} from audit where tenant = %s and patient = %s "  # noqa: S608 - constants only
    "order by at desc, epoch desc, tx desc, seq desc limit %s"
)
_SET_TENANT = "select set_config('benhan.tenant', %s, true)"


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One row to be written."""

    ctx: Ctx
    at: datetime
    action: str
    entity: str | None
    version: int | None
    patient: str | None
    outcome: str = "0"
    detail: JsonObject | None = None


def columns(tenant: UUID, entries: Sequence[AuditEntry]) -> dict[str, Any]:
    """Parameters of ``INSERT``."""
    return {
        "tenant": tenant,
        "a_at": times([e.at for e in entries]),
        "a_account": uuids([e.ctx.actor.account_id for e in entries]),
        "a_reader": uuids([e.ctx.reader for e in entries]),
        "a_version": nullable_int4s([e.version for e in entries]),
        "a_actor": texts([e.ctx.actor.reference for e in entries]),
        "a_display": texts([e.ctx.actor.display for e in entries]),
        "a_kind": texts([e.ctx.actor.kind for e in entries]),
        "a_purpose": texts([e.ctx.purpose for e in entries]),
        "a_action": texts([e.action for e in entries]),
        "a_entity": texts([e.entity for e in entries]),
        "a_patient": texts([e.patient for e in entries]),
        "a_outcome": texts([e.outcome for e in entries]),
        "a_correlation": texts([e.ctx.correlation_id for e in entries]),
        "a_detail": texts([None if e.detail is None else dumps(e.detail).decode() for e in entries]),
    }


class AuditWriter:
    """Makes audit rows of reads durable in groups. Belongs to the event loop it is used in."""

    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        self._pool = pool
        self._group: Gathering[tuple[UUID, Sequence[AuditEntry]], None] = Gathering(self._commit)

    async def put(self, tenant: UUID, entries: Sequence[AuditEntry]) -> None:
        """Return once the rows are committed."""
        await self._group.put((tenant, entries))

    async def close(self) -> None:
        """Wait for what is under way."""
        await self._group.close()

    async def _commit(self, group: list[tuple[UUID, Sequence[AuditEntry]]]) -> list[None]:
        by_tenant: dict[UUID, list[AuditEntry]] = {}
        for tenant, entries in group:
            by_tenant.setdefault(tenant, []).extend(entries)
        async with self._pool.connection() as connection, connection.pipeline():
            await connection.execute("begin")
            for tenant, rows in by_tenant.items():
                await connection.execute(_SET_TENANT, (str(tenant),))
                await connection.execute(INSERT, columns(tenant, rows))
            await connection.execute("commit")
        return [None] * len(group)


async def of_patient(connection: Any, tenant: UUID, patient_id: str, limit: int) -> list[AuditRow]:
    """Who did what with this patient's data, newest first."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_OF_PATIENT, (tenant, patient_id, limit))
        return [_row(r) for r in await cursor.fetchall()]


def _row(row: dict[str, Any]) -> AuditRow:
    detail = row.pop("detail")
    return AuditRow(
        correlation_id=row.pop("correlation"),
        detail=None if detail is None else loads_object(detail.encode()),
        **row,
    )
