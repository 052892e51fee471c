"""A facility's referrals: send one from the signed slip, look at the person's papers."""

from __future__ import annotations

from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from benhan.base.clock import fhir_instant, local_date
from benhan.base.errors import NotFound, RuleViolation
from benhan.base.json_door import JsonObject, dumps
from benhan.catalogue import facility, systems
from benhan.exchange import referral_chain as pure
from benhan.exchange.client import Requester
from benhan.exchange.engine import Message
from benhan.exchange.facility import (
    HistoryItem,
    hub_client,
    identifier_in,
    item_of,
    province_document,
    submission_of,
)
from benhan.exchange.mhd import provide_bundle
from benhan.exchange.outgoing import enqueue
from benhan.exchange.referrals import HUB, Referral, put_step, referral, send_step
from benhan.records import Case, Paper, case, paper_answers, papers
from benhan.store import Repository

SLIP = "TT01/2025-PL6"


async def signed_slips(repo: Repository, encounter_id: str) -> list[Paper]:
    """Transfer slips of the đợt that everybody has signed who must."""
    found = await papers(repo, encounter_id)
    return [p for p in found if p.form_code == SLIP and p.complete and p.document_id]


async def refer(
    repo: Repository, code: str, encounter_id: str, slip_id: str, *, year: bool = False, urgent: bool = False
) -> Referral:
    """Send a referral from the signed slip ``slip_id`` (its QuestionnaireResponse): the papers of the đợt that are
    signed, then the referral itself, one transaction, one lane, so that the receiver never sees the one without the other.

    A slip is sent once. ``year``: a disease of PL III. Raises: ``NotFound`` (exchange.no-slip); ``RuleViolation``
    (exchange.slip-facility, exchange.already-referred); ``Conflict`` (exchange.referral-order) when another sent it.
    """
    slip = next((p for p in await signed_slips(repo, encounter_id) if p.response.id == slip_id), None)
    if slip is None:
        raise NotFound("exchange.no-slip", "Chưa có phiếu chuyển cơ sở đủ chữ ký trong hồ sơ này.")
    answers = await paper_answers(repo, slip_id)
    receiver = code_of(answers.get("ma_noi_den"))
    if facility(receiver) is None or receiver == code:
        raise RuleViolation(
            "exchange.slip-facility", "Phiếu chuyển chưa ghi đúng cơ sở nhận; sửa phiếu rồi ký lại."
        )
    here = await case(repo, encounter_id)
    submission = await submission_of(repo, encounter_id, "")
    body = await repo.store.blobs.put(dumps(provide_bundle(submission)))
    papers_sent = Message(
        submission.message_id, "urgent", f"Patient/{here.patient_id}", int(submission.sent.timestamp()), body
    )
    async with repo.transaction() as tx:
        step = await _first_step(tx, code, receiver, here, slip, answers, (year, urgent))
        if not await put_step(tx, step, patient_id=here.patient_id, encounter_id=encounter_id):
            raise RuleViolation("exchange.already-referred", "Phiếu chuyển này đã được gửi.")
        await enqueue(tx, papers_sent, code, HUB)
        await send_step(tx, step)
        await tx.audit(
            "referral-send",
            entity=f"Encounter/{encounter_id}",
            patient=here.patient_id,
            detail={"receiver": receiver, "referral": str(step.referral_id)},
        )
        return await referral(tx, step.referral_id)


async def _first_step(
    tx: Repository,
    code: str,
    receiver: str,
    here: Case,
    slip: Paper,
    answers: dict[str, Any],
    flags: tuple[bool, bool],
) -> pure.Step:
    year, urgent = flags
    patient = (await tx.read("Patient", here.patient_id)).data
    now, actor = tx.clock.now(), tx.ctx.actor
    made = uuid5(NAMESPACE_URL, f"{pure.REFERRAL}|{code}|{slip.response.id}|{slip.document_id}")
    request = service_request(made, code, receiver, slip, answers, urgent)
    request |= {"authoredOn": fhir_instant(now), "requester": {"display": actor.display}}
    issued = min((local_date(s.at) for s in slip.signatures if s.standing), default=local_date(now))
    return pure.Step(
        made, 1, "send", "sender", "sent", code, receiver, now, actor.reference, actor.display, "",
        pure.last_day(issued, year=year), {"patient": patient, "request": request},
    )  # fmt: skip


def service_request(
    made: UUID, code: str, receiver: str, slip: Paper, answers: dict[str, Any], urgent: bool
) -> JsonObject:
    """The ``ServiceRequest`` of a slip: why, in which state, what is asked for. Source: PL VI."""
    told = [
        (title, text_of(answers.get(key)))
        for key, title in (
            ("dau_hieu_ls", "Dấu hiệu lâm sàng"), ("tomtat_kq", "Kết quả cận lâm sàng"),
            ("pp_dieutri", "Đã điều trị"), ("tinh_trang_luc_chuyen", "Tình trạng lúc chuyển"),
            ("huong_dieu_tri", "Hướng điều trị"), ("phuongtien_vc", "Phương tiện"),
        )
    ]  # fmt: skip
    found: JsonObject = {
        "resourceType": "ServiceRequest",
        "identifier": [{"system": pure.REFERRAL, "value": str(made)}],
        "status": "active",
        "intent": "order",
        "priority": "urgent" if urgent else "routine",
        "code": {"text": "Chuyển cơ sở khám bệnh, chữa bệnh"},
        "performer": [{"identifier": {"system": systems.MA_CSKCB, "value": receiver}}],
        "supportingInfo": [
            {"identifier": {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{slip.document_id}"}}
        ],
        "note": [{"text": f"{title}: {text}"} for title, text in told if text],
    }
    diagnosis = answers.get("chan_doan_rv")
    if text_of(diagnosis):
        reason: JsonObject = {"text": text_of(diagnosis)}
        if code_of(diagnosis):
            reason["coding"] = [{"system": systems.ICD10, "code": code_of(diagnosis)}]
        found["reasonCode"] = [reason]
    return {k: v for k, v in found.items() if v != []}


def code_of(value: Any) -> str:
    """Code of an answer from a list."""
    return str(value.get("code") or "") if isinstance(value, dict) else ""


def text_of(value: Any) -> str:
    """An answer in words."""
    if isinstance(value, dict):
        return str(value.get("text") or value.get("display") or value.get("code") or "")
    return "" if value is None else str(value)


async def referral_papers(repo: Repository, referral_id: UUID, requester: Requester) -> list[HistoryItem]:
    """What the hub shows of the referred person, newest first; by the right the referral gives.

    Raises: ``NotFound`` (exchange.no-identifier), ``NotAllowed`` (exchange.no-right), ``NeighbourFailed``.
    """
    here = await referral(repo, referral_id)
    async with await hub_client(repo.store, repo.ctx.tenant) as hub:
        bundle = await hub.find(identifier_in(here.request["patient"]), requester)
    await repo.audit("referral-papers", entity=f"Task/{referral_id}", patient=here.patient_id or None)
    items = [item_of(e["resource"]) for e in bundle.get("entry") or []]
    return sorted(items, key=lambda i: i.at, reverse=True)


async def referral_paper(repo: Repository, referral_id: UUID, sha256: str, requester: Requester) -> bytes:
    """One paper by its hash, which is checked; the hub asks for the right and tells the custodian.

    Raises: ``NotFound`` (exchange.no-such-document, exchange.altered).
    """
    here = await referral(repo, referral_id)
    return await province_document(repo, here.patient_id, sha256, requester)
