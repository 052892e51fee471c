"""Sign-in and sessions of people. Source: ASVS 5.0 V6, V7; TCVN 14423:2026 4.6 (second factor, lock-out, idle
time).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID

from benhan.access._rows import door, one, rows, run, sha256
from benhan.access.accounts import account_of, overrides_of, roles_held, use_totp, username_of
from benhan.access.passwords import verify_password
from benhan.access.permissions import Account, Pending, SignedIn, sight_of
from benhan.access.policy import AccessPolicy
from benhan.base.errors import NotAuthenticated, TooMany
from benhan.store import Actor, Ctx, Repository, Store

FREE_TRIES = 5
FIRST_LOCK_S = 60
LONGEST_LOCK_S = 3600
FORGET_TRIES_AFTER = timedelta(days=1)

_COUNT_TRY = (
    "insert into sign_in_attempt as a (tenant, name_sha256, failed, last_at) values (%s, %s, 1, %s) "
    "on conflict (tenant, name_sha256) do update set failed = case when a.last_at < "
    "%s then 1 else a.failed + 1 end, "
    "last_at = excluded.last_at where a.locked_until is null or a.locked_until <= excluded.last_at "
    "returning failed"
)
_LOCK = "update sign_in_attempt set locked_until = %s where tenant = %s and name_sha256 = %s"
_FORGIVE = "delete from sign_in_attempt where tenant = %s and name_sha256 = %s"
_FORGET_OLD = "delete from sign_in_attempt where tenant = %s and last_at < %s"
_BY_NAME = "select * from account where tenant = %s and username = %s"
_OPEN = (
    "insert into session (tenant, token_sha256, account, created_at, seen_at, expires_at) "
    "values (%s, %s, %s, %s, %s, %s)"
)
_LIVE = (
    "select a.*, s.seen_at, s.expires_at, s.pin_until from session s join account a "
    "on a.tenant = s.tenant and a.id = s.account "
    "where s.tenant = %s and s.token_sha256 = %s and s.ended_at is null and "
    "s.expires_at > %s and s.seen_at > %s "
    "and a.status = 'active'"
)
_SEEN = "update session set seen_at = %s where tenant = %s and token_sha256 = %s and seen_at < %s"
_END = "update session set ended_at = %s where tenant = %s and token_sha256 = %s and ended_at is null"
_PIN = "update session set pin_until = %s where tenant = %s and token_sha256 = %s and ended_at is null"


@dataclass(frozen=True, slots=True)
class SessionToken:
    """What the browser keeps (cookie ``benhan_session``) and until when; ``pending`` as in `SignedIn`."""

    token: str = field(repr=False)
    expires_at: datetime
    csrf: str = field(repr=False)
    pending: Pending = ""


def csrf_of(token: str) -> str:
    """CSRF token of a session: derived, so it needs no storing and cannot be guessed without the session
    token.
    """
    digest = hmac.new(token.encode(), b"benhan.csrf", hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest[:24]).decode()


def _tenant_of(token: str) -> UUID:
    head, dot, tail = token.partition(".")
    try:
        if not dot or not 40 <= len(tail) <= 64 or len(head) != 32:
            raise ValueError
        return UUID(hex=head)
    except ValueError:
        raise NotAuthenticated("access.no-session", "Bạn chưa đăng nhập hoặc phiên đã hết.") from None


async def sign_in(
    store: Store, tenant_code: str, username: str, password: str, totp: str, *, correlation_id: str = ""
) -> SessionToken:
    """Sign in with password and one-time code; a new session of random 256 bits, kept hashed.

    A wrong name, password or code looks and lasts the same. After 5 failures for a name (real or not) it
    is locked for a minute, doubling to an hour. Without an enrolled code, or with a temporary password,
    the session is `pending` and admits only that change.
    Raises: ``NotAuthenticated`` (access.bad-credentials), ``TooMany`` (access.locked).
    """
    info = await store.tenant_by_code(tenant_code.strip())
    if info is None:
        await verify_password(None, password)
        raise _bad_credentials()
    repo = door(store, info.id, correlation_id)
    name = username_of(username)[:200]
    await _count_try(repo, name)
    async with repo.transaction() as tx:
        row = await one(tx, _BY_NAME, (info.id, name))
    right = await verify_password(row["password_hash"] if row else None, password)
    account = account_of(row) if row is not None and right and row["status"] == "active" else None
    async with repo.transaction() as tx:
        if account is not None and account.totp_confirmed and not await use_totp(tx, account.id, totp):
            account = None
        if account is not None:
            return await _open_session(tx, account, name)
        await tx.audit(
            "sign-in", entity=None, patient=None, outcome="4", detail={"reason": "bad-credentials"}
        )
    raise _bad_credentials()


def _bad_credentials() -> NotAuthenticated:
    return NotAuthenticated(
        "access.bad-credentials",
        "Tên đăng nhập, mật khẩu hoặc mã xác thực không đúng. Sau 5 lần sai, tài khoản tạm khóa.",
    )


async def _count_try(repo: Repository, name: str) -> None:
    """Count a try before it is checked, so that parallel guesses count too; refuse while locked."""
    now, tenant, key = repo.clock.now(), repo.ctx.tenant, sha256(name)
    async with repo.transaction() as tx:
        row = await one(tx, _COUNT_TRY, (tenant, key, now, now - FORGET_TRIES_AFTER))
        if row is not None and row["failed"] >= FREE_TRIES:
            wait = min(FIRST_LOCK_S * 2 ** min(row["failed"] - FREE_TRIES, 10), LONGEST_LOCK_S)
            await run(tx, _LOCK, (now + timedelta(seconds=wait), tenant, key))
        if row is None:
            await tx.audit("sign-in", entity=None, patient=None, outcome="4", detail={"reason": "locked"})
    if row is None:
        raise TooMany("access.locked", "Sai quá nhiều lần: tạm khóa đăng nhập. Hãy đợi rồi thử lại.")


async def _open_session(tx: Repository, account: Account, name: str) -> SessionToken:
    now, tenant = tx.clock.now(), tx.ctx.tenant
    token = f"{tenant.hex}.{secrets.token_urlsafe(32)}"
    expires = now + timedelta(minutes=tx.store.settings.session_minutes)
    await run(tx, _FORGIVE, (tenant, sha256(name)))
    await run(tx, _FORGET_OLD, (tenant, now - FORGET_TRIES_AFTER))
    await run(tx, _OPEN, (tenant, sha256(token), account.id, now, now, expires))
    await run(
        tx, "update account set signed_in_at = %s where tenant = %s and id = %s", (now, tenant, account.id)
    )
    await tx.audit("sign-in", entity=account.person, patient=None, detail={"account": str(account.id)})
    return SessionToken(token, expires, csrf_of(token), _pending(account))


def _pending(account: Account) -> Pending:
    if not account.totp_confirmed:
        return "totp"
    return "password" if account.must_change else ""


async def session_ctx(
    store: Store, token: str, *, purpose: str = "TREAT", correlation_id: str = ""
) -> SignedIn:
    """Who this session is, with the roles of this very moment.

    Raises: ``NotAuthenticated`` (access.no-session) when unknown, ended, expired, idle too long, or disabled.
    """
    tenant = _tenant_of(token)
    repo = door(store, tenant, correlation_id)
    now = store.clock.now()
    idle = timedelta(minutes=store.settings.session_idle_minutes)
    async with repo.transaction() as tx:
        row = await one(tx, _LIVE, (tenant, sha256(token), now, now - idle))
        if row is None:
            raise NotAuthenticated("access.no-session", "Bạn chưa đăng nhập hoặc phiên đã hết.")
        account = account_of(row)
        held = await roles_held(tx, account.id, now)
        overrides = await overrides_of(tx)
        await rows(tx, _SEEN, (now, tenant, sha256(token), now - min(idle / 4, timedelta(seconds=60))))
    patient = account.person.removeprefix("Patient/") if account.kind == "patient" else None
    actor = Actor(reference=account.person, display=account.display, kind="person", account_id=account.id)
    codes = frozenset(h.role for h in held)
    pending = _pending(account)
    ctx = Ctx(tenant=tenant, actor=actor, roles=codes, purpose=purpose, correlation_id=correlation_id)
    sight, khoa = sight_of(account, held, overrides)
    return SignedIn(
        ctx=replace(ctx, sight=sight, khoa=khoa),
        policy=AccessPolicy.nothing() if pending else AccessPolicy.of_roles(codes, patient),
        account=account,
        roles=held,
        csrf=csrf_of(token),
        expires_at=row["expires_at"],
        pin_until=row["pin_until"],
        pending=pending,
        overrides=overrides,
    )


async def sign_out(store: Store, token: str) -> None:
    """End a session; ending an unknown one is no error."""
    try:
        tenant = _tenant_of(token)
    except NotAuthenticated:
        return
    repo = door(store, tenant)
    async with repo.transaction() as tx:
        if await run(tx, _END, (store.clock.now(), tenant, sha256(token))):
            await tx.audit("sign-out", entity=None, patient=None)


async def unlock_pin(store: Store, token: str) -> datetime:
    """Remember for ``settings.pin_minutes`` that the signing PIN was entered rightly (signing checks it);
    until when.

    Raises: ``NotAuthenticated`` (access.no-session).
    """
    tenant = _tenant_of(token)
    until = store.clock.now() + timedelta(minutes=store.settings.pin_minutes)
    repo = door(store, tenant)
    async with repo.transaction() as tx:
        if not await run(tx, _PIN, (until, tenant, sha256(token))):
            raise NotAuthenticated("access.no-session", "Bạn chưa đăng nhập hoặc phiên đã hết.")
    return until


async def lock_pin(store: Store, token: str) -> None:
    """Forget the PIN entry (leaving the desk)."""
    tenant = _tenant_of(token)
    async with door(store, tenant).transaction() as tx:
        await run(tx, _PIN, (None, tenant, sha256(token)))
