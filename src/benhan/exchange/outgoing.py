"""A facility's outgoing envelopes: numbered in the transaction that queues them, sent in order, kept until the hub has them.

Keeps the state of :mod:`benhan.exchange.engine` in PostgreSQL. No call to the hub is made inside a transaction: what is on
its way is leased for a while, so that a process that dies leaves it to the next one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from random import random
from typing import Any, TypeAlias

from benhan.base.clock import fhir_instant, local_date
from benhan.base.json_door import JsonObject, dumps, loads_object
from benhan.exchange import engine
from benhan.exchange._rows import connection_of
from benhan.exchange.engine import Envelope, Gap, Manifest, Message, OutLane, Waiting, read_envelope
from benhan.store import Repository

LEASE = timedelta(minutes=2)
_TOGETHER = 16

_LANE = "select epoch, number, head from exchange_out_lane where tenant = %s and lane = %s for update"
_NEW_LANE = "insert into exchange_out_lane (tenant, lane, epoch, number, head) values (%s, %s, 1, 1, '') on conflict do nothing"
_KEEP_LANE = "update exchange_out_lane set epoch = %s, number = %s, head = %s where tenant = %s and lane = %s"
_KNOWN = "select state from exchange_out where tenant = %s and message_id = %s"
_PUT = (
    "insert into exchange_out (tenant, message_id, lane, epoch, sequence, header, day, not_before, queued_at)"
    " values (%s, %s, %s, %s, %s, %s, %s, %s, %s)"
)
_PLACE = (
    "update exchange_out set epoch = %s, sequence = %s, header = %s, day = %s, not_before = %s, tries = 0"
    " where tenant = %s and message_id = %s"
)
_WAITING = (
    "select header, tries, not_before from exchange_out where tenant = %s and lane = %s and state = 'waiting'"
    " order by epoch, sequence limit %s"
)
_LEASE = (
    "update exchange_out set not_before = %s where tenant = %s and message_id = any(%s) and state = 'waiting'"
    " and (not_before <= %s or not_before > %s) returning message_id"
)
_ANSWERED = (
    "update exchange_out set state = %s, tries = %s, not_before = %s, reason = %s, receipt = coalesce(%s, receipt),"
    " answered_at = %s where tenant = %s and message_id = %s and state = 'waiting'"
)
_LOWEST = "select min(sequence) from exchange_out where tenant = %s and lane = %s and epoch = %s and state = 'waiting'"
_REWIND = (
    "update exchange_out set state = 'waiting', reason = '', answered_at = null, not_before = %s"
    " where tenant = %s and lane = %s and epoch = %s"
    " and sequence >= %s and state in ('received', 'quarantined')"
)
_OPEN = (
    "select header from exchange_out where tenant = %s and lane = %s and state = 'waiting' order by epoch, sequence"
    " for update"
)
_MANIFEST = "select message_id, header, state from exchange_out where tenant = %s and day = %s"
_AGAIN = (
    "update exchange_out set state = 'waiting', reason = '', answered_at = null, not_before = %s"
    " where tenant = %s and message_id = any(%s)"
    " and state in ('received', 'quarantined') returning message_id"
)
_COMPARED = (
    "insert into exchange_comparison (tenant, day, at, ours_count, ours_hash, theirs_count, theirs_hash, sent_again,"
    " strange, differing) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
)
_COMPARISONS = (
    "select day, at, ours_count, ours_hash, theirs_count, theirs_hash, sent_again, strange, differing"
    " from exchange_comparison where tenant = %s order by day desc, at desc limit %s"
)
_COUNTS = "select state, count(*) from exchange_out where tenant = %s group by state"
_ROWS = (
    "select message_id, lane, state, tries, not_before, reason, queued_at, answered_at from exchange_out"
    " where tenant = %s and (%s = '' or state = %s) order by queued_at desc, message_id limit %s"
)


@dataclass(frozen=True, slots=True)
class Reply:
    """What the hub said to one envelope, and the receipt to keep."""

    answer: engine.Answer
    receipt: JsonObject | None = None


@dataclass(frozen=True, slots=True)
class Queued:
    """A row of the page: where a message stands, in words that are true (``waiting`` until the hub has it)."""

    message_id: str
    lane: str
    state: engine.State
    tries: int
    not_before: datetime
    reason: str
    queued_at: datetime
    answered_at: datetime | None


Send: TypeAlias = Callable[[Envelope], Awaitable[Reply]]


async def enqueue(tx: Repository, message: Message, sender: str, receiver: str) -> bool:
    """Give a message its place, in the caller's transaction; False when it has one already."""
    connection, tenant = connection_of(tx), tx.ctx.tenant
    await connection.execute(_NEW_LANE, (tenant, message.lane))
    lane = await _lane(tx, message.lane)
    row = await (await connection.execute(_KNOWN, (tenant, message.message_id))).fetchone()
    if row is not None:
        return False
    now = tx.clock.now()
    lane, envelope = engine.enclose(lane, message, sender, receiver, fhir_instant(now))
    await connection.execute(
        _PUT,
        (
            tenant,
            message.message_id,
            message.lane,
            envelope.epoch,
            envelope.sequence,
            dumps(envelope.as_json()),
            local_date(now),
            now,
            now,
        ),
    )
    await _keep(tx, message.lane, lane)
    return True


