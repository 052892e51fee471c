"""Laboratory orders and results with their trends; drugs ordered, given, stopped."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from benhan import records
from benhan.base.errors import InvalidInput, Issue
from benhan.catalogue import LabItem, drug, lab_items
from benhan.store import Stored
from benhan.web import plots, rail, show, unsent
from benhan.web.desk import doctor_of, doctors
from benhan.web.frame import Visit, attempt, page
from benhan.web.signing import sign_with

NOT_LAB = ("Sinh hiệu", "Tài liệu")


def lab_groups() -> dict[str, list[LabItem]]:
    """Items that can be ordered, by group."""
    groups: dict[str, list[LabItem]] = defaultdict(list)
    for item in lab_items():
        if item.group not in NOT_LAB:
            groups[item.group].append(item)
    return dict(groups)


@page("result.read")
async def labs_page(visit: Visit) -> Response:
    """Orders and results of the đợt, trends of what was measured, the order form."""
    return await _labs_page(visit)


async def _labs_page(visit: Visit, **context: Any) -> Response:
    encounter_id = visit.path("encounter")
    frame = await rail.about_case(visit, encounter_id, "xet-nghiem")
    found = await records.orders(visit.repo, encounter_id)
    results = await _results(visit, encounter_id)
    codes = list(dict.fromkeys(_code(o) for o in found if o.id in results))
    series = {code: await records.result_series(visit.repo, frame["case"].patient_id, code) for code in codes}
    reports = await _reports(visit, encounter_id)
    seen = await records.seen_by(visit.repo, [r.id for r in reports.values()])
    return visit.draw(
        "labs.html",
        **{
            **frame,
            "groups": lab_groups(),
            "orders": [
                _order_row(o, results.get(o.id), series) | _looked_at(reports.get(o.id), seen)
                for o in reversed(found)
            ],
            "plots": [_plot(code, series[code]) for code in codes if len(series[code]) > 1],
            "draft_key": unsent.key(unsent.LABS, encounter_id),
            **_ticked(visit, await unsent.kept(visit, unsent.LABS, encounter_id)),
            **context,
        },
    )


def _ticked(visit: Visit, kept: dict[str, str]) -> dict[str, Any]:
    """What was typed and ticked: in the form that was just refused, else in what was kept of an unsent one."""
    posted = {str(c) for c in visit.form.getlist("codes")}
    return {
        "typed": kept,
        "ticked": posted
        or {name.removeprefix("codes=") for name, value in kept.items() if name == f"codes={value}"},
    }


def _code(order: Stored) -> str:
    return str(order.data["code"]["coding"][0]["code"])


def _order_row(
    order: Stored, result: Stored | None, series: dict[str, list[records.Point]]
) -> dict[str, Any]:
    item = next((i for i in lab_items() if i.code == _code(order)), None)
    points = series.get(_code(order), [])
    mine = next((p for p in points if result is not None and p.observation_id == result.id), None)
    return {
        "id": order.id,
        "data": order.data,
        "code": _code(order),
        "item": item,
        "range": plots.range_text(item.low, item.high) if item else "",
        "result": result.data if result else None,
        "point": mine,
        "alarm": result is not None and _alarm(result.data),
        "spark": plots.sparkline(points),
        "number": (order.data.get("requisition") or {}).get("value", ""),
    }


async def _reports(visit: Visit, encounter_id: str) -> dict[str, Stored]:
    """Report by the order it answers."""
    query = [("encounter", f"Encounter/{encounter_id}"), ("_count", "200")]
    page = await visit.repo.search("DiagnosticReport", query)
    return {b["reference"].split("/")[-1]: s for s in page.entries for b in s.data.get("basedOn", [])}


def _looked_at(report: Stored | None, seen: dict[str, records.Seen]) -> dict[str, Any]:
    """Who has seen this very version of a report; ``reported``: there is one."""
    last = seen.get(report.id) if report is not None else None
    current = last if last is not None and report is not None and last.version == report.version else None
    return {"seen": current, "reported": report is not None}


def _alarm(observation: dict[str, Any]) -> bool:
    flags = [c.get("code") for i in observation.get("interpretation", []) for c in i.get("coding", [])]
    return any(f in records.CRITICAL for f in flags)


def _plot(code: str, points: list[records.Point]) -> dict[str, Any]:
    item = next(i for i in lab_items() if i.code == code)
    return plots.series(item.name, item.unit, points, item.low, item.high)


async def _results(visit: Visit, encounter_id: str) -> dict[str, Stored]:
    """Observation by the order it answers."""
    found: dict[str, Stored] = {}
    query = [("encounter", f"Encounter/{encounter_id}"), ("category", "laboratory"), ("_count", "200")]
    page = await visit.repo.search("Observation", query)
    for stored in page.entries:
        for based in stored.data.get("basedOn", []):
            found[based["reference"].split("/")[-1]] = stored
    return found


@page("order.write")
async def order_labs(visit: Visit) -> Response:
    """Order the ticked items."""
    return await attempt(visit, _order_labs(visit), _labs_page)


async def _order_labs(visit: Visit) -> Response:
    encounter_id = visit.path("encounter")
    visit.require("order.write", (await records.case(visit.repo, encounter_id)).khoa)
    codes = tuple(str(c) for c in visit.form.getlist("codes"))
    order = records.LabOrder(
        codes,
        visit.moment("happened"),
        await visit.staff(),
        note=visit.text("note"),
        urgent=visit.text("urgent") == "1",
        late_reason=visit.text("late_reason") or None,
    )
    async with visit.repo.transaction() as tx:
        await records.order_lab(tx, encounter_id, order)
        await unsent.drop(tx, unsent.LABS, encounter_id)
    return visit.go(f"/dot/{encounter_id}/xet-nghiem", "da-chi-dinh")


@page("result.write")
async def result(visit: Visit) -> Response:
    """Enter the result of one order."""
    return await attempt(visit, _result(visit), _labs_page)


async def _result(visit: Visit) -> Response:
    encounter_id = visit.path("encounter")
    typed = visit.text("value")
    if not typed:
        text = "Ghi kết quả."
        raise InvalidInput("web.no-result", text, issues=[Issue("web.no-result", text, "value")])
    try:
        value: Any = show.read_number(typed, "value")
    except InvalidInput:
        value = typed
    given = records.ResultInput(
        value,
        visit.moment("performed"),
        await visit.staff(),
        taken=visit.moment("taken") if visit.text("taken") else None,
        machine=visit.text("machine") or None,
        note=visit.text("note"),
        critical=visit.text("critical") == "1",
    )
    await records.enter_result(visit.repo, visit.path("order"), given)
    return visit.go(f"/dot/{encounter_id}/xet-nghiem", "da-co-ket-qua")


@page("order.write")
async def cancel(visit: Visit) -> Response:
    """Cancel an order that has no result."""
    return await attempt(visit, _cancel(visit), _labs_page)


async def _cancel(visit: Visit) -> Response:
    encounter_id = visit.path("encounter")
    visit.require("order.write", (await records.case(visit.repo, encounter_id)).khoa)
    await records.cancel_order(visit.repo, visit.path("order"), visit.text("reason"))
    return visit.go(f"/dot/{encounter_id}/xet-nghiem", "da-huy")


@page("record.read")
async def drugs_page(visit: Visit) -> Response:
    """Drug orders, doses given, the order form."""
    return await _drugs_page(visit)


async def _drugs_page(visit: Visit, **context: Any) -> Response:
    encounter_id = visit.path("encounter")
    frame = await rail.about_case(visit, encounter_id, "thuoc")
    doses: dict[str, list[Stored]] = defaultdict(list)
    for given in await records.administrations(visit.repo, encounter_id):
        doses[(given.data.get("request") or {}).get("reference", "").split("/")[-1]].append(given)
    found = await records.drug_orders(visit.repo, encounter_id)
    return visit.draw(
        "drugs.html",
        **{
            **frame,
            "orders": list(reversed(found)),
            "doses": doses,
            "spoken": {
                o.id: await records.confirmed_at(visit.repo, o) for o in found if records.is_spoken(o.data)
            },
            "doctors": await doctors(visit) if visit.may("order.spoken", frame["case"].khoa) else [],
            "pin_needed": True,
            "me": visit.signed_in.ctx.actor.reference,
            "draft_key": unsent.key(unsent.DRUGS, encounter_id),
            "typed": await unsent.kept(visit, unsent.DRUGS, encounter_id),
            **context,
        },
    )


@page("order.spoken")
async def take_down(visit: Visit) -> Response:
    """Take a doctor's spoken order down."""
    return await attempt(visit, _order_drug(visit, spoken=True), _drugs_page)


