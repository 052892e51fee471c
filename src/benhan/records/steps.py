"""One step of a record's life: permission, guards, the binder's new version, the case row, the book of events."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from uuid import UUID

from benhan.base.clock import local_date
from benhan.base.errors import Conflict, Issue, RuleViolation
from benhan.catalogue import retention_of, systems
from benhan.records.cases import add_event, case, locked_case, set_state
from benhan.records.facts import diagnoses
from benhan.records.guard import passing
from benhan.records.requests import use_request
from benhan.records.shapes import fact_of, with_extensions
from benhan.records.states import Transition, transition
from benhan.records.types import Authorize, Case, Gap, JsonObject
from benhan.store import Repository

_UNSET: Any = object()
_STATUS = {
    "closing": "final",
    "closed": "final",
    "archived": "final",
    "reopened": "amended",
    "cancelled": "entered-in-error",
}

#: kind of the request behind a step, where it is not the step's own name
_REQUESTED = {"cancel": "undo", "undo_discharge": "undo"}


async def step(
    tx: Repository,
    encounter_id: str,
    event: str,
    *,
    authorize: Authorize,
    reason: str = "",
    detail: JsonObject | None = None,
    discharged_at: datetime | None = _UNSET,
    due_on: date | None = _UNSET,
    so_luu_tru: str | None = _UNSET,
    request: UUID | None = None,
) -> Case:
    """Do one event of the table inside the running transaction; returns the case after it.

    Raises: ``Conflict`` records.transition-forbidden, records.already-closed; ``NotAllowed`` of ``authorize``;
    ``RuleViolation`` records.reason-needed, records.incomplete; ``Conflict`` records.not-approved, records.legal-hold,
    records.retention-not-over. ``request``: the granted request behind a step that needs a second person.
    """
    before = await locked_case(tx, encounter_id)
    found = transition(before.state, event, reason)
    authorize(found.permission, before.khoa)
    await _guards(tx, found, before, request)
    with passing(encounter_id):
        await _binder_state(tx, before, found.to)
    await set_state(
        tx,
        before,
        found.to,
        discharged_at=before.discharged_at if discharged_at is _UNSET else discharged_at,
        due_on=before.due_on if due_on is _UNSET else due_on,
        closed_at=tx.clock.now() if found.to == "closed" and before.closed_at is None else before.closed_at,
        so_luu_tru=before.so_luu_tru if so_luu_tru is _UNSET else so_luu_tru,
    )
    await add_event(tx, encounter_id, event, before.state, found.to, reason.strip(), detail)
    return await case(tx, encounter_id)


async def _binder_state(tx: Repository, before: Case, state: str) -> None:
    if before.composition_id is None:
        return
    binder = await tx.read("Composition", before.composition_id)
    resource = with_extensions(binder.data, {"url": systems.EXT_STATE, "valueCode": state})
    resource["status"] = _STATUS.get(state, binder.data["status"])
    if resource["extension"] != binder.data.get("extension") or resource["status"] != binder.data["status"]:
        await tx.update(resource, if_match=binder.version)


async def _guards(tx: Repository, found: Transition, before: Case, request: UUID | None) -> None:
    for name in found.guards:
        if name == "approved":
            await use_request(tx, request, before.encounter_id, _REQUESTED.get(found.event, found.event))
        elif name == "complete":
            await refuse_gaps(tx, before.encounter_id)
        elif name == "scanned" and not before.scanned:
            raise Conflict("records.not-scanned", "Hồ sơ này không phải hồ sơ giấy số hóa.")
        elif name == "not_scanned" and before.scanned:
            raise Conflict(
                "records.is-scanned", "Hồ sơ giấy số hóa: trả lại để quét bổ sung, không trả về khoa."
            )
        elif name == "no_legal_hold" and before.legal_hold:
            raise Conflict(
                "records.legal-hold", "Hồ sơ đang bị giữ theo yêu cầu pháp lý, không được tiêu hủy."
            )
        elif name == "retention_over":
            await _refuse_early(tx, before, local_date(tx.clock.now()))


async def refuse_gaps(tx: Repository, encounter_id: str) -> None:
    """Refuse while something is missing, all of it in the issues. Raises: ``RuleViolation`` (records.incomplete)."""
    from benhan.records.completeness import completeness

    gaps: list[Gap] = [g for g in await completeness(tx, encounter_id) if g.blocking]
    if gaps:
        issues = [Issue("records.incomplete", f"{g.text} ({g.who})", g.field) for g in gaps]
        raise RuleViolation("records.incomplete", f"Hồ sơ còn thiếu {len(gaps)} mục.", issues=issues)


def retention_end(closed: date, years: int | None) -> date | None:
    """Last day a closed record must be kept: years after the end of the year of closing; None: for ever (pure)."""
    return None if years is None else date(closed.year + years, 12, 31)


async def retention_rule(tx: Repository, before: Case, on: date) -> tuple[str, int | None]:
    """Kind and years (None: for ever) of the longest rule that fits the record.

    Source: Thông tư 33/2025/TT-BYT, as the table ``retention.yaml`` holds on that day.
    """
    encounter = (await tx.read("Encounter", before.encounter_id)).data
    main = (await diagnoses(tx, before.encounter_id)).get("encounter.diagnosis.discharge")
    return retention_of(
        {
            "result": fact_of(encounter, "ket-qua-dtri"),
            "form": before.form_code or "",
            "class": str(encounter["class"]["code"]),
            "icd10": str(main.get("code", "")) if isinstance(main, dict) else "",
        },
        on,
    )


def kept_from(here: Case) -> date | None:
    """Day from which the time of keeping counts: of closing; of a scanned record the end of the treatment on paper."""
    if here.closed_at is None:
        return None
    return local_date(here.discharged_at if here.scanned and here.discharged_at else here.closed_at)


async def _refuse_early(tx: Repository, before: Case, today: date) -> None:
    since, closed = kept_from(before), before.closed_at
    end = None
    if since is not None and closed is not None:
        end = retention_end(since, (await retention_rule(tx, before, local_date(closed)))[1])
    if end is None or today <= end:
        raise Conflict("records.retention-not-over", "Hồ sơ chưa hết thời hạn lưu trữ.")
