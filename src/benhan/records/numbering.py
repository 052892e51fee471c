"""The one numbering service. Patterns are data of the catalogue; a number is taken at a named event.

Taking locks the row of its series until the transaction ends: numbers run without holes unless a transaction that took
one is rolled back together with its number. A cancelled number stays in the book with its reason and is never given again.
"""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from benhan.base.clock import local_date
from benhan.base.errors import Conflict, NotFound, RuleViolation
from benhan.base.ids import new_uuid
from benhan.catalogue import Pattern, numbering_pattern
from benhan.records.shapes import connection, house
from benhan.records.types import Number, NumberRow, Range
from benhan.store import Repository

_ADVANCE = (
    "insert into number_series (tenant, kind, scope, next) values (%s, %s, %s, 1 + %s)"
    " on conflict (tenant, kind, scope) do update set next = number_series.next + %s returning next - %s"
)
_TAKE = (
    "insert into number_taken (tenant, kind, scope, seq, text, event, subject, taken_at, taken_by, range_id, machine)"
    " values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
    " on conflict do nothing"
)
_CANCEL = (
    "update number_taken set cancelled_at = %s, cancelled_by = %s, cancel_reason = %s"
    " where tenant = %s and kind = %s and text = %s and cancelled_at is null"
)
_LEND = (
    "insert into number_range (tenant, id, kind, scope, khoa, on_day, first, last, machine, lent_at, lent_by)"
    " values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
)
_RANGE = (
    "select kind, scope, khoa, on_day, first, last, machine, returned_at from number_range"
    " where tenant = %s and id = %s for share"
)
_RETURN = "update number_range set returned_at = %s where tenant = %s and id = %s and returned_at is null"
_BOOK = (
    "select kind, scope, seq, text, event, subject, taken_at, taken_by, machine, cancel_reason from number_taken"
    " where tenant = %s and kind = %s and (%s::text is null or scope = %s) order by scope desc, seq desc limit %s"
)


async def take_number(
    repo: Repository,
    kind: str,
    *,
    event: str,
    khoa: str | None = None,
    on: date | None = None,
    subject: str | None = None,
) -> Number:
    """The next number of its kind, recorded for ``subject`` (a reference).

    Raises: ``RuleViolation`` (records.number-not-at-event) when the pattern names other events.
    """
    async with repo.transaction() as tx:
        day = on or local_date(tx.clock.now())
        place = await house(tx)
        pattern = _pattern(kind, event, day, place.code, khoa)
        scope = pattern.scope_key(day, khoa)
        seq = await _advance(tx, kind, scope, 1)
        text = pattern.render(seq, day, facility=place.code, khoa=khoa)
        await _record(tx, Number(kind, scope, seq, text), event, subject, tx.clock.now(), None, None)
        return Number(kind, scope, seq, text)


def _pattern(kind: str, event: str, day: date, facility: str, khoa: str | None) -> Pattern:
    pattern = numbering_pattern(kind, day, facility=facility, khoa=khoa)
    if event not in pattern.events:
        raise RuleViolation("records.number-not-at-event", f"Số “{kind}” không được cấp ở bước này.")
    return pattern


async def _advance(tx: Repository, kind: str, scope: str, by: int) -> int:
    cursor = await connection(tx).execute(_ADVANCE, (tx.ctx.tenant, kind, scope, by, by, by))
    row = await cursor.fetchone()
    if row is None:
        raise RuntimeError("number_series gave no row")
    return int(row[0])


async def _record(
    tx: Repository,
    number: Number,
    event: str,
    subject: str | None,
    taken_at: datetime,
    range_id: UUID | None,
    machine: str | None,
) -> None:
    done = await connection(tx).execute(
        _TAKE,
        (
            tx.ctx.tenant, number.kind, number.scope, number.seq, number.text, event, subject, taken_at,
            tx.ctx.actor.reference, range_id, machine,
        ),
    )  # fmt: skip
    if done.rowcount == 0:
        raise Conflict("records.number-already-taken", "Số này đã được cấp.", diagnostics=number.kind)


