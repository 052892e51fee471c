"""Invented people and records for tests. Every function does what its name says and returns what a test needs next."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from benhan import records
from benhan.base.clock import VIETNAM
from benhan.identity import PersonInput
from benhan.records import (
    Administration,
    Admission,
    Admitted,
    Bed,
    CoverageInput,
    Discharge,
    DrugOrder,
    Entry,
    LabOrder,
    ResultInput,
    SignWith,
    Staff,
    VitalSigns,
    everything_allowed,
)
from benhan.store import Actor, Ctx, Repository, Stored

DOCTOR = Staff("Practitioner/bs-an", "BS. Lê Thị An", "001234/QNG-CCHN", "K01")
HEAD = Staff("Practitioner/tk-binh", "BSCKII. Trần Văn Bình", "000111/QNG-CCHN", "K01")
DIRECTOR = Staff("Practitioner/gd-cuong", "TS. Phạm Cường", "000001/QNG-CCHN")
NURSE = Staff("Practitioner/dd-dung", "ĐD. Hồ Thị Dung", "004321/QNG-CCHN", "K01")
LAB = Staff("Practitioner/ktv-em", "KTV. Đinh Văn Em", "005555/QNG-CCHN")
HOUSE = Staff("Organization/51Z01", "Bệnh viện Đa khoa tỉnh Quảng Ngãi")


def ctx(tenant: UUID, staff: Staff = DOCTOR) -> Ctx:
    """Context of a doctor."""
    return Ctx(tenant, Actor(staff.reference, staff.name, "person"))


def sign_as(staff: Staff, role: str) -> SignWith:
    """Ink of the stand-in."""
    return SignWith(None, staff, role)


def person(**over: Any) -> PersonInput:
    """An invented person with a number from the reserved low range."""
    given: dict[str, Any] = {
        "name": "Nguyễn Văn Mẫu",
        "birth_date": "1975-09-27",
        "sex": "male",
        "cccd": "051075000031",
        "phone": "0905000001",
        "address": "Thôn 1",
        "commune_code": "21028",
        "ethnicity": "01",
        "occupation": "Làm nông",
        "contact_name": "Trần Thị Thử",
        "contact_phone": "0905000002",
        "status": "verified",
    }
    return PersonInput(**{**given, **over})


async def a_patient(repo: Repository, **over: Any) -> Stored:
    """A registered patient."""
    return await records.register_patient(repo, person(**over))


async def an_admission(repo: Repository, patient: Stored | None = None, **over: Any) -> Admitted:
    """A patient in bed in khoa Nội since an hour ago."""
    who = patient or await a_patient(repo)
    given: dict[str, Any] = {
        "happened": repo.clock.now() - timedelta(hours=1),
        "khoa": "K01",
        "khoa_name": "Khoa Nội tổng hợp",
        "doctor": DOCTOR,
        "bed": Bed("101", "H001"),
        "reason": "Sốt, ho",
    }
    return await records.admit(repo, Admission(patient_id=who.id, **{**given, **over}))


async def a_card(repo: Repository, encounter_id: str, **over: Any) -> Stored:
    """A BHYT card at 80 %."""
    given: dict[str, Any] = {
        "card": "GD4515100000001",
        "valid_from": date(2026, 1, 1),
        "valid_to": date(2026, 12, 31),
        "percent": 80,
        "ma_doituong": "1.1",
        "registered_at": "51Z01",
    }
    return await records.add_coverage(repo, encounter_id, CoverageInput(**{**given, **over}))


def vitals(at: datetime, **over: Any) -> VitalSigns:
    """An ordinary round."""
    given: dict[str, Any] = {
        "pulse": Decimal(88),
        "temperature": Decimal("38.5"),
        "systolic": Decimal(120),
        "diastolic": Decimal(70),
        "breathing": Decimal(22),
        "weight": Decimal("55.0"),
        "height": Decimal(160),
    }
    return VitalSigns(at, NURSE, **{**given, **over})


def history_answers() -> dict[str, Any]:
    """What the doctor writes into section A of 01/BV1."""
    return {
        "ly_do": "Sốt, ho",
        "vao_ngay_thu": 3,
        "qua_trinh_benh_ly": "Khởi phát cách nhập viện 3 ngày với sốt 38,5 °C, ho đờm vàng.",
        "tien_su_ban_than": "Tăng huyết áp 5 năm, đang dùng thuốc đều.",
        "dac_diem_lien_quan": [
            {"ma": "01", "dac_diem": "Dị ứng (ghi dị nguyên)", "co": True, "ghi_chu": "Penicillin"}
        ],
        "tien_su_gia_dinh": "Không ghi nhận bất thường.",
        "toan_than": "Tỉnh, tiếp xúc tốt, da niêm mạc hồng.",
        "tuan_hoan": "Nhịp tim đều, T1 T2 rõ.",
        "ho_hap": "Ran ẩm đáy phổi phải.",
        "tieu_hoa": "Bụng mềm.",
        "tom_tat_benh_an": "Nam 51 tuổi, sốt, ho đờm, ran ẩm đáy phổi phải.",
        "cd_vao_khoa": {"code": "J18.9", "text": "Viêm phổi, không đặc hiệu"},
        "cd_benh_chinh": {"code": "J18.9", "text": "Viêm phổi, không đặc hiệu"},
        "tien_luong": "Dè dặt.",
        "huong_dieu_tri": "Kháng sinh, hạ sốt, theo dõi.",
    }


def summary_answers() -> dict[str, Any]:
    """Section B."""
    return {
        "tk_qua_trinh": "Sau 5 ngày điều trị hết sốt, đỡ ho.",
        "tk_can_lam_sang": "Bạch cầu 13,2 G/L; X-quang thâm nhiễm đáy phổi phải.",
        "tk_phuong_phap": "Nội khoa: kháng sinh, hạ sốt.",
        "tk_tinh_trang_ra": "Tỉnh, hết sốt, phổi thông khí rõ.",
        "tk_huong_dieu_tri": "Uống thuốc theo đơn, tái khám sau 7 ngày.",
    }


@dataclass
class Record:
    """An opened record and its parts."""

    repo: Repository
    patient: Stored
    admitted: Admitted
    response_id: str
    sheet_id: str = ""
    order_id: str = ""
    discharge_paper_id: str = ""

    @property
    def id(self) -> str:
        """Id of the đợt."""
        return self.admitted.encounter.id


async def an_inpatient_record(repo: Repository, *, signed: bool = False, **person_over: Any) -> Record:
    """A record opened on 01/BV1 with history, vital signs and a card; ``signed``: by its first signer."""
    patient = await a_patient(repo, **person_over)
    admitted = await an_admission(repo, patient)
    await a_card(repo, admitted.encounter.id)
    now = repo.clock.now()
    await records.record_vitals(repo, admitted.encounter.id, vitals(now))
    opened = await records.open_record(repo, admitted.encounter.id, "01/BV1", DOCTOR, now)
    record = Record(repo, patient, admitted, opened.response.id)
    await write(record, history_answers())
    if signed:
        await sign(record, DOCTOR, "bac_si_lam_benh_an")
    return record


async def write(record: Record, answers: dict[str, Any], reason: str | None = None) -> Stored:
    """Save more answers of the template over what it holds."""
    held = await records.paper_answers(record.repo, record.response_id)
    return await records.save_form(
        record.repo, record.response_id, {**held, **answers}, DOCTOR, reason=reason
    )


async def sign(record: Record, staff: Staff, role: str, response_id: str | None = None) -> Stored:
    """Sign the template, or another paper, in a role."""
    target = response_id or record.response_id
    return await records.sign_paper(record.repo, target, sign_as(staff, role), authorize=everything_allowed)


def move(clock: Any, **by: float) -> None:
    """Move a frozen clock on; the machine's own (None) moves by itself."""
    if clock is not None:
        clock.move(**by)


