"""Claims written from records: one story for each kind of đợt that rules.md tells apart, checked by every shipped rule.

Amounts are worked out here anew from the printed prices, line by line, in exact decimals; sums must agree to the đồng.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest

from benhan import records
from benhan.base.errors import InvalidInput, RuleViolation
from benhan.catalogue import systems
from benhan.gateways.bhyt import (
    build_claim,
    check,
    checkins,
    facts_from_record,
    proposed_slip,
    read_package,
    register_jobs,
    save_slip,
    sign_slip,
    slips,
    withdraw_slip,
    write_package,
)
from benhan.gateways.bhyt.package import Package, Row
from benhan.identity import person_of, update_person
from benhan.jobs import run_once
from benhan.store import Repository

HUNDRED = Decimal(100)
MOTHER = {"sex": "female", "name": "Đinh Thị Mẫu", "cccd": "051190000044", "birth_date": "1998-03-02"}


@dataclass(frozen=True)
class Story:
    """``minutes``: how long the đợt lasts; ``days``: SO_NGAY_DTRI to be found; ``tables``: all tables of its claim."""

    kind: str
    minutes: int
    days: str
    tables: tuple[str, ...]
    icd10: str = "J18.9"
    person: Mapping[str, Any] = field(default_factory=dict)
    card: Mapping[str, Any] = field(default_factory=dict)
    outcome: Mapping[str, Any] = field(default_factory=dict)
    slips: tuple[tuple[str, Mapping[str, str]], ...] = ()
    births: tuple[Mapping[str, Any], ...] = ()
    examinations: int = 1


HIV = {
    "NOI_LAY_MAU_XN": "51Z01", "NOI_XN_KD": "51Z01", "NOI_BDDT_ARV": "51Z01", "NGAYKD_HIV": "20240110",
    "BDDT_ARV": "20240201", "MA_LYDO_DTRI": "1", "LOAI_DTRI_LAO": "0", "SANG_LOC_LAO": "2", "MA_LOAI_BN": "1",
    "GIAI_DOAN_LAM_SANG": "1", "NHOM_DOI_TUONG": "1", "MA_TINH_TRANG_DK": "1", "MA_XU_TRI": "1",
    "MA_PHAC_DO_DIEU_TRI": "TDF + 3TC + DTG",
}  # fmt: skip
LAO = {
    "PHANLOAI_LAO_VITRI": "1", "PHANLOAI_LAO_TS": "1", "PHANLOAI_LAO_HIV": "2", "PHANLOAI_LAO_VK": "1",
    "PHANLOAI_LAO_KT": "1", "LOAI_DTRI_LAO": "2", "NGAYBD_DTRI_LAO": "20261120", "PHACDO_DTRI_LAO": "2",
    "KET_QUA_DTRI_LAO": "1",
}  # fmt: skip
NGHI = {"SO_CT": "NV-01", "SO_SERI": "51Z01-26-0001", "SO_KCB": "KB-01", "MA_BHXH": "5100000031", "DON_VI": "Công ty Mẫu",
        "SO_NGAY_NGHI": "3", "TU_NGAY": "20261120", "DEN_NGAY": "20261122", "MA_TTDV": "000222/QNG-CCHN"}  # fmt: skip
THAI = {"SO_SERI": "51Z01-26-0002", "SO_CT": "DT-01", "SO_NGAY": "7", "DON_VI": "Công ty Mẫu", "TU_NGAY": "20261120",
        "DEN_NGAY": "20261126", "MA_TTDV": "000222/QNG-CCHN"}  # fmt: skip
SINH = {
    "ngaycap_cccd_nnd": "2022-01-01", "noicap_cccd_nnd": "Cục Cảnh sát QLHC về TTXH", "so_con": 2, "lan_sinh": 1,
    "so_con_song": 2, "nguoi_do_de": "HS. Hồ Thị Mẫu", "nguoi_ghi_phieu": "BS. Lê Thị An", "quyen_so": "01",
    "tinh_trang_con": "Khóc to, hồng hào", "matinh_cu_tru": {"code": "51", "text": "Quảng Ngãi"},
    "maxa_cu_tru": {"code": "21028", "text": "Phường Nghĩa Lộ"}, "ma_bhxh_nnd": "5100000031", "sinhcon_phauthuat": True,
    "ngay_ct": "2026-11-20",
}  # fmt: skip
TWINS = tuple(
    {**SINH, "so": f"0000{n}.GCS.51Z01.26", "gioi_tinh_con": str(n), "can_nang_con": str(2400 + n * 100),
     "ngay_sinh_con": f"2026-11-20T09:0{n}:00+07:00"}
    for n in (1, 2)
)  # fmt: skip

STORIES = {
    "outpatient": Story("01", 90, "0", ("XML1", "XML3", "XML4"), examinations=3),
    "inpatient": Story("03", 4 * 1440, "5", ("XML1", "XML3", "XML4", "XML7")),
    "day": Story("04", 480, "1", ("XML1", "XML3", "XML4")),
    "chronic": Story("05", 60, "28", ("XML1", "XML3", "XML4"), icd10="I10"),
    "newborn": Story(
        "03", 3 * 1440, "4", ("XML1", "XML3", "XML4", "XML7"), icd10="P59.9",
        person={"name": "Trẻ Sơ Sinh Mẫu", "birth_date": "2026-11-19", "cccd": "", "status": "newborn"},
        card={"card": "TE1515100000031", "percent": 100, "temporary": True, "ma_doituong": "1.7"},
    ),
    "transfer": Story(
        "03", 1440, "2", ("XML1", "XML3", "XML4", "XML7", "XML13"),
        outcome={"outcome": "chuyen-chuyen-mon", "moved_to": "51Z02", "result": "4"},
    ),
    "birth": Story(
        "03", 3 * 1440, "4", ("XML1", "XML3", "XML4", "XML7", "XML9"), icd10="O30.0", person=MOTHER, births=TWINS
    ),
    "leave": Story("01", 90, "0", ("XML1", "XML3", "XML4", "XML11"), slips=(("XML11", NGHI),)),
    "pregnancy rest": Story(
        "01", 90, "0", ("XML1", "XML3", "XML4", "XML10"), icd10="O20.0", person=MOTHER, slips=(("XML10", THAI),)
    ),
    "tuberculosis": Story("02", 90, "1", ("XML1", "XML3", "XML4", "XML15"), icd10="A15.0", slips=(("XML15", LAO),)),
    "HIV": Story("02", 90, "1", ("XML1", "XML3", "XML4", "XML6"), icd10="B20", slips=(("XML6", HIV),)),
}  # fmt: skip


async def _record(ward: Repository, clock: Any, build: Any, story: Story) -> str:
    """The đợt of a story, from admission to its papers; its id."""
    person = dict(story.person)
    if person.get("status") == "newborn":
        person |= {"mother_id": (await build.a_patient(ward, **MOTHER)).id, "birth_order": 1, "phone": ""}
    patient = await build.a_patient(ward, **person)
    inpatient = story.kind == "03"
    more: dict[str, Any] = {} if inpatient else {"bed": None}
    admitted = await build.an_admission(ward, patient, ma_loai_kcb=story.kind, **more)
    encounter = str(admitted.encounter.id)
    await build.a_card(ward, encounter, **story.card)
    if inpatient:
        await records.open_record(ward, encounter, "01/BV1", build.DOCTOR, ward.clock.now())
    await records.record_vitals(ward, encounter, build.vitals(ward.clock.now()))
    for _ in range(story.examinations):
        clock.move(minutes=5)
        item = records.ChargeInput(
            systems.SERVICE, "KHAM.NOI", "Khám Nội", Decimal(1), ward.clock.now(), None
        )
        await records.charge(ward, encounter, item)
    (order,) = await records.order_lab(
        ward, encounter, records.LabOrder(("LAB001",), ward.clock.now(), build.DOCTOR)
    )
    if story.kind == "05":
        drug = records.DrugOrder("TH0001", Decimal(1), "viên", "Uống", 1, 28, ward.clock.now(), build.DOCTOR)
        await records.order_drug(ward, encounter, drug)
    clock.move(minutes=30)
    await records.enter_result(
        ward, order.id, records.ResultInput(Decimal("4.50"), ward.clock.now(), build.LAB)
    )
    clock.move(minutes=max(0, story.minutes - 90))
    end = {"icd10": story.icd10, "diagnosis": "Chẩn đoán mẫu", "others": (), **story.outcome}
    await records.discharge(
        ward, encounter, build.an_end(ward.clock.now(), **end), authorize=records.everything_allowed
    )
    if story.kind == "03":
        await _discharge_paper(ward, build, encounter)
    if "XML13" in story.tables:
        await _referral(ward, build, encounter)
    for table, own in story.slips:
        draft = await proposed_slip(ward, encounter, table, build.DOCTOR)
        slip = await save_slip(ward, encounter, table, {**draft, **own}, build.DOCTOR, complete=True)
        doctor = build.sign_as(build.DOCTOR, "")
        await sign_slip(ward, encounter, slip.id, doctor, authorize=records.everything_allowed)
    for said in story.births:
        await _birth(ward, build, encounter, said)
    return encounter


async def _birth(ward: Repository, build: Any, encounter: str, said: Mapping[str, Any]) -> None:
    paper = await records.open_paper(ward, encounter, "TT22/2025-M01", build.DOCTOR, ward.clock.now())
    held = await records.paper_answers(ward, paper.id)
    await records.save_form(ward, paper.id, {**held, **said}, build.DOCTOR)
    for staff, role in ((build.NURSE, "nguoi_do_de"), (build.DIRECTOR, "dai_dien_co_so")):
        await records.sign_paper(
            ward, paper.id, build.sign_as(staff, role), authorize=records.everything_allowed
        )


async def _discharge_paper(ward: Repository, build: Any, encounter: str) -> None:
    paper = await records.issue_discharge_paper(ward, encounter, author=build.DOCTOR)
    held = await records.paper_answers(ward, paper.id)
    await records.save_form(
        ward, paper.id, {"so_dinh_danh": "Chưa có", **held, "pp_dieutri": "Nội khoa"}, build.DOCTOR
    )
    for staff, role in ((build.DOCTOR, "nguoi_hanh_nghe"), (build.DIRECTOR, "dai_dien_don_vi")):
        await records.sign_paper(
            ward, paper.id, build.sign_as(staff, role), authorize=records.everything_allowed
        )


async def _referral(ward: Repository, build: Any, encounter: str) -> None:
    paper = await records.open_paper(ward, encounter, "TT01/2025-PL6", build.DOCTOR, ward.clock.now())
    known = await records.defaults(ward, encounter, "TT01/2025-PL6")
    said = {
        "so_hoso": "HSCT-01", "so_chuyentuyen": "01/2026", "ma_noi_den": {"code": "51Z02", "text": "Cơ sở B"},
        "dau_hieu_ls": "Khó thở.", "qt_benhly": "Đáp ứng kém.", "tomtat_kq": "Bạch cầu tăng.",
        "pp_dieutri": "Kháng sinh.", "tinh_trang_luc_chuyen": "Tỉnh.", "ma_lydo_ct": "1", "huong_dieu_tri": "Chuyên khoa.",
        "phuongtien_vc": "Xe cứu thương", "chuyen_luc": "2026-11-21T08:00:00+07:00",
    }  # fmt: skip
    held = await records.paper_answers(ward, paper.id)
    await records.save_form(ward, paper.id, {**known, **held, **said}, build.DOCTOR)
    for staff, role in ((build.DOCTOR, "bac_si"), (build.DIRECTOR, "nguoi_chuyen")):
        await records.sign_paper(
            ward, paper.id, build.sign_as(staff, role), authorize=records.everything_allowed
        )


def _cents(value: Decimal) -> Decimal:
    return value.quantize(Decimal("0.01"), rounding=ROUND_HALF_UP)


def _line_is_exact(row: Row) -> None:
    """THANH_TIEN and shares of one line, worked out anew from rules.md §4."""
    n = {
        tag: Decimal(text)
        for tag in row.values
        if (text := row.get(tag)) and text.replace(".", "", 1).isdigit()
    }
    if row.table == "XML2":
        bv, bh = n["SO_LUONG"] * n["DON_GIA"], n["SO_LUONG"] * n["DON_GIA"] * n["TYLE_TT_BH"] / HUNDRED
    else:
        part = n["SO_LUONG"] * n["TYLE_TT_DV"] / HUNDRED
        bv, bh = part * n["DON_GIA_BV"], part * n["DON_GIA_BH"] * n["TYLE_TT_BH"] / HUNDRED
    assert (n["THANH_TIEN_BV"], n["THANH_TIEN_BH"]) == (_cents(bv), _cents(bh))
    assert n["T_BHTT"] == _cents(n["THANH_TIEN_BH"] * n["MUC_HUONG"] / HUNDRED)
    assert n["T_BNCCT"] == n["THANH_TIEN_BH"] - n["T_BHTT"]
    assert n["THANH_TIEN_BV"] == n["T_BNTT"] + n["T_BNCCT"] + n["T_BHTT"] + n["T_NGUONKHAC"]


def _sums_are_exact(package: Package) -> None:
    """Totals of XML1 against the lines, rules.md §5."""
    lines = [*package.table("XML2"), *package.table("XML3")]
    for row in lines:
        _line_is_exact(row)
    (head,) = package.table("XML1")
    for total, tag in (("T_TONGCHI_BV", "THANH_TIEN_BV"), ("T_TONGCHI_BH", "THANH_TIEN_BH"), ("T_BNTT", "T_BNTT"),
                       ("T_BNCCT", "T_BNCCT"), ("T_BHTT", "T_BHTT"), ("T_NGUONKHAC", "T_NGUONKHAC")):  # fmt: skip
        assert Decimal(head.get(total)) == sum((Decimal(r.get(tag)) for r in lines), Decimal(0)), total
    assert Decimal(head.get("T_BHTT")) == Decimal(head.get("T_TONGCHI_BH")) - Decimal(head.get("T_BNCCT"))


@pytest.mark.parametrize("name", STORIES)
async def test_a_story_becomes_a_claim_without_faults(
    open_ward: Any, build: Any, clock: Any, name: str
) -> None:
    ward, story = await open_ward(None), STORIES[name]
    encounter = await _record(ward, clock, build, story)
    package = build_claim(await facts_from_record(ward, encounter))
    assert tuple(package.rows) == story.tables
    assert [f.sentence() for f in check(package) if f.severity == "error"] == []
    (head,) = package.table("XML1")
    assert head.get("SO_NGAY_DTRI") == story.days
    _sums_are_exact(package)
    assert read_package(write_package(package)).rows == package.rows
    for table, own in story.slips:
        assert len(package.table(table)) == sum(t == table for t, _ in story.slips)
        assert any(all(row.get(tag) == text for tag, text in own.items()) for row in package.table(table)), (
            table
        )


async def test_repeated_examinations_and_the_small_bill(open_ward: Any, build: Any, clock: Any) -> None:
    """Three examinations at 50.000 đ: 100, 30, 30 %; below 15 % of the reference salary the fund pays all of it."""
    ward = await open_ward(None)
    encounter = await _record(ward, clock, build, STORIES["outpatient"])
    package = build_claim(await facts_from_record(ward, encounter))
    visits = [r for r in package.table("XML3") if r.get("MA_NHOM") == "13"]
    assert [r.get("TYLE_TT_DV") for r in visits] == ["100", "30", "30"]
    assert [r.get("THANH_TIEN_BV") for r in visits] == ["50000.00", "15000.00", "15000.00"]
    (head,) = package.table("XML1")
    assert Decimal(head.get("T_TONGCHI_BV")) < Decimal(351000)
    assert (head.get("T_BNCCT"), {r.get("MUC_HUONG") for r in visits}) == ("0.00", {"100"})
    more = records.ChargeInput(
        systems.SERVICE, "GIUONG.HSCC", "Ngày giường", Decimal(1), ward.clock.now(), None, khoa="K01"
    )
    await records.charge(ward, encounter, more)
    (head,) = build_claim(await facts_from_record(ward, encounter)).table("XML1")
    assert Decimal(head.get("T_BNCCT")) > 0, "a dear đợt shares its costs"


async def test_a_shared_bed_is_told_by_its_rate(open_ward: Any, build: Any, clock: Any) -> None:
    ward = await open_ward(None)
    admitted = await build.an_admission(ward, bed=records.Bed("101", "H001", shared=True))
    encounter = admitted.encounter.id
    await build.a_card(ward, encounter)
    clock.move(days=4)
    await records.discharge(
        ward, encounter, build.an_end(ward.clock.now()), authorize=records.everything_allowed
    )
    package = build_claim(await facts_from_record(ward, encounter))
    (bed,) = [r for r in package.table("XML3") if r.get("MA_NHOM") in ("14", "15")]
    assert (bed.get("SO_LUONG"), bed.get("TYLE_TT_DV"), bed.get("MA_GIUONG")) == ("4.000", "50", "H001")
    _sums_are_exact(package)


async def test_a_card_that_changes_mid_stay_divides_the_lines(open_ward: Any, build: Any, clock: Any) -> None:
    """80 % until the card ends, 95 % from the next one; both cards in XML1 in order; a day without a card is one's own."""
    ward = await open_ward(None)
    admitted = await build.an_admission(ward)
    encounter, start = admitted.encounter.id, ward.clock.now()
    await build.a_card(ward, encounter, valid_to=date(2026, 11, 21))
    later = datetime(2026, 11, 23, 1, tzinfo=UTC)
    await build.a_card(
        ward, encounter, card="HT3515100000002", percent=95, valid_from=date(2026, 11, 23), starts=later
    )
    for day in range(4):
        at = start + timedelta(days=day, hours=1)
        item = records.ChargeInput(
            systems.SERVICE, "GIUONG.HSCC", "Ngày giường", Decimal(1), at, f"Ngay/{day}"
        )
        clock.move(hours=24) if day else clock.move(hours=1)
        await records.charge(ward, encounter, item)
    await records.discharge(
        ward, encounter, build.an_end(ward.clock.now()), authorize=records.everything_allowed
    )
    package = build_claim(await facts_from_record(ward, encounter))
    (head,) = package.table("XML1")
    assert head.get("MA_THE_BHYT") == "GD4515100000001;HT3515100000002"
    assert (head.get("GT_THE_TU"), head.get("GT_THE_DEN")) == ("20260101;20261123", "20261121;20261231")
    days = [r for r in package.table("XML3") if r.get("MA_DICH_VU") == "GIUONG.HSCC"]
    assert [(r.get("PHAM_VI"), r.get("MUC_HUONG")) for r in days] == [
        ("1", "80"),
        ("1", "80"),
        ("2", "0"),
        ("1", "95"),
    ]
    _sums_are_exact(package)


