"""A `Signer` whose key is held by a remote signing service: Cloud Signature Consortium API v2.

Flow: ``oauth2/token`` (client credentials) → ``credentials/info`` (certificate, state) → ``credentials/authorize`` with the
hashes and the PIN or OTP, which gives signature activation data (SAD) for those hashes only → ``signatures/signHash``.
Whatever the service answers is checked here against the certificate before it is used. Source: CSC API v2.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from benhan.base.errors import BenhanError, NeighbourFailed, NeighbourTimeout, NotAllowed, NotFound
from benhan.base.json_door import loads_object
from benhan.signing.evidence import EvidenceSource
from benhan.signing.resuming import AtTheToken
from benhan.signing.signer import Prepared

TIMEOUT_S = 30.0
MOST_ANSWER_BYTES = 5_000_000
SHA256_OID = "2.16.840.1.101.3.4.2.1"
SIGN_ALGO = {"rsa": "1.2.840.113549.1.1.11", "ec": "1.2.840.10045.4.3.2"}


@dataclass(frozen=True, slots=True)
class CscService:
    """Where the service is and how this installation proves itself to it."""

    url: str
    client_id: str
    client_secret: str = field(repr=False)
    transport: httpx.AsyncBaseTransport | None = field(default=None, repr=False)

    async def call(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """One call with a fresh token.

        Raises: ``NeighbourTimeout`` (signing.csc-timeout); ``NeighbourFailed`` (signing.csc-away, signing.csc-refused);
        ``NotAllowed`` (signing.wrong-pin); ``NotFound`` (signing.no-remote-key).
        """
        try:
            async with httpx.AsyncClient(
                base_url=self.url, timeout=TIMEOUT_S, transport=self.transport, trust_env=False
            ) as http:
                grant = {
                    "grant_type": "client_credentials",
                    "client_id": self.client_id,
                    "client_secret": self.client_secret,
                }
                token = _told(await http.post("/csc/v2/oauth2/token", json=grant))["access_token"]
                bearer = {"Authorization": f"Bearer {token}"}
                return _told(await http.post(f"/csc/v2/{name}", json=body, headers=bearer))
        except httpx.TimeoutException:
            raise NeighbourTimeout("signing.csc-timeout", "Dịch vụ ký từ xa không trả lời kịp.") from None
        except httpx.HTTPError:
            raise NeighbourFailed("signing.csc-away", "Không nối được dịch vụ ký từ xa.") from None
        except KeyError:
            raise _refused("no access_token") from None


def _refused(why: str) -> BenhanError:
    return NeighbourFailed("signing.csc-refused", "Dịch vụ ký từ xa từ chối yêu cầu.", diagnostics=why)


def _told(answer: httpx.Response) -> dict[str, Any]:
    """The answer's object; an error of the service becomes one of ours."""
    if len(answer.content) > MOST_ANSWER_BYTES:
        raise _refused("too large")
    try:
        body = loads_object(answer.content)
    except BenhanError:
        raise _refused(f"HTTP {answer.status_code}, no JSON") from None
    if answer.status_code == 200:
        return body
    error, text = str(body.get("error", "")), str(body.get("error_description", ""))
    if error in ("invalid_pin", "invalid_otp") or "PIN" in text or "OTP" in text:
        raise NotAllowed("signing.wrong-pin", "PIN ký không đúng.", expression="pin")
    if "credentialID" in text:
        raise NotFound("signing.no-remote-key", "Dịch vụ ký từ xa không có chứng thư này.")
    raise _refused(f"{answer.status_code} {error}"[:200])