async def treat(record: Record, clock: Any) -> None:
    """A running sheet with two signed lines, a laboratory order with its result, a drug given twice."""
    repo, now = record.repo, record.repo.clock.now()
    sheet = await records.open_sheet(repo, record.id, "36/BV2", DOCTOR, now)
    record.sheet_id = sheet.id
    for text in ("Sốt 38,5 °C, ho đờm vàng.", "Đỡ sốt."):
        entry = await records.add_entry(
            repo,
            sheet.id,
            Entry(repo.clock.now(), DOCTOR, progress=text, orders="Paracetamol 500 mg × 3 viên"),
        )
        await records.sign_entry(repo, entry.id, sign_as(DOCTOR, ""), authorize=everything_allowed)
        move(clock, hours=1)
    (order,) = await records.order_lab(repo, record.id, LabOrder(("LAB001",), repo.clock.now(), DOCTOR))
    record.order_id = order.id
    move(clock, hours=1)
    await records.enter_result(repo, order.id, ResultInput(Decimal("4.50"), repo.clock.now(), LAB))
    drug = await records.order_drug(
        repo, record.id, DrugOrder("TH0001", Decimal(1), "viên", "Uống", 3, 5, repo.clock.now(), DOCTOR)
    )
    move(clock, hours=1)
    for _ in range(2):
        await records.administer(repo, drug.id, Administration(repo.clock.now(), Decimal(1), NURSE))
    await records.stop_drug(repo, drug.id, "Hết sốt", repo.clock.now())


