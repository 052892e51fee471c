"""What a record still lacks: unanswered items, missing papers and signatures, open business. Each gap names who acts."""

from __future__ import annotations

from typing import Any

from benhan.base.clock import local_date
from benhan.catalogue import facility_setting, outcome
from benhan.forms import answers, check
from benhan.forms import get as get_form
from benhan.records.cases import case
from benhan.records.facts import form_of
from benhan.records.medication import drug_orders
from benhan.records.orders import orders
from benhan.records.papers import papers
from benhan.records.scans import scan_gaps
from benhan.records.shapes import fact_of, house
from benhan.records.sheets import entries, is_sheet
from benhan.records.stays import pending_transfers
from benhan.records.types import Case, Gap, Paper
from benhan.records.waiting import waiting_of
from benhan.store import Repository, Stored

#: items that others fill in later: the records department gives the archive number when it receives the record
_LATER = ("record.archive_number",)
_DOCTOR, _HEAD = "Bác sĩ điều trị", "Trưởng khoa"


async def completeness(repo: Repository, encounter_id: str) -> list[Gap]:
    """Everything missing, blocking gaps first; empty when the record may be completed."""
    async with repo.transaction() as tx:
        here = await case(tx, encounter_id)
        if here.scanned:
            return await scan_gaps(tx, encounter_id)
        encounter = await tx.read("Encounter", encounter_id)
        held = await papers(tx, encounter_id)
        gaps = [*_record_gaps(here), *await _required(tx, here, encounter, held)]
        for paper in held:
            gaps += await _paper_gaps(tx, here, paper)
        for task in await pending_transfers(tx, encounter_id):
            text = f"Yêu cầu chuyển sang {fact_of(task.data, 'den-khoa-ten')} chưa được nhận hoặc hủy."
            gaps.append(Gap("transfer-pending", text, _HEAD))
        gaps += await _open_orders(tx, encounter_id)
        waits = await waiting_of(tx, encounter_id)
        if waits:
            text = f"{waits} chữ ký chờ dấu thời gian hoặc trạng thái chứng thư; máy tự bổ sung khi dịch vụ trả lời."
            gaps.append(Gap("stamp-pending", text, "Công nghệ thông tin"))
        return sorted(gaps, key=lambda g: not g.blocking)


def _record_gaps(here: Case) -> list[Gap]:
    gaps = []
    if here.composition_id is None:
        gaps.append(Gap("no-record", "Chưa mở bệnh án.", _DOCTOR))
    if here.discharged_at is None:
        gaps.append(Gap("not-discharged", "Người bệnh chưa ra viện.", _DOCTOR))
    return gaps


async def _required(tx: Repository, here: Case, encounter: Stored, held: list[Paper]) -> list[Gap]:
    """Papers the house and the outcome ask for and that this installation can make."""
    place = await house(tx)
    on = local_date(here.discharged_at or tx.clock.now())
    wanted: list[str] = list(facility_setting("required_papers", on, facility=place.code))
    ended = fact_of(encounter.data, "ket-cuc")
    if ended:
        wanted += outcome(ended, on).papers
    made = {p.form_code for p in held}
    house_forms = facility_setting("house_forms", on, facility=place.code)
    gaps = []
    for code in dict.fromkeys(wanted):
        if code in made:
            continue
        known = code in house_forms
        title = get_form(code, on).title if known else code
        gaps.append(Gap("paper-missing", f"Thiếu {title}.", _DOCTOR, form_code=code, blocking=known))
    return gaps


async def _paper_gaps(tx: Repository, here: Case, paper: Paper) -> list[Gap]:
    form = form_of(paper.response.data)
    if is_sheet(form):
        return await _sheet_gaps(tx, paper)
    gaps = []
    given = answers(form, paper.response.data)
    for finding in check(form, given, at="close"):
        item = form.item(finding.link_id) if finding.link_id in form else None
        if item is not None and item.populate in _LATER:
            continue
        blocking = finding.severity == "error"
        gaps.append(
            Gap(
                "field",
                finding.text,
                _DOCTOR,
                form.code,
                paper.response.id,
                finding.link_id,
                blocking=blocking,
            )
        )
    if paper.returned:
        text = f"{form.title}: {paper.returned.name} trả lại: {paper.returned.reason}"
        author = paper.response.data.get("author", {}).get("display", _DOCTOR)
        gaps.append(Gap("returned", text, author, form.code, paper.response.id))
    elif paper.next_role:
        title = next(p.title for p in form.signatures if p.role == paper.next_role)
        gaps.append(
            Gap("signature", f"{form.title}: thiếu chữ ký của {title}.", title, form.code, paper.response.id)
        )
    elif any(p.seal for p in form.signatures) and not paper.issued:
        gaps.append(Gap("not-issued", f"{form.title}: chưa cấp.", "Lãnh đạo", form.code, paper.response.id))
    return gaps


async def _sheet_gaps(tx: Repository, paper: Paper) -> list[Gap]:
    lines = await entries(tx, paper.response.id)
    unsigned = [e for e in lines if e.signed_by is None]
    gaps = [
        Gap(
            "entry-unsigned", f"{paper.title}: dòng {e.happened:%H:%M %d/%m/%Y} chưa ký.", e.author_name or _DOCTOR,
            paper.form_code, paper.response.id, e.id,
        )
        for e in unsigned
    ]  # fmt: skip
    if not paper.signatures:
        text = f"{paper.title}: chưa khóa tờ."
        gaps.append(Gap("sheet-open", text, _DOCTOR, paper.form_code, paper.response.id))
    return gaps


async def _open_orders(tx: Repository, encounter_id: str) -> list[Gap]:
    gaps = []
    for order in await orders(tx, encounter_id):
        if order.data["status"] == "active":
            text = f"Chưa có kết quả: {_name(order.data['code'])} (có thể ghi bổ sung sau khi đóng)."
            gaps.append(Gap("result-pending", text, "Khoa xét nghiệm", blocking=False))
    for request in await drug_orders(tx, encounter_id):
        if request.data["status"] == "active":
            text = f"Y lệnh thuốc chưa ngừng: {_name(request.data['medicationCodeableConcept'])}."
            gaps.append(Gap("drug-active", text, _DOCTOR, blocking=False))
    return gaps


def _name(concept: dict[str, Any]) -> str:
    return str(concept.get("text", ""))
