"""What each tag must look like by itself: need, type, length, code list, and the tags that repeat XML1.

All of it follows from the rows of ``data/fields.csv`` and ``data/codes.csv`` as they hold on a day; each row is a rule
with its id (``XML2.TEN_THUOC.required``). What is not certain in the source is a warning.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Literal

from benhan.gateways.bhyt.package import Package, Row
from benhan.gateways.bhyt.rules.finding import Finding
from benhan.gateways.bhyt.tables import Field, generation, listed, tables
from benhan.gateways.bhyt.values import moment

Kind = Literal["required", "type", "length", "code", "repeat"]
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_IDENTITY = re.compile(r"\d{9}|\d{12}|[A-Z]\d{7}")
_REPEATS_XML1 = "phải trùng XML1"
#: tags whose list has another name, or an older list beside it
_ALSO = {"MA_DOITUONG_KCB": ("MA_DOITUONG_KCB_CU",)}
#: lists that do not claim to be closed
_OPEN_LISTS = frozenset({"TYLE_TT_DV"})


@dataclass(frozen=True, slots=True)
class FieldRule:
    """One rule that follows from a row of the tables."""

    id: str
    table: str
    field: str
    kind: Kind
    severity: Literal["error", "warning"]
    title: str
    limit: int | None = None


def field_rules(day: date) -> tuple[FieldRule, ...]:
    """Every structure rule in force on a day."""
    return tuple(
        FieldRule(f"{f.table}.{f.name}.{kind}", f.table, f.name, kind, severity, f.title, f.max_length)
        for table in tables(day).values()
        for f in table.fields
        for kind, severity in _kinds(f, day)
    )


def _kinds(field: Field, day: date) -> Iterator[tuple[Kind, Literal["error", "warning"]]]:
    sure: Literal["error", "warning"] = "error" if field.certain else "warning"
    if field.required == "always":
        yield "required", "error"
    if field.type != "text":
        yield "type", "error"
    if field.max_length is not None:
        yield "length", sure
    known, certain = listed(_systems(field), day)
    if known:
        yield "code", "error" if certain and field.name not in _OPEN_LISTS else "warning"
    if _REPEATS_XML1 in field.note:
        yield "repeat", sure


def _systems(field: Field) -> tuple[str, ...]:
    return (f"{field.table}.{field.name}", field.name, *_ALSO.get(field.name, ()))


def closed_list(field: Field, day: date) -> frozenset[str]:
    """Codes outside which a value is an error; empty when the list is open, uncertain or holds several values."""
    known, certain = listed(_systems(field), day)
    return known if certain and field.name not in _OPEN_LISTS and field.type != "text" else frozenset()


def structure_faults(package: Package, day: date) -> Iterator[Finding]:
    """All faults of single tags, and tags that say another thing than XML1."""
    heads = package.table("XML1")
    for rows in package.rows.values():
        for row in rows:
            yield from _fields(row, day)
            yield from _link(package, row)
            if heads and row.table != "XML1":
                yield from _repeats(row, heads[0], day)


@dataclass(frozen=True, slots=True)
class _Plan:
    """A field with everything its check needs on a day."""

    field: Field
    name: str
    required: bool
    limit: int
    typed: bool
    several: bool
    known: frozenset[str]
    sure_list: bool


@lru_cache(maxsize=512)
def _plans(table: str, day: date, generation: int) -> tuple[_Plan, ...]:
    made = []
    for field in tables(day)[table].fields:
        known, certain = listed(_systems(field), day)
        limit = field.max_length if field.max_length is not None else 1 << 62
        sure = certain and field.name not in _OPEN_LISTS
        made.append(
            _Plan(
                field,
                field.name,
                field.required == "always",
                limit,
                field.type != "text",
                field.type == "text",
                known,
                sure,
            )
        )
    return tuple(made)


def _fields(row: Row, day: date) -> Iterator[Finding]:
    values = row.values
    for plan in _plans(row.table, day, generation()):
        text = values.get(plan.name, "")
        if not text:
            if plan.required:
                told = f"thiếu {plan.field.title.lower()}"
                yield _finding(row, plan, "required", told, sure=True)
            continue
        if plan.typed:
            fault = _type_fault(plan.field, text)
            if fault:
                yield _finding(row, plan, "type", fault, sure=True)
        if len(text) > plan.limit:
            told = f"dài {len(text)} ký tự, tối đa {plan.limit}"
            yield _finding(row, plan, "length", told, sure=plan.field.certain)
        if plan.known and text not in plan.known:
            for part in text.split(";") if plan.several else [text]:
                if part and part not in plan.known:
                    told = f"mã “{part}” không có trong danh mục"
                    yield _finding(row, plan, "code", told, sure=plan.sure_list)


def _finding(row: Row, plan: _Plan, kind: Kind, text: str, *, sure: bool) -> Finding:
    rule = f"{row.table}.{plan.name}.{kind}"
    return Finding("error" if sure else "warning", f"bhyt.{kind}", f"{row.place}/{plan.name}", text, rule)


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
        yield Finding("error", "bhyt.ma-lk", f"{row.place}/MA_LK", text, "MA_LK")
    identity = row.get("SO_CCCD")
    if identity and not _IDENTITY.fullmatch(identity):
        text = "không có dạng CCCD, CMND hay hộ chiếu"
        yield Finding("warning", "bhyt.identity", f"{row.place}/SO_CCCD", text, "SO_CCCD")


@lru_cache(maxsize=512)
def _repeating(table: str, day: date, generation: int) -> tuple[Field, ...]:
    return tuple(f for f in tables(day)[table].fields if _REPEATS_XML1 in f.note)


def _repeats(row: Row, head: Row, day: date) -> Iterator[Finding]:
    """Tags that repeat XML1 say the same."""
    for field in _repeating(row.table, day, generation()):
        if field.name not in head.values:
            continue
        text = row.get(field.name)
        if text and text != head.get(field.name):
            severity: Literal["error", "warning"] = "error" if field.certain else "warning"
            rule = f"{field.table}.{field.name}.repeat"
            yield Finding(
                severity,
                "bhyt.repeat",
                f"{row.place}/{field.name}",
                "khác giá trị ở XML1: sửa cho khớp",
                rule,
            )
