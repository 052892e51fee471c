"""Referrals kept: the work lists, a step of one's own, a step that came, the hub's feed to the other side.

A step of one's own and its message are one transaction; a step that came is applied once, in order, by the same table
of states as everywhere. Source: TT 01/2025/TT-BYT Điều 12.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from benhan.access import grant_access
from benhan.base.clock import fhir_instant, local_date, parse_instant
from benhan.base.errors import Conflict, NotAllowed, NotFound
from benhan.base.json_door import JsonObject, dumps, loads_object
from benhan.exchange import referral_chain as pure
from benhan.exchange._rows import connection_of
from benhan.exchange.disclosures import START, cursor_of, move_cursor
from benhan.exchange.engine import Message
from benhan.exchange.outgoing import enqueue
from benhan.exchange.referral_chain import Side, Step
from benhan.exchange.rights import LIFE
from benhan.identity import family, link_patient
from benhan.store import Repository, TenantInfo

CURSOR = "hub-referrals"
HUB = "hub"
_COLUMNS = (
    "id, sender, receiver, patient_id, encounter_id, request, valid_until, state, number, sent_at, changed_at"
)
_READ = f"select {_COLUMNS} from exchange_referral where tenant = %s and id = %s"  # noqa: S608 - constant
_LOCKED = _READ + " for update"
_LIST = (
    f"select {_COLUMNS} from exchange_referral where tenant = %s and (%s = '' or sender = %s)"  # noqa: S608
    " and (%s = '' or receiver = %s) and (%s = '' or encounter_id = %s)"
    " order by state in ('closed', 'refusal-read'), changed_at desc, id limit %s"
)
_LOCK = "select pg_advisory_xact_lock(hashtextextended(%s, 0))"
_PUT = (
    "insert into exchange_referral (tenant, id, sender, receiver, patient_id, encounter_id, request, valid_until, state,"
    " number, sent_at, changed_at) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
)
_MOVE = "update exchange_referral set state = %s, number = %s, changed_at = %s where tenant = %s and id = %s"
_STEP = (
    "insert into exchange_referral_step (tenant, referral_id, number, event, side, at, who, name, note, message_id, body)"
    " values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
)
_STEPS = (
    "select number, event, side, at, who, name, note, message_id from exchange_referral_step"
    " where tenant = %s and referral_id = %s order by number"
)
_KNOWN = (
    "select message_id from exchange_referral_step where tenant = %s and referral_id = %s and number = %s"
)
_FEED = (
    "select s.tx::text, s.seq, s.body from exchange_referral_step s join exchange_referral r"
    " on r.tenant = s.tenant and r.id = s.referral_id where s.tenant = %s"
    " and ((r.sender = %s and s.side = 'receiver') or (r.receiver = %s and s.side = 'sender'))"
    " and (s.tx, s.seq) > (%s::xid8, %s) and s.tx < (select settled_before()) order by s.tx, s.seq limit %s"
)


@dataclass(frozen=True, slots=True)
class Referral:
    """A referral as it stands here. ``request``: ``{"patient", "request"}``."""

    id: UUID
    sender: str
    receiver: str
    patient_id: str
    encounter_id: str
    request: JsonObject
    valid_until: date
    state: str
    number: int
    sent_at: datetime
    changed_at: datetime

    def side(self, code: str) -> Side:
        """Which side the facility ``code`` is."""
        return "sender" if code == self.sender else "receiver"

    def overdue(self, now: datetime) -> bool:
        """Whether somebody lets it lie, or the slip ran out."""
        return pure.overdue(self.state, self.changed_at, self.valid_until, now, local_date(now))


@dataclass(frozen=True, slots=True)
class Done:
    """A step that was done: by whom, when (the clock of the side that did it)."""

    number: int
    event: str
    side: Side
    at: datetime
    who: str
    name: str
    note: str
    message_id: str


async def referral(repo: Repository, referral_id: UUID) -> Referral:
    """One referral. Raises: ``NotFound`` (exchange.no-referral)."""
    async with repo.transaction() as tx:
        return await _read(tx, _READ, referral_id)


async def _read(tx: Repository, query: str, referral_id: UUID) -> Referral:
    row = await (await connection_of(tx).execute(query, (tx.ctx.tenant, referral_id))).fetchone()
    if row is None:
        raise NotFound("exchange.no-referral", "Không có phiếu chuyển này.")
    return Referral(*row)


async def referrals(
    repo: Repository, *, sender: str = "", receiver: str = "", encounter_id: str = "", limit: int = 200
) -> list[Referral]:
    """A work list: open ones first, what changed last on top."""
    values = (repo.ctx.tenant, sender, sender, receiver, receiver, encounter_id, encounter_id, limit)
    async with repo.transaction() as tx:
        return [Referral(*row) for row in await (await connection_of(tx).execute(_LIST, values)).fetchall()]


async def referral_steps(repo: Repository, referral_id: UUID) -> list[Done]:
    """The steps done, in order."""
    async with repo.transaction() as tx:
        rows = await connection_of(tx).execute(_STEPS, (tx.ctx.tenant, referral_id))
        return [Done(*row) for row in await rows.fetchall()]


async def put_step(tx: Repository, step: Step, *, patient_id: str = "", encounter_id: str = "") -> bool:
    """Apply a step in the caller's transaction; False when it was applied before.

    Raises: ``RuleViolation`` (exchange.referral-step), ``Conflict`` (exchange.referral-order) for another step of the
    same number or one that comes too early, ``NotAllowed`` (exchange.foreign-referral).
    """
    connection, tenant = connection_of(tx), tx.ctx.tenant
    await connection.execute(_LOCK, (f"referral|{tenant}|{step.referral_id}",))
    row = await (await connection.execute(_LOCKED, (tenant, step.referral_id))).fetchone()
    before = None if row is None else Referral(*row)
    if before is not None and (before.sender, before.receiver) != (step.sender, step.receiver):
        raise NotAllowed("exchange.foreign-referral", "Phiếu chuyển này không phải của cơ sở này.")
    known = await (await connection.execute(_KNOWN, (tenant, step.referral_id, step.number))).fetchone()
    if known is not None and known[0] == step.message_id:
        return False
    if known is not None or step.number != (before.number if before else 0) + 1:
        raise Conflict(
            "exchange.referral-order", "Phiếu chuyển đã qua bước khác; tải lại trang để xem tình trạng."
        )
    state = pure.after(before.state if before else "", step.event, step.side, step.note)
    now, at = tx.clock.now(), parse_instant(fhir_instant(step.at))
    if before is None:
        values = (
            tenant, step.referral_id, step.sender, step.receiver, patient_id, encounter_id, Jsonb(step.request),
            step.valid_until, state, 1, at, now,
        )  # fmt: skip
        await connection.execute(_PUT, values)
    else:
        await connection.execute(_MOVE, (state, step.number, now, tenant, step.referral_id))
    body = dumps(pure.message(step))
    done = (
        step.number,
        step.event,
        step.side,
        at,
        step.who,
        step.name,
        step.note,
        step.message_id,
        body,
    )
    await connection.execute(_STEP, (tenant, step.referral_id, *done))
    return True


async def send_step(tx: Repository, step: Step) -> None:
    """Queue the message of a step of one's own, in the caller's transaction, ahead of everything that is not urgent."""
    sha256 = await tx.store.blobs.put(dumps(pure.message(step)))
    subject = f"Task/{step.referral_id}"
    await enqueue(tx, Message(step.message_id, "urgent", subject, step.number, sha256), step.by, HUB)


async def act(
    repo: Repository, code: str, referral_id: UUID, event: str, note: str, *, seen: int
) -> Referral:
    """Do a step at facility ``code``; ``seen`` is the number of the last step the person saw.

    Raises: as :func:`put_step`.
    """
    async with repo.transaction() as tx:
        here = await _read(tx, _LOCKED, referral_id)
        if here.number != seen:
            raise Conflict(
                "exchange.referral-order", "Phiếu chuyển đã qua bước khác; tải lại trang để xem tình trạng."
            )
        side = here.side(code)
        state = pure.after(here.state, event, side, note)
        actor = tx.ctx.actor
        step = Step(
            here.id, here.number + 1, event, side, state, here.sender, here.receiver, tx.clock.now(),
            actor.reference, actor.display, note.strip(), here.valid_until,
        )  # fmt: skip
        await put_step(tx, step)
        await send_step(tx, step)
        await tx.audit(
            f"referral-{event}",
            entity=f"Task/{here.id}",
            patient=here.patient_id or None,
            detail={"sender": here.sender, "receiver": here.receiver, "number": step.number},
        )
        return await _read(tx, _READ, referral_id)


async def take_step(tx: Repository, source: TenantInfo, step: Step) -> str:
    """At the hub: apply a step that ``source`` sent; the first one opens the person's documents to the receiver.

    Gives the hub's patient id. Raises: as :func:`put_step`; ``NotFound`` (exchange.no-such-facility); ``NotAllowed``
    (exchange.foreign-source).
    """
    if source.code != step.by:
        raise NotAllowed(
            "exchange.foreign-source", "Nơi gửi ghi trong gói không phải cơ sở của chứng thư kết nối."
        )
    if step.event != "send":
        await put_step(tx, step)
        return (await _read(tx, _READ, step.referral_id)).patient_id
    receiver = await tx.store.tenant_by_code(step.receiver)
    if receiver is None:
        raise NotFound("exchange.no-such-facility", "Trục liên thông không có cơ sở nhận với mã này.")
    request = step.request or {}
    patient_id = (await link_patient(tx, source.id, request["patient"])).patient_id
    if await put_step(tx, step, patient_id=patient_id):
        until = tx.clock.now() + LIFE["referral"]
        for person in await family(tx, patient_id):
            await grant_access(tx, "referral", person, receiver.id, until, f"Phiếu chuyển {step.referral_id}")
    return patient_id


async def referral_feed(repo: Repository, facility: TenantInfo, after: str, limit: int = 100) -> JsonObject:
    """At the hub: steps of the other side of this facility's referrals after a cursor: ``{"items", "next"}``."""
    tx_text, _, seq = (after or START).partition(".")
    code = facility.code
    async with repo.transaction() as tx:
        values = (repo.ctx.tenant, code, code, str(int(tx_text)), int(seq or 0), limit)
        rows: Sequence[Any] = await (await connection_of(tx).execute(_FEED, values)).fetchall()
    items = [loads_object(bytes(row[2])) for row in rows]
    return {"items": items, "next": f"{rows[-1][0]}.{rows[-1][1]}" if rows else (after or START)}


async def apply_referrals(repo: Repository, code: str, page: JsonObject) -> int:
    """At a facility: apply fetched steps and move the cursor, in one transaction; gives how many were new."""
    new = 0
    async with repo.transaction() as tx:
        for item in page["items"]:
            step = pure.read_message(item)
            if code not in (step.sender, step.receiver) or step.by == code:
                raise NotAllowed("exchange.foreign-referral", "Phiếu chuyển này không phải của cơ sở này.")
            new += await put_step(tx, step)
        await move_cursor(tx, CURSOR, str(page["next"]))
    return new


async def fetch_referrals(repo: Repository, code: str, ask: Callable[[str], Awaitable[JsonObject]]) -> int:
    """Fetch the other sides' steps from the hub until there are none; gives how many were new."""
    new = 0
    while True:
        page = await ask(await cursor_of(repo, CURSOR))
        if not page["items"]:
            return new
        new += await apply_referrals(repo, code, page)
