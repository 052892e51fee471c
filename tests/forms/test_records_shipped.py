"""The records 02/BV1–29/BV1: every field of the reference, its code boxes as given, nothing invented, fit for paper."""

from __future__ import annotations

import io
import subprocess
from datetime import date
from decimal import Decimal
from pathlib import Path
from re import findall
from types import ModuleType

import pytest
import yaml
from pypdf import PdfReader

from benhan.base.text import nfc
from benhan.fhir import validate
from benhan.forms import (
    Form,
    PrintContext,
    catalogue,
    check,
    compute,
    get,
    load_form,
    print_form,
    reference,
    sample,
)
from benhan.forms.computed import burn_area
from benhan.forms.loader import DATA

DAY = date(2026, 11, 23)
KEYS: dict[str, str] = yaml.safe_load(
    (Path(__file__).parent / "data" / "record-keys.yaml").read_text(encoding="utf-8")
)
CODES = [f"{n:02d}/BV1" for n in range(2, 30)]
BIRTH = {
    "1": "Đẻ thường",
    "2": "Forceps",
    "3": "Giác hút",
    "4": "Đẻ phẫu thuật",
    "5": "Đẻ chỉ huy",
    "6": "Khác",
}
SOME = {"1": "Ít", "2": "Rõ"}
RESULT = {"1": "Khỏi", "2": "Đỡ, giảm", "3": "Không thay đổi", "4": "Nặng hơn", "5": "Tử vong"}

# Boxes whose codes the reference gives, besides those of the common cover.
BOXES: dict[tuple[str, str], dict[str, str]] = {
    ("02/BV1", "tinh_trang_khi_sinh"): BIRTH,
    ("02/BV1", "nuoi_duong"): {"1": "Sữa mẹ", "2": "Nuôi nhân tạo", "3": "Hỗn hợp"},
    ("02/BV1", "cham_soc"): {"1": "Tại vườn trẻ", "2": "Tại nhà"},
    ("02/BV1", "tiem_chung"): {
        "1": "Lao",
        "2": "Bại liệt",
        "3": "Sởi",
        "4": "Ho gà",
        "5": "Uốn ván",
        "6": "Bạch hầu",
        "7": "Khác",
    },
    ("05/BV1", "tinh_trang_oi"): {"1": "Phồng", "2": "Dẹt", "3": "Quả lê"},
    ("05/BV1", "oi_vo_kieu"): {"1": "Tự nhiên", "2": "Bấm ối"},
    ("05/BV1", "do_lot"): {"1": "Cao", "2": "Chúc", "3": "Chặt", "4": "Lọt"},
    ("05/BV1", "phuong_phap_de"): BIRTH,
    ("05/BV1", "tsm_sau_de"): {"1": "Không rách", "2": "Rách", "3": "Cắt"},
    ("05/BV1", "ctc_sau_de"): {"1": "Không rách", "2": "Rách"},
    ("05/BV1", "pt_bien_chung"): {"1": "Do phẫu thuật", "2": "Do gây mê", "3": "Do nhiễm khuẩn", "4": "Khác"},
    ("06/BV1", "cach_de"): {"1": "Đẻ thường", "2": "Can thiệp"},
    ("06/BV1", "tinh_trang_khi_ra_doi"): {"1": "Khóc ngay", "2": "Ngạt", "3": "Khác"},
    ("06/BV1", "silverman_long_nguc"): {
        "0": "Điều hòa",
        "1": "Xê dịch nhịp thở với di động bụng",
        "2": "Không di động ngực bụng",
    },
    ("06/BV1", "silverman_lien_suon"): {"0": "Không", **SOME},
    ("06/BV1", "silverman_mui_uc"): {"0": "Không", **SOME},
    ("06/BV1", "silverman_canh_mui"): {"0": "Không", "1": "Nhẹ", "2": "Rõ"},
    ("06/BV1", "silverman_ren"): {"0": "Không", "1": "Nghe bằng ống nghe", "2": "Nghe bằng tai"},
    ("15/BV1", "noi_gioi_thieu"): {"1": "Y tế", "2": "Tự đến"},
    ("18/BV1", "che_do_cham_soc"): {"1": "Cấp 1", "2": "Cấp 2", "3": "Cấp 3"},
    ("18/BV1", "tk_ket_qua"): RESULT,
    ("19/BV1", "ket_qua"): RESULT,
}


def form_of(code: str) -> Form:
    return get(code, DAY)


