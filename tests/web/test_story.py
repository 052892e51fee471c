"""The story's steps 1–5 through the pages, as the people of the ward do them, without scripts."""

from __future__ import annotations

import re
from typing import Any

from benhan.catalogue import communes

CCCD_QR = "051090001234|212345678|Phạm Văn Kiểm Thử|14031990|Nam|Thôn 2, Xã Thử Nghiệm, Quảng Ngãi|04052023"
CARD = "DN4512345678901"
COMMUNE = next(c.code for c in communes("51"))


async def admitted(as_person: Any, house: Any) -> tuple[str, str]:
    """A person scanned, registered and admitted at the desk; ids of patient and đợt."""
    desk = await as_person("tiepdon")
    await desk.see("/tiep-don")
    text = await desk.press("/tiep-don/quet", quet=CCCD_QR)
    assert "Phạm Văn Kiểm Thử" in text
    await desk.press(
        "/tiep-don/dang-ky", name="Phạm Văn Kiểm Thử", birth_date="14/03/1990", sex="male", cccd="051090001234",
        address="Thôn 2", commune_code=COMMUNE, phone="0905000111", ethnicity="01",
    )  # fmt: skip
    patient = desk.where().rsplit("/", 1)[-1]
    now = re.search(r'name="happened"[^>]*value="([^"]+)"', desk.last.text)
    assert now
    await desk.press(
        f"/tiep-don/nhap-vien/{patient}", happened=now[1], kind="03", khoa="K03", room="201", bed="H001",
        doctor=house.people["bacsi"].reference, reason="Sốt, ho đờm", card=CARD, valid_from="01/01/2026",
        valid_to="31/12/2026", percent="80", ma_doituong="1.1", direct_from="2", referred_by="2",
    )  # fmt: skip
    return patient, desk.where().split("/")[2]


async def test_person_goes_from_card_to_bed(as_person: Any, house: Any) -> None:
    """Reception scans, registers and admits; the ward finds the person on its list."""
    patient, encounter = await admitted(as_person, house)
    doctor = await as_person("bacsi")
    text = await doctor.see("/nguoi-benh")
    assert "PHẠM VĂN KIỂM THỬ" in text
    assert f"/dot/{encounter}" in text
    assert "H001" in text
    text = await doctor.see(f"/nguoi-benh/{patient}")
    assert "14/03/1990" in text
    assert "Dị ứng: chưa ghi nhận" in text


def field(html: str, name: str) -> str:
    """Value that stands in an input."""
    found = re.search(rf'name="{name}"[^>]*value="([^"]*)"', html)
    assert found, name
    return found[1]


ANSWERS = {
    "ly_do": "Sốt, ho đờm, khó thở",
    "vao_ngay_thu": "3",
    "qua_trinh_benh_ly": "Bệnh khởi phát ba ngày nay: sốt 39 °C, ho đờm vàng.",
    "tien_su_ban_than": "Tăng huyết áp 5 năm.",
    "toan_than": "Tỉnh, tiếp xúc tốt.",
    "ho_hap": "Ran nổ đáy phổi phải.",
    "tom_tat_benh_an": "Hội chứng đông đặc đáy phổi phải.",
    "cd_benh_chinh": "Viêm phổi, không xác định tác nhân",
    "cd_benh_chinh~code": "J18.9",
    "cd_vao_khoa": "Viêm phổi, không xác định tác nhân",
    "cd_vao_khoa~code": "J18.9",
    "tien_luong": "Dè dặt.",
    "huong_dieu_tri": "Kháng sinh, hạ sốt.",
}
SUMMARY = {
    "tk_qua_trinh": "Vào viện ngày thứ ba của bệnh; đáp ứng kháng sinh.",
    "tk_can_lam_sang": "Bạch cầu tăng.",
    "tk_phuong_phap": "Kháng sinh, hạ sốt.",
    "tk_tinh_trang_ra": "Tỉnh, hết sốt.",
    "tk_huong_dieu_tri": "Uống thuốc theo đơn, khám lại sau 7 ngày.",
}


def fields_of(html: str) -> dict[str, str]:
    """Every field a browser would post of the paper's form."""
    from html import unescape

    form = html[html.index('id="giay"') : html.index("</form>", html.index('id="giay"'))]
    found: dict[str, str] = {}
    for tag in re.findall(r"<input[^>]*>", form):
        name, kind = re.search(r'name="([^"]+)"', tag), re.search(r'type="([^"]+)"', tag)
        value = re.search(r'value="([^"]*)"', tag)
        if not name or (kind and kind[1] in ("radio", "checkbox") and " checked" not in tag):
            continue
        found[unescape(name[1])] = unescape(value[1]) if value else ""
    for name, text in re.findall(r'(?s)<textarea[^>]*name="([^"]+)"[^>]*>\n?(.*?)</textarea>', form):
        found[unescape(name)] = unescape(text)
    return {k: v for k, v in found.items() if k not in ("csrf", "tiep")}


