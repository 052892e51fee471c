"""The record as a folder: papers with PDFs and signatures, the sealed files, addenda after closing."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from benhan import records
from benhan.base.errors import InvalidInput, Issue
from benhan.web import rail, show
from benhan.web.frame import Visit, attempt, page
from benhan.web.i18n import N_
from benhan.web.signing import seal_with, sign_with

#: State of a paper → words and colour.
STATES = {
    "draft": (N_("Đang ghi"), ""),
    "partly-signed": (N_("Chưa đủ chữ ký"), "warn"),
    "signed": (N_("Đủ chữ ký"), "ok"),
    "issued": (N_("Đã cấp"), "ok"),
    "amended": (N_("Đã sửa, chờ ký lại"), "warn"),
    "addendum": (N_("Bổ sung"), "info"),
    "scan": (N_("Bản số hóa"), "info"),
    "sheet:open": (N_("Tờ đang ghi"), ""),
    "sheet:ended": (N_("Tờ đã kết thúc"), "ok"),
}
TYPES = {"application/pdf": "pdf", "application/vnd.etsi.asic-e+zip": "asice", "application/xml": "xml"}


@page("record.read")
async def binder_page(visit: Visit) -> Response:
    """The binder of a đợt."""
    return await _binder_page(visit)


async def _binder_page(visit: Visit, **context: Any) -> Response:
    encounter_id = visit.path("encounter")
    frame = await rail.about_case(visit, encounter_id, "ho-so")
    view = await records.binder(visit.repo, encounter_id)
    case: records.Case = frame["case"]
    waiting = [o for o in await records.orders(visit.repo, encounter_id) if o.data["status"] == "active"]
    return visit.draw(
        "binder.html",
        **{
            **frame,
            "binder": view,
            "states": STATES,
            "containers": [_container(c.id, c.data) for c in view.containers],
            "may_add": case.state in ("closed", "archived") and visit.may("record.addendum", case.khoa),
            "waiting": [(o.id, o.data["code"].get("text", "")) for o in waiting],
            **context,
        },
    )


def _container(document_id: str, data: dict[str, Any]) -> dict[str, Any]:
    attachment = data["content"][0]["attachment"]
    return {
        "id": document_id,
        "title": data.get("description") or attachment.get("title", ""),
        "at": data.get("date", ""),
        "sha256": records.blob_of(data),
        "size": attachment.get("size", 0),
    }


@page("record.read")
async def document(visit: Visit) -> Response:
    """The exact bytes of a document; the file is named by its hash, never by a person."""
    stored = await visit.repo.read("DocumentReference", visit.path("document"))
    attachment = stored.data["content"][0]["attachment"]
    kind = attachment.get("contentType", "application/octet-stream")
    sha256 = records.blob_of(stored.data)
    data = await visit.store.blobs.get(sha256)
    manner = "inline" if kind == "application/pdf" else "attachment"
    name = f"{sha256[:16]}.{TYPES.get(kind, 'bin')}"
    return Response(data, media_type=kind, headers={"Content-Disposition": f'{manner}; filename="{name}"'})


@page("record.addendum")
async def addendum(visit: Visit) -> Response:
    """A late fact: signed by its author, sealed as a volume of its own."""
    return await attempt(visit, _addendum(visit), _binder_page)


async def _addendum(visit: Visit) -> Response:
    encounter_id, staff = visit.path("encounter"), await visit.staff()
    order_id = visit.text("order_id") or None
    if order_id and not visit.text("value"):
        text = "Ghi kết quả của chỉ định đã chọn."
        raise InvalidInput("web.no-result", text, issues=[Issue("web.no-result", text, "value")])
    happened = visit.moment("happened")
    result = None
    if order_id:
        try:
            value: Any = show.read_number(visit.text("value"), "value")
        except InvalidInput:
            value = visit.text("value")
        result = records.ResultInput(value, happened, staff)
    late = records.Addendum(
        title=visit.text("title"),
        text=visit.text("text"),
        happened=happened,
        author=staff,
        reason=visit.text("reason"),
        order_id=order_id,
        result=result,
    )
    signing, seal = await sign_with(visit, "bac_si_dieu_tri"), await seal_with(visit)
    await records.add_addendum(visit.repo, encounter_id, late, signing, seal, authorize=visit.authorize)
    return visit.go(f"/dot/{encounter_id}/ho-so", "da-bo-sung")


ROUTES = [
    Route("/dot/{encounter}/ho-so", binder_page, methods=["GET"]),
    Route("/dot/{encounter}/bo-sung", addendum, methods=["POST"]),
    Route("/tai-lieu/{document}", document, methods=["GET"]),
]