async def test_only_a_signed_slip_travels(open_ward: Any, build: Any, clock: Any) -> None:
    """A change takes the slip out of the claim until it is signed again; who has no licence, or left gaps, cannot sign."""
    ward = await open_ward(None)
    encounter = await _record(ward, clock, build, STORIES["leave"])
    (slip,) = await slips(ward, encounter)
    assert slip.by == build.DOCTOR.name
    await save_slip(ward, encounter, "XML11", {**slip.values, "SO_CT": ""}, build.DOCTOR, slip_id=slip.id)
    assert build_claim(await facts_from_record(ward, encounter)).table("XML11") == ()
    doctor, allowed = build.sign_as(build.DOCTOR, ""), records.everything_allowed
    with pytest.raises(RuleViolation, match="đủ"):
        await sign_slip(ward, encounter, slip.id, doctor, authorize=allowed)
    await save_slip(ward, encounter, "XML11", slip.values, build.DOCTOR, slip_id=slip.id, complete=True)
    assert build_claim(await facts_from_record(ward, encounter)).table("XML11") == ()
    clerk = build.sign_as(records.Staff("Practitioner/vp", "Văn Phòng"), "")
    with pytest.raises(RuleViolation, match="giấy phép"):
        await sign_slip(ward, encounter, slip.id, clerk, authorize=allowed)
    await sign_slip(ward, encounter, slip.id, doctor, authorize=allowed)
    assert len(build_claim(await facts_from_record(ward, encounter)).table("XML11")) == 1
    with pytest.raises(RuleViolation):
        await save_slip(ward, encounter, "XML11", slip.values, build.DOCTOR)
    bad = {**slip.values, "TU_NGAY": "hôm nay", "SO_CT": "", "MA_DINH_CHI_THAI": "7"}
    with pytest.raises(InvalidInput) as wrong:
        await save_slip(ward, encounter, "XML11", bad, build.DOCTOR, slip_id=slip.id, complete=True)
    assert {i.expression for i in wrong.value.issues} == {"TU_NGAY", "SO_CT", "MA_DINH_CHI_THAI"}
    await withdraw_slip(ward, encounter, slip.id)
    assert await slips(ward, encounter) == []


