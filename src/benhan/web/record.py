"""The record's papers: list, open on a template, write with autosave, save as one version, print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from benhan import records
from benhan.base.clock import local_date
from benhan.base.errors import Conflict, InvalidInput, Issue
from benhan.forms import (
    Answers,
    Default,
    Finding,
    Form,
    catalogue,
    check,
    compute,
    empty,
    foreign,
    form_fields,
    merge,
    parse_form_post,
    presence,
    render_fields,
    section_index,
)
from benhan.forms import answers as read_answers
from benhan.records import form_of
from benhan.store import Stored
from benhan.web import rail
from benhan.web.frame import Visit, attempt, page

#: Papers that are made by an act of their own or line by line, and are not opened from the list.
NOT_OPENED_HERE = frozenset({"TT25/2025-M02"})

#: Name in a draft under which the version stands that the author began to type on.
DRAFT_SINCE = "~ban"


def draft_key(response_id: str) -> str:
    """Key of a paper's draft; drafts are kept per author."""
    return f"paper/{response_id}"


@page("record.read")
async def papers_page(visit: Visit) -> Response:
    """Papers of the record with their signatures; the record opens here when it has not been."""
    return await _papers_page(visit)


async def _papers_page(visit: Visit, **context: Any) -> Response:
    encounter_id = visit.path("encounter")
    frame = await rail.about_case(visit, encounter_id, "benh-an")
    view = await records.binder(visit.repo, encounter_id)
    forms = current_forms(visit)
    return visit.draw(
        "papers.html",
        **{
            **frame,
            "binder": view,
            "templates": [f for f in forms if f.kind == "benh_an"],
            "papers": [
                f
                for f in forms
                if f.kind != "benh_an"
                and f.code not in NOT_OPENED_HERE
                and may_write(visit, f, frame["case"].khoa)
            ],
            **context,
        },
    )


def current_forms(visit: Visit) -> list[Form]:
    """Forms valid today, in the order of their codes."""
    today, tenant = local_date(visit.now), str(visit.signed_in.ctx.tenant)
    return [
        f
        for f in catalogue().all()
        if not foreign(f, tenant) and f.valid_from <= today and (f.valid_to is None or today <= f.valid_to)
    ]


#: forms written by others than doctors: who may write them besides the holders of ``form.write``
WRITTEN_BY = {"dieu_duong": "entry.care", "ho_sinh": "entry.care", "dinh_duong": "entry.nutrition"}


def may_write(visit: Visit, form: Form, khoa: str | None = None) -> bool:
    """Whether this person writes papers of this form."""
    own = WRITTEN_BY.get(form.by or "")
    return visit.may("form.write", khoa) or (own is not None and visit.may(own, khoa))


def require_write(visit: Visit, form: Form, khoa: str) -> None:
    """Pass or raise ``NotAllowed``."""
    if not may_write(visit, form, khoa):
        visit.require("form.write", khoa)


@page("record.read")
async def open_paper(visit: Visit) -> Response:
    """Put a paper of the catalogue into the record and go to it; a running sheet begins a new sheet."""
    return await attempt(visit, _open_paper(visit), _papers_page)


async def _open_paper(visit: Visit) -> Response:
    encounter_id = visit.path("encounter")
    case = await records.case(visit.repo, encounter_id)
    form = next((f for f in current_forms(visit) if f.code == visit.text("form")), None)
    if form is None or form.kind == "benh_an" or form.code in NOT_OPENED_HERE:
        visit.require("form.write", case.khoa)
        raise InvalidInput("web.no-such-paper", "Chọn một giấy trong danh mục.", expression="form")
    require_write(visit, form, case.khoa)
    if is_closed(case):
        raise Conflict("web.record-closed", "Hồ sơ đã đóng, không thêm giấy được.")
    staff = await visit.staff()
    if any(p.per_entry for p in form.signatures):
        made = await records.open_sheet(visit.repo, encounter_id, form.code, staff, visit.now)
        return visit.go(f"/to/{made.id}")
    made = await records.open_paper(visit.repo, encounter_id, form.code, staff, visit.now)
    return visit.go(f"/giay/{made.id}", "da-mo")


