"""A facility's work with the hub: hand over what is closed, ask for history, fetch disclosures, report status.

Handing over runs from the outbox (topic ``exchange.provide``): the transaction that closed the record wrote the row,
so a cut line loses nothing; the message is the same bytes at every try, so the hub takes it once.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from uuid import NAMESPACE_URL, UUID, uuid5

from benhan.access import sensitive_groups_of
from benhan.base.clock import fhir_instant, parse_instant
from benhan.base.errors import NeighbourFailed, NotAllowed, NotFound
from benhan.base.json_door import JsonObject, dumps, loads_object
from benhan.base.settings import Settings
from benhan.catalogue import systems
from benhan.exchange.client import HubClient, Requester
from benhan.exchange.disclosures import apply_disclosures, cursor_of, move_cursor
from benhan.exchange.ending import ending_bundle, ending_of
from benhan.exchange.engine import Envelope, Message
from benhan.exchange.inbox import facility_urn
from benhan.exchange.mhd import Document, Submission, provide_bundle, sort_documents
from benhan.exchange.outgoing import Comparison, Reply, compare_day, drain, enqueue, state_of
from benhan.exchange.referrals import fetch_referrals
from benhan.exchange.status import RecordStatus
from benhan.jobs import register
from benhan.records import binder, blob_of, case, containers
from benhan.store import Actor, Ctx, FeedCursor, Repository, Store, Stored, SystemPolicy

SHARING = Actor(reference="Device/benhan-exchange", display="Liên thông", kind="system")
PROVIDE = "exchange.provide"
DESTROY = "exchange.destroy"
#: How an envelope names the hub; a province has one.
HUB = "hub"

#: Record states of ``records`` → claim words of the status report come from the claim's own resources.
_CLAIM_WORDS = {"complete": "accepted", "error": "refused", "queued": "sent", "partial": "refused"}


def register_jobs() -> None:
    """Register this room's outbox topics with `jobs`."""
    register(PROVIDE, provide_record)
    register(DESTROY, end_record)


def system_repo(store: Store, tenant: UUID) -> Repository:
    """A repository for background work of this room."""
    return store.repo(Ctx(tenant=tenant, actor=SHARING, purpose="COVERAGE"), SystemPolicy())


async def hub_client(store: Store, tenant: UUID) -> HubClient:
    """The client of one facility of this node; its number and key lie in the secrets folder since onboarding."""
    code = await _code(store, tenant)
    path = client_file(store.settings, code)
    if not path.exists():
        raise NotFound("exchange.not-onboarded", f"Cơ sở {code} chưa đăng ký với trục liên thông.")
    known = loads_object(path.read_bytes())
    return HubClient(store.settings, code, known["client_id"], known["key"].encode(), clock=store.clock)


def client_file(settings: Settings, code: str) -> Path:
    """Where a facility keeps its number and key at the hub; mode 0600."""
    return settings.secrets_dir / f"hub-client-{code}.json"


def keep_client(settings: Settings, code: str, client_id: str, key_pem: bytes) -> None:
    """Keep a facility's number and key at the hub."""
    settings.secrets_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = client_file(settings, code)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(dumps({"client_id": client_id, "key": key_pem.decode()}))


async def _code(store: Store, tenant: UUID) -> str:
    return next(t.code for t in await store.tenants() if t.id == tenant)


async def provide_record(store: Store, tenant: UUID, payload: JsonObject) -> None:
    """Outbox handler: queue the papers and containers of a closed record for the hub (ITI-65), and send what is due.

    Raises: ``NeighbourFailed`` (exchange.hub-away) while the hub does not have it, so that the job comes back.
    """
    repo = system_repo(store, tenant)
    submission = await submission_of(repo, payload["encounter"], str(payload.get("container") or ""))
    body = await store.blobs.put(dumps(provide_bundle(submission)))
    message = Message(
        submission.message_id,
        str(payload.get("lane") or "archive"),
        f"Patient/{submission.patient['id']}",
        int(submission.sent.timestamp()),
        body,
    )
    async with repo.transaction() as tx:
        if await enqueue(tx, message, await _code(store, tenant), HUB):
            await tx.audit(
                "queued",
                entity=f"Encounter/{payload['encounter']}",
                patient=str(submission.patient["id"]),
                detail={"documents": len(submission.documents), "message": submission.message_id},
            )
    await send_due(store, tenant)
    if await state_of(repo, submission.message_id) == "waiting":
        raise NeighbourFailed("exchange.hub-away", "Không nối được trục liên thông; sẽ thử lại.")


