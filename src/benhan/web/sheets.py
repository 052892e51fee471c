"""Running sheets (36/BV2, 07/BV2, vital signs): lines with their own signatures, the sheet ended by a signature."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from benhan import records
from benhan.base.errors import Conflict, Issue, RuleViolation
from benhan.forms import Form, Item, check, describe_value, empty, parse_value
from benhan.records import form_of
from benhan.store import Stored
from benhan.web import rail, unsent
from benhan.web.frame import Visit, attempt, page
from benhan.web.record import is_closed, may_write, paper_frame, require_write
from benhan.web.signing import pin_needed, sign_with
from benhan.web.signing_far import FAR, key_kind, posted_pin, sign_far

FORM = "36/BV2"
TREATMENT = "entry.treatment"
FIELD_OF = {"reason": "reason", "progress": "progress"}


@page("record.read")
async def sheets_page(visit: Visit) -> Response:
    """Sheets of the đợt; the newest open one is where one writes."""
    encounter_id = visit.path("encounter")
    frame = await rail.about_case(visit, encounter_id, "to")
    rows = []
    for stored in reversed(await records.sheets(visit.repo, encounter_id)):
        if form_of(stored.data).code != FORM:
            continue  # the others stand with the papers of the record
        held = await records.paper(visit.repo, stored.id)
        lines = await records.entries(visit.repo, stored.id)
        rows.append({"stored": stored, "paper": held, "lines": lines})
    return visit.draw("sheets.html", **frame, rows=rows)


@page("entry.treatment")
async def open_sheet(visit: Visit) -> Response:
    """Begin a new sheet."""
    encounter_id = visit.path("encounter")
    visit.require("entry.treatment", (await records.case(visit.repo, encounter_id)).khoa)
    made = await records.open_sheet(visit.repo, encounter_id, FORM, await visit.staff(), visit.now)
    return visit.go(f"/to/{made.id}")


@page("record.read")
async def sheet_page(visit: Visit) -> Response:
    """A sheet: its lines, and a line to write when it is open."""
    return await _sheet_page(visit)


async def _sheet_page(visit: Visit, **context: Any) -> Response:
    stored, form, frame = await paper_frame(visit, visit.path("sheet"), "to")
    held = await records.paper(visit.repo, stored.id)
    case: records.Case = frame["case"]
    ended = any(s.standing for s in held.signatures)
    writable = _may_write(visit, form, case.khoa) and not ended and not is_closed(case)
    return visit.draw(
        "sheet.html",
        **{
            **frame,
            "stored": stored,
            "form_def": form,
            "paper": held,
            "lines": await records.entries(visit.repo, stored.id),
            "ended": ended,
            "columns": _columns(form),
            "cell": describe_value,
            "writable": writable,
            "draft_key": unsent.key(unsent.LINE, stored.id),
            "typed": await unsent.kept(visit, unsent.LINE, stored.id) if writable else {},
            "pin_needed": pin_needed(visit),
            "me": visit.signed_in.ctx.actor.reference,
            **context,
        },
    )


def _columns(form: Form) -> list[Item]:
    """Columns that a line fills besides its moment; none for the sheet of course and orders, which has its own
    fields.
    """
    if form.code == FORM:
        return []
    return [c for c in _table(form).children if c.holds_answer][1:]


def _table(form: Form) -> Item:
    return next(i for i in form.answerable() if i.type == "table")


def _may_write(visit: Visit, form: Form, khoa: str) -> bool:
    return visit.may(TREATMENT, khoa) if form.code == FORM else may_write(visit, form, khoa)


@page("record.read")
async def add(visit: Visit) -> Response:
    """Add a line; with a PIN (or an open PIN time) it is signed at once."""
    return await attempt(visit, _add(visit), _sheet_page)


async def require_line(visit: Visit, sheet_id: str) -> tuple[Stored, Form]:
    """A sheet and its form, when this person writes lines of it here. Raises: ``NotAllowed``; ``Conflict`` for a paper
    that is no running sheet.
    """
    stored = await visit.repo.read("QuestionnaireResponse", sheet_id)
    form = form_of(stored.data)
    if not any(p.per_entry for p in form.signatures):
        raise Conflict("web.no-sheet", "Giấy này không ghi theo từng dòng.")
    khoa = (await records.case(visit.repo, stored.data["encounter"]["reference"].split("/")[1])).khoa
    if form.code == FORM:
        visit.require(TREATMENT, khoa)
    else:
        require_write(visit, form, khoa)
    return stored, form


async def _add(visit: Visit) -> Response:
    sheet_id = visit.path("sheet")
    _, form = await require_line(visit, visit.path("sheet"))
    entry = await _entry(visit, form)
    signs, far = visit.text("do") == "sign", await key_kind(visit)
    if signs and far == "csc":
        posted_pin(visit)
    signing = await sign_with(visit, role(form), always_pin=False) if signs and far not in FAR else None
    async with visit.repo.transaction() as tx:
        made = await records.add_entry(tx, sheet_id, entry)
        await unsent.drop(tx, unsent.LINE, sheet_id)
    if signing is not None:
        await records.sign_entry(visit.repo, made.id, signing, authorize=visit.authorize)
    elif signs:
        return visit.go(await sign_far(visit, [records.Chosen(made.id, made.sha256, role(form), True)]))
    return visit.go(f"/to/{sheet_id}#d-{made.id}", "da-ky" if signing else "da-ghi")


async def _entry(visit: Visit, form: Form) -> records.Entry:
    return records.Entry(
        visit.moment("happened"),
        await visit.staff(),
        progress=visit.text("progress") if form.code == FORM else "",
        orders=visit.text("orders") if form.code == FORM else "",
        extra=_cells(visit, form),
        late_reason=visit.text("late_reason") or None,
    )


def _cells(visit: Visit, form: Form) -> dict[str, Any]:
    """What was typed into the columns of a line. Raises: ``RuleViolation`` (web.line-not-read) for what cannot be read."""
    cells: dict[str, Any] = {}
    for column in _columns(form):
        text = visit.text(f"col-{column.column}").strip()
        if text:
            cells[column.column] = {"text": text} if column.type == "code" else parse_value(column, text)
    table = _table(form)
    for finding in check(form, {table.link_id: [cells]}, at="save", now=visit.now) if cells else []:
        key = next((k for k in cells if f".{k}" in finding.link_id), None)
        if finding.severity == "error" and key:
            raise RuleViolation("web.line-not-read", finding.text, expression=f"col-{key}")
    return {k: v for k, v in cells.items() if not empty(v)}


def role(form: Form) -> str:
    """Role in which a line is signed."""
    return next(p.role for p in form.signatures if p.per_entry)


@page("form.sign")
async def sign_line(visit: Visit) -> Response:
    """Sign one line."""
    return await attempt(visit, _sign_line(visit), _sheet_page)


async def _sign_line(visit: Visit) -> Response:
    stored = await visit.repo.read("QuestionnaireResponse", visit.path("sheet"))
    if await key_kind(visit) in FAR:
        entry = await visit.repo.read("QuestionnaireResponse", visit.path("entry"))
        chosen = records.Chosen(entry.id, entry.sha256, role(form_of(stored.data)), True)
        return visit.go(await sign_far(visit, [chosen]))
    signing = await sign_with(visit, role(form_of(stored.data)), always_pin=False)
    await records.sign_entry(visit.repo, visit.path("entry"), signing, authorize=visit.authorize)
    return visit.go(f"/to/{visit.path('sheet')}#d-{visit.path('entry')}", "da-ky")


@page("record.read")
async def amend(visit: Visit) -> Response:
    """Amend a line with a reason; it must be signed again."""

    async def again(visit: Visit, **context: Any) -> Response:
        context["issues"] = [
            Issue(i.code, i.text, FIELD_OF.get(str(i.expression))) for i in context["issues"]
        ]
        return await _sheet_page(visit, **{**context, "typed": {}})

    return await attempt(visit, _amend(visit), again)


async def _amend(visit: Visit) -> Response:
    _, form = await require_line(visit, visit.path("sheet"))
    entry = await _entry(visit, form)
    await records.amend_entry(visit.repo, visit.path("entry"), entry, visit.text("reason"))
    return visit.go(f"/to/{visit.path('sheet')}#d-{visit.path('entry')}", "da-luu")


@page("form.sign")
async def end(visit: Visit) -> Response:
    """End the sheet: it is printed and signed as a whole."""
    return await attempt(visit, _end(visit), _sheet_page)


async def _end(visit: Visit) -> Response:
    sheet_id = visit.path("sheet")
    stored = await visit.repo.read("QuestionnaireResponse", sheet_id)
    signing = await sign_with(visit, role(form_of(stored.data)))
    await records.end_sheet(visit.repo, sheet_id, signing, authorize=visit.authorize)
    return visit.go(f"/to/{sheet_id}", "da-ket-thuc-to")


ROUTES = [
    Route("/dot/{encounter}/to-dieu-tri", sheets_page, methods=["GET"]),
    Route("/dot/{encounter}/to-dieu-tri", open_sheet, methods=["POST"]),
    Route("/to/{sheet}", sheet_page, methods=["GET"]),
    Route("/to/{sheet}", add, methods=["POST"]),
    Route("/to/{sheet}/dong/{entry}/ky", sign_line, methods=["POST"]),
    Route("/to/{sheet}/dong/{entry}/sua", amend, methods=["POST"]),
    Route("/to/{sheet}/ket-thuc", end, methods=["POST"]),
]
