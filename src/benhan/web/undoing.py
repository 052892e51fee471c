"""Administrative acts taken back: one asks with a reason, another grants; what is in the way is shown with what to do."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from starlette.responses import Response
from starlette.routing import Route

from benhan import records
from benhan.base.errors import InvalidInput, Issue, NotFound, RuleViolation
from benhan.catalogue import systems
from benhan.web import rail, show
from benhan.web.frame import Visit, attempt, page

#: Acts without another thing to name: their obstacles are told before anybody asks.
PLAIN = tuple(u.act for u in records.UNDO_ACTS.values() if not u.target)


@page()
async def undo_page(visit: Visit) -> Response:
    """What can be taken back in this đợt, what is in the way, what waits for a yes."""
    return await _undo_page(visit)


async def _undo_page(visit: Visit, **context: Any) -> Response:
    if not visit.may("admission.ask_undo"):
        visit.require("admission.undo")
    encounter_id = visit.path("encounter")
    frame = await rail.about_case(visit, encounter_id, "dot")
    case: records.Case = frame["case"]
    wishes = await records.requests(visit.repo, encounter_id=encounter_id, kind="undo")
    reads = visit.may("record.read")
    papers = await records.papers(visit.repo, encounter_id) if reads else []
    return visit.draw(
        "undo.html",
        **{
            **frame,
            "locked": case.state in records.closed_states(),
            "acts": [(u, await records.obstacles(visit.repo, encounter_id, u.act)) for u in _plain()],
            "named": [u for u in records.UNDO_ACTS.values() if u.target],
            "titles": {u.act: u.title for u in records.UNDO_ACTS.values()},
            "papers": [p for p in papers if p.form_code != case.form_code],
            "waiting": [w for w in wishes if w.decision is None],
            "decided": [w for w in wishes if w.decision is not None],
            "may_ask": visit.may("admission.ask_undo", case.khoa),
            "may_decide": visit.may("admission.undo", case.khoa),
            "me": visit.signed_in.ctx.actor.reference,
            "names": await _names(visit, [w.asked_by for w in wishes]),
            **context,
        },
    )


async def _names(visit: Visit, references: list[str]) -> dict[str, str]:
    """Names of those who asked, by reference."""
    ids = sorted({r.split("/")[1] for r in references if r.startswith("Practitioner/")})
    if not ids:
        return {}
    found = await visit.repo.search("Practitioner", [("_id", ",".join(ids)), ("_count", "200")])
    return {f"Practitioner/{s.id}": show.name_of(s.data) for s in found.entries}


def _plain() -> list[records.Undo]:
    return [records.UNDO_ACTS[act] for act in PLAIN]


@page()
async def act(visit: Visit) -> Response:
    """Ask, grant or refuse; the room below asks for the permission in the record's khoa."""
    return await attempt(visit, _act(visit), _undo_page)


async def _act(visit: Visit) -> Response:
    encounter_id, step = visit.path("encounter"), visit.text("step")
    if step == "ask":
        name = visit.text("act")
        target = await _target(visit, name)
        await records.ask_undo(
            visit.repo, encounter_id, name, visit.text("reason"), target=target, authorize=visit.authorize
        )
        return visit.go(f"/dot/{encounter_id}/hoan-tac", "da-de-nghi")
    if step == "grant":
        await records.grant_undo(visit.repo, _request(visit), authorize=visit.authorize)
        return visit.go(f"/dot/{encounter_id}/hoan-tac", "da-duyet")
    if step == "refuse":
        await records.decide(
            visit.repo, _request(visit), False, authorize=visit.authorize, note=visit.text("note")
        )
        return visit.go(f"/dot/{encounter_id}/hoan-tac", "da-tu-choi")
    raise InvalidInput("web.no-such-act", "Không có bước này.")


def _request(visit: Visit) -> UUID:
    try:
        return UUID(visit.text("request"))
    except ValueError:
        raise InvalidInput("web.no-such-act", "Không có bước này.") from None


async def _target(visit: Visit, name: str) -> str:
    """What the act needs named: people type the mã người bệnh and the mã đợt, papers are chosen."""
    known = records.UNDO_ACTS.get(name)
    wanted = known.target if known else ""
    if wanted == "patient":
        return await _patient(visit)
    if wanted == "encounter":
        return await _dot(visit, "into")
    if wanted == "paper":
        chosen = visit.text("paper")
        if not chosen:
            raise _missing("Chọn tờ giấy cần chuyển.", "paper")
        return f"{chosen}>{await _dot(visit, 'to')}"
    return ""


async def _patient(visit: Visit) -> str:
    code = visit.text("right")
    found = await visit.repo.search("Patient", [("identifier", f"{systems.MA_BN}|{code}"), ("_count", "2")])
    if not code or not found.entries:
        raise _missing("Không có người bệnh với mã này.", "right")
    return found.entries[0].id


async def _dot(visit: Visit, name: str) -> str:
    try:
        return (await records.encounter_by_ma_lk(visit.repo, visit.text(name))).id
    except NotFound:
        raise _missing("Không có đợt điều trị với mã này.", name) from None


def _missing(text: str, field: str) -> RuleViolation:
    return RuleViolation("web.no-target", text, issues=[Issue("web.no-target", text, field)])


@page("admission.undo")
async def wishes(visit: Visit) -> Response:
    """Every request that waits for somebody's yes in this facility, in the khoa of this person."""
    found = []
    for kind in ("undo", "reopen"):
        for wish in await records.requests(visit.repo, kind=kind):
            if wish.decision is None:
                case = await records.case(visit.repo, wish.encounter_id)
                if visit.may("admission.undo" if kind == "undo" else "record.reopen", case.khoa):
                    found.append((wish, case))
    return visit.draw(
        "wishes.html",
        **await rail.around(visit),
        names=await _names(visit, [wish.asked_by for wish, _ in found]),
        rows=sorted(found, key=lambda r: r[0].asked_at),
        titles={u.act: u.title for u in records.UNDO_ACTS.values()},
        me=visit.signed_in.ctx.actor.reference,
    )


@page("patient.transfer")
async def stop_transfer(visit: Visit) -> Response:
    """A transfer that nobody has accepted: taken back by the khoa that asked, or refused by the other, with the reason."""
    encounter_id, task_id = visit.path("encounter"), visit.path("task")
    reason = visit.text("reason")
    if not reason:
        text = "Ghi lý do thôi hoặc từ chối chuyển khoa."
        raise RuleViolation("web.no-reason", text, issues=[Issue("web.no-reason", text, "reason")])
    pending = {t.id: t for t in await records.pending_transfers(visit.repo, encounter_id)}
    if task_id not in pending:
        raise RuleViolation("web.no-transfer", "Yêu cầu chuyển khoa không còn chờ.")
    here = (await records.case(visit.repo, encounter_id)).khoa
    if not visit.may("patient.transfer", here):
        visit.require("patient.transfer", records.transfer_to(pending[task_id]))
    await records.cancel_transfer(visit.repo, task_id, reason, await visit.staff())
    return visit.go(f"/dot/{encounter_id}", "da-huy")


ROUTES = [
    Route("/viec/de-nghi", wishes, methods=["GET"]),
    Route("/dot/{encounter}/hoan-tac", undo_page, methods=["GET"]),
    Route("/dot/{encounter}/hoan-tac", act, methods=["POST"]),
    Route("/dot/{encounter}/nhan/{task}/thoi", stop_transfer, methods=["POST"]),
]
