"""Accounts and the roles they hold: made, changed, ended; never deleted. Each act is in the audit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.errors import UniqueViolation

from benhan.access import totp
from benhan.access._rows import one, rows, run
from benhan.access.passwords import check_strength, hash_password, verify_password
from benhan.access.permissions import Account, HeldRole
from benhan.access.roles import AccountKind, PermissionScope, permissions, role_table
from benhan.access.seal import load_key, seal, unseal
from benhan.base.errors import Conflict, InvalidInput, NotAllowed, NotFound
from benhan.base.ids import new_uuid
from benhan.base.text import squeeze
from benhan.catalogue.systems import CCHN
from benhan.store import Repository

HISTORY = 10  # passwords that may not come back (TCVN 14423:2026 4.6, level 3)

_BY_ID = "select * from account where tenant = %s and id = %s"
_LIST = "select * from account where tenant = %s order by username"
_INSERT = (
    "insert into account (tenant, id, username, person, display, kind, "
    "password_hash, password_at, must_change, "
    "totp_sealed, totp_confirmed, created_at) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
)
_REMEMBER = (
    "insert into password_history (tenant, account, id, set_at, password_hash) values (%s, %s, %s, %s, %s)"
)
_HISTORY = (
    "select password_hash from password_history where tenant = %s and account = %s "
    "order by set_at desc, id desc limit %s"
)
_RENEW = (
    "update account set password_hash = %s, password_at = %s, must_change = %s where tenant = %s and id = %s"
)
_END_SESSIONS = "update session set ended_at = %s where tenant = %s and account = %s and ended_at is null"
_ROLES_NOW = (
    "select id, role, khoa, kind, valid_from, valid_to from role_assignment where "
    "tenant = %s and account = %s "
    "and valid_from <= %s and (valid_to is null or valid_to > %s) order by kind desc, valid_from, role, khoa, id"
)


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A TOTP seed to be entered in an app: shown once."""

    secret: str
    uri: str
    qr_svg: str


def account_of(row: dict[str, Any]) -> Account:
    """The account of a database row, without secrets."""
    return Account(
        id=row["id"],
        username=row["username"],
        person=row["person"],
        display=row["display"],
        kind=row["kind"],
        status=row["status"],
        must_change=row["must_change"],
        totp_confirmed=row["totp_confirmed"],
        signed_in_at=row["signed_in_at"],
    )


def username_of(text: str) -> str:
    """One form of a user name: lower case, no spaces."""
    return squeeze(text).casefold().replace(" ", "")


async def create_account(
    repo: Repository,
    username: str,
    password: str,
    person: str,
    display: str,
    *,
    kind: AccountKind = "staff",
    totp_secret: str | None = None,
    must_change: bool = True,
) -> Account:
    """A new account for ``person`` (``Practitioner/…`` or, kind patient, ``Patient/…``).

    ``totp_secret``: base32 seed already in the person's app; without it the first sign-in must enrol one.
    Raises: ``InvalidInput`` (access.bad-account, access.weak-password), ``Conflict`` (access.username-taken).
    """
    name = username_of(username)
    if not 2 <= len(name) <= 100 or not squeeze(display):
        raise InvalidInput(
            "access.bad-account", "Tên đăng nhập và họ tên không được trống.", expression="username"
        )
    if (kind == "patient") != person.startswith("Patient/"):
        raise InvalidInput("access.bad-account", "Loại tài khoản không khớp với người.", expression="person")
    if totp_secret is not None and not totp.is_seed(totp_secret):
        raise InvalidInput("access.bad-account", "Mã gốc xác thực không hợp lệ.", expression="totp_secret")
    check_strength(password, name, second_factor=True)
    encoded = await hash_password(password)
    account, now, tenant = new_uuid(clock=repo.clock), repo.clock.now(), repo.ctx.tenant
    sealed = None
    if totp_secret is not None:
        sealed = seal(load_key(repo.store.settings.secrets_dir), totp_secret.encode(), account.bytes)
    values = (
        tenant,
        account,
        name,
        person,
        squeeze(display),
        kind,
        encoded,
        now,
        must_change,
        sealed,
        sealed is not None,
        now,
    )
    async with repo.transaction() as tx:
        try:
            await run(tx, _INSERT, values)
        except UniqueViolation:
            raise Conflict("access.username-taken", "Tên đăng nhập này đã có.") from None
        await run(tx, _REMEMBER, (tenant, account, new_uuid(clock=repo.clock), now, encoded))
        await tx.audit(
            "account-create", entity=person, patient=None, detail={"account": str(account), "kind": kind}
        )
        return await read_account(tx, account)


