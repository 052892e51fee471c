"""Keeping sealed records provable: when the proof of each runs out, the list at risk, and the renewal run.

A container is proved by its newest time stamp as long as that authority's certificate holds; a further archive time stamp made
before then carries the proof on (EN 319 162-1, A.7; Luật Giao dịch điện tử 2023, Điều 13). Each node renews what it holds: the
facility its records, the hub its copies, so the hub's list is that of the province.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from benhan.base.errors import BenhanError, Conflict
from benhan.records.documents import blob_of
from benhan.records.guard import passing
from benhan.records.sealing import CONTAINER_TYPE
from benhan.records.shapes import connection
from benhan.records.types import JsonObject
from benhan.signing import TimeStamper, proof_ends, renew, verify_container
from benhan.store import Repository, Stored

RENEW_BEFORE = timedelta(days=180)
_PAGE = 200
_KNOWN = "select sha256 from record_proof where tenant = %s and document_id = %s"
_NOTE = (
    "insert into record_proof (tenant, document_id, custodian, sha256, title, ends_at, fault, renewals, looked_at)"
    " values (%s, %s, %s, %s, %s, %s, %s, %s, %s) on conflict (tenant, document_id) do update set"
    " sha256 = excluded.sha256, title = excluded.title, ends_at = excluded.ends_at, fault = excluded.fault,"
    " renewals = record_proof.renewals + excluded.renewals, looked_at = excluded.looked_at"
)
_AT_RISK = (
    "select document_id, custodian, sha256, title, ends_at, fault, renewals, looked_at from record_proof"
    " where tenant = %s and (ends_at is null or ends_at < %s) and exists (select from current_version c"
    " where c.tenant = record_proof.tenant and c.type = 'DocumentReference' and c.id = record_proof.document_id"
    " and not c.deleted) order by ends_at nulls first, document_id limit %s"
)
_SUMMARY = (
    "select custodian, count(*), count(*) filter (where ends_at is null or ends_at < %s), min(ends_at)"
    " from record_proof where tenant = %s and exists (select from current_version c"
    " where c.tenant = record_proof.tenant and c.type = 'DocumentReference' and c.id = record_proof.document_id"
    " and not c.deleted) group by custodian order by custodian nulls first"
)


@dataclass(frozen=True, slots=True)
class Proof:
    """Until when a container proves itself; ``ends_at`` None: it could not be read, ``fault`` says why."""

    document_id: str
    custodian: UUID | None
    sha256: str
    title: str
    ends_at: datetime | None
    fault: str
    renewals: int
    looked_at: datetime


@dataclass(frozen=True, slots=True)
class Kept:
    """What a node holds of one facility (``custodian`` None: its own): containers, those at risk, the earliest end."""

    custodian: UUID | None
    containers: int
    at_risk: int
    earliest: datetime | None


@dataclass(frozen=True, slots=True)
class RenewalRun:
    """One run: documents renewed, and those that could not be, with the reason's code."""

    renewed: tuple[str, ...]
    failed: tuple[tuple[str, str], ...]


async def look_at_proofs(repo: Repository) -> int:
    """Note the end of proof of every container that is new or changed since it was last looked at; gives their number."""
    looked = 0
    async for document in _containers(repo):
        async with repo.transaction() as tx:
            row = await tx.one(_KNOWN, (tx.ctx.tenant, document.id))
        if row is None or row[0] != sha_of(document.data):
            await _note(repo, document, 0)
            looked += 1
    return looked


async def at_risk(repo: Repository, *, within: timedelta = RENEW_BEFORE, limit: int = 500) -> list[Proof]:
    """Containers whose proof runs out within a time, or that cannot be read, the most urgent first."""
    async with repo.transaction() as tx:
        rows = await tx.all(_AT_RISK, (tx.ctx.tenant, tx.clock.now() + within, limit))
    return [Proof(*row) for row in rows]


async def kept(repo: Repository, *, within: timedelta = RENEW_BEFORE) -> list[Kept]:
    """What this node holds, by facility."""
    async with repo.transaction() as tx:
        rows = await tx.all(_SUMMARY, (tx.clock.now() + within, tx.ctx.tenant))
    return [Kept(*row) for row in rows]


async def renew_due(
    repo: Repository, tsa: TimeStamper, roots: bytes, *, within: timedelta = RENEW_BEFORE, limit: int = 500
) -> RenewalRun:
    """Give every container at risk a further archive time stamp; one that does not verify any more is left as it is.

    ``roots``: the trusted certificates (PEM). A failure of one stops none of the others.
    """
    renewed: list[str] = []
    failed: list[tuple[str, str]] = []
    for proof in await at_risk(repo, within=within, limit=limit):
        try:
            await _renew(repo, proof, tsa, roots)
        except BenhanError as error:
            failed.append((proof.document_id, error.code))
        else:
            renewed.append(proof.document_id)
    return RenewalRun(tuple(renewed), tuple(failed))


async def _renew(repo: Repository, proof: Proof, tsa: TimeStamper, roots: bytes) -> None:
    document = await repo.read("DocumentReference", proof.document_id)
    before = await repo.store.blobs.get(sha_of(document.data))
    report = await verify_container(before, roots, repo.clock.now())
    if not report.ok:
        raise Conflict("records.proof-broken", "Hồ sơ niêm phong không còn kiểm chứng được.")
    data = await renew(before, tsa)
    sha256 = await repo.store.blobs.put(data)
    (content, *_) = document.data["content"]
    attachment = {
        **content["attachment"],
        "url": _moved(content["attachment"]["url"], sha256),
        "size": len(data),
    }
    attachment.pop("hash", None)
    changed = {**document.data, "content": [{**content, "attachment": attachment}]}
    encounters = ((document.data.get("context") or {}).get("encounter")) or []
    with passing(str(encounters[0]["reference"]).partition("/")[2]) if encounters else nullcontext():
        stored = await repo.update(changed, if_match=document.version)
    await _note(repo, stored, 1)


async def _note(repo: Repository, document: Stored, renewals: int) -> None:
    ends_at, fault = None, ""
    try:
        ends_at = proof_ends(await repo.store.blobs.get(sha_of(document.data)))
    except BenhanError as error:
        fault = error.code
    async with repo.transaction() as tx:
        values = (
            tx.ctx.tenant, document.id, document.custodian, sha_of(document.data),
            str(document.data.get("description") or ""), ends_at, fault, renewals, tx.clock.now(),
        )  # fmt: skip
        await connection(tx).execute(_NOTE, values)


async def _containers(repo: Repository) -> AsyncIterator[Stored]:
    """Every sealed container that stands, addenda too, page by page."""
    asked = [("contenttype", CONTAINER_TYPE), ("status", "current"), ("_count", str(_PAGE))]
    cursor: list[tuple[str, str]] = []
    while True:
        page = await repo.search("DocumentReference", [*asked, *cursor])
        for document in page.entries:
            yield document
        if page.next is None:
            return
        cursor = [("_cursor", page.next)]


def sha_of(document: JsonObject) -> str:
    """SHA-256 (hex) of a container's bytes, at the facility (``urn:sha256:``) and at the hub (``Binary/``)."""
    return blob_of(document).removeprefix("Binary/")


def _moved(url: str, sha256: str) -> str:
    return ("Binary/" if url.startswith("Binary/") else "urn:sha256:") + sha256
