"""The hub's side of signed envelopes: exactly the next one of a lane is taken, whatever is delivered how often.

An envelope is an optional layer on the MHD door (header ``Benhan-Envelope``, a JWS by the machine's registered key over the
header of :class:`benhan.exchange.engine.Envelope`); its body is the ITI-65 message. What the registry refuses is kept whole,
with the reason, as *quarantined*: the lane goes on, and a person mends and replays it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from benhan.base.clock import local_date, parse_instant
from benhan.base.errors import BenhanError, InvalidInput, NotAllowed, NotFound
from benhan.base.json_door import JsonObject
from benhan.exchange import engine
from benhan.exchange._rows import connection_of
from benhan.exchange.ending import is_forgotten
from benhan.exchange.engine import Envelope, Gap, InLane, Manifest, Refusal, Repeat, Take, read_envelope
from benhan.exchange.inbox import Received, Registered, register_submission, with_receipt
from benhan.signing import Signer, TimeStamper
from benhan.store import Repository, TenantInfo

KIND = "benhan-envelope+jws"

_NEW_LANE = (
    "insert into exchange_in_lane (tenant, source, lane, epoch, expected, head) values (%s, %s, %s, 1, 1, '')"
    " on conflict do nothing"
)
_LANE = "select epoch, expected, head from exchange_in_lane where tenant = %s and source = %s and lane = %s for update"
_KEEP_LANE = "update exchange_in_lane set epoch = %s, expected = %s, head = %s where tenant = %s and source = %s and lane = %s"
_KNOWN = (
    "select digest, outcome, reason from exchange_in where tenant = %s and source = %s and lane = %s and epoch = %s"
    " and sequence = %s"
)
_PUT = (
    "insert into exchange_in (tenant, source, lane, epoch, sequence, digest, message_id, body_sha256, signed, day,"
    " outcome, reason, received_at) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
)
_MANIFEST = (
    "select distinct message_id, body_sha256 from exchange_in where tenant = %s and source = %s and day = %s"
)
_QUARANTINED = (
    "select source, lane, epoch, sequence, message_id, body_sha256, reason, received_at from exchange_in"
    " where tenant = %s and outcome = 'quarantined' order by received_at desc limit %s"
)
_RELEASE = (
    "update exchange_in set outcome = 'stored', reason = '' where tenant = %s and source = %s and message_id = %s"
    " and outcome = 'quarantined'"
)


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of an envelope; ``received`` is the registry's answer when it was stored (now or before)."""

    answer: engine.Receipt | Gap | Refusal
    received: Received | None = None


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A message that the registry refused, kept to be replayed."""

    source: UUID
    lane: str
    epoch: int
    sequence: int
    message_id: str
    body_sha256: str
    reason: str
    received_at: datetime


def open_envelope(claims: Mapping[str, Any], source: TenantInfo, receiver: str, raw: bytes) -> Envelope:
    """The envelope of good claims, fitting its sender, this hub and the body.

    Raises: ``InvalidInput`` (exchange.bad-envelope), ``NotAllowed`` (exchange.foreign-source).
    """
    envelope = read_envelope(dict(claims))
    if envelope.sender != source.code or envelope.receiver != receiver:
        raise NotAllowed(
            "exchange.foreign-source", "Nơi gửi, nơi nhận trên phong bì không phải của kết nối này."
        )
    if envelope.body_sha256 != hashlib.sha256(raw).hexdigest():
        raise InvalidInput("exchange.bad-envelope", "Nội dung không khớp mã băm trên phong bì.")
    return envelope


async def take(
    repo: Repository,
    source: TenantInfo,
    envelope: Envelope,
    signed: str,
    raw: bytes,
    *,
    signer: Signer,
    tsa: TimeStamper | None,
) -> Taken:
    """Take one envelope: place, registry and receipt stand or fall together.

    A message that the registry refuses (nothing of it is kept there) takes its place as quarantined.
    """
    await repo.store.blobs.put(raw)
    try:
        answer, kept = await _place(repo, source, envelope, signed, raw, None)
    except BenhanError as refused:
        if refused.status >= 500 or refused.code.startswith("store."):
            raise
        answer, kept = await _place(repo, source, envelope, signed, raw, refused)
    received = None if kept is None else await with_receipt(repo, source, kept, signer=signer, tsa=tsa)
    brought = kept is not None and kept.duplicate and bool(kept.statement["documents"])
    if kept is not None and brought and await is_forgotten(repo, kept.message_id):
        await repo.store.blobs.destroy(envelope.body_sha256)
    if isinstance(answer, Refusal):
        await repo.audit(
            "envelope-refused",
            entity=None,
            patient=None,
            outcome="8",
            detail={"source": source.code, "reason": answer.reason, "message": envelope.message_id},
        )
    return Taken(answer, received)


async def _place(
    repo: Repository,
    source: TenantInfo,
    envelope: Envelope,
    signed: str,
    raw: bytes,
    refused: BenhanError | None,
) -> tuple[engine.Receipt | Gap | Refusal, Registered | None]:
    async with repo.transaction() as tx:
        connection, here = connection_of(tx), (tx.ctx.tenant, source.id, envelope.lane)
        await connection.execute(_NEW_LANE, here)
        lane = InLane(*(await (await connection.execute(_LANE, here)).fetchone() or (1, 1, "")))
        at = (*here, envelope.epoch, envelope.sequence)
        known = await (await connection.execute(_KNOWN, at)).fetchone()
        verdict = engine.judge(lane, known[0] if known else None, envelope)
        if isinstance(verdict, Gap | Refusal):
            return verdict, None
        if isinstance(verdict, Repeat):
            if known and known[1] == "quarantined":
                return engine.Receipt(envelope.digest, "quarantined", known[2]), None
            return engine.Receipt(envelope.digest, "stored"), await register_submission(tx, source, raw)
        kept = None if refused else await register_submission(tx, source, raw)
        await _keep(tx, source, envelope, signed, verdict, refused)
        if refused:
            return engine.Receipt(envelope.digest, "quarantined", refused.text), None
        return engine.Receipt(envelope.digest, "stored"), kept


async def _keep(
    tx: Repository,
    source: TenantInfo,
    envelope: Envelope,
    signed: str,
    verdict: Take,
    refused: BenhanError | None,
) -> None:
    connection, tenant, lane = connection_of(tx), tx.ctx.tenant, verdict.lane
    await connection.execute(
        _KEEP_LANE, (lane.epoch, lane.expected, lane.head, tenant, source.id, envelope.lane)
    )
    await connection.execute(
        _PUT,
        (
            tenant,
            source.id,
            envelope.lane,
            envelope.epoch,
            envelope.sequence,
            envelope.digest,
            envelope.message_id,
            envelope.body_sha256,
            signed,
            local_date(parse_instant(envelope.sent_at)),
            "quarantined" if refused else "stored",
            refused.text if refused else "",
            tx.clock.now(),
        ),
    )
    if refused:
        await tx.audit(
            "quarantined",
            entity=f"List/{envelope.message_id}",
            patient=None,
            outcome="4",
            detail={"source": source.code, "code": refused.code},
        )


async def manifest(repo: Repository, source: TenantInfo, day: date) -> Manifest:
    """Message id → body digest of what a facility's envelopes of a day (their own ``sent_at``) brought here."""
    async with repo.transaction() as tx:
        rows = await (await connection_of(tx).execute(_MANIFEST, (tx.ctx.tenant, source.id, day))).fetchall()
        return {str(row[0]): str(row[1]) for row in rows}


