"""What stands around every page of a signed-in person: work lists with counts; and the facts of the banner."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

from benhan import records
from benhan.base.clock import local_date
from benhan.base.errors import BenhanError, NotFound
from benhan.web.frame import Visit
from benhan.web.i18n import N_

COUNTS_FOR_S = 60.0
#: Acts after which one's counts are taken again; every count reads patients' papers, which the audit keeps.
CHANGES = frozenset(
    {
        "da-ky",
        "da-rut",
        "da-ra-vien",
        "da-nop",
        "da-tra",
        "da-nhan",
        "da-dong",
        "da-nhap-vien",
        "da-nhan-khoa",
        "da-xem",
    }
)


@dataclass(frozen=True, slots=True)
class RailItem:
    """A work list: where it is, what it is called, how much waits (None: not counted)."""

    address: str
    icon: str
    title: str
    count: int | None


LISTS = frozenset({"/nguoi-benh", "/viec/ky", "/viec/no-ho-so", "/viec/ket-qua"})
_counts: dict[Any, tuple[float, tuple[int, int, int, int]]] = {}


async def counts(visit: Visit, fresh: bool = False) -> tuple[int, int, int, int]:
    """Patients of mine, papers to sign, records owed, results unseen; a minute old at most, new after own acts (``fresh``)."""
    who, now = visit.signed_in, visit.now.timestamp()
    key = (who.ctx.tenant, who.account.id)
    known = _counts.get(key)
    young = known is not None and 0 <= now - known[0] < COUNTS_FOR_S
    acted = fresh or visit.request.query_params.get("xong", "") in CHANGES or visit.request.url.path in LISTS
    if known is not None and young and not acted:
        return known[1]
    found = (
        await _count(_patients, visit),
        await _count(_to_sign, visit),
        await _count(_owed, visit),
        await _unread(visit),
    )
    if len(_counts) > 5000:
        _counts.clear()
    _counts[key] = (now, found)
    return found


async def _count(ask: Callable[[Visit], Any], visit: Visit) -> int:
    try:
        return len(await ask(visit))
    except BenhanError:
        return 0


async def _patients(visit: Visit) -> list[records.WorkPatient]:
    return await my_patients(visit) if visit.may("record.read") else []


async def my_patients(visit: Visit, khoa: str | None = None) -> list[records.WorkPatient]:
    """Patients of the khoa in which the person works (all of the facility when the role has no khoa)."""
    places = [khoa] if khoa else list(visit.signed_in.khoa)
    if not places:
        return await records.my_patients(visit.repo)
    found: dict[str, records.WorkPatient] = {}
    for place in places:
        for row in await records.my_patients(visit.repo, khoa=place):
            found.setdefault(row.encounter_id, row)
    return sorted(found.values(), key=lambda p: (p.khoa, p.room, p.bed, p.name))


async def _to_sign(visit: Visit) -> list[records.WorkPaper]:
    return await papers_to_sign(visit) if visit.may("form.sign") else []


async def papers_to_sign(visit: Visit) -> list[records.WorkPaper]:
    """Papers and entries that wait for this person: in the khoa where roles are held, everywhere for other roles."""
    who = visit.signed_in
    me = who.ctx.actor.reference
    given = await records.delegations_to(visit.repo, me)
    reader = records.Reader(me, who.ctx.roles, lambda p, k: visit.may(p, khoa=k), given)
    places = [None] if any(r.khoa is None for r in who.roles) else list(who.khoa)
    rows = [row for khoa in places for row in await records.papers_to_sign(visit.repo, reader, khoa=khoa)]
    return sorted(rows, key=lambda w: w.since)


async def _unread(visit: Visit) -> int:
    if not (visit.may("order.write") and visit.may("result.read")):
        return 0
    try:
        found = await unread_results(visit)
    except BenhanError:
        return 0
    return len(found.rows) + found.more


async def unread_results(visit: Visit) -> records.Unread:
    """Results nobody has acknowledged, of the khoa in which the person works (of all when the role has no khoa)."""
    places = None if any(r.khoa is None for r in visit.signed_in.roles) else list(visit.signed_in.khoa)
    return await records.unread_results(visit.repo, places)


async def _owed(visit: Visit) -> list[records.WorkRecord]:
    if not (visit.may("record.submit") or visit.may("record.receive")):
        return []
    return await records_owed(visit)


async def records_owed(visit: Visit) -> list[records.WorkRecord]:
    """Records not yet with the records department: of the person's khoa, or of all."""
    places = [None] if visit.may("record.receive") or not visit.signed_in.khoa else list(visit.signed_in.khoa)
    rows = [row for khoa in places for row in await records.records_owed(visit.repo, khoa=khoa)]
    return sorted(rows, key=lambda r: (-r.days_late, r.due_on))


