"""Named functions for ``computed`` items. Each takes the answers it names, in order, and gives a value or
None.

Functions are pure and total: an input that is missing or badly typed gives None.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from benhan.forms.model import Answers, Form, Item


def age_years(birth: Any, on: Any) -> int | None:
    """Full years between birth date (may be a year or a month only) and the day of ``on``."""
    if not isinstance(birth, str) or not isinstance(on, str) or len(on) < 10 or len(birth) < 4:
        return None
    try:
        day = date.fromisoformat(on[:10])
        if len(birth) < 10:
            return day.year - int(birth[:4])
        born = date.fromisoformat(birth[:10])
    except ValueError:
        return None
    years = day.year - born.year - ((day.month, day.day) < (born.month, born.day))
    return years if years >= 0 else None


def treatment_days(start: Any, end: Any) -> int | None:
    """Calendar days from admission to discharge, day of admission not counted, at least 1."""
    try:
        days = (datetime.fromisoformat(end).date() - datetime.fromisoformat(start).date()).days
    except (TypeError, ValueError):
        return None
    return max(days, 1) if days >= 0 else None


def bmi(weight_kg: Any, height_cm: Any) -> Decimal | None:
    """Body mass index, kg/m², one decimal."""
    if not isinstance(weight_kg, Decimal) or not isinstance(height_cm, Decimal):
        return None
    if weight_kg <= 0 or height_cm <= 0:
        return None
    return (weight_kg * 10000 / (height_cm * height_cm)).quantize(Decimal("0.1"), ROUND_HALF_UP)


def total(*parts: Any) -> int | Decimal | None:
    """Sum of the numbers that are there; None when none is."""
    numbers = [p for p in parts if isinstance(p, int | Decimal) and not isinstance(p, bool)]
    return sum(numbers[1:], start=numbers[0]) if numbers else None


def points(*codes: Any) -> int | None:
    """Sum of choice codes read as whole numbers (Apgar, Glasgow, Braden); None unless all are there."""
    try:
        return sum(int(code) for code in codes) if codes and all(isinstance(c, str) for c in codes) else None
    except ValueError:
        return None


def burn_area(rows: Any) -> Decimal | None:
    """Burnt body surface in percent, summed over regions (rows) and depths (columns ``do_1`` … ``do_5``) of the
    burn table; None when no cell is filled."""
    if not isinstance(rows, list):
        return None
    cells = [row.get(f"do_{depth}") for row in rows if isinstance(row, Mapping) for depth in range(1, 6)]
    numbers = [cell for cell in cells if isinstance(cell, Decimal)]
    return sum(numbers[1:], start=numbers[0]) if numbers else None


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "age_years": age_years,
    "treatment_days": treatment_days,
    "bmi": bmi,
    "total": total,
    "points": points,
    "burn_area": burn_area,
}


def compute(form: Form, answers: Answers) -> Answers:
    """The answers with every computed item calculated anew, columns of tables included.

    A computed item whose inputs are missing keeps the value that was given (it may come from the record).
    """
    out = dict(answers)
    for item in form.answerable():
        if item.type == "table" and isinstance(out.get(item.link_id), list):
            out[item.link_id] = [_row(item, row, out) for row in out[item.link_id]]
        elif item.computed is not None:
            _fill(item, out, out, item.link_id)
    return out


def _row(table: Item, row: Mapping[str, Any], answers: Answers) -> dict[str, Any]:
    out = dict(row)
    for column in table.children:
        if column.computed is not None:
            _fill(column, out, {**answers, **out}, column.column)
    return out


def _fill(item: Item, target: dict[str, Any], inputs: Mapping[str, Any], key: str) -> None:
    if item.computed is None:
        return
    value = FUNCTIONS[item.computed.function](*(inputs.get(name) for name in item.computed.of))
    if value is not None:
        target[key] = value
