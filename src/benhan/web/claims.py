"""The claims desk of the insurance officer: the month, one claim with its faults and lines, sending again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any

from starlette.datastructures import UploadFile
from starlette.responses import Response
from starlette.routing import Route

from benhan import records
from benhan.base.clock import VIETNAM, local_date
from benhan.base.errors import BenhanError, InvalidInput
from benhan.catalogue import icd10_in_force
from benhan.gateways import bhyt
from benhan.web import claim_fix, claim_queue, claim_slips, costs, icd_admin, lists, rail
from benhan.web.frame import Visit, attempt, page
from benhan.web.i18n import N_

STATES = {
    "faulty": N_("Còn lỗi, chưa gửi"),
    "waiting": N_("Chờ gửi"),
    "received": N_("Cổng đã tiếp nhận"),
    "refused": N_("Cổng từ chối"),
}
LINES = {
    "tiep-nhan": N_("Tiếp nhận"),
    "giam-dinh": N_("Đang giám định"),
    "chap-nhan": N_("Chấp nhận"),
    "tu-choi": N_("Từ chối"),
    "xuat-toan": N_("Xuất toán"),
    "giai-trinh": N_("Đã giải trình"),
}
PAGE = 100
#: where the fact behind a tag is written: (first tag prefix or whole table) → page below the đợt, anchor of the field
_PLACES: tuple[tuple[str, str], ...] = (
    ("XML1/CAN_NANG", "/sinh-hieu"),
    ("XML2", "/thuoc"),
    ("XML4", "/xet-nghiem"),
    ("XML5", "/to-dieu-tri"),
    ("XML7", "/benh-an"),
    ("XML8", "/benh-an"),
    ("XML3", "/xet-nghiem"),
)


def where(row: bhyt.ClaimRow, place: str) -> str:
    """Address of the page, and of the field where it has one, that holds the fact behind a fault."""
    table, tag = place.split("/")[0], place.rsplit("/", 1)[-1]
    behind = row.twin.get("/".join(place.split("/")[:2]), "")
    if behind:
        return source_page(row, behind)
    mendable = claim_fix.field_of(tag) if table == "XML1" else ""
    if mendable:
        return f"/bhyt/ho-so/{row.ma_lk}/sua#f-{mendable}"
    if table in bhyt.SLIPS:
        return f"/dot/{row.encounter}/giay-bhyt?bang={table}#f-{tag}"
    name = f"{table}/{tag}"
    below = next((address for start, address in _PLACES if name.startswith(start)), "")
    return f"/dot/{row.encounter}{below}"


def source_page(row: bhyt.ClaimRow, reference: str) -> str:
    """Page on which the fact behind a line stands."""
    kind, _, name = reference.partition("/")
    if kind == "QuestionnaireResponse":
        return f"/dot/{row.encounter}/to-dieu-tri#d-{name}"
    below = {"MedicationAdministration": "/thuoc", "MedicationDispense": "/thuoc", "Encounter": ""}
    return f"/dot/{row.encounter}{below.get(kind, '/xet-nghiem')}"


@page("claim.read")
async def desk_page(visit: Visit) -> Response:
    """A month of claims: totals, khoa with faults, the list."""
    return await _desk(visit)


async def _desk(visit: Visit, **context: Any) -> Response:
    asked = visit.request.query_params
    month = asked.get("thang") or local_date(visit.now).strftime("%Y%m")
    state = asked.get("trang_thai") or None
    khoa = asked.get("khoa") or None
    start = int(asked.get("tu", "0")) if asked.get("tu", "0").isdecimal() else 0
    board = await bhyt.desk(visit.repo, month=month, state=state, khoa=khoa, limit=PAGE, offset=start)
    return visit.draw(
        "claims.html",
        **{
            **await rail.around(visit),
            "board": board,
            "month": month,
            "months": sorted({month, *(str(m["month"]) for m in board.by_month)}, reverse=True),
            "state": state or "",
            "khoa": khoa or "",
            "khoas": await lists.khoa_list(visit.repo),
            "states": STATES,
            "start": start,
            "size": PAGE,
            "icd_over": not icd10_in_force(local_date(visit.now)),
            "plots": [p for p in (_plot(visit, board.by_day), *_by_month(visit, board.by_month)) if p],
            "total": _total(board.sums.values()),
            "report": None,
            **context,
        },
    )


def _plot(visit: Visit, days: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Claims and received claims by day of leaving; None below two days."""
    if len(days) < 2:
        return None
    return {
        "title": visit._("Hồ sơ theo ngày ra viện"),
        "x": [int(datetime.combine(d["day"], time(), VIETNAM).timestamp()) for d in days],
        "lines": [
            {"label": visit._("Hồ sơ"), "y": [int(d["claims"]) for d in days]},
            {"label": visit._("Cổng đã tiếp nhận"), "y": [int(d["received"]) for d in days]},
        ],
        "low": None,
        "high": None,
        "events": [],
        "grain": "day",
    }


