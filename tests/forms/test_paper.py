"""Printed papers: archive format, fonts, places for signatures, nothing overflowing, nothing becoming code.

Goldens are renewed by ``BENHAN_RENEW_GOLDENS=1 pytest tests/forms``; the diff is reviewed.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import ModuleType

import pytest
from pypdf import PdfReader

from benhan.forms import PrintContext, PrintedEntry, PrintedSignature, PrintResult, catalogue, print_form

GOLDEN = Path(__file__).parents[1] / "golden" / "forms"


def papers(s: ModuleType) -> dict[str, PrintResult]:
    """The papers that have goldens."""
    head = {
        "co_so": s.HOSPITAL.upper(),
        "khoa": {"code": "K03", "text": "Khoa Nội tổng hợp"},
        "ho_ten": s.NAME,
    }
    return {
        "01-BV1": print_form(s.noi_khoa(), s.record_context()),
        "01-BV1-blank": print_form(s.noi_khoa(), PrintContext(blank=True)),
        "36-BV2": print_form(
            s.treatment_sheet(),
            s.record_context(answers={**head, "tuoi": 67, "gioi_tinh": "2"}, entries=s.entries()),
        ),
        "TT25-2025-M02": print_form(s.discharge_paper(), s.record_context(answers=s.discharge_answers())),
        "TT25-2025-M02-blank": print_form(s.discharge_paper(), PrintContext(blank=True)),
    }


PAGES = {"01-BV1": 4, "01-BV1-blank": 5, "36-BV2": 3, "TT25-2025-M02": 1, "TT25-2025-M02-blank": 1}


@pytest.fixture(scope="module")
def printed(s: ModuleType) -> dict[str, PrintResult]:
    return papers(s)


@pytest.mark.parametrize("name", list(PAGES))
def test_text_and_pages_are_as_reviewed(
    printed: dict[str, PrintResult], name: str, tmp_path: Path, s: ModuleType
) -> None:
    """Text (with its layout) and number of pages equal the golden."""
    result = printed[name]
    text = s.pdf_text(result.pdf, tmp_path, "-layout")
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("BENHAN_RENEW_GOLDENS"):
        path.write_text(text, encoding="utf-8")
    assert result.pages == PAGES[name] == len(PdfReader(io.BytesIO(result.pdf)).pages)
    assert squeeze_lines(text) == squeeze_lines(path.read_text(encoding="utf-8"))


def squeeze_lines(text: str) -> list[str]:
    """Lines with runs of spaces made one; versions of pdftotext differ in the number of spaces."""
    return [line for line in (" ".join(raw.split()) for raw in text.splitlines()) if line]


@pytest.mark.parametrize("name", list(PAGES))
def test_papers_are_tagged_archive_pdf(printed: dict[str, PrintResult], name: str, tmp_path: Path) -> None:
    """PDF/A-2b is declared, tagged, Vietnamese; only shipped fonts are in it, all embedded."""
    reader = PdfReader(io.BytesIO(printed[name].pdf))
    root = reader.trailer["/Root"]
    xmp = root["/Metadata"].get_data().decode()
    assert re.search(r"pdfaid:part>2<", xmp)
    assert re.search(r"pdfaid:conformance>B<", xmp)
    assert root["/MarkInfo"]["/Marked"]
    assert root["/Lang"].lower().startswith("vi")
    path = tmp_path / "p.pdf"
    path.write_bytes(printed[name].pdf)
    lines = (
        subprocess.run(["pdffonts", str(path)], capture_output=True, check=True)
        .stdout.decode()
        .splitlines()[2:]
    )
    assert lines
    assert all("Tinos" in line and re.search(r"\byes\s+yes\s+yes\b", line) for line in lines)


def test_every_signature_has_its_place(printed: dict[str, PrintResult], s: ModuleType) -> None:
    """Each role has one box inside its page, and boxes do not overlap."""
    for name, form in (("01-BV1", s.noi_khoa()), ("TT25-2025-M02", s.discharge_paper())):
        boxes = printed[name].signature_boxes
        assert {b.role for b in boxes} == {p.role for p in form.signatures}
        for box in boxes:
            assert 0 < box.x0 < box.x1 < 595
            assert 0 < box.y0 < box.y1 < 842
            assert 1 <= box.page <= printed[name].pages
        for one in boxes:
            for other in boxes:
                if one is not other and one.page == other.page:
                    assert (
                        one.x1 <= other.x0 or other.x1 <= one.x0 or one.y1 <= other.y0 or other.y1 <= one.y0
                    )


def test_signature_box_lies_under_its_title(printed: dict[str, PrintResult], tmp_path: Path) -> None:
    """The box of the head of department is below the words ``Trưởng khoa`` and above the printed name."""
    box = next(b for b in printed["01-BV1"].signature_boxes if b.role == "truong_khoa")
    words = boxes_of_words(printed["01-BV1"].pdf, tmp_path)[box.page - 1]
    title = next(w for w in words if w[4] == "Trưởng")
    name = next(w for w in words if w[4] == "BSCKII")
    assert 842 - title[3] >= box.y1 - 1
    assert 842 - name[1] <= box.y0 + 1
    assert box.x0 < title[0] < box.x1


def boxes_of_words(pdf: bytes, tmp: Path) -> list[list[tuple[float, float, float, float, str]]]:
    """Words of each page: x0, top, x1, bottom (points from the top left), text."""
    path = tmp / "w.pdf"
    path.write_bytes(pdf)
    out = subprocess.run(
        ["pdftotext", "-bbox", str(path), "-"], capture_output=True, check=True
    ).stdout.decode()
    word = re.compile(r'<word xMin="(.*?)" yMin="(.*?)" xMax="(.*?)" yMax="(.*?)">(.*?)</word>')
    return [
        [(float(a), float(b), float(c), float(d), t) for a, b, c, d, t in word.findall(page)]
        for page in out.split("<page ")[1:]
    ]


def test_long_words_and_names_stay_on_the_paper(s: ModuleType, tmp_path: Path) -> None:
    """Very long values wrap: no word ends outside the margins, none is lost."""
    long_name = " ".join(["NGUYỄN PHÚC VĨNH HƯNG LONG TRƯỜNG THỌ"] * 6)
    answers = s.record_answers(
        ho_ten=long_name,
        noi_lam_viec="Công ty trách nhiệm hữu hạn một thành viên " * 6,
        cd_benh_chinh={"code": "M99.99X", "text": "Bệnh có tên rất dài " * 20},
        qua_trinh_benh_ly="Diễn biến kéo dài nhiều ngày. " * 400,
        vao_vien_lan_thu=999,
        benh_vien="BỆNH VIỆN ĐA KHOA KHU VỰC LIÊN HUYỆN MIỀN NÚI PHÍA BẮC " * 2,
    )
    result = print_form(s.noi_khoa(), s.record_context(answers=answers, patient=long_name))
    pages = boxes_of_words(result.pdf, tmp_path)
    assert all(w[0] > 0 and w[2] <= 595 - 36 and w[3] < 842 for page in pages for w in page)
    text = s.squeezed(s.pdf_text(result.pdf, tmp_path))
    assert s.squeezed("Diễn biến kéo dài nhiều ngày.") in text
    assert text.count(s.squeezed("Diễnbiếnkéodàinhiềungày")) >= 380


@pytest.mark.parametrize(
    "hostile",
    [
        "#sys.inputs.data",
        '#read("form.typ") #panic("x")',
        "$ sum_(i=0)^n x $",
        '] #import "x" [',
        "*bold* _it_ = Heading <label> @ref // /* ` \\u{41} \\",
        '"}],"blocks":[{"k":"bad"}',
        '#eval("1") ``` raw ```',
    ],
)
def test_typed_text_never_becomes_markup(s: ModuleType, hostile: str, tmp_path: Path) -> None:
    """What a person types stands on paper letter by letter, wherever it is printed."""
    everywhere = {
        i.link_id: hostile
        for i in s.noi_khoa().answerable()
        if i.type in ("text", "longtext") and not i.layout.boxes
    }
    context = s.record_context(
        answers={**everywhere, "cd_benh_chinh": {"text": hostile}},
        facility=hostile,
        patient=hostile,
        mark=hostile,
        signatures=[PrintedSignature("truong_khoa", hostile, s.AT)],
        lookup_code=hostile,
    )
    text = s.squeezed(s.pdf_text(print_form(s.noi_khoa(), context).pdf, tmp_path))
    assert text.count(s.squeezed(hostile)) >= 20
    sheet = replace(
        context, answers={}, entries=[PrintedEntry({"dien_bien": hostile}, hostile, s.AT, note=hostile)]
    )
    text = s.squeezed(s.pdf_text(print_form(s.treatment_sheet(), sheet).pdf, tmp_path))
    assert s.squeezed(hostile) in text


def test_same_content_gives_same_bytes(s: ModuleType) -> None:
    """Printing is reproducible; another time of printing gives another document."""
    first = print_form(s.noi_khoa(), s.record_context())
    assert print_form(s.noi_khoa(), s.record_context()).pdf == first.pdf
    later = s.record_context(printed_at=s.AT + timedelta(minutes=1))
    assert print_form(s.noi_khoa(), later).pdf != first.pdf


def test_code_squares_hold_the_digits(printed: dict[str, PrintResult], tmp_path: Path, s: ModuleType) -> None:
    """Birth date and codes stand one character to a square, in order."""
    words = " ".join(s.pdf_text(printed["01-BV1"].pdf, tmp_path).split())
    assert s.squeezed("21061958") in s.squeezed(words)
    assert "J18.9" in s.squeezed(words)


def test_every_page_says_whose_it_is(printed: dict[str, PrintResult], tmp_path: Path, s: ModuleType) -> None:
    """Facility, patient, record number and page stand on each page."""
    for n, page in enumerate(s.pdf_text(printed["01-BV1"].pdf, tmp_path).split("\f")[:4], start=1):
        squeezed = s.squeezed(page)
        for text in (s.HOSPITAL, s.NAME, "26-003217", f"Trang {n}/4", "01/BV1"):
            assert s.squeezed(text) in squeezed


def test_running_sheet_names_the_signer_of_each_entry(
    printed: dict[str, PrintResult], tmp_path: Path, s: ModuleType
) -> None:
    """Twenty-four entries, as many signers, the late entry marked."""
    text = s.squeezed(s.pdf_text(printed["36-BV2"].pdf, tmp_path))
    assert text.count("Đãkýsố") == 24
    assert "[ghibổsung:mấtđiện]" in text


def test_every_shipped_form_prints_empty() -> None:
    """No form of the catalogue is unprintable."""
    for form in catalogue().all():
        assert print_form(form, PrintContext(blank=True)).pages >= 1
