"""Lists of patients and work; one person's page, who has looked at it, and the trend of a result."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from benhan import records
from benhan.catalogue import lab_item
from benhan.identity import find_patients
from benhan.store import Stored
from benhan.web import plots, rail, show
from benhan.web.frame import Visit, page
from benhan.web.i18n import N_

KINDS = {
    "admission": N_("Vào viện"),
    "stay": N_("Vào khoa"),
    "discharge": N_("Ra viện"),
    "paper": N_("Giấy tờ"),
    "result": N_("Kết quả"),
    "order": N_("Chỉ định"),
    "drug": N_("Thuốc"),
    "diagnosis": N_("Chẩn đoán"),
    "document": N_("Tài liệu"),
}
#: What the audit calls an act → what people call it.
ACTS = {
    "read": N_("Xem"),
    "vread": N_("Xem"),
    "search": N_("Xem"),
    "count": N_("Xem"),
    "history": N_("Xem"),
    "include": N_("Xem"),
    "export": N_("Sao, trích"),
    "create": N_("Ghi"),
    "update": N_("Sửa"),
    "delete": N_("Xóa"),
    "print": N_("In"),
    "provided": N_("Gửi trục liên thông"),
    "history-refused": N_("Hỏi bệnh sử tỉnh: bị từ chối"),
    "history-document": N_("Mở tài liệu nơi khác"),
    "ask-consent": N_("Ghi nhận đồng ý"),
    "ask-referral": N_("Mở quyền khi chuyển viện"),
    "ask-break-glass": N_("Mở khẩn cấp"),
    "disclosed": N_("Nơi khác đã xem qua trục"),
}
#: Type of a resource → what people call that part of the record.
PARTS = {
    "Patient": N_("hành chính"),
    "Coverage": N_("BHYT"),
    "Encounter": N_("đợt, khoa"),
    "EpisodeOfCare": N_("đợt, khoa"),
    "Account": N_("chi phí"),
    "ChargeItem": N_("chi phí"),
    "Claim": N_("thanh toán BHYT"),
    "ClaimResponse": N_("thanh toán BHYT"),
    "Composition": N_("bệnh án"),
    "QuestionnaireResponse": N_("giấy tờ"),
    "DocumentReference": N_("tài liệu PDF"),
    "Provenance": N_("chữ ký"),
    "Observation": N_("kết quả, sinh hiệu"),
    "DiagnosticReport": N_("kết quả, sinh hiệu"),
    "ServiceRequest": N_("chỉ định"),
    "Condition": N_("chẩn đoán"),
    "MedicationRequest": N_("thuốc"),
    "MedicationAdministration": N_("thuốc"),
    "AllergyIntolerance": N_("dị ứng"),
    "Task": N_("chuyển khoa"),
}


@page("record.read")
async def my_patients(visit: Visit) -> Response:
    """People under treatment in one's khoa, by bed."""
    khoa = visit.request.query_params.get("khoa") or None
    rows = await rail.my_patients(visit, khoa)
    return visit.draw("my_patients.html", rows=rows, khoa=khoa, **await rail.around(visit))


@page()
async def owed(visit: Visit) -> Response:
    """Records that a khoa still owes to the records department."""
    if not visit.may("record.submit"):
        visit.require("record.receive")
    rows = await rail.records_owed(visit)
    at_khth = await _at_records_department(visit) if visit.may("record.receive") else []
    return visit.draw("owed.html", rows=rows, at_khth=at_khth, **await rail.around(visit))


async def _at_records_department(visit: Visit) -> list[tuple[records.Case, str]]:
    """Records handed in and not yet closed, with the patient's name."""
    async with visit.repo.transaction() as tx:
        cases = await records.list_cases(tx, ["submitted", "received"])
        return [(c, show.name_of((await tx.read("Patient", c.patient_id)).data)) for c in cases]


