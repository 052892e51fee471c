"""One database transaction of one caller: tenant, what it sees, actor and clock set for it, and nothing left behind.

The settings are LOCAL: after commit or rollback they are gone, and row-level security shows nothing until they are
set again. Reads made inside a transaction are audited with it when it commits and all the same when it does not.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import errors as pg_errors
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool

from benhan.base.clock import Clock
from benhan.base.errors import BenhanError, Conflict, NotAllowed
from benhan.store.audit import INSERT, AuditEntry, AuditWriter, columns
from benhan.store.model import Ctx

Statement = tuple[bytes, Any]
BEGIN = "begin"
SET = (
    "select set_config('benhan.tenant', %s, true), set_config('benhan.reader', %s, true), "
    "set_config('benhan.sight', %s, true), set_config('benhan.khoa', %s, true), "
    "set_config('benhan.purpose', %s, true), set_config('benhan.actor', %s, true), set_config('benhan.now', %s, true)"
)
_log = logging.getLogger("benhan.store")


class StoreUnavailable(BenhanError):
    """The database does not answer."""

    status = 503
    issue_type = "transient"


@dataclass
class Transaction:
    """An open transaction. ``reads`` are audit rows of reads, written before the commit.

    ``found``: the rows of each question it was opened with. ``last``: the statement of its last write, which goes to
    the server together with the commit.
    """

    ctx: Ctx
    clock: Clock
    connection: psycopg.AsyncConnection[Any]
    reads: list[AuditEntry] = field(default_factory=list)
    found: list[list[TupleRow]] = field(default_factory=list)
    last: Statement | None = None

    def own_reads(self) -> list[AuditEntry]:
        """Reads that must be rows of their own; those of a request that gathers its looks go there."""
        return self.reads if self.ctx.looks is None else self.ctx.looks.take(self.reads)


def settings_of(ctx: Ctx, clock: Clock) -> tuple[str, ...]:
    """Values for ``SET``."""
    return (*ctx.sees, ctx.actor.reference, clock.now().isoformat())


@asynccontextmanager
async def begin(
    pool: AsyncConnectionPool[Any],
    ctx: Ctx,
    clock: Clock,
    audit: AuditWriter,
    *,
    reads_only: bool = False,
    first: Sequence[Statement] = (),
) -> AsyncIterator[Transaction]:
    """Open a transaction, commit at the end, roll back on any exception.

    ``reads_only``: nothing will be written, so the audit of its reads shares a commit with that of others. ``first``:
    questions that go to the server with the settings; see ``Transaction.found``.

    Raises: ``Conflict`` (store.conflict, store.busy), ``NotAllowed`` (store.isolation), ``StoreUnavailable``.
    """
    tx: Transaction | None = None
    try:
        async with pool.connection() as connection:
            tx = Transaction(ctx, clock, connection)
            try:
                if reads_only:  # one way to the server less: the settings travel with the first question
                    async with connection.pipeline():
                        await connection.execute(BEGIN)
                        await connection.execute(SET, settings_of(ctx, clock))
                        yield tx
                        await connection.execute("commit")
                else:
                    async with connection.pipeline():
                        await connection.execute(BEGIN)
                        await connection.execute(SET, settings_of(ctx, clock))
                        asked = [await connection.execute(*question) for question in first]
                        tx.found = [await answer.fetchall() for answer in asked]
                    yield tx
                    await _commit(tx)
            except BaseException:
                if not connection.closed:
                    await connection.rollback()
                raise
    except psycopg.Error as error:
        raise translate(error) from error
    finally:
        if tx is not None and (reads := tx.own_reads()):
            try:
                await audit.put(ctx.tenant, reads)
            except psycopg.Error as error:
                raise translate(error) from error


async def _commit(tx: Transaction) -> None:
    """Send what is left to write and the commit at once: when a statement fails the server skips the commit."""
    async with tx.connection.pipeline():
        if tx.last is not None:
            await tx.connection.execute(*tx.last)
        if reads := tx.own_reads():
            await tx.connection.execute(INSERT, columns(tx.ctx.tenant, reads))
        await tx.connection.execute("commit")
    tx.reads = []


def translate(error: psycopg.Error) -> BenhanError:
    """The error of ours for one of the database's. Diagnostics carry its code, never its text (it may quote data)."""
    state = error.sqlstate or ""
    if isinstance(error, pg_errors.UniqueViolation):
        return Conflict("store.conflict", "Dữ liệu này vừa được người khác ghi.", diagnostics=state)
    if isinstance(
        error, pg_errors.SerializationFailure | pg_errors.DeadlockDetected | pg_errors.LockNotAvailable
    ):
        return Conflict("store.busy", "Nhiều người cùng ghi một chỗ; hãy thử lại.", diagnostics=state)
    if isinstance(error, pg_errors.InsufficientPrivilege):
        return NotAllowed("store.isolation", "Cơ sở dữ liệu không cho phép việc này.", diagnostics=state)
    if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        _log.error("database unavailable: %s %s", type(error).__name__, state)
        return StoreUnavailable(
            "store.unavailable", "Cơ sở dữ liệu không trả lời; dữ liệu chưa được ghi.", diagnostics=state
        )
    _log.error("database error %s %s", type(error).__name__, state)
    return BenhanError("store.database", "Cơ sở dữ liệu báo lỗi; dữ liệu chưa được ghi.", diagnostics=state)
