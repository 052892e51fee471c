"""The apps over a real store, with people of every role at two facilities."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from uuid import UUID

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from benhan.access import COOKIE, CSRF_HEADER, new_totp_secret, onboard, sign_in, totp_code
from benhan.api import create_app
from benhan.store import Actor, Ctx, Repository, Store, SystemPolicy

PASSWORD = "Sông Trà Khúc 2026"
Client = httpx.AsyncClient
Enter = Callable[..., Awaitable[Client]]


def admin_repo(store: Store, tenant: UUID) -> Repository:
    """As an administrator of the installation."""
    return store.repo(Ctx(tenant, Actor("Device/test", "Kiểm thử", "system")), SystemPolicy())


async def code_of(store: Store, tenant: UUID) -> str:
    """Facility code of a tenant."""
    return next(t.code for t in await store.tenants() if t.id == tenant)


@pytest.fixture
def app(store: Store) -> Starlette:
    """The FHIR door mounted as the pages mount it."""
    return Starlette(routes=[Mount("/fhir", create_app(store))])


@pytest.fixture
async def facility(store: Store, tenant: UUID) -> str:
    """Code of the facility of the tests."""
    return await code_of(store, tenant)


@pytest.fixture
async def enter(store: Store, app: Starlette) -> AsyncIterator[Enter]:
    """A client signed in with a role: ``await enter(tenant, "bac_si")``; without role: nobody."""
    opened: list[Client] = []
    number = iter(range(10_000))

    async def go(tenant: UUID | None = None, role: str | None = None, **more: object) -> Client:
        transport = httpx.ASGITransport(app=app)
        client = Client(transport=transport, base_url="http://node.test")
        opened.append(client)
        if tenant is not None and role is not None:
            secret, name = new_totp_secret(), f"{role}.{next(number)}"
            await onboard(
                admin_repo(store, tenant),
                name,
                PASSWORD,
                name,
                [(role, None)],
                totp_secret=secret,
                must_change=False,
                **more,  # type: ignore[arg-type]
            )
            code = totp_code(secret, store.clock.now())
            token = await sign_in(store, await code_of(store, tenant), name, PASSWORD, code)
            client.cookies.set(COOKIE, token.token)
            client.headers[CSRF_HEADER] = token.csrf
        return client

    yield go
    for client in opened:
        await client.aclose()


@pytest.fixture
async def doctor(enter: Enter, tenant: UUID) -> Client:
    """A doctor of the facility."""
    return await enter(tenant, "bac_si")
