"""Signing for somebody (ký thay): a head or director hands named papers to a named person, from a day to a day.

Only whoever has the duty gives it on; it cannot be given on further. The signature says for whom it was made. Source:
practice A3; Luật KCB 15/2023 Điều 7 k10 leaves the duty of signing to the facility's own regulation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from psycopg.types.json import Jsonb

from benhan.base.clock import local_date
from benhan.base.errors import InvalidInput, NotAllowed, NotFound, RuleViolation
from benhan.base.ids import new_uuid
from benhan.records.shapes import connection
from benhan.records.types import Authorize, Staff
from benhan.store import Repository

#: duties that may be handed on
DELEGABLE = ("form.sign_head", "form.sign_director")
_COLUMNS = "id, made_at, from_staff, from_name, to_staff, to_name, permission, khoa, forms, first, last, reason, ended_at"
_NEW = (
    "insert into record_delegation (tenant, id, made_at, from_staff, from_name, to_staff, to_name, permission, khoa, forms,"
    " first, last, reason) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
)
_TO = (
    f"select {_COLUMNS} from record_delegation where tenant = %s and to_staff = %s"  # noqa: S608 - constant
    " and ended_at is null and first <= %s and last >= %s order by made_at"
)
_FROM = (
    f"select {_COLUMNS} from record_delegation where tenant = %s and from_staff = %s"  # noqa: S608 - constant
    " order by made_at desc limit 100"
)
_END = (
    "update record_delegation set ended_at = %s, ended_by = %s where tenant = %s and id = %s and from_staff = %s"
    " and ended_at is null returning id"
)


@dataclass(frozen=True, slots=True)
class Delegation:
    """Who signs which papers (codes of forms) for whom, in which khoa (None: everywhere), from ``first`` to ``last``."""

    id: UUID
    made_at: datetime
    from_staff: str
    from_name: str
    to_staff: str
    to_name: str
    permission: str
    khoa: str | None
    forms: Sequence[str]
    first: date
    last: date
    reason: str
    ended_at: datetime | None

    def covers(self, permission: str, form_code: str, khoa: str) -> bool:
        """Whether it is about this paper."""
        here = self.khoa is None or self.khoa == khoa
        return here and self.permission == permission and form_code in self.forms


async def delegate(
    repo: Repository,
    giver: Staff,
    taker: Staff,
    *,
    permission: str,
    khoa: str | None,
    forms: Sequence[str],
    first: date,
    last: date,
    reason: str,
    authorize: Authorize,
) -> UUID:
    """Hand a duty on. ``giver`` is who asks, and must have the duty there himself.

    Raises: ``NotAllowed`` of ``authorize``; ``InvalidInput`` records.bad-delegation; ``RuleViolation`` records.reason-needed.
    """
    _check(giver, taker, permission, forms, first, last, local_date(repo.clock.now()))
    if not reason.strip():
        raise RuleViolation("records.reason-needed", "Bước này phải nêu lý do.", expression="reason")
    authorize(permission, khoa)
    async with repo.transaction() as tx:
        made, now = new_uuid(clock=tx.clock), tx.clock.now()
        values = (
            tx.ctx.tenant, made, now, giver.reference, giver.name, taker.reference, taker.name, permission, khoa,
            Jsonb(sorted(set(forms))), first, last, reason.strip(),
        )  # fmt: skip
        await connection(tx).execute(_NEW, values)
        detail = {"delegation": str(made), "to": taker.reference, "forms": sorted(set(forms))}
        await tx.audit("sign-delegate", entity=giver.reference, patient=None, detail=detail)
    return made


def _check(
    giver: Staff, taker: Staff, permission: str, forms: Sequence[str], first: date, last: date, today: date
) -> None:
    text, field = "", ""
    if permission not in DELEGABLE:
        text, field = "Việc ký này không ủy quyền được.", "permission"
    elif giver.reference == taker.reference:
        text, field = "Chọn người khác để ủy quyền.", "taker"
    elif not forms:
        text, field = "Chọn ít nhất một loại giấy.", "forms"
    elif last < first or last < today:
        text, field = "Ngày kết thúc phải sau ngày bắt đầu và chưa qua.", "last"
    if text:
        raise InvalidInput("records.bad-delegation", text, expression=field)


async def end_delegation(repo: Repository, delegation_id: UUID) -> None:
    """Take one's own delegation back from now on. Raises: ``NotFound`` (records.no-such-delegation)."""
    async with repo.transaction() as tx:
        actor = tx.ctx.actor.reference
        values = (tx.clock.now(), actor, tx.ctx.tenant, delegation_id, actor)
        if await (await connection(tx).execute(_END, values)).fetchone() is None:
            raise NotFound("records.no-such-delegation", "Không có ủy quyền này, hoặc đã kết thúc.")
        detail = {"delegation": str(delegation_id)}
        await tx.audit("sign-delegate-end", entity=actor, patient=None, detail=detail)


async def delegations_to(repo: Repository, staff: str) -> list[Delegation]:
    """What somebody may sign for others today."""
    today = local_date(repo.clock.now())
    async with repo.transaction() as tx:
        rows = await (await connection(tx).execute(_TO, (tx.ctx.tenant, staff, today, today))).fetchall()
    return [Delegation(*row) for row in rows]


async def delegations_from(repo: Repository, staff: str) -> list[Delegation]:
    """What somebody has handed on, the newest first, over or not."""
    async with repo.transaction() as tx:
        rows = await (await connection(tx).execute(_FROM, (tx.ctx.tenant, staff))).fetchall()
    return [Delegation(*row) for row in rows]


async def signing_for(
    repo: Repository, staff: str, permission: str, form_code: str, khoa: str, *, authorize: Authorize
) -> Delegation | None:
    """None when the duty is one's own; the delegation under which it is done for another.

    The common right to sign (``form.sign``) is asked in any case. Raises: ``NotAllowed`` of ``authorize`` when it is
    neither, also before the first and after the last day.
    """
    try:
        authorize(permission, khoa)
    except NotAllowed:
        found = [d for d in await delegations_to(repo, staff) if d.covers(permission, form_code, khoa)]
        if not found:
            raise
        authorize("form.sign", khoa)
        return found[0]
    return None