async def cancel_number(repo: Repository, kind: str, text: str, reason: str) -> None:
    """Cancel a number; it stays in the book with the reason.

    Raises: ``RuleViolation`` records.reason-needed; ``NotFound`` records.no-such-number (or cancelled before).
    """
    if not reason.strip():
        raise RuleViolation("records.reason-needed", "Cần nêu lý do hủy số.", expression="reason")
    async with repo.transaction() as tx:
        done = await connection(tx).execute(
            _CANCEL, (tx.clock.now(), tx.ctx.actor.reference, reason.strip(), tx.ctx.tenant, kind, text)
        )
        if done.rowcount == 0:
            raise NotFound("records.no-such-number", "Không có số này, hoặc số đã hủy.")


async def lend_range(
    repo: Repository, kind: str, machine: str, size: int, *, khoa: str | None = None, on: date | None = None
) -> Range:
    """Lend ``size`` numbers to an offline machine; nobody else will get them."""
    if not 1 <= size <= 10_000:
        raise RuleViolation(
            "records.range-size", "Số lượng cho mượn phải từ 1 đến 10.000.", expression="size"
        )
    async with repo.transaction() as tx:
        day = on or local_date(tx.clock.now())
        place = await house(tx)
        scope = numbering_pattern(kind, day, facility=place.code, khoa=khoa).scope_key(day, khoa)
        first = await _advance(tx, kind, scope, size)
        lent = Range(new_uuid(clock=tx.clock), kind, scope, first, first + size - 1, machine)
        await connection(tx).execute(
            _LEND,
            (
                tx.ctx.tenant, lent.id, kind, scope, khoa, day, lent.first, lent.last, machine, tx.clock.now(),
                tx.ctx.actor.reference,
            ),
        )  # fmt: skip
        return lent


async def record_lent(
    repo: Repository, range_id: UUID, seq: int, *, event: str, at: datetime, subject: str | None = None
) -> Number:
    """Enter a number that the offline machine used from its range, with the time it was really taken.

    Raises: ``NotFound`` records.no-such-range; ``RuleViolation`` records.outside-range; ``Conflict``
    records.range-returned, records.number-already-taken.
    """
    async with repo.transaction() as tx:
        row = await (await connection(tx).execute(_RANGE, (tx.ctx.tenant, range_id))).fetchone()
        if row is None:
            raise NotFound("records.no-such-range", "Không có dải số này.")
        kind, scope, khoa, on_day, first, last, machine, returned_at = row
        if returned_at is not None:
            raise Conflict("records.range-returned", "Dải số đã được trả lại.")
        if not first <= seq <= last:
            raise RuleViolation("records.outside-range", "Số nằm ngoài dải đã cho mượn.", expression="seq")
        place = await house(tx)
        pattern = _pattern(kind, event, on_day, place.code, khoa)
        number = Number(kind, scope, seq, pattern.render(seq, on_day, facility=place.code, khoa=khoa))
        await _record(tx, number, event, subject, at, range_id, machine)
        return number


async def return_range(repo: Repository, range_id: UUID) -> None:
    """The machine gives its range back; what it did not use is never given to another."""
    async with repo.transaction() as tx:
        done = await connection(tx).execute(_RETURN, (tx.clock.now(), tx.ctx.tenant, range_id))
        if done.rowcount == 0:
            raise NotFound("records.no-such-range", "Không có dải số này, hoặc đã trả.")


async def numbers_taken(
    repo: Repository, kind: str, *, scope: str | None = None, limit: int = 100
) -> list[NumberRow]:
    """The book of numbers, newest first, cancelled ones with their reason."""
    async with repo.transaction() as tx:
        cursor = await connection(tx).execute(_BOOK, (tx.ctx.tenant, kind, scope, scope, limit))
        return [NumberRow(*row) for row in await cursor.fetchall()]
