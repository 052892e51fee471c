"""Papers that wait for my signature: look at each, tick many, one PIN; what became of each paper.

Beside each paper stands the hash of what is shown (a print, the exact bytes of a line): that hash is signed or nothing.
Signing goes on in a task of this process while the page shows how far it is; when the process ends the rest waits, and
the page asks for the PIN again.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from starlette.responses import Response
from starlette.routing import Route

from benhan import records
from benhan.base.errors import BenhanError, InvalidInput, RuleViolation
from benhan.records import SignWith
from benhan.signing import time_stamper
from benhan.web import rail, show
from benhan.web.frame import CSP, Visit, attempt, page
from benhan.web.signing import opened_signer
from benhan.web.signing_far import FAR, batch_of, key_kind, sign_far, start_far

#: papers of one page: their prints are made when the page is drawn
AT_ONCE = 40
_running: set[asyncio.Task[Any]] = set()


@dataclass(frozen=True, slots=True)
class Row:
    """A waiting paper with its what-you-see hash, or with what keeps it from being signed."""

    work: records.WorkPaper
    sha256: str
    fault: str = ""

    @property
    def value(self) -> str:
        """What the tick of this row sends."""
        return f"{'dong' if self.work.is_entry else 'giay'}:{self.work.response_id}:{self.work.role}:{self.sha256}"

    @property
    def text(self) -> str:
        """What a line says, without its moment."""
        said = [v for v in list(self.work.values.values())[1:] if isinstance(v, str)]
        return " · ".join(said)


@page("form.sign")
async def to_sign(visit: Visit) -> Response:
    """Papers and entries that wait for one's signature, oldest first."""
    return await _to_sign(visit)


async def _to_sign(visit: Visit, **context: Any) -> Response:
    found = await rail.papers_to_sign(visit)
    rows = [await _row(visit, work) for work in found[:AT_ONCE]]
    stopped = await records.stopped_batches(visit.repo)
    back = await records.returned_papers(visit.repo, visit.signed_in.ctx.actor.reference)
    around = await rail.around(visit)
    ticked = visit.form.getlist("giay") if visit.form else None
    shown: dict[str, Any] = {
        "rows": rows,
        "more": len(found) - len(rows),
        "stopped": stopped,
        "back": back,
        "ticked": ticked,
        "key_kind": await key_kind(visit),
        "spoken": await records.spoken_waiting(visit.repo, doctor=visit.signed_in.ctx.actor.reference),
    }
    return visit.draw("to_sign.html", **{**shown, **around, **context})


async def _row(visit: Visit, work: records.WorkPaper) -> Row:
    if work.is_entry:
        return Row(work, work.sha256)
    try:
        return Row(work, (await records.show_paper(visit.repo, work.response_id)).sha256)
    except RuleViolation as unfit:
        return Row(work, "", unfit.text)


@page("record.read")
async def shown(visit: Visit) -> Response:
    """The exact print behind a what-you-see hash."""
    response_id, sha256 = visit.path("response"), visit.path("sha256")
    data = await records.shown_pdf(visit.repo, response_id, sha256)
    stored = await visit.repo.read("QuestionnaireResponse", response_id)
    patient = stored.data["subject"]["reference"].rpartition("/")[2]
    await visit.repo.audit(
        "preview", entity=f"QuestionnaireResponse/{response_id}", patient=patient, detail={"sha256": sha256}
    )
    headers = {"Content-Disposition": f'inline; filename="xem-truoc-{sha256[:12]}.pdf"'}
    return Response(data, media_type="application/pdf", headers=headers)


@page("form.sign")
async def sign_many(visit: Visit) -> Response:
    """Sign the ticked papers with one PIN."""
    return await attempt(visit, _sign_many(visit), _to_sign)


async def _sign_many(visit: Visit) -> Response:
    chosen = [_chosen(str(value)) for value in visit.form.getlist("giay")]
    if not chosen:
        raise RuleViolation("web.nothing-ticked", "Chưa đánh dấu giấy nào.", expression="giay")
    if await key_kind(visit) in FAR:
        return visit.go(await sign_far(visit, chosen))
    signing = await _signing(visit)
    batch = await records.begin_batch(visit.repo, chosen)
    return await _start(visit, batch.id, signing)