async def test_the_first_charge_checks_in_and_the_khoa_after_admission_once_more(
    open_ward: Any, portal: tuple[str, Any], build: Any, clock: Any
) -> None:
    """XML0 goes with the first line and with the first in the second khoa, never for an emergency."""
    ward = await open_ward(portal[0])
    register_jobs()
    admitted = await build.an_admission(ward)
    await build.a_card(ward, admitted.encounter.id)
    for number, khoa in enumerate(("KKB", "KKB", "K01", "K01", "K02")):
        clock.move(minutes=5)
        item = records.ChargeInput(
            systems.SERVICE, "KHAM.NOI", "Khám Nội", Decimal(1), ward.clock.now(), f"Kham/{number}", khoa=khoa
        )
        await records.charge(ward, admitted.encounter.id, item)
    await run_once(ward.store)
    told = await checkins(ward, admitted.ma_lk)
    assert [(c.khoa, c.code) for c in told] == [("K01", "200"), ("KKB", "200")]
    assert list(portal[1].received) == [f"checkin:{admitted.ma_lk}"]
    urgent = await build.an_admission(
        ward, await build.a_patient(ward, cccd="051075000099", phone="0905000099")
    )
    await build.a_card(ward, urgent.encounter.id, card="GD4515100000099", ma_doituong="2")
    await records.charge(ward, urgent.encounter.id, item)
    await run_once(ward.store)
    assert await checkins(ward, urgent.ma_lk) == []


