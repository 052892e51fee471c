"""Who stands at the FHIR door: a person by session cookie (writes with CSRF token) or a machine by bound
token.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.requests import Request

from benhan.access import COOKIE, CSRF_HEADER, SignedIn, certs, remembered_sessions, session_ctx, token_ctx
from benhan.base.errors import NotAllowed, NotAuthenticated, NotFound
from benhan.store import Ctx, Policy, Repository, Store

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Caller:
    """Context and policy under which a request runs."""

    ctx: Ctx
    policy: Policy


Authenticate = Callable[[Request], Awaitable[Caller]]


def client_thumbprint(request: Request) -> str | None:
    """``x5t#S256`` of the certificate shown on this connection; only our own TLS server puts one into the
    scope.
    """
    der = request.scope.get("extensions", {}).get("tls", {}).get("client_cert")
    return certs.thumbprint(der) if isinstance(der, bytes) and der else None


def authenticator(store: Store) -> Authenticate:
    """The usual `Authenticate`: ``Authorization: Bearer`` first, else the session cookie."""

    async def authenticate(request: Request) -> Caller:
        correlation_id = str(request.scope.get("state", {}).get("correlation_id", ""))
        given = request.headers.get("authorization")
        if given is not None:
            kind, _, bearer = given.partition(" ")
            if kind.lower() != "bearer" or not bearer:
                raise NotAuthenticated("access.bad-token", "Thẻ truy cập của máy kết nối không còn giá trị.")
            machine = await token_ctx(
                store, bearer.strip(), client_thumbprint(request), correlation_id=correlation_id
            )
            return Caller(machine.ctx, machine.policy)
        token = request.cookies.get(COOKIE)
        if token is None:
            raise NotAuthenticated("access.no-session", "Bạn chưa đăng nhập hoặc phiên đã hết.")
        if request.method in SAFE_METHODS:
            person = await _reader(store, token, correlation_id)
            return Caller(person.ctx, person.policy)
        person = await session_ctx(store, token, correlation_id=correlation_id)
        sent = request.headers.get(CSRF_HEADER, "")
        if not hmac.compare_digest(sent.encode(), person.csrf.encode()):
            raise NotAllowed("api.csrf", "Yêu cầu thiếu mã chống giả mạo. Hãy tải lại trang.")
        return Caller(person.ctx, person.policy)

    return authenticate


async def _reader(store: Store, token: str, correlation_id: str) -> SignedIn:
    """Who reads: asked anew, or known from a moment ago (:mod:`benhan.access.memory`)."""
    remembered, asked, now = remembered_sessions(store), time.monotonic(), store.clock.now()
    person = remembered.get(token, now, correlation_id)
    if person is None:
        person = await session_ctx(store, token, correlation_id=correlation_id)
        remembered.put(token, asked, now, person)
    return person


async def repository(store: Store, caller: Caller, facility: str) -> Repository:
    """The caller's repository, if ``facility`` in the address is the caller's own; else it looks absent.

    Raises: ``NotFound`` (api.no-such-facility).
    """
    info = await store.tenant_by_code(facility)
    if info is None or info.id != caller.ctx.tenant:
        raise NotFound("api.no-such-facility", "Không có cơ sở này.")
    return store.repo(caller.ctx, caller.policy)