async def end_record(store: Store, tenant: UUID, payload: JsonObject) -> None:
    """Outbox handler: tell the hub that a record was destroyed, so that its copies go too; its receipt is awaited.

    A facility that is not joined to the hub has nothing there. Raises: ``NeighbourFailed`` (exchange.hub-away).
    """
    code = await _code(store, tenant)
    if not client_file(store.settings, code).exists():
        return
    repo = system_repo(store, tenant)
    ending = ending_of(code, str(payload["encounter"]), [str(d) for d in payload["documents"]])
    body = await store.blobs.put(dumps(ending_bundle(ending)))
    subject = f"Encounter/{payload['encounter']}"
    async with repo.transaction() as tx:
        if await enqueue(tx, Message(ending.message_id, "archive", subject, 1, body), code, HUB):
            await tx.audit(
                "queued-ending", entity=subject, patient=None, detail={"message": ending.message_id}
            )
    await send_due(store, tenant)
    if await state_of(repo, ending.message_id) == "waiting":
        raise NeighbourFailed("exchange.hub-away", "Không nối được trục liên thông; sẽ thử lại.")
    row = await status_of(repo, str(payload["encounter"]))
    if row is not None:
        async with await hub_client(store, tenant) as hub:
            await hub.report_status([row.as_json()])


async def ending_state(repo: Repository, encounter_id: str) -> str | None:
    """Where the message of a destroyed record stands: waiting, received …; None when the hub was not to be told."""
    code = await _code(repo.store, repo.ctx.tenant)
    return await state_of(repo, ending_of(code, encounter_id, ()).message_id)


async def send_due(store: Store, tenant: UUID) -> int:
    """Send the envelopes that are due; gives how many the hub received."""
    repo = system_repo(store, tenant)

    async with await hub_client(store, tenant) as hub:

        async def send(envelope: Envelope) -> Reply:
            return await hub.send_envelope(envelope, await store.blobs.get(envelope.body_sha256))

        return await drain(repo, send)


async def reconcile(store: Store, tenant: UUID, day: date) -> Comparison:
    """Hold one day against the hub by count and hash; what the hub lacks goes out again at the next sending."""
    async with await hub_client(store, tenant) as hub:
        answer = await hub.manifest(day)
    return await compare_day(
        system_repo(store, tenant), day, {str(k): str(v) for k, v in answer["messages"].items()}
    )


async def submission_of(repo: Repository, encounter_id: str, container_id: str) -> Submission:
    """The submission of a record's papers and containers; the same record state gives the same submission."""
    the_case = await case(repo, encounter_id)
    code = await _code(repo.store, repo.ctx.tenant)
    documents: dict[str, Document] = {}
    view = await binder(repo, encounter_id)
    for part in view.parts:
        if part.document_id:
            found = await repo.read("DocumentReference", part.document_id)
            documents[found.id] = await _document(
                repo, found, part.form_code or "", part.title, the_case.ma_lk
            )
    for sealed in await containers(repo, encounter_id):
        documents[sealed.id] = await _document(
            repo, sealed, systems.DOC_CONTAINER, "Hồ sơ bệnh án niêm phong", the_case.ma_lk
        )
    ordered = sort_documents(list(documents.values()))
    patient = (await repo.read("Patient", the_case.patient_id)).data
    key = "|".join([code, encounter_id, container_id, *(d.sha256 for d in ordered)])
    return Submission(
        f"urn:uuid:{uuid5(NAMESPACE_URL, key)}",
        facility_urn(code),
        max(d.created for d in ordered),
        patient,
        tuple(ordered),
    )


async def _document(repo: Repository, stored: Stored, kind: str, title: str, ma_lk: str) -> Document:
    data = stored.data
    attachment = data["content"][0]["attachment"]
    return Document(
        master_id=f"urn:uuid:{stored.id}",
        kind=kind,
        kind_display=title,
        title=data.get("description") or title,
        content_type=attachment["contentType"],
        data=await repo.store.blobs.get(blob_of(data)),
        created=parse_instant(data.get("date") or fhir_instant(stored.at)),
        author=", ".join(a.get("display", "") for a in data.get("author") or []),
        event=ma_lk,
        period_start=str(((data.get("context") or {}).get("period") or {}).get("start", "")),
        security=await sensitive_groups_of(repo, stored.type, stored.id),
    )