async def test_the_birth_notification_becomes_xml9_when_it_is_signed(
    open_ward: Any, build: Any, clock: Any
) -> None:
    """A row for each child in the order of birth, the paper's own words; a paper without the head's signature stays here."""
    ward = await open_ward(None)
    encounter = await _record(ward, clock, build, STORIES["birth"])
    unsigned = await records.open_paper(ward, encounter, "TT22/2025-M01", build.DOCTOR, ward.clock.now())
    held = await records.paper_answers(ward, unsigned.id)
    await records.save_form(ward, unsigned.id, {**held, **TWINS[1], "so": "00003.GCS.51Z01.26"}, build.DOCTOR)
    package = build_claim(await facts_from_record(ward, encounter))
    first, second = package.table("XML9")
    tags = (
        "NGAY_SINH_CON",
        "CAN_NANG_CON",
        "GIOI_TINH_CON",
        "SO",
        "MA_TTDV",
        "NGAYCAP_CCCD_NND",
        "MA_QUOCTICH",
        "GHI_CHU",
    )
    assert [first.get(t) for t in tags] == [
        "202611200901", "2500", "1", "00001.GCS.51Z01.26", build.DIRECTOR.licence, "20220101", "000",
        "Sinh con phải phẫu thuật",
    ]  # fmt: skip
    assert second.get("NGAY_SINH_CON") == "202611200902"
    assert package.table("XML1")[0].get("CAN_NANG_CON") == "2500;2600"
    assert [f.sentence() for f in check(package) if f.table == "XML9"] == []


