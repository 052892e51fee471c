"""The hub's index of people: link a facility's person, merge two, undo both. Look-alikes are queued, never merged."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from psycopg.types.json import Jsonb

from benhan.base.errors import Conflict, NotFound
from benhan.base.ids import new_uuid
from benhan.catalogue import systems
from benhan.identity._rows import connection_of
from benhan.identity.matching import Reason
from benhan.identity.person import JsonObject, person_of
from benhan.identity.registry import Candidate, find_candidates, lock_person
from benhan.store import Repository, Stored

NATIONAL = (systems.CCCD, systems.CMND, systems.PASSPORT, systems.BHYT, systems.BHXH)

_FIND = "select patient_id from identity_link where tenant = %s and source = %s and source_patient_id = %s and ended_at is null"
_INSERT = (
    "insert into identity_link (tenant, id, source, source_patient_id, patient_id, how, explanation, linked_at, linked_by)"
    " values (%s, %s, %s, %s, %s, %s, %s, %s, %s)"
)
_END = (
    "update identity_link set ended_at = %s, ended_by = %s, ended_reason = %s"
    " where tenant = %s and source = %s and source_patient_id = %s and ended_at is null"
)
_SOURCES = (
    "select source, source_patient_id, how, linked_at from identity_link"
    " where tenant = %s and patient_id = any(%s) and ended_at is null order by linked_at, id"
)
PUT_REVIEW = (
    "insert into identity_review (tenant, id, patient_id, other_id, score, reasons, found_at)"
    " values (%s, %s, %s, %s, %s, %s, %s)"
)
_MERGE = (
    "insert into identity_merge (tenant, id, kept_id, gone_id, reason, gone_was_active, merged_at, merged_by,"
    " gone_version) values (%s, %s, %s, %s, %s, %s, %s, %s, %s)"
)
_MERGED = (
    "select kept_id, gone_id, gone_was_active, undone_at, gone_version from identity_merge"
    " where tenant = %s and id = %s for update"
)
_UNDO = (
    "update identity_merge set undone_at = %s, undone_by = %s, undo_reason = %s where tenant = %s and id = %s"
)
_KEPT = "select kept_id from identity_merge where tenant = %s and gone_id = %s and undone_at is null"
_GONE = "select gone_id from identity_merge where tenant = %s and kept_id = %s and undone_at is null"


@dataclass(frozen=True, slots=True)
class LinkResult:
    """``how``: known | exact (a number is the same) | alike | created | created-review.

    ``explanation``: the reasons, for people to read.
    """

    patient_id: str
    how: str
    explanation: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SourceLink:
    """One facility's id of a person."""

    source: UUID
    source_patient_id: str
    how: str


async def link_patient(repo: Repository, source: UUID, resource: JsonObject) -> LinkResult:
    """Hub person of a facility's ``Patient``: the one already linked, the one that is the same beyond doubt, or a new one.

    Look-alikes that leave a doubt are queued for a steward, and a new person is made meanwhile. A person who was merged
    keeps the own links and what comes in by them, so that an undone merge finds everything where it came from; ask
    :func:`current_id` and :func:`family` for the person of today. Two facilities that send one new person at the same
    moment wait for each other.
    """
    async with repo.transaction() as tx:
        person = person_of(resource)
        await lock_person(tx, person, also=f"{source}|{resource['id']}")
        known = await _linked(tx, source, resource["id"])
        if known is not None:
            await _complete(tx, known, resource)
            return LinkResult(known, "known", ("Đã liên kết trước đó.",))
        candidates = await find_candidates(tx, person, merged=True)
        same = next((c for c in candidates if c.verdict == "link"), None)
        if same is not None:
            await _complete(tx, same.patient.id, resource)
            how = "exact" if same.exact else "alike"
            result = LinkResult(same.patient.id, how, tuple(r.text for r in same.reasons))
        else:
            result = await _new_person(tx, resource, candidates)
        await _record(tx, source, resource["id"], result)
        return result


