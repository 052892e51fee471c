"""Blobs: PDFs, scans, containers. Content-addressed by the SHA-256 of the plain bytes, sealed at rest.

A folder by default, S3 or what else ``obstore`` speaks by ``settings.blob_url``. Each blob is sealed under a key of its
own, which stands in its head wrapped by the installation's key wrapper: removing the object destroys it. Written once,
never changed: putting the same bytes again does nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
from typing import Any

import obstore
from obstore.store import LocalStore, from_url

from benhan.base.errors import NotFound
from benhan.base.settings import Settings
from benhan.store.codec import SealBroken, seal, unseal
from benhan.store.keys import KeyWrapper

_MAGIC = b"BAB1"
_HASH = re.compile(r"[0-9a-f]{64}")


class Blobs:
    """The blob store of one installation."""

    def __init__(self, place: Any, wrapper: KeyWrapper) -> None:
        self._place = place
        self._wrapper = wrapper

    @classmethod
    def open(cls, settings: Settings, wrapper: KeyWrapper) -> Blobs:
        """The blob store the settings name."""
        if settings.blob_url is None:
            folder = settings.home / "blobs"
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            return cls(LocalStore(folder.absolute(), mkdir=True), wrapper)
        return cls(from_url(settings.blob_url), wrapper)

    async def put(self, data: bytes) -> str:
        """Keep bytes; gives their SHA-256 (hex). Durable on return."""
        digest = hashlib.sha256(data).hexdigest()
        if not await self.exists(digest):
            sealed = await asyncio.to_thread(self._seal, digest, data)
            await obstore.put_async(self._place, _path(digest), sealed)
        return digest

    async def get(self, sha256: str) -> bytes:
        """The bytes, checked. Raises: ``NotFound`` (store.no-such-blob), ``SealBroken`` (store.blob-altered)."""
        if not _HASH.fullmatch(sha256):
            raise _absent()
        try:
            answer = await obstore.get_async(self._place, _path(sha256))
            sealed = bytes(await answer.bytes_async())
        except FileNotFoundError:
            raise _absent() from None
        data = await asyncio.to_thread(self._unseal, sha256, sealed)
        if hashlib.sha256(data).hexdigest() != sha256:
            raise SealBroken("store.blob-altered", "Tệp không khớp mã băm của nó; không mở.")
        return data

    async def exists(self, sha256: str) -> bool:
        """True when the bytes are kept."""
        if not _HASH.fullmatch(sha256):
            return False
        try:
            await obstore.head_async(self._place, _path(sha256))
        except FileNotFoundError:
            return False
        return True

    async def destroy(self, sha256: str) -> None:
        """Remove a blob with its key; for lawful destruction only."""
        if await self.exists(sha256):
            await obstore.delete_async(self._place, _path(sha256))

    def _seal(self, digest: str, data: bytes) -> bytes:
        key = os.urandom(32)
        wrapped = self._wrapper.wrap(key, b"blob" + digest.encode())
        return _MAGIC + len(wrapped).to_bytes(2, "big") + wrapped + seal(key, data, digest.encode())

    def _unseal(self, digest: str, sealed: bytes) -> bytes:
        if sealed[:4] != _MAGIC:
            raise SealBroken("store.blob-altered", "Tệp không đúng dạng niêm phong.")
        size = int.from_bytes(sealed[4:6], "big")
        key = self._wrapper.unwrap(sealed[6 : 6 + size], b"blob" + digest.encode())
        return unseal(key, sealed[6 + size :], digest.encode())


def _path(digest: str) -> str:
    return f"{digest[:2]}/{digest[2:4]}/{digest}"


def _absent() -> NotFound:
    return NotFound("store.no-such-blob", "Không có tệp này.")
