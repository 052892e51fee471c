"""Bulk export (Bulk Data Access 2.0) and import of NDJSON as jobs: bounded memory, and a second attempt goes on.

A job acts with the rights its caller had when it was asked for, as the same actor. Files are sealed blobs of at most
``FILE_ROWS`` rows and about ``FILE_BYTES``; a random head keeps two jobs from sharing a blob, so that deleting one
leaves the other. An import writes ``BATCH`` lines in one transaction together with its place: no line is written twice.
Guards of the store (a closed record) hold as everywhere; a line that is refused is told with its number.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from benhan.base.errors import BenhanError, Conflict, InvalidInput, NotAllowed, NotFound
from benhan.base.ids import new_uuid
from benhan.base.json_door import JsonObject, dumps, loads_object
from benhan.fhir import RESOURCE_TYPES, operation_outcome
from benhan.jobs.registry import Handler, register
from benhan.store import (
    Action,
    Actor,
    Ctx,
    ExportAsked,
    Repository,
    Scope,
    Store,
    Stored,
    deleted_page,
    export_page,
)

#: Type under which the file of deletions is kept.
DELETED = "-deleted"
EXPORT_TOPIC, IMPORT_TOPIC = "bulk.export", "bulk.import"
FILE_ROWS, FILE_BYTES, BATCH = 20_000, 8_000_000, 100
_MAX_TOLD, _ASKED_AT_ONCE = 1000, 100
_NOBODY = "khong-co"
_HEAD = 16
_INSERT = (
    "insert into bulk_job (tenant, id, kind, state, asked, started_at, owner) "
    "values (%s, %s, %s, 'running', %s::jsonb, %s, %s)"
)
_READ = "select kind, state, asked, place, started_at, ended_at, owner from bulk_job where tenant = %s and id = %s"
_STATE = "select state from bulk_job where tenant = %s and id = %s for update"
_PLACE = "update bulk_job set place = %s::jsonb where tenant = %s and id = %s"
_END = "update bulk_job set state = %s, ended_at = %s where tenant = %s and id = %s and (state = 'running' or %s = 'deleted')"
_FILE = (
    "insert into bulk_file (tenant, job, number, type, rows, sha256) "
    "select %(tenant)s, %(job)s, coalesce(max(number), 0) + 1, %(type)s, %(rows)s, %(sha256)s "
    "from bulk_file where tenant = %(tenant)s and job = %(job)s"
)
_FILES = "select number, type, rows, sha256 from bulk_file where tenant = %s and job = %s order by number"
_DROP = "delete from bulk_file where tenant = %s and job = %s"


@dataclass(frozen=True)
class Rights:
    """The store's policy for a job: type → actions, as the caller held them; never a part of a type."""

    table: Mapping[str, frozenset[str]]

    def check(self, ctx: Ctx, action: Action, resource_type: str, resource: JsonObject | None) -> None:
        """Raise ``NotAllowed`` when the caller did not hold this."""
        if str(action) not in self.table.get(resource_type, frozenset()):
            raise NotAllowed("jobs.bulk-refused", "Tài khoản không có quyền làm việc này.")

    def scope(self, ctx: Ctx, action: Action, resource_type: str) -> Scope:
        """All of a type, or nothing."""
        return Scope.ALL if str(action) in self.table.get(resource_type, frozenset()) else Scope.NONE


@dataclass(frozen=True)
class BulkFile:
    """A file of a job: its number, resource type, rows."""

    number: int
    type: str
    rows: int
    sha256: str


@dataclass(frozen=True)
class BulkJob:
    """A job as its owner sees it; ``place`` tells how far it is."""

    id: UUID
    kind: str
    state: str
    asked: JsonObject
    place: JsonObject
    started_at: datetime
    ended_at: datetime | None
    owner: str
    files: tuple[BulkFile, ...] = ()


@dataclass(frozen=True)
class BulkAsked:
    """What an export is to hold. ``compartment``: only what belongs to patients, ``members``: to these; ``filters``:
    searches by type (one of them must find a resource), ``untold``: outcomes for the error file, known at the start.
    """

    request: str
    types: tuple[str, ...] = ()
    since: datetime | None = None
    compartment: bool = False
    members: tuple[str, ...] | None = None
    filters: tuple[tuple[str, str], ...] = ()
    untold: tuple[JsonObject, ...] = ()