@page("record.open")
async def open_record(visit: Visit) -> Response:
    """Open the record on a template and go to it."""
    return await attempt(visit, _open_record(visit), _papers_page)


async def _open_record(visit: Visit) -> Response:
    encounter_id = visit.path("encounter")
    case = await records.case(visit.repo, encounter_id)
    visit.require("record.open", case.khoa)
    opened = await records.open_record(
        visit.repo, encounter_id, visit.text("form") or "01/BV1", await visit.staff(), visit.now
    )
    return visit.go(f"/giay/{opened.response.id}", "da-mo")


async def paper_frame(
    visit: Visit, response_id: str, tab: str = "benh-an"
) -> tuple[Stored, Form, dict[str, Any]]:
    """The paper, its form, and the facts of the banner."""
    stored = await visit.repo.read("QuestionnaireResponse", response_id)
    encounter_id = stored.data["encounter"]["reference"].split("/")[1]
    return stored, form_of(stored.data), await rail.about_case(visit, encounter_id, tab)


async def answers_now(visit: Visit, stored: Stored, form: Form) -> tuple[Answers, dict[str, Any]]:
    """What the paper holds with this author's draft laid over it, and the draft itself."""
    answers, draft, _ = await typed_now(visit, stored, form)
    return answers, draft


async def typed_now(
    visit: Visit, stored: Stored, form: Form
) -> tuple[Answers, dict[str, Any], list[Finding]]:
    """The same, and what somebody else saved meanwhile in fields that this author had typed into."""
    saved = await records.paper_answers(visit.repo, stored.id)
    draft = await visit.store.drafts.get(visit.repo, draft_key(stored.id))
    since = str(draft.pop(DRAFT_SINCE, ""))
    if not draft:
        return saved, {}, []
    if not since.isdigit() or int(since) >= stored.version:
        return parse_form_post(form, {**form_fields(form, saved), **draft}), draft, []
    base = read_answers(form, (await visit.repo.vread("QuestionnaireResponse", stored.id, int(since))).data)
    mine = parse_form_post(form, {**form_fields(form, base), **draft})
    found = merge(form, base, saved, mine)
    who = stored.data.get("author", {}).get("display", "người khác")
    told = [
        Finding(
            c.link_id,
            "warning",
            f"{c.label}: {who} đã lưu “{c.theirs}”, phần bạn gõ là “{c.mine}”. Giữ lại phần đúng.",
            "both-changed",
        )
        for c in found.clashes
    ]
    return found.answers, draft, told


async def proposed(visit: Visit, encounter_id: str, form: Form) -> dict[str, Default]:
    """Facts that have another home, shown as defaults with where they come from."""
    return await records.proposals(visit.repo, encounter_id, form)


@page("record.read")
async def paper_page(visit: Visit) -> Response:
    """A paper: fields to write in, or the same to read when it may not be written."""
    return await _paper_page(visit)


async def _paper_page(
    visit: Visit, answers: Answers | None = None, told: Sequence[Finding] = (), **context: Any
) -> Response:
    stored, form, frame = await paper_frame(visit, visit.path("response"))
    case: records.Case = frame["case"]
    held = await records.paper(visit.repo, stored.id)
    if any(p.per_entry for p in form.signatures):
        return RedirectResponse(f"/to/{stored.id}", 303)
    writable = may_write(visit, form, case.khoa) and not held.issued and not is_closed(case)
    draft: dict[str, Any] = {}
    if answers is None:
        answers, draft, told = await typed_now(visit, stored, form)
    answers = compute(form, answers)
    findings = [*told, *check(form, answers, at="save", now=visit.now)]
    others = await presence.touch(visit.repo, stored.id) if writable else []
    defaults = await proposed(visit, case.encounter_id, form) if writable else {}
    return visit.draw(
        "paper.html",
        **{
            **frame,
            "stored": stored,
            "form_def": form,
            "paper": held,
            "writable": writable,
            "drafted": bool(draft),
            "others": others,
            "fields": render_fields(form, answers, findings, defaults, readonly=not writable),
            "sections": section_index(form, answers, findings, "sign"),
            "signed": any(s.standing for s in held.signatures),
            "draft_key": draft_key(stored.id),
            **context,
        },
    )


