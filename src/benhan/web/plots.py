"""Series as plots read them: instants, values, a reference band, events on the same axis. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from benhan.records import Point
from benhan.web import show


def series(
    title: str,
    unit: str,
    points: Sequence[Point],
    low: Decimal | None,
    high: Decimal | None,
    events: Iterable[tuple[Any, str]] = (),
) -> dict[str, Any]:
    """One plotted series; instants in epoch seconds."""
    return {
        "title": f"{title} ({show.unit(unit)})" if unit else title,
        "x": [int(p.at.timestamp()) for p in points],
        "lines": [{"label": title, "y": [float(p.value) for p in points]}],
        "low": None if low is None else float(low),
        "high": None if high is None else float(high),
        "events": [{"x": int(at.timestamp()), "text": text} for at, text in events],
    }


def sparkline(points: Sequence[Point], width: int = 90, height: int = 22) -> str:
    """Points of an SVG polyline for the last twelve values; empty when there are fewer than two."""
    last = [float(p.value) for p in points[-12:]]
    if len(last) < 2:
        return ""
    least, most = min(last), max(last)
    span = (most - least) or 1.0
    step = (width - 6) / (len(last) - 1)
    return " ".join(
        f"{3 + n * step:.1f},{height - 4 - (v - least) / span * (height - 8):.1f}" for n, v in enumerate(last)
    )


def range_text(low: Decimal | None, high: Decimal | None) -> str:
    """Reference range as written beside a value."""
    if low is None and high is None:
        return ""
    if low is None:
        return f"≤ {show.number(high)}"
    return f"≥ {show.number(low)}" if high is None else f"{show.number(low)} – {show.number(high)}"
