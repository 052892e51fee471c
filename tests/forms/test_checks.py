"""Findings: what is wrong, said as a ward would say it, at the moment it matters."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from types import ModuleType
from typing import Any

import pytest

from benhan.catalogue import systems
from benhan.forms import (
    CODE_LISTS,
    Default,
    Finding,
    check,
    compute,
    defaults,
    extractions,
    render_fields,
    required,
    section_index,
)


def texts(findings: list[Finding], severity: str = "error") -> list[str]:
    return [f.text for f in findings if f.severity == severity]


def test_complete_record_has_no_errors_at_any_moment(s: ModuleType) -> None:
    """The sample record may be saved, signed and closed."""
    for at in ("save", "sign", "close"):
        assert texts(check(s.noi_khoa(), s.record_answers(), at, s.AT + timedelta(days=1))) == []


def test_discharge_before_admission_is_said_plainly(s: ModuleType) -> None:
    """The sentence names both dates and what to do."""
    findings = check(s.noi_khoa(), s.record_answers(ra_vien="2026-03-12T10:00:00+07:00"))
    assert texts(findings) == [
        "Ngày ra viện (12/03/2026) sớm hơn ngày vào viện (14/03/2026). Sửa một trong hai."
    ]
    assert findings[-1].link_id == "ra_vien"
    assert findings[-1].related == ("vao_vien",)


@pytest.mark.parametrize(
    ("changed", "severity", "part"),
    [
        ({"mach": Decimal(400)}, "error", "Mạch 400 lần/ph nằm ngoài khoảng có thể (0–350)"),
        ({"mach": Decimal(190)}, "warning", "Mạch 190 lần/ph khác thường (40–180)"),
        ({"mach": "nhanh"}, "error", "Mạch: “nhanh” không phải là số"),
        ({"huyet_ap.tam_thu": Decimal(80)}, "error", "Huyết áp tâm thu (80 mmHg) phải lớn hơn"),
        ({"huyet_ap.tam_truong": None}, "warning", "chưa ghi huyết áp tâm trương"),
        ({"gioi_tinh": "3"}, "error", "không có trong các ô: 1 Nam, 2 Nữ"),
        ({"so_dinh_danh": "12"}, "error", "Số CCCD có 12 chữ số"),
        ({"so_the_bhyt": "XX"}, "error", "sai dạng"),
        ({"ngay_sinh": "2026-02-30"}, "error", "không phải là ngày có thật"),
        ({"cd_benh_chinh": {"text": "Viêm phổi"}}, "warning", "chưa có mã ICD-10"),
        ({"chuyen_khoa": [{"so_ngay": "hai"}]}, "error", "Dòng 1: Số ngày điều trị: “hai”"),
    ],
)
def test_wrong_values_are_found(s: ModuleType, changed: dict[str, Any], severity: str, part: str) -> None:
    """Each kind of fault gives one sentence that says what is wrong."""
    found = texts(check(s.noi_khoa(), s.record_answers(**changed)), severity)
    assert len([t for t in found if part in t]) == 1


def test_required_fields_wait_for_their_moment(s: ModuleType) -> None:
    """Saving asks for little, signing for more, closing for all."""
    counts = [len(texts(check(s.noi_khoa(), {}, at))) for at in ("save", "sign", "close")]
    assert counts[0] == 1 < counts[1] < counts[2]
    assert texts(check(s.noi_khoa(), {}, "save")) == ["Chưa ghi ngày vào viện. Ghi mục này trước khi lưu."]


def test_conditions_make_fields_required(s: ModuleType) -> None:
    """A death asks for its time and cause; a payer without card does not ask for the card."""
    form = s.noi_khoa()
    dead = check(form, s.record_answers(ket_qua="5"), "close")
    assert {"tu_vong.luc", "tu_vong.do", "nguyen_nhan_tu_vong"} <= {f.link_id for f in dead}
    paying = s.record_answers(doi_tuong="2", so_the_bhyt=None, bhyt_den_ngay=None)
    assert texts(check(form, paying, "close")) == []
    assert not required(form.item("chuyen_den"), paying, "close")


def test_the_future_is_asked_only_with_a_clock(s: ModuleType) -> None:
    """Admission tomorrow is an error when the present is known."""
    answers = s.record_answers(vao_vien="2026-03-21T08:00:00+07:00", ra_vien=None)
    assert any("ở sau lúc này" in t for t in texts(check(s.noi_khoa(), answers, now=s.AT)))
    assert not any("ở sau lúc này" in t for t in texts(check(s.noi_khoa(), answers)))


def test_partial_birth_dates_are_never_wrongly_ordered(s: ModuleType) -> None:
    """Born in 2026, admitted in 2026: not surely wrong, so not said."""
    assert texts(check(s.noi_khoa(), s.record_answers(ngay_sinh="2026"))) == []
    assert texts(check(s.noi_khoa(), s.record_answers(ngay_sinh="2027"))) != []


def test_running_sheet_needs_the_hour_of_each_entry(s: ModuleType) -> None:
    """Rows are named by their number and their field."""
    findings = check(s.treatment_sheet(), {"dien_tien": [{"dien_bien": "Tỉnh"}]})
    assert [(f.link_id, f.text) for f in findings] == [
        ("dien_tien#0.ngay_gio", "Theo dõi điều trị, dòng 1: chưa ghi ngày, giờ.")
    ]


def test_computed_items_follow_their_inputs(s: ModuleType) -> None:
    """Age, days of treatment and BMI."""
    answers = s.record_answers()
    assert (answers["tuoi"], answers["tong_so_ngay"], answers["bmi"]) == (67, 6, Decimal("23.6"))
    assert "bmi" not in compute(s.noi_khoa(), {"can_nang": Decimal(50)})
    assert "tuoi" not in compute(s.noi_khoa(), {"ngay_sinh": "năm 1950", "vao_vien": "x"})


def test_defaults_show_where_they_come_from(s: ModuleType) -> None:
    """A default is proposed with its origin, marked on the page, and gives way to an answer."""
    form = s.noi_khoa()
    facts = {"patient.name": "LÊ THỊ A", "coverage.number": "HT3990000000001", "patient.gender": ""}
    found = defaults(form, facts)
    assert found == {
        "ho_ten": Default("LÊ THỊ A", "Hồ sơ người bệnh"),
        "so_the_bhyt": Default("HT3990000000001", "Thẻ BHYT"),
    }
    page = render_fields(form, {"ho_ten": "TRẦN THỊ B"}, defaults=found)
    assert "Lấy từ: Thẻ BHYT" in page
    assert "LÊ THỊ A" not in page


def test_extractions_name_code_unit_and_value(s: ModuleType) -> None:
    """Vital signs and diagnoses come out with their codes."""
    found = {e.link_id: e for e in extractions(s.noi_khoa(), s.record_answers())}
    assert (found["mach"].code, found["mach"].ucum, found["mach"].value) == ("8867-4", "/min", Decimal(102))
    assert found["cd_ra_vien_chinh"].resource == "Condition"
    assert sum(e.link_id == "cd_ra_vien_kem" for e in extractions(s.noi_khoa(), s.record_answers())) == 2


def test_section_index_counts_and_names_what_is_missing(s: ModuleType) -> None:
    """The side panel knows filled, total, missing and errors of each section."""
    form = s.noi_khoa()
    answers = s.record_answers(toan_than=None, mach=Decimal(400))
    states = {x.key: x for x in section_index(form, answers, check(form, answers, "close"))}
    assert [m.link_id for m in states["kham_benh"].missing] == ["toan_than"]
    assert states["kham_benh"].errors == 2
    assert states["kham_benh"].anchor == "s-kham_benh"
    assert states["ly_do_vao_vien"].filled == states["ly_do_vao_vien"].total == 2


@pytest.mark.parametrize(
    "name",
    ["icd10", "khoa", "xa", "tinh", "dan-toc", "nghe-nghiep", "co-so", "nguoi-hanh-nghe", "thuoc", "dich-vu"],
)
def test_code_lists_speak_of_the_catalogues_systems(name: str) -> None:
    """A code list of the forms has the system that the catalogue gives it."""
    assert CODE_LISTS[name].system in vars(systems).values()
