"""Is an answer set right? Types, ranges, patterns, choices, what is required when, and rules between answers.

Sentences are Vietnamese, name the item as the paper does, say the value and what to do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from benhan.base.clock import VIETNAM, local
from benhan.forms import drawing
from benhan.forms.abbreviations import abbreviated
from benhan.forms.fhir_form import is_date, is_datetime, is_time
from benhan.forms.model import MOMENTS, Form, Item, Moment, Rule
from benhan.forms.values import describe_value, empty, holds, number_text


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault. ``link_id`` is the item (a table cell: ``table#row.column``); an error blocks the moment
    asked for.
    """

    link_id: str
    severity: Literal["error", "warning"]
    text: str
    rule: str = ""
    related: tuple[str, ...] = ()


def check(
    form: Form, answers: Mapping[str, Any], at: Moment = "save", now: datetime | None = None
) -> list[Finding]:
    """Every fault of the answers for that moment, in the paper's order; rules between answers last.

    Shape: ``now`` (aware) is needed by rules about the future; without it they are not asked.
    """
    out: list[Finding] = []
    for item in form.answerable():
        value = answers.get(item.link_id)
        if empty(value):
            out.extend(_missing(item, answers, at))
        elif item.type == "table":
            out.extend(_table(item, value, at))
        else:
            out.extend(_each(item, item.link_id, value))
    out.extend(Finding(name, "warning", text, "abbreviation") for name, text in abbreviated(form, answers))
    for rule in form.rules:
        if due(rule.at, at):
            out.extend(_RULES[rule.kind](form, rule, answers, now))
    return out


def due(required_at: Moment, at: Moment) -> bool:
    """Whether what is required at the first moment is already required at the second."""
    return MOMENTS.index(required_at) <= MOMENTS.index(at)


def required(item: Item, answers: Mapping[str, Any], at: Moment) -> bool:
    """Whether the item must have an answer by that moment, given the other answers."""
    if item.enabled_when is not None and not holds(item.enabled_when, answers):
        return False
    if item.required_when is not None:
        return due(item.required_at or "sign", at) and holds(item.required_when, answers)
    return item.required_at is not None and due(item.required_at, at)


def _missing(item: Item, answers: Mapping[str, Any], at: Moment) -> Iterator[Finding]:
    if required(item, answers, at):
        yield Finding(item.link_id, "error", f"Chưa ghi {item.spoken}. {_AFTER[at]}", "required")


_AFTER = {
    "save": "Ghi mục này trước khi lưu.",
    "sign": "Ghi mục này trước khi ký.",
    "close": "Ghi mục này trước khi đóng hồ sơ.",
}


def _table(table: Item, rows: Any, at: Moment) -> Iterator[Finding]:
    for n, row in enumerate(rows):
        for column in table.children:
            if not column.holds_answer:
                continue
            name = f"{table.link_id}#{n}.{column.column}"
            value = row.get(column.column)
            if not empty(value):
                yield from _each(column, name, value, row=n + 1)
            elif column.required_at is not None and due(column.required_at, at):
                yield Finding(
                    name, "error", f"{table.label}, dòng {n + 1}: chưa ghi {column.spoken}.", "required"
                )


def _each(item: Item, name: str, value: Any, row: int | None = None) -> Iterator[Finding]:
    for one in value if item.repeats and isinstance(value, list) else [value]:
        for severity, text, rule in _value(item, one):
            yield Finding(name, severity, text if row is None else f"Dòng {row}: {text}", rule)


Fault = tuple[Literal["error", "warning"], str, str]


def _value(item: Item, value: Any) -> Iterator[Fault]:
    label = item.spoken[:1].upper() + item.spoken[1:]
    wrong = _unreadable(item, value)
    if wrong:
        shown = "" if item.type == "drawing" else f": “{str(value)[:60]}”"
        yield "error", f"{label}{shown} {wrong}", "type"
        return
    if item.max_length and isinstance(value, str) and len(value) > item.max_length:
        yield "error", f"{label} dài {len(value)} ký tự, chỉ được {item.max_length}.", "length"
    elif item.pattern and isinstance(value, str) and not re.search(item.pattern, value):
        yield "error", f"{label} “{value}” sai dạng. {item.pattern_text or ''}".strip(), "pattern"
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        yield from _range(item, label, Decimal(value))
    if item.type == "code" and not value.get("code") and item.code_list == "icd10":
        yield (
            "warning",
            f"{label} “{value['text'][:60]}” chưa có mã ICD-10. Chọn mã trong danh mục.",
            "uncoded",
        )


def _unreadable(item: Item, value: Any) -> str | None:
    kind = item.type
    if kind == "integer" and (not isinstance(value, int) or isinstance(value, bool)):
        return "không phải là số nguyên. Ghi bằng chữ số, ví dụ 12."
    if kind in ("decimal", "quantity") and not isinstance(value, Decimal):
        return "không phải là số. Ghi bằng chữ số, ví dụ 37,5."
    if kind == "boolean" and not isinstance(value, bool):
        return "không phải là Có hoặc Không."
    if kind == "date" and not is_date(value):
        return "không phải là ngày có thật. Ghi ngày/tháng/năm, ví dụ 14/03/2026."
    if kind == "datetime" and not is_datetime(value):
        return "không phải là ngày giờ có thật. Ghi ngày/tháng/năm giờ:phút, ví dụ 14/03/2026 08:05."
    if kind == "time" and not is_time(value):
        return "không phải là giờ có thật. Ghi giờ:phút, ví dụ 08:05."
    if kind == "drawing":
        return drawing.fault(value)
    if kind == "choice" and not item.choice(str(value)):
        return f"không có trong các ô: {', '.join(f'{c.code} {c.label}' for c in item.choices)}."
    if kind == "code" and not isinstance(value, dict):
        return "không phải là mã của danh mục."
    return None


