"""The store of one installation. (Bodies follow within minutes; the face is final.)"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal
from uuid import UUID

from benhan.base.clock import SYSTEM_CLOCK, Clock
from benhan.base.settings import Settings
from benhan.store.blobs import Blobs
from benhan.store.drafts import Drafts
from benhan.store.model import Ctx, FeedCursor, FeedPage, Policy, TenantInfo, WriteGuard
from benhan.store.repository import Repository


class Store:
    """Opened once per process."""

    settings: Settings
    clock: Clock
    blobs: Blobs
    drafts: Drafts

    @classmethod
    async def open(cls, settings: Settings, *, clock: Clock = SYSTEM_CLOCK, guards: Sequence[WriteGuard] = ()) -> Store: ...
    async def close(self) -> None: ...
    def repo(self, ctx: Ctx, policy: Policy) -> Repository: ...
    async def create_tenant(self, kind: Literal["facility", "hub"], code: str, name: str) -> UUID: ...
    async def tenant_by_code(self, code: str) -> TenantInfo | None: ...
    async def tenants(self) -> list[TenantInfo]: ...
    async def read_feed(self, tenant: UUID, cursor: FeedCursor | None, limit: int) -> FeedPage: ...
    async def health(self) -> list[tuple[str, str, str]]: ...
    async def reindex(self, tenant: UUID) -> int: ...
