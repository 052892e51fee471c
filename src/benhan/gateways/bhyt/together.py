"""Rules between the tags of a line and between tables: cards of the day, shares, needs that follow from other tags.

Rules: QĐ 130, 4750, 3176/QĐ-BYT (``docs/reference/bhyt.md``). What the sources leave open is a warning. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from typing import Literal

from benhan.base.errors import RuleViolation
from benhan.gateways.bhyt.money import CENT, split
from benhan.gateways.bhyt.package import Package, Row
from benhan.gateways.bhyt.tables import tables
from benhan.gateways.bhyt.values import day_of, moment, number, parts

Fault = tuple[Literal["error", "warning"], str, str, str]
_INPATIENT = ("03", "04")
_WITH_COURSE = ("02", "03", "04", "05", "06", "08", "09")
_REPEATS_XML1 = "phải trùng XML1"
_NEWBORN = timedelta(days=28)


def faults(package: Package, day: date) -> Iterator[Fault]:
    """Faults between tables of a đợt; ``day`` chooses the version of the tables."""
    head = package.table("XML1")[0]
    yield from _admission(package, head)
    yield from _cards(package, head)
    for row in (*package.table("XML2"), *package.table("XML3")):
        yield from _shares(row)
    yield from _services(package)
    yield from _results(package)
    yield from _papers(package, head)
    yield from _repeats(package, head, day)
    yield from _numbers(package)


def checkin_faults(package: Package) -> Iterator[Fault]:
    """Faults of a check-in (XML0): exactly one of service, drug and supply, each with its name."""
    for row in package.table("XML0"):
        named = [n for n in ("DICH_VU", "THUOC", "VAT_TU") if row.get(f"MA_{n}")]
        if len(named) != 1:
            text = "phải có đúng một trong MA_DICH_VU, MA_THUOC, MA_VAT_TU"
            yield "error", "bhyt.object", f"{row.place}/MA_DICH_VU", text
        for name in named:
            yield from _needed(row, f"TEN_{name}", f"bắt buộc khi có MA_{name}")
        if row.get("NGAY_VAO_NOI_TRU"):
            yield from _needed(row, "LY_DO_VNT", "bắt buộc khi có NGAY_VAO_NOI_TRU")


def _needed(row: Row, name: str, text: str) -> Iterator[Fault]:
    if not row.get(name):
        yield "error", "bhyt.required", f"{row.place}/{name}", text


def _admission(package: Package, head: Row) -> Iterator[Fault]:
    kind = head.get("MA_LOAI_KCB")
    if kind in _INPATIENT:
        for name in ("NGAY_VAO_NOI_TRU", "LY_DO_VNT"):
            yield from _needed(head, name, "bắt buộc khi điều trị nội trú, ban ngày")
    if kind in _WITH_COURSE and not package.table("XML5"):
        yield "warning", "bhyt.missing-table", "XML5", f"loại hình {kind} phải có diễn biến lâm sàng (XML5)"
    arrived, left = day_of(head.get("NGAY_VAO")), day_of(head.get("NGAY_RA"))
    born = day_of(head.get("NGAY_SINH"))
    if arrived and left:
        days = 0 if kind in ("01", "07", "09") else (left - arrived).days + 1
        if kind not in ("02", "05", "08") and number(head, "SO_NGAY_DTRI") != days:
            text = f"ghi {head.get('SO_NGAY_DTRI')}, tính được {days}"
            yield "warning", "bhyt.days", f"{head.place}/SO_NGAY_DTRI", text
    if arrived and born and arrived - born <= _NEWBORN and head.get("NGAY_SINH").endswith("0000"):
        yield "warning", "bhyt.newborn", f"{head.place}/NGAY_SINH", "trẻ đến 28 ngày tuổi ghi cả giờ, phút"
    if len(parts(head, "MA_BENH_YHCT")) > 13:
        yield "error", "bhyt.too-many", f"{head.place}/MA_BENH_YHCT", "quá 13 mã bệnh y học cổ truyền"


def _periods(head: Row) -> list[tuple[date, date]]:
    """Validity of each card as told; an empty end is open."""
    starts, ends = head.get("GT_THE_TU").split(";"), head.get("GT_THE_DEN").split(";")
    found: list[tuple[date, date]] = []
    for index, start in enumerate(starts):
        first = day_of(start)
        last = day_of(ends[index]) if index < len(ends) else None
        if first:
            found.append((first, last or date.max))
    return found


def _cards(package: Package, head: Row) -> Iterator[Fault]:
    """Every line the insurer pays lies within a card."""
    periods = _periods(head)
    cards = bool(parts(head, "MA_THE_BHYT"))
    for row in (*package.table("XML2"), *package.table("XML3")):
        if row.get("PHAM_VI") == "2" or not number(row, "THANH_TIEN_BH"):
            continue
        if not cards:
            yield "error", "bhyt.card", f"{row.place}/PHAM_VI", "không có thẻ BHYT thì phải là 2"
            continue
        tag = "NGAY_TH_YL" if row.get("NGAY_TH_YL") else "NGAY_YL"
        on = day_of(row.get(tag))
        if on and periods and not any(first <= on <= last for first, last in periods):
            yield "error", "bhyt.card-period", f"{row.place}/{tag}", "không có thẻ nào còn giá trị ngày này"


def _shares(row: Row) -> Iterator[Fault]:
    """T_BNTT, T_BNCCT and T_BHTT follow from MUC_HUONG; with other sources the decision leaves several ways."""
    percent, other = number(row, "MUC_HUONG"), number(row, "T_NGUONKHAC")
    if not 0 <= percent <= 100:
        yield "error", "bhyt.percent", f"{row.place}/MUC_HUONG", "phải từ 0 đến 100"
        return
    try:
        due = split(number(row, "THANH_TIEN_BV"), number(row, "THANH_TIEN_BH"), percent, other)
    except RuleViolation as error:
        yield "error", "bhyt.other-source", f"{row.place}/T_NGUONKHAC", error.text.rstrip(".")
        return
    severity: Literal["error", "warning"] = "warning" if other else "error"
    expected: dict[str, Decimal] = {"T_BNTT": due.bntt, "T_BNCCT": due.bncct, "T_BHTT": due.bhtt}
    for name, value in expected.items():
        if abs(number(row, name) - value) > CENT:
            text = f"ghi {row.get(name)}, tính được {value}"
            yield severity, "bhyt.share", f"{row.place}/{name}", text


def _services(package: Package) -> Iterator[Fault]:
    for row in package.table("XML3"):
        for name in ("DICH_VU", "VAT_TU"):
            if row.get(f"MA_{name}"):
                yield from _needed(row, f"TEN_{name}", f"bắt buộc khi có MA_{name}")


def _results(package: Package) -> Iterator[Fault]:
    charged = {row.get("MA_DICH_VU") for row in package.table("XML3")}
    left = moment(package.table("XML1")[0].get("NGAY_RA"))
    for row in package.table("XML4"):
        if row.get("GIA_TRI"):
            yield from _needed(row, "NGAY_KQ", "bắt buộc khi có GIA_TRI")
        if row.get("MA_DICH_VU") not in charged:
            text = f"dịch vụ {row.get('MA_DICH_VU')} không có ở XML3"
            yield "warning", "bhyt.result", f"{row.place}/MA_DICH_VU", text
        at = moment(row.get("NGAY_KQ"))
        if at and left and at > left + timedelta(days=7):
            text = "kết quả về sau 7 ngày phải nhập trên Cổng"
            yield "warning", "bhyt.late-result", f"{row.place}/NGAY_KQ", text


def _papers(package: Package, head: Row) -> Iterator[Fault]:
    for row in (*package.table("XML7"), *package.table("XML11")):
        if row.get("MA_DINH_CHI_THAI") == "1":
            for name in ("NGUYENNHAN_DINHCHI", "TUOI_THAI"):
                yield from _needed(row, name, "bắt buộc khi đình chỉ thai nghén")
    for row in package.table("XML7"):
        if row.get("SO_NGAY_NGHI"):
            for name in ("NGOAITRU_TUNGAY", "NGOAITRU_DENNGAY"):
                yield from _needed(row, name, "bắt buộc khi có SO_NGAY_NGHI")
    for row in package.table("XML11"):
        if number(row, "SO_NGAY_NGHI") > 180:
            yield "error", "bhyt.sick-leave", f"{row.place}/SO_NGAY_NGHI", "tối đa 180 ngày"
        elif number(row, "SO_NGAY_NGHI") > 30:
            yield (
                "warning",
                "bhyt.sick-leave",
                f"{row.place}/SO_NGAY_NGHI",
                "quá 30 ngày: chỉ với lao, sẩy thai",
            )
    if package.table("XML13") and head.get("MA_LOAI_RV") not in ("2", "5"):
        yield "error", "bhyt.extra-table", "XML13", "chỉ gửi khi MA_LOAI_RV là 2 hoặc 5"
    left = day_of(head.get("NGAY_RA"))
    for row in package.table("XML14"):
        back = day_of(row.get("NGAY_HEN_KL"))
        if back and left and back < left:
            yield "error", "bhyt.order", f"{row.place}/NGAY_HEN_KL", "trước NGAY_RA"


def _repeats(package: Package, head: Row, day: date) -> Iterator[Fault]:
    """Tags of other tables that repeat XML1 say the same."""
    for name, table in tables(day).items():
        repeated = [f for f in table.fields if _REPEATS_XML1 in f.note and f.name in head.values]
        for row in package.table(name):
            for field in repeated:
                text = row.get(field.name)
                if text and text != head.get(field.name):
                    severity: Literal["error", "warning"] = "error" if field.certain else "warning"
                    yield severity, "bhyt.repeat", f"{row.place}/{field.name}", "khác XML1"


def _numbers(package: Package) -> Iterator[Fault]:
    for rows in package.rows.values():
        seen: set[str] = set()
        for row in rows:
            text = row.get("STT")
            if text and text in seen:
                yield "warning", "bhyt.sequence", f"{row.place}/STT", f"số thứ tự {text} có hai lần"
            seen.add(text)
