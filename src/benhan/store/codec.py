"""Bytes at rest: zstd with a trained dictionary, then AES-256-GCM under the record's own key.

Sealed form: nonce (12) ‖ ciphertext ‖ tag (16); the additional data bind it to its place in the log. The number of the
dictionary is kept in the row; a dictionary is never changed, a new one gets the next number. 0 means none.
"""

from __future__ import annotations

import os
from functools import cache
from importlib import resources

import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from benhan.base.errors import BenhanError

CURRENT_DICTIONARY = 1
_LEVEL = 3
_MAX_PLAIN = 64_000_000


class SealBroken(BenhanError):
    """Sealed bytes do not open: altered, moved to another place, or the wrong key."""


def compress(data: bytes, dictionary: int = CURRENT_DICTIONARY) -> bytes:
    """Compressed form of ``data``."""
    return _compressor(dictionary).compress(data)


def decompress(data: bytes, dictionary: int) -> bytes:
    """Inverse of :func:`compress`."""
    return _decompressor(dictionary).decompress(data, max_output_size=_MAX_PLAIN)


def seal(key: bytes, data: bytes, aad: bytes) -> bytes:
    """Encrypt and bind to ``aad``. ``key`` has 32 bytes."""
    nonce = os.urandom(12)
    return nonce + AESGCM(key).encrypt(nonce, data, aad)


def unseal(key: bytes, sealed: bytes, aad: bytes) -> bytes:
    """Inverse of :func:`seal`. Raises: ``SealBroken`` (store.seal-broken)."""
    try:
        return AESGCM(key).decrypt(sealed[:12], sealed[12:], aad)
    except (InvalidTag, ValueError):
        raise SealBroken(
            "store.seal-broken", "Dữ liệu niêm phong không mở được: khóa sai hoặc dữ liệu bị sửa."
        ) from None


@cache
def _dictionary(number: int) -> zstandard.ZstdCompressionDict:
    raw = resources.files("benhan.store").joinpath(f"data/fhir-{number}.zdict").read_bytes()
    return zstandard.ZstdCompressionDict(raw)


@cache
def _compressor(number: int) -> zstandard.ZstdCompressor:
    return zstandard.ZstdCompressor(
        level=_LEVEL,
        dict_data=_dictionary(number) if number else None,
        write_checksum=False,
        write_dict_id=False,
    )


@cache
def _decompressor(number: int) -> zstandard.ZstdDecompressor:
    return zstandard.ZstdDecompressor(dict_data=_dictionary(number) if number else None)
