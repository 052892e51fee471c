"""The story on the ward, steps 1–4 of the design: from the QR card to the sealed record and its late addendum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from benhan import records
from benhan.base.clock import SYSTEM_CLOCK, local, local_date
from benhan.base.errors import RuleViolation
from benhan.catalogue import lab_items
from benhan.cli.demo.cast import Player
from benhan.cli.demo.people import Invented
from benhan.identity import find_candidates, parse_qr, person_from_scan

KHOA = ("K04", "Khoa Nội tổng hợp")
NEXT_KHOA = ("K05", "Khoa Nội tim mạch")


@dataclass(slots=True)
class Ward:
    """The people at work at facility A and what the story has made so far."""

    players: dict[str, Player]
    patient: Invented
    tsa: Any
    started: datetime = field(default_factory=lambda: SYSTEM_CLOCK.now() - timedelta(hours=5))
    patient_id: str = ""
    encounter: str = ""
    ma_lk: str = ""
    record_response: str = ""
    discharge_response: str = ""
    late_order: str = ""
    sealed_sha256: str = ""
    addendum_sha256: str = ""

    def at(self, hours: float) -> datetime:
        """An instant of the story, ``hours`` (0–20) of its own time after its beginning.

        Its day is told within the last five hours, so that no entry is a late one.
        """
        return self.started + timedelta(hours=hours) / 4


async def reception(w: Ward) -> str:
    """Step: card scanned, person found or registered, never twice."""
    desk = w.players["tiepdon"]
    scan = parse_qr(w.patient.cccd_qr(date(2023, 5, 4)))
    person = replace(
        person_from_scan(scan),
        commune_code=w.patient.commune_code,
        province_code="51",
        ethnicity=w.patient.ethnic_code,
        phone=w.patient.phone,
    )
    patient, new = await records.find_or_register_patient(desk.repo, person)
    card = person_from_scan(parse_qr(w.patient.bhyt_qr(desk.facility.code)))
    alike = [c for c in await find_candidates(desk.repo, card) if c.patient.id == patient.id]
    again, twice = await records.find_or_register_patient(desk.repo, person)
    if not alike or twice or again.id != patient.id:
        raise RuleViolation("cli.demo-step", "Quét lại mà không nhận ra người bệnh đã có.")
    w.patient_id = patient.id
    seen = "đăng ký mới" if new else "đã có"
    return f"quét CCCD → {seen}; quét thẻ BHYT → cảnh báo trùng, điểm {alike[0].score:.1f}; quét lại → đúng người"


async def admission(w: Ward) -> str:
    """Step: đợt, stay and bed; two cards, the second counts from the middle of the stay."""
    desk, doctor = w.players["tiepdon"], w.players["bacsi"]
    admitted = await records.admit(
        desk.repo,
        records.Admission(
            patient_id=w.patient_id,
            happened=w.at(0),
            khoa=KHOA[0],
            khoa_name=KHOA[1],
            doctor=doctor.staff,
            bed=records.Bed("201", "H001"),
            reason="Sốt cao, ho đờm, khó thở",
            time_of_illness=3,
        ),
    )
    w.encounter, w.ma_lk = admitted.encounter.id, admitted.ma_lk
    today = local_date(w.at(0))
    switch = local(w.at(10))
    for card, first, last, percent, starts in (
        (w.patient.card, date(today.year, 1, 1), switch.date(), 80, w.at(0)),
        ("HN2" + w.patient.card[3:], switch.date(), date(today.year, 12, 31), 100, w.at(10)),
    ):
        await records.add_coverage(
            desk.repo,
            w.encounter,
            records.CoverageInput(
                card=card,
                valid_from=first,
                valid_to=last,
                percent=percent,
                ma_doituong="1.1",
                registered_at=desk.facility.code,
                starts=starts,
            ),
        )
    line = await records.entitlement_line(desk.repo, w.encounter)
    return f"MA_LK {w.ma_lk}, số vào viện {admitted.so_vao_vien}; {len(line)} thẻ nối tiếp trong đợt"


ANSWERS = {
    "ly_do": "Sốt, ho đờm, khó thở",
    "vao_ngay_thu": 3,
    "qua_trinh_benh_ly": "Bệnh khởi phát ba ngày nay: sốt 39 °C, ho đờm vàng, đau ngực phải khi hít sâu; đã uống "
    "thuốc hạ sốt ở nhà, không đỡ.",
    "tien_su_ban_than": "Tăng huyết áp 5 năm, điều trị thường xuyên.",
    "tien_su_gia_dinh": "Chưa ghi nhận bệnh liên quan.",
    "toan_than": "Tỉnh, tiếp xúc tốt; da niêm mạc hồng; hạch ngoại biên không to.",
    "tuan_hoan": "Nhịp tim đều, không có tiếng thổi.",
    "ho_hap": "Rì rào phế nang giảm đáy phổi phải, có ran nổ.",
    "tieu_hoa": "Bụng mềm, không có phản ứng thành bụng.",
    "than_kinh": "Không có dấu thần kinh khu trú.",
    "xet_nghiem_can_lam": "Công thức máu, CRP, X-quang ngực, cấy đờm.",
    "tom_tat_benh_an": "Người bệnh vào viện vì sốt, ho đờm, khó thở ngày thứ ba; hội chứng đông đặc đáy phổi phải.",
    "cd_benh_chinh": {"text": "Viêm phổi, không xác định tác nhân", "code": "J18.9"},
    "cd_vao_khoa": {"text": "Viêm phổi, không xác định tác nhân", "code": "J18.9"},
    "tien_luong": "Dè dặt.",
    "huong_dieu_tri": "Kháng sinh, hạ sốt, bù dịch, theo dõi hô hấp.",
}


async def open_record(w: Ward) -> str:
    """Step: record 01/BV1 opened, typed into drafts, saved as one version."""
    doctor = w.players["bacsi"]
    opened = await records.open_record(doctor.repo, w.encounter, "01/BV1", doctor.staff, w.at(0.5))
    w.record_response = opened.response.id
    answers = await records.defaults(doctor.repo, w.encounter, "01/BV1")
    answers.update(await records.paper_answers(doctor.repo, w.record_response))
    answers.update(ANSWERS)
    await records.save_form(doctor.repo, w.record_response, answers, doctor.staff)
    return f"số bệnh án {opened.so_benh_an}; {len(answers)} mục đã ghi"


async def orders(w: Ward) -> str:
    """Step: laboratory orders; two results come, one culture stays out."""
    doctor, lab = w.players["bacsi"], w.players["kythuat"]
    codes = tuple(item.code for item in lab_items() if item.low is not None)[:3]
    made = await records.order_lab(doctor.repo, w.encounter, records.LabOrder(codes, w.at(1), doctor.staff))
    for number, order in enumerate(made[:2]):
        await records.enter_result(
            lab.repo,
            order.id,
            records.ResultInput(
                Decimal("14.2") + number, w.at(2), lab.staff, taken=w.at(1.2), machine="XN.1.51Z01.01"
            ),
        )
    w.late_order = made[2].id
    series = await records.result_series(doctor.repo, w.patient_id, codes[0])
    return f"{len(made)} chỉ định, 2 kết quả, 1 còn chờ; đồ thị có {len(series)} điểm"


async def care(w: Ward) -> str:
    """Step: vital signs, drug orders and doses, treatment sheet signed entry by entry."""
    doctor, nurse = w.players["bacsi"], w.players["dieuduong"]
    for number in range(4):
        await records.record_vitals(
            nurse.repo,
            w.encounter,
            records.VitalSigns(
                w.at(1 + 2 * number),
                nurse.staff,
                pulse=Decimal(98 - 4 * number),
                temperature=Decimal("39.1") - Decimal("0.5") * number,
                systolic=Decimal(135),
                diastolic=Decimal(85),
                breathing=Decimal(26 - 2 * number),
                spo2=Decimal(94 + number),
                weight=Decimal("58.50"),
            ),
        )
    drug = await records.order_drug(
        doctor.repo,
        w.encounter,
        records.DrugOrder("TH0001", Decimal(1), "viên", "Uống", 3, 2, w.at(1.5), doctor.staff),
    )
    for hours in (2, 8, 14):
        await records.administer(
            nurse.repo, drug.id, records.Administration(w.at(hours), Decimal(1), nurse.staff)
        )
    sheet = await records.open_sheet(doctor.repo, w.encounter, "36/BV2", doctor.staff, w.at(1))
    signing = await doctor.signing("bac_si_ra_y_lenh", w.tsa)
    for hours, text in ((1, "Sốt 39,1 °C, ho đờm vàng, ran nổ đáy phổi phải."), (9, "Giảm sốt, đỡ khó thở.")):
        entry = await records.add_entry(
            doctor.repo,
            sheet.id,
            records.Entry(w.at(hours), doctor.staff, progress=text, orders="Theo y lệnh thuốc."),
        )
        await records.sign_entry(doctor.repo, entry.id, signing, authorize=doctor.authorize)
    await records.end_sheet(doctor.repo, sheet.id, signing, authorize=doctor.authorize)
    return "4 lượt dấu hiệu sinh tồn, 3 liều thuốc, 2 diễn biến ký từng dòng"


async def signatures(w: Ward) -> str:
    """Step: the record's first part signed, withdrawn with a reason, amended, signed again."""
    doctor = w.players["bacsi"]
    answers = await records.defaults(doctor.repo, w.encounter, "01/BV1")
    answers.update(await records.paper_answers(doctor.repo, w.record_response))
    await records.save_form(doctor.repo, w.record_response, answers, doctor.staff)
    sign = await doctor.signing("bac_si_lam_benh_an", w.tsa)
    await records.sign_paper(doctor.repo, w.record_response, sign, authorize=doctor.authorize)
    await records.withdraw_signature(
        doctor.repo, w.record_response, doctor.staff, "Ghi thiếu tiền sử dị ứng", authorize=doctor.authorize
    )
    answers["tien_su_ban_than"] = "Tăng huyết áp 5 năm; không có tiền sử dị ứng thuốc."
    await records.save_form(
        doctor.repo, w.record_response, answers, doctor.staff, reason="Bổ sung tiền sử dị ứng"
    )
    await records.sign_paper(doctor.repo, w.record_response, sign, authorize=doctor.authorize)
    return "ký, rút chữ ký có lý do, sửa thành bản mới, ký lại"