async def _new_person(tx: Repository, resource: JsonObject, candidates: list[Candidate]) -> LinkResult:
    master = {
        k: v
        for k, v in resource.items()
        if k not in ("id", "meta", "identifier", "link", "managingOrganization")
    }
    national = [i for i in resource.get("identifier", []) if i.get("system") in NATIONAL]
    if national:
        master["identifier"] = national
    stored = await tx.create(master)
    alike = [c for c in candidates if c.verdict == "review"]
    for candidate in alike:
        await _queue(tx, stored, candidate)
    if alike:
        return LinkResult(stored.id, "created-review", tuple(r.text for r in alike[0].reasons))
    return LinkResult(stored.id, "created", ("Không có người trùng.",))


async def _queue(tx: Repository, stored: Stored, candidate: Candidate) -> None:
    await connection_of(tx).execute(
        PUT_REVIEW,
        (
            tx.ctx.tenant, new_uuid(clock=tx.clock), stored.id, candidate.patient.id, candidate.score,
            Jsonb([_reason_json(r) for r in candidate.reasons]), tx.clock.now(),
        ),
    )  # fmt: skip


def _reason_json(reason: Reason) -> JsonObject:
    return {"field": reason.field, "level": reason.level, "weight": reason.weight, "text": reason.text}


async def _record(tx: Repository, source: UUID, source_patient_id: str, result: LinkResult) -> None:
    await connection_of(tx).execute(
        _INSERT,
        (
            tx.ctx.tenant, new_uuid(clock=tx.clock), source, source_patient_id, result.patient_id, result.how,
            Jsonb(list(result.explanation)), tx.clock.now(), tx.ctx.actor.reference,
        ),
    )  # fmt: skip


async def _complete(tx: Repository, patient_id: str, resource: JsonObject) -> None:
    """Add national numbers the master does not have yet."""
    master = await tx.read("Patient", patient_id)
    have = {(i.get("system"), i.get("value")) for i in master.data.get("identifier", [])}
    fresh = [
        i
        for i in resource.get("identifier", [])
        if i.get("system") in NATIONAL and (i["system"], i.get("value")) not in have
    ]
    if fresh:
        updated = {**master.data, "identifier": [*master.data.get("identifier", []), *fresh]}
        await tx.update(updated, if_match=master.version)


async def _linked(tx: Repository, source: UUID, source_patient_id: str) -> str | None:
    cursor = await connection_of(tx).execute(_FIND, (tx.ctx.tenant, source, source_patient_id))
    row = await cursor.fetchone()
    return None if row is None else str(row[0])


async def crossref(repo: Repository, source: UUID, source_patient_id: str) -> str | None:
    """Hub id of a facility's person (after merges), or None."""
    async with repo.transaction() as tx:
        found = await _linked(tx, source, source_patient_id)
        return None if found is None else await current_id(tx, found)


async def current_id(repo: Repository, patient_id: str) -> str:
    """The id under which a person lives today: follows merges; an id that was never merged is itself."""
    async with repo.transaction() as tx:
        here = patient_id
        for _ in range(100):
            row = await (await connection_of(tx).execute(_KEPT, (tx.ctx.tenant, here))).fetchone()
            if row is None:
                return here
            here = row[0]
        raise Conflict("identity.merge-cycle", "Chuỗi gộp người bệnh bị vòng lặp.")


async def family(repo: Repository, patient_id: str) -> list[str]:
    """The ids under which a person's records lie: the own one, then those of the people merged into it."""
    async with repo.transaction() as tx:
        ids, open_ids = [patient_id], [patient_id]
        while open_ids:
            rows = await (await connection_of(tx).execute(_GONE, (tx.ctx.tenant, open_ids.pop()))).fetchall()
            fresh = [str(r[0]) for r in rows if r[0] not in ids]
            ids += fresh
            open_ids += fresh
        return ids


