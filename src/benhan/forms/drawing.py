"""Marks on a figure: their value, their text, and the picture with the marks on it.

The value of a ``drawing`` item is ``{"marks": [mark, …]}``; a mark is ``{"x", "y", "shape", "label"?,
"points"?}`` with coordinates from 0 to 1 of the figure's width and height (three digits), shape ``point``,
``line`` or ``area``; ``points`` (``[[x, y], …]``) are the further corners of a line or an area. As FHIR it is
a ``valueString`` holding that JSON (decision 0016). Figures are our own line drawings in
``data/figures/<name>.svg``; an element with ``data-region`` and ``data-at="x,y"`` is a region that can be
chosen by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import orjson
from lxml import etree

from benhan.base import xml_door

FIGURES = Path(__file__).parent / "data" / "figures"
SHAPES: Mapping[str, str] = {"point": "Điểm", "line": "Đường", "area": "Vùng tô"}
_SVG = "{http://www.w3.org/2000/svg}"
_INK = "#b00020"


@dataclass(frozen=True, slots=True)
class Region:
    """A part of a figure that can be chosen by name; ``x``, ``y`` is where its mark goes."""

    key: str
    name: str
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Figure:
    """A line drawing: SVG text, size in its own units, named regions. ``known`` is False for an empty frame."""

    name: str
    svg: str
    width: float
    height: float
    regions: tuple[Region, ...]
    known: bool = True


@lru_cache(maxsize=128)
def figure(name: str) -> Figure:
    """The figure of that name; an empty frame when it is not drawn (a test refuses that for shipped forms)."""
    path = FIGURES / f"{name}.svg"
    if not path.is_file():
        frame = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 300 200"></svg>'
        return Figure(name, frame, 300.0, 200.0, (), known=False)
    root = xml_door.parse(path.read_bytes())
    _, _, width, height = (float(part) for part in str(root.get("viewBox")).split())
    regions = tuple(_regions(root))
    return Figure(name, etree.tostring(root, encoding="unicode"), width, height, regions)


def figures() -> list[str]:
    """Names of all drawn figures."""
    return sorted(path.stem for path in FIGURES.glob("*.svg"))


def _regions(root: Any) -> Iterator[Region]:
    for node in root.iter():
        if isinstance(node.tag, str) and node.get("data-region"):
            x, y = str(node.get("data-at")).split(",")
            title = node.findtext(f"{_SVG}title") or node.get("data-region")
            yield Region(node.get("data-region"), title, float(x), float(y))


def clean(value: Any) -> dict[str, Any] | str | None:
    """The value in its normal form: numbers of three digits, empty marks and parts left out."""
    if isinstance(value, str) or not isinstance(value, Mapping):
        return value if isinstance(value, str) and value else None
    marks = [_mark(m) for m in value.get("marks") or () if isinstance(m, Mapping)]
    kept = [m for m in marks if "x" in m or "y" in m or "label" in m]
    return {"marks": kept} if kept else None


def _mark(raw: Mapping[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for axis in ("x", "y"):
        if raw.get(axis) not in (None, ""):
            out[axis] = _number(raw[axis])
    out["shape"] = raw.get("shape") or "point"
    points = [[_number(a) for a in p] for p in raw.get("points") or ()]
    if points and out["shape"] != "point":
        out["points"] = points
    if raw.get("label"):
        out["label"] = str(raw["label"])
    return out


def _number(value: Any) -> Any:
    try:
        return round(float(value), 3)
    except (TypeError, ValueError):
        return value


def fault(value: Any) -> str | None:
    """What is wrong with a drawing's value, as the end of a sentence; None when it is right."""
    if not isinstance(value, Mapping):
        return "không phải là các dấu vẽ trên hình."
    for n, mark in enumerate(value["marks"], start=1):
        spots = [(mark.get("x"), mark.get("y")), *mark.get("points", ())]
        if any(not isinstance(a, int | float) or not 0 <= a <= 1 for spot in spots for a in spot):
            return f"có dấu {n} chưa rõ vị trí. Chọn vùng, hoặc ghi hai số từ 0 đến 100."
        if mark["shape"] not in SHAPES:
            return f"có dấu {n} không rõ hình. Chọn điểm, đường hoặc vùng."
        if mark["shape"] != "point" and not mark.get("points"):
            return f"có dấu {n} là {SHAPES[mark['shape']].lower()} mà chỉ có một điểm. Ghi thêm các điểm."
    return None