def _chosen(value: str) -> records.Chosen:
    parts = value.split(":")
    if len(parts) != 4 or parts[0] not in ("giay", "dong"):
        raise InvalidInput("web.no-such-act", "Không có bước này.")
    return records.Chosen(parts[1], parts[3], parts[2], parts[0] == "dong")


async def _signing(visit: Visit) -> SignWith:
    """This person's key, opened by the posted PIN for this one batch."""
    signer = await opened_signer(visit)
    return SignWith(signer, await visit.staff(), "", time_stamper(visit.settings))


async def _start(visit: Visit, batch_id: UUID, signing: SignWith) -> Response:
    def in_role(role: str) -> SignWith:
        return SignWith(signing.signer, signing.staff, role, signing.tsa)

    task = asyncio.create_task(
        records.run_batch(visit.repo, batch_id, in_role, authorize=visit.authorize), name=f"sign {batch_id}"
    )
    _running.add(task)
    task.add_done_callback(_ended)
    return visit.go(f"/viec/ky/lan/{batch_id}")


def _ended(task: asyncio.Task[Any]) -> None:
    _running.discard(task)
    if not task.cancelled():
        task.exception()  # noted in the batch and in the log already


@page("form.sign")
async def batch_page(visit: Visit) -> Response:
    """How far a batch is, paper by paper."""
    return await _batch_page(visit)


async def _batch_page(visit: Visit, **context: Any) -> Response:
    batch = await records.sign_batch(visit.repo, batch_of(visit))
    rows = [(item, *await _named(visit, item)) for item in batch.items]
    running = batch.running(visit.now)
    kind = await key_kind(visit)
    agent = f"http://127.0.0.1:{visit.settings.agent_port}" if kind == "agent" and batch.waiting else ""
    drawn = visit.draw(
        "sign_batch.html",
        **{
            "agent": agent,
            "batch": batch,
            "rows": rows,
            "running": running,
            "signed": sum(i.stage == "signed" for i in batch.items),
            "refused": sum(i.stage == "refused" for i in batch.items),
            **await rail.around(visit, fresh=not running),
            **context,
        },
    )
    if agent:
        drawn.headers["Content-Security-Policy"] = CSP.replace(
            "connect-src 'self'", f"connect-src 'self' {agent}"
        )
    if visit.htmx and not running:
        drawn.headers["HX-Refresh"] = "true"  # the counts around the page have changed too
    return drawn


async def _named(visit: Visit, item: records.SignItem) -> tuple[str, str]:
    """Patient and title of a paper of the batch; empty when it may not be read any more."""
    try:
        stored = await visit.repo.read("QuestionnaireResponse", item.response_id)
        patient = await visit.repo.read("Patient", stored.data["subject"]["reference"].rpartition("/")[2])
    except BenhanError:
        return "", ""
    return show.name_of(patient.data), records.form_of(stored.data).title


@page("form.sign")
async def go_on(visit: Visit) -> Response:
    """Go on with a batch that stopped, with the PIN."""
    return await attempt(visit, _go_on(visit), _batch_page)


async def _go_on(visit: Visit) -> Response:
    if await key_kind(visit) in FAR:
        return visit.go(await start_far(visit, (await records.claim_batch(visit.repo, batch_of(visit))).id))
    signing = await _signing(visit)
    batch = await records.claim_batch(visit.repo, batch_of(visit))
    return await _start(visit, batch.id, signing)


ROUTES = [
    Route("/viec/ky", to_sign, methods=["GET"]),
    Route("/viec/ky", sign_many, methods=["POST"]),
    Route("/viec/ky/lan/{batch}", batch_page, methods=["GET"]),
    Route("/viec/ky/lan/{batch}", go_on, methods=["POST"]),
    Route("/giay/{response}/ban-ky/{sha256}", shown, methods=["GET"]),
]
