"""From discharge to the archive: what is missing and who must act; sum up, hand in, receive or return, close, reopen."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

from starlette.responses import Response
from starlette.routing import Route

from benhan import records
from benhan.base.errors import BenhanError, InvalidInput, Issue
from benhan.gateways import bhyt
from benhan.signing import KeyStore
from benhan.web import rail, show
from benhan.web.frame import Visit, attempt, page
from benhan.web.signing import opened_signer, seal_with
from benhan.web.signing_far import key_kind

#: The usual way of a record, shown as steps.
STEPS = ("open", "discharged", "completed", "submitted", "received", "closed", "archived")
#: States beside the usual way, and the step before which they stand.
ASIDE = {"returned": "received", "closing": "closed", "reopened": "closed"}
#: By whether the record is of paper: what is not offered on this page.
_NOT_HERE = {False: ("reopen",), True: ("reopen", "return")}
#: Acts that go back: offered below those that go on.
BACK = ("return", "cancel_close")


def way(state: str) -> tuple[str, ...]:
    """The usual way with the present state in its place (pure)."""
    if state not in ASIDE:
        return STEPS
    at = STEPS.index(ASIDE[state])
    return (*STEPS[:at], state, *STEPS[at:])


@page()
async def check_page(visit: Visit) -> Response:
    """Gaps with links to where they are mended, the state, and the acts that are possible now."""
    return await _check_page(visit)


async def _check_page(visit: Visit, **context: Any) -> Response:
    if not visit.may("record.read"):
        visit.require("record.status")
    encounter_id = visit.path("encounter")
    frame = await rail.about_case(visit, encounter_id, "kiem-tra")
    case: records.Case = frame["case"]
    gaps = await records.completeness(visit.repo, encounter_id) if visit.may("record.read") else []
    acts = sorted(
        (t for t in records.allowed_events(case.state) if t.event in ACTS), key=lambda t: t.event in BACK
    )
    wishes = [
        r for r in await records.requests(visit.repo, encounter_id=encounter_id, kind="reopen")
        if r.decision is None
    ]  # fmt: skip
    return visit.draw(
        "closing.html",
        **{
            **frame,
            "gaps": gaps,
            "faults": await _bhyt(visit, encounter_id),
            "steps": way(case.state),
            "locked": case.state in records.closed_states(),
            "places": await _places(visit, case),
            "has_key": await has_key(visit),
            "acts": [
                t
                for t in acts
                if t.event not in _NOT_HERE[case.scanned] and visit.may(t.permission, case.khoa)
            ],
            "may_ask": any(t.event == "reopen" for t in acts) and visit.may("record.ask_reopen", case.khoa),
            "may_decide": visit.may("record.reopen", case.khoa),
            "me": visit.signed_in.ctx.actor.reference,
            "wishes": wishes,
            "others": [t for t in acts if not visit.may(t.permission, case.khoa)],
            "events": await records.events(visit.repo, encounter_id),
            "deadline": rail.today(visit) + timedelta(days=3),
            **context,
        },
    )


async def _places(visit: Visit, case: records.Case) -> list[str]:
    """Where the sealed files lie, once a cold place is in use."""
    if not visit.store.blobs.has_cold or case.closed_at is None:
        return []
    return [place for _, place in await records.places(visit.repo, case.encounter_id)]


async def _bhyt(visit: Visit, encounter_id: str) -> list[bhyt.Finding]:
    """What the rules of the claim say now, for those who may see the record or the claim."""
    if not (visit.may("record.read") or visit.may("claim.read")):
        return []
    if (await records.case(visit.repo, encounter_id)).scanned:
        return []  # a paper record of the past claims nothing
    try:
        return await bhyt.judge_case(visit.repo, encounter_id)
    except BenhanError:
        return []


async def _complete(visit: Visit, encounter_id: str) -> None:
    await records.complete_record(visit.repo, encounter_id, authorize=visit.authorize)


async def _submit(visit: Visit, encounter_id: str) -> None:
    await records.submit_record(visit.repo, encounter_id, authorize=visit.authorize)


async def _receive(visit: Visit, encounter_id: str) -> None:
    await records.receive_record(visit.repo, encounter_id, authorize=visit.authorize)


async def _return(visit: Visit, encounter_id: str) -> None:
    faults = [line for line in visit.text("reason").splitlines() if line.strip()]
    deadline = show.read_day(visit.text("deadline"), "deadline")
    await records.return_record(visit.repo, encounter_id, faults, deadline, authorize=visit.authorize)


async def _close(visit: Visit, encounter_id: str) -> None:
    if await has_key(visit):
        await opened_signer(visit)
    elif visit.text("confirm") != "1":
        text = "Đánh dấu xác nhận đóng hồ sơ."
        raise InvalidInput("web.confirm", text, issues=[Issue("web.confirm", text, "confirm")])
    await records.close_record(visit.repo, encounter_id, await seal_with(visit), authorize=visit.authorize)


async def has_key(visit: Visit) -> bool:
    """Whether this person has a key whose PIN can be asked here, be it suspended (clerks have none, tokens ask their own)."""
    held = await KeyStore(visit.repo).certificates_of(visit.signed_in.ctx.actor.reference)
    here = any(k.status in ("active", "suspended") for k in held)
    return here and await key_kind(visit) != "agent"


async def _cancel_close(visit: Visit, encounter_id: str) -> None:
    await records.cancel_closing(visit.repo, encounter_id, visit.text("reason"), authorize=visit.authorize)


async def _ask_reopen(visit: Visit, encounter_id: str) -> None:
    await records.ask(visit.repo, encounter_id, "reopen", visit.text("reason"), authorize=visit.authorize)


async def _reopen(visit: Visit, encounter_id: str) -> None:
    await records.reopen_record(visit.repo, _request(visit), authorize=visit.authorize)


async def _refuse(visit: Visit, encounter_id: str) -> None:
    await records.decide(
        visit.repo, _request(visit), False, authorize=visit.authorize, note=visit.text("note")
    )


def _request(visit: Visit) -> UUID:
    try:
        return UUID(visit.text("request"))
    except ValueError:
        raise InvalidInput("web.no-such-act", "Không có bước này.") from None


async def _archive(visit: Visit, encounter_id: str) -> None:
    await records.archive_record(visit.repo, encounter_id, authorize=visit.authorize)


ACTS: dict[str, tuple[Callable[[Visit, str], Awaitable[None]], str]] = {
    "complete": (_complete, "da-tong-ket"),
    "submit": (_submit, "da-nop"),
    "receive": (_receive, "da-nhan"),
    "return": (_return, "da-tra"),
    "close": (_close, "da-dong"),
    "seal": (_close, "da-dong"),
    "cancel_close": (_cancel_close, "da-thoi-dong"),
    "ask_reopen": (_ask_reopen, "da-de-nghi"),
    "refuse": (_refuse, "da-tu-choi"),
    "reopen": (_reopen, "da-mo-lai"),
    "archive": (_archive, "da-luu"),
}


@page()
async def act(visit: Visit) -> Response:
    """One step in the life of the record; the room below asks for the permission in the record's khoa."""
    return await attempt(visit, _act(visit), _check_page)


async def _act(visit: Visit) -> Response:
    encounter_id, event = visit.path("encounter"), visit.text("event")
    if event not in ACTS:
        raise InvalidInput("web.no-such-act", "Không có bước này.")
    step, done = ACTS[event]
    await step(visit, encounter_id)
    return visit.go(f"/dot/{encounter_id}/kiem-tra", done)


ROUTES = [
    Route("/dot/{encounter}/kiem-tra", check_page, methods=["GET"]),
    Route("/dot/{encounter}/kiem-tra", act, methods=["POST"]),
]