async def read_account(repo: Repository, account: UUID) -> Account:
    """One account. Raises: ``NotFound`` (access.no-such-account)."""
    async with repo.transaction() as tx:
        row = await one(tx, _BY_ID, (repo.ctx.tenant, account))
    if row is None:
        raise NotFound("access.no-such-account", "Không có tài khoản này.")
    return account_of(row)


async def list_accounts(repo: Repository) -> list[Account]:
    """All accounts of the tenant by user name."""
    async with repo.transaction() as tx:
        return [account_of(r) for r in await rows(tx, _LIST, (repo.ctx.tenant,))]


async def disable_account(repo: Repository, account: UUID, reason: str) -> None:
    """Disable an account and end its sessions."""
    async with repo.transaction() as tx:
        await run(
            tx,
            "update account set status = 'disabled' where tenant = %s and id = %s",
            (repo.ctx.tenant, account),
        )
        await run(tx, _END_SESSIONS, (repo.clock.now(), repo.ctx.tenant, account))
        await tx.audit(
            "account-disable", entity=None, patient=None, detail={"account": str(account), "reason": reason}
        )


async def disable_idle_accounts(repo: Repository, days: int = 45) -> int:
    """Disable staff accounts not used for ``days`` days (TCVN 14423:2026 4.6); number disabled."""
    async with repo.transaction() as tx:
        found = await rows(
            tx,
            "update account set status = 'disabled' where tenant = %s and status = 'active' "
            "and kind <> 'patient' "
            "and coalesce(signed_in_at, created_at) < %s - make_interval(days => %s) returning id",
            (repo.ctx.tenant, repo.clock.now(), days),
        )
        for row in found:
            await tx.audit(
                "account-disable",
                entity=None,
                patient=None,
                detail={"account": str(row["id"]), "reason": "idle"},
            )
    return len(found)


async def change_password(repo: Repository, account: UUID, old: str, new: str) -> None:
    """Change one's own password; every session of the account ends.

    Raises: ``NotAllowed`` (access.bad-password), ``InvalidInput`` (access.weak-password,
    access.password-used).
    """
    tenant = repo.ctx.tenant
    async with repo.transaction() as tx:
        row = await one(tx, _BY_ID, (tenant, account))
        earlier = [r["password_hash"] for r in await rows(tx, _HISTORY, (tenant, account, HISTORY))]
    if row is None or not await verify_password(row["password_hash"], old):
        raise NotAllowed("access.bad-password", "Mật khẩu hiện tại không đúng.")
    check_strength(new, row["username"], second_factor=True)
    for encoded in earlier:
        if await verify_password(encoded, new):
            raise InvalidInput(
                "access.password-used",
                f"Mật khẩu này đã dùng trong {HISTORY} lần gần nhất.",
                expression="password",
            )
    await _set_password(repo, account, new, must_change=False, action="password-change")


async def reset_password(repo: Repository, account: UUID, new: str) -> None:
    """Set a temporary password (by an administrator): it must be changed at the next sign-in."""
    row = await read_account(repo, account)
    check_strength(new, row.username, second_factor=True)
    await _set_password(repo, account, new, must_change=True, action="password-reset")


async def _set_password(repo: Repository, account: UUID, new: str, *, must_change: bool, action: str) -> None:
    encoded, now = await hash_password(new), repo.clock.now()
    async with repo.transaction() as tx:
        await run(tx, _RENEW, (encoded, now, must_change, repo.ctx.tenant, account))
        await run(tx, _REMEMBER, (repo.ctx.tenant, account, new_uuid(clock=repo.clock), now, encoded))
        await run(tx, _END_SESSIONS, (now, repo.ctx.tenant, account))
        await tx.audit(action, entity=None, patient=None, detail={"account": str(account)})


async def begin_totp(repo: Repository, account: UUID, issuer: str = "Bệnh Án") -> Enrolment:
    """Draw a new TOTP seed; it counts only after `confirm_totp`.

    Raises: ``Conflict`` (access.totp-enrolled) when one is already confirmed (an administrator must clear
    it).
    """
    found = await read_account(repo, account)
    if found.totp_confirmed:
        raise Conflict("access.totp-enrolled", "Tài khoản đã gắn mã xác thực.")
    secret = totp.new_secret()
    sealed = seal(load_key(repo.store.settings.secrets_dir), secret.encode(), account.bytes)
    async with repo.transaction() as tx:
        await run(
            tx,
            "update account set totp_sealed = %s where tenant = %s and id = %s and not totp_confirmed",
            (sealed, repo.ctx.tenant, account),
        )
    address = totp.uri(secret, found.username, issuer)
    return Enrolment(secret, address, totp.qr_svg(address))


