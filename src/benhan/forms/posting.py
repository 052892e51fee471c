"""Answers ↔ the text fields of a page: names, texts, and reading back what a person typed.

Reading never fails: what cannot be read stays the typed text and ``check`` says why.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any

from benhan.base.clock import VIETNAM
from benhan.base.text import nfc
from benhan.forms import drawing
from benhan.forms.model import Answers, Form, Item
from benhan.forms.values import date_text, describe_value, empty, normal, number_text

_NUMBER = re.compile(r"^[+-]?\d+(?:[.,]\d+)?$")
_TIME = re.compile(
    r"(?<![\d/.-])(\d{1,2})\s*(?::|giờ|h|g)\s*(\d{2})?(?::(\d{2}))?(?:\s*(?:phút|ph))?(?![\d/])", re.I
)
_DAY = re.compile(r"(\d{1,2})[/.-](\d{1,2})[/.-](\d{4})")
_MONTH = re.compile(r"^(\d{1,2})[/.-](\d{4})$")
_MAX_ROWS = 500


def form_fields(form: Form, answers: Mapping[str, Any]) -> dict[str, str]:
    """Every filled HTML field: name → text."""
    out: dict[str, str] = {}
    for item in form.answerable():
        value = answers.get(item.link_id)
        if not empty(value):
            out.update(item_fields(item, item.link_id, value))
    return out


def item_fields(item: Item, name: str, value: Any) -> Iterator[tuple[str, str]]:
    """Name and text of the fields of one answer."""
    if item.type == "table" and isinstance(value, list):
        for n, row in enumerate(value):
            for column in item.children:
                cell = row.get(column.column)
                if not empty(cell) and not (item.rows and column.column in item.rows[n]):
                    yield from item_fields(column, f"{name}#{n}.{column.column}", cell)
    elif item.type == "drawing":
        yield from ((name + part, text) for part, text in drawing.mark_fields(value))
    elif item.repeats and isinstance(value, list):
        for n, one in enumerate(value):
            yield from _fields(item, f"{name}#{box(item, n, one)}", one)
    else:
        yield from _fields(item, name, value)


def box(item: Item, n: int, value: Any) -> int:
    """Number in the field name of the n-th value: for a box that of the box, so that a box keeps its name."""
    boxes = item.ticks
    return n if not boxes else boxes.index(value) if value in boxes else len(boxes) + n


def _fields(item: Item, name: str, value: Any) -> Iterator[tuple[str, str]]:
    if item.type == "code" and isinstance(value, dict):
        if value.get("text"):
            yield name, value["text"]
        if value.get("code"):
            yield f"{name}~code", value["code"]
    else:
        yield name, value_text(item, value)


def value_text(item: Item, value: Any) -> str:
    """Text of one value inside its input."""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, Decimal | int):
        return number_text(value)
    if item.type == "time":
        return describe_value(item, value)
    if item.type in ("date", "datetime"):
        return _moment_text(str(value))
    return str(value)


def _moment_text(value: str) -> str:
    if "T" in value:
        at = _instant(value)
        if at is not None and at.second and at.tzinfo:
            return f"{at.astimezone(VIETNAM):%d/%m/%Y %H:%M:%S}"
    return date_text(value)


def _instant(value: str) -> datetime | None:
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return None


def parse_form_post(form: Form, multidict: Mapping[str, Any]) -> Answers:
    """Answers in a posted page (``linkId``, ``linkId~code``, ``linkId#n``, ``table#n.column`` → text).

    Shape: what is absent or blank is no answer; fields the form does not know are passed over.
    """
    posted = {str(k): nfc(str(v)) for k, v in multidict.items()}
    indices = _indices(posted)
    out: Answers = {}
    for item in form.answerable():
        out[item.link_id] = _read(item, item.link_id, posted, indices)
    return normal(form, out)


def _indices(posted: Mapping[str, str]) -> dict[str, list[int]]:
    """Row numbers posted for each repeating name, in order."""
    found: dict[str, set[int]] = {}
    for name in posted:
        for match in re.finditer(r"#(\d{1,6})(?=[.~]|$)", name):
            found.setdefault(name[: match.start()], set()).add(int(match.group(1)))
    return {name: sorted(numbers)[:_MAX_ROWS] for name, numbers in found.items()}


def _read(item: Item, name: str, posted: Mapping[str, str], indices: Mapping[str, list[int]]) -> Any:
    if item.type == "table":
        numbers = range(len(item.rows)) if item.rows else indices.get(name, [])
        columns = [c for c in item.children if c.holds_answer]
        return [
            {c.column: _read(c, f"{name}#{n}.{c.column}", posted, indices) for c in columns} for n in numbers
        ]
    if item.type == "drawing":
        return {"marks": [_mark(item, f"{name}#{n}.", posted) for n in indices.get(name, [])]}
    if item.repeats:
        return [_one(item, f"{name}#{n}", posted) for n in indices.get(name, [])]
    return _one(item, name, posted)


def _mark(item: Item, start: str, posted: Mapping[str, str]) -> Mapping[str, Any]:
    parts = ("x", "y", "shape", "label", "points", "region")
    return drawing.read_mark(item.figure or "", {p: posted.get(start + p, "") for p in parts})


def _one(item: Item, name: str, posted: Mapping[str, str]) -> Any:
    text = _tidy(item, posted.get(name, ""))
    if item.type == "code":
        code = posted.get(f"{name}~code", "").strip()
        return {"text": text, "code": code} if text or code else None
    return parse_value(item, text) if text else None


def _tidy(item: Item, text: str) -> str:
    text = text.replace("\r\n", "\n").replace("\r", "\n").strip()
    return text if item.type == "longtext" else re.sub(r"\s+", " ", text)


def parse_value(item: Item, text: str) -> Any:
    """The value typed for one item; the text itself when it cannot be read."""
    kind = item.type
    if kind == "boolean":
        return {"1": True, "0": False, "true": True, "false": False, "on": True}.get(text, text)
    if kind == "integer":
        return int(text) if re.fullmatch(r"[+-]?\d{1,9}", text) else text
    if kind in ("decimal", "quantity"):
        return _number(text)
    if kind == "date":
        return parse_date(text) or text
    if kind == "datetime":
        return parse_datetime(text) or text
    if kind == "time":
        return parse_time(text) or text
    return text


def _number(text: str) -> Decimal | str:
    if not _NUMBER.match(text) or len(text) > 30:
        return text
    try:
        return Decimal(text.replace(",", "."))
    except InvalidOperation:
        return text


def parse_date(text: str) -> str | None:
    """``14/03/2026``, ``14032026``, ``03/2026``, ``2026`` or ISO → ISO date of the same precision."""
    digits = re.fullmatch(r"(\d{2})(\d{2})(\d{4})", text)
    match = digits or _DAY.fullmatch(text)
    try:
        if match:
            return date(int(match[3]), int(match[2]), int(match[1])).isoformat()
        month = _MONTH.match(text)
        if month:
            return date(int(month[2]), int(month[1]), 1).isoformat()[:7]
        if re.fullmatch(r"\d{4}", text):
            return text if text != "0000" else None
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
            return date.fromisoformat(text).isoformat()
        if re.fullmatch(r"\d{4}-\d{2}", text):
            return date.fromisoformat(f"{text}-01").isoformat()[:7]
    except ValueError:
        return None
    return None


def parse_time(text: str) -> str | None:
    """``08:05``, ``8h05``, ``8 giờ 5 phút``, ``0805`` → ``08:05:00``."""
    packed = re.fullmatch(r"(\d{2})(\d{2})", text)
    match = packed or _TIME.fullmatch(text)
    if not match:
        return None
    second = match[3] if match.re.groups > 2 else None
    try:
        return time(int(match[1]), int(match[2] or 0), int(second or 0)).isoformat()
    except ValueError:
        return None


def parse_datetime(text: str) -> str | None:
    """``14/03/2026 08:05``, ``8 giờ 05 14/03/2026``, ``140320260805`` or ISO → ISO instant, Vietnamese
    offset if none.
    """
    if re.match(r"^\d{4}-\d{2}-\d{2}T", text):
        at = _instant(text)
        if at is None:
            return None
        return (
            at.isoformat(timespec="seconds")
            if at.tzinfo
            else at.replace(tzinfo=VIETNAM).isoformat(timespec="seconds")
        )
    packed = re.fullmatch(r"(\d{2})(\d{2})(\d{4})\s?(\d{2})(\d{2})", text)
    if packed:
        return _at(packed[1], packed[2], packed[3], packed[4], packed[5], None)
    day, time = _DAY.search(text), _TIME.search(_DAY.sub(" ", text))
    if not day or not time:
        return None
    rest = _TIME.sub(" ", _DAY.sub(" ", text)).replace("ngày", " ").replace(",", " ").strip()
    return None if rest else _at(day[1], day[2], day[3], time[1], time[2], time[3])


def _at(day: str, month: str, year: str, hour: str, minute: str | None, second: str | None) -> str | None:
    try:
        at = datetime(
            int(year), int(month), int(day), int(hour), int(minute or 0), int(second or 0), tzinfo=VIETNAM
        )
    except ValueError:
        return None
    return at.isoformat(timespec="seconds")
