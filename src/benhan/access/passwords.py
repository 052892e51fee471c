"""Passwords: argon2id, checked away from the event loop; length rules of TCVN 14423:2026 (reliability
reference A.9).
"""

from __future__ import annotations

import asyncio
import re
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError
from argon2.low_level import Type

from benhan.base.errors import InvalidInput
from benhan.base.text import fold, nfc

#: 19 MiB, two passes, one lane: the smallest setting OWASP names for argon2id; about 25 ms on a hospital PC.
_HASHER = PasswordHasher(
    time_cost=2, memory_cost=19_456, parallelism=1, hash_len=32, salt_len=16, type=Type.ID
)
MAX_BYTES = 256
MIN_WITH_SECOND_FACTOR = 8
MIN_ALONE = 14
_COMMON = frozenset(
    [
        "password",
        "12345678",
        "123456789",
        "1234567890",
        "matkhau",
        "matkhau123",
        "benhvien",
        "benhvien123",
        "benhan123",
        "bacsi123",
        "qwertyui",
        "11111111",
        "00000000",
        "abcd1234",
        "admin123",
        "iloveyou",
        "password1",
        "password123",
        "quangngai",
        "quangngai51",
    ]
)


def check_strength(password: str, username: str, *, second_factor: bool) -> None:
    """Raise `InvalidInput` (access.weak-password) with what is wrong with a new password."""
    least = MIN_WITH_SECOND_FACTOR if second_factor else MIN_ALONE
    if len(nfc(password)) < least:
        raise InvalidInput(
            "access.weak-password", f"Mật khẩu phải có ít nhất {least} ký tự.", expression="password"
        )
    if len(nfc(password).encode()) > MAX_BYTES:
        raise InvalidInput("access.weak-password", "Mật khẩu quá dài.", expression="password")
    bare = fold(password).replace(" ", "")
    if bare in _COMMON or bare == fold(username).replace(" ", "") or len(set(password)) < 4:
        raise InvalidInput(
            "access.weak-password", "Mật khẩu quá dễ đoán. Hãy chọn mật khẩu khác.", expression="password"
        )
    kinds = sum(bool(re.search(p, password)) for p in (r"[a-zà-ỹđ]", r"[A-ZÀ-ỸĐ]", r"\d", r"[^\w]"))
    if not second_factor and kinds < 3:
        raise InvalidInput(
            "access.weak-password",
            "Mật khẩu phải có chữ hoa, chữ thường, số hoặc ký hiệu.",
            expression="password",
        )


async def hash_password(password: str) -> str:
    """Encoded argon2id hash of the NFC form."""
    return await asyncio.to_thread(_HASHER.hash, nfc(password))


async def verify_password(encoded: str | None, password: str) -> bool:
    """True when it matches. ``None`` (no such account) costs the same time and is False."""
    if len(password.encode()) > 4 * MAX_BYTES:
        password = ""
    return await asyncio.to_thread(_verify, encoded if encoded is not None else _decoy(), nfc(password)) and (
        encoded is not None
    )


def _verify(encoded: str, password: str) -> bool:
    try:
        return _HASHER.verify(encoded, password)
    except (VerifyMismatchError, VerificationError, InvalidHashError):
        return False


@cache
def _decoy() -> str:
    return _HASHER.hash("khong-co-tai-khoan-nay")
