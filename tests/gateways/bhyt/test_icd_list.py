"""The list of TT 06/2026: judged before it is loaded, in force from its day, the old one until then."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from datetime import date
from html import escape
from pathlib import Path

import pytest

from benhan.base.errors import InvalidInput
from benhan.catalogue import icd10, icd10_in_force, icd10_list, icd10_search, use_icd10
from benhan.gateways.bhyt import check, drop_icd_list, keep_icd_list, make_row, read_icd_list, use_icd_list
from benhan.gateways.bhyt.package import Package
from benhan.gateways.bhyt.samples import package_of, stories

NEW = "code,title_vi,not_main,sex_only\nJ18.9,Viêm phổi (tên mới),,\nX99.9,Bệnh chỉ có ở danh mục mới,1,F\n"
JUNE, JULY = date(2026, 6, 30), date(2026, 7, 1)


@pytest.fixture(autouse=True)
def shipped_list_afterwards() -> Iterator[None]:
    yield
    use_icd10((), date.min)


def _with(code: str, left: str) -> Package:
    package = package_of(stories()[0], 1)
    head = package.table("XML1")[0]
    row = make_row("XML1", 1, {**head.values, "MA_BENH_CHINH": code, "NGAY_RA": left})
    return Package(package.facility, package.made_on, {**package.rows, "XML1": (row,)})


def _rules(code: str, left: str) -> set[str]:
    return {f.rule for f in check(_with(code, left)) if f.rule.startswith("ICD-")}


def test_after_the_last_day_every_claim_is_warned_until_the_list_is_loaded(tmp_path: Path) -> None:
    assert "ICD-HET-HAN" not in _rules("J18.9", "202606300800")
    assert "ICD-HET-HAN" in _rules("J18.9", "202608050800")
    assert not icd10_in_force(JULY)
    told = read_icd_list(NEW)
    assert (told.new, told.retitled) == (("X99.9",), ("J18.9",))
    assert icd10("X99.9") is None, "judging loads nothing"
    keep_icd_list(tmp_path, told.entries, JULY)
    assert _rules("J18.9", "202608050800") == set()
    assert _rules("X99.9", "202608050800") >= {"ICD-CHINH-KHONG"}, "flags of the new list hold"
    assert "ICD-CHINH-CU" in _rules("A00.0", "202608050800"), "a code the new list has dropped"
    assert "ICD-CHINH-CO" in _rules("X99.9", "202606300800"), "the old list answers for its own days"
    title = icd10("J18.9", JUNE)
    assert title is not None
    assert "tên mới" not in title.title
    assert [e.code for e in icd10_search("chi co o danh muc moi", on=JULY)] == ["X99.9"]
    use_icd10((), date.min)
    assert use_icd_list(tmp_path), "the next start takes it up"
    assert icd10_in_force(JULY)


def test_a_bad_list_is_refused_line_by_line() -> None:
    with pytest.raises(InvalidInput) as wrong:
        read_icd_list("code,title_vi,sex_only\nJ18.9,A,\nj18.9,B,\nKHAC,C,\nI10,,\nI11,D,X\n")
    assert [i.text[:7] for i in wrong.value.issues] == ["Dòng 3:", "Dòng 4:", "Dòng 5:", "Dòng 6:"]
    for text in ("", "so,thu\nJ18,A\n", "<xml/>"):
        with pytest.raises(InvalidInput):
            read_icd_list(text)


def workbook(rows: list[list[str]], *, inline: bool = False, more: dict[str, bytes] | None = None) -> bytes:
    """A small XLSX: shared strings, or strings in the cells."""
    flat = [escape(c) for row in rows for c in row]
    at = iter(range(len(flat)))

    def cell(text: str, place: str) -> str:
        n = next(at)
        said = f"<is><t>{escape(text)}</t></is>" if inline else f"<v>{n}</v>"
        return f'<c r="{place}" t="{"inlineStr" if inline else "s"}">{said}</c>'

    lines = (
        "".join(cell(c, f"{chr(65 + x)}{y}") for x, c in enumerate(row)) for y, row in enumerate(rows, 1)
    )
    body = "".join(f'<row r="{y}">{line}</row>' for y, line in enumerate(lines, 1))
    space = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    parts: dict[str, str | bytes] = {
        "xl/worksheets/sheet1.xml": f"<worksheet {space}><sheetData>{body}</sheetData></worksheet>"
    }
    if not inline:
        strings = "".join(f"<si><r><t>{t}</t></r><rPh><t>x</t></rPh></si>" for t in flat)
        parts["xl/sharedStrings.xml"] = f"<sst {space}>{strings}</sst>"
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {**parts, **(more or {})}.items():
            archive.writestr(name, content)
    return out.getvalue()


ROWS = [
    ["PHỤ LỤC", "", "", ""],
    ["Mã bệnh", "Tên bệnh tiếng Việt", "Giới", "not_main"],
    ["J18.9", "Viêm phổi (tên mới)", "", ""],
    ["X99.9", "Bệnh chỉ có ở danh mục mới", "Nữ", "x"],
]


@pytest.mark.parametrize("inline", [True, False])
def test_a_workbook_says_the_same_as_its_csv(inline: bool) -> None:
    """Title rows above the header are passed over; columns are found by name, with or without tones."""
    told = read_icd_list(workbook(ROWS, inline=inline), JULY)
    assert told == read_icd_list(NEW, JULY) == read_icd_list(NEW.replace(",", ";").encode(), JULY)
    assert (told.new, told.retitled) == (("X99.9",), ("J18.9",))
    assert len(told.dropped) > 10_000, "what the new list no longer has"
    assert "A00.0" in told.dropped


def test_marks_that_change_are_told() -> None:
    entry = next(e for e in icd10_list(JUNE) if e.sex_only == "F")
    told = read_icd_list(f'code,title_vi\n{entry.code},"{entry.title}"\n', JULY)
    assert told.marked == (entry.key,), "no longer for women only"


def test_a_hostile_workbook_is_refused() -> None:
    bomb = workbook(ROWS, more={"xl/sharedStrings.xml": b"<sst>" + b"A" * 60_000_000 + b"</sst>"})
    entity = b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><worksheet/>'
    faults = [
        bomb,
        workbook(ROWS, inline=True).replace(b"PK\x05\x06", b"PK\x09\x09"),
        workbook(ROWS, inline=True, more={"xl/worksheets/sheet1.xml": entity}),
        b"PK\x03\x04" + b"\x00" * 40,
        "mã;tên".encode("utf-16"),
    ]
    for raw in faults:
        with pytest.raises(InvalidInput):
            read_icd_list(raw, JULY)


def test_another_process_takes_the_list_up_without_a_restart(tmp_path: Path) -> None:
    keep_icd_list(tmp_path, read_icd_list(NEW, JULY).entries, JULY)
    use_icd10((), date.min)  # as in a process that has not seen it
    assert use_icd_list(tmp_path)
    assert icd10_in_force(JULY)
    drop_icd_list(tmp_path)
    assert not icd10_in_force(JULY)
    assert not use_icd_list(tmp_path)
