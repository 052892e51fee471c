"""Form administration: the list with states, loading YAML, preview of screen and paper, publishing, comparing, retiring."""

from __future__ import annotations

import asyncio
import base64
from datetime import date
from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from benhan.base.clock import local_date
from benhan.base.errors import Conflict, InvalidInput, NotFound
from benhan.base.json_door import dumps
from benhan.forms import Form, PrintContext, catalogue, foreign, page_images, render_fields, sample, shelf
from benhan.web.frame import Visit, attempt, page


@page("settings.manage")
async def list_page(visit: Visit) -> Response:
    """Every form with its state and what is not confirmed."""
    return await _list_page(visit)


async def _list_page(visit: Visit, **context: Any) -> Response:
    own = await shelf.templates(visit.repo)
    mine = {t.code for t in own}
    official = [f for f in _known(visit) if f.code not in mine]
    rows = [(f, [i for i in f.items() if i.unconfirmed]) for f in official]
    return visit.draw(
        "form_admin.html", **{"own": own, "rows": rows, "day": local_date(visit.now), **context}
    )


def _known(visit: Visit) -> list[Form]:
    tenant = str(visit.signed_in.ctx.tenant)
    return [f for f in catalogue().all() if not foreign(f, tenant)]


@page("settings.manage")
async def load(visit: Visit) -> Response:
    """Keep a YAML text as a draft; its faults are shown with their lines."""
    return await attempt(visit, _load(visit), _list_page)


async def _load(visit: Visit) -> Response:
    made = await shelf.load(visit.repo, str(visit.form.get("text", "")))
    return visit.go(f"/bieu-mau/xem?ma={made.code}&ban={made.edition}")


async def _form(visit: Visit, code: str, edition: str) -> Form:
    found = next(
        (t for t in await shelf.templates(visit.repo) if (t.code, t.edition) == (code, edition)), None
    )
    if found is not None:
        return found.form()
    form = next((f for f in _known(visit) if (f.code, f.edition) == (code, edition)), None)
    if form is None:
        raise NotFound("forms.no-such-template", f"Không có biểu mẫu {code}, bản {edition}.")
    return form


@page("settings.manage")
async def preview(visit: Visit) -> Response:
    """Screen and paper side by side, with invented answers; what is unconfirmed; what changed since another edition."""
    query = visit.request.query_params
    form = await _form(visit, query.get("ma", ""), query.get("ban", ""))
    given = sample(form, 1) if query.get("trong") is None else {}
    images = await asyncio.to_thread(page_images, form, PrintContext(answers=given, blank=not given))
    older = [f for f in [*_known(visit), *_parsed(await shelf.templates(visit.repo))] if f.code == form.code]
    others = sorted({f.edition: f for f in older if f.edition != form.edition}.items())
    against = dict(others).get(query.get("so-voi", ""))
    return visit.draw(
        "form_preview.html",
        form_def=form,
        fields=render_fields(form, given, readonly=True),
        images=[base64.b64encode(i).decode() for i in images],
        unsure=[(i.label, i.unconfirmed) for i in form.items() if i.unconfirmed],
        editions=[edition for edition, _ in others],
        changes=shelf.differences(against, form) if against else [],
    )


def _parsed(found: list[shelf.Template]) -> list[Form]:
    return [t.form() for t in found]


@page("settings.manage")
async def questionnaire(visit: Visit) -> Response:
    """The form as FHIR Questionnaire."""
    query = visit.request.query_params
    form = await _form(visit, query.get("ma", ""), query.get("ban", ""))
    headers = {"Content-Disposition": f'attachment; filename="{form.slug}.json"'}
    return Response(dumps(form.questionnaire()), media_type="application/fhir+json", headers=headers)


@page("settings.manage")
async def move(visit: Visit) -> Response:
    """Publish a draft, or retire a published edition on a day."""
    return await attempt(visit, _move(visit), _list_page)


async def _move(visit: Visit) -> Response:
    code, edition, act = visit.text("ma"), visit.text("ban"), visit.text("viec")
    if act == "ban-hanh":
        await shelf.publish(visit.repo, code, edition)
    elif act == "ngung":
        try:
            last = date.fromisoformat(visit.text("ngay"))
        except ValueError:
            raise InvalidInput("web.bad-day", "Ghi ngày cuối cùng dùng bản này.", expression="ngay") from None
        await shelf.retire(visit.repo, code, edition, last)
    else:
        raise Conflict("web.no-such-act", "Không có việc này.")
    return visit.go("/bieu-mau")


ROUTES = [
    Route("/bieu-mau", list_page, methods=["GET"]),
    Route("/bieu-mau", load, methods=["POST"]),
    Route("/bieu-mau/viec", move, methods=["POST"]),
    Route("/bieu-mau/xem", preview, methods=["GET"]),
    Route("/bieu-mau/questionnaire", questionnaire, methods=["GET"]),
]
