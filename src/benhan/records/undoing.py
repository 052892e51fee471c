"""Administrative acts taken back: admission, transfer, discharge, the wrong patient, a paper in the wrong record, two đợt of
one illness. Asked by one person with a reason, granted by another; what stands in the way is listed, never broken.

Source: practice A11 (hủy nhập viện, hủy chuyển khoa, hủy ra viện, mở nhầm người bệnh, chuyển phiếu sang đúng hồ sơ, gộp đợt).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID

from benhan.base.errors import Conflict, Issue, NotFound, RuleViolation
from benhan.records.admission import cancel_admission
from benhan.records.cases import case, locked_case
from benhan.records.charges import charge_lines
from benhan.records.discharge import undo_discharge
from benhan.records.moving import change_patient, merge_into, move_paper
from benhan.records.papers import paper, papers
from benhan.records.requests import Request, ask, decide
from benhan.records.settlement import payments
from benhan.records.shapes import fact_of, id_of, must
from benhan.records.sheets import entries, sheets
from benhan.records.states import closed_states, state_title
from benhan.records.stays import accepted_transfer, pending_transfers, stays, undo_transfer
from benhan.records.types import Authorize, Case
from benhan.store import Repository

KIND = "undo"


@dataclass(frozen=True, slots=True)
class Undo:
    """One act that can be taken back. ``target``: what else must be named (a patient, a paper and a đợt, a đợt)."""

    act: str
    title: str
    target: str = ""


ACTS = {
    u.act: u
    for u in (
        Undo("cancel", "Hủy nhập viện"),
        Undo("transfer", "Hủy chuyển khoa"),
        Undo("discharge", "Hủy ra viện"),
        Undo("patient", "Mở nhầm người bệnh", "patient"),
        Undo("paper", "Chuyển phiếu sang đúng hồ sơ", "paper"),
        Undo("merge", "Gộp vào đợt khác", "encounter"),
    )
}


async def obstacles(repo: Repository, encounter_id: str, act: str, target: str = "") -> list[str]:
    """What stands in the way of taking this act back now, one sentence each; empty: it can be done.

    Raises: ``NotFound`` (records.no-such-undo, or of what ``target`` names).
    """
    if act not in ACTS:
        raise NotFound("records.no-such-undo", "Không có việc hành chính này để hủy.")
    async with repo.transaction() as tx:
        here = await case(tx, encounter_id)
        if here.state in closed_states():
            return [f"Hồ sơ đang ở trạng thái “{state_title(here.state)}”, không sửa việc hành chính được."]
        return await _CHECKS[act](tx, here, target)


async def ask_undo(
    repo: Repository, encounter_id: str, act: str, reason: str, *, target: str = "", authorize: Authorize
) -> Request:
    """Ask for an act to be taken back. Raises: ``Conflict`` (records.undo-blocked) with every obstacle as an issue;
    ``RuleViolation`` (records.reason-needed, records.undo-target); ``NotAllowed`` of ``authorize``."""
    async with repo.transaction() as tx:
        await _refuse_obstacles(tx, encounter_id, act, target)
        detail = {"act": act, "target": target}
        return await ask(tx, encounter_id, KIND, reason, authorize=authorize, detail=detail)


async def grant_undo(repo: Repository, request_id: UUID, *, authorize: Authorize) -> Request:
    """Grant a request of somebody else and do it in the same transaction; obstacles are looked for once more.

    Raises: ``Conflict`` records.same-person, records.already-decided, records.undo-blocked; ``NotAllowed``.
    """
    async with repo.transaction() as tx:
        granted = await decide(tx, request_id, True, authorize=authorize)
        if granted.kind != KIND:
            raise NotFound("records.no-such-request", "Không có yêu cầu này.")
        act, target = str(granted.detail["act"]), str(granted.detail["target"])
        await locked_case(tx, granted.encounter_id)
        await _refuse_obstacles(tx, granted.encounter_id, act, target)
        await _DO[act](tx, granted, authorize)
        return granted


async def _refuse_obstacles(tx: Repository, encounter_id: str, act: str, target: str) -> None:
    if (await case(tx, encounter_id)).state in closed_states():
        raise Conflict("records.already-closed", "Hồ sơ đã đóng: không sửa việc hành chính được.")
    found = await obstacles(tx, encounter_id, act, target)
    if found:
        issues = [Issue("records.undo-blocked", text) for text in found]
        raise Conflict("records.undo-blocked", "Chưa làm được: còn việc vướng.", issues=issues)


async def _signed_work(tx: Repository, encounter_id: str) -> list[str]:
    found = []
    for held in await papers(tx, encounter_id):
        if any(s.standing or s.waiting for s in held.signatures):
            found.append(f"{held.title}: đã ký, phải rút chữ ký trước.")
    for sheet in await sheets(tx, encounter_id):
        signed = sum(1 for e in await entries(tx, sheet.id) if e.signed_by)
        if signed:
            found.append(f"Tờ {sheet.data['questionnaire'].split('/')[-1]}: {signed} dòng đã ký.")
    return found


async def _money(tx: Repository, here: Case, *, lines: bool = True) -> list[str]:
    if here.financial_lock:
        return ["Viện phí đã khóa: mở khóa viện phí trước."]
    found = []
    held = await charge_lines(tx, here.encounter_id)
    undone = {line.reverses for line in held}
    left = sum(1 for line in held if not line.reverses and line.id not in undone)
    if lines and left:
        found.append(f"Còn {left} dòng chi phí chưa đảo.")
    if sum(p.amount for p in await payments(tx, here.encounter_id)):
        found.append("Còn tiền tạm ứng: hoàn ứng trước.")
    return found


async def _check_cancel(tx: Repository, here: Case, target: str) -> list[str]:
    if here.scanned:
        return (
            [] if here.state == "scanned" else ["Bản số hóa đã kiểm tra xong: trả lại để quét bổ sung trước."]
        )
    found = [] if here.state == "open" else ["Đợt điều trị đã ra viện: hủy ra viện trước."]
    if await pending_transfers(tx, here.encounter_id):
        found.append("Đang có yêu cầu chuyển khoa chờ nhận.")
    return [*found, *await _signed_work(tx, here.encounter_id), *await _money(tx, here)]


async def _check_transfer(tx: Repository, here: Case, target: str) -> list[str]:
    if here.state != "open":
        return ["Đợt điều trị đã ra viện: hủy ra viện trước."]
    if await pending_transfers(tx, here.encounter_id):
        return ["Đang có yêu cầu chuyển khoa chờ nhận."]
    task = await accepted_transfer(tx, here.encounter_id)
    if task is None:
        return ["Đợt này không có lần chuyển khoa nào để hủy."]
    stay = (await stays(tx, here.encounter_id))[-1]
    khoa = fact_of(task.data, "den-khoa")
    held = await charge_lines(tx, here.encounter_id)
    undone = {line.reverses for line in held}
    charged = [
        c for c in held
        if c.khoa == khoa and c.happened >= stay.start and not c.reverses and c.id not in undone
    ]  # fmt: skip
    found = [f"Còn {len(charged)} dòng chi phí của khoa nhận chưa đảo."] if charged else []
    for held_paper in await papers(tx, here.encounter_id):
        after = must(held_paper.response.data["authored"]) >= stay.start
        if after and any(s.standing or s.waiting for s in held_paper.signatures):
            found.append(f"{held_paper.title}: ký sau khi khoa nhận, phải rút chữ ký trước.")
    return found


async def _check_discharge(tx: Repository, here: Case, target: str) -> list[str]:
    if here.state != "discharged":
        return [f"Hồ sơ đang ở trạng thái “{state_title(here.state)}”: chỉ hủy được khi vừa ra viện."]
    issued = [p.title for p in await papers(tx, here.encounter_id) if p.issued]
    found = [f"{title} đã cấp: thu hồi giấy trước." for title in issued]
    return [*found, "Viện phí đã khóa: mở khóa viện phí trước."] if here.financial_lock else found


async def _check_patient(tx: Repository, here: Case, target: str) -> list[str]:
    if not target:
        raise _needs("Chọn người bệnh đúng.")
    right = await tx.read("Patient", target)
    if right.id == here.patient_id:
        return ["Đây chính là người bệnh đang ghi trong đợt."]
    return [*await _signed_work(tx, here.encounter_id), *await _money(tx, here)]


async def _check_paper(tx: Repository, here: Case, target: str) -> list[str]:
    paper_id, _, to = target.partition(">")
    if not paper_id or not to:
        raise _needs("Chọn tờ giấy và đợt điều trị đúng.")
    held, there = await paper(tx, paper_id), await case(tx, to)
    if id_of(held.response.data["encounter"]) != here.encounter_id:
        raise NotFound("records.no-such-paper", "Tờ giấy không nằm trong đợt này.")
    found = []
    if there.encounter_id == here.encounter_id:
        found.append("Tờ giấy đang ở đúng đợt này.")
    if there.state in closed_states():
        found.append(f"Hồ sơ nhận đang ở trạng thái “{state_title(there.state)}”.")
    if held.form_code == here.form_code:
        found.append("Bệnh án chính của đợt không chuyển được; dùng “Mở nhầm người bệnh” hoặc “Gộp đợt”.")
    if paper_id in {s.id for s in await sheets(tx, here.encounter_id)}:
        found.append("Tờ ghi từng dòng không chuyển cả tờ; sửa từng dòng rồi ghi lại ở hồ sơ đúng.")
    if held.issued:
        found.append("Giấy đã cấp: thu hồi giấy trước.")
    elif any(s.standing or s.waiting for s in held.signatures):
        found.append("Tờ giấy đã ký: người ký phải rút chữ ký trước.")
    return found


async def _check_merge(tx: Repository, here: Case, target: str) -> list[str]:
    if not target:
        raise _needs("Chọn đợt giữ lại.")
    there = await case(tx, target)
    found = []
    if there.encounter_id == here.encounter_id:
        return ["Chọn một đợt khác để gộp vào."]
    if there.patient_id != here.patient_id:
        found.append("Hai đợt thuộc hai người bệnh.")
    if there.state != "open" or here.state != "open":
        found.append("Chỉ gộp hai đợt đều đang điều trị.")
    if there.financial_lock:
        found.append("Viện phí của đợt giữ lại đã khóa.")
    if here.composition_id and there.composition_id:
        found.append("Cả hai đợt đều đã mở bệnh án: chuyển các phiếu trước, rồi hủy nhập viện đợt thừa.")
    if await pending_transfers(tx, here.encounter_id):
        found.append("Đang có yêu cầu chuyển khoa chờ nhận.")
    return [*found, *await _signed_work(tx, here.encounter_id), *await _money(tx, here, lines=False)]


def _needs(text: str) -> RuleViolation:
    return RuleViolation("records.undo-target", text, expression="target")


async def _cancel(tx: Repository, granted: Request, authorize: Authorize) -> None:
    await cancel_admission(tx, granted.encounter_id, granted.reason, granted.id, authorize=authorize)


async def _transfer(tx: Repository, granted: Request, authorize: Authorize) -> None:
    await undo_transfer(tx, granted.encounter_id, granted.reason)


async def _discharge(tx: Repository, granted: Request, authorize: Authorize) -> None:
    await undo_discharge(tx, granted.encounter_id, granted.reason, granted.id, authorize=authorize)


async def _patient(tx: Repository, granted: Request, authorize: Authorize) -> None:
    await change_patient(tx, granted.encounter_id, str(granted.detail["target"]), granted.reason)


async def _paper(tx: Repository, granted: Request, authorize: Authorize) -> None:
    paper_id, _, to = str(granted.detail["target"]).partition(">")
    await move_paper(tx, paper_id, to, granted.reason)


async def _merge(tx: Repository, granted: Request, authorize: Authorize) -> None:
    await merge_into(
        tx,
        granted.encounter_id,
        str(granted.detail["target"]),
        granted.reason,
        granted.id,
        authorize=authorize,
    )


_CHECKS: dict[str, Callable[[Repository, Case, str], Awaitable[list[str]]]] = {
    "cancel": _check_cancel,
    "transfer": _check_transfer,
    "discharge": _check_discharge,
    "patient": _check_patient,
    "paper": _check_paper,
    "merge": _check_merge,
}
_DO: dict[str, Callable[[Repository, Request, Authorize], Awaitable[None]]] = {
    "cancel": _cancel,
    "transfer": _transfer,
    "discharge": _discharge,
    "patient": _patient,
    "paper": _paper,
    "merge": _merge,
}