async def start_export(repo: Repository, wanted: BulkAsked) -> UUID:
    """Ask for an export of ``types`` (empty: all the caller may export).

    Raises: ``NotAllowed`` (jobs.bulk-refused) when a type asked for, or every type, is refused; ``InvalidInput``
    (jobs.bulk-filter) for a filter that search does not understand.
    """
    types = wanted.types
    allowed = sorted(t for t in types or RESOURCE_TYPES if _wholly(repo, Action.EXPORT, t))
    if not allowed or (types and len(allowed) < len(set(types))):
        raise NotAllowed("jobs.bulk-refused", "Tài khoản không có quyền làm việc này.")
    rights = {t: [str(Action.EXPORT)] for t in allowed}
    for kind, query in wanted.filters:
        if kind not in rights or not _wholly(repo, Action.SEARCH, kind):
            raise NotAllowed("jobs.bulk-refused", "Tài khoản không có quyền làm việc này.")
        rights[kind] = [str(Action.EXPORT), str(Action.SEARCH)]
        page = await repo.search(kind, f"{query}&_count=1&_id={_NOBODY}")
        if page.ignored:
            raise InvalidInput(
                "jobs.bulk-filter", "Bộ lọc _typeFilter có tham số không hiểu.", expression=kind
            )
    asked: JsonObject = {
        "request": wanted.request,
        "types": allowed,
        "since": wanted.since.isoformat() if wanted.since else None,
        "compartment": wanted.compartment,
        "members": None if wanted.members is None else list(wanted.members),
        "filters": [list(one) for one in wanted.filters],
        "untold": list(wanted.untold),
        "rights": rights,
    }
    return await _start(repo, "export", EXPORT_TOPIC, asked, b"", 0)


async def start_import(repo: Repository, ndjson: bytes) -> UUID:
    """Ask for the import of resources, one a line. Raises: ``NotAllowed`` (jobs.bulk-refused)."""
    rights = {
        t: [str(a) for a in (Action.CREATE, Action.UPDATE)]
        for t in sorted(RESOURCE_TYPES)
        if _wholly(repo, Action.CREATE, t) and _wholly(repo, Action.UPDATE, t)
    }
    if not rights:
        raise NotAllowed("jobs.bulk-refused", "Tài khoản không có quyền làm việc này.")
    return await _start(repo, "import", IMPORT_TOPIC, {"rights": rights}, ndjson, ndjson.count(b"\n") + 1)


async def bulk_job(repo: Repository, job: UUID) -> BulkJob:
    """A job of the caller's own. Raises: ``NotFound`` (jobs.no-such-job)."""
    async with repo.transaction() as tx:
        found = await _read(tx, job)
        if found is None or found.owner != repo.ctx.actor.reference or found.state == "deleted":
            raise NotFound("jobs.no-such-job", "Không có việc này.")
    return found


async def bulk_file(repo: Repository, job: UUID, number: int) -> bytes:
    """Content of a file of the caller's own job. Raises: ``NotFound`` (jobs.no-such-job)."""
    for file in (await bulk_job(repo, job)).files:
        if file.number == number and file.type:
            return (await repo.store.blobs.get(file.sha256))[_HEAD:]
    raise NotFound("jobs.no-such-job", "Không có việc này.")


async def delete_bulk_job(repo: Repository, job: UUID) -> None:
    """End a job and destroy its files. Raises: ``NotFound`` (jobs.no-such-job)."""
    await bulk_job(repo, job)
    async with repo.transaction() as tx:
        await tx.open_connection.execute(_END, ("deleted", tx.clock.now(), tx.ctx.tenant, job, "deleted"))
        files = [BulkFile(*f) for f in await tx.all(_FILES, (tx.ctx.tenant, job))]
        await tx.open_connection.execute(_DROP, (tx.ctx.tenant, job))
    for file in files:
        await repo.store.blobs.destroy(file.sha256)


def _wholly(repo: Repository, action: Action, kind: str) -> bool:
    """True when the caller may do this to a type without limit to a compartment."""
    try:
        repo.policy.check(repo.ctx, action, kind, None)
    except BenhanError:
        return False
    return repo.policy.scope(repo.ctx, action, kind).kind == "all"


async def _start(repo: Repository, kind: str, topic: str, asked: JsonObject, sent: bytes, rows: int) -> UUID:
    job, ctx = new_uuid(clock=repo.clock), repo.ctx
    actor = {"reference": ctx.actor.reference, "display": ctx.actor.display, "kind": ctx.actor.kind}
    asked = {
        **asked,
        "actor": actor,
        "purpose": ctx.purpose,
        "reader": str(ctx.reader) if ctx.reader else None,
        "sight": str(ctx.sight) if ctx.sight else None,
        "khoa": sorted(ctx.khoa),
    }
    digest = await repo.store.blobs.put(os.urandom(_HEAD) + sent) if kind == "import" else ""
    async with repo.transaction() as tx:
        values = (ctx.tenant, job, kind, dumps(asked).decode(), tx.clock.now(), ctx.actor.reference)
        await tx.open_connection.execute(_INSERT, values)
        if digest:
            await _add_file(tx, job, "", rows, digest)
        await tx.outbox(topic, str(job), {"job": str(job)})
    return job


