"""Blobs: PDFs, scans, containers. Content-addressed by the SHA-256 of the plain bytes, sealed at rest.

A folder by default, S3 or what else ``obstore`` speaks by ``settings.blob_url``; what is seldom read may lie in a second,
cold place (``settings.cold_url``), from which it is read as from the first. Each blob is sealed under a key of its
own, which stands in its head wrapped by the installation's key wrapper: removing the object destroys it. Written once,
never changed: putting the same bytes again does nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
from pathlib import Path
from typing import Any, Literal

import obstore
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import LocalStore, from_url

from benhan.base.errors import BenhanError, NotFound
from benhan.base.settings import Settings
from benhan.store.codec import SealBroken, seal, unseal
from benhan.store.keys import KeyWrapper

_MAGIC = b"BAB1"
_HASH = re.compile(r"[0-9a-f]{64}")


class Blobs:
    """The blob store of one installation."""

    def __init__(self, place: Any, wrapper: KeyWrapper, cold: Any = None) -> None:
        self._place = place
        self._cold = cold
        self._wrapper = wrapper

    @classmethod
    def open(cls, settings: Settings, wrapper: KeyWrapper) -> Blobs:
        """The blob store the settings name."""
        cold = None if settings.cold_url is None else _cold_place(settings.cold_url)
        if settings.blob_url is None:
            folder = settings.home / "blobs"
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            return cls(LocalStore(folder.absolute(), mkdir=True), wrapper, cold)
        return cls(from_url(settings.blob_url), wrapper, cold)

    async def put(self, data: bytes) -> str:
        """Keep bytes; gives their SHA-256 (hex). Durable on return."""
        digest = hashlib.sha256(data).hexdigest()
        if not await self.exists(digest):
            sealed = await asyncio.to_thread(self._seal, digest, data)
            await obstore.put_async(self._place, _path(digest), sealed)
        return digest

    async def get(self, sha256: str) -> bytes:
        """The bytes, checked, from wherever they lie.

        Raises: ``NotFound`` (store.no-such-blob), ``SealBroken`` (store.blob-altered), ``ColdAway`` (store.cold-away).
        """
        if not _HASH.fullmatch(sha256):
            raise _absent()
        sealed = await _fetch(self._place, sha256)
        if sealed is None and self._cold is not None:
            sealed = await _from_cold(self._cold, sha256)
        if sealed is None:
            raise _absent()
        return await self._checked(sha256, sealed)

    async def exists(self, sha256: str) -> bool:
        """True when the bytes are kept. Raises: ``ColdAway`` (store.cold-away)."""
        return await self.where(sha256) is not None

    async def where(self, sha256: str) -> Literal["warm", "cold"] | None:
        """In which place the bytes lie; None: in none. Raises: ``ColdAway`` (store.cold-away)."""
        if not _HASH.fullmatch(sha256):
            return None
        if await _there(self._place, sha256):
            return "warm"
        if self._cold is None:
            return None
        try:
            return "cold" if await _there(self._cold, sha256) else None
        except BaseError as error:
            raise _away() from error

    @property
    def has_cold(self) -> bool:
        """Whether there is a cold place."""
        return self._cold is not None

    async def cool(self, sha256: str) -> bool:
        """Move a blob into the cold place; False when it lies there already.

        It leaves the first place only after the copy was read back and checked; stopped in between it lies in both.
        Raises: ``NotFound``, ``SealBroken`` (either copy), ``ColdAway`` (store.cold-away).
        """
        if self._cold is None:
            raise _away()
        sealed = await _fetch(self._place, sha256)
        if sealed is None:
            await self._checked(sha256, await _from_cold(self._cold, sha256) or b"")
            return False
        await self._checked(sha256, sealed)
        try:
            if not await _there(self._cold, sha256):
                await obstore.put_async(self._cold, _path(sha256), sealed)
        except (BaseError, OSError) as error:
            raise _away() from error
        if await _from_cold(self._cold, sha256) != sealed:
            raise SealBroken("store.blob-altered", "Tệp không khớp mã băm của nó; không mở.")
        await obstore.delete_async(self._place, _path(sha256))
        return True

    async def destroy(self, sha256: str) -> None:
        """Remove a blob with its key, in both places; for lawful destruction only.

        Raises: ``ColdAway`` (store.cold-away) when the cold place does not let go of it (away, or locked).
        """
        if await _there(self._place, sha256):
            await obstore.delete_async(self._place, _path(sha256))
        if self._cold is None:
            return
        try:
            if await _there(self._cold, sha256):
                await obstore.delete_async(self._cold, _path(sha256))
        except (BaseError, OSError) as error:
            raise _away() from error

    async def _checked(self, sha256: str, sealed: bytes) -> bytes:
        data = await asyncio.to_thread(self._unseal, sha256, sealed)
        if hashlib.sha256(data).hexdigest() != sha256:
            raise SealBroken("store.blob-altered", "Tệp không khớp mã băm của nó; không mở.")
        return data

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


class ColdAway(BenhanError):
    """The cold place does not answer, or refuses."""

    status = 503
    issue_type = "transient"


def _cold_place(url: str) -> Any:
    if url.startswith("file://"):
        folder = Path(url.removeprefix("file://"))
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return LocalStore(folder.absolute(), mkdir=True)
    return from_url(url)


async def _fetch(place: Any, sha256: str) -> bytes | None:
    try:
        answer = await obstore.get_async(place, _path(sha256))
        return bytes(await answer.bytes_async())
    except (FileNotFoundError, NotFoundError):
        return None


async def _from_cold(place: Any, sha256: str) -> bytes | None:
    try:
        return await _fetch(place, sha256)
    except (BaseError, OSError) as error:
        raise _away() from error


async def _there(place: Any, sha256: str) -> bool:
    try:
        await obstore.head_async(place, _path(sha256))
    except (FileNotFoundError, NotFoundError):
        return False
    return True


def _away() -> ColdAway:
    return ColdAway("store.cold-away", "Kho lạnh không trả lời hoặc từ chối; thử lại sau.")


def _path(digest: str) -> str:
    return f"{digest[:2]}/{digest[2:4]}/{digest}"


def _absent() -> NotFound:
    return NotFound("store.no-such-blob", "Không có tệp này.")
