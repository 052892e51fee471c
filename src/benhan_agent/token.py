"""The token: reading its certificate and signing inside it (PKCS #11 v2.40)."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pkcs11
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


class TokenError(Exception):
    """The token did not sign; ``code`` is one of no-token, wrong-pin, locked, no-key, failed."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code, self.text = code, text


_lost: set[str] = set()
_in_use = threading.Lock()


@contextlib.contextmanager
def _driver(module: str) -> Iterator[Any]:
    """The driver, one user at a time; after a fault it is initialised anew: many never see a token plugged in again."""
    with _in_use:
        library = pkcs11.lib(module)
        if module in _lost:
            library.reinitialize()
            _lost.discard(module)
        try:
            yield library
        except (PinIncorrect, PinInvalid, PinLenRange, PinLocked):
            raise
        except PKCS11Error:
            _lost.add(module)
            raise


@dataclass(frozen=True, slots=True)
class Token:
    """Where the key is: driver, label of the token, label of key and certificate."""

    module: str
    label: str
    key: str

    def certificate(self) -> bytes:
        """The certificate, DER; no PIN needed. Raises: `TokenError`."""
        with self._session(None) as session:
            return bytes(self._only(session, pkcs11.ObjectClass.CERTIFICATE)[pkcs11.Attribute.VALUE])

    def sign(self, pin: str, pieces: Sequence[bytes]) -> list[bytes]:
        """A signature with SHA-256 over each piece, all by one login. Raises: `TokenError`."""
        with self._session(pin) as session:
            key = self._only(session, pkcs11.ObjectClass.PRIVATE_KEY)
            if key.key_type == pkcs11.KeyType.RSA:
                return [bytes(key.sign(p, mechanism=pkcs11.Mechanism.SHA256_RSA_PKCS)) for p in pieces]
            raw = [key.sign(hashlib.sha256(p).digest(), mechanism=pkcs11.Mechanism.ECDSA) for p in pieces]
            return [bytes(encode_ecdsa_signature(one)) for one in raw]

    @contextlib.contextmanager
    def _session(self, pin: str | None) -> Iterator[Any]:
        try:
            with (
                _driver(self.module) as library,
                library.get_token(token_label=self.label).open(user_pin=pin) as session,
            ):
                yield session
        except (NoSuchToken, TokenNotPresent, DeviceRemoved, MultipleTokensReturned):
            raise TokenError("no-token", "Không thấy thiết bị ký. Hãy cắm thiết bị rồi thử lại.") from None
        except (PinIncorrect, PinInvalid, PinLenRange):
            raise TokenError("wrong-pin", "PIN ký không đúng.") from None
        except PinLocked:
            raise TokenError("locked", "Thiết bị ký đã khóa vì sai PIN. Hãy liên hệ nơi cấp.") from None
        except (PKCS11Error, RuntimeError) as error:
            raise TokenError("failed", f"Thiết bị ký báo lỗi ({type(error).__name__}).") from None

    def _only(self, session: Any, kind: pkcs11.ObjectClass) -> Any:
        wanted = {pkcs11.Attribute.CLASS: kind, pkcs11.Attribute.LABEL: self.key}
        found = list(session.get_objects(wanted))
        if len(found) != 1:
            raise TokenError("no-key", "Thiết bị ký không có đúng một khóa và chứng thư tên này.")
        return found[0]