async def _read(tx: Repository, job: UUID) -> BulkJob | None:
    row = await tx.one(_READ, (tx.ctx.tenant, job))
    if row is None:
        return None
    files = await tx.all(_FILES, (tx.ctx.tenant, job))
    kind, state, asked, place, started, ended, owner = row
    return BulkJob(job, kind, state, asked, place, started, ended, owner, tuple(BulkFile(*f) for f in files))


async def _add_file(tx: Repository, job: UUID, kind: str, rows: int, digest: str) -> None:
    values = {"tenant": tx.ctx.tenant, "job": job, "type": kind, "rows": rows, "sha256": digest}
    await tx.open_connection.execute(_FILE, values)


async def _open(store: Store, tenant: UUID, payload: JsonObject) -> tuple[BulkJob, Repository] | None:
    """The running job and a repository with its caller's rights; None when there is nothing to do any more."""
    async with store.system_repo(tenant).transaction() as tx:
        job = await _read(tx, UUID(str(payload["job"])))
    if job is None or job.state != "running":
        return None
    asked, actor = job.asked, job.asked["actor"]
    who = Actor(actor["reference"], actor["display"], actor["kind"])
    reader = UUID(asked["reader"]) if asked["reader"] else None
    sight = UUID(asked["sight"]) if asked.get("sight") else None
    khoa = frozenset(asked.get("khoa") or ())
    ctx = Ctx(
        tenant,
        who,
        purpose=asked["purpose"],
        correlation_id=str(job.id),
        reader=reader,
        sight=sight,
        khoa=khoa,
    )
    return job, store.repo(ctx, Rights({t: frozenset(a) for t, a in asked["rights"].items()}))


async def _save(tx: Repository, job: UUID, place: JsonObject) -> None:
    await tx.open_connection.execute(_PLACE, (dumps(place).decode(), tx.ctx.tenant, job))


async def run_export(store: Store, tenant: UUID, payload: JsonObject) -> None:
    """Handler: write the files of an export, type by type; each file with its place in one transaction."""
    opened = await _open(store, tenant, payload)
    if opened is None:
        return
    job, repo = opened
    asked, place = job.asked, dict(job.place)
    for kind in asked["types"]:
        if kind < place.get("type", ""):
            continue
        after: str | None = place.get("after", "") if kind == place.get("type") else ""
        while after is not None:
            rows, after = await _one_file(repo, asked, kind, after)
            place = {"type": kind, "after": after if after is not None else "\uffff"}
            if not await _keep(store, tenant, job.id, kind, rows, place):
                return  # cancelled meanwhile
    if asked["since"] and not await _deletions(store, tenant, repo, job, place):
        return
    if asked.get("untold") and not any(f.type == "OperationOutcome" for f in job.files):
        await _keep(store, tenant, job.id, "OperationOutcome", [dumps(o) for o in asked["untold"]], place)
    await _finish(store, tenant, job.id, "done")


async def _one_file(
    repo: Repository, asked: JsonObject, kind: str, after: str
) -> tuple[list[bytes], str | None]:
    """Lines of one file, and the id to go on from; None at the end of the type."""
    queries = [query for name, query in asked.get("filters", ()) if name == kind]
    lines: list[bytes] = []
    size = 0
    cursor: str | None = after
    while cursor is not None and len(lines) < FILE_ROWS and size < FILE_BYTES:
        found, cursor = await export_page(repo, _page_of(asked, kind, cursor))
        if queries:
            fitting = await _fitting(repo, kind, queries, [s.id for s in found])
            found = [s for s in found if s.id in fitting]
        lines += [_line(s) for s in found]
        size += sum(map(len, lines[-len(found) :])) if found else 0
    return lines, cursor


async def _deletions(store: Store, tenant: UUID, repo: Repository, job: BulkJob, place: JsonObject) -> bool:
    """What was deleted since: Bundles of DELETE (Bulk Data 2.0, 6.3); False when the job was cancelled meanwhile."""
    if any(f.type == DELETED for f in job.files):
        return True
    lines: list[bytes] = []
    for kind in job.asked["types"]:
        after: str | None = ""
        while after is not None:
            ids, after = await deleted_page(repo, _page_of(job.asked, kind, after))
            lines += [_deletion(kind, one) for one in ids]
    return not lines or await _keep(store, tenant, job.id, DELETED, lines, place)


def _deletion(kind: str, resource_id: str) -> bytes:
    entry = {"request": {"method": "DELETE", "url": f"{kind}/{resource_id}"}}
    return dumps({"resourceType": "Bundle", "type": "transaction", "entry": [entry]})


def _page_of(asked: JsonObject, kind: str, after: str) -> ExportAsked:
    since = datetime.fromisoformat(asked["since"]) if asked["since"] else None
    members = asked.get("members")
    limited = None if members is None else tuple(members)
    return ExportAsked(kind, after, since, bool(asked["compartment"]), limited)