def an_end(at: datetime, **over: Any) -> Discharge:
    """Going home, better."""
    given: dict[str, Any] = {
        "outcome": "ra-vien",
        "result": "2",
        "doctor": DOCTOR,
        "diagnosis": "Viêm phổi, không đặc hiệu",
        "icd10": "J18.9",
        "others": (("I10", "Bệnh lý tăng huyết áp"),),
        "treatment": "Kháng sinh, hạ sốt",
        "advice": "Tái khám sau 7 ngày",
    }
    return Discharge(at, **{**given, **over})


async def a_discharged_record(repo: Repository, clock: Any) -> Record:
    """Treated five days, discharged; nothing after it."""
    record = await an_inpatient_record(repo, signed=True)
    await treat(record, clock)
    move(clock, days=5)
    await records.discharge(repo, record.id, an_end(repo.clock.now()), authorize=everything_allowed)
    return record


async def a_whole_record(repo: Repository, clock: Any) -> Record:
    """Discharged, summed up, all papers signed and issued: nothing missing."""
    record = await a_discharged_record(repo, clock)
    known = await records.defaults(repo, record.id, "01/BV1")
    await write(
        record, {**known, **summary_answers()} | await records.paper_answers(repo, record.response_id)
    )
    await sign(record, DOCTOR, "bac_si_dieu_tri")
    await sign(record, HEAD, "truong_khoa")
    await records.end_sheet(repo, record.sheet_id, sign_as(DOCTOR, ""), authorize=everything_allowed)
    paper = await records.issue_discharge_paper(repo, record.id, author=DOCTOR)
    record.discharge_paper_id = paper.id
    await sign(record, DOCTOR, "nguoi_hanh_nghe", paper.id)
    await sign(record, DIRECTOR, "dai_dien_don_vi", paper.id)
    await records.issue_paper(repo, paper.id, seal=sign_as(HOUSE, "dau"), authorize=everything_allowed)
    return record


async def a_received_record(repo: Repository, clock: Any) -> Record:
    """Whole, and received by the records department."""
    record = await a_whole_record(repo, clock)
    await records.complete_record(repo, record.id, authorize=everything_allowed)
    await records.submit_record(repo, record.id, authorize=everything_allowed)
    await records.receive_record(repo, record.id, authorize=everything_allowed)
    return record


async def a_closed_record(repo: Repository, clock: Any) -> Record:
    """Closed and sealed."""
    record = await a_received_record(repo, clock)
    await records.close_record(repo, record.id, sign_as(HOUSE, "niem-phong"), authorize=everything_allowed)
    return record


def noon(day: date) -> datetime:
    """Noon in Viet Nam."""
    return datetime(day.year, day.month, day.day, 12, tzinfo=VIETNAM)


async def some_papers(ward: Repository, count: int) -> list[Record]:
    """Records of several patients, each with a paper that waits for its doctor."""
    made = []
    for n in range(count):
        patient = await a_patient(ward, cccd=f"0510750001{n:02}", name=f"Nguyễn Văn Mẫu {n}")
        admitted = await an_admission(ward, patient, bed=None)
        now = ward.clock.now()
        await records.record_vitals(ward, admitted.encounter.id, vitals(now))
        opened = await records.open_record(ward, admitted.encounter.id, "01/BV1", DOCTOR, now)
        record = Record(ward, patient, admitted, opened.response.id)
        await write(record, history_answers())
        made.append(record)
    return made
