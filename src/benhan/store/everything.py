"""All current resources in the compartment of one patient, page by page, with what they lean on.

Beside the compartment come the resources of the open directory that a page refers to (staff, places, drugs, …): those
that belong to no patient. What may be shown is asked of the policy by type.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from benhan.base.errors import InvalidInput, NotFound
from benhan.fhir import RESOURCE_TYPES, references, split_reference
from benhan.store.audit import AuditEntry
from benhan.store.model import Action, SearchPage, Stored
from benhan.store.reading import COLUMNS, CURRENT_BY_REFERENCE, stored_of

if TYPE_CHECKING:
    from benhan.store.repository import Repository

_PAGE = (
    f"select {COLUMNS} from current_version c "  # noqa: S608 - constants only
    "join log l on l.tenant = c.tenant and l.type = c.type and l.id = c.id and l.version = c.version "
    "left join record_key k on k.tenant = l.tenant and k.id = l.key_id "
    "where c.tenant = %(tenant)s and c.patient = %(patient)s and not c.deleted and c.type = any(%(types)s) "
    "and c.at >= %(since)s and (c.type, c.id) > (%(after_type)s, %(after_id)s) "
    "order by c.type, c.id limit %(limit)s"
)
_MAX_PARTS = 500
_ALWAYS = datetime.fromisoformat("0001-01-02T00:00:00+00:00")


@dataclass(frozen=True)
class EverythingAsked:
    """``types`` empty: all; ``since``: written then or later; ``cursor`` from the page before."""

    patient: str
    types: tuple[str, ...] = ()
    since: datetime | None = None
    count: int = 200
    cursor: str | None = None


async def everything(repo: Repository, asked: EverythingAsked) -> SearchPage:
    """One page: compartment in ``entries``, what it leans on in ``included``.

    Raises: ``NotFound``, ``Deleted``, ``NotAllowed`` for the patient; ``InvalidInput`` (store.bad-cursor).
    """
    after = _read_cursor(asked.cursor)
    await repo.read("Patient", asked.patient)
    types = [
        t
        for t in sorted(set(asked.types or RESOURCE_TYPES) & RESOURCE_TYPES)
        if _shown(repo, t, asked.patient)
    ]
    async with repo.looking() as tx:
        values = {
            "tenant": repo.ctx.tenant,
            "patient": asked.patient,
            "types": types,
            "since": asked.since or _ALWAYS,
            "after_type": after[0],
            "after_id": after[1],
            "limit": asked.count + 1,
        }
        rows = await (await tx.open_connection.execute(_PAGE.encode(), values)).fetchall()
        more, rows = len(rows) > asked.count, rows[: asked.count]
        opened = [await stored_of(repo.store.keys, tx.open_connection, repo.ctx.tenant, row) for row in rows]
        entries = [s for s in opened if s is not None]
        included = await _leaned_on(tx, entries, asked.types)
        detail = {"everything": True, "found": len(entries)}
        at, entity = tx.clock.now(), f"Patient/{asked.patient}"
        tx.note_entry(AuditEntry(tx.ctx, at, Action.SEARCH, entity, None, asked.patient, "0", detail))
    cursor = _write_cursor(rows[-1][0], rows[-1][1]) if more else None
    return SearchPage(entries, included, None, cursor)


def _shown(repo: Repository, kind: str, patient: str) -> bool:
    scope = repo.policy.scope(repo.ctx, Action.SEARCH, kind)
    return scope.kind == "all" or (scope.kind == "patients" and patient in scope.patient_ids)


async def _leaned_on(tx: Repository, entries: Sequence[Stored], types: tuple[str, ...]) -> list[Stored]:
    wanted: set[tuple[str, str]] = set()
    for stored in entries:
        for found in references(stored.data):
            text = found.element.get("reference")
            target = split_reference(text) if isinstance(text, str) else None
            if target is not None and target[0] in RESOURCE_TYPES and (not types or target[0] in types):
                wanted.add(target)
    wanted = {w for w in wanted if tx.policy.scope(tx.ctx, Action.INCLUDE, w[0]).kind == "all"}
    if not wanted:
        return []
    kinds, ids = zip(*sorted(wanted), strict=True)
    rows = await tx.all(CURRENT_BY_REFERENCE, (list(kinds), list(ids), tx.ctx.tenant))
    out: list[Stored] = []
    for row in rows:
        if row[13] is None:  # of no patient's compartment
            leaned = await stored_of(tx.store.keys, tx.open_connection, tx.ctx.tenant, row)
            if leaned is not None:
                out.append(leaned)
    return out


def _write_cursor(kind: str, resource_id: str) -> str:
    return base64.urlsafe_b64encode(f"{kind}/{resource_id}".encode()).decode()


def _read_cursor(cursor: str | None) -> tuple[str, str]:
    if cursor is None:
        return "", ""
    try:
        kind, _, resource_id = base64.urlsafe_b64decode(cursor.encode()).decode("ascii").partition("/")
    except (binascii.Error, ValueError):
        raise InvalidInput(
            "store.bad-cursor", "Con trỏ trang không đọc được.", expression="_cursor"
        ) from None
    if kind not in RESOURCE_TYPES or "\x00" in resource_id:
        raise InvalidInput("store.bad-cursor", "Con trỏ trang không đọc được.", expression="_cursor")
    return kind, resource_id


async def document_parts(repo: Repository, composition_id: str) -> list[Stored]:
    """A Composition and every resource it refers to and they in turn, the Composition first.

    Raises: what reading any of them raises, since a document that lacks a part is not that document;
            ``InvalidInput`` (store.document-too-large).
    """
    async with repo.looking() as tx:
        first = await tx.read("Composition", composition_id)
        found = {("Composition", composition_id): first}
        level = [first]
        while level:
            wanted = dict.fromkeys(t for s in level for t in _local(s) if t not in found)
            if len(found) + len(wanted) > _MAX_PARTS:
                raise InvalidInput("store.document-too-large", f"Tài liệu có hơn {_MAX_PARTS} phần.")
            level = []
            for kind, resource_id in wanted:
                try:
                    part = await tx.read(kind, resource_id)
                except NotFound:
                    if kind in ("Practitioner", "Organization", "Device", "Location"):
                        continue  # an author of another installation: the reference stays as it is
                    raise
                found[kind, resource_id] = part
                level.append(part)
                if kind == "Patient":
                    level.pop()  # what a person's row leans on is no part of the document
    return list(found.values())


def _local(stored: Stored) -> list[tuple[str, str]]:
    texts = (found.element.get("reference") for found in references(stored.data))
    targets = (split_reference(t) for t in texts if isinstance(t, str) and not t.startswith("#"))
    return [t for t in targets if t is not None and t[0] in RESOURCE_TYPES]
