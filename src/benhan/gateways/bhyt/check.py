"""Checks of a package before it is sent, and by the simulated portal when it is received.

Need, type, length, codes, dates and their order, money to the đồng, one MA_LK. Rules: QĐ 130, 4750, 3176, 1931/QĐ-BYT.
A rule whose source is uncertain gives a warning, not an error; rules between tables stand in :mod:`.together`.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Literal

from benhan.gateways.bhyt import together
from benhan.gateways.bhyt.money import CENT, ZERO, drug_amounts, service_amounts
from benhan.gateways.bhyt.package import Package, Row
from benhan.gateways.bhyt.tables import Field, listed, tables
from benhan.gateways.bhyt.values import moment, number

_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_BED = re.compile(r"[HTCK]\d{3}")
_IDENTITY = re.compile(r"\d{9}|\d{12}|[A-Z]\d{7}")
#: tags whose list has another name, or an older list beside it
_ALSO = {"MA_DOITUONG_KCB": ("MA_DOITUONG_KCB_CU",)}
#: lists that do not claim to be closed
_OPEN_LISTS = frozenset({"TYLE_TT_DV"})
_DRUG_GROUPS = ("4", "5", "6", "7", "17")
_NEEDS_PERFORMER = ("1", "2", "3", "8", "18")
_SUMS = ("T_BNTT", "T_BNCCT", "T_BHTT", "T_NGUONKHAC")


@dataclass(frozen=True, slots=True)
class Finding:
    """A fault. ``place``: table/line/tag; ``code`` of this project (the decision gives none)."""

    severity: Literal["error", "warning"]
    code: str
    place: str
    text: str

    @property
    def table(self) -> str:
        """Table of the fault, such as ``XML2``."""
        return self.place.split("/")[0]

    @property
    def line(self) -> int | None:
        """Line in the table, from 1; None when the whole table is meant."""
        found = re.search(r"/dòng (\d+)", self.place)
        return int(found.group(1)) if found else None

    @property
    def field(self) -> str:
        """Tag at fault; empty when none is."""
        last = self.place.rsplit("/", 1)[-1]
        return "" if last == self.table or last.startswith("dòng ") else last

    def sentence(self) -> str:
        """Place and text, for people."""
        return f"{self.place}: {self.text}"


def errors(findings: Iterable[Finding]) -> list[Finding]:
    """Only what forbids sending."""
    return [f for f in findings if f.severity == "error"]


def check(package: Package, on: date | None = None) -> list[Finding]:
    """All faults of a package. ``on``: day by which lengths are chosen; None: NGAY_RA."""
    day = on or _left_on(package)
    found: list[Finding] = []
    for rows in package.rows.values():
        for row in rows:
            found.extend(_fields(row, day))
            found.extend(_link(package, row))
    if package.table("XML1"):
        found.extend(_lines(package))
        found.extend(_totals(package))
        found.extend(_times(package))
        found.extend(_together(package))
        found.extend(Finding(*fault) for fault in together.faults(package, day))
    elif package.table("XML0"):
        found.extend(Finding(*fault) for fault in together.checkin_faults(package))
    return found


def _left_on(package: Package) -> date:
    head = package.table("XML1")
    at = moment(head[0].get("NGAY_RA")) if head else None
    return at.date() if at else date.max


def _error(code: str, place: str, text: str) -> Finding:
    return Finding("error", code, place, text)


def _warning(code: str, place: str, text: str) -> Finding:
    return Finding("warning", code, place, text)


def _fields(row: Row, day: date) -> Iterator[Finding]:
    for field in tables(day)[row.table].fields:
        text = row.get(field.name)
        place = f"{row.place}/{field.name}"
        if not text:
            if field.required == "always":
                yield _error("bhyt.required", place, f"thiếu {field.title.lower()}")
            continue
        fault = _type_fault(field, text)
        if fault:
            yield _error("bhyt.type", place, fault)
        if field.max_length is not None and len(text) > field.max_length:
            kind = _error if field.certain else _warning
            yield kind("bhyt.length", place, f"dài {len(text)} ký tự, tối đa {field.max_length}")
        yield from _listed(field, text, place, day)


def _listed(field: Field, text: str, place: str, day: date) -> Iterator[Finding]:
    """A code outside its list: an error where most of the list is certain, else a warning."""
    names = (f"{field.table}.{field.name}", field.name, *_ALSO.get(field.name, ()))
    known, certain = listed(names, day)
    if not known:
        return
    certain = certain and field.name not in _OPEN_LISTS
    for part in text.split(";") if field.type == "text" else [text]:
        if part and part not in known:
            kind = _error if certain else _warning
            yield kind("bhyt.code", place, f"mã “{part}” không có trong danh mục")


def _type_fault(field: Field, text: str) -> str:
    if field.type == "number" and not _NUMBER.fullmatch(text):
        return "phải là số, dấu thập phân là dấu chấm"
    if field.type == "date" and not all(len(p) == 8 and moment(p) for p in text.split(";") if p):
        return "phải là ngày yyyymmdd"
    if field.type == "datetime" and not _is_moment(field.name, text):
        return "phải là thời điểm yyyymmddHHMM"
    return ""


def _is_moment(name: str, text: str) -> bool:
    if name == "NGAY_SINH":
        return _is_birth(text)
    if name == "NGAY_MIEN_CCT" and len(text) == 8:
        return moment(text) is not None
    return len(text) == 12 and moment(text) is not None


def _is_birth(text: str) -> bool:
    """Day and month may be 00, hour and minute 0000."""
    if len(text) != 12 or not text.isascii() or not text.isdigit():
        return False
    month, day = text[4:6], text[6:8]
    known = text[:4] + ("01" if month == "00" else month) + ("01" if day == "00" else day) + text[8:]
    return moment(known) is not None


def _link(package: Package, row: Row) -> Iterator[Finding]:
    if row.get("MA_LK") != package.ma_lk:
        text = f"khác MA_LK của XML1 ({package.ma_lk})"
        yield _error("bhyt.ma-lk", f"{row.place}/MA_LK", text)
    identity = row.get("SO_CCCD")
    if identity and not _IDENTITY.fullmatch(identity):
        yield _warning("bhyt.identity", f"{row.place}/SO_CCCD", "không có dạng CCCD, CMND hay hộ chiếu")


def _lines(package: Package) -> Iterator[Finding]:
    for row in package.table("XML2"):
        yield from _drug(row)
    for row in package.table("XML3"):
        yield from _service(row)
    for row in (*package.table("XML2"), *package.table("XML3")):
        yield from _shares(row)


def _drug(row: Row) -> Iterator[Finding]:
    expected = drug_amounts(number(row, "SO_LUONG"), number(row, "DON_GIA"), number(row, "TYLE_TT_BH"))
    yield from _amounts(row, expected)
    group = row.get("MA_NHOM")
    if group not in _DRUG_GROUPS:
        yield _error("bhyt.group", f"{row.place}/MA_NHOM", f"nhóm {group} không dùng ở XML2")
    if group not in ("7", "17") and not row.get("TT_THAU"):
        yield _warning("bhyt.tender", f"{row.place}/TT_THAU", "thiếu thông tin thầu")


def _service(row: Row) -> Iterator[Finding]:
    expected = service_amounts(
        *(number(row, n) for n in ("SO_LUONG", "DON_GIA_BV", "DON_GIA_BH", "TYLE_TT_DV", "TYLE_TT_BH"))
    )
    yield from _amounts(row, expected)
    group = row.get("MA_NHOM")
    if group in _DRUG_GROUPS:
        yield _error("bhyt.group", f"{row.place}/MA_NHOM", f"nhóm {group} không dùng ở XML3")
    if not row.get("MA_DICH_VU") and not row.get("MA_VAT_TU"):
        yield _error("bhyt.object", f"{row.place}/MA_DICH_VU", "thiếu cả mã dịch vụ và mã vật tư")
    if group in _NEEDS_PERFORMER:
        for name in ("NGUOI_THUC_HIEN", "NGAY_TH_YL"):
            if not row.get(name):
                yield _error("bhyt.required", f"{row.place}/{name}", f"bắt buộc với nhóm {group}")
    if group == "10" and not row.get("TT_THAU"):
        yield _error("bhyt.tender", f"{row.place}/TT_THAU", "vật tư nhóm 10 phải có thông tin thầu")
    if group == "12" and not row.get("MA_XANG_DAU"):
        yield _error("bhyt.required", f"{row.place}/MA_XANG_DAU", "bắt buộc với nhóm 12")
    beds = [b for b in row.get("MA_GIUONG").split(";") if b]
    if not all(_BED.fullmatch(b) for b in beds):
        yield _error("bhyt.bed", f"{row.place}/MA_GIUONG", "mã giường là H, T, C hoặc K và ba chữ số")


def _amounts(row: Row, expected: tuple[Decimal, Decimal]) -> Iterator[Finding]:
    for name, value in zip(("THANH_TIEN_BV", "THANH_TIEN_BH"), expected, strict=True):
        if abs(number(row, name) - value) > CENT:
            yield _error("bhyt.amount", f"{row.place}/{name}", f"ghi {row.get(name)}, tính được {value}")


def _shares(row: Row) -> Iterator[Finding]:
    sources = sum((number(row, f"T_NGUONKHAC_{s}") for s in ("NSNN", "VTNN", "VTTN", "CL")), ZERO)
    if sources != number(row, "T_NGUONKHAC"):
        yield _error("bhyt.sum", f"{row.place}/T_NGUONKHAC", "khác tổng bốn nguồn")
    if sum((number(row, n) for n in _SUMS), ZERO) != number(row, "THANH_TIEN_BV"):
        text = "THANH_TIEN_BV khác T_BNTT + T_BNCCT + T_BHTT + T_NGUONKHAC"
        yield _error("bhyt.sum", f"{row.place}/THANH_TIEN_BV", text)
    if row.get("PHAM_VI") == "2" and number(row, "THANH_TIEN_BH") != 0:
        yield _error("bhyt.scope", f"{row.place}/THANH_TIEN_BH", "ngoài phạm vi BHYT thì phải bằng 0")


def _totals(package: Package) -> Iterator[Finding]:
    head = package.table("XML1")[0]
    drugs, services = package.table("XML2"), package.table("XML3")
    lines = (*drugs, *services)

    def total(name: str, rows: Iterable[Row]) -> Decimal:
        return sum((number(r, name) for r in rows), ZERO)

    expected = {
        "T_THUOC": total("THANH_TIEN_BV", drugs),
        "T_VTYT": total("THANH_TIEN_BV", [r for r in services if r.get("MA_NHOM") in ("10", "11")]),
        "T_TONGCHI_BV": total("THANH_TIEN_BV", lines),
        "T_TONGCHI_BH": total("THANH_TIEN_BH", lines),
        "T_BHTT_GDV": total("T_BHTT", [r for r in lines if r.get("MA_PTTT") == "1"]),
        **{name: total(name, lines) for name in _SUMS},
    }
    formula = number(head, "T_TONGCHI_BH") - number(head, "T_BNCCT")
    for name, value in expected.items():
        told = number(head, name)
        if told != value and not (name in ("T_BHTT", "T_BHTT_GDV") and told == formula):
            yield _error(
                "bhyt.total", f"{head.place}/{name}", f"ghi {head.get(name)}, cộng các dòng được {value}"
            )
    if number(head, "T_BHTT") != formula:
        yield _warning("bhyt.total", f"{head.place}/T_BHTT", "khác T_TONGCHI_BH − T_BNCCT")


def _times(package: Package) -> Iterator[Finding]:
    head = package.table("XML1")[0]
    yield from _order(head, ("NGAY_VAO", "NGAY_VAO_NOI_TRU", "NGAY_RA"))
    left, paid = moment(head.get("NGAY_RA")), moment(head.get("NGAY_TTOAN"))
    if left and paid and paid < left:
        yield _warning("bhyt.order", f"{head.place}/NGAY_TTOAN", "trước NGAY_RA")
    arrived = moment(head.get("NGAY_VAO"))
    for name, tag in (("XML2", "NGAY_YL"), ("XML3", "NGAY_YL"), ("XML5", "THOI_DIEM_DBLS")):
        for row in package.table(name):
            at = moment(row.get(tag))
            if at and arrived and left and not arrived <= at <= left:
                yield _warning("bhyt.outside", f"{row.place}/{tag}", "ngoài khoảng từ lúc đến tới lúc ra")
    for row in (*package.table("XML2"), *package.table("XML3")):
        yield from _order(row, ("NGAY_YL", "NGAY_TH_YL", "NGAY_KQ"))


def _order(row: Row, names: tuple[str, ...]) -> Iterator[Finding]:
    known = [(name, at) for name in names if (at := moment(row.get(name)))]
    for (earlier, first), (later, second) in itertools.pairwise(known):
        if second < first:
            yield _error("bhyt.order", f"{row.place}/{later}", f"trước {earlier}")


def _together(package: Package) -> Iterator[Finding]:
    head = package.table("XML1")[0]
    if head.get("MA_CSKCB") != package.facility:
        yield _error("bhyt.facility", f"{head.place}/MA_CSKCB", "khác mã cơ sở của gói")
    if head.get("MA_LOAI_KCB") == "03" and not package.table("XML7"):
        yield _error("bhyt.missing-table", "XML7", "điều trị nội trú phải có giấy ra viện (XML7)")
    if head.get("MA_LOAI_RV") in ("2", "5") and not package.table("XML13"):
        yield _warning("bhyt.missing-table", "XML13", "chuyển cơ sở phải có giấy chuyển (XML13)")
    if len([c for c in head.get("MA_BENH_KT").split(";") if c]) > 12:
        yield _error("bhyt.too-many", f"{head.place}/MA_BENH_KT", "quá 12 mã bệnh kèm theo")
    if ";" in head.get("MA_BENH_CHINH"):
        yield _error("bhyt.too-many", f"{head.place}/MA_BENH_CHINH", "phải có đúng một mã")
    cards = [c for c in head.get("MA_THE_BHYT").split(";") if c]
    if not all(len(c) in (10, 15) for c in cards):
        yield _error("bhyt.card", f"{head.place}/MA_THE_BHYT", "thẻ có 15 ký tự hoặc mã số BHXH 10 số")
    for name in ("MA_DKBD", "GT_THE_TU"):
        if cards and len(head.get(name).split(";")) != len(cards):
            yield _error("bhyt.card", f"{head.place}/{name}", "số giá trị khác số thẻ")
    for name in ("NGAY_VAO", "NGAY_RA"):
        for row in (*package.table("XML7"), *package.table("XML8")):
            if row.get(name) and row.get(name) != head.get(name):
                yield _error("bhyt.repeat", f"{row.place}/{name}", "khác XML1")
