"""Drafts: what is typed and not yet saved. Mutable, apart from the log, seen by their author only, expiring.

A patch per field; of two patches of a field the one with the higher client sequence stays, so late and repeated
deliveries do no harm. Values are sealed under the tenant's key.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from benhan.base.json_door import JsonValue, dumps, loads
from benhan.store.codec import seal, unseal

if TYPE_CHECKING:
    from benhan.store.repository import Repository

_PUT = (
    "insert into draft as d (tenant, author, form_key, field, value, client_at, seq, at, expires_at) "
    "values (%s, %s, %s, %s, %s, %s, %s, %s, %s) on conflict (tenant, author, form_key, field) do update set "
    "value = excluded.value, client_at = excluded.client_at, seq = excluded.seq, at = excluded.at, "
    "expires_at = excluded.expires_at where d.seq < excluded.seq"
)
_GET = (
    "select field, value, client_at, seq from draft where tenant = %s and author = %s and form_key = %s "
    "and expires_at > %s order by field"
)
_LIST = (
    "select form_key, max(at) from draft where tenant = %s and author = %s and expires_at > %s "
    "group by form_key order by 2 desc"
)
_DISCARD = "delete from draft where tenant = %s and author = %s and form_key = %s and (%s::bigint is null or seq <= %s)"
_EXPIRE = "delete from draft where tenant = %s and expires_at <= %s"


class Drafts:
    """Drafts of one installation; every call is for the author of ``repo.ctx``."""

    def __init__(self, days: int) -> None:
        self._life = timedelta(days=days)

    async def put(
        self, repo: Repository, form_key: str, field: str, value: JsonValue, client_at: datetime, seq: int
    ) -> bool:
        """Keep a field's value; False when a later one (higher ``seq``) is there already. Durable on return."""
        tenant, author, now = repo.ctx.tenant, repo.ctx.actor.reference, repo.clock.now()
        async with repo.transaction() as tx:
            key = await repo.store.keys.tenant_key(tx.open_connection, tenant)
            sealed = seal(key, dumps(value), _aad(tenant, author, form_key, field))
            values = (tenant, author, form_key, field, sealed, client_at, seq, now, now + self._life)
            cursor = await tx.open_connection.execute(_PUT, values)
        return cursor.rowcount == 1

    async def get(self, repo: Repository, form_key: str) -> dict[str, Any]:
        """Field → value of the author's draft of a form; empty when there is none."""
        tenant, author = repo.ctx.tenant, repo.ctx.actor.reference
        async with repo.transaction() as tx:
            values = (tenant, author, form_key, repo.clock.now())
            rows = await (await tx.open_connection.execute(_GET, values)).fetchall()
            if not rows:
                return {}
            key = await repo.store.keys.tenant_key(tx.open_connection, tenant)
        return {f: loads(unseal(key, bytes(v), _aad(tenant, author, form_key, f))) for f, v, _, _ in rows}

    async def last_seq(self, repo: Repository, form_key: str) -> int:
        """Highest client sequence in the author's draft of a form; 0 when there is none."""
        async with repo.transaction() as tx:
            values = (repo.ctx.tenant, repo.ctx.actor.reference, form_key, repo.clock.now())
            rows = await (await tx.open_connection.execute(_GET, values)).fetchall()
        return max((row[3] for row in rows), default=0)

    async def list(self, repo: Repository) -> dict[str, datetime]:
        """Form key → last change, of all drafts of the author, the newest first."""
        async with repo.transaction() as tx:
            values = (repo.ctx.tenant, repo.ctx.actor.reference, repo.clock.now())
            return dict(await (await tx.open_connection.execute(_LIST, values)).fetchall())

    async def discard(self, repo: Repository, form_key: str, up_to_seq: int | None = None) -> None:
        """Drop the author's draft of a form (patches later than ``up_to_seq`` stay)."""
        async with repo.transaction() as tx:
            values = (repo.ctx.tenant, repo.ctx.actor.reference, form_key, up_to_seq, up_to_seq)
            await tx.open_connection.execute(_DISCARD, values)

    async def expire(self, repo: Repository) -> int:
        """Delete the author's expired drafts; gives the number of fields."""
        async with repo.transaction() as tx:
            cursor = await tx.open_connection.execute(_EXPIRE, (repo.ctx.tenant, repo.clock.now()))
        return cursor.rowcount


def _aad(tenant: UUID, author: str, form_key: str, field: str) -> bytes:
    return "\x1f".join(["draft", str(tenant), author, form_key, field]).encode()
