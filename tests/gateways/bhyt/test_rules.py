"""Dated tables, rows an administrator may change, and rules between tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from benhan.base.errors import ConfigurationError
from benhan.gateways.bhyt import check, make_row
from benhan.gateways.bhyt.package import Package
from benhan.gateways.bhyt.samples import package_of, stories
from benhan.gateways.bhyt.tables import codes, tables, use_local

HEADER = "table,seq,field,type,max_length,required,title_vi,note,confidence,source,valid_from,valid_to"


def _story(key: str) -> Package:
    number, story = next((n, s) for n, s in enumerate(stories(), 1) if s.key.startswith(key))
    return package_of(story, number)


def _changed(package: Package, table: str, line: int, **values: str) -> Package:
    rows = list(package.table(table))
    rows[line - 1] = make_row(table, line, {**rows[line - 1].values, **values})
    return replace(package, rows={**package.rows, table: tuple(rows)})


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    use_local(tmp_path / "absent")


def test_tables_hold_by_day() -> None:
    def limit(on: date | None) -> int | None:
        return next(f.max_length for f in tables(on)["XML2"].fields if f.name == "MUC_HUONG")

    assert (limit(date(2026, 6, 30)), limit(date(2026, 7, 1)), limit(None)) == (3, 4, 4)
    assert tables(date(2025, 1, 1))["XML1"].names() == tables()["XML1"].names()
    assert "11" not in codes("MA_LOAI_KCB", date(2026, 7, 31))
    assert "11" in codes("MA_LOAI_KCB", date(2026, 8, 1))
    assert "3.5" in codes("MA_DOITUONG_KCB_CU", date(2025, 10, 16))
    assert "3.5" not in codes("MA_DOITUONG_KCB_CU", date(2025, 10, 17))


def test_an_administrator_changes_what_is_uncertain_only(local: Path) -> None:
    row = "XML7,15,MA_BS,text,7,always,Mã người hành nghề,,local,Cổng tập huấn,,"
    (local / "fields.csv").write_text(f"{HEADER}\n{row}\n", encoding="utf-8")
    (local / "codes.csv").write_text(
        "code_system,code,title_vi,note,confidence,valid_from,valid_to\nMA_KHOA,K77X,Khoa Mẫu,,local,,\n",
        encoding="utf-8",
    )
    package = _changed(_story("02"), "XML3", 1, MA_KHOA="K77X")
    assert "bhyt.code" in {f.code for f in check(package)}
    use_local(local)
    found = check(package)
    assert "bhyt.code" not in {f.code for f in found}
    assert "XML7/dòng 1/MA_BS" in {f.place for f in found if f.code == "bhyt.length"}
    use_local(local / "absent")
    (local / "fields.csv").write_text(f"{HEADER}\n" + row.replace("XML7,15,MA_BS", "XML1,4,HO_TEN") + "\n")
    with pytest.raises(ConfigurationError, match="table-fixed"):
        use_local(local)
    assert [f.rule for f in check(_story("02"))] == ["ICD-HET-HAN"], (
        "the shipped list ended before this claim"
    )


@pytest.mark.parametrize(
    ("key", "table", "line", "tags", "severity", "code", "place"),
    [
        ("02", "XML1", 1, {"NGAY_VAO_NOI_TRU": ""}, "error", "bhyt.required", "XML1/dòng 1/NGAY_VAO_NOI_TRU"),
        ("02", "XML1", 1, {"SO_NGAY_DTRI": "9"}, "warning", "bhyt.days", "XML1/dòng 1/SO_NGAY_DTRI"),
        (
            "02",
            "XML1",
            1,
            {"MA_BENH_YHCT": ";".join(["U1"] * 14)},
            "error",
            "bhyt.too-many",
            "XML1/dòng 1/MA_BENH_YHCT",
        ),
        (
            "04",
            "XML1",
            1,
            {"GT_THE_TU": "20260101;20260901"},
            "error",
            "bhyt.card-period",
            "XML3/dòng 5/NGAY_YL",
        ),
        ("02", "XML1", 1, {"MA_THE_BHYT": "", "MA_DKBD": ""}, "error", "bhyt.card", "XML2/dòng 1/PHAM_VI"),
        ("02", "XML4", 1, {"NGAY_KQ": ""}, "error", "bhyt.required", "XML4/dòng 1/NGAY_KQ"),
        ("02", "XML4", 1, {"MA_DICH_VU": "00.0000"}, "warning", "bhyt.result", "XML4/dòng 1/MA_DICH_VU"),
        ("02", "XML4", 1, {"NGAY_KQ": "202609010800"}, "warning", "bhyt.late-result", "XML4/dòng 1/NGAY_KQ"),
        ("02", "XML7", 1, {"MA_DINH_CHI_THAI": "1"}, "error", "bhyt.required", "XML7/dòng 1/TUOI_THAI"),
        ("02", "XML7", 1, {"SO_NGAY_NGHI": "5"}, "error", "bhyt.required", "XML7/dòng 1/NGOAITRU_TUNGAY"),
        ("05", "XML13", 1, {"HO_TEN": "Người Khác"}, "error", "bhyt.repeat", "XML13/dòng 1/HO_TEN"),
        ("05", "XML1", 1, {"MA_LOAI_RV": "1"}, "error", "bhyt.extra-table", "XML13"),
        ("06", "XML14", 1, {"NGAY_HEN_KL": "20260701"}, "error", "bhyt.order", "XML14/dòng 1/NGAY_HEN_KL"),
        ("10", "XML1", 1, {"NGAY_SINH": "202608030000"}, "warning", "bhyt.newborn", "XML1/dòng 1/NGAY_SINH"),
        ("01", "XML2", 1, {"MUC_HUONG": "800"}, "error", "bhyt.percent", "XML2/dòng 1/MUC_HUONG"),
        (
            "01",
            "XML2",
            1,
            {"T_BNCCT": "1400.00", "T_BHTT": "5610.00"},
            "error",
            "bhyt.share",
            "XML2/dòng 1/T_BHTT",
        ),
        ("01", "XML2", 2, {"STT": "1"}, "warning", "bhyt.sequence", "XML2/dòng 2/STT"),
        ("01", "XML3", 1, {"TEN_DICH_VU": ""}, "error", "bhyt.required", "XML3/dòng 1/TEN_DICH_VU"),
        ("01", "XML3", 1, {"MA_NHOM": "77"}, "warning", "bhyt.code", "XML3/dòng 1/MA_NHOM"),
        ("01", "XML3", 1, {"PP_VO_CAM": "9"}, "error", "bhyt.code", "XML3/dòng 1/PP_VO_CAM"),
    ],
)
def test_a_rule_between_tags_speaks_at_its_place(
    key: str, table: str, line: int, tags: dict[str, str], severity: str, code: str, place: str
) -> None:
    found = check(_changed(_story(key), table, line, **tags))
    assert (severity, code, place) in {(f.severity, f.code, f.place) for f in found}


def test_a_finding_tells_table_line_and_tag() -> None:
    (found,) = [
        f for f in check(_changed(_story("01"), "XML2", 2, TEN_THUOC="")) if f.code == "bhyt.required"
    ]
    assert (found.table, found.line, found.field) == ("XML2", 2, "TEN_THUOC")
    whole = next(
        f for f in check(_changed(_story("05"), "XML1", 1, MA_LOAI_RV="1")) if f.code == "bhyt.extra-table"
    )
    assert (whole.line, whole.field) == (None, "")