async def _fitting(repo: Repository, kind: str, queries: list[str], ids: list[str]) -> set[str]:
    """Those of the ids that one of the searches finds."""
    out: set[str] = set()
    for first in range(0, len(ids), _ASKED_AT_ONCE):
        part = ids[first : first + _ASKED_AT_ONCE]
        for query in queries:
            page = await repo.search(kind, f"{query}&_count={_ASKED_AT_ONCE}&_id={','.join(part)}")
            out |= {s.id for s in page.entries}
    return out


def _line(stored: Stored) -> bytes:
    return dumps(stored.data)


async def _keep(
    store: Store, tenant: UUID, job: UUID, kind: str, lines: list[bytes], place: JsonObject
) -> bool:
    """Keep a file and how far the job is; False when the job was cancelled meanwhile, and nothing is kept."""
    digest = await store.blobs.put(os.urandom(_HEAD) + b"\n".join([*lines, b""])) if lines else ""
    async with store.system_repo(tenant).transaction() as tx:
        state = await tx.one(_STATE, (tenant, job))
        if state is not None and state[0] == "running":
            if digest:
                await _add_file(tx, job, kind, len(lines), digest)
            await _save(tx, job, place)
            return True
    if digest:
        await store.blobs.destroy(digest)
    return False


async def _finish(store: Store, tenant: UUID, job: UUID, state: str) -> None:
    async with store.system_repo(tenant).transaction() as tx:
        await tx.open_connection.execute(_END, (state, tx.clock.now(), tenant, job, state))


async def run_import(store: Store, tenant: UUID, payload: JsonObject) -> None:
    """Handler: write the lines that were sent, a batch and its place in one transaction."""
    opened = await _open(store, tenant, payload)
    if opened is None:
        return
    job, repo = opened
    sent = (await store.blobs.get(next(f.sha256 for f in job.files if not f.type)))[_HEAD:]
    lines = sent.split(b"\n")
    place = {"lines": 0, "written": 0, "refused": 0, "errors": [], **job.place}
    while place["lines"] < len(lines):
        place = await _batch(repo, job.id, lines, place)
    if place["errors"]:
        outcomes = [dumps(e) for e in place["errors"]]
        await _keep(store, tenant, job.id, "OperationOutcome", outcomes, {**place, "errors": []})
    await _finish(store, tenant, job.id, "done")


async def _batch(repo: Repository, job: UUID, lines: list[bytes], place: JsonObject) -> JsonObject:
    """Write the next lines together; when one is refused, each for itself."""
    first = place["lines"]
    part = [(n, line) for n, line in enumerate(lines[first : first + BATCH], first) if line.strip()]
    after = {**place, "lines": first + BATCH}
    try:
        async with repo.transaction() as tx:
            for _, line in part:
                await _write(tx, line)
            done = {**after, "written": place["written"] + len(part)}
            await _save(tx, job, done)
        return done
    except BenhanError as error:
        if error.status >= 500:
            raise
    errors: list[Any] = list(place["errors"])
    written = refused = 0
    async with repo.transaction() as tx:
        for number, line in part:
            try:
                async with tx.open_connection.transaction():
                    await _write(tx, line)
                written += 1
            except BenhanError as error:
                if error.status >= 500:
                    raise
                refused += 1
                if len(errors) < _MAX_TOLD:
                    errors.append(_told(error, number + 1))
        done = {
            **after,
            "written": place["written"] + written,
            "refused": place["refused"] + refused,
            "errors": errors,
        }
        await _save(tx, job, done)
    return done


async def _write(tx: Repository, line: bytes) -> None:
    """One line: an update under its id, a create without one; the server gives version and instant."""
    resource = loads_object(line)
    if resource.get("resourceType") not in RESOURCE_TYPES:
        raise InvalidInput("jobs.bulk-line", "Dòng này không phải tài nguyên được lưu.")
    if "id" in resource:
        await tx.update(resource)
    else:
        await tx.create(resource)


def _told(error: BenhanError, number: int) -> JsonObject:
    outcome = operation_outcome(error)
    outcome["issue"][0]["diagnostics"] = f"line {number}"
    return outcome


def _ending(run: Handler) -> Handler:
    """The handler with an end: an error that no repetition mends ends the job, every other is tried again."""

    async def handled(store: Store, tenant: UUID, payload: JsonObject) -> None:
        try:
            await run(store, tenant, payload)
        except BenhanError as error:
            if error.status >= 500 or isinstance(error, Conflict):
                raise
            await _finish(store, tenant, UUID(str(payload["job"])), "failed")

    return handled


register(EXPORT_TOPIC, _ending(run_export))
register(IMPORT_TOPIC, _ending(run_import))
