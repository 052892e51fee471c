"""Sealing the audit: its rows are leaves of a Merkle tree in (epoch, transaction, sequence) order.

A worker calls ``seal_audit`` at least every 60 seconds; each run adds a tree head. Only settled rows are taken (see
:mod:`benhan.store.feed`), so no row can appear among sealed ones later. ``verify_audit`` computes every head again.
The leaf covers every column but the place (epoch, tx): that is renumbered by no one, and the order is in the tree.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from benhan.base.json_door import dumps
from benhan.store.merkle import Tree, leaf_hash

if TYPE_CHECKING:
    from benhan.store.store import Store

UNSEALED_ALARM_S = 180.0
_PAGE = 5000
_ORDERED = (
    "select seq, at, account, reader, version, actor, actor_display, actor_kind, purpose, action, entity, patient, "
    "outcome, correlation, detail, epoch, tx::text as tx_text from audit where tenant = %(tenant)s "
    "and (epoch, tx, seq) > (%(epoch)s::integer, %(tx)s::text::xid8, %(seq)s::bigint) "
)
_SETTLED = (
    _ORDERED  # noqa: S608
    + "and (epoch < (select epoch from installation) or tx < (select settled_before())) "
    "order by audit.epoch, audit.tx, audit.seq limit %(limit)s"
)
_UP_TO = (
    _ORDERED + "and (epoch, tx, seq) <= (%(to_epoch)s::integer, %(to_tx)s::text::xid8, %(to_seq)s::bigint) "
    "order by audit.epoch, audit.tx, audit.seq limit %(limit)s"
)
_LOCK = "select pg_advisory_xact_lock(hashtextextended('audit_seal' || %s, 0))"
_LAST = (
    "select size, root, frontier, last_epoch, last_tx::text, last_seq, at from audit_seal where tenant = %s "
    "order by size desc limit 1"
)
_ALL = "select size, root, frontier, last_epoch, last_tx::text, last_seq, at from audit_seal where tenant = %s order by size"
_PUT = (
    "insert into audit_seal (tenant, size, root, frontier, last_epoch, last_tx, last_seq, at) "
    "values (%s, %s, %s, %s, %s, %s::text::xid8, %s, %s)"
)
_OLDEST = (
    "select min(at) from (select at from audit where tenant = %(tenant)s and (epoch, tx, seq) > "
    "(%(epoch)s::integer, %(tx)s::text::xid8, %(seq)s::bigint) order by epoch, tx, seq limit 1) t"
)
_START = (0, b"", b"", 0, "0", 0)


@dataclass(frozen=True)
class SealReport:
    """``ok``: every head fits the rows. ``size`` rows are sealed, ``unsealed`` wait. ``broken_at``: size of the first
    head that does not fit; the fault lies among the rows up to it and behind the head before it (``intact_to``).
    """

    ok: bool
    size: int
    unsealed: int
    root: bytes
    broken_at: int | None = None
    intact_to: int = 0


async def seal_audit(store: Store, tenant: UUID) -> int:
    """Append all settled rows to the tree and write a head; gives the number of rows."""
    async with store.system_repo(tenant).transaction() as repo:
        connection = repo.open_connection
        await connection.execute(_LOCK, (str(tenant),))
        last = await (await connection.execute(_LAST, (tenant,))).fetchone() or _START
        tree = Tree(last[0], bytes(last[2]))
        place = (last[3], last[4], last[5])
        while rows := await _page(connection, _SETTLED, tenant, place):
            for row in rows:
                tree.append(leaf_hash(leaf(row)))
            place = _place(rows[-1])
        if tree.size > last[0]:
            values = (tenant, tree.size, tree.root(), tree.frontier, *place, store.clock.now())
            await connection.execute(_PUT, values)
    return int(tree.size - last[0])


async def verify_audit(store: Store, tenant: UUID, *, since: int = 0, until: int | None = None) -> SealReport:
    """Check every head against the rows; ``since``: go on from the head of that size, which was checked before (the
    day's new rows are checked in minutes, the whole at night); ``until``: stop at the head of that size.
    """
    async with store.system_repo(tenant).transaction() as repo:
        connection = repo.open_connection
        heads = await (await connection.execute(_ALL, (tenant,))).fetchall()
        tree, place, intact = Tree(), (0, "0", 0), 0
        for head in heads:
            if until is not None and head[0] > until:
                break
            if head[0] <= since:
                tree, place, intact = Tree(head[0], bytes(head[2])), (head[3], head[4], head[5]), head[0]
                if head[0] == since and tree.root() != bytes(head[1]):
                    return SealReport(False, 0, 0, tree.root(), head[0], 0)
                continue
            to = {"to_epoch": head[3], "to_tx": head[4], "to_seq": head[5]}
            while rows := await _page(connection, _UP_TO, tenant, place, to):
                for row in rows:
                    tree.append(leaf_hash(leaf(row)))
                place = _place(rows[-1])
            if tree.size != head[0] or tree.root() != bytes(head[1]):
                return SealReport(False, intact, 0, tree.root(), head[0], intact)
            place, intact = (head[3], head[4], head[5]), head[0]
        unsealed = 0
        while until is None and (rows := await _page(connection, _SETTLED, tenant, place)):
            unsealed += len(rows)
            place = _place(rows[-1])
    return SealReport(True, tree.size, unsealed, tree.root(), None, intact)


async def oldest_unsealed_s(store: Store, tenant: UUID) -> float:
    """Age of the oldest row without seal, seconds; 0 when there is none."""
    async with store.system_repo(tenant).transaction() as repo:
        connection = repo.open_connection
        last = await (await connection.execute(_LAST, (tenant,))).fetchone() or _START
        values = {"tenant": tenant, "epoch": last[3], "tx": last[4], "seq": last[5]}
        row = await (await connection.execute(_OLDEST, values)).fetchone()
    return 0.0 if row is None or row[0] is None else (store.clock.now() - row[0]).total_seconds()


async def _page(
    connection: Any, sql: str, tenant: UUID, place: tuple[int, str, int], more: dict[str, Any] | None = None
) -> list[Any]:
    values = {
        "tenant": tenant,
        "epoch": place[0],
        "tx": place[1],
        "seq": place[2],
        "limit": _PAGE,
        **(more or {}),
    }
    rows: list[Any] = await (await connection.execute(sql.encode(), values)).fetchall()
    return rows


def _place(row: Any) -> tuple[int, str, int]:
    return row[15], row[16], row[0]


def leaf(row: Any) -> bytes:
    """Canonical bytes of one audit row: a JSON array of its columns."""
    return dumps([_plain(value) for value in row[:15]])


def _plain(value: Any) -> str | int | None:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return str(value) if isinstance(value, UUID) else value