def _range(item: Item, label: str, value: Decimal) -> Iterator[Fault]:
    limits = item.range
    if limits is None:
        return
    shown = describe_value(item, value)
    if (limits.min is not None and value < limits.min) or (limits.max is not None and value > limits.max):
        yield (
            "error",
            f"{label} {shown} nằm ngoài khoảng có thể ({_span(limits.min, limits.max)}). Sửa lại.",
            "range",
        )
    elif (limits.low is not None and value < limits.low) or (limits.high is not None and value > limits.high):
        yield (
            "warning",
            f"{label} {shown} khác thường ({_span(limits.low, limits.high)}). Xem lại.",
            "unusual",
        )


def _span(low: Decimal | None, high: Decimal | None) -> str:
    if low is None or high is None:
        return (
            f"không quá {number_text(high)}" if high is not None else f"từ {number_text(low or Decimal(0))}"
        )
    return f"{number_text(low)}–{number_text(high)}"


def _cells(form: Form, link_id: str, answers: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Name and value of an item, or of every row's cell when it is a table column."""
    table, _, column = link_id.rpartition(".")
    if table in form and form.item(table).type == "table":
        for n, row in enumerate(answers.get(table) or ()):
            yield f"{table}#{n}.{column}", row.get(column)
    else:
        yield link_id, answers.get(link_id)


def _order(form: Form, rule: Rule, answers: Mapping[str, Any], now: datetime | None) -> Iterator[Finding]:
    first, then = (form.item(i) for i in rule.items)
    early: Any = answers.get(first.link_id)
    late: Any = answers.get(then.link_id)
    if not _readable(early) or not _readable(late) or not _before(late, early):
        return
    text = rule.text or (
        f"{_capital(then.spoken)} ({describe_value(then, late)}) sớm hơn "
        f"{first.spoken} ({describe_value(first, early)}). Sửa một trong hai."
    )
    text = _same_day_short(text, early, late)
    yield Finding(then.link_id, rule.severity, text, "order", (first.link_id,))


def _same_day_short(text: str, early: str, late: str) -> str:
    """Leave the hours out where the days alone show the fault."""
    if early[:10] == late[:10]:
        return text
    return re.sub(r"(\d{2}/\d{2}/\d{4}) \d{2}:\d{2}\)", r"\1)", text)


def _readable(value: Any) -> bool:
    return is_date(value) or is_datetime(value)


def _before(a: str, b: str) -> bool:
    """Whether moment ``a`` is surely before ``b``, each of any precision."""
    if "T" in a and "T" in b:
        return datetime.fromisoformat(a) < datetime.fromisoformat(b)
    left, right = (local(datetime.fromisoformat(v)).date().isoformat() if "T" in v else v for v in (a, b))
    length = min(len(left), len(right))
    return left[:length] < right[:length]


def _greater(form: Form, rule: Rule, answers: Mapping[str, Any], now: datetime | None) -> Iterator[Finding]:
    high, low = (form.item(i) for i in rule.items)
    a, b = answers.get(high.link_id), answers.get(low.link_id)
    if isinstance(a, int | Decimal) and isinstance(b, int | Decimal) and a <= b:
        text = rule.text or (
            f"{_capital(high.spoken)} ({describe_value(high, a)}) phải lớn hơn "
            f"{low.spoken} ({describe_value(low, b)}). Xem lại hai số."
        )
        yield Finding(high.link_id, rule.severity, text, "greater", (low.link_id,))


def _together(form: Form, rule: Rule, answers: Mapping[str, Any], now: datetime | None) -> Iterator[Finding]:
    items = [form.item(i) for i in rule.items]
    there = [i for i in items if not empty(answers.get(i.link_id))]
    if there and len(there) < len(items):
        for item in items:
            if item not in there:
                text = rule.text or f"Đã ghi {there[0].spoken} mà chưa ghi {item.spoken}."
                yield Finding(item.link_id, rule.severity, text, "together", (there[0].link_id,))


def _not_future(
    form: Form, rule: Rule, answers: Mapping[str, Any], now: datetime | None
) -> Iterator[Finding]:
    if now is None:
        return
    moment = now.astimezone(VIETNAM).isoformat(timespec="seconds")
    for link_id in rule.items:
        item = form.item(link_id)
        for name, value in _cells(form, link_id, answers):
            if _readable(value) and _before(moment, value):
                text = (
                    rule.text
                    or f"{_capital(item.spoken)} ({describe_value(item, value)}) ở sau lúc này. Xem lại."
                )
                yield Finding(name, rule.severity, text, "not_future")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


_RULES: Mapping[str, Callable[[Form, Rule, Mapping[str, Any], datetime | None], Iterator[Finding]]] = {
    "order": _order,
    "greater": _greater,
    "together": _together,
    "not_future": _not_future,
}