async def identifier_of(repo: Repository, patient_id: str) -> str:
    """``system|value`` by which the hub knows this person: personal number, else card number.

    Raises: ``NotFound`` (exchange.no-identifier).
    """
    return identifier_in((await repo.read("Patient", patient_id)).data)


def identifier_in(patient: JsonObject) -> str:
    """As :func:`identifier_of`, of a ``Patient`` at hand."""
    known = {i.get("system"): i.get("value") for i in patient.get("identifier") or []}
    for system in (systems.CCCD, systems.BHYT, systems.PASSPORT):
        if known.get(system):
            return f"{system}|{known[system]}"
    raise NotFound(
        "exchange.no-identifier", "Người bệnh chưa có số định danh hay thẻ BHYT để hỏi trục liên thông."
    )


@dataclass(frozen=True, slots=True)
class HistoryItem:
    """One document of the province history, as the hub describes it."""

    sha256: str
    title: str
    kind: str
    facility: str
    at: str
    author: str
    content_type: str
    event: str


async def province_history(repo: Repository, patient_id: str, requester: Requester) -> list[HistoryItem]:
    """Documents of this person at other facilities, newest first; audited here as well.

    Raises: ``NotAllowed`` (exchange.no-right) when the hub knows no consent, referral or break-glass.
    """
    identifier = await identifier_of(repo, patient_id)
    async with await hub_client(repo.store, repo.ctx.tenant) as hub:
        try:
            bundle = await hub.find(identifier, requester)
        except NotAllowed:
            await repo.audit(
                "history-refused", entity=f"Patient/{patient_id}", patient=patient_id, outcome="4"
            )
            raise
    await repo.audit("history", entity=f"Patient/{patient_id}", patient=patient_id)
    items = [item_of(e["resource"]) for e in bundle.get("entry") or []]
    return sorted(items, key=lambda i: i.at, reverse=True)


async def province_summary(repo: Repository, patient_id: str, requester: Requester) -> JsonObject:
    """The IPS document of this person out of every record the hub may show here. Raises: as `province_history`."""
    identifier = await identifier_of(repo, patient_id)
    async with await hub_client(repo.store, repo.ctx.tenant) as hub:
        document = await hub.summary(identifier, requester)
    await repo.audit("history-summary", entity=f"Patient/{patient_id}", patient=patient_id)
    return document


def item_of(resource: JsonObject) -> HistoryItem:
    attachment = resource["content"][0]["attachment"]
    coding = resource["type"]["coding"][0]
    context = resource.get("context") or {}
    return HistoryItem(
        sha256=attachment["url"].rsplit("/", 1)[-1],
        title=resource.get("description") or coding.get("display", ""),
        kind=coding.get("code", ""),
        facility=((resource.get("custodian") or {}).get("identifier") or {}).get("value", ""),
        at=resource.get("date", ""),
        author=", ".join(a.get("display", "") for a in resource.get("author") or []),
        content_type=attachment["contentType"],
        event=next((r["identifier"]["value"] for r in context.get("related") or [] if "identifier" in r), ""),
    )


async def province_document(repo: Repository, patient_id: str, sha256: str, requester: Requester) -> bytes:
    """The exact bytes of one document of the history; the hash is checked here again."""
    async with await hub_client(repo.store, repo.ctx.tenant) as hub:
        data = await hub.retrieve(sha256, requester)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise NotFound("exchange.altered", "Tài liệu nhận về không khớp mã băm; không mở.")
    await repo.audit(
        "history-document",
        entity=f"Patient/{patient_id}" if patient_id else None,
        patient=patient_id or None,
        detail={"sha256": sha256},
    )
    return data


async def ask_right(
    repo: Repository,
    patient_id: str,
    kind: str,
    reason: str,
    requester: Requester,
    *,
    evidence_sha256: str = "",
    to_facility: str | None = None,
) -> JsonObject:
    """Open (or ask to open) a person's documents: consent with evidence, referral to another, break-glass."""
    body: JsonObject = {
        "identifier": await identifier_of(repo, patient_id),
        "kind": kind,
        "reason": reason,
        "evidence": evidence_sha256,
        "to": to_facility or await _code(repo.store, repo.ctx.tenant),
    }
    async with await hub_client(repo.store, repo.ctx.tenant) as hub:
        answer = await hub.grant(body, requester)
    await repo.audit(
        f"ask-{kind}",
        entity=f"Patient/{patient_id}",
        patient=patient_id,
        detail={"to": body["to"], "reason": reason},
    )
    return answer