@page("drug.prescribe")
async def confirm(visit: Visit) -> Response:
    """Confirm one's own spoken order by signature."""
    return await attempt(visit, _confirm(visit), _drugs_page)


async def _confirm(visit: Visit) -> Response:
    signing = await sign_with(visit, "bac_si")
    await records.confirm_spoken(visit.repo, visit.path("order"), signing, authorize=visit.authorize)
    return visit.go(f"/dot/{visit.path('encounter')}/thuoc", "da-ky")


@page("drug.prescribe")
async def order_drug(visit: Visit) -> Response:
    """Order a drug."""
    return await attempt(visit, _order_drug(visit), _drugs_page)


async def _order_drug(visit: Visit, *, spoken: bool = False) -> Response:
    encounter_id = visit.path("encounter")
    khoa = (await records.case(visit.repo, encounter_id)).khoa
    visit.require("order.spoken" if spoken else "drug.prescribe", khoa)
    code = visit.text("drug_code")
    medicine = drug(code)
    if medicine is None:
        text = "Chọn thuốc trong danh mục."
        raise InvalidInput("web.choose-drug", text, issues=[Issue("web.choose-drug", text, "drug")])
    order = records.DrugOrder(
        code=code,
        dose=show.read_number(visit.text("dose"), "dose"),
        unit=visit.text("unit") or "viên",
        route=visit.text("route") or medicine.route,
        per_day=int(show.read_number(visit.text("per_day"), "per_day")),
        days=int(show.read_number(visit.text("days"), "days")),
        happened=visit.moment("happened"),
        doctor=await doctor_of(visit, visit.text("doctor")) if spoken else await visit.staff(),
        note=visit.text("note"),
        late_reason=visit.text("late_reason") or None,
        recorder=await visit.staff() if spoken else None,
    )
    async with visit.repo.transaction() as tx:
        await records.order_drug(tx, encounter_id, order)
        await unsent.drop(tx, unsent.DRUGS, encounter_id)
    return visit.go(f"/dot/{encounter_id}/thuoc", "da-chi-dinh")