@page()
async def patient_page(visit: Visit) -> Response:
    """One person: đợt of this facility and what happened, newest first."""
    if not visit.may("record.read"):
        visit.require("patient.search")
    patient_id = visit.path("patient")
    frame = await rail.about(visit, patient_id)
    items = await records.timeline(visit.repo, patient_id) if visit.may("record.read") else []
    encounters = await episodes(visit, patient_id)
    kind = visit.request.query_params.get("loai", "")
    shown = [i for i in items if not kind or i.kind == kind]
    return visit.draw(
        "patient.html", **frame, items=shown, kinds=KINDS, kind=kind, encounters=encounters, used=_used(items)
    )


def _used(items: Iterable[records.TimelineItem]) -> list[str]:
    kinds = {i.kind for i in items}
    return [k for k in KINDS if k in kinds]


async def episodes(visit: Visit, patient_id: str) -> list[dict[str, Any]]:
    """Đợt of the person in this facility, newest first."""
    page = await visit.repo.search("Encounter", [("subject", f"Patient/{patient_id}"), ("_count", "100")])
    found = [
        {
            "id": s.id,
            "start": s.data["period"]["start"],
            "end": s.data["period"].get("end"),
            "status": s.data["status"],
        }
        for s in page.entries
        if "partOf" not in s.data
    ]
    return sorted(found, key=lambda e: str(e["start"]), reverse=True)


@page("audit.read")
async def who_looked(visit: Visit) -> Response:
    """Who has looked at this person's data here, and through the hub: from the audit itself."""
    patient_id = visit.path("patient")
    frame = await rail.about(visit, patient_id)
    rows = await visit.repo.audit_of_patient(patient_id, 500)
    return visit.draw(
        "who_looked.html", **{**frame, "tab": "ai-xem"}, rows=_grouped(rows), acts=ACTS, parts=PARTS
    )


def _grouped(rows: Iterable[Any]) -> list[dict[str, Any]]:
    """One line per request: what one person did under one correlation id is told together."""
    lines: dict[tuple[str, str, str], dict[str, Any]] = {}
    for row in rows:
        key = (row.correlation_id or str(row.at), row.actor, row.outcome)
        line = lines.setdefault(
            key,
            {"at": row.at, "who": row.actor_display or row.actor, "kind": row.actor_kind, "outcome": row.outcome,
             "acts": [], "parts": [], "reader": row.reader, "detail": row.detail or {}},
        )  # fmt: skip
        part = (row.entity or "").split("/")[0].rstrip("?")
        for found, name, table in ((line["acts"], row.action, ACTS), (line["parts"], part, PARTS)):
            title = table.get(name, name)
            if title and title not in found:
                found.append(title)
    return list(lines.values())


@page("result.read")
async def trend(visit: Visit) -> Response:
    """The trend of one laboratory item: plot with reference band, drugs on the same axis, table beside it."""
    patient_id, code = visit.path("patient"), visit.path("code")
    frame = await rail.about(visit, patient_id)
    item = lab_item(code)
    points = await records.result_series(visit.repo, patient_id, code)
    plot = plots.series(item.name, item.unit, points, item.low, item.high)
    return visit.draw("trend.html", **frame, item=item, points=points, plot=plot)


@page("patient.search")
async def search(visit: Visit) -> Response:
    """Find people by name, number or phone; asked by POST, so that no name stands in an address."""
    text = visit.text("tu")
    people: list[Stored] = await find_patients(visit.repo, text) if len(text) >= 2 else []
    return visit.draw("search.html", people=people, text=text, **await rail.around(visit))


@page("patient.search")
async def search_page(visit: Visit) -> Response:
    """The empty search."""
    return visit.draw("search.html", people=[], text="", **await rail.around(visit))


ROUTES = [
    Route("/tim", search_page, methods=["GET"]),
    Route("/tim", search, methods=["POST"]),
    Route("/nguoi-benh", my_patients, methods=["GET"]),
    Route("/viec/no-ho-so", owed, methods=["GET"]),
    Route("/nguoi-benh/{patient}", patient_page, methods=["GET"]),
    Route("/nguoi-benh/{patient}/ai-da-xem", who_looked, methods=["GET"]),
    Route("/nguoi-benh/{patient}/xet-nghiem/{code}", trend, methods=["GET"]),
]
