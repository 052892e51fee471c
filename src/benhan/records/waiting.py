"""Signatures that wait for a time stamp or for the state of their certificate: noted when made, completed by the worker.

``SignWith.tsa`` and the signer's evidence source may let a signature wait (settings ``tsa_away``, ``revocation_away`` =
``later``). It then stands as *signed, waiting*; the next signer may go on, but the record is not closed before every token and
every answer has come. A certificate that turns out to have been revoked before the signature's proved time leaves it void.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pyhanko.sign.timestamps import TimeStamper

from benhan.base.errors import BenhanError, NeighbourFailed, NotFound
from benhan.records.documents import content_of
from benhan.records.shapes import connection, fact, fact_of, id_of, instant, with_extensions
from benhan.records.signatures import ANSWERED, STAMPED, UNASKED, VOID, WAITING
from benhan.records.types import JsonObject
from benhan.signing import (
    CertificateHeld,
    CertificateRevoked,
    Evidence,
    Unasked,
    cms_answered,
    cms_stamped,
    cms_waits,
    evidence_source,
    pdf_archive,
    pdf_waits,
    unasked,
)
from benhan.store import Repository, Stored

_NOTE = "insert into record_waiting (tenant, provenance_id, encounter_id, asked_at, next_at) values (%s, %s, %s, %s, %s)"
_DUE = (
    "select provenance_id, encounter_id, asked_at, tries, said from record_waiting where tenant = %s and done_at is null"
    " and next_at <= %s order by asked_at, provenance_id limit %s"
)
_ALL = (
    "select provenance_id, encounter_id, asked_at, tries, said from record_waiting where tenant = %s and done_at is null"
    " order by asked_at, provenance_id limit %s"
)
_OF_RECORD = "select count(*) from record_waiting where tenant = %s and encounter_id = %s and done_at is null"
_LATER = "update record_waiting set next_at = %s, tries = tries + 1, said = %s where tenant = %s and provenance_id = %s"
_DONE = "update record_waiting set done_at = %s, said = %s where tenant = %s and provenance_id = %s"
_VOID = (
    "select provenance_id, encounter_id, asked_at, tries, said, done_at from record_waiting where tenant = %s"
    " and done_at is not null and said = %s order by done_at desc, provenance_id limit %s"
)
REVOKED = "signing.certificate-revoked"
LONGEST = timedelta(hours=1)
FIRST = timedelta(seconds=15)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A signature that is not complete, or (``done_at``) turned out void; ``said``: code of the last error."""

    provenance_id: str
    encounter_id: str
    asked_at: datetime
    tries: int
    said: str
    done_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Answer:
    """What came of asking: evidence to keep, since when the certificate is void, what to try again for."""

    evidence: Evidence = field(default_factory=Evidence)
    revoked_at: datetime | None = None
    again: BenhanError | None = None


@dataclass(frozen=True, slots=True)
class _Held:
    """The bytes a signature is in: of the print that was signed (``document``), else its own CMS."""

    data: bytes
    document: Stored | None
    signed: Unasked | None


async def note_waiting(tx: Repository, made: Stored, encounter_id: str) -> None:
    """In the transaction of a signature: put it into the queue when its token or its certificate's state is missing."""
    if fact_of(made.data, WAITING) or fact_of(made.data, UNASKED):
        now = tx.clock.now()
        await connection(tx).execute(_NOTE, (tx.ctx.tenant, made.id, encounter_id, now, now + FIRST))


async def waiting_signatures(repo: Repository, limit: int = 200) -> list[Waiting]:
    """Signatures that wait, the oldest first."""
    async with repo.transaction() as tx:
        return [Waiting(*row) for row in await tx.all(_ALL, (tx.ctx.tenant, limit))]


async def void_signatures(repo: Repository, limit: int = 200) -> list[Waiting]:
    """Signatures whose certificate turned out to have been revoked, the newest first."""
    async with repo.transaction() as tx:
        return [Waiting(*row) for row in await tx.all(_VOID, (tx.ctx.tenant, REVOKED, limit))]


async def waiting_of(repo: Repository, encounter_id: str) -> int:
    """How many signatures of a record wait."""
    async with repo.transaction() as tx:
        row = await tx.one(_OF_RECORD, (tx.ctx.tenant, encounter_id))
    return int(row[0])


async def complete_waiting(repo: Repository, tsa: TimeStamper, *, limit: int = 200) -> int:
    """Ask for the tokens and the certificate states that are due; gives how many signatures are settled.

    While the time-stamp service is away one is asked and the rest wait; responders are many, each signature asks its own.
    """
    async with repo.transaction() as tx:
        due = [Waiting(*row) for row in await tx.all(_DUE, (tx.ctx.tenant, tx.clock.now(), limit))]
    came = 0
    for one in due:
        try:
            await _complete(repo, one, tsa)
        except BenhanError as error:
            await _put_off(repo, one, error.code)
            if isinstance(error, NeighbourFailed) and error.code != "signing.revocation-away":
                break
        else:
            came += 1
    return came