async def synchronise(store: Store, tenant: UUID) -> tuple[int, int]:
    """Fetch steps of referrals, disclosures into our audit, and report changed records.

    Gives (disclosures, records reported).
    """
    repo = system_repo(store, tenant)
    async with await hub_client(store, tenant) as hub:
        await fetch_referrals(repo, hub.facility, hub.referrals)
        fetched = 0
        while True:
            page = await hub.disclosures(await cursor_of(repo, "hub-disclosures"))
            if not page["items"]:
                break
            fetched += await apply_disclosures(repo, page)
        reported = await _report(repo, hub.report_status)
    return fetched, reported


async def _report(repo: Repository, send: Callable[[list[JsonObject]], Awaitable[JsonObject]]) -> int:
    """Send the status of records touched since the last report; the cursor moves after the hub has them."""
    position = await cursor_of(repo, "hub-status")
    cursor = None if position == "0.0" else FeedCursor.parse(position)
    reported = 0
    while True:
        page = await repo.store.read_feed(repo.ctx.tenant, cursor, 500)
        if not page.items:
            return reported
        touched = {e for item in page.items if (e := encounter_of(item.type, item.id, item.data)) is not None}
        rows = [row for e in sorted(touched) if (row := await status_of(repo, e)) is not None]
        if rows:
            await send([row.as_json() for row in rows])
        reported += len(rows)
        cursor = page.cursor
        async with repo.transaction() as tx:
            await move_cursor(tx, "hub-status", str(cursor))


def encounter_of(resource_type: str, resource_id: str, data: JsonObject | None) -> str | None:
    """The đợt a change belongs to, when it can change a record's status."""
    if data is None:
        return None
    reference: str | None = None
    if resource_type == "Composition":
        reference = (data.get("encounter") or {}).get("reference")
    elif resource_type == "ClaimResponse":
        return next(
            (e["valueString"] for e in data.get("extension") or [] if e["url"] == "urn:benhan:encounter"),
            None,
        )
    elif resource_type == "Provenance":
        reference = next(
            (
                t["reference"]
                for t in data.get("target") or []
                if t.get("reference", "").startswith("Encounter/")
            ),
            None,
        )
    elif resource_type == "Claim":
        reference = next(
            (e["reference"] for i in data.get("item") or [] for e in i.get("encounter") or []), None
        )
    return reference.split("/")[1] if reference and reference.startswith("Encounter/") else None


async def status_of(repo: Repository, encounter_id: str) -> RecordStatus | None:
    """Status of the record of a đợt, or None when it has no binder yet."""
    try:
        the_case = await case(repo, encounter_id)
    except NotFound:
        return None
    if not the_case.composition_id:
        return None
    if the_case.state == "destroyed":
        now, number = repo.clock.now(), the_case.so_benh_an or ""
        key = the_case.composition_id
        return RecordStatus(key, number, "destroyed", "none", 0, the_case.admitted_at, now)
    view = await binder(repo, encounter_id)
    composition = await repo.read("Composition", the_case.composition_id)
    return RecordStatus(
        record_key=the_case.composition_id,
        number=the_case.so_benh_an or "",
        state=the_case.state,
        claim=await claim_word(repo, encounter_id),
        signed=sum(len(part.signatures) for part in view.parts),
        opened_at=the_case.admitted_at,
        changed_at=max(composition.at, repo.clock.now()),
    )


async def claim_word(repo: Repository, encounter_id: str) -> str:
    """``none``, ``waiting``, ``sent``, ``accepted`` or ``refused``: the state of the đợt's claim."""
    claims = await repo.search(
        "Claim", [("encounter", encounter_id), ("_sort", "-_lastUpdated"), ("_count", "1")]
    )
    if not claims.entries:
        return "none"
    answers = await repo.search(
        "ClaimResponse",
        [("request", f"Claim/{claims.entries[0].id}"), ("_sort", "-_lastUpdated"), ("_count", "1")],
    )
    if not answers.entries:
        return "waiting"
    return _CLAIM_WORDS.get(answers.entries[0].data.get("outcome", ""), "sent")


def on_behalf(repo: Repository) -> Requester:
    """The requester header from the repository's actor."""
    return Requester(repo.ctx.actor.reference, repo.ctx.actor.display)


def as_purpose(repo: Repository, purpose: str) -> Repository:
    """The same repository for another purpose of use."""
    return repo.store.repo(replace(repo.ctx, purpose=purpose), repo.policy)