def is_closed(case: records.Case) -> bool:
    """True when the record refuses writing."""
    return case.state in ("closed", "archived", "due", "destroyed", "cancelled")


@page("record.read")
async def index(visit: Visit) -> Response:
    """The section index alone, for the side panel while one writes; also a page of its own."""
    stored, form, frame = await paper_frame(visit, visit.path("response"))
    answers, _ = await answers_now(visit, stored, form)
    answers = compute(form, answers)
    findings = check(form, answers, at="save", now=visit.now)
    others = await presence.touch(visit.repo, stored.id) if may_write(visit, form) else []
    sections = section_index(form, answers, findings, "sign")
    return visit.draw(
        "paper_index.html", **frame, sections=sections, stored=stored, form_def=form, others=others
    )


@page("record.read")
async def save(visit: Visit) -> Response:
    """*Lưu*: one version of the whole paper; the draft is dropped in the same transaction."""

    async def again(visit: Visit, **context: Any) -> Response:
        context["issues"] = [
            Issue(i.code, i.text, "ly_do_sua" if i.expression == "reason" else i.expression)
            for i in context["issues"]
        ]
        stored = await visit.repo.read("QuestionnaireResponse", visit.path("response"))
        form, typed = form_of(stored.data), parse_form_post(form_of(stored.data), visit.typed())
        clashing = [
            Finding(i.expression or "", "warning", i.text, "both-changed")
            for i in context["issues"]
            if i.code == "web.both-changed"
        ]
        since = visit.text("version")
        if clashing and since.isdigit():
            base = await visit.repo.vread("QuestionnaireResponse", stored.id, int(since))
            typed = merge(form, read_answers(form, base.data), read_answers(form, stored.data), typed).answers
        return await _paper_page(visit, typed, clashing, **context)

    return await attempt(visit, _save(visit), again)


async def _save(visit: Visit) -> Response:
    stored, form, frame = await paper_frame(visit, visit.path("response"))
    require_write(visit, form, frame["case"].khoa)
    answers = kept_types(parse_form_post(form, visit.typed()))
    version = visit.text("version")
    if version.isdigit() and int(version) != stored.version:
        answers = await merged(visit, stored, form, int(version), answers)
        version = str(stored.version)
    await records.save_form(
        visit.repo,
        stored.id,
        answers,
        await visit.staff(),
        reason=visit.text("ly_do_sua") or None,
        draft_key=draft_key(stored.id),
        if_match=int(version) if version.isdigit() else None,
    )
    await presence.leave(visit.repo, stored.id)
    if visit.text("tiep") == "ky":
        return visit.go(f"/giay/{stored.id}/ky")
    return visit.go(f"/giay/{stored.id}", "da-luu")


async def merged(visit: Visit, stored: Stored, form: Form, since: int, mine: Answers) -> Answers:
    """Answers with what somebody else saved meanwhile.

    Raises: ``Conflict`` (web.both-changed) naming every field that both changed; the page then shows this
    person's text, and saving again decides.
    """
    base = await visit.repo.vread("QuestionnaireResponse", stored.id, since)
    found = merge(form, read_answers(form, base.data), read_answers(form, stored.data), mine)
    if found.clashes:
        who = stored.data.get("author", {}).get("display", "người khác")
        raise Conflict(
            "web.both-changed",
            f"{who} đã lưu bản {stored.version} trong lúc bạn ghi. Xem lại các mục cả hai cùng sửa rồi Lưu lại.",
            issues=[
                Issue(
                    "web.both-changed",
                    f"{c.label}: {who} ghi “{c.theirs}”, bạn ghi “{c.mine}”.",
                    expression=c.link_id,
                )
                for c in found.clashes
            ],
        )
    return kept_types(found.answers)


