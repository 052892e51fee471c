"""Destruction of records whose time of keeping is over: list, proposal, approval by another, shredding, signed certificate.

What goes: the key of the record (no copy of its bytes in log or backup can be read again), its current and index rows
(``store.destruction``, by the destroyer role), what lies beside them in the clear (triggers on ``record_case``, migrations
0545, 0690, 0790), its files and given copies, and the hub's copies (topic ``exchange.destroy``). What stays: that there was
a record, its steps, the request, the audit and the certificate. Stopped in between it goes on when asked again.
Source: Luật Lưu trữ Điều 16, 36; TT 33/2025/TT-BYT.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from uuid import UUID

from benhan.base.clock import local_date
from benhan.base.errors import BenhanError, Conflict
from benhan.catalogue import systems
from benhan.records.cases import case, list_cases, locked_case
from benhan.records.destruction_paper import Destruction, certify, destruction, destructions
from benhan.records.documents import blob_of, documents
from benhan.records.paper_signing import shown_files
from benhan.records.requests import Request, ask, decide, request
from benhan.records.shapes import all_of, connection
from benhan.records.steps import kept_from, retention_end, retention_rule, step
from benhan.records.types import Authorize, Case, SignWith
from benhan.store import Repository, Stored
from benhan.store import destroy_record as shred

__all__ = [
    "Destruction",
    "DueRecord",
    "certificate_of",
    "destroy_record",
    "destruction",
    "destructions",
    "due_records",
    "propose_destruction",
    "refuse_destruction",
    "stopped_destructions",
]

HUB_TOPIC = "exchange.destroy"
#: the shortest rule for a record of care (retention.yaml): nothing closed later than this can be due
_SHORTEST = timedelta(days=365 * 10)
_SEALED = (
    "select distinct l.type, l.id from log l join record_key k on k.tenant = l.tenant and k.id = l.key_id"
    " where l.tenant = %s and k.scope = %s order by 1, 2"
)
_DOOMED = "select sha256 from record_doomed where tenant = %s and encounter_id = %s order by sha256"
_GONE = "delete from record_doomed where tenant = %s and encounter_id = %s and sha256 = %s"
_PLAN = "select detail from record_event where tenant = %s and encounter_id = %s and event = 'destroy'"


@dataclass(frozen=True, slots=True)
class DueRecord:
    """A record whose longest rule is over: kind and years of the rule, last day of keeping."""

    case: Case
    rule: str
    years: int
    kept_until: date


async def due_records(repo: Repository, *, limit: int = 500) -> list[DueRecord]:
    """Archived and due records past the longest rule that fits them, the oldest first; permanent ones never.

    Those under legal hold are listed (``case.legal_hold``), that it be seen why they cannot be proposed.
    """
    today, found = local_date(repo.clock.now()), []
    for here in await list_cases(repo, ["archived", "due"], limit=100_000):
        since = kept_from(here)
        if here.closed_at is None or since is None or since + _SHORTEST > today:
            continue
        try:
            rule, years = await retention_rule(repo, here, local_date(here.closed_at))
        except BenhanError:
            continue  # no rule fits: a person must say how long it is kept
        end = retention_end(since, years)
        if years is not None and end is not None and today > end:
            found.append(DueRecord(here, rule, years, end))
        if len(found) >= limit:
            break
    return sorted(found, key=lambda d: (d.kept_until, d.case.encounter_id))


async def propose_destruction(
    repo: Repository, encounter_id: str, reason: str, *, authorize: Authorize
) -> Request:
    """Propose a record past its time of keeping; an archived one becomes due by it.

    Raises: ``Conflict`` records.not-due, records.legal-hold, records.retention-not-over, records.already-proposed.
    """
    async with repo.transaction() as tx:
        here = await locked_case(tx, encounter_id)
        if here.legal_hold:
            raise _held()
        if here.state == "archived" and await _is_over(tx, here):
            here = await step(tx, encounter_id, "mark_due", authorize=authorize)
        if here.state != "due":
            raise Conflict("records.not-due", "Hồ sơ chưa được ghi là hết hạn lưu trữ.")
        open_ = "select 1 from record_request where tenant = %s and encounter_id = %s and kind = 'destroy' and decision is null"
        if await tx.one(open_, (tx.ctx.tenant, encounter_id)) is not None:
            raise Conflict("records.already-proposed", "Hồ sơ này đã có đề nghị tiêu hủy đang chờ duyệt.")
        return await ask(tx, encounter_id, "destroy", reason, authorize=authorize)


async def refuse_destruction(
    repo: Repository, request_id: UUID, note: str, *, authorize: Authorize
) -> Request:
    """Refuse a proposal: the record goes back to the archive with the reason."""
    async with repo.transaction() as tx:
        refused = await decide(tx, request_id, False, authorize=authorize, note=note)
        await step(tx, refused.encounter_id, "extend", authorize=authorize, reason=note)
        return refused


async def destroy_record(
    repo: Repository, request_id: UUID, seal: SignWith, *, authorize: Authorize
) -> Destruction:
    """Grant a proposal of somebody else and destroy; the certificate is signed with the organisation's seal.

    Raises: ``Conflict`` records.same-person, records.already-decided, records.legal-hold, records.retention-not-over.
    """
    wish = await request(repo, request_id)
    here = await case(repo, wish.encounter_id)
    authorize("record.destroy", here.khoa)
    if here.state != "destroyed":
        await _decide_and_forget(repo, here, wish, authorize)
    elif wish.decision != "approved" or await destruction(repo, wish.encounter_id) is not None:
        raise Conflict("records.already-decided", "Yêu cầu đã được quyết định.")
    scopes, files, planned = await _plan(repo, wish.encounter_id)
    gone = max(planned, await shred(repo, scopes, wish.reason))
    for sha256 in files:
        await repo.store.blobs.destroy(sha256)
    async with repo.transaction() as tx:
        for sha256 in await _doomed(tx, wish.encounter_id):
            await tx.one(_GONE + " returning 1", (tx.ctx.tenant, wish.encounter_id, sha256))
    return await certify(repo, here, await request(repo, request_id), gone, files, seal)


async def stopped_destructions(repo: Repository) -> list[Request]:
    """Approved proposals whose destruction was interrupted: asked for again (``destroy_record``) it goes on."""
    sql = (
        "select r.id from record_request r join record_case c on c.tenant = r.tenant and c.encounter_id = r.encounter_id"
        " where r.tenant = %s and r.kind = 'destroy' and r.used_at is not null and c.state = 'destroyed'"
        " and not exists (select from record_destruction d where d.tenant = r.tenant and d.encounter_id = r.encounter_id)"
        " order by r.decided_at"
    )
    async with repo.transaction() as tx:
        return [await request(tx, row[0]) for row in await tx.all(sql, (tx.ctx.tenant,))]


async def certificate_of(repo: Repository, encounter_id: str, *, authorize: Authorize) -> bytes:
    """The signed certificate (PDF). Raises: ``Conflict`` (records.not-destroyed)."""
    found, here = await destruction(repo, encounter_id), await case(repo, encounter_id)
    authorize("archive.keep", here.khoa)
    if found is None:
        raise Conflict("records.not-destroyed", "Hồ sơ chưa được tiêu hủy.")
    return await repo.store.blobs.get(found.certificate)


async def _decide_and_forget(repo: Repository, here: Case, wish: Request, authorize: Authorize) -> None:
    """One transaction: decision, state, what lies in the clear; after it nothing can hold the record any more."""
    everything = repo.store.system_repo(repo.ctx.tenant)  # what is hidden from the approver goes as well
    (scopes, resources), files = await _scopes(everything, here), await _files(everything, here.encounter_id)
    papers = [d.id for d in await documents(everything, here.encounter_id)]
    async with repo.transaction() as tx:
        if (await locked_case(tx, here.encounter_id)).legal_hold:
            raise _held()
        await decide(tx, wish.id, True, authorize=authorize)
        await step(
            tx, here.encounter_id, "destroy", authorize=authorize, reason=wish.reason, request=wish.id,
            detail={"files": files, "scopes": scopes, "resources": resources},
        )  # fmt: skip
        await tx.outbox(
            HUB_TOPIC, here.encounter_id, {"encounter": here.encounter_id, "ma_lk": here.ma_lk, "documents": papers}
        )  # fmt: skip


async def _is_over(tx: Repository, here: Case) -> bool:
    if here.closed_at is None:
        return False
    closed = local_date(here.closed_at)
    end = retention_end(closed, (await retention_rule(tx, here, closed))[1])
    return end is not None and local_date(tx.clock.now()) > end


def _held() -> Conflict:
    return Conflict("records.legal-hold", "Hồ sơ đang bị giữ theo yêu cầu pháp lý, không được tiêu hủy.")


async def _files(repo: Repository, encounter_id: str) -> list[str]:
    """Hashes of the blobs of every version of every document of the record, and of prints that wait for a signature."""
    found: set[str] = set()
    for document in await documents(repo, encounter_id):
        for version in range(1, document.version + 1):
            old: Stored = await repo.vread("DocumentReference", document.id, version)
            found.add(blob_of(old.data))
    return sorted(found | set(await shown_files(repo, encounter_id)))


async def _scopes(repo: Repository, here: Case) -> tuple[list[str], int]:
    """What the keys are called (the record's own, those of its signatures, which stand by themselves); resources under them."""
    own = f"Encounter/{here.encounter_id}"
    async with repo.transaction() as tx:
        sealed = [f"{r[0]}/{r[1]}" for r in await tx.all(_SEALED, (tx.ctx.tenant, own))]
    signatures: set[str] = set()
    for start in range(0, len(sealed), 40):
        targets = ",".join(sealed[start : start + 40])
        signatures |= {s.id for s in await all_of(repo, "Provenance", [("target", targets)])}
    others = {f"Provenance/{i}" for i in signatures}
    for kind in ("Claim", "ClaimResponse"):  # money has a key of its own, but a claim tells the diagnosis
        claims = await all_of(repo, kind, [("identifier", f"{systems.MA_LK}|{here.ma_lk}")])
        others |= {s.reference for s in claims}
    return [own, *sorted(others)], len(sealed) + len(others)


async def _plan(repo: Repository, encounter_id: str) -> tuple[list[str], list[str], int]:
    """Scopes, files (with those that the triggers named) and the number of resources, as written down at the decision."""
    async with repo.transaction() as tx:
        row = await (await connection(tx).execute(_PLAN, (tx.ctx.tenant, encounter_id))).fetchone()
        doomed = await _doomed(tx, encounter_id)
    plan = {} if row is None else row[0]
    files = {*plan.get("files", []), *doomed}
    return list(plan.get("scopes", [])), sorted(files), int(plan.get("resources", 0))


async def _doomed(tx: Repository, encounter_id: str) -> list[str]:
    return [str(r[0]) for r in await tx.all(_DOOMED, (tx.ctx.tenant, encounter_id))]