@pytest.mark.parametrize("code", CODES)
def test_every_key_of_the_reference_is_there(code: str) -> None:
    """The file loads by itself and holds each key; the title is the list's; the Questionnaire is valid FHIR."""
    form = load_form(DATA / f"{code.replace('/', '-')}.yaml")
    wanted = KEYS[code].split()
    assert len(wanted) >= 50
    assert [key for key in wanted if key not in form] == []
    row = next(r for r in reference.rows() if r.code == code)
    assert form.title == nfc(row.title).upper()
    validate(form.questionnaire())


def test_every_record_of_the_list_is_shipped() -> None:
    """Twenty-nine records, each with its keys told."""
    assert sorted(KEYS) == CODES
    shipped = {f.code for f in catalogue().all() if f.kind == "benh_an"}
    assert {r.code for r in reference.rows() if r.code.endswith("/BV1")} == {*CODES, "01/BV1"} <= shipped


@pytest.mark.parametrize(("code", "key"), list(BOXES))
def test_code_boxes_are_the_references(code: str, key: str) -> None:
    """Codes and words of a box as given, no more and no less."""
    assert {c.code: c.label for c in form_of(code).item(key).choices} == BOXES[code, key]


@pytest.mark.parametrize("code", CODES)
def test_no_other_code_is_invented(code: str) -> None:
    """A box with codes is of the reference or of the cover of 01/BV1; else it is a free choice, marked unconfirmed."""
    form, cover = form_of(code), form_of("01/BV1")
    for item in form.items():
        if item.type != "choice":
            continue
        given = {c.code: c.label for c in item.choices}
        known = [boxes for (_, key), boxes in BOXES.items() if key == item.link_id]
        if item.link_id in cover:
            known.append({c.code: c.label for c in cover.item(item.link_id).choices})
        assert given in known, (code, item.link_id)


@pytest.mark.parametrize("code", CODES)
def test_people_sign_in_a_told_order(code: str) -> None:
    """Each place of signature is in the form once; the author signs first, the head or director after the doctor."""
    form = form_of(code)
    roles = [s.role for s in form.signatures]
    placed = [i.role or "" for i in form.items() if i.type == "signature"]
    assert sorted(placed) == sorted(roles)
    assert [s.order for s in form.signatures] == list(range(1, len(roles) + 1))
    assert roles[0] in ("bac_si_lam_benh_an", "bac_si_kham_benh")
    sections = {s.key for s in form.sections}
    assert all(s.section in sections for s in form.signatures)


@pytest.mark.parametrize("code", CODES)
def test_vital_signs_become_observations(code: str) -> None:
    """Pulse or heart rate and temperature carry their LOINC code and limits in every record."""
    form = form_of(code)
    codes = {str(i.extract.code) for i in form.items() if i.extract and i.extract.category == "vital-signs"}
    assert {"8867-4", "8310-5"} <= codes
    assert all(i.range is not None for i in form.items() if i.type == "quantity")


def test_burn_area_is_summed_over_regions_and_depths() -> None:
    """Each region and the whole; no number where nothing is filled in."""
    rows = [{"do_2": Decimal("4.5")}, {"do_3": Decimal(9), "do_5": Decimal("0.5")}, {"vung": "Tay phải"}]
    given = compute(form_of("11/BV1"), {"bang_dien_tich": rows})
    assert given["tong_dien_tich"] == Decimal("14.0")
    assert [row.get("tong") for row in given["bang_dien_tich"]] == [Decimal("4.5"), Decimal("9.5"), None]
    assert burn_area([{}]) is None
    assert burn_area(None) is None
    assert burn_area([{"do_1": "chín"}]) is None


def test_deep_burns_are_part_of_the_burnt_area() -> None:
    """More deep than burnt at all asks for a look."""
    form = form_of("11/BV1")
    seen = {"vao_vien": "2026-05-01T08:00:00+07:00", "tong_dien_tich": Decimal(10)}
    more = check(form, {**seen, "dien_tich_bong_sau": Decimal(12)})
    assert [(f.link_id, f.severity) for f in more] == [("tong_dien_tich", "warning")]
    assert check(form, {**seen, "dien_tich_bong_sau": Decimal(4)}) == []


