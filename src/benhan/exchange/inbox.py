"""The hub's inbox: one ITI-65 submission in, documents linked to a person, a signed receipt out.

A second delivery of the same submission finds the first and gets the same receipt; the same number with other
contents is refused. Everything of one submission is one transaction; document bytes are put away before it.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from uuid import UUID

from benhan.access import SENSITIVE_LABELS
from benhan.base.clock import fhir_instant
from benhan.base.errors import Conflict, NotAllowed
from benhan.base.json_door import JsonObject, dumps, loads_object
from benhan.catalogue import systems
from benhan.exchange._rows import connection_of
from benhan.exchange.ending import Ending, forget_documents, is_ending, read_ending
from benhan.exchange.metadata import DESIGNATION
from benhan.exchange.mhd import (
    DESIGNATED,
    DOCUMENT,
    FORMAT,
    LIST_TYPES,
    PAPER_KIND,
    SOURCE_ID,
    SUBMISSION_SET,
    URI,
    Document,
    Submission,
    category,
    read_provide,
    security_label,
    setting,
)
from benhan.exchange.referral_chain import Step, is_step, read_message
from benhan.exchange.referrals import take_step
from benhan.identity import link_patient
from benhan.signing import Signer, TimeStamper, sign_cades
from benhan.store import Repository, TenantInfo

_FIND = "select sha256, receipt from exchange_inbox where tenant = %s and source = %s and message_id = %s"
_LOCK = "select pg_advisory_xact_lock(hashtextextended(%s, 0))"
_PUT = (
    "insert into exchange_inbox (tenant, source, message_id, sha256, received_at, receipt) "
    "values (%s, %s, %s, %s, %s, %s)"
)
_SIGNED = "update exchange_inbox set receipt = %s where tenant = %s and source = %s and message_id = %s"

MAX_BYTES = 200_000_000


@dataclass(frozen=True, slots=True)
class Received:
    """Answer to a submission: the transaction-response Bundle and the signed receipt."""

    response: JsonObject
    receipt: JsonObject
    duplicate: bool


@dataclass(frozen=True, slots=True)
class Registered:
    """A submission that is kept: its number, the answer, what the receipt states, and the receipt once it is signed."""

    message_id: str
    response: JsonObject
    statement: JsonObject
    receipt: JsonObject | None
    duplicate: bool


async def receive(
    repo: Repository, source: TenantInfo, raw: bytes, *, signer: Signer, tsa: TimeStamper | None
) -> Received:
    """Take one ITI-65 message from ``source``: kept in one transaction, then its receipt is signed outside of any.

    Raises: as :func:`register_submission`.
    """
    kept = await register_submission(repo, source, raw)
    return await with_receipt(repo, source, kept, signer=signer, tsa=tsa)


async def register_submission(repo: Repository, source: TenantInfo, raw: bytes) -> Registered:
    """Keep one ITI-65 message or one step of a referral, in the caller's transaction when there is one.

    Raises: ``InvalidInput`` (exchange.bad-submission), ``NotAllowed`` (exchange.foreign-source) when the message
    names another facility than the sender's certificate, ``Conflict`` (exchange.message-reused,
    exchange.document-changed).
    """
    bundle = loads_object(raw, max_bytes=MAX_BYTES)
    if is_ending(bundle):
        return await _register_ending(repo, source, read_ending(bundle), raw)
    if is_step(bundle):
        return await _register_step(repo, source, read_message(bundle), raw)
    submission = read_provide(bundle)
    if submission.source_id != facility_urn(source.code):
        raise NotAllowed(
            "exchange.foreign-source", "Nơi gửi ghi trong gói không phải cơ sở của chứng thư kết nối."
        )
    digest = hashlib.sha256(raw).hexdigest()
    async with repo.transaction() as tx:  # a late repeat brings no file back that was destroyed since
        known = await _known(tx, source, submission.message_id, digest)
    if known is not None:
        return known
    for document in submission.documents:
        await repo.store.blobs.put(document.data)
    async with repo.transaction() as tx:
        known = await _known(tx, source, submission.message_id, digest)
        if known is not None:
            return known
        link = await link_patient(tx, source.id, submission.patient)
        entries = [
            await _register(tx, source.id, link.patient_id, document, submission)
            for document in submission.documents
        ]
        await _register_set(tx, source.id, link.patient_id, submission, entries)
        response: JsonObject = {"resourceType": "Bundle", "type": "transaction-response", "entry": entries}
        statement = _statement(tx, submission, digest)
        await _keep(tx, source, submission.message_id, digest, response, statement)
        await tx.audit(
            "provide",
            entity=f"List/{submission.message_id}",
            patient=link.patient_id,
            detail={"source": source.code, "documents": len(submission.documents), "link": link.how},
        )
    return Registered(submission.message_id, response, statement, None, False)


async def _known(tx: Repository, source: TenantInfo, message_id: str, digest: str) -> Registered | None:
    connection, tenant = connection_of(tx), tx.ctx.tenant
    await connection.execute(_LOCK, (f"{tenant}|{source.id}|{message_id}",))
    row = await (await connection.execute(_FIND, (tenant, source.id, message_id))).fetchone()
    if row is None:
        return None
    if row[0] != digest:
        raise Conflict("exchange.message-reused", "Số hiệu lần gửi đã dùng cho nội dung khác.")
    kept = loads_object(bytes(row[1]))
    receipt = kept.get("receipt")
    statement = receipt["statement"] if receipt else kept["statement"]
    return Registered(message_id, kept["response"], statement, receipt, True)


async def _keep(
    tx: Repository,
    source: TenantInfo,
    message_id: str,
    digest: str,
    response: JsonObject,
    statement: JsonObject,
) -> None:
    stored = dumps({"response": response, "statement": statement})
    values = (tx.ctx.tenant, source.id, message_id, digest, tx.clock.now(), stored)
    await connection_of(tx).execute(_PUT, values)


async def _register_step(repo: Repository, source: TenantInfo, step: Step, raw: bytes) -> Registered:
    """A step of a referral, taken as a submission is: once, in one transaction, with a receipt."""
    digest = hashlib.sha256(raw).hexdigest()
    async with repo.transaction() as tx:
        known = await _known(tx, source, step.message_id, digest)
        if known is not None:
            return known
        patient_id = await take_step(tx, source, step)
        response: JsonObject = {"resourceType": "Bundle", "type": "transaction-response", "entry": []}
        statement = {
            "messageId": step.message_id,
            "source": step.source_id,
            "sha256": digest,
            "documents": [],
            "receivedAt": fhir_instant(tx.clock.now()),
        }
        await _keep(tx, source, step.message_id, digest, response, statement)
        detail = {"source": source.code, "referral": str(step.referral_id), "number": step.number}
        entity = f"Task/{step.referral_id}"
        await tx.audit(f"referral-{step.event}", entity=entity, patient=patient_id, detail=detail)
    return Registered(step.message_id, response, statement, None, False)


async def _register_ending(repo: Repository, source: TenantInfo, ending: Ending, raw: bytes) -> Registered:
    """A facility has destroyed a record: its copies here go too, then the receipt says so."""
    if ending.source != source.code:
        raise NotAllowed(
            "exchange.foreign-source", "Nơi gửi ghi trong gói không phải cơ sở của chứng thư kết nối."
        )
    digest = hashlib.sha256(raw).hexdigest()
    async with repo.transaction() as tx:
        known = await _known(tx, source, ending.message_id, digest)
        if known is not None:
            return known
    await forget_documents(repo, source, ending.documents)
    async with repo.transaction() as tx:
        known = await _known(tx, source, ending.message_id, digest)
        if known is not None:
            return known
        response: JsonObject = {"resourceType": "Bundle", "type": "transaction-response", "entry": []}
        statement = {
            "messageId": ending.message_id,
            "source": facility_urn(source.code),
            "sha256": digest,
            "documents": [],
            "destroyed": list(ending.documents),
            "receivedAt": fhir_instant(tx.clock.now()),
        }
        await _keep(tx, source, ending.message_id, digest, response, statement)
        detail = {"source": source.code, "documents": len(ending.documents)}
        await tx.audit("destroyed-at-source", entity=f"List/{ending.message_id}", patient=None, detail=detail)
    return Registered(ending.message_id, response, statement, None, False)


async def with_receipt(
    repo: Repository, source: TenantInfo, kept: Registered, *, signer: Signer, tsa: TimeStamper | None
) -> Received:
    """The signed receipt of what is kept: signed at the first delivery (or at the next one, had the process died)."""
    if kept.receipt is not None:
        return Received(kept.response, kept.receipt, kept.duplicate)
    signature = await sign_cades(dumps(kept.statement), signer, tsa)
    receipt = {"statement": kept.statement, "cms": base64.b64encode(signature).decode()}
    async with repo.transaction() as tx:
        where = (repo.ctx.tenant, source.id, kept.message_id)
        await connection_of(tx).execute(
            _SIGNED, (dumps({"response": kept.response, "receipt": receipt}), *where)
        )
    return Received(kept.response, receipt, kept.duplicate)


def facility_urn(code: str) -> str:
    """The identifier by which a facility names itself in a submission."""
    return f"{systems.MA_CSKCB}:{code}"


async def _register(
    tx: Repository, custodian: UUID, patient_id: str, document: Document, submission: Submission
) -> JsonObject:
    found = await tx.search(
        "DocumentReference", [("identifier", f"{URI}|{document.master_id}"), ("_count", "1")]
    )
    if found.entries:
        known = found.entries[0]
        if known.data["content"][0]["attachment"]["url"] != f"Binary/{document.sha256}":
            raise Conflict("exchange.document-changed", "Tài liệu cùng định danh đã có với nội dung khác.")
        return {
            "response": {
                "status": "200 OK",
                "location": f"DocumentReference/{known.id}/_history/{known.version}",
            }
        }
    if document.replaces:
        await _supersede(tx, document.replaces)
    stored = await tx.create(_metadata(patient_id, document, submission), custodian=custodian)
    return {"response": {"status": "201 Created", "location": f"DocumentReference/{stored.id}/_history/1"}}


async def _register_set(
    tx: Repository, custodian: UUID, patient_id: str, submission: Submission, entries: list[JsonObject]
) -> None:
    """Keep the SubmissionSet for ITI-66. It is as sensitive as the most sensitive of its documents."""
    groups = sorted({group for document in submission.documents for group in document.security})
    labels = [{"system": SENSITIVE_LABELS, "code": group} for group in groups]
    await tx.create(
        {
            "resourceType": "List",
            "meta": {"profile": [SUBMISSION_SET], **({"security": labels} if labels else {})},
            "extension": [
                {"url": SOURCE_ID, "valueIdentifier": {"system": URI, "value": submission.source_id}},
                {"url": DESIGNATION, "valueCodeableConcept": DESIGNATED},
            ],
            "identifier": [
                {"use": use, "system": URI, "value": submission.message_id} for use in ("official", "usual")
            ],
            "status": "current",
            "mode": "working",
            "code": {"coding": [{"system": LIST_TYPES, "code": "submissionset"}]},
            "subject": {"reference": f"Patient/{patient_id}"},
            "date": fhir_instant(submission.sent),
            "entry": [
                {"item": {"reference": e["response"]["location"].partition("/_history")[0]}} for e in entries
            ],
        },
        custodian=custodian,
    )


def _who(patient: JsonObject) -> JsonObject:
    return {k: patient[k] for k in ("identifier", "name", "gender", "birthDate") if k in patient}


async def _supersede(tx: Repository, master_id: str) -> None:
    found = await tx.search("DocumentReference", [("identifier", f"{URI}|{master_id}"), ("_count", "1")])
    for old in found.entries:
        if old.data["status"] == "current":
            await tx.update({**old.data, "status": "superseded"}, if_match=old.version)


def _metadata(patient_id: str, document: Document, submission: Submission) -> JsonObject:
    identifier = {"system": URI, "value": document.master_id}
    out: JsonObject = {
        "resourceType": "DocumentReference",
        "meta": {"profile": [DOCUMENT]},
        "masterIdentifier": identifier,
        "identifier": [{"use": "official", **identifier}],
        "status": "current",
        "type": {
            "coding": [{"system": PAPER_KIND, "code": document.kind, "display": document.kind_display}],
            "text": document.kind_display,
        },
        "contained": [
            {"resourceType": "Patient", "id": "nguoi-benh", **_who(submission.patient)},
        ],
        "category": [category(document)],
        "subject": {"reference": f"Patient/{patient_id}"},
        "date": fhir_instant(document.created),
        "description": document.title or document.kind_display,
        "custodian": {
            "identifier": {"system": systems.MA_CSKCB, "value": submission.source_id.rsplit(":", 1)[-1]}
        },
        "securityLabel": security_label(document),
        "content": [
            {
                "attachment": {
                    "contentType": document.content_type,
                    "language": "vi",
                    "url": f"Binary/{document.sha256}",
                    "size": len(document.data),
                    "hash": base64.b64encode(
                        hashlib.sha1(document.data, usedforsecurity=False).digest()
                    ).decode(),
                    "title": document.title or document.kind_display,
                    "creation": fhir_instant(document.created),
                },
                "format": FORMAT,
            }
        ],
    }
    if document.author:
        out["author"] = [{"display": document.author}]
    context = setting(document)
    if document.event:
        context["related"] = [{"identifier": {"system": systems.MA_LK, "value": document.event}}]
    if document.period_start:
        context["period"] = {"start": document.period_start}
    out["context"] = context
    return out


def _statement(tx: Repository, submission: Submission, digest: str) -> JsonObject:
    return {
        "messageId": submission.message_id,
        "source": submission.source_id,
        "sha256": digest,
        "documents": [{"id": d.master_id, "sha256": d.sha256} for d in submission.documents],
        "receivedAt": fhir_instant(tx.clock.now()),
    }