async def transfer(w: Ward) -> str:
    """Step: chuyển khoa, over only when the receiving khoa accepts and gives a bed."""
    doctor, head = w.players["bacsi"], w.players["truongkhoa"]
    task = await records.request_transfer(
        doctor.repo, w.encounter, *NEXT_KHOA, w.at(11), "Theo dõi tim mạch", doctor.staff
    )
    await records.accept_transfer(head.repo, task.id, w.at(12), doctor.staff, records.Bed("305", "H014"))
    chain = await records.stays(doctor.repo, w.encounter)
    return " → ".join(s.khoa_name for s in chain)


async def discharge(w: Ward) -> str:
    """Step: discharge with its outcome; the discharge paper signed twice, sealed and numbered the same day."""
    doctor, leader = w.players["bacsi"], w.players["lanhdao"]
    await records.charge_bed_days(w.players["tiepdon"].repo, w.encounter)
    await records.discharge(
        doctor.repo,
        w.encounter,
        records.Discharge(
            happened=w.at(19),
            outcome="ra-vien",
            doctor=doctor.staff,
            diagnosis="Viêm phổi, không xác định tác nhân",
            icd10="J18.9",
            others=(("I10", "Tăng huyết áp vô căn (nguyên phát)"),),
            result="2",
            treatment="Kháng sinh, hạ sốt, bù dịch",
            advice="Uống thuốc theo đơn, khám lại sau 7 ngày",
        ),
        authorize=doctor.authorize,
    )
    paper = await records.issue_discharge_paper(doctor.repo, w.encounter, author=doctor.staff)
    w.discharge_response = paper.id
    await records.sign_paper(
        doctor.repo, paper.id, await doctor.signing("nguoi_hanh_nghe", w.tsa), authorize=doctor.authorize
    )
    await records.sign_paper(
        leader.repo, paper.id, await leader.signing("dai_dien_don_vi", w.tsa), authorize=leader.authorize
    )
    issued = await records.issue_paper(
        leader.repo, paper.id, seal=await seal_of(leader, w.tsa), authorize=leader.authorize
    )
    return f"giấy ra viện số {issued.number}, hai chữ ký và chữ ký số cơ sở"


