"""Invented answers for the three first forms, and ways to look at what is printed."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from benhan.base.clock import VIETNAM
from benhan.forms import (
    Answers,
    Form,
    PrintContext,
    PrintedEntry,
    PrintedSignature,
    compute,
    get,
)

AT = datetime(2026, 3, 20, 9, 30, tzinfo=VIETNAM)
DAY = date(2026, 3, 20)
NAME = "NGUYỄN THỊ THU HUYỀN TRÂN CÔNG TẰNG TÔN NỮ"
HOSPITAL = "Bệnh viện Đa khoa huyện Tân Hòa"
PNEUMONIA = {"code": "J18.9", "text": "Viêm phổi, không xác định"}
OTHERS = [
    {"code": "I10", "text": "Tăng huyết áp vô căn (nguyên phát)"},
    {"code": "E11.9", "text": "Đái tháo đường không phụ thuộc insulin, chưa có biến chứng"},
]


@pytest.fixture(scope="session")
def s() -> ModuleType:
    """This module: the builders below."""
    return sys.modules[__name__]


def noi_khoa() -> Form:
    return get("01/BV1", DAY)


def treatment_sheet() -> Form:
    return get("36/BV2", DAY)


def discharge_paper() -> Form:
    return get("TT25/2025-M02", DAY)


def record_answers(**changed: Any) -> Answers:
    """A complete 01/BV1 of an invented woman with pneumonia; a value None takes the answer away."""
    out: Answers = {
        "so_y_te": "SỞ Y TẾ TỈNH AN BÌNH",
        "benh_vien": HOSPITAL.upper(),
        "khoa": {"code": "K03", "text": "Khoa Nội tổng hợp"},
        "buong": "H203",
        "giuong": "H012",
        "so_luu_tru": "26.004512",
        "ma_y_te": "99/001/26/004512",
        "so_vao_vien": "26-003217",
        "ho_ten": NAME,
        "ngay_sinh": "1958-06-21",
        "gioi_tinh": "2",
        "nghe_nghiep": {"code": "00000", "text": "Hưu trí"},
        "dan_toc": {"code": "01", "text": "Kinh"},
        "quoc_tich": {"code": "000", "text": "Việt Nam"},
        "dia_chi_so_nha": "27/4B",
        "dia_chi_thon": "Khu phố 5, đường Nguyễn Trãi",
        "dia_chi_xa": {"code": "99001", "text": "Phường Tân Hòa"},
        "dia_chi_tinh": {"code": "99", "text": "Tỉnh An Bình"},
        "doi_tuong": "1",
        "bhyt_den_ngay": "2026-12-31",
        "so_the_bhyt": "HT3990000000001",
        "nguoi_nha_ho_ten": "Trần Văn Bình (con trai)",
        "nguoi_nha_dia_chi": "27/4B đường Nguyễn Trãi",
        "nguoi_nha_dien_thoai": "0900000001",
        "so_dinh_danh": "099158000001",
        "vao_vien": "2026-03-14T08:05:00+07:00",
        "truc_tiep_vao": "2",
        "noi_gioi_thieu": "2",
        "vao_vien_lan_thu": 1,
        "vao_khoa.khoa": {"code": "K03", "text": "Nội tổng hợp"},
        "vao_khoa.luc": "2026-03-14T09:10:00+07:00",
        "vao_khoa.so_ngay": 4,
        "chuyen_khoa": [
            {
                "khoa": {"code": "K07", "text": "Nội tim mạch"},
                "luc": "2026-03-18T14:20:00+07:00",
                "so_ngay": 2,
            }
        ],
        "ra_vien": "2026-03-20T10:00:00+07:00",
        "hinh_thuc_ra_vien": "1",
        "cd_kkb_cap_cuu": {"code": "J18", "text": "Viêm phổi, tác nhân không xác định"},
        "cd_vao_khoa": PNEUMONIA,
        "thu_thuat": False,
        "cd_ra_vien_chinh": PNEUMONIA,
        "cd_ra_vien_kem": OTHERS,
        "ket_qua": "2",
        "ly_do": "Sốt, ho khạc đàm, khó thở",
        "vao_ngay_thu": 4,
        "qua_trinh_benh_ly": "Sốt 38,5–39 °C bốn ngày, ho đàm vàng, đau ngực phải.\nSáng nay khó thở tăng.",
        "tien_su_ban_than": "Tăng huyết áp 8 năm, đái tháo đường típ 2 phát hiện 5 năm, điều trị đều.",
        "dac_diem_lien_quan": [
            {"co": True, "ghi_chu": "Penicillin: nổi mề đay", "thoi_gian_thang": "120"},
            {},
            {"co": False},
        ],
        "tien_su_gia_dinh": "Mẹ tăng huyết áp.",
        "toan_than": "Tỉnh, tiếp xúc tốt. Da niêm mạc hồng. Hạch ngoại vi không sờ chạm.",
        "mach": Decimal("102"),
        "nhiet_do": Decimal("38.70"),
        "huyet_ap.tam_thu": Decimal("150"),
        "huyet_ap.tam_truong": Decimal("90"),
        "nhip_tho": Decimal("26"),
        "can_nang": Decimal("54.5"),
        "chieu_cao": Decimal("152"),
        "tuan_hoan": "Tim đều, T1 T2 rõ, không âm thổi.",
        "ho_hap": "Ran nổ đáy phổi phải, rung thanh tăng.",
        "tieu_hoa": "Bụng mềm, gan lách không sờ chạm.",
        "tom_tat_benh_an": "Người bệnh nữ 67 tuổi, sốt, ho đàm, khó thở ngày thứ 4, ran nổ đáy phổi phải.",
        "cd_benh_chinh": PNEUMONIA,
        "cd_benh_kem": OTHERS,
        "cd_phan_biet": [{"code": "A16.2", "text": "Lao phổi"}],
        "tien_luong": "Dè dặt.",
        "huong_dieu_tri": "Kháng sinh tĩnh mạch, hạ sốt, kiểm soát đường huyết và huyết áp.",
        "tk_qua_trinh": "Sau 6 ngày điều trị hết sốt, giảm ho, hết khó thở.",
        "tk_can_lam_sang": "Bạch cầu 15,2 rồi 8,1 G/L; CRP 128 rồi 14 mg/L.",
        "tk_phuong_phap": "Ceftriaxone 2 g mỗi ngày trong 6 ngày.",
        "tk_tinh_trang_ra": "Tỉnh, không sốt, SpO2 97 % khí trời.",
        "tk_huong_dieu_tri": "Uống tiếp kháng sinh 4 ngày, tái khám sau 1 tuần.",
        "ho_so_phim_anh": [{"so_to": 2}, {}, {"so_to": 1}, {"so_to": 6}, {}, {"so_to": 24}],
    }
    out.update(changed)
    return compute(noi_khoa(), {k: v for k, v in out.items() if v is not None})


def record_context(**changed: Any) -> PrintContext:
    signed = datetime(2026, 3, 14, 10, 12, tzinfo=VIETNAM)
    values: dict[str, Any] = {
        "facility": HOSPITAL,
        "patient": f"{NAME} · 21/06/1958 · Nữ",
        "record_number": "Số bệnh án 26-003217",
        "answers": record_answers(),
        "lookup_code": "BA26-7K3F-91QD",
        "printed_at": AT,
        "signatures": [
            PrintedSignature("bac_si_lam_benh_an", "Phạm Minh Đức", signed, "BS"),
            PrintedSignature("truong_khoa", "Lê Quốc Hùng", AT, "BSCKII"),
        ],
    }
    return PrintContext(**{**values, **changed})


def discharge_answers() -> Answers:
    record = record_answers()
    same = ("ho_ten", "gioi_tinh", "ngay_sinh", "dan_toc", "nghe_nghiep", "so_dinh_danh", "so_the_bhyt")
    out = {k: record[k] for k in (*same, "vao_vien", "ra_vien", "so_y_te", "benh_vien")}
    out |= {
        "so": "1024/2026",
        "so_luu_tru": "26-003217",
        "dia_chi": "27/4B Khu phố 5, đường Nguyễn Trãi, phường Tân Hòa, tỉnh An Bình",
        "ma_khoa_rv": {"code": "K03", "text": "Khoa Nội tổng hợp"},
        "chan_doan_rv": PNEUMONIA,
        "chan_doan_kem": OTHERS,
        "pp_dieutri": record["tk_phuong_phap"],
        "ghi_chu": "Uống thuốc theo đơn. Tái khám sau 01 tuần (27/03/2026).",
        "so_ngay_nghi": 7,
        "ngoaitru_tungay": "2026-03-21",
        "ngoaitru_denngay": "2026-03-27",
        "ngay_ct": "2026-03-20",
    }
    return compute(discharge_paper(), out)


def entries(number: int = 24) -> list[PrintedEntry]:
    return [
        PrintedEntry(
            {
                "ngay_gio": f"2026-03-{14 + n // 2:02d}T{8 + n % 2 * 7:02d}:05:00+07:00",
                "dien_bien": f"Ngày thứ {n + 1}: tỉnh, sốt 38,7 °C, ho đàm vàng.\nMạch 102, huyết áp 150/90.",
                "y_lenh": "1. Ceftriaxone 1 g × 2 lọ, truyền tĩnh mạch\n2. Paracetamol 500 mg khi sốt",
            },
            "BS Phạm Minh Đức",
            AT,
            note="ghi bổ sung: mất điện" if n == 2 else None,
            withdrawn=n == 3,
        )
        for n in range(number)
    ]


def pdf_text(pdf: bytes, tmp: Path, *options: str) -> str:
    """Text of a PDF by pdftotext."""
    path = tmp / "paper.pdf"
    path.write_bytes(pdf)
    run = subprocess.run(["pdftotext", *options, str(path), "-"], capture_output=True, check=True)
    return run.stdout.decode()


def squeezed(text: str) -> str:
    """Text without any white space, so that line breaks do not matter."""
    return re.sub(r"\s+", "", text)