def dump(value: Mapping[str, Any]) -> str:
    """JSON text of the value, the same for the same value."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def load(text: str) -> Any:
    """The value in its JSON text; the text itself when it is none."""
    try:
        return clean(orjson.loads(text)) or text
    except orjson.JSONDecodeError:
        return text


def describe(value: Any) -> str:
    """The marks in words: ``1. Bỏng độ II; 2. …``."""
    if not isinstance(value, Mapping):
        return str(value)
    texts = (mark.get("label") or SHAPES.get(mark["shape"], "").lower() for mark in value["marks"])
    return "; ".join(f"{n}. {text}" for n, text in enumerate(texts, start=1))


def mark_fields(value: Any) -> Iterator[tuple[str, str]]:
    """Part of the field name after the item's and text of each field of the marks."""
    for n, mark in enumerate(value["marks"] if isinstance(value, Mapping) else ()):
        for axis in ("x", "y"):
            if axis in mark:
                yield f"#{n}.{axis}", percent(mark[axis])
        yield f"#{n}.shape", str(mark["shape"])
        if "points" in mark:
            yield f"#{n}.points", points_text(mark["points"])
        if "label" in mark:
            yield f"#{n}.label", mark["label"]


def points_text(points: Any) -> str:
    """Corners as typed: ``12,5 30; 40 50`` (percent)."""
    return "; ".join(" ".join(percent(a) for a in p) for p in points)


def percent(value: Any) -> str:
    """0.125 → ``12,5``."""
    if not isinstance(value, int | float):
        return str(value)
    return f"{value * 100:.1f}".removesuffix(".0").replace(".", ",")


def read_mark(name: str, parts: Mapping[str, str]) -> dict[str, Any]:
    """A mark from its posted fields; a chosen region gives the place and, without label, the words."""
    out: dict[str, Any] = {axis: _fraction(parts.get(axis, "")) for axis in ("x", "y")}
    out["shape"] = parts.get("shape", "") if parts.get("shape") in SHAPES else "point"
    out["label"] = " ".join(parts.get("label", "").split())
    corners = [c.split() for c in parts.get("points", "").split(";") if c.strip()]
    out["points"] = [[_fraction(a) for a in corner] for corner in corners]
    region = next((r for r in figure(name).regions if r.key == parts.get("region")), None)
    if region is not None and out["x"] == "" and out["y"] == "":
        out["x"], out["y"] = region.x, region.y
        out["label"] = out["label"] or region.name
    return out


def _fraction(text: str) -> Any:
    try:
        return float(text.strip().replace(",", ".")) / 100 if text.strip() else ""
    except ValueError:
        return text.strip()


def drawn(name: str, value: Any = None, *, title: str = "") -> str:
    """SVG of the figure with the value's marks and their numbers."""
    plan = figure(name)
    head, _, _ = plan.svg.rpartition("</svg>")
    if not head:
        head = plan.svg.replace("/>", ">", 1)
    if title:
        start = head.index(">", head.index("<svg")) + 1
        head = head[: start - 1] + f' role="img" aria-label={quoteattr(title)}>' + head[start:]
    marks = value["marks"] if isinstance(value, Mapping) else ()
    body = "".join(
        _shape(plan, n, mark) for n, mark in enumerate(marks, start=1) if not fault({"marks": [mark]})
    )
    return f"{head}{body}</svg>"


def _shape(plan: Figure, n: int, mark: Mapping[str, Any]) -> str:
    unit = max(plan.width, plan.height) / 100
    spots = [(mark["x"], mark["y"]), *mark.get("points", ())]
    at = [(x * plan.width, y * plan.height) for x, y in spots]
    path = " ".join(f"{x:.2f},{y:.2f}" for x, y in at)
    x, y = at[0]
    shape = {
        "point": f'<circle cx="{x:.2f}" cy="{y:.2f}" r="{unit:.2f}" fill="{_INK}"/>',
        "line": f'<polyline points="{path}" fill="none" stroke="{_INK}" stroke-width="{unit * 0.7:.2f}"/>',
        "area": f'<polygon points="{path}" fill="{_INK}" fill-opacity="0.25" stroke="{_INK}" '
        f'stroke-width="{unit * 0.5:.2f}"/>',
    }[mark["shape"]]
    label = (
        f'<text x="{x + unit * 1.4:.2f}" y="{y - unit * 0.8:.2f}" font-family="Tinos" '
        f'font-size="{unit * 4.5:.2f}" fill="{_INK}">{n}</text>'
    )
    return shape + label
