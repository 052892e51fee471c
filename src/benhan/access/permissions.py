"""Who has signed in, and `require`: the one question before a person's act.

A permission is had through a role that is valid now, in the khoa in which that role is held; the duty
roster gives a role in further khoa for a shift only. A facility may narrow or widen a permission
(`permission_override`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from uuid import UUID

from benhan.access.policy import AccessPolicy
from benhan.access.roles import AccountKind, PermissionScope, permissions
from benhan.base.errors import NotAllowed
from benhan.store import Ctx

Pending = Literal["", "password", "totp"]
_PENDING_TEXT = {
    "password": "Hãy đổi mật khẩu trước khi làm việc.",
    "totp": "Hãy gắn mã xác thực (TOTP) trước khi làm việc.",
}


@dataclass(frozen=True, slots=True)
class HeldRole:
    """A role held: where (``khoa`` None = the whole facility), how, from when to when."""

    role: str
    khoa: str | None
    kind: str
    valid_from: datetime
    valid_to: datetime | None


@dataclass(frozen=True, slots=True)
class Account:
    """An account, without its secrets."""

    id: UUID
    username: str
    person: str
    display: str
    kind: AccountKind
    status: str
    must_change: bool
    totp_confirmed: bool
    signed_in_at: datetime | None


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A person at work: context, policy, account, roles valid now, CSRF token, PIN time, and what must come
    first.
    """

    ctx: Ctx
    policy: AccessPolicy
    account: Account
    roles: tuple[HeldRole, ...]
    csrf: str
    expires_at: datetime
    pin_until: datetime | None = None
    pending: Pending = ""
    overrides: Mapping[tuple[str, str], PermissionScope] = field(default_factory=dict)

    @property
    def khoa(self) -> tuple[str, ...]:
        """The khoa in which roles are held now, in order, without repeats."""
        return tuple(dict.fromkeys(r.khoa for r in self.roles if r.khoa is not None))

    def pin_open(self, now: datetime) -> bool:
        """True while the signing PIN entered earlier still serves."""
        return self.pin_until is not None and now < self.pin_until


def may(signed_in: SignedIn, permission: str, *, khoa: str | None = None) -> bool:
    """True when `require` would pass. Raises ``KeyError`` for a name that is not in the table."""
    table = permissions()[permission].roles
    if signed_in.pending:
        return False
    for held in signed_in.roles:
        scope = signed_in.overrides.get((permission, held.role), table.get(held.role, "none"))
        if scope == "facility":
            return True
        if scope == "khoa" and (held.khoa is None or khoa is None or held.khoa == khoa):
            return True
    return False


def sight_of(
    account: Account, held: Sequence[HeldRole], overrides: Mapping[tuple[str, str], PermissionScope]
) -> tuple[UUID | None, frozenset[str]]:
    """From whom sensitive rows are hidden (None: from nobody here), and the khoa whose patients are treated all the same.

    ``sensitive.read`` with scope facility, or held in the whole facility, clears; a patient sees the own record.
    """
    if account.kind == "patient":
        return None, frozenset()
    table, khoa = permissions()["sensitive.read"].roles, set[str]()
    for role in held:
        scope = overrides.get(("sensitive.read", role.role), table.get(role.role, "none"))
        if scope == "facility" or (scope == "khoa" and role.khoa is None):
            return None, frozenset()
        if scope == "khoa" and role.khoa is not None:
            khoa.add(role.khoa)
    return account.id, frozenset(khoa)


def require(signed_in: SignedIn, permission: str, *, khoa: str | None = None) -> None:
    """Pass or raise.

    ``khoa`` None asks "anywhere at all": callers that act on a stay must name its khoa.
    Raises: ``NotAllowed`` (access.must-change-password, access.must-enrol-totp, access.not-permitted);
    ``KeyError`` for a permission that is not in the table (a fault of the program).
    """
    if may(signed_in, permission, khoa=khoa):
        return
    if signed_in.pending:
        code = "access.must-change-password" if signed_in.pending == "password" else "access.must-enrol-totp"
        raise NotAllowed(code, _PENDING_TEXT[signed_in.pending])
    title = permissions()[permission].title
    raise NotAllowed(
        "access.not-permitted", f"Vai trò hiện tại không có quyền: {title}.", diagnostics=permission
    )
