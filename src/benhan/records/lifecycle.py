"""From discharged to destroyed: the acts of khoa and records department (KHTH), each one step of the table."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from uuid import UUID

from benhan.base.errors import Conflict, RuleViolation
from benhan.catalogue import systems
from benhan.forms import answers
from benhan.records.cases import add_event, case, locked_case, set_hold
from benhan.records.facts import form_of
from benhan.records.numbering import take_number
from benhan.records.papers import papers, save_form
from benhan.records.requests import decide
from benhan.records.shapes import fact, with_extensions
from benhan.records.steps import step
from benhan.records.types import Authorize, Case, Staff
from benhan.store import Repository


async def complete_record(repo: Repository, encounter_id: str, *, authorize: Authorize) -> Case:
    """Tổng kết: refused with the list of gaps while something is missing; the claim goes again, now with the summary.

    Raises: ``RuleViolation`` (records.incomplete).
    """
    from benhan.records.discharge import submit_claim_when_ready

    async with repo.transaction() as tx:
        done = await step(tx, encounter_id, "complete", authorize=authorize)
        await submit_claim_when_ready(tx, encounter_id, "tong-ket")
        return done


async def submit_record(repo: Repository, encounter_id: str, *, authorize: Authorize) -> Case:
    """Nộp hồ sơ về phòng KHTH (again after it was returned)."""
    async with repo.transaction() as tx:
        return await step(tx, encounter_id, "submit", authorize=authorize)


async def return_record(
    repo: Repository, encounter_id: str, faults: Sequence[str], deadline: date, *, authorize: Authorize
) -> Case:
    """Trả lại khoa with a list of faults and a deadline. Raises: ``RuleViolation`` (records.reason-needed)."""
    listed = [f.strip() for f in faults if f.strip()]
    async with repo.transaction() as tx:
        return await step(
            tx,
            encounter_id,
            "return",
            authorize=authorize,
            reason="; ".join(listed),
            detail={"faults": listed, "deadline": deadline.isoformat()},
            due_on=deadline,
        )


async def receive_record(repo: Repository, encounter_id: str, *, authorize: Authorize) -> Case:
    """KHTH receives the record: số lưu trữ is taken, stands on the binder and on the cover."""
    async with repo.transaction() as tx:
        before = await locked_case(tx, encounter_id)
        number = before.so_luu_tru
        if number is None:
            taken = await take_number(
                tx, "so_luu_tru", event="receive", khoa=before.khoa, subject=f"Encounter/{encounter_id}"
            )
            number = taken.text
        after = await step(tx, encounter_id, "receive", authorize=authorize, so_luu_tru=number)
        await _write_number(tx, after, number)
        return after


async def _write_number(tx: Repository, here: Case, number: str) -> None:
    if here.composition_id is None:
        return
    binder = await tx.read("Composition", here.composition_id)
    await tx.update(with_extensions(binder.data, fact("so-luu-tru", number)), if_match=binder.version)
    for paper in await papers(tx, here.encounter_id):
        form = form_of(paper.response.data)
        if form.code == here.form_code and "so_luu_tru" in form:
            author = paper.response.data["author"]
            staff = Staff(
                author["reference"], author.get("display", ""), author.get("identifier", {}).get("value")
            )
            given = {**answers(form, paper.response.data), "so_luu_tru": number}
            await save_form(tx, paper.response.id, given, staff)


async def reopen_record(repo: Repository, request_id: UUID, *, authorize: Authorize) -> Case:
    """Open a closed record again: an exception that one person asks for (``ask``) and another one grants here.

    Closing it again adds a container. Raises: ``Conflict`` records.same-person, records.already-decided.
    """
    async with repo.transaction() as tx:
        granted = await decide(tx, request_id, True, authorize=authorize)
        return await step(
            tx, granted.encounter_id, "reopen", authorize=authorize, reason=granted.reason, request=request_id
        )


async def archive_record(repo: Repository, encounter_id: str, *, authorize: Authorize) -> Case:
    """Put a closed record into the archive."""
    async with repo.transaction() as tx:
        return await step(tx, encounter_id, "archive", authorize=authorize)


async def mark_due(repo: Repository, encounter_id: str, *, authorize: Authorize) -> Case:
    """The time of keeping is over. Raises: ``Conflict`` (records.retention-not-over)."""
    async with repo.transaction() as tx:
        return await step(tx, encounter_id, "mark_due", authorize=authorize)


async def extend_record(repo: Repository, encounter_id: str, reason: str, *, authorize: Authorize) -> Case:
    """Keep a record that is due for longer."""
    async with repo.transaction() as tx:
        return await step(tx, encounter_id, "extend", authorize=authorize, reason=reason)


async def set_legal_hold(
    repo: Repository, encounter_id: str, held: bool, reason: str, *, authorize: Authorize
) -> Case:
    """Hold a record (or release it) on request of an authority: while held it is not destroyed.

    Raises: ``RuleViolation`` (records.reason-needed); ``Conflict`` (records.legal-hold-unchanged, records.already-destroyed).
    """
    if not reason.strip():
        raise RuleViolation("records.reason-needed", "Bước này phải nêu lý do.", expression="reason")
    async with repo.transaction() as tx:
        before = await locked_case(tx, encounter_id)
        authorize("record.hold", before.khoa)
        if before.state == "destroyed":
            raise Conflict("records.already-destroyed", "Hồ sơ đã tiêu hủy, không giữ được nữa.")
        if before.legal_hold == held:
            raise Conflict("records.legal-hold-unchanged", "Trạng thái giữ hồ sơ không đổi.")
        await set_hold(tx, encounter_id, held)
        await add_event(
            tx, encounter_id, "hold" if held else "release", before.state, before.state, reason.strip()
        )
        return await case(tx, encounter_id)


def record_state(composition: dict[str, object]) -> str:
    """State written on a binder (``Composition``)."""
    extensions = composition.get("extension", [])
    if isinstance(extensions, list):
        for extension in extensions:
            if extension.get("url") == systems.EXT_STATE:
                return str(extension["valueCode"])
    return ""
