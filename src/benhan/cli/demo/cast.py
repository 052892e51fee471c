"""Invented staff of the demo province and how they sign in and sign. Passwords and seeds are printed: practice only."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

import pyotp

from benhan.access import SignedIn, assign_role, create_account, require, session_ctx, sign_in
from benhan.base.clock import SYSTEM_CLOCK
from benhan.base.json_door import JsonObject
from benhan.catalogue import systems
from benhan.cli.common import operator_repo
from benhan.records import SignWith, Staff
from benhan.signing import KeyStore
from benhan.store import Repository, Store, TenantInfo

PASSWORD = "Benh-an-tap-huan-2026"  # noqa: S105 - practice accounts only, printed by the demo
PIN = "246810"


@dataclass(frozen=True, slots=True)
class Role:
    """One invented member of staff."""

    username: str
    name: str
    roles: tuple[tuple[str, str | None], ...]
    licence: str | None = None
    signs: bool = False


CAST_A = (
    Role("tiepdon", "Võ Thị Mẫu", (("tiep_don", None), ("thu_ngan", None))),
    Role("bacsi", "Nguyễn Văn Thử", (("bac_si", "K04"), ("bac_si", "K05")), "000001/QNG-CCHN", True),
    Role(
        "dieuduong", "Đinh Thị Ví Dụ", (("dieu_duong", "K04"), ("dieu_duong", "K05")), "000002/QNG-CCHN", True
    ),
    Role("kythuat", "Hồ Văn Mẫu", (("ky_thuat_vien", None),), "000003/QNG-CCHN", True),
    Role(
        "truongkhoa",
        "Phạm Thị Thử",
        (("truong_khoa", "K04"), ("truong_khoa", "K05")),
        "000004/QNG-CCHN",
        True,
    ),
    Role("lanhdao", "Trần Văn Ví Dụ", (("lanh_dao", None),), "000005/QNG-CCHN", True),
    Role("khth", "Lê Thị Mẫu", (("phong_khth", None),)),
    Role("cntt", "Y Thử", (("cntt", None),)),
)
CAST_B = (
    Role("bacsi", "Bùi Thị Ví Dụ", (("bac_si", None),), "000011/QNG-CCHN", True),
    Role("tiepdon", "A Mẫu", (("tiep_don", None),)),
)
CAST_HUB = (Role("soyte", "Huỳnh Văn Mẫu", (("so_y_te", None),)),)


def totp_seed(facility: str, username: str) -> str:
    """The TOTP seed of a practice account: fixed by its name, so that it can be printed again."""
    digest = hashlib.sha256(f"benhan-demo|{facility}|{username}".encode()).digest()
    return "".join("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[b & 31] for b in digest)


@dataclass(slots=True)
class Player:
    """A signed-in member of staff with a repository, rights and a way to sign."""

    role: Role
    staff: Staff
    signed_in: SignedIn
    repo: Repository
    facility: TenantInfo
    _signer: object = field(default=None)

    @property
    def authorize(self) -> Callable[[str, str | None], None]:
        """Asks the permission table for this person."""
        return lambda permission, khoa: require(self.signed_in, permission, khoa=khoa)

    async def signing(self, form_role: str, tsa: object) -> SignWith:
        """How this person signs in a role of a form."""
        if self._signer is None:
            keys = KeyStore(operator_repo(self.repo.store, self.facility.id))
            self._signer = await keys.signer_for(self.staff.reference, PIN)
        return SignWith(self._signer, self.staff, form_role, tsa)


async def enrol(store: Store, facility: TenantInfo, cast: tuple[Role, ...]) -> None:
    """Create practitioners, accounts, roles and signing keys of a cast."""
    repo = operator_repo(store, facility.id)
    keys = KeyStore(repo)
    for role in cast:
        found = await repo.create(
            _practitioner(role), if_none_exist=f"identifier=urn:benhan:demo|{facility.code}.{role.username}"
        )
        reference = f"Practitioner/{found.id}"
        account = await create_account(
            repo,
            role.username,
            PASSWORD,
            reference,
            role.name,
            kind="admin" if role.username == "cntt" else "external" if role.username == "soyte" else "staff",
            totp_secret=totp_seed(facility.code, role.username),
            must_change=False,
        )
        for code, khoa in role.roles:
            await assign_role(repo, account.id, code, khoa=khoa)
        if role.signs:
            await keys.enrol(reference, role.name, role.licence or "", PIN)


def _practitioner(role: Role) -> JsonObject:
    identifiers = [{"system": "urn:benhan:demo", "value": role.username}]
    if role.licence:
        identifiers.append({"system": systems.CCHN, "value": role.licence})
    words = role.name.split()
    return {
        "resourceType": "Practitioner",
        "identifier": identifiers,
        "active": True,
        "name": [{"text": role.name, "family": words[0], "given": words[1:]}],
    }


async def enter(store: Store, facility: TenantInfo, role: Role) -> Player:
    """Sign in by password and TOTP, as at the keyboard."""
    code = pyotp.TOTP(totp_seed(facility.code, role.username)).at(SYSTEM_CLOCK.now())
    token = await sign_in(store, facility.code, role.username, PASSWORD, code)
    signed_in = await session_ctx(store, token.token)
    repo = store.repo(signed_in.ctx, signed_in.policy)
    khoa = next((k for _, k in role.roles if k), None)
    staff = Staff(signed_in.ctx.actor.reference, role.name, role.licence, khoa)
    return Player(role, staff, signed_in, repo, facility)