async def sources(repo: Repository, patient_id: str) -> list[SourceLink]:
    """Every facility's id of a person, those of merged people included."""
    async with repo.transaction() as tx:
        ids = await family(tx, patient_id)
        rows = await (await connection_of(tx).execute(_SOURCES, (tx.ctx.tenant, ids))).fetchall()
        return [SourceLink(r[0], r[1], r[2]) for r in rows]


async def unlink(repo: Repository, source: UUID, source_patient_id: str, reason: str) -> None:
    """End a wrong link; the row stays with its end and reason, a new link may follow."""
    async with repo.transaction() as tx:
        done = await connection_of(tx).execute(
            _END, (tx.clock.now(), tx.ctx.actor.reference, reason, tx.ctx.tenant, source, source_patient_id)
        )
        if done.rowcount == 0:
            raise NotFound("identity.no-link", "Không có liên kết này.")


async def merge(repo: Repository, kept_id: str, gone_id: str, reason: str) -> UUID:
    """Two people are one: ``gone`` points to ``kept`` and is inactive; both ids stay resolvable. Returns the merge id.

    Raises: ``Conflict`` (identity.merge-self, identity.already-merged).
    """
    async with repo.transaction() as tx:
        if kept_id == gone_id or await current_id(tx, kept_id) == gone_id:
            raise Conflict("identity.merge-self", "Không gộp một người với chính mình.")
        if await current_id(tx, gone_id) != gone_id or await current_id(tx, kept_id) != kept_id:
            raise Conflict("identity.already-merged", "Người này đã được gộp.")
        kept, gone = await tx.read("Patient", kept_id), await tx.read("Patient", gone_id)
        merge_id = new_uuid(clock=tx.clock)
        await connection_of(tx).execute(
            _MERGE,
            (
                tx.ctx.tenant, merge_id, kept_id, gone_id, reason, bool(gone.data.get("active", True)),
                tx.clock.now(), tx.ctx.actor.reference, gone.version,
            ),
        )  # fmt: skip
        await tx.update(
            _with_link(gone.data, kept_id, "replaced-by") | {"active": False}, if_match=gone.version
        )
        await tx.update(_with_link(kept.data, gone_id, "replaces"), if_match=kept.version)
        return merge_id


async def unmerge(repo: Repository, merge_id: UUID, reason: str) -> None:
    """Undo a merge: both people are as they were byte for byte (but for ``meta``), later changes kept.

    Raises: ``NotFound`` (identity.no-merge), ``Conflict`` (identity.already-undone).
    """
    async with repo.transaction() as tx:
        row = await (await connection_of(tx).execute(_MERGED, (tx.ctx.tenant, merge_id))).fetchone()
        if row is None:
            raise NotFound("identity.no-merge", "Không có lần gộp này.")
        kept_id, gone_id, was_active, undone_at, gone_version = row
        if undone_at is not None:
            raise Conflict("identity.already-undone", "Lần gộp này đã được hủy.")
        await connection_of(tx).execute(
            _UNDO, (tx.clock.now(), tx.ctx.actor.reference, reason, tx.ctx.tenant, merge_id)
        )
        kept, gone = await tx.read("Patient", kept_id), await tx.read("Patient", gone_id)
        restored = _without_link(gone.data, kept_id) | {"active": was_active}
        if was_active and gone_version is not None:
            before = await tx.vread("Patient", gone_id, gone_version)
            if "active" not in before.data:
                del restored["active"]
        await tx.update(restored, if_match=gone.version)
        await tx.update(_without_link(kept.data, gone_id), if_match=kept.version)


def _with_link(patient: JsonObject, other: str, kind: str) -> JsonObject:
    entry = {"other": {"reference": f"Patient/{other}"}, "type": kind}
    return {**patient, "link": [*patient.get("link", []), entry]}


def _without_link(patient: JsonObject, other: str) -> JsonObject:
    rest = [e for e in patient.get("link", []) if e["other"].get("reference") != f"Patient/{other}"]
    return {k: rest if k == "link" else v for k, v in patient.items() if k != "link" or rest}