def kept_types(answers: Mapping[str, Any]) -> Answers:
    """The answers without empty ones."""
    return {k: v for k, v in answers.items() if not empty(v)}


@page("record.read")
async def pdf(visit: Visit) -> Response:
    """The paper as PDF: the signed one, else a fresh print marked as unsigned."""
    stored, form, frame = await paper_frame(visit, visit.path("response"))
    sheet = any(p.per_entry for p in form.signatures)
    data = await (records.print_sheet if sheet else records.print_paper)(visit.repo, stored.id)
    await visit.repo.audit(
        "print", entity=f"QuestionnaireResponse/{stored.id}", patient=frame["case"].patient_id
    )
    name = f"{form.slug}-{local_date(visit.now):%Y%m%d}.pdf"
    return Response(
        data, media_type="application/pdf", headers={"Content-Disposition": f'inline; filename="{name}"'}
    )


@page("record.read")
async def print_set(visit: Visit) -> Response:
    """The chosen papers (``to``, repeated), or the whole record, with cover and contents."""
    encounter_id = visit.path("encounter")
    chosen = visit.request.query_params.getlist("to")
    case = await records.case(visit.repo, encounter_id)
    data = await records.print_record(visit.repo, encounter_id, chosen)
    await visit.repo.audit("print", entity=f"Encounter/{encounter_id}", patient=case.patient_id)
    name = f"ho-so-{local_date(visit.now):%Y%m%d}.pdf"
    return Response(
        data, media_type="application/pdf", headers={"Content-Disposition": f'inline; filename="{name}"'}
    )


@page("record.export")
async def export(visit: Visit) -> Response:
    """The record as ``HoSoBenhAn`` (Công văn 365), XML or JSON."""
    encounter_id, kind = visit.path("encounter"), visit.path("kind")
    if kind not in ("json", "xml"):
        raise InvalidInput("web.no-such-export", "Chỉ xuất được JSON hoặc XML.")
    case = await records.case(visit.repo, encounter_id)
    data = await records.ho_so_benh_an(visit.repo, encounter_id)
    await visit.repo.audit("export", entity=f"Encounter/{encounter_id}", patient=case.patient_id)
    text = records.to_xml(data) if kind == "xml" else records.to_json(data)
    headers = {"Content-Disposition": f'attachment; filename="ho-so-benh-an.{kind}"'}
    return Response(text, media_type=f"application/{kind}", headers=headers)


@page("record.read")
async def discard(visit: Visit) -> Response:
    """Drop one's unsaved typing and go back to the saved version."""
    await visit.store.drafts.discard(visit.repo, draft_key(visit.path("response")))
    return visit.go(f"/giay/{visit.path('response')}")


ROUTES = [
    Route("/dot/{encounter}/benh-an", papers_page, methods=["GET"]),
    Route("/dot/{encounter}/benh-an", open_record, methods=["POST"]),
    Route("/dot/{encounter}/giay", open_paper, methods=["POST"]),
    Route("/dot/{encounter}/ho-so-benh-an.{kind}", export, methods=["GET"]),
    Route("/dot/{encounter}/in", print_set, methods=["GET"]),
    Route("/giay/{response}", paper_page, methods=["GET"]),
    Route("/giay/{response}", save, methods=["POST"]),
    Route("/giay/{response}/muc-luc", index, methods=["GET"]),
    Route("/giay/{response}/pdf", pdf, methods=["GET"]),
    Route("/giay/{response}/bo-nhap", discard, methods=["POST"]),
]