async def test_a_line_that_another_source_pays_asks_nothing_of_the_fund(
    open_ward: Any, build: Any, clock: Any
) -> None:
    """Foreign aid pays one line, the facility waives another, a third is consumed within a price: sums stay exact."""
    ward = await open_ward(None)
    encounter = (await build.an_admission(ward)).encounter.id
    await build.a_card(ward, encounter)
    made = []
    for number in range(4):
        clock.move(minutes=5)
        item = records.ChargeInput(
            systems.SERVICE, "KHAM.NOI", "Khám Nội", Decimal(1), ward.clock.now(), f"Kham/{number}"
        )
        made.append(await records.charge(ward, encounter, item))
    await records.change_payer(ward, made[1].id, "nguon-khac", "Dự án trả", other="vtnn")
    await records.change_payer(ward, made[2].id, "mien-giam", "Quỹ người nghèo của cơ sở")
    await records.change_payer(ward, made[3].id, "hao-phi", "Đã trong giá dịch vụ")
    package = build_claim(await facts_from_record(ward, encounter, provisional=True))
    rows = sorted(package.table("XML3"), key=lambda r: r.get("NGAY_YL"))
    tags = (
        "THANH_TIEN_BV",
        "T_NGUONKHAC_VTNN",
        "T_NGUONKHAC_CL",
        "T_NGUONKHAC",
        "T_BNTT",
        "T_BNCCT",
        "T_BHTT",
    )
    assert [tuple(Decimal(r.get(t)) for t in tags) for r in rows] == [
        (50000, 0, 0, 0, 0, 0, 50000),  # below 15 % of the reference salary
        (15000, 15000, 0, 15000, 0, 0, 0),
        (15000, 0, 15000, 15000, 0, 0, 0),
    ]
    _sums_are_exact(package)
    head = package.table("XML1")[0]
    assert (Decimal(head.get("T_NGUONKHAC")), Decimal(head.get("T_BHTT"))) == (30000, 50000)