async def test_record_is_written_signed_and_closed(as_person: Any, house: Any) -> None:
    """From the opened record to the sealed file and a late addendum, by the pages alone."""
    patient, encounter = await admitted(as_person, house)
    doctor, nurse, lab = await as_person("bacsi"), await as_person("dieuduong"), await as_person("kythuat")
    base = f"/dot/{encounter}"
    await doctor.see(f"{base}/benh-an")
    await doctor.press(f"{base}/benh-an", form="01/BV1")
    paper = doctor.where().rsplit("/", 1)[-1]
    html = doctor.last.text
    await doctor.press(f"/giay/{paper}", **{**fields_of(html), **ANSWERS})
    assert "Đã lưu." in doctor.last.text
    assert "Ran nổ đáy phổi phải." in doctor.last.text

    await doctor.see(f"{base}/xet-nghiem")
    await doctor.press(
        f"{base}/xet-nghiem", codes=["LAB001", "LAB002"], happened=field(doctor.last.text, "happened")
    )
    text = await lab.see(f"{base}/xet-nghiem")
    order = re.search(rf"{base}/xet-nghiem/([^/]+)/ket-qua", text)
    assert order
    text = await lab.press(
        f"{base}/xet-nghiem/{order[1]}/ket-qua", value="3,2", performed=field(text, "performed")
    )
    assert "▼" in text or "▲" in text
    await doctor.see(f"/nguoi-benh/{patient}/xet-nghiem/LAB001")

    await nurse.see(f"{base}/sinh-hieu")
    await nurse.press(
        f"{base}/sinh-hieu", happened=field(nurse.last.text, "happened"), pulse="98", temperature="39,1",
        systolic="135", diastolic="85", breathing="24", spo2="94",
    )  # fmt: skip
    assert "39,1" in nurse.last.text
    await nurse.press(f"{base}/sinh-hieu", 400, happened=field(nurse.last.text, "happened"), pulse="900")
    assert "Mạch phải từ" in nurse.last.text

    await doctor.see(f"{base}/thuoc")
    await doctor.press(
        f"{base}/thuoc", drug="Paracetamol", drug_code="TH0001", dose="1", unit="viên", per_day="3", days="2",
        happened=field(doctor.last.text, "happened"),
    )  # fmt: skip
    text = await nurse.see(f"{base}/thuoc")
    dose = re.search(rf"{base}/thuoc/([^/]+)/dung", text)
    assert dose
    await nurse.press(f"{base}/thuoc/{dose[1]}/dung", happened=field(text, "happened"), quantity="1")
    assert "✓" in nurse.last.text

    await doctor.see(f"{base}/to-dieu-tri")
    await doctor.press(f"{base}/to-dieu-tri")
    sheet = doctor.where().rsplit("/", 1)[-1]
    await doctor.press(
        f"/to/{sheet}", happened=field(doctor.last.text, "happened"), progress="Giảm sốt.", orders="Tiếp tục.",
        do="sign", pin="246810",
    )  # fmt: skip
    assert "Nguyễn Văn Thử" in doctor.last.text
    await doctor.press(
        f"/to/{sheet}", happened=field(doctor.last.text, "happened"), progress="Đỡ ho.", do="sign"
    )
    assert doctor.last.text.count("chưa ký") == 0
    await doctor.press(f"/to/{sheet}/ket-thuc", pin="246810")

    await doctor.see(f"{base}/ra-vien")
    await doctor.press(
        f"{base}/ra-vien", happened=field(doctor.last.text, "happened"), outcome="ra-vien", result="2",
        diagnosis="Viêm phổi, không xác định tác nhân", icd10="J18.9", others="I10 Tăng huyết áp",
        treatment="Kháng sinh", advice="Khám lại sau 7 ngày", paper="1",
    )  # fmt: skip
    leaving = re.search(r'href="/giay/([^"/]+)/ky"', doctor.last.text)
    assert leaving
    await sign(doctor, leaving[1], "nguoi_hanh_nghe")
    leader = await as_person("lanhdao")
    await sign(leader, leaving[1], "dai_dien_don_vi")
    await leader.see(f"/giay/{leaving[1]}/ky")
    await leader.press(f"/giay/{leaving[1]}/cap")
    assert "đã cấp" in leader.last.text

    html = await doctor.see(f"/giay/{paper}")
    await doctor.press(f"/giay/{paper}", **{**fields_of(html), **SUMMARY})
    await sign(doctor, paper, "bac_si_lam_benh_an")
    await sign(doctor, paper, "bac_si_dieu_tri")
    await sign(await as_person("truongkhoa"), paper, "truong_khoa")
    text = await doctor.see(f"{base}/kiem-tra")
    assert "đủ để tổng kết" in text, text
    await doctor.press(f"{base}/kiem-tra", event="complete")
    await doctor.press(f"{base}/kiem-tra", event="submit")
    khth = await as_person("khth")
    await khth.see(f"{base}/kiem-tra")
    await khth.press(f"{base}/kiem-tra", event="return", reason="Thiếu số tờ phim", deadline="30/12/2099")
    await doctor.see(f"{base}/kiem-tra")
    await doctor.press(f"{base}/kiem-tra", event="submit")
    await khth.see(f"{base}/kiem-tra")
    await khth.press(f"{base}/kiem-tra", event="receive")
    await leader.see(f"{base}/kiem-tra")
    await leader.press(f"{base}/kiem-tra", 403, event="close", pin="000000")
    await leader.press(f"{base}/kiem-tra", event="close", pin="246810")
    assert "Đã đóng" in leader.last.text

    text = await doctor.see(f"{base}/ho-so")
    boxes = re.findall(r'href="/tai-lieu/([^"]+)"', text)
    assert len(boxes) >= 3
    await nurse.see(f"{base}/sinh-hieu")
    await doctor.press(
        f"{base}/bo-sung", title="Kết quả cấy đờm", text="Cấy về muộn.", reason="Kết quả về muộn",
        happened=field(doctor.last.text, "happened"), pin="246810",
    )  # fmt: skip
    assert doctor.last.text.count("ba-card") > 1
    quality = await as_person("lanhdao")
    text = await quality.see(f"/nguoi-benh/{patient}/ai-da-xem")
    assert "Nguyễn Văn Thử" in text


async def sign(browser: Any, paper: str, role: str) -> None:
    """Sign a paper by the PIN page, in a role."""
    html = await browser.see(f"/giay/{paper}/ky")
    await browser.press(f"/giay/{paper}/ky", version=field(html, "version"), role=role, pin="246810")
    assert "Đã ký." in browser.last.text
