"""Hashes that stand for values in index rows. Pure and stable: changing them asks for a reindex."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b, sha256

FINGERPRINT = "3"
_SEPARATOR = "\x1f"


@lru_cache(maxsize=50_000)
def key64(*parts: str) -> int:
    """Signed 64-bit hash of the parts (type, parameter, value …)."""
    return int.from_bytes(
        blake2b(_SEPARATOR.join(parts).encode(), digest_size=8).digest(), "big", signed=True
    )


@lru_cache(maxsize=50_000)
def ref64(target: str) -> int:
    """Signed 64-bit hash of a target, ``Type/id`` or an address; ``current_version.ref`` is the same, made by the server."""
    return int.from_bytes(sha256(target.encode()).digest()[:8], "big", signed=True)


@lru_cache(maxsize=5_000)
def system32(system: str | None) -> int:
    """Signed 32-bit hash of a code system; 0 stands for none."""
    if not system:
        return 0
    return int.from_bytes(blake2b(system.encode(), digest_size=4).digest(), "big", signed=True) or 1


@lru_cache(maxsize=5_000)
def param32(param: str) -> int:
    """Signed 32-bit hash of a parameter's name, for ``:missing``."""
    return int.from_bytes(blake2b(param.encode(), digest_size=4).digest(), "big", signed=True)
