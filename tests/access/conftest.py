"""People and a clock that stands still, on a real database."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import pytest

from benhan.access import SignedIn, new_totp_secret, onboard, session_ctx, sign_in, totp_code
from benhan.base.clock import FrozenClock
from benhan.store import Actor, Ctx, Repository, Store, SystemPolicy

PASSWORD = "Sông Trà Khúc 2026"


@pytest.fixture
def clock(store: Store) -> FrozenClock:
    """The store's clock, stopped."""
    frozen = FrozenClock(datetime(2026, 11, 22, 1, 0, tzinfo=UTC))
    store.clock = frozen
    return frozen


@dataclass(frozen=True)
class Member:
    """A person with an account in a tenant, and how to sign in."""

    account: UUID
    username: str
    code: str
    secret: str
    person: str


AddMember = Callable[..., Awaitable[Member]]
SignIn = Callable[[Member], Awaitable[SignedIn]]


def admin_repo(store: Store, tenant: UUID) -> Repository:
    """As an administrator of the installation."""
    return store.repo(Ctx(tenant, Actor("Device/test", "Kiểm thử", "system")), SystemPolicy())


async def code_of(store: Store, tenant: UUID) -> str:
    """Facility code of a tenant."""
    return next(t.code for t in await store.tenants() if t.id == tenant)


@pytest.fixture
def add_member(store: Store, clock: FrozenClock) -> AddMember:
    """Make a person: ``await add_member(tenant, "an", [("bac_si", "K01")])``."""

    async def add(tenant: UUID, username: str, held: list[tuple[str, str | None]], **more: object) -> Member:
        secret = new_totp_secret()
        made = await onboard(
            admin_repo(store, tenant),
            username,
            PASSWORD,
            username.title(),
            held,
            totp_secret=secret,
            must_change=False,
            **more,  # type: ignore[arg-type]
        )
        return Member(made.account.id, username, await code_of(store, tenant), secret, made.person)

    return add


@pytest.fixture
def enter(store: Store, clock: FrozenClock) -> SignIn:
    """Sign a member in with a fresh code."""

    async def go(member: Member) -> SignedIn:
        clock.move(seconds=30)
        token = await sign_in(
            store, member.code, member.username, PASSWORD, totp_code(member.secret, clock.now())
        )
        return await session_ctx(store, token.token)

    return go
