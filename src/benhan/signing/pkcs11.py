"""A `Signer` whose key lives in a PKCS#11 token (smart card, USB token, HSM) and never leaves it.

Each signature opens its own session and logs in with the PIN given at the time, so nothing stays open between signatures,
and a token that was pulled out is found again when it is back.
Mechanisms: CKM_SHA256_RSA_PKCS where the token has it; for EC, CKM_ECDSA over the digest made here, because few tokens hash.
Source: PKCS #11 v2.40; the token of a person is a "thiết bị lưu khóa bí mật" of a licensed authority.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pkcs11
from asn1crypto import x509
from pkcs11.exceptions import (
    DeviceRemoved,
    MultipleTokensReturned,
    NoSuchToken,
    PinIncorrect,
    PinInvalid,
    PinLenRange,
    PinLocked,
    PKCS11Error,
    TokenNotPresent,
)
from pkcs11.util.ec import encode_ecdsa_signature

from benhan.base.errors import NeighbourFailed, NotAllowed, NotFound
from benhan.signing.evidence import EvidenceSource
from benhan.signing.signer import Prepared, certificates_of_pem


@dataclass(frozen=True, slots=True)
class TokenPlace:
    """Where a key is: the token's driver, the token's label, the label of key and certificate in it."""

    module: Path
    token: str
    key: str


@dataclass(frozen=True, slots=True)
class TokenSigner:
    """A key in a token. ``pin`` lives as long as this object: make one for each act of signing."""

    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...]
    place: TokenPlace
    pin: str = field(repr=False)
    revocation: EvidenceSource | None = field(default=None, repr=False)

    @classmethod
    async def open(cls, place: TokenPlace, pin: str, chain_pem: bytes) -> TokenSigner:
        """Log in once to read the certificate.

        Raises: ``NotFound`` (signing.no-token, signing.no-key-in-token), ``NotAllowed`` (signing.wrong-pin,
        signing.token-locked, signing.weak-key), ``NeighbourFailed`` (signing.token-failed).
        """
        certificate = await asyncio.to_thread(_certificate, place, pin)
        if certificate.public_key.algorithm not in ("rsa", "ec"):
            raise NotAllowed("signing.weak-key", "Khóa ký phải là RSA hoặc EC.")
        return cls(certificate, certificates_of_pem(chain_pem), place, pin)

    async def sign_digest(self, prepared: Prepared) -> bytes:
        """Sign inside the token; raises as `open` does."""
        kind = self.certificate.public_key.algorithm
        return await asyncio.to_thread(_sign, self.place, self.pin, kind, prepared.to_be_signed)


@dataclass(slots=True)
class _Driver:
    """A driver in this process: sessions open now, and whether it has lost its token and must be loaded anew."""

    sessions: int = 0
    lost: bool = False


_drivers: dict[Path, _Driver] = {}
_drivers_lock = threading.Lock()


@contextlib.contextmanager
def _driver(module: Path) -> Iterator[Any]:
    """The driver; after a fault it is initialised anew, once nobody uses it: many never see a token plugged in again."""
    with _drivers_lock:
        state = _drivers.setdefault(module, _Driver())
        library = pkcs11.lib(str(module))
        if state.lost and state.sessions == 0:
            library.reinitialize()
            state.lost = False
        state.sessions += 1
    try:
        yield library
    except (PinIncorrect, PinInvalid, PinLenRange, PinLocked):
        raise
    except PKCS11Error:
        with _drivers_lock:
            state.lost = True
        raise
    finally:
        with _drivers_lock:
            state.sessions -= 1


@contextlib.contextmanager
def _session(place: TokenPlace, pin: str) -> Iterator[Any]:
    """A logged-in session; every fault of the token becomes one of ours."""
    try:
        with _driver(place.module) as library:
            token = library.get_token(token_label=place.token)
            with token.open(user_pin=pin) as session:
                yield session
    except (NoSuchToken, TokenNotPresent, DeviceRemoved, MultipleTokensReturned):
        raise NotFound("signing.no-token", "Không thấy thiết bị ký. Hãy cắm thiết bị rồi thử lại.") from None
    except (PinIncorrect, PinInvalid, PinLenRange):
        raise NotAllowed("signing.wrong-pin", "PIN ký không đúng.", expression="pin") from None
    except PinLocked:
        raise NotAllowed(
            "signing.token-locked", "Thiết bị ký đã khóa vì sai PIN. Hãy liên hệ nơi cấp."
        ) from None
    except (PKCS11Error, RuntimeError) as error:
        raise NeighbourFailed(
            "signing.token-failed", "Thiết bị ký báo lỗi.", diagnostics=type(error).__name__
        ) from None


def _only(session: Any, kind: pkcs11.ObjectClass, label: str) -> Any:
    found = list(session.get_objects({pkcs11.Attribute.CLASS: kind, pkcs11.Attribute.LABEL: label}))
    if len(found) != 1:
        raise NotFound("signing.no-key-in-token", "Thiết bị ký không có đúng một khóa và chứng thư tên này.")
    return found[0]


def _certificate(place: TokenPlace, pin: str) -> x509.Certificate:
    with _session(place, pin) as session:
        held = _only(session, pkcs11.ObjectClass.CERTIFICATE, place.key)
        return x509.Certificate.load(bytes(held[pkcs11.Attribute.VALUE]))


def _sign(place: TokenPlace, pin: str, kind: str, data: bytes) -> bytes:
    with _session(place, pin) as session:
        key = _only(session, pkcs11.ObjectClass.PRIVATE_KEY, place.key)
        if kind == "rsa":
            return bytes(key.sign(data, mechanism=pkcs11.Mechanism.SHA256_RSA_PKCS))
        raw = key.sign(hashlib.sha256(data).digest(), mechanism=pkcs11.Mechanism.ECDSA)
        return bytes(encode_ecdsa_signature(raw))