async def _lane(tx: Repository, name: str) -> OutLane:
    row = await (await connection_of(tx).execute(_LANE, (tx.ctx.tenant, name))).fetchone()
    return OutLane(*row) if row else OutLane()


async def _keep(tx: Repository, name: str, lane: OutLane) -> None:
    await connection_of(tx).execute(_KEEP_LANE, (lane.epoch, lane.number, lane.head, tx.ctx.tenant, name))


async def drain(repo: Repository, send: Send) -> int:
    """Send what is due, urgent first, until nothing is due or the line is down; gives how many the hub received."""
    received = 0
    while chosen := await _take(repo):
        line_up = True
        replies: list[tuple[Waiting, Reply]] = []
        for one in chosen:
            reply = await send(one.envelope) if line_up else Reply(engine.Busy(0))
            line_up = line_up and reply.answer is not None and not isinstance(reply.answer, Gap)
            replies.append((one, reply))
        received += await _record(repo, replies)
        if not line_up:
            break
    return received


async def _take(repo: Repository) -> list[Waiting]:
    async with repo.transaction() as tx:
        connection, now = connection_of(tx), tx.clock.now()
        waiting: list[Waiting] = []
        for lane in engine.LANES:
            rows = await (await connection.execute(_WAITING, (tx.ctx.tenant, lane, engine.WINDOW))).fetchall()
            waiting += [Waiting(read_envelope(loads_object(bytes(r[0]))), r[1], r[2]) for r in rows]
        chosen = engine.due(waiting, now, most=_TOGETHER)
        ids = [one.envelope.message_id for one in chosen]
        leased: tuple[Any, ...] = (now + LEASE, tx.ctx.tenant, ids, now, now + engine.LONGEST_WAIT)
        mine = {row[0] for row in await (await connection.execute(_LEASE, leased)).fetchall()}
        return [one for one in chosen if one.envelope.message_id in mine]


async def _record(repo: Repository, replies: Sequence[tuple[Waiting, Reply]]) -> int:
    received = 0
    lost: set[str] = set()
    async with repo.transaction() as tx:
        now = tx.clock.now()
        for one, reply in replies:
            state, kept, reason = engine.after(one, reply.answer, now, random())
            if state == "refused" and reason in engine.LOST_PLACE:
                lost.add(one.envelope.lane)
                state = "waiting"
            received += state == "received"
            await connection_of(tx).execute(
                _ANSWERED,
                (
                    state,
                    kept.tries,
                    kept.not_before,
                    reason,
                    dumps(reply.receipt) if reply.receipt else None,
                    None if state == "waiting" else now,
                    tx.ctx.tenant,
                    one.envelope.message_id,
                ),
            )
            if isinstance(reply.answer, Gap):
                await _rewind(tx, one.envelope.lane, reply.answer)
        for lane in sorted(lost):
            await _start_again(tx, lane)
    return received


async def _rewind(tx: Repository, lane: str, gap: Gap) -> None:
    """The hub lacks what it acknowledged (brought back from an old copy): send again from there."""
    connection, tenant = connection_of(tx), tx.ctx.tenant
    row = await (await connection.execute(_LOWEST, (tenant, lane, gap.epoch))).fetchone()
    if row and row[0] is not None and engine.sent_too_far(gap, row[0]):
        await connection.execute(_REWIND, (tx.clock.now(), tenant, lane, gap.epoch, gap.expected))
        await tx.audit(
            "sent-again", entity=None, patient=None, detail={"lane": lane, "from": str(gap.expected)}
        )


