"""Phiếu dữ kiện BHYT of a đợt: HIV, nghỉ dưỡng thai, nghỉ việc, lao; fields and lists come from the tables.

A slip is signed with the PIN like a line of a running sheet. The giấy chứng sinh is a paper of the record (TT22/2025-M01).
"""

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
from benhan.web.signing import pin_needed, sign_with

BIRTH_FORM = "TT22/2025-M01"
#: tags that take several codes, divided by ``;``
SEVERAL = ("MA_TINH_TRANG_DK", "MA_XU_TRI")


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
        typed = {name: ";".join(map(str, visit.form.getlist(name))) for name in SEVERAL if name in visit.form}
        fields = [_field(table, f, {**values, **typed}.get(f.name, "")) for f in bhyt.slip_fields(table)]
    return visit.draw(
        "claim_slips.html",
        **{
            **frame,
            "slips": held,
            "kinds": bhyt.SLIPS,
            "table": table,
            "chosen": chosen,
            "fields": fields,
            "births": await _births(visit, encounter_id),
            "birth_form": BIRTH_FORM,
            "pin_needed": pin_needed(visit),
            **context,
        },
    )


async def _births(visit: Visit, encounter_id: str) -> list[records.Paper]:
    """Giấy chứng sinh of the đợt."""
    return [p for p in await records.papers(visit.repo, encounter_id) if p.form_code == BIRTH_FORM]


def _field(table: str, field: Any, text: str) -> dict[str, Any]:
    listed = bhyt.slip_choices(table, field.name)
    several = field.name in SEVERAL
    if field.type in ("date", "datetime"):
        text = _shown(text)
    return {
        "name": field.name, "title": field.title, "value": text, "choices": listed, "several": several,
        "wide": any(len(title) > 34 for _, title in listed),
        "required": field.required == "always",
        "long": field.max_length is None or field.max_length > 300,
    }  # fmt: skip


def _shown(text: str) -> str:
    if len(text) < 8:
        return text
    day = f"{text[6:8]}/{text[4:6]}/{text[:4]}"
    return f"{day} {text[8:10]}:{text[10:12]}" if len(text) == 12 else day


@page("form.write")
async def write(visit: Visit) -> Response:
    """Keep a slip as a draft, sign it, or take it back."""
    return await attempt(visit, _write(visit), _slips)


async def _write(visit: Visit) -> Response:
    encounter_id, table = visit.path("encounter"), visit.text("bang")
    visit.require("form.write", (await records.case(visit.repo, encounter_id)).khoa)
    slip_id = visit.text("phieu") or None
    if visit.text("viec") == "bo" and slip_id:
        await bhyt.withdraw_slip(visit.repo, encounter_id, slip_id)
        return visit.go(f"/dot/{encounter_id}/giay-bhyt", "da-huy")
    signs = visit.text("viec") == "ky"
    values = {f.name: _read(f, _typed(visit, f.name)) for f in bhyt.slip_fields(table)}
    staff, signing = await visit.staff(), None
    if signs:
        visit.require("form.sign", (await records.case(visit.repo, encounter_id)).khoa)
        signing = await sign_with(visit, "bac_si", always_pin=False)
    stored = await bhyt.save_slip(
        visit.repo, encounter_id, table, values, staff, slip_id=slip_id, complete=signs
    )
    if signing is not None:
        await bhyt.sign_slip(visit.repo, encounter_id, stored.id, signing, authorize=visit.authorize)
    return visit.go(f"/dot/{encounter_id}/giay-bhyt?phieu={stored.id}", "da-ky" if signs else "da-luu")


def _typed(visit: Visit, name: str) -> str:
    """What was typed or ticked in a field."""
    return ";".join(map(str, visit.form.getlist(name))) if name in SEVERAL else visit.text(name)


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
