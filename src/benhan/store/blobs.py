"""Blobs. (Body follows.)"""

from __future__ import annotations


class Blobs:
    """Content-addressed bytes."""

    async def put(self, data: bytes) -> str: ...
    async def get(self, sha256: str) -> bytes: ...
    async def exists(self, sha256: str) -> bool: ...