@page("drug.administer")
async def give(visit: Visit) -> Response:
    """Record one dose."""
    return await attempt(visit, _give(visit), _drugs_page)


async def _give(visit: Visit) -> Response:
    encounter_id = visit.path("encounter")
    visit.require("drug.administer", (await records.case(visit.repo, encounter_id)).khoa)
    given = records.Administration(
        visit.moment("happened"),
        show.read_number(visit.text("quantity"), "quantity"),
        await visit.staff(),
        visit.text("note"),
        visit.text("late_reason") or None,
    )
    await records.administer(visit.repo, visit.path("order"), given)
    return visit.go(f"/dot/{encounter_id}/thuoc", "da-dung")


@page("drug.prescribe")
async def stop(visit: Visit) -> Response:
    """Stop a drug."""
    return await attempt(visit, _stop(visit), _drugs_page)


async def _stop(visit: Visit) -> Response:
    encounter_id = visit.path("encounter")
    visit.require("drug.prescribe", (await records.case(visit.repo, encounter_id)).khoa)
    await records.stop_drug(visit.repo, visit.path("order"), visit.text("reason"), visit.now)
    return visit.go(f"/dot/{encounter_id}/thuoc", "da-ngung")


ROUTES = [
    Route("/dot/{encounter}/xet-nghiem", labs_page, methods=["GET"]),
    Route("/dot/{encounter}/xet-nghiem", order_labs, methods=["POST"]),
    Route("/dot/{encounter}/xet-nghiem/{order}/ket-qua", result, methods=["POST"]),
    Route("/dot/{encounter}/xet-nghiem/{order}/huy", cancel, methods=["POST"]),
    Route("/dot/{encounter}/thuoc", drugs_page, methods=["GET"]),
    Route("/dot/{encounter}/thuoc", order_drug, methods=["POST"]),
    Route("/dot/{encounter}/thuoc/mieng", take_down, methods=["POST"]),
    Route("/dot/{encounter}/thuoc/{order}/xac-nhan", confirm, methods=["POST"]),
    Route("/dot/{encounter}/thuoc/{order}/dung", give, methods=["POST"]),
    Route("/dot/{encounter}/thuoc/{order}/ngung", stop, methods=["POST"]),
]
