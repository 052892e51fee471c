"""Signatures that wait for a time stamp: noted when they are made, completed when the service answers again.

``SignWith.tsa`` may let a signature wait (setting ``tsa_away`` = ``later``). It then stands as *signed, waiting for its time
stamp*; the next signer may go on, but the record is not closed before every token has come.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import datetime, timedelta

from pyhanko.sign.timestamps import TimeStamper

from benhan.base.errors import BenhanError, NeighbourFailed
from benhan.records.documents import content_of
from benhan.records.shapes import connection, fact, fact_of, id_of, instant, with_extensions
from benhan.records.signatures import STAMPED, WAITING
from benhan.signing import cms_stamped, cms_waits, pdf_archive, pdf_waits
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
_DONE = "update record_waiting set done_at = %s, said = '' where tenant = %s and provenance_id = %s"
LONGEST = timedelta(hours=1)
FIRST = timedelta(seconds=15)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A signature without its token; ``said``: code of the last error."""

    provenance_id: str
    encounter_id: str
    asked_at: datetime
    tries: int
    said: str


async def note_waiting(tx: Repository, made: Stored, encounter_id: str) -> None:
    """In the transaction of a signature: put it into the queue when it has no token."""
    if fact_of(made.data, WAITING):
        now = tx.clock.now()
        await connection(tx).execute(_NOTE, (tx.ctx.tenant, made.id, encounter_id, now, now + FIRST))


async def waiting_signatures(repo: Repository, limit: int = 200) -> list[Waiting]:
    """Signatures that wait, the oldest first."""
    async with repo.transaction() as tx:
        return [Waiting(*row) for row in await tx.all(_ALL, (tx.ctx.tenant, limit))]


async def waiting_of(repo: Repository, encounter_id: str) -> int:
    """How many signatures of a record wait."""
    async with repo.transaction() as tx:
        row = await tx.one(_OF_RECORD, (tx.ctx.tenant, encounter_id))
    return int(row[0])


async def complete_waiting(repo: Repository, tsa: TimeStamper, *, limit: int = 200) -> int:
    """Ask for the tokens that are due; gives how many came. While the service is away one is asked and the rest wait."""
    async with repo.transaction() as tx:
        due = [Waiting(*row) for row in await tx.all(_DUE, (tx.ctx.tenant, tx.clock.now(), limit))]
    came = 0
    for one in due:
        try:
            await _complete(repo, one, tsa)
        except BenhanError as error:
            await _put_off(repo, one, error.code)
            if isinstance(error, NeighbourFailed):
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
    """Stamp what the signature is in (no transaction is open meanwhile), and mark it."""
    act = await repo.read("Provenance", one.provenance_id)
    element = act.data["signature"][0]
    document, data = None, b""
    if "data" in element:
        data = base64.b64decode(element["data"])
        data = await cms_stamped(data, tsa) if cms_waits(data) else data
        element = {**element, "data": base64.b64encode(data).decode("ascii")}
    else:
        document = await repo.read("DocumentReference", _document_of(act))
        data = await content_of(repo, document.data)
        # a paper signed anew since then: its tokens cover only what stands
        data = await pdf_archive(data, tsa) if pdf_waits(data) else b""
    async with repo.transaction() as tx:
        now = tx.clock.now()
        if document is not None and data:
            sha256 = await tx.store.blobs.put(data)
            content = document.data["content"][0]
            attachment = {**content["attachment"], "url": f"urn:sha256:{sha256}", "size": len(data)}
            changed = {**document.data, "content": [{**content, "attachment": attachment}]}
            await tx.update(changed, if_match=document.version)
        marked = with_extensions(act.data, fact(WAITING, "0"), fact(STAMPED, instant(now)))
        kept = [e for e in marked["extension"] if e["url"] != fact(WAITING, "")["url"]]
        await tx.update({**marked, "extension": kept, "signature": [element]}, if_match=act.version)
        await connection(tx).execute(_DONE, (now, tx.ctx.tenant, one.provenance_id))


def _document_of(act: Stored) -> str:
    return next(id_of(t) for t in act.data["target"] if t["reference"].startswith("DocumentReference/"))