def test_silverman_is_the_sum_of_its_five_parts() -> None:
    """Five signs, each 0–2; without one there is no score."""
    parts = dict.fromkeys(("long_nguc", "lien_suon", "mui_uc", "canh_mui", "ren"), "2")
    given = {f"silverman_{k}": v for k, v in parts.items()}
    assert compute(form_of("06/BV1"), given)["silverman"] == 10
    assert "silverman" not in compute(form_of("06/BV1"), {**given, "silverman_ren": None})


@pytest.mark.parametrize(
    ("code", "answers", "at"),
    [
        (
            "11/BV1",
            {"ngay_sinh": "2020-05-01", "thoi_gian_bi_bong": "2019-01-01T08:00:00+07:00"},
            "thoi_gian_bi_bong",
        ),
        (
            "05/BV1",
            {"de_luc": "2026-05-01T08:00:00+07:00", "rau_so_luc": "2026-05-01T07:50:00+07:00"},
            "rau_so_luc",
        ),
        ("05/BV1", {"kinh_cuoi_tu": "2026-02-05", "kinh_cuoi_den": "2026-02-01"}, "kinh_cuoi_den"),
        ("04/BV1", {"ngay_sinh": "2000", "kinh_lan_cuoi": "1999-03-01"}, "kinh_lan_cuoi"),
        ("15/BV1", {"dieu_tri_tu": "2026-03-02", "dieu_tri_den": "2026-03-01"}, "dieu_tri_den"),
        ("06/BV1", {"apgar_1": 11}, "apgar_1"),
        ("21/BV1", {"nhan_ap_mp": Decimal(120)}, "nhan_ap_mp"),
    ],
)
def test_contradictions_are_found(code: str, answers: dict[str, object], at: str) -> None:
    """What cannot be is an error at the field that shows it."""
    assert any(f.link_id == at and f.severity == "error" for f in check(form_of(code), answers))


def test_a_diagnosis_of_one_eye_is_enough() -> None:
    """Right eye or left eye must have a diagnosis when signing; either will do."""
    form = form_of("23/BV1")
    disease = {"code": "H33.0", "text": "Bong võng mạc có rách võng mạc"}
    asked = {f.link_id for f in check(form, {}, "sign") if f.rule == "required"}
    assert {"cd_chinh_mp", "cd_vao_khoa_mp"} <= asked
    left = check(form, {"cd_chinh_mt": disease, "cd_vao_khoa_mt": disease}, "sign")
    assert not {"cd_chinh_mp", "cd_vao_khoa_mp"} & {f.link_id for f in left}


def test_what_is_unknown_is_told_to_the_administrator_only() -> None:
    """Forms with guessed words say so; papers do not print it."""
    for code in ("06/BV1", "18/BV1", "22/BV1", "28/BV1"):
        form = form_of(code)
        reasons = [i.unconfirmed for i in form.items() if i.unconfirmed]
        assert reasons, code
        text = pages(print_form(form, PrintContext(blank=True)).pdf)
        assert all("".join(reason.split()) not in "".join(text.split()) for reason in reasons)


def pages(pdf: bytes) -> str:
    return "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages)


def inside(form: Form, context: PrintContext, tmp_path: Path) -> None:
    """No word leaves the margins of any page."""
    path = tmp_path / "p.pdf"
    path.write_bytes(print_form(form, context).pdf)
    out = subprocess.run(
        ["pdftotext", "-bbox", str(path), "-"], capture_output=True, check=True
    ).stdout.decode()
    words = findall(r'<word xMin="(.*?)" yMin="(.*?)" xMax="(.*?)" yMax="(.*?)">', out)
    assert len(words) > 100
    for x0, y0, x1, y1 in words:
        assert float(x0) >= 60
        assert float(x1) <= 595 - 40
        assert float(y0) >= 20
        assert float(y1) <= 842 - 20


@pytest.mark.parametrize("code", CODES[::4])
def test_words_stay_on_the_paper(code: str, tmp_path: Path, s: ModuleType) -> None:
    """Empty and full: nothing hangs over the edge."""
    form = form_of(code)
    inside(form, PrintContext(blank=True), tmp_path)
    inside(form, PrintContext(answers=sample(form, 3), facility=s.HOSPITAL, patient=s.NAME), tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("code", CODES)
def test_words_stay_on_every_paper(code: str, tmp_path: Path, s: ModuleType) -> None:
    """The same for every record and ten sets of answers."""
    form = form_of(code)
    inside(form, PrintContext(blank=True), tmp_path)
    for seed in range(10):
        inside(form, PrintContext(answers=sample(form, seed), facility=s.HOSPITAL, patient=s.NAME), tmp_path)