def _by_month(visit: Visit, months: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Claims, stopped claims, and what the fund pays, month by month; nothing below two months."""
    if len(months) < 2:
        return []
    first = [datetime(int(m["month"][:4]), int(m["month"][4:]), 1, tzinfo=VIETNAM) for m in months]
    drawn = (
        (N_("Hồ sơ theo tháng"), ((N_("Hồ sơ"), "claims"), (N_("Bị dừng"), "stopped"))),
        (N_("Quỹ trả theo tháng (triệu đồng)"), ((N_("Quỹ trả"), "bhtt"),)),
    )
    return [
        {
            "title": visit._(title),
            "x": [int(at.timestamp()) for at in first],
            "lines": [
                {
                    "label": visit._(label),
                    "y": [float(m[k]) / 1e6 if k == "bhtt" else int(m[k]) for m in months],
                }
                for label, k in lines
            ],
            "low": None,
            "high": None,
            "events": [],
            "grain": "month",
        }
        for title, lines in drawn
    ]


def _total(sums: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The sums over all states."""
    listed = list(sums)
    return {k: sum(s[k] for s in listed) for k in ("count", "bv", "bh", "bhtt", "bncct", "bntt")}


@page("claim.read")
async def claim_page(visit: Visit) -> Response:
    """One claim: how it stands, faults with the way to each field, lines after sending, what changed."""
    return await _claim(visit)


async def _claim(visit: Visit, **context: Any) -> Response:
    row = await bhyt.claim_row(visit.repo, visit.path("ma_lk"))
    return visit.draw(
        "claim.html",
        **{
            **await rail.around(visit),
            "row": row,
            "faults": [
                {
                    **f,
                    "address": where(row, f["place"]),
                    "title": bhyt.title_of(f["place"], local_date(row.left_at)),
                }
                for f in row.faults
            ],
            "passable": {r.id for r in bhyt.shipped_rules() if r.may_pass},
            "lines": await bhyt.line_states(visit.repo, row.ma_lk),
            "twins": [(p, source_page(row, ref), ref.partition("/")[0]) for p, ref in row.twin.items()],
            "checkins": await bhyt.checkins(visit.repo, row.ma_lk),
            "passes": await bhyt.passes(visit.repo, row.ma_lk),
            "account": await _account(visit, row),
            "states": STATES,
            "line_states": LINES,
            **context,
        },
    )


async def _account(visit: Visit, row: bhyt.ClaimRow) -> records.AccountTotals | None:
    """Running total against the advances, where the person may see charges."""
    if not visit.may("charge.read"):
        return None
    try:
        return await records.account(visit.repo, row.encounter)
    except BenhanError:
        return None


@page("claim.send")
async def send_again(visit: Visit) -> Response:
    """Build, check and send the claim anew through the outbox."""
    row = await bhyt.claim_row(visit.repo, visit.path("ma_lk"))
    key = f"{row.ma_lk}:{visit.now.isoformat()}"
    await visit.repo.outbox(bhyt.SUBMIT_TOPIC, key, {"encounter": row.encounter, "ma_lk": row.ma_lk})
    return visit.go(f"/bhyt/ho-so/{row.ma_lk}", "da-xep-gui")


@page("claim.send")
async def let_pass(visit: Visit) -> Response:
    """Let one fault through with a reason."""
    return await attempt(visit, _let_pass(visit), _claim)


async def _let_pass(visit: Visit) -> Response:
    row = await bhyt.claim_row(visit.repo, visit.path("ma_lk"))
    await bhyt.let_pass(visit.repo, row, visit.text("rule"), visit.text("place"), visit.text("ly_do"))
    return visit.go(f"/bhyt/ho-so/{row.ma_lk}", "da-luu")


@page("claim.send")
async def note_line(visit: Visit) -> Response:
    """What the insurer says of a line, or our answer."""
    return await attempt(visit, _note_line(visit), _claim)


async def _note_line(visit: Visit) -> Response:
    ma_lk, text = visit.path("ma_lk"), visit.text("so_tien").replace(".", "").replace(",", ".")
    try:
        amount = Decimal(text) if text else None
    except InvalidOperation:
        raise InvalidInput("bhyt.line-state", "Số tiền không phải số.", expression="so_tien") from None
    place = visit.text("dong").upper().replace(" ", "")
    await bhyt.note_line(visit.repo, ma_lk, place, visit.text("state"), amount, visit.text("reason"))
    return visit.go(f"/bhyt/ho-so/{ma_lk}#dong", "da-luu")


@page("claim.read")
async def download(visit: Visit) -> Response:
    """The package as it was sent, for uploading by hand; the download is noted in the audit."""
    row = await bhyt.claim_row(visit.repo, visit.path("ma_lk"))
    await visit.repo.audit("EXPORT", entity=f"Claim/{row.claim}", patient=None, detail={"ma_lk": row.ma_lk})
    data = await visit.store.blobs.get(row.sha256)
    headers = {"Content-Disposition": f'attachment; filename="{row.ma_lk}.xml"'}
    return Response(data, media_type="application/xml", headers=headers)


@page("claim.send")
async def reconcile(visit: Visit) -> Response:
    """Our month beside the portal's list."""
    return await attempt(visit, _reconcile(visit), _desk)


async def _reconcile(visit: Visit) -> Response:
    month = visit.text("thang")
    upload = visit.form.get("tep")
    raw = await upload.read() if isinstance(upload, UploadFile) else b""
    try:
        text = raw.decode("utf-8-sig") or visit.text("danh_sach")
    except UnicodeDecodeError:
        raise InvalidInput("bhyt.portal-list", "Tệp phải là CSV mã UTF-8.", expression="danh_sach") from None
    report = await bhyt.reconcile(visit.repo, month, bhyt.read_portal_list(text))
    return await _desk(visit, report=report, month=month)


ROUTES = [
    Route("/bhyt", desk_page, methods=["GET"]),
    Route("/bhyt/doi-soat", reconcile, methods=["POST"]),
    Route("/bhyt/ho-so/{ma_lk}", claim_page, methods=["GET"]),
    Route("/bhyt/ho-so/{ma_lk}/gui", send_again, methods=["POST"]),
    Route("/bhyt/ho-so/{ma_lk}/cho-qua", let_pass, methods=["POST"]),
    Route("/bhyt/ho-so/{ma_lk}/dong", note_line, methods=["POST"]),
    *claim_fix.ROUTES,
    *claim_queue.ROUTES,
    *claim_slips.ROUTES,
    *icd_admin.ROUTES,
    *costs.ROUTES,
    Route("/bhyt/ho-so/{ma_lk}/xml", download, methods=["GET"]),
]
