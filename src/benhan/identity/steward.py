"""The steward's work list: pairs that may be one human, put side by side; each decision is kept and can be undone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from psycopg.types.json import Jsonb

from benhan.base.errors import Conflict, InvalidInput, NotFound
from benhan.base.ids import new_uuid
from benhan.base.text import squeeze
from benhan.identity._rows import connection_of
from benhan.identity.hub import PUT_REVIEW, current_id, merge
from benhan.store import Repository, Stored

Decision = Literal["same", "different"]

_OPEN = (
    "select id, patient_id, other_id, score, reasons, found_at from identity_review"
    " where tenant = %s and decided is null and (%s::uuid is null or id = %s) order by score desc, found_at, id limit %s"
)
_COUNT = "select count(*) from identity_review where tenant = %s and decided is null"
_TAKE = "select patient_id, other_id, decided from identity_review where tenant = %s and id = %s for update"
_DECIDE = (
    "update identity_review set decided = %s, decided_at = %s, decided_by = %s where tenant = %s and id = %s"
)
_WAITS = (
    "select 1 from identity_review where tenant = %s and decided is null"
    " and (patient_id, other_id) in ((%s, %s), (%s, %s))"
)
#: bits given to what a facility says of its own two ids: more than any likeness, so that it stands on top
SAID = 100.0
_MERGES = (
    "select id, kept_id, gone_id, reason, merged_at, merged_by, undone_at, undo_reason from identity_merge"
    " where tenant = %s order by merged_at desc, id desc limit %s"
)


@dataclass(frozen=True, slots=True)
class Review:
    """A pair to look at. ``reasons``: ``{field, level, weight, text}`` each; ``score`` in bits."""

    id: UUID
    one: Stored
    other: Stored
    score: float
    reasons: tuple[dict[str, Any], ...]
    found_at: datetime


@dataclass(frozen=True, slots=True)
class Merge:
    """A merge that was made, and whether it was undone."""

    id: UUID
    kept: Stored
    gone: Stored
    reason: str
    merged_at: datetime
    merged_by: str
    undone_at: datetime | None
    undo_reason: str


async def open_reviews(repo: Repository, *, limit: int = 50) -> tuple[Sequence[Review], int]:
    """Pairs that wait for a steward, the likeliest first, and how many there are in all."""
    async with repo.transaction() as tx:
        total = await (await connection_of(tx).execute(_COUNT, (tx.ctx.tenant,))).fetchone()
        rows = await (await connection_of(tx).execute(_OPEN, (tx.ctx.tenant, None, None, limit))).fetchall()
        return [await _review(tx, row) for row in rows], int(total[0]) if total else 0


async def open_review(repo: Repository, review_id: UUID) -> Review:
    """One pair that waits. Raises: ``NotFound`` (identity.no-review)."""
    async with repo.transaction() as tx:
        found = await connection_of(tx).execute(_OPEN, (tx.ctx.tenant, review_id, review_id, 1))
        row = await found.fetchone()
        if row is None:
            raise NotFound("identity.no-review", "Không có cặp này, hoặc đã được quyết định.")
        return await _review(tx, row)


async def said_the_same(repo: Repository, one: str, other: str, text: str) -> None:
    """A facility says that two are one human: the pair waits for a steward, once; nothing when they are one already."""
    async with repo.transaction() as tx:
        newer, older = await current_id(tx, one), await current_id(tx, other)
        waits = await connection_of(tx).execute(_WAITS, (tx.ctx.tenant, newer, older, older, newer))
        if newer == older or await waits.fetchone() is not None:
            return
        reasons = [{"field": "facility", "level": "said", "weight": SAID, "text": text}]
        values = (tx.ctx.tenant, new_uuid(clock=tx.clock), newer, older, SAID, Jsonb(reasons), tx.clock.now())
        await connection_of(tx).execute(PUT_REVIEW, values)


async def decide_review(repo: Repository, review_id: UUID, decision: Decision, reason: str) -> UUID | None:
    """Keep what the steward decided. ``same`` merges the pair into the one registered first; returns the merge id.

    Raises: ``NotFound`` (identity.no-review); ``Conflict`` (identity.review-decided) when another steward was quicker;
    ``InvalidInput`` (identity.reason-missing) for a merge without a reason.
    """
    if decision == "same" and not squeeze(reason):
        raise InvalidInput("identity.reason-missing", "Ghi lý do gộp hai người này.", expression="reason")
    async with repo.transaction() as tx:
        row = await (await connection_of(tx).execute(_TAKE, (tx.ctx.tenant, review_id))).fetchone()
        if row is None:
            raise NotFound("identity.no-review", "Không có cặp này, hoặc đã được quyết định.")
        if row[2] is not None:
            raise Conflict("identity.review-decided", "Cặp này đã có người khác quyết định.")
        await connection_of(tx).execute(
            _DECIDE, (decision, tx.clock.now(), tx.ctx.actor.reference, tx.ctx.tenant, review_id)
        )
        if decision == "different":
            return None
        newer, older = await current_id(tx, row[0]), await current_id(tx, row[1])
        return None if newer == older else await merge(tx, older, newer, squeeze(reason))


async def merges(repo: Repository, *, limit: int = 50) -> Sequence[Merge]:
    """The latest merges, undone ones included."""
    async with repo.transaction() as tx:
        rows = await (await connection_of(tx).execute(_MERGES, (tx.ctx.tenant, limit))).fetchall()
        return [
            Merge(
                r[0], await tx.read("Patient", r[1]), await tx.read("Patient", r[2]), r[3], r[4], r[5], r[6], r[7] or ""
            )
            for r in rows
        ]  # fmt: skip


async def _review(tx: Repository, row: Sequence[Any]) -> Review:
    one, other = await tx.read("Patient", row[1]), await tx.read("Patient", row[2])
    return Review(row[0], one, other, float(row[3]), tuple(row[4]), row[5])