async def confirm_totp(repo: Repository, account: UUID, code: str) -> None:
    """Confirm the new seed with a code from the app. Raises: ``NotAllowed`` (access.bad-totp)."""
    async with repo.transaction() as tx:
        if await use_totp(tx, account, code) is False:
            raise NotAllowed("access.bad-totp", "Mã xác thực không đúng. Hãy xem lại giờ trên điện thoại.")
        await run(
            tx,
            "update account set totp_confirmed = true where tenant = %s and id = %s",
            (repo.ctx.tenant, account),
        )
        await tx.audit("totp-enrol", entity=None, patient=None, detail={"account": str(account)})


async def clear_totp(repo: Repository, account: UUID, reason: str) -> None:
    """Forget the seed (phone lost): the next sign-in must enrol again; sessions end."""
    async with repo.transaction() as tx:
        await run(
            tx,
            "update account set totp_sealed = null, totp_confirmed = false where tenant = %s and id = %s",
            (repo.ctx.tenant, account),
        )
        await run(tx, _END_SESSIONS, (repo.clock.now(), repo.ctx.tenant, account))
        await tx.audit(
            "totp-clear", entity=None, patient=None, detail={"account": str(account), "reason": reason}
        )


async def use_totp(tx: Repository, account: UUID, code: str) -> bool:
    """Use up a code; False when it is wrong, too old, or used. The row is locked: of two equal tries one
    passes.
    """
    row = await one(
        tx,
        "select totp_sealed, totp_last_step from account where tenant = %s and id = %s for update",
        (tx.ctx.tenant, account),
    )
    if row is None or row["totp_sealed"] is None:
        return False
    secret = unseal(
        load_key(tx.store.settings.secrets_dir), bytes(row["totp_sealed"]), account.bytes
    ).decode()
    step = totp.matching_step(secret, code, tx.clock.now(), row["totp_last_step"])
    if step is None:
        return False
    await run(
        tx,
        "update account set totp_last_step = %s where tenant = %s and id = %s",
        (step, tx.ctx.tenant, account),
    )
    return True


async def assign_role(
    repo: Repository,
    account: UUID,
    role: str,
    *,
    khoa: str | None = None,
    valid_from: datetime | None = None,
    valid_to: datetime | None = None,
    duty: bool = False,
    delegated: bool = False,
    reason: str = "",
) -> UUID:
    """Give a role, in a khoa or (None) the whole facility, from now or ``valid_from`` until ``valid_to``.

    ``duty``: a shift of the roster; ``delegated``: signing for a leader; both need an end. Nobody gives
    roles to the own account, and an account's type limits its roles (administrators have no clinical
    view).
    Raises: ``InvalidInput`` (access.bad-role), ``NotAllowed`` (access.own-role), ``NotFound``.
    """
    known = role_table().get(role)
    if known is None:
        raise InvalidInput("access.bad-role", f"Không có vai trò {role}.", expression="role")
    if repo.ctx.actor.account_id == account:
        raise NotAllowed("access.own-role", "Không được tự phân vai trò cho mình.")
    start = valid_from or repo.clock.now()
    if ((duty or delegated) and valid_to is None) or (valid_to is not None and valid_to <= start):
        raise InvalidInput("access.bad-role", "Thời hạn của vai trò không hợp lệ.", expression="valid_to")
    assignment = new_uuid(clock=repo.clock)
    kind = "duty" if duty else "delegated" if delegated else "standing"
    async with repo.transaction() as tx:
        found = await read_account(tx, account)
        if found.kind != known.kind:
            raise InvalidInput(
                "access.bad-role",
                f"Tài khoản loại này không giữ được vai trò {known.title}.",
                expression="role",
            )
        await run(
            tx,
            "insert into role_assignment (tenant, account, id, role, khoa, kind, valid_from, "
            "valid_to, granted_by, "
            "reason) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            (
                repo.ctx.tenant,
                account,
                assignment,
                role,
                khoa,
                kind,
                start,
                valid_to,
                repo.ctx.actor.reference,
                reason,
            ),
        )
        await tx.audit(
            "role-assign",
            entity=found.person,
            patient=None,
            detail={"account": str(account), "role": role, "khoa": khoa, "kind": kind},
        )
    return assignment


