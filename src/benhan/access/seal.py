"""Seals small secrets (TOTP seeds) with AES-256-GCM under a key that lies beside the installation, not in the
database.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from benhan.base.errors import ConfigurationError

KEY_FILE = "access.key"


def load_key(secrets_dir: Path) -> bytes:
    """The 32-byte key of this installation; made on first use, mode 0600.

    Raises: ``ConfigurationError`` (access.bad-key-file) when the file is not 32 bytes.
    """
    path = secrets_dir / KEY_FILE
    secrets_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not path.exists():
        fresh = secrets_dir / f".{KEY_FILE}.{secrets.token_hex(8)}"
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(32))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(fresh, path)  # atomic: the first process wins, the others read its key
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    key = path.read_bytes()
    if len(key) != 32:
        raise ConfigurationError("access.bad-key-file", f"Tệp khóa {KEY_FILE} hỏng: phải dài 32 byte.")
    return key


def seal(key: bytes, data: bytes, bound_to: bytes) -> bytes:
    """Nonce and sealed data; opens only for the same ``bound_to`` (account id)."""
    nonce = secrets.token_bytes(12)
    return nonce + AESGCM(key).encrypt(nonce, data, bound_to)


def unseal(key: bytes, sealed: bytes, bound_to: bytes) -> bytes:
    """The data. Raises ``ConfigurationError`` (access.cannot-unseal) with another key or owner."""
    try:
        return AESGCM(key).decrypt(sealed[:12], sealed[12:], bound_to)
    except InvalidTag:
        raise ConfigurationError(
            "access.cannot-unseal", "Không mở được bí mật đăng nhập: khóa của cơ sở cài đặt không khớp."
        ) from None
