"""Phiếu dữ kiện BHYT of a đợt: HIV, giấy chứng sinh, nghỉ dưỡng thai, nghỉ việc, lao; fields and lists come from the tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from benhan import records
from benhan.base.errors import InvalidInput, Issue
from benhan.forms import parse_date
from benhan.gateways import bhyt
from benhan.web import rail, show
from benhan.web.frame import Visit, attempt, page


@page("record.read")
async def slips_page(visit: Visit) -> Response:
    """The slips of the đợt, and the form of one (``?bang=XML11``, ``?phieu=<id>``)."""
    return await _slips(visit)


async def _slips(visit: Visit, **context: Any) -> Response:
    encounter_id, asked = visit.path("encounter"), visit.request.query_params
    frame = await rail.about_case(visit, encounter_id, "giay-bhyt")
    held = await bhyt.slips(visit.repo, encounter_id)
    chosen = next((s for s in held if s.id == (visit.text("phieu") or asked.get("phieu"))), None)
    table = chosen.table if chosen else visit.text("bang") or asked.get("bang") or ""
    if chosen is None and table in bhyt.SINGLE_SLIPS:
        chosen = next((s for s in held if s.table == table), None)
    fields: list[dict[str, Any]] = []
    if table:
        values: Mapping[str, str] = (
            chosen.values
            if chosen
            else await bhyt.proposed_slip(visit.repo, encounter_id, table, await visit.staff())
        )
        fields = [_field(table, f, values.get(f.name, "")) for f in bhyt.slip_fields(table)]
    return visit.draw(
        "claim_slips.html",
        **{
            **frame,
            "slips": held,
            "kinds": bhyt.SLIPS,
            "table": table,
            "chosen": chosen,
            "fields": fields,
            **context,
        },
    )


def _field(table: str, field: Any, text: str) -> dict[str, Any]:
    listed = bhyt.slip_choices(table, field.name)
    several = field.name in ("MA_TINH_TRANG_DK", "MA_XU_TRI")
    if field.type in ("date", "datetime"):
        text = _shown(text)
    return {
        "name": field.name, "title": field.title, "value": text, "choices": [] if several else listed,
        "hint": "; ".join(f"{c}: {t}" for c, t in listed) if several else "", "required": field.required == "always",
        "long": field.max_length is None or field.max_length > 300,
    }  # fmt: skip


def _shown(text: str) -> str:
    if len(text) < 8:
        return text
    day = f"{text[6:8]}/{text[4:6]}/{text[:4]}"
    return f"{day} {text[8:10]}:{text[10:12]}" if len(text) == 12 else day


@page("form.write")
async def write(visit: Visit) -> Response:
    """Keep a slip as a draft, confirm it, or take it back."""
    return await attempt(visit, _write(visit), _slips)


async def _write(visit: Visit) -> Response:
    encounter_id, table = visit.path("encounter"), visit.text("bang")
    visit.require("form.write", (await records.case(visit.repo, encounter_id)).khoa)
    slip_id = visit.text("phieu") or None
    if visit.text("viec") == "bo" and slip_id:
        await bhyt.withdraw_slip(visit.repo, encounter_id, slip_id)
        return visit.go(f"/dot/{encounter_id}/giay-bhyt", "da-huy")
    values = {f.name: _read(f, visit.text(f.name)) for f in bhyt.slip_fields(table)}
    stored = await bhyt.save_slip(
        visit.repo, encounter_id, table, values, await visit.staff(), slip_id=slip_id,
        attest=visit.text("viec") == "xac-nhan",
    )  # fmt: skip
    return visit.go(f"/dot/{encounter_id}/giay-bhyt?phieu={stored.id}", "da-luu")


def _read(field: Any, text: str) -> str:
    """A date or moment as people type it, as the tables write it."""
    if not text or field.type not in ("date", "datetime"):
        return text
    if field.type == "date":
        read = (parse_date(text) or "").replace("-", "")
        if len(read) == 8:
            return read
    else:
        try:
            return show.read_moment(text, field.name).strftime("%Y%m%d%H%M")
        except InvalidInput:
            pass
    told = f"“{text}” không phải {'ngày' if field.type == 'date' else 'ngày giờ'}."
    raise InvalidInput("bhyt.slip-fields", told, issues=[Issue("bhyt.slip-fields", told, field.name)])


ROUTES = [
    Route("/dot/{encounter}/giay-bhyt", slips_page, methods=["GET"]),
    Route("/dot/{encounter}/giay-bhyt", write, methods=["POST"]),
]
