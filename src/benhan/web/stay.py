"""The đợt: overview, cards, transfer between khoa, beds, the claim and its answer, discharge."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from benhan import records
from benhan.base.errors import BenhanError, Issue, RuleViolation
from benhan.catalogue import icd10, outcomes, result_names
from benhan.gateways import bhyt
from benhan.web import desk, lists, newborn, rail
from benhan.web.frame import Visit, attempt, page


def require_view(visit: Visit) -> None:
    """Who may see the overview: readers of the record, and those who may know its status."""
    if not visit.may("record.status"):
        visit.require("record.read")


@page()
async def overview(visit: Visit) -> Response:
    """The đợt at a glance."""
    return await _overview(visit)


async def _overview(visit: Visit, **context: Any) -> Response:
    require_view(visit)
    encounter_id = visit.path("encounter")
    frame = await rail.about_case(visit, encounter_id, "dot")
    content = visit.may("record.read")
    encounter = await visit.repo.read("Encounter", encounter_id)
    return visit.draw(
        "overview.html",
        **{
            **frame,
            "encounter": encounter.data,
            "line": await records.entitlement_line(visit.repo, encounter_id),
            "card_told": await _cards_told(visit, frame["case"].patient_id),
            "account": await _account(visit, encounter_id),
            "transfers": await records.pending_transfers(visit.repo, encounter_id) if content else [],
            "events": await records.events(visit.repo, encounter_id),
            "claims": await claims(visit, encounter_id),
            "khoa": await lists.khoa_list(visit.repo),
            "doctors": await desk.doctors(visit) if visit.may("patient.transfer") else [],
            "subjects": lists.listed("doi_tuong"),
            "ended": records.discharge_facts(encounter.data),
            **context,
        },
    )


async def _cards_told(visit: Visit, patient_id: str) -> dict[str, bhyt.CardView]:
    """The portal's answer about each card of the person, by the number asked for and by the number told."""
    try:
        views = await bhyt.card_views(visit.repo, patient_id)
    except BenhanError:
        return {}
    return {number: v for v in reversed(views) for number in (v.use["card"], v.card) if number}


async def _account(visit: Visit, encounter_id: str) -> records.AccountTotals | None:
    if not visit.may("charge.read"):
        return None
    try:
        return await records.account(visit.repo, encounter_id)
    except BenhanError:
        return None


async def claims(visit: Visit, encounter_id: str) -> list[dict[str, Any]]:
    """Claims of the đợt with the portal's answers, newest first."""
    if not (visit.may("claim.read") or visit.may("record.status")):
        return []
    try:
        found = await visit.repo.search(
            "Claim", [("encounter", f"Encounter/{encounter_id}"), ("_count", "20")]
        )
    except BenhanError:
        return []
    rows: list[dict[str, Any]] = []
    for claim in found.entries:
        answers = await visit.repo.search(
            "ClaimResponse", [("request", f"Claim/{claim.id}"), ("_count", "20")]
        )
        replies = [
            {
                "at": a.data.get("created", ""),
                "outcome": a.data.get("outcome", ""),
                "text": a.data.get("disposition", ""),
                "errors": [_error(e) for e in a.data.get("error", [])],
            }
            for a in answers.entries
        ]
        rows.append(
            {
                "id": claim.id,
                "at": claim.at,
                "status": claim.data.get("status", ""),
                "total": (claim.data.get("total") or {}).get("value"),
                "replies": sorted(replies, key=lambda r: str(r["at"]), reverse=True),
            }
        )
    return sorted(rows, key=lambda r: r["at"], reverse=True)


def _error(entry: dict[str, Any]) -> dict[str, str]:
    code = entry.get("code") or {}
    return {"code": (code.get("coding") or [{}])[0].get("code", ""), "text": code.get("text", "")}


@page("entitlement.write")
async def add_card(visit: Visit) -> Response:
    """Add a card to the time line of rights."""
    return await attempt(visit, _add_card(visit), _overview)


async def _add_card(visit: Visit) -> Response:
    encounter_id = visit.path("encounter")
    coverage = desk.coverage_of_form(visit)
    if coverage is None:
        text = "Ghi số thẻ BHYT."
        raise RuleViolation("web.no-card", text, issues=[Issue("web.no-card", text, "card")])
    patient_id = (await records.case(visit.repo, encounter_id)).patient_id
    coverage = await desk.checked(visit, patient_id, coverage) or coverage
    await records.add_coverage(visit.repo, encounter_id, coverage)
    return visit.go(f"/dot/{encounter_id}", "da-the")


@page("patient.transfer")
async def transfer(visit: Visit) -> Response:
    """Ask another khoa to take the patient over."""
    return await attempt(visit, _transfer(visit), _overview)


async def _transfer(visit: Visit) -> Response:
    encounter_id = visit.path("encounter")
    visit.require("patient.transfer", (await records.case(visit.repo, encounter_id)).khoa)
    names = dict(await lists.khoa_list(visit.repo))
    to_khoa = visit.text("to_khoa")
    if to_khoa not in names:
        text = "Chọn khoa chuyển đến."
        raise RuleViolation("web.choose-khoa", text, issues=[Issue("web.choose-khoa", text, "to_khoa")])
    happened = visit.moment("happened")
    reason = visit.text("reason")
    by = await visit.staff()
    await records.request_transfer(visit.repo, encounter_id, to_khoa, names[to_khoa], happened, reason, by)
    return visit.go(f"/dot/{encounter_id}", "da-chuyen")


