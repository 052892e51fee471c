"""Packages that could not be taken over: kept whole with the reason, listed, and read again on demand."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from benhan.base.errors import NotFound
from benhan.store import Repository, TenantInfo

_KEEP = (
    "insert into bhyt_quarantine (tenant, sha256, at, source_name, ma_lk, code, reason, sender) "
    "values (%s, %s, %s, %s, %s, %s, %s, %s) on conflict do nothing"
)
_LIST = (
    "select q.sha256, q.at, q.source_name, q.ma_lk, coalesce(nullif(r.code, ''), q.code), "
    "coalesce(nullif(r.reason, ''), q.reason) from bhyt_quarantine q left join lateral (select status, code, reason "
    "from bhyt_replay where tenant = q.tenant and sha256 = q.sha256 order by at desc limit 1) r on true "
    "where q.tenant = %s and coalesce(r.status, 'quarantined') = 'quarantined' order by q.at, q.sha256"
)
_ONE = "select source_name, sender from bhyt_quarantine where tenant = %s and sha256 = %s"
_REPLAYED = (
    "insert into bhyt_replay (tenant, sha256, at, status, code, reason, actor) "
    "values (%s, %s, %s, %s, %s, %s, %s) on conflict do nothing"
)


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A refused package that waits: ``sha256`` names its bytes among the blobs."""

    sha256: str
    at: datetime
    source_name: str
    ma_lk: str | None
    code: str
    reason: str


async def keep_aside(
    repo: Repository,
    raw: bytes,
    source_name: str,
    ma_lk: str | None,
    code: str,
    reason: str,
    sender: TenantInfo | None,
) -> None:
    """Keep the bytes and the reason; the same bytes are kept once."""
    await repo.store.blobs.put(raw)
    sha256 = hashlib.sha256(raw).hexdigest()
    sent_by = sender.id if sender else None
    values = (repo.ctx.tenant, sha256, repo.clock.now(), source_name, ma_lk, code, reason, sent_by)
    async with repo.transaction() as tx:
        await tx.open_connection.execute(_KEEP, values)


async def quarantined(repo: Repository) -> list[Quarantined]:
    """What still waits, oldest first, with the reason of the last attempt."""
    async with repo.transaction() as tx:
        cursor = await tx.open_connection.execute(_LIST, (tx.ctx.tenant,))
        return [Quarantined(*row) for row in await cursor.fetchall()]


async def source_of(repo: Repository, sha256: str) -> tuple[str, TenantInfo | None]:
    """Name of the file as it came, and who sent it. Raises: ``NotFound`` bhyt.not-quarantined."""
    async with repo.transaction() as tx:
        row = await (await tx.open_connection.execute(_ONE, (tx.ctx.tenant, sha256))).fetchone()
    if row is None:
        raise NotFound("bhyt.not-quarantined", "Không có gói này trong số gói bị giữ lại.")
    return str(row[0]), next((t for t in await repo.store.tenants() if t.id == row[1]), None)


async def note_replay(repo: Repository, sha256: str, status: str, code: str, reason: str) -> None:
    """Write down what became of a package that was read again."""
    told = (status, code, reason, repo.ctx.actor.reference)
    async with repo.transaction() as tx:
        await tx.open_connection.execute(_REPLAYED, (repo.ctx.tenant, sha256, repo.clock.now(), *told))
