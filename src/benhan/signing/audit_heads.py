"""The audit proved to outsiders: heads of its tree signed by the house and time-stamped, and the daily check of all of it.

The tree (:mod:`benhan.store.seal`) finds what was changed behind it as long as its heads are not changed with the rows. Who
holds the database could do both; a signed head with a time stamp of another party pins the rows of that moment. What is not
yet under a signed head is the visible tail.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from pyhanko.sign.timestamps import TimeStamper

from benhan.base.json_door import dumps, loads_object
from benhan.signing.cades import sign_cades
from benhan.signing.signer import Signer
from benhan.signing.verification import verify_entry
from benhan.store import Repository

_NEWEST = (
    "select s.size, s.root from audit_seal s where s.tenant = %(tenant)s and s.size > coalesce("
    "(select max(h.size) from audit_head h where h.tenant = %(tenant)s), 0) order by s.size desc limit 1"
)
_PUT = (
    "insert into audit_head (tenant, size, root, statement, signature, signed_at) values (%s, %s, %s, %s, %s, %s)"
    " on conflict (tenant, size) do nothing"
)
_ALL = (
    "select h.size, h.root, h.statement, h.signature, s.root from audit_head h left join audit_seal s"
    " on s.tenant = h.tenant and s.size = h.size where h.tenant = %s order by h.size"
)
_NOTE = (
    "insert into audit_check (tenant, at, ok, size, unsealed, heads, fault) values (%s, %s, %s, %s, %s, %s, %s)"
    " on conflict (tenant, at) do nothing"
)
_CHECKS = (
    "select at, ok, size, unsealed, heads, fault from audit_check where tenant = %s order by at desc limit %s"
)
_LAST_HEAD = "select size, signed_at from audit_head where tenant = %s order by size desc limit 1"


@dataclass(frozen=True, slots=True)
class AuditCheck:
    """One check of the whole audit. ``fault``: empty, ``rows``, ``signature`` or ``root``, with the size of the head."""

    at: datetime
    ok: bool
    size: int
    unsealed: int
    heads: int
    fault: str


@dataclass(frozen=True, slots=True)
class SignedHead:
    """The newest signed head: how many rows it covers, and when it was signed."""

    size: int
    signed_at: datetime


async def sign_audit_head(repo: Repository, signer: Signer, tsa: TimeStamper | None) -> int | None:
    """Sign the newest head, unless it has been; gives the number of rows under it. Nothing is locked while signing."""
    async with repo.transaction() as tx:
        newest = await tx.one(_NEWEST, {"tenant": tx.ctx.tenant})
    if newest is None:
        return None
    size, root = int(newest[0]), bytes(newest[1])
    statement = _statement(repo, size, root)
    signature = await sign_cades(statement, signer, tsa)
    async with repo.transaction() as tx:
        values = (tx.ctx.tenant, size, root, statement, signature, tx.clock.now())
        await tx.open_connection.execute(_PUT, values)
    return size


def _statement(repo: Repository, size: int, root: bytes) -> bytes:
    at = repo.clock.now().astimezone(UTC).isoformat()
    return dumps({"tenant": str(repo.ctx.tenant), "size": size, "root": root.hex(), "at": at})


async def check_audit(repo: Repository, roots: bytes) -> AuditCheck:
    """Compute the tree again from all rows, and check every signed head against it; the result is kept.

    ``roots``: trusted certificates (PEM).
    """
    report = await repo.store.verify_audit(repo.ctx.tenant)
    fault = "" if report.ok else f"rows {report.broken_at}"
    heads = 0
    async with repo.transaction() as tx:
        rows = await tx.all(_ALL, (tx.ctx.tenant,))
    for size, root, statement, signature, sealed in rows:
        if fault:
            break
        heads += 1
        fault = await _fault_of(int(size), bytes(root), bytes(statement), bytes(signature), sealed, roots)
    async with repo.transaction() as tx:
        made = AuditCheck(tx.clock.now(), not fault, report.size, report.unsealed, heads, fault)
        values = (tx.ctx.tenant, made.at, made.ok, made.size, made.unsealed, made.heads, made.fault)
        await tx.open_connection.execute(_NOTE, values)
    return made


async def _fault_of(
    size: int, root: bytes, statement: bytes, signature: bytes, sealed: bytes | None, roots: bytes
) -> str:
    said = loads_object(statement)
    if sealed is None or bytes(sealed) != root or said.get("root") != root.hex() or said.get("size") != size:
        return f"root {size}"
    return "" if (await verify_entry(statement, signature, roots)).ok else f"signature {size}"


async def audit_checks(repo: Repository, limit: int = 10) -> list[AuditCheck]:
    """Past checks, the newest first."""
    async with repo.transaction() as tx:
        return [AuditCheck(*row) for row in await tx.all(_CHECKS, (tx.ctx.tenant, limit))]


async def last_audit_head(repo: Repository) -> SignedHead | None:
    """The newest signed head."""
    async with repo.transaction() as tx:
        row = await tx.one(_LAST_HEAD, (tx.ctx.tenant,))
    return None if row is None else SignedHead(int(row[0]), row[1])