async def around(visit: Visit, fresh: bool = False) -> dict[str, Any]:
    """Context of the frame: the rail and the number of papers to sign."""
    if visit.who is None or visit.who.pending:
        return {"rail": [], "to_sign": None}
    if visit.settings.role == "hub":
        items = [RailItem("/so-y-te", "chart", N_("Toàn tỉnh"), None)] if visit.may("oversight.read") else []
        if visit.may("patient.merge"):
            items.append(RailItem("/dinh-danh", "folder", N_("Người có thể trùng"), None))
        if visit.may("exchange.watch"):
            items.append(RailItem("/lien-thong", "globe", N_("Liên thông"), None))
        if visit.may("break_glass.review"):
            items.append(RailItem("/mo-khan-cap", "alert", N_("Xét mở khẩn cấp"), None))
        if visit.may("archive.keep"):
            items.append(RailItem("/luu-tru/suc-khoe", "lock", N_("Sức khỏe kho lưu trữ"), None))
        return {"rail": items, "to_sign": None}
    patients, to_sign, owed, unread = await counts(visit, fresh)
    items = []
    if visit.may("record.read"):
        items.append(RailItem("/nguoi-benh", "bed", N_("Người bệnh của tôi"), patients))
    if visit.may("order.write") and visit.may("result.read"):
        items.append(RailItem("/viec/ket-qua", "flask", N_("Kết quả chưa xem"), unread))
    if visit.may("form.sign"):
        items.append(RailItem("/viec/ky", "pen", N_("Chờ tôi ký"), to_sign))
    if visit.may("form.sign_head") or visit.may("form.sign_director"):
        items.append(RailItem("/viec/ky-tre", "alert", N_("Ký trễ"), None))
    if visit.may("record.submit") or visit.may("record.receive"):
        items.append(RailItem("/viec/no-ho-so", "folder", N_("Hồ sơ chưa nộp"), owed))
    if visit.may("admission.undo"):
        items.append(RailItem("/viec/de-nghi", "alert", N_("Đề nghị chờ duyệt"), None))
    if visit.may("patient.admit") and visit.may("patient.register"):
        items.append(RailItem("/tiep-don", "desk", N_("Tiếp đón"), None))
    if visit.may("exchange.refer"):
        items.append(RailItem("/chuyen-di", "globe", N_("Chuyển đi"), None))
        items.append(RailItem("/chuyen-den", "bed", N_("Chuyển đến"), None))
    if visit.may("claim.read"):
        items.append(RailItem("/bhyt", "chart", N_("Giám định BHYT"), None))
    if visit.may("exchange.watch"):
        items.append(RailItem("/lien-thong", "globe", N_("Liên thông"), None))
    if visit.may("break_glass.review"):
        items.append(RailItem("/mo-khan-cap", "alert", N_("Xét mở khẩn cấp"), None))
    if visit.may("archive.keep"):
        items.append(RailItem("/luu-tru/suc-khoe", "lock", N_("Sức khỏe kho lưu trữ"), None))
    if visit.may("record.scan") or visit.may("record.scan_check"):
        items.append(RailItem("/luu-tru/so-hoa", "folder", N_("Số hóa hồ sơ giấy"), None))
    if visit.may("record.close") or visit.may("record.destroy"):
        items.append(RailItem("/luu-tru/tieu-huy", "folder", N_("Hết hạn lưu trữ"), None))
    if visit.may("settings.manage"):
        items.append(RailItem("/khoa-ky", "lock", N_("Khóa ký số"), None))
        items.append(RailItem("/bhyt/icd", "folder", N_("Danh mục ICD-10"), None))
    return {"rail": items, "to_sign": to_sign or None}


async def about(visit: Visit, patient_id: str) -> dict[str, Any]:
    """Facts of the banner of a person: Patient, allergies, right to BHYT."""
    patient = await visit.repo.read("Patient", patient_id)
    return {
        **await around(visit),
        "patient": patient.data,
        "allergies": await allergies(visit, patient_id),
        "right": await present_right(visit, patient_id),
        "case": None,
        "stay": None,
    }


async def allergies(visit: Visit, patient_id: str) -> list[str]:
    """Names of what the person is allergic to, as recorded."""
    try:
        page = await visit.repo.search(
            "AllergyIntolerance", [("patient", f"Patient/{patient_id}"), ("_count", "50")]
        )
    except BenhanError:
        return []
    names = []
    for stored in page.entries:
        status = ((stored.data.get("verificationStatus") or {}).get("coding") or [{}])[0].get("code", "")
        code = stored.data.get("code") or {}
        name = code.get("text") or (code.get("coding") or [{}])[0].get("display", "")
        if status not in ("entered-in-error", "refuted") and name:
            names.append(str(name))
    return list(dict.fromkeys(names))


@dataclass(frozen=True, slots=True)
class Right:
    """A BHYT card in force today, as the banner shows it."""

    percent: str
    valid_to: date | None


async def present_right(visit: Visit, patient_id: str) -> Right | None:
    """The card of the person that is in force today and lasts longest."""
    try:
        page = await visit.repo.search(
            "Coverage", [("beneficiary", f"Patient/{patient_id}"), ("_count", "50")]
        )
    except BenhanError:
        return None
    found, on = [], today(visit).isoformat()
    for stored in page.entries:
        period = stored.data.get("period") or {}
        if stored.data.get("status") == "active" and period.get("start", "") <= on <= period.get(
            "end", "9999"
        ):
            percent = next((e.get("valueString", "") for e in stored.data.get("extension", [])
                            if e.get("url", "").endswith("muc-huong")), "")  # fmt: skip
            end = period.get("end")
            found.append(Right(percent, date.fromisoformat(end[:10]) if end else None))
    return max(found, key=lambda r: r.valid_to or date.max, default=None)


async def about_case(visit: Visit, encounter_id: str, tab: str = "") -> dict[str, Any]:
    """Facts of a đợt: those of the person, the case, the present stay, the right of this moment."""
    case = await records.case(visit.repo, encounter_id)
    found = await about(visit, case.patient_id)
    chain = await records.stays(visit.repo, encounter_id)
    found.update(case=case, stay=chain[-1] if chain else None, stays=chain, tab=tab)
    try:
        found["right"] = await records.entitlement_on(
            visit.repo, encounter_id, case.discharged_at or visit.now
        )
    except (NotFound, BenhanError):
        found["right"] = None
    return found


def today(visit: Visit) -> date:
    """The calendar day in Viet Nam."""
    return local_date(visit.now)