@dataclass(frozen=True, slots=True)
class CscSigner:
    """A person's key at a remote service. ``pin`` lives as long as this object: make one for each act of signing."""

    certificate: asn1_x509.Certificate
    chain: tuple[asn1_x509.Certificate, ...]
    service: CscService
    credential: str
    pin: str = field(repr=False)
    kind: str = "PIN"
    revocation: EvidenceSource | None = field(default=None, repr=False)

    @classmethod
    async def open(cls, service: CscService, credential: str, pin: str, *, kind: str = "PIN") -> CscSigner:
        """Ask the service for the certificate and its state; ``kind`` is the authData id (PIN, OTP).

        Raises: as `CscService.call`; ``NotAllowed`` (signing.certificate-revoked, signing.certificate-expired,
        signing.key-suspended, signing.weak-key).
        """
        asked = {"credentialID": credential, "certificates": "chain", "certInfo": True, "authInfo": True}
        told = await service.call("credentials/info", asked)
        try:
            state, held = told["cert"]["status"], told["key"]["status"]
            made = [
                asn1_x509.Certificate.load(base64.b64decode(one, validate=True), strict=True)
                for one in told["cert"]["certificates"]
            ]
            algorithm = made[0].public_key.algorithm
        except (KeyError, TypeError, ValueError, IndexError, binascii.Error):
            raise _refused("credentials/info") from None
        if state in ("revoked", "expired"):
            code, text = _STATES[state]
            raise NotAllowed(code, text)
        if state != "valid" or held != "enabled":
            raise NotAllowed("signing.key-suspended", "Khóa ký đang bị tạm khóa. Hãy liên hệ bộ phận CNTT.")
        if algorithm not in SIGN_ALGO:
            raise NotAllowed("signing.weak-key", "Khóa ký phải là RSA hoặc EC.")
        return cls(made[0], tuple(made[1:]), service, credential, pin, kind)

    async def check_pin(self) -> None:
        """Ask the service whether the PIN is right, for a hash of nothing; what it grants is never used.

        Raises: as `CscService.call`.
        """
        digest = base64.b64encode(os.urandom(32)).decode()
        asked = {"credentialID": self.credential, "hashes": [digest], "hashAlgorithmOID": SHA256_OID}
        grant = {"numSignatures": 1, "authData": [{"id": self.kind, "value": self.pin}]}
        await self.service.call("credentials/authorize", {**asked, **grant})

    async def sign_digest(self, prepared: Prepared) -> bytes:
        """One signature; raises as `sign_many`."""
        return (await self.sign_many([prepared]))[0]

    async def sign_many(self, prepared: Sequence[Prepared]) -> list[bytes]:
        """One authorisation bound to these hashes, one signature for each, in their order.

        Raises: as `CscService.call`; ``NeighbourFailed`` (signing.csc-refused) for signatures that do not hold.
        """
        digests = [base64.b64encode(hashlib.sha256(p.to_be_signed).digest()).decode() for p in prepared]
        common = {"credentialID": self.credential, "hashes": digests, "hashAlgorithmOID": SHA256_OID}
        grant = {"numSignatures": len(digests), "authData": [{"id": self.kind, "value": self.pin}]}
        granted = await self.service.call("credentials/authorize", {**common, **grant})
        algorithm = SIGN_ALGO[self.certificate.public_key.algorithm]
        asked = {**common, "SAD": granted.get("SAD"), "signAlgo": algorithm, "operationMode": "S"}
        told = await self.service.call("signatures/signHash", asked)
        try:
            made = [base64.b64decode(one, validate=True) for one in told["signatures"]]
            for value, one in zip(made, prepared, strict=True):
                _check(self.certificate, value, one.to_be_signed)
        except (KeyError, TypeError, ValueError, binascii.Error, InvalidSignature):
            raise _refused("signatures/signHash") from None
        return made


_STATES = {
    "revoked": ("signing.certificate-revoked", "Chứng thư chữ ký số đã bị thu hồi."),
    "expired": ("signing.certificate-expired", "Chứng thư chữ ký số đã hết hạn."),
}


def _check(certificate: asn1_x509.Certificate, signature: bytes, covered: bytes) -> None:
    """Raise ``InvalidSignature`` or ``TypeError`` unless the signature is the certificate's over ``covered``."""
    key = x509.load_der_x509_certificate(certificate.dump()).public_key()
    if isinstance(key, rsa.RSAPublicKey):
        key.verify(signature, covered, padding.PKCS1v15(), hashes.SHA256())
    elif isinstance(key, ec.EllipticCurvePublicKey):
        key.verify(signature, covered, ec.ECDSA(hashes.SHA256()))
    else:
        raise TypeError("key")


@dataclass(frozen=True, slots=True)
class AgentSigner:
    """A key in the token on the doctor's own computer, reached by the doctor's browser and never from here.

    `cades_prepare` and its kin take it as it is; the browser hands ``Prepared.to_be_signed`` to the local agent and posts back
    what `accept` then checks, before the second phase.
    """

    certificate: asn1_x509.Certificate
    chain: tuple[asn1_x509.Certificate, ...]
    revocation: EvidenceSource | None = field(default=None, repr=False)

    async def sign_digest(self, prepared: Prepared) -> bytes:
        """Always raises `AtTheToken` (signing.at-the-token): this door has two phases only."""
        raise AtTheToken(prepared)

    def accept(self, prepared: Prepared, signature: bytes) -> bytes:
        """The signature, when it is this certificate's over what was prepared.

        Raises: ``NotAllowed`` (signing.not-this-signature).
        """
        try:
            _check(self.certificate, signature, prepared.to_be_signed)
        except (InvalidSignature, TypeError, ValueError):
            raise NotAllowed(
                "signing.not-this-signature", "Chữ ký nhận được không thuộc giấy này hay người này."
            ) from None
        return signature