async def quarantined(repo: Repository, *, limit: int = 100) -> list[Quarantined]:
    """Messages that wait for a person, the latest first."""
    async with repo.transaction() as tx:
        rows = await (await connection_of(tx).execute(_QUARANTINED, (tx.ctx.tenant, limit))).fetchall()
        return [Quarantined(*row) for row in rows]


async def replay_quarantined(
    repo: Repository, source: TenantInfo, message_id: str, *, signer: Signer, tsa: TimeStamper | None
) -> Received:
    """Hand a quarantined message to the registry again.

    Raises: ``NotFound`` (exchange.not-quarantined); whatever the registry still refuses it with.
    """
    found = next((q for q in await quarantined(repo, limit=10_000) if q.message_id == message_id), None)
    if found is None or found.source != source.id:
        raise NotFound("exchange.not-quarantined", "Không có lần gửi này trong vùng cách ly.")
    raw = await repo.store.blobs.get(found.body_sha256)
    async with repo.transaction() as tx:
        kept = await register_submission(tx, source, raw)
        await connection_of(tx).execute(_RELEASE, (tx.ctx.tenant, source.id, message_id))
        await tx.audit("replayed", entity=f"List/{message_id}", patient=None)
    return await with_receipt(repo, source, kept, signer=signer, tsa=tsa)


def answer_json(taken: Taken) -> JsonObject:
    """The answer as it goes back to the sender."""
    answer = taken.answer
    if isinstance(answer, Gap):
        return {"answer": "gap", "epoch": answer.epoch, "expected": answer.expected}
    if isinstance(answer, Refusal):
        return {"answer": "refused", "reason": answer.reason}
    body: JsonObject = {
        "answer": "receipt",
        "digest": answer.digest,
        "outcome": answer.outcome,
        "reason": answer.reason,
    }
    if taken.received is not None:
        body |= {"response": taken.received.response, "receipt": taken.received.receipt}
    return body


def read_answer(body: JsonObject) -> engine.Answer:
    """Inverse of :func:`answer_json`; anything else is no answer."""
    try:
        if body["answer"] == "gap":
            return Gap(int(body["epoch"]), int(body["expected"]))
        if body["answer"] == "refused":
            return Refusal(str(body["reason"]))
        if body["answer"] == "receipt" and body["outcome"] in ("stored", "quarantined"):
            return engine.Receipt(str(body["digest"]), body["outcome"], str(body.get("reason", "")))
    except (KeyError, TypeError, ValueError):
        pass
    return None