@page("patient.transfer")
async def accept(visit: Visit) -> Response:
    """The receiving khoa takes the patient and gives a bed."""
    return await attempt(visit, _accept(visit), _overview)


async def _accept(visit: Visit) -> Response:
    encounter_id, task_id = visit.path("encounter"), visit.path("task")
    pending = {t.id: t for t in await records.pending_transfers(visit.repo, encounter_id)}
    if task_id not in pending:
        text = "Yêu cầu chuyển khoa không còn chờ."
        raise RuleViolation("web.no-transfer", text)
    visit.require("patient.transfer", records.transfer_to(pending[task_id]))
    happened = visit.moment("happened")
    doctor = await desk.doctor_of(visit, visit.text("doctor"))
    bed = records.Bed(visit.text("room") or None, visit.text("bed") or None)
    await records.accept_transfer(visit.repo, task_id, happened, doctor, bed)
    return visit.go(f"/dot/{encounter_id}", "da-nhan-khoa")


@page("patient.discharge")
async def discharge_page(visit: Visit) -> Response:
    """The discharge: outcome, diagnoses, advice."""
    return await _discharge_page(visit)


async def _discharge_page(visit: Visit, **context: Any) -> Response:
    encounter_id = visit.path("encounter")
    frame = await rail.about_case(visit, encounter_id, "ra-vien")
    on = rail.today(visit)
    known = await records.facts(visit.repo, encounter_id)
    diagnosis = known.get("encounter.diagnosis.admission") or {}
    encounter = await visit.repo.read("Encounter", encounter_id)
    held = await records.papers(visit.repo, encounter_id)
    return visit.draw(
        "discharge.html",
        **{
            **frame,
            "outcomes": outcomes(on),
            "result_names": sorted(result_names(on).items()),
            "diagnosis": diagnosis,
            "ended": records.discharge_facts(encounter.data),
            "paper": next((p for p in held if p.form_code == "TT25/2025-M02"), None),
            **context,
        },
    )


@page("patient.discharge")
async def discharge(visit: Visit) -> Response:
    """End the đợt and write the discharge paper from it."""
    return await attempt(visit, _discharge(visit), _discharge_page)


async def _discharge(visit: Visit) -> Response:
    encounter_id, doctor = visit.path("encounter"), await visit.staff()
    end = records.Discharge(
        happened=visit.moment("happened"),
        outcome=visit.text("outcome"),
        doctor=doctor,
        diagnosis=visit.text("diagnosis"),
        icd10=visit.text("icd10").upper(),
        others=tuple(_others(visit)),
        result=visit.text("result") or None,
        treatment=visit.text("treatment"),
        advice=visit.text("advice"),
        moved_to=visit.text("moved_to") or None,
        death_cause=visit.text("death_cause") or None,
        late_reason=visit.text("late_reason") or None,
    )
    if not end.diagnosis or not end.icd10:
        text = "Ghi chẩn đoán ra viện và mã ICD-10."
        field = "diagnosis" if not end.diagnosis else "icd10"
        raise RuleViolation("web.no-diagnosis", text, issues=[Issue("web.no-diagnosis", text, field)])
    async with visit.repo.transaction() as tx:
        await records.discharge(tx, encounter_id, end, authorize=visit.authorize)
        if visit.text("paper") == "1":
            await records.issue_discharge_paper(tx, encounter_id, author=doctor)
    return visit.go(f"/dot/{encounter_id}/ra-vien", "da-ra-vien")


def _others(visit: Visit) -> list[tuple[str, str]]:
    """Secondary diagnoses, one line each: code first (``I10 Tăng huyết áp``), text from the list when absent."""
    rows = []
    for line in visit.text("others").splitlines():
        code, _, text = line.strip().partition(" ")
        if code:
            known = icd10(code)
            rows.append((code.upper(), text.strip(" –-") or (known.title if known else "")))
    return rows


@page("patient.discharge")
async def discharge_paper(visit: Visit) -> Response:
    """Write the discharge paper when it was not written with the discharge."""
    encounter_id = visit.path("encounter")
    made = await records.issue_discharge_paper(visit.repo, encounter_id, author=await visit.staff())
    return visit.go(f"/giay/{made.id}")


ROUTES = [
    Route("/dot/{encounter}", overview, methods=["GET"]),
    Route("/dot/{encounter}/the", add_card, methods=["POST"]),
    *newborn.ROUTES,
    Route("/dot/{encounter}/chuyen-khoa", transfer, methods=["POST"]),
    Route("/dot/{encounter}/nhan/{task}", accept, methods=["POST"]),
    Route("/dot/{encounter}/ra-vien", discharge_page, methods=["GET"]),
    Route("/dot/{encounter}/ra-vien", discharge, methods=["POST"]),
    Route("/dot/{encounter}/giay-ra-vien", discharge_paper, methods=["POST"]),
]
