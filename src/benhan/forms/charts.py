"""Charts drawn from the rows of a table (or from rows made of Observations): one SVG for screen and paper.

The row's time comes from the first datetime, date or time column; hours count from the first row. What lies off
the scale is plotted at its edge with the number beside it (as nurses write it on the paper chart).
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from html import escape
from pathlib import Path
from typing import Any

from benhan.forms.model import Form, Item
from benhan.forms.yaml_file import read_yaml

CHARTS: Mapping[str, Mapping[str, Any]] = read_yaml(
    Path(__file__).parent / "data" / "vocabulary" / "charts.yaml"
).data

_WIDTH, _LEFT, _RIGHT, _PANEL, _GAP, _FOOT = 720, 92, 14, 118, 12, 26
#: letters of a name that stand beside the numbers of its axis
_NAME_LETTERS = 10
_NIGHT = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Point:
    """One measurement: hours since the first row, value."""

    hour: float
    value: float


def chart_svg(form: Form, item: Item, answers: Mapping[str, Any]) -> str:
    """The chart of an item of type ``chart`` as SVG; without rows an empty grid for the hand."""
    table = form.item(item.of) if item.of is not None and item.of in form else None
    rows = answers.get(table.link_id) if table is not None else answers.get(item.link_id)
    given = [r for r in rows if isinstance(r, Mapping)] if isinstance(rows, Sequence) else []
    return draw(item.chart or "vitals", given)


def draw(chart: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """SVG of a chart from rows (column → value in answer shape)."""
    plan = CHARTS[chart]
    timed = _timed(rows)
    panels = [p for p in plan["panels"] if not timed or any(list(_points(s, timed)) for s in p["series"])]
    panels = panels or list(plan["panels"])
    start = timed[0][0] if timed else None
    span = max(((at - timed[0][0]).total_seconds() / 3600 for at, _ in timed), default=0.0)
    scale = _Scale(_step(span), start)
    height = len(panels) * (_PANEL + _GAP) + _FOOT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" '
        f'aria-label="{escape(plan["title"])}" font-family="Tinos" font-size="11">'
    ]
    for n, panel in enumerate(panels):
        parts.extend(_panel(panel, n * (_PANEL + _GAP) + 8, scale, timed))
    parts.extend(scale.hours(len(panels) * (_PANEL + _GAP) + 8))
    return "".join(parts) + "</svg>"


def _step(span: float) -> float:
    """Hours between two vertical lines: twelve columns, whole steps."""
    return next(
        (s for s in (0.25, 0.5, 1, 2, 4, 6, 12, 24, 48) if s * 12 >= span), 24.0 * (int(span / 288) + 1)
    )


@dataclass(frozen=True, slots=True)
class _Scale:
    step: float
    start: datetime | None

    def x(self, hour: float) -> float:
        return _LEFT + hour / (self.step * 12) * (_WIDTH - _LEFT - _RIGHT)

    def hours(self, top: float) -> Iterator[str]:
        for n in range(13):
            if self.start is None:
                text = ""
            else:
                at = self.start + timedelta(hours=self.step * n)
                text = f"{at:%d/%m}" if self.step >= 24 else f"{at:%H:%M}"
            yield f'<text x="{self.x(self.step * n):.1f}" y="{top + 8:.1f}" text-anchor="middle">{text}</text>'


def _panel(
    panel: Mapping[str, Any], top: float, scale: _Scale, timed: list[tuple[datetime, Mapping[str, Any]]]
) -> Iterator[str]:
    low, high, step = float(panel["min"]), float(panel["max"]), float(panel["step"])

    def y(value: float) -> float:
        return top + _PANEL * (1 - (min(max(value, low), high) - low) / (high - low))

    name, _, unit = panel["name"].partition(" (")
    lines = textwrap.wrap(name, _NAME_LETTERS)
    for n, line in enumerate(lines):
        yield f'<text x="4" y="{top + 12 + n * 13:.1f}" font-weight="bold">{escape(line)}</text>'
    down = top + 13 * len(lines)
    if unit:
        yield f'<text x="4" y="{down + 13:.1f}">{escape(unit[:-1])}</text>'
    if len(panel["series"]) > 1:
        for n, one in enumerate(panel["series"]):
            yield _marker(one["mark"], 9, down + 27 + n * 15)
            yield f'<text x="17" y="{down + 31 + n * 15:.1f}" font-size="9">{escape(one["name"])}</text>'
    level = low
    while level <= high:
        yield (
            f'<line x1="{_LEFT}" y1="{y(level):.1f}" x2="{_WIDTH - _RIGHT}" y2="{y(level):.1f}" '
            f'stroke="#999" stroke-width="0.5"/>'
            f'<text x="{_LEFT - 4}" y="{y(level) + 4:.1f}" text-anchor="end" font-size="9">{level:g}</text>'
        )
        level += step
    for n in range(13):
        x = scale.x(scale.step * n)
        yield (
            f'<line x1="{x:.1f}" y1="{top}" x2="{x:.1f}" y2="{top + _PANEL}" stroke="#999" stroke-width="0.5"/>'
        )
    for one in panel["series"]:
        points = list(_points(one, timed))
        if panel.get("guides") == "cervix" and one is panel["series"][0]:
            yield from _guides(points, scale, y)
        yield from _line(one["mark"], points, scale, y, low, high)


def _line(mark: str, points: list[Point], scale: _Scale, y: Any, low: float, high: float) -> Iterator[str]:
    path = " ".join(f"{scale.x(p.hour):.1f},{y(p.value):.1f}" for p in points)
    if len(points) > 1:
        yield f'<polyline points="{path}" fill="none" stroke="#000" stroke-width="0.9"/>'
    for p in points:
        yield _marker(mark, scale.x(p.hour), y(p.value))
        if not low <= p.value <= high:
            yield (
                f'<text x="{scale.x(p.hour) + 5:.1f}" y="{y(p.value) + 4:.1f}" font-size="9" '
                f'font-weight="bold">{p.value:g}</text>'
            )


def _guides(points: list[Point], scale: _Scale, y: Any) -> Iterator[str]:
    """Alert line (1 cm an hour from 4 cm) and action line (four hours later), WHO partograph."""
    begin = next((p.hour for p in points if p.value >= 4), None)
    if begin is None:
        return
    for shift, name in ((0, "báo động"), (4, "hành động")):
        x1, x2 = scale.x(begin + shift), scale.x(begin + shift + 6)
        if x1 > _WIDTH - _RIGHT:
            continue
        end = min(x2, _WIDTH - _RIGHT)
        y2 = y(4 + 6 * (end - x1) / (x2 - x1))
        yield (
            f'<line x1="{x1:.1f}" y1="{y(4):.1f}" x2="{end:.1f}" y2="{y2:.1f}" stroke="#000" stroke-width="0.9" '
            f'stroke-dasharray="5 3"/><text x="{end - 3:.1f}" y="{y2 + 12:.1f}" text-anchor="end" '
            f'font-size="9">{name}</text>'
        )


def _marker(mark: str, x: float, y: float) -> str:
    if mark == "dot":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.6" fill="#000"/>'
    path = {
        "cross": f"M{x - 3:.1f} {y - 3:.1f}L{x + 3:.1f} {y + 3:.1f}M{x - 3:.1f} {y + 3:.1f}L{x + 3:.1f} {y - 3:.1f}",
        "down": f"M{x - 3.5:.1f} {y - 4:.1f}L{x:.1f} {y:.1f}L{x + 3.5:.1f} {y - 4:.1f}",
        "up": f"M{x - 3.5:.1f} {y + 4:.1f}L{x:.1f} {y:.1f}L{x + 3.5:.1f} {y + 4:.1f}",
    }[mark]
    return f'<path d="{path}" fill="none" stroke="#000" stroke-width="1.2"/>'


def _points(series: Mapping[str, Any], timed: list[tuple[datetime, Mapping[str, Any]]]) -> Iterator[Point]:
    for at, row in timed:
        value = next((row[k] for k in series["keys"] if row.get(k) not in (None, "")), None)
        number = _number(value, series.get("part"))
        if number is not None:
            yield Point((at - timed[0][0]).total_seconds() / 3600, number)


def _number(value: Any, part: int | None) -> float | None:
    if isinstance(value, str):
        pieces = value.replace(" ", "").replace(",", ".").split("/")
        if part is not None and len(pieces) == 2:
            value = pieces[part]
        elif len(pieces) == 1:
            value = pieces[0]
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        return None
    try:
        return float(value)
    except ValueError:
        return None


def _timed(rows: Sequence[Mapping[str, Any]]) -> list[tuple[datetime, Mapping[str, Any]]]:
    """Rows with a readable time, in time order (rows with a clock only: a smaller time is the next day)."""
    out: list[tuple[datetime, Mapping[str, Any]]] = []
    clock: list[tuple[datetime, Mapping[str, Any]]] = []
    for row in rows:
        texts = [v for v in row.values() if isinstance(v, str)]
        at = next((m for m in map(_moment, texts) if m is not None), None)
        hour = next((m for m in map(_clock, texts) if m is not None), None)
        if at is not None:
            out.append((at + hour if hour is not None and at.hour == at.minute == 0 else at, row))
        elif hour is not None:
            clock.append((_after(clock, hour), row))
    return sorted(out or clock, key=lambda pair: pair[0])


def _after(before: list[tuple[datetime, Mapping[str, Any]]], hour: timedelta) -> datetime:
    at = datetime(2000, 1, 1) + hour  # noqa: DTZ001 - a clock without a day
    while before and at < before[-1][0]:
        at += _NIGHT
    return at


def _moment(text: str) -> datetime | None:
    if len(text) < 10 or text[4] != "-":
        return None
    try:
        return datetime.fromisoformat(text).replace(tzinfo=None)
    except ValueError:
        return None


def _clock(text: str) -> timedelta | None:
    parts = text.split(":")
    if len(text) != 8 or len(parts) != 3 or not all(p.isdigit() for p in parts):
        return None
    return timedelta(hours=int(parts[0]), minutes=int(parts[1]))
