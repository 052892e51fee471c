"""Vital signs: one round at the bed in one line, the chart with drugs on the same axis, the table beside it."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from decimal import Decimal
from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from benhan import records
from benhan.base.clock import parse_instant
from benhan.base.errors import BenhanError
from benhan.records import SIGNS, Point
from benhan.web import plots, rail, show
from benhan.web.frame import Visit, attempt, page

#: Usual bands of an adult at rest, drawn behind the curve; no rule hangs on them.
BANDS: dict[str, tuple[Decimal, Decimal]] = {
    "pulse": (Decimal(60), Decimal(100)),
    "temperature": (Decimal("36.0"), Decimal("37.5")),
    "breathing": (Decimal(12), Decimal(20)),
    "spo2": (Decimal(95), Decimal(100)),
}


@page("record.read")
async def vitals_page(visit: Visit) -> Response:
    """Chart, table and the entry line."""
    return await _vitals_page(visit)


async def _vitals_page(visit: Visit, **context: Any) -> Response:
    encounter_id = visit.path("encounter")
    frame = await rail.about_case(visit, encounter_id, "sinh-hieu")
    series = await records.vital_series(visit.repo, frame["case"].patient_id, encounter_id=encounter_id)
    return visit.draw(
        "vitals.html",
        **{
            **frame,
            "signs": SIGNS,
            "rounds": rounds(series),
            "plots": charts(series, await given_drugs(visit, encounter_id)),
            "bands": BANDS,
            **context,
        },
    )


def rounds(series: dict[str, list[Point]]) -> list[tuple[datetime, dict[str, Point]]]:
    """Points by the instant they were taken, newest first."""
    table: dict[datetime, dict[str, Point]] = defaultdict(dict)
    for name, points in series.items():
        for point in points:
            table[point.at][name] = point
    return sorted(table.items(), reverse=True)


def charts(series: dict[str, list[Point]], events: list[tuple[datetime, str]]) -> list[dict[str, Any]]:
    """One plot for each sign that has points; both pressures on one."""
    found = []
    for name in ("temperature", "pulse", "breathing", "spo2"):
        if series.get(name):
            low, high = BANDS[name]
            found.append(plots.series(SIGNS[name].name, SIGNS[name].unit, series[name], low, high, events))
    if series.get("systolic"):
        plot = plots.series("Huyết áp", "mmHg", series["systolic"], None, None, events)
        lower = {int(p.at.timestamp()): float(p.value) for p in series["diastolic"]}
        plot["lines"].append({"label": SIGNS["diastolic"].name, "y": [lower.get(x) for x in plot["x"]]})
        found.insert(1, plot)
    return found


async def given_drugs(visit: Visit, encounter_id: str) -> list[tuple[datetime, str]]:
    """Doses given, as events on the axis."""
    try:
        given = await records.administrations(visit.repo, encounter_id)
    except BenhanError:
        return []
    return [
        (parse_instant(g.data["effectiveDateTime"]), g.data["medicationCodeableConcept"].get("text", ""))
        for g in given[-40:]
    ]


@page("entry.vitals")
async def record_round(visit: Visit) -> Response:
    """Record one round."""
    return await attempt(visit, _record_round(visit), _vitals_page)


async def _record_round(visit: Visit) -> Response:
    encounter_id = visit.path("encounter")
    visit.require("entry.vitals", (await records.case(visit.repo, encounter_id)).khoa)
    measured = {name: show.read_number(visit.text(name), name) for name in SIGNS if visit.text(name)}
    signs = records.VitalSigns(
        visit.moment("happened"),
        await visit.staff(),
        late_reason=visit.text("late_reason") or None,
        **measured,
    )
    await records.record_vitals(visit.repo, encounter_id, signs)
    return visit.go(f"/dot/{encounter_id}/sinh-hieu", "da-ghi")


ROUTES = [
    Route("/dot/{encounter}/sinh-hieu", vitals_page, methods=["GET"]),
    Route("/dot/{encounter}/sinh-hieu", record_round, methods=["POST"]),
]