async def _put_off(repo: Repository, one: Waiting, code: str) -> None:
    wait = min(LONGEST, FIRST * 2 ** min(one.tries, 12))
    async with repo.transaction() as tx:
        values = (tx.clock.now() + wait, code, tx.ctx.tenant, one.provenance_id)
        await connection(tx).execute(_LATER, values)


async def _complete(repo: Repository, one: Waiting, tsa: TimeStamper) -> None:
    """Ask and stamp (no transaction is open meanwhile), keep what came, and mark it. Raises what is still missing."""
    act = await repo.read("Provenance", one.provenance_id)
    held = await _held(repo, act)
    answer = _Answer() if held.signed is None else await _asked(repo, held.signed)
    data = await _completed(held.data, answer.evidence, tsa, pdf=held.document is not None)
    if answer.again is not None and data == held.data:
        raise answer.again
    void = answer.revoked_at
    if void is not None and void > (_proved_at(held, data) or repo.clock.now()):
        void = None
    element = act.data["signature"][0]
    async with repo.transaction() as tx:
        if held.document is None:
            element = {**element, "data": base64.b64encode(data).decode("ascii")}
        elif data != held.data:
            await _replace(tx, held.document, data)
        now = tx.clock.now()
        facts = _facts(act.data, now, void, settled=answer.again is None)
        await tx.update({**act.data, "extension": facts, "signature": [element]}, if_match=act.version)
        if answer.again is None:
            said = REVOKED if void is not None else ""
            await connection(tx).execute(_DONE, (now, said, tx.ctx.tenant, one.provenance_id))
    if answer.again is not None:
        raise answer.again


async def _held(repo: Repository, act: Stored) -> _Held:
    """What a signature is in, and what its state is asked with. Raises: ``NotFound`` (records.signature-gone)."""
    element, name = act.data["signature"][0], fact_of(act.data, UNASKED)
    if "data" in element:
        data = base64.b64decode(element["data"])
        return _Held(data, None, unasked(data, name, pdf=False) if name else None)
    document = await repo.read("DocumentReference", _document_of(act))
    data = await content_of(repo, document.data)
    signed = unasked(data, name, pdf=True) if name else None
    if name and signed is None:
        raise NotFound("records.signature-gone", "Không thấy chữ ký này trong tờ đã ký.")
    return _Held(data, document, signed)


async def _asked(repo: Repository, signed: Unasked) -> _Answer:
    """The state of a signature's certificate now; a hold and a silent service are asked again."""
    source = evidence_source(repo.store.settings, signed.chain, repo.clock, of_seal=True)
    try:
        return _Answer(await source.evidence(signed.certificate))
    except CertificateRevoked as gone:
        return _Answer(gone.evidence, gone.at)
    except (CertificateHeld, NeighbourFailed) as error:
        return _Answer(again=error)


async def _completed(held: bytes, evidence: Evidence, tsa: TimeStamper, *, pdf: bool) -> bytes:
    """The bytes with what they lacked: a token where there is none, and the evidence."""
    came = bool(evidence.crls or evidence.ocsps)
    if pdf:
        # a paper signed anew since then: its tokens cover only what stands
        return await pdf_archive(held, tsa, evidence) if came or pdf_waits(held) else held
    stamped = await cms_stamped(held, tsa) if cms_waits(held) else held
    return cms_answered(stamped, evidence) if came else stamped


def _proved_at(held: _Held, data: bytes) -> datetime | None:
    """The earliest time that the signature proves, with what was added to it just now."""
    if held.signed is None:
        return None
    signed = unasked(data, held.signed.name, pdf=held.document is not None)
    return None if signed is None else signed.proved_at


async def _replace(tx: Repository, document: Stored, data: bytes) -> None:
    """The paper's document now has these bytes."""
    sha256 = await tx.store.blobs.put(data)
    content = document.data["content"][0]
    attachment = {**content["attachment"], "url": f"urn:sha256:{sha256}", "size": len(data)}
    changed = {**document.data, "content": [{**content, "attachment": attachment}]}
    await tx.update(changed, if_match=document.version)


def _facts(data: JsonObject, now: datetime, void: datetime | None, *, settled: bool) -> list[JsonObject]:
    """Extensions of a ``Provenance``: what it no longer waits for gives way to when it came."""
    gone, come = {WAITING}, [fact(STAMPED, instant(now))] if fact_of(data, WAITING) else []
    if settled and fact_of(data, UNASKED):
        gone.add(UNASKED)
        come.append(fact(ANSWERED, instant(now)))
    if void is not None:
        come.append(fact(VOID, instant(void)))
    urls = {fact(name, "")["url"] for name in gone}
    kept = [e for e in data.get("extension", ()) if e["url"] not in urls]
    return list(with_extensions({"extension": kept}, *come).get("extension", []))


def _document_of(act: Stored) -> str:
    return next(id_of(t) for t in act.data["target"] if t["reference"].startswith("DocumentReference/"))