async def seal_of(player: Player, tsa: Any) -> records.SignWith:
    """The organisation's seal, used by a leader."""
    from benhan.cli.common import operator_repo
    from benhan.signing import KeyStore

    keys = KeyStore(operator_repo(player.repo.store, player.facility.id))
    return records.SignWith(await keys.seal_signer(player.facility.id), player.staff, "co_so", tsa)


SUMMARY = {
    "tk_qua_trinh": "Vào viện ngày thứ ba của bệnh; sốt, ho đờm; đáp ứng kháng sinh, hết sốt sau một ngày.",
    "tk_can_lam_sang": "Bạch cầu tăng; X-quang: mờ đáy phổi phải.",
    "tk_phuong_phap": "Kháng sinh, hạ sốt, bù dịch.",
    "tk_tinh_trang_ra": "Tỉnh, hết sốt, thở êm.",
    "tk_huong_dieu_tri": "Uống thuốc theo đơn, khám lại sau 7 ngày.",
}


async def complete(w: Ward) -> str:
    """Step: completeness names what is missing; summary written, signed by doctor and head."""
    doctor, head = w.players["bacsi"], w.players["truongkhoa"]
    gaps = await records.completeness(doctor.repo, w.encounter)
    answers = await records.defaults(doctor.repo, w.encounter, "01/BV1")
    answers.update(await records.paper_answers(doctor.repo, w.record_response))
    later = await records.defaults(doctor.repo, w.encounter, "01/BV1")
    answers.update({k: v for k, v in later.items() if v not in (None, "", [])})
    answers.update(SUMMARY)
    await records.save_form(doctor.repo, w.record_response, answers, doctor.staff, reason="Tổng kết bệnh án")
    for player, role in ((doctor, "bac_si_lam_benh_an"), (doctor, "bac_si_dieu_tri"), (head, "truong_khoa")):
        current = await records.paper(player.repo, w.record_response)
        if current.next_role == role:
            await records.sign_paper(
                player.repo, w.record_response, await player.signing(role, w.tsa), authorize=player.authorize
            )
    left = await records.completeness(doctor.repo, w.encounter)
    return f"trước: {len(gaps)} chỗ thiếu; sau tổng kết và ký: {len(left)}" + _names(left)


