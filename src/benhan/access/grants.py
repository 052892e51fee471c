"""Grants: at the hub a facility may read what others keep of one patient, in a facility an account what is hidden.

The table ``access_grant`` lies in the store, where row-level security asks it. Source: Luật 91/2025/QH15
Điều 26, Luật KCB 15/2023/QH15 Điều 69.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from benhan.access._rows import one, rows, run
from benhan.base.errors import InvalidInput, NotFound
from benhan.base.ids import new_uuid
from benhan.store import Repository

KINDS = ("consent", "referral", "break-glass", "custodian")
LEAST_REASON = 10
LONGEST_BREAK_GLASS = timedelta(hours=24)
_EMERGENCY = ("TREAT", "ETREAT")
REVIEW_WITHIN = timedelta(days=3)


@dataclass(frozen=True, slots=True)
class Grant:
    """A grant as it stands."""

    id: UUID
    patient_id: str
    grantee: UUID
    kind: str
    valid_from: datetime
    valid_to: datetime | None
    reason: str
    granted_by: str
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class Review:
    """A break-glass that somebody must look at."""

    grant_id: UUID
    patient_id: str
    opened_by: str
    opened_at: datetime
    due_at: datetime
    reviewed_at: datetime | None
    reviewed_by: str | None
    verdict: str | None
    note: str | None
    reason: str
    until: datetime | None


async def grant_access(
    repo: Repository,
    kind: str,
    patient: str,
    grantee: UUID,
    until: datetime | None,
    reason: str,
    *,
    groups: Sequence[str] = (),
    purposes: Sequence[str] = (),
) -> UUID:
    """Open a patient's documents to a facility (or account) until an instant (None only for custodian). Who may is
    asked above. ``groups``: sensitive groups it opens (break-glass opens all); ``purposes``: for these only.

    Raises: ``InvalidInput`` (access.bad-grant).
    """
    now = repo.clock.now()
    if kind not in KINDS or not patient or not reason.strip():
        raise InvalidInput("access.bad-grant", "Loại quyền, người bệnh và lý do phải được ghi.")
    if (until is None and kind != "custodian") or (until is not None and until <= now):
        raise InvalidInput(
            "access.bad-grant", "Quyền truy cập phải có thời hạn trong tương lai.", expression="until"
        )
    grant = new_uuid(clock=repo.clock)
    async with repo.transaction() as tx:
        await run(
            tx,
            "insert into access_grant (tenant, id, patient_id, grantee, kind, valid_from, valid_to, reason, "
            "granted_by, groups, purposes) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            (
                repo.ctx.tenant,
                grant,
                patient,
                grantee,
                kind,
                now,
                until,
                reason.strip(),
                repo.ctx.actor.reference,
                list(groups),
                list(purposes),
            ),
        )
        await tx.audit(
            "grant",
            entity=f"Patient/{patient}",
            patient=patient,
            detail={"grant": str(grant), "kind": kind, "grantee": str(grantee)},
        )
    return grant


async def break_glass(
    repo: Repository, patient: str, grantee: UUID, reason: str, *, until: datetime | None = None
) -> UUID:
    """Open in an emergency, for 4 hours or ``until`` (at most 24 h); a review is due within three days.

    Raises: ``InvalidInput`` (access.reason-too-short, access.bad-grant).
    """
    now = repo.clock.now()
    end = until or now + timedelta(hours=4)
    if len(reason.strip()) < LEAST_REASON:
        raise InvalidInput(
            "access.reason-too-short", f"Phải ghi lý do, ít nhất {LEAST_REASON} ký tự.", expression="reason"
        )
    if end > now + LONGEST_BREAK_GLASS:
        raise InvalidInput("access.bad-grant", "Mở khẩn cấp không quá 24 giờ.", expression="until")
    async with repo.transaction() as tx:
        grant = await grant_access(tx, "break-glass", patient, grantee, end, reason, purposes=_EMERGENCY)
        await run(
            tx,
            "insert into break_glass_review (tenant, grant_id, patient_id, opened_by, opened_at, due_at) "
            "values (%s, %s, %s, %s, %s, %s)",
            (repo.ctx.tenant, grant, patient, repo.ctx.actor.reference, now, now + REVIEW_WITHIN),
        )
        await tx.audit(
            "break-glass",
            entity=f"Patient/{patient}",
            patient=patient,
            detail={"grant": str(grant), "reason": reason.strip()},
        )
    return grant


async def revoke_grant(repo: Repository, grant: UUID, reason: str) -> None:
    """End a grant now. Raises: ``NotFound`` (access.no-such-grant) when there is none in force."""
    async with repo.transaction() as tx:
        row = await one(
            tx,
            "update access_grant set revoked_at = %s where tenant = %s and id = %s and revoked_at is null "
            "returning patient_id",
            (repo.clock.now(), repo.ctx.tenant, grant),
        )
        if row is None:
            raise NotFound("access.no-such-grant", "Không có quyền truy cập này hoặc đã thu hồi.")
        await tx.audit(
            "grant-revoke",
            entity=f"Patient/{row['patient_id']}",
            patient=row["patient_id"],
            detail={"grant": str(grant), "reason": reason},
        )


async def active_grants(
    repo: Repository, *, patient: str | None = None, grantee: UUID | None = None
) -> list[Grant]:
    """Grants in force now, newest first."""
    now = repo.clock.now()
    async with repo.transaction() as tx:
        found = await rows(
            tx,
            "select id, patient_id, grantee, kind, valid_from, valid_to, reason, granted_by, revoked_at "
            "from access_grant where tenant = %s and revoked_at is null and valid_from <= %s "
            "and (valid_to is null or valid_to > %s) and (%s::text is null or patient_id = %s) "
            "and (%s::uuid is null or grantee = %s) order by valid_from desc, id",
            (repo.ctx.tenant, now, now, patient, patient, grantee, grantee),
        )
    return [_grant(r) for r in found]


async def open_reviews(repo: Repository) -> list[Review]:
    """Break-glass openings not yet reviewed, the most urgent first, each with the reason given."""
    async with repo.transaction() as tx:
        found = await rows(
            tx,
            "select r.grant_id, r.patient_id, r.opened_by, r.opened_at, r.due_at, r.reviewed_at, "
            "r.reviewed_by, r.verdict, r.note, g.reason, g.valid_to as until "
            "from break_glass_review r join access_grant g on g.tenant = r.tenant and g.id = r.grant_id "
            "where r.tenant = %s and r.reviewed_at is null order by r.due_at, r.grant_id",
            (repo.ctx.tenant,),
        )
    return [Review(**r) for r in found]


async def review_break_glass(repo: Repository, grant: UUID, *, justified: bool, note: str) -> None:
    """Record the review of an opening; the opener does not review the own act.

    Raises: ``NotFound`` (access.no-such-review) when there is none open that this actor may review.
    """
    async with repo.transaction() as tx:
        row = await one(
            tx,
            "update break_glass_review set reviewed_at = %s, reviewed_by = %s, verdict = %s, note = %s "
            "where tenant = %s and grant_id = %s and reviewed_at is null and opened_by <> %s "
            "returning patient_id",
            (
                repo.clock.now(),
                repo.ctx.actor.reference,
                "justified" if justified else "not-justified",
                note,
                repo.ctx.tenant,
                grant,
                repo.ctx.actor.reference,
            ),
        )
        if row is None:
            raise NotFound("access.no-such-review", "Không có lần mở khẩn cấp nào chờ xét mà bạn được xét.")
        await tx.audit(
            "break-glass-review",
            entity=f"Patient/{row['patient_id']}",
            patient=row["patient_id"],
            detail={"grant": str(grant), "justified": justified},
        )


def _grant(row: dict[str, Any]) -> Grant:
    return Grant(**row)
