"""The store of one installation: opened once per process, closed at the end."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal
from uuid import UUID

import psycopg
from psycopg_pool import AsyncConnectionPool

from benhan.base.clock import SYSTEM_CLOCK, Clock
from benhan.base.errors import Conflict
from benhan.base.ids import new_uuid
from benhan.base.settings import Settings
from benhan.store import server
from benhan.store.audit import AuditWriter
from benhan.store.blobs import Blobs
from benhan.store.drafts import Drafts
from benhan.store.feed import read_feed
from benhan.store.health import look
from benhan.store.keys import FileKeyWrapper, KeyRing, KeyWrapper
from benhan.store.lookup import Lookup
from benhan.store.model import Actor, Ctx, FeedCursor, FeedPage, Policy, SystemPolicy, TenantInfo, WriteGuard
from benhan.store.reindexing import reindex
from benhan.store.repository import Repository
from benhan.store.seal import SealReport, seal_audit, verify_audit
from benhan.store.server import Database
from benhan.store.transaction import Statement, Transaction, begin

SYSTEM = Actor("Device/benhan", "Bệnh Án", "system")
_RID_BLOCK = 1000
_CODES_S = 2.0  # how long a facility's code is remembered
_TENANTS = "select id, kind, code, name from tenant order by code"
_BY_CODE = (
    "select t.id, t.kind, t.code, t.name from tenant t where t.code = %(code)s or exists (select from tenant_code h "
    "where h.tenant = t.id and h.code = %(code)s) order by (t.code = %(code)s) desc limit 1"
)


class Store:
    """Opened once per process. ``blobs`` and ``drafts`` are beside the log; ``database`` says how to reach it."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        guards: Sequence[WriteGuard],
        database: Database,
        pool: AsyncConnectionPool[Any],
        wrapper: KeyWrapper,
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.guards = tuple(guards)
        self.database = database
        self.pool = pool
        self.keys = KeyRing(wrapper)
        self.audit = AuditWriter(pool)
        self.lookup = Lookup(self)
        self.blobs = Blobs.open(settings, wrapper)
        self.drafts = Drafts(settings.draft_days)
        self._rids: list[int] = []
        self._codes: dict[str, tuple[float, TenantInfo]] = {}
        self._renamed = 0.0
        self._closed = False

    @classmethod
    async def open(
        cls,
        settings: Settings,
        *,
        clock: Clock = SYSTEM_CLOCK,
        guards: Sequence[WriteGuard] = (),
        wrapper: KeyWrapper | None = None,
    ) -> Store:
        """Make the database ready (server, roles, migrations, assertions) and open the pool.

        Raises: ``ConfigurationError``.
        """
        database = await server.prepare(settings)
        try:
            pool = AsyncConnectionPool(
                database.logins["app"],
                min_size=min(2, settings.pool_size),
                max_size=settings.pool_size,
                kwargs={"autocommit": True, "application_name": "benhan", "prepare_threshold": 2},
                open=False,
                name=f"benhan-{database.name}",
            )
            await pool.open()
            key = wrapper or FileKeyWrapper(settings.secrets_dir / "master.key")
            return cls(settings, clock, guards, database, pool, key)
        except BaseException:
            await server.release(database)
            raise

    async def close(self) -> None:
        """Finish what is under way and let go of the server."""
        if self._closed:
            return
        self._closed = True
        await self.lookup.close()
        await self.audit.close()
        await self.pool.close()
        await server.release(self.database)

    def guard_with(self, guard: WriteGuard) -> None:
        """Add a guard, once: a room that serves a type brings its rule with it."""
        if guard not in self.guards:
            self.guards = (*self.guards, guard)

    def repo(self, ctx: Ctx, policy: Policy) -> Repository:
        """A repository for one caller."""
        return Repository(self, ctx, policy)

    def system_repo(self, tenant: UUID, purpose: str = "SYSADMIN") -> Repository:
        """A repository for work of the store itself and of workers."""
        return Repository(self, Ctx(tenant=tenant, actor=SYSTEM, purpose=purpose), SystemPolicy())

    @asynccontextmanager
    async def begin(
        self, ctx: Ctx, *, reads_only: bool = False, first: Sequence[Statement] = ()
    ) -> AsyncIterator[Transaction]:
        """A transaction for ``ctx``; use ``Repository.transaction`` instead."""
        async with begin(self.pool, ctx, self.clock, self.audit, reads_only=reads_only, first=first) as tx:
            yield tx

    async def create_tenant(self, kind: Literal["facility", "hub"], code: str, name: str) -> UUID:
        """Add a facility or hub with its key. Raises: ``Conflict`` (store.tenant-exists)."""
        tenant = new_uuid(clock=self.clock)
        now = self.clock.now()
        try:
            async with self.begin(Ctx(tenant, SYSTEM)) as tx:
                await tx.connection.execute(
                    "insert into tenant (id, kind, code, name, created_at) values (%s, %s, %s, %s, %s)",
                    (tenant, kind, code, name, now),
                )
                await tx.connection.execute(
                    "insert into tenant_code (tenant, code, valid_from) values (%s, %s, %s)",
                    (tenant, code, now),
                )
                await self.keys.create_tenant_key(tx.connection, tenant, now)
        except Conflict:
            raise Conflict("store.tenant-exists", f"Đã có cơ sở mang mã {code}.") from None
        self._forget_codes()
        return tenant

    async def rename_tenant(self, tenant: UUID, code: str, name: str) -> None:
        """Give a tenant a new code and name; the old code stays known as its predecessor."""
        now = self.clock.now()
        async with self.begin(Ctx(tenant, SYSTEM)) as tx:
            await tx.connection.execute(
                "update tenant_code set valid_to = %s where tenant = %s and valid_to is null", (now, tenant)
            )
            await tx.connection.execute(
                "insert into tenant_code (tenant, code, valid_from) values (%s, %s, %s)", (tenant, code, now)
            )
            await tx.connection.execute(
                "update tenant set code = %s, name = %s where id = %s", (code, name, tenant)
            )
        self._forget_codes()

    async def tenant_by_code(self, code: str) -> TenantInfo | None:
        """The tenant with this code, now or in the past; what another process renames is seen ``_CODES_S`` later."""
        asked = time.monotonic()
        known = self._codes.get(code)
        if known is not None and asked < known[0]:
            return known[1]
        async with self.pool.connection() as connection:
            row = await (await connection.execute(_BY_CODE, {"code": code})).fetchone()
        if row is None or asked <= self._renamed:
            return None if row is None else TenantInfo(*row)
        found = TenantInfo(*row)
        self._codes[code] = (asked + _CODES_S, found)
        return found

    def _forget_codes(self) -> None:
        self._renamed = time.monotonic()
        self._codes.clear()

    async def tenants(self) -> list[TenantInfo]:
        """All tenants by code."""
        async with self.pool.connection() as connection:
            rows = await (await connection.execute(_TENANTS)).fetchall()
        return [TenantInfo(*row) for row in rows]

    async def read_feed(self, tenant: UUID, cursor: FeedCursor | None, limit: int = 100) -> FeedPage:
        """Versions after ``cursor`` (None: from the beginning) that can no longer be overtaken, in feed order."""
        return await read_feed(self, tenant, cursor, limit)

    async def seal_audit(self, tenant: UUID) -> int:
        """Bring the audit rows that are settled under the Merkle root; gives the number newly sealed."""
        return await seal_audit(self, tenant)

    async def verify_audit(self, tenant: UUID) -> SealReport:
        """Compute every root again from the rows; finds what was removed, changed or slipped in."""
        return await verify_audit(self, tenant)

    async def reindex(self, tenant: UUID) -> int:
        """Rebuild current rows and index rows from the log; gives the number of resources."""
        return await reindex(self, tenant)

    async def health(self) -> list[tuple[str, str, str]]:
        """Findings ``(ok | warn | fail, what, text)`` for ``doctor`` and the status page."""
        return await look(self)

    async def next_rid(self, connection: psycopg.AsyncConnection[Any]) -> int:
        """The next row number; blocks of 1000 are drawn from a sequence."""
        if not self._rids:
            row = await (await connection.execute("select nextval('resource_rid')")).fetchone()
            first = int(row[0]) if row else 0
            self._rids = list(range(first + _RID_BLOCK - 1, first - 1, -1))
        return self._rids.pop()