def _names(gaps: Sequence[records.Gap]) -> str:
    return "" if not gaps else " (" + "; ".join(g.text for g in gaps[:3]) + ")"


async def handover(w: Ward) -> str:
    """Step: completed, submitted, returned with faults, submitted again, received."""
    doctor, khth = w.players["bacsi"], w.players["khth"]
    await records.complete_record(doctor.repo, w.encounter, authorize=doctor.authorize)
    await records.submit_record(doctor.repo, w.encounter, authorize=doctor.authorize)
    await records.return_record(
        khth.repo,
        w.encounter,
        ["Thiếu số tờ phim X-quang"],
        local_date(SYSTEM_CLOCK.now()) + timedelta(days=2),
        authorize=khth.authorize,
    )
    await records.submit_record(doctor.repo, w.encounter, authorize=doctor.authorize)
    got = await records.receive_record(khth.repo, w.encounter, authorize=khth.authorize)
    return f"trả lại một lần, nhận lại; số lưu trữ {got.so_luu_tru}"


async def close(w: Ward) -> str:
    """Step: closed and sealed; a write afterwards is refused."""
    leader, doctor = w.players["lanhdao"], w.players["bacsi"]
    sealed = await records.close_record(
        leader.repo, w.encounter, await seal_of(leader, w.tsa), authorize=leader.authorize
    )
    w.sealed_sha256 = records.blob_of(sealed.data)
    try:
        await records.record_vitals(
            w.players["dieuduong"].repo,
            w.encounter,
            records.VitalSigns(w.at(19.5), w.players["dieuduong"].staff, pulse=Decimal(80)),
        )
    except Exception as refused:
        return f"đóng và niêm phong; ghi thêm bị từ chối: {getattr(refused, 'code', refused)} ({doctor.facility.code})"
    raise RuleViolation("cli.demo-step", "Hồ sơ đã đóng mà vẫn ghi được.")


async def addendum(w: Ward) -> str:
    """Step: the culture comes three weeks later: a signed addendum with its own container."""
    doctor, leader, lab = w.players["bacsi"], w.players["lanhdao"], w.players["kythuat"]
    done = await records.add_addendum(
        doctor.repo,
        w.encounter,
        records.Addendum(
            title="Kết quả cấy đờm",
            text="Kết quả cấy về sau khi đóng hồ sơ.",
            happened=SYSTEM_CLOCK.now(),
            author=doctor.staff,
            reason="Kết quả xét nghiệm về muộn",
            order_id=w.late_order,
            result=records.ResultInput(Decimal("3.4"), SYSTEM_CLOCK.now(), lab.staff),
        ),
        await doctor.signing("bac_si_dieu_tri", w.tsa),
        await seal_of(leader, w.tsa),
        authorize=doctor.authorize,
    )
    w.addendum_sha256 = records.blob_of(done.container.data)
    boxes = await records.containers(doctor.repo, w.encounter)
    if len(boxes) != 2 or records.blob_of(boxes[0].data) != w.sealed_sha256:
        raise RuleViolation("cli.demo-step", "Hộp niêm phong đầu tiên đã bị thay.")
    return "kết quả về muộn thành bản bổ sung có chữ ký; hộp niêm phong đầu còn nguyên"