async def _start_again(tx: Repository, name: str) -> None:
    """Our place in the lane is lost (we were brought back from an old copy): number what waits anew, one epoch higher."""
    connection, tenant, now = connection_of(tx), tx.ctx.tenant, tx.clock.now()
    lane = engine.start_again(await _lane(tx, name))
    rows = await (await connection.execute(_OPEN, (tenant, name))).fetchall()
    for row in rows:
        old = read_envelope(loads_object(bytes(row[0])))
        message = Message(old.message_id, name, old.subject, old.version, old.body_sha256)
        lane, fresh = engine.enclose(lane, message, old.sender, old.receiver, fhir_instant(now))
        place: tuple[Any, ...] = (fresh.epoch, fresh.sequence, dumps(fresh.as_json()), local_date(now), now)
        await connection.execute(_PLACE, (*place, tenant, old.message_id))
    await _keep(tx, name, lane)
    await tx.audit("new-epoch", entity=None, patient=None, detail={"lane": name, "epoch": str(lane.epoch)})


async def state_of(repo: Repository, message_id: str) -> engine.State | None:
    """Where a message stands, or None when it was never queued."""
    async with repo.transaction() as tx:
        row = await (await connection_of(tx).execute(_KNOWN, (tx.ctx.tenant, message_id))).fetchone()
        return row[0] if row else None


async def queue_counts(repo: Repository) -> dict[str, int]:
    """State → number of messages."""
    async with repo.transaction() as tx:
        rows = await (await connection_of(tx).execute(_COUNTS, (tx.ctx.tenant,))).fetchall()
        return {state: int(count) for state, count in rows}


async def queue(repo: Repository, *, state: str = "", limit: int = 100) -> list[Queued]:
    """The latest messages, of one state or of all."""
    async with repo.transaction() as tx:
        rows = await (await connection_of(tx).execute(_ROWS, (tx.ctx.tenant, state, state, limit))).fetchall()
        return [Queued(*row) for row in rows]


@dataclass(frozen=True, slots=True)
class Comparison:
    """One day held against the hub: equal hashes mean that both sides have the same."""

    day: date
    at: datetime
    ours_count: int
    ours_hash: str
    theirs_count: int
    theirs_hash: str
    sent_again: int
    strange: int
    differing: int

    @property
    def equal(self) -> bool:
        """Whether both sides had the same messages with the same contents."""
        return self.ours_hash == self.theirs_hash


async def compare_day(repo: Repository, day: date, theirs: Manifest) -> Comparison:
    """Hold what was received of a day against the hub's manifest; what the hub lacks is sent again."""
    async with repo.transaction() as tx:
        connection, tenant, now = connection_of(tx), tx.ctx.tenant, tx.clock.now()
        rows = await (await connection.execute(_MANIFEST, (tenant, day))).fetchall()
        bodies = {r[0]: read_envelope(loads_object(bytes(r[1]))).body_sha256 for r in rows}
        done = {r[0]: bodies[r[0]] for r in rows if r[2] in ("received", "quarantined")}
        lacking, strange, differing = engine.differences(done, theirs)
        strange = [m for m in strange if m not in bodies]
        again = await (await connection.execute(_AGAIN, (now, tenant, list(lacking)))).fetchall()
        ours, other = engine.summary_of(done), engine.summary_of(theirs)
        made = Comparison(day, now, *ours, *other, len(again), len(strange), len(differing))
        await connection.execute(
            _COMPARED,
            (tenant, day, now, *ours, *other, made.sent_again, made.strange, made.differing),
        )
        if not made.equal:
            await tx.audit(
                "compared", entity=None, patient=None, outcome="4", detail={"day": day.isoformat()}
            )
        return made


async def comparisons(repo: Repository, *, limit: int = 31) -> list[Comparison]:
    """The latest comparisons."""
    async with repo.transaction() as tx:
        rows = await (await connection_of(tx).execute(_COMPARISONS, (tx.ctx.tenant, limit))).fetchall()
        return [Comparison(*row) for row in rows]