async def end_role(repo: Repository, account: UUID, assignment: UUID) -> None:
    """End an assignment now; one that has not begun never begins (its period becomes empty in effect)."""
    now = repo.clock.now()
    async with repo.transaction() as tx:
        await run(
            tx,
            "update role_assignment set valid_to = greatest(%s, valid_from + interval '1 microsecond') "
            "where tenant = %s and account = %s and id = %s and (valid_to is null or valid_to > %s)",
            (now, repo.ctx.tenant, account, assignment, now),
        )
        await tx.audit(
            "role-end", entity=None, patient=None, detail={"account": str(account), "id": str(assignment)}
        )


async def roles_held(repo: Repository, account: UUID, at: datetime | None = None) -> tuple[HeldRole, ...]:
    """Roles valid at an instant (now), standing ones first."""
    when = at or repo.clock.now()
    async with repo.transaction() as tx:
        found = await rows(tx, _ROLES_NOW, (repo.ctx.tenant, account, when, when))
    return tuple(HeldRole(r["role"], r["khoa"], r["kind"], r["valid_from"], r["valid_to"]) for r in found)


async def override_permission(
    repo: Repository, permission: str, role: str, scope: PermissionScope, reason: str
) -> None:
    """Narrow or widen a permission of a role in this facility; kept with its reason.

    Raises: ``InvalidInput`` (access.bad-permission).
    """
    if permission not in permissions() or role not in role_table() or len(reason.strip()) < 5:
        raise InvalidInput("access.bad-permission", "Quyền, vai trò hoặc lý do không hợp lệ.")
    async with repo.transaction() as tx:
        await run(
            tx,
            "insert into permission_override (tenant, permission, role, scope, reason, set_by, set_at) "
            "values (%s, %s, %s, %s, %s, %s, %s) on conflict (tenant, permission, role) do update set "
            "scope = excluded.scope, reason = excluded.reason, set_by = excluded.set_by, "
            "set_at = excluded.set_at",
            (repo.ctx.tenant, permission, role, scope, reason, repo.ctx.actor.reference, repo.clock.now()),
        )
        await tx.audit(
            "permission-override",
            entity=None,
            patient=None,
            detail={"permission": permission, "role": role, "scope": scope, "reason": reason},
        )


async def overrides_of(repo: Repository) -> dict[tuple[str, str], PermissionScope]:
    """(permission, role) → scope as this facility has changed it."""
    async with repo.transaction() as tx:
        found = await rows(
            tx,
            "select permission, role, scope from permission_override where tenant = %s",
            (repo.ctx.tenant,),
        )
    return {(r["permission"], r["role"]): r["scope"] for r in found}


@dataclass(frozen=True, slots=True)
class Onboarded:
    """A person who can start work: account, ``Practitioner`` reference, and the seed for the authenticator
    app.
    """

    account: Account
    person: str
    totp_secret: str
    otpauth_uri: str


async def onboard(
    repo: Repository,
    username: str,
    password: str,
    display: str,
    held: Sequence[tuple[str, str | None]],
    *,
    licence: str | None = None,
    person: str | None = None,
    totp_secret: str | None = None,
    must_change: bool = True,
) -> Onboarded:
    """Practitioner, account, TOTP seed and roles in one transaction; ``held`` = ``(role, khoa or None)``
    pairs.

    ``licence``: number of the practising licence; ``person``: an existing reference instead of a new
    Practitioner. All roles must be of one account type, which becomes the account's.
    Raises: ``InvalidInput`` (access.bad-role, access.bad-account, access.weak-password), ``Conflict``.
    """
    kinds = {role_table()[role].kind for role, _ in held if role in role_table()}
    if len(kinds) != 1 or any(role not in role_table() for role, _ in held):
        raise InvalidInput(
            "access.bad-role", "Vai trò không có, hoặc thuộc hai loại tài khoản khác nhau.", expression="role"
        )
    secret = totp_secret or totp.new_secret()
    async with repo.transaction() as tx:
        if person is None:
            practitioner: dict[str, Any] = {
                "resourceType": "Practitioner",
                "active": True,
                "name": [{"text": display}],
            }
            if licence:
                practitioner["identifier"] = [{"system": CCHN, "value": licence}]
            person = f"Practitioner/{(await tx.create(practitioner)).id}"
        account = await create_account(
            tx,
            username,
            password,
            person,
            display,
            kind=kinds.pop(),
            totp_secret=secret,
            must_change=must_change,
        )
        for role, khoa in held:
            await assign_role(tx, account.id, role, khoa=khoa)
    return Onboarded(account, person, secret, totp.uri(secret, account.username, "Bệnh Án"))