async def test_a_newborn_is_told_with_its_time_of_birth_and_its_mother(
    open_ward: Any, build: Any, clock: Any
) -> None:
    """Time of birth to the minute; the mother's name until the birth is registered; the temporary card of the province."""
    ward = await open_ward(None)
    story = replace(
        STORIES["newborn"], person={**STORIES["newborn"].person, "birth_time": "21:47"},
        card={**STORIES["newborn"].card, "registered_at": None},
    )  # fmt: skip
    encounter = await _record(ward, clock, build, story)
    package = build_claim(await facts_from_record(ward, encounter))
    (head,) = package.table("XML1")
    assert head.get("NGAY_SINH") == "202611192147"
    assert (head.get("HO_TEN"), head.get("SO_CCCD")) == (MOTHER["name"], "")
    assert (head.get("MA_THE_BHYT"), head.get("MA_DKBD")) == ("TE1515100000031", "51000")
    (paper,) = package.table("XML7")
    assert (paper.get("MA_THE_TAM"), paper.get("HO_TEN_ME")) == ("TE1515100000031", MOTHER["name"])
    assert "X1-SO-SINH" not in {f.rule for f in check(package)}
    child = (await records.case(ward, encounter)).patient_id
    known = person_of((await ward.read("Patient", child)).data)
    assert known.birth_time == "21:47"
    await update_person(ward, child, replace(known, name="Nguyễn Mẫu Khai Sinh", status="verified"))
    (head,) = build_claim(await facts_from_record(ward, encounter)).table("XML1")
    assert (head.get("HO_TEN"), head.get("NGAY_SINH")) == ("Nguyễn Mẫu Khai Sinh", "202611192147")


async def test_who_came_with_a_referral_says_from_where(open_ward: Any, build: Any, clock: Any) -> None:
    """Code of the place and number of the slip in XML1; without the number, and at the wrong place, the officer is warned."""
    ward = await open_ward(None)
    admitted = await build.an_admission(
        ward, referred_from="51Z02 Bệnh viện Sản - Nhi", referral_no="12/2026"
    )
    await build.a_card(ward, admitted.encounter.id, ma_doituong="1.3", registered_at="51Z12")
    package = build_claim(await facts_from_record(ward, admitted.encounter.id, provisional=True))
    (head,) = package.table("XML1")
    assert (head.get("MA_NOI_DI"), head.get("GIAY_CHUYEN_TUYEN")) == ("51Z02", "12/2026")
    assert "X1-CHUYEN-DEN" not in {f.rule for f in check(package)}
    other = await build.an_admission(
        ward, await build.a_patient(ward, cccd="051075000077", phone="0905000077")
    )
    await build.a_card(ward, other.encounter.id, card="GD4515100000077", registered_at="51Z12")
    faults = check(build_claim(await facts_from_record(ward, other.encounter.id, provisional=True)))
    assert "X1-DUNG-NOI" in {f.rule for f in faults}
