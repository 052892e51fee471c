"""The two-phase, resumable `Signer`: prepare → sign the digest, perhaps minutes later elsewhere → finish.

`Prepared.state` holds all that `finish` needs and nothing secret; it may be stored and finished by another process.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Protocol

from asn1crypto import cms, keys, x509
from asn1crypto import pem as asn1_pem
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from pyhanko_certvalidator.registry import SimpleCertificateStore

from benhan.base.errors import NeighbourFailed, NotAllowed
from benhan.signing.evidence import Evidence, EvidenceSource

DIGEST = "sha256"
#: faults of the signer's token, key or certificate and not of the paper: whoever signs many stops at the first, also
#: because each further try with a wrong PIN brings a token nearer to its lock
SIGNER_FAULTS = frozenset(
    f"signing.{name}"
    for name in (
        "no-token", "token-failed", "token-locked", "no-key-in-token", "wrong-pin", "no-key", "key-suspended",
        "no-remote-key", "certificate-revoked", "certificate-held", "certificate-expired", "chain-incomplete",
        "no-module", "no-service", "other-certificate",
    )
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Prepared:
    """A signature about to be made: the signed attributes (DER), their digest (hex), and the document's state."""

    to_be_signed: bytes
    state: bytes = field(repr=False)

    @property
    def digest(self) -> str:
        """SHA-256 of what will be signed, hex: the what-you-see hash of the token's display."""
        return hashlib.sha256(self.to_be_signed).hexdigest()


class Signer(Protocol):
    """Holds (or reaches) one private key. Server key, HSM, remote service and token agent all look like this."""

    @property
    def certificate(self) -> x509.Certificate:
        """The signer's certificate."""
        ...

    @property
    def chain(self) -> tuple[x509.Certificate, ...]:
        """Certificates from the issuer up to the root."""
        ...

    async def sign_digest(self, prepared: Prepared) -> bytes:
        """Raw signature over ``prepared.to_be_signed`` with SHA-256."""
        ...


@dataclass(frozen=True, slots=True)
class SoftwareSigner:
    """A key in memory: test PKI and small facilities."""

    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...]
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey = field(repr=False)
    revocation: EvidenceSource | None = field(default=None, repr=False)

    @classmethod
    def load(
        cls,
        certificate_pem: bytes,
        key_pem: bytes,
        chain_pem: bytes,
        revocation: EvidenceSource | None = None,
    ) -> SoftwareSigner:
        """Read a signer from PEM; with ``revocation`` its signatures carry long-term evidence (B-LT)."""
        key = serialization.load_pem_private_key(key_pem, None)
        if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
            raise NotAllowed("signing.weak-key", "Khóa ký phải là RSA hoặc EC.")
        return cls(certificate_of(certificate_pem), certificates_of_pem(chain_pem), key, revocation)

    async def sign_digest(self, prepared: Prepared) -> bytes:
        """Sign in this process."""
        if isinstance(self.key, rsa.RSAPrivateKey):
            return self.key.sign(prepared.to_be_signed, padding.PKCS1v15(), hashes.SHA256())
        return self.key.sign(prepared.to_be_signed, ec.ECDSA(hashes.SHA256()))


async def evidence_for(signer: Signer) -> Evidence:
    """What a signer's source says of its certificate now.

    Empty for a signer without a source, and while the source is away where the house lets the answer come later.
    Raises: `CertificateRevoked`; `CertificateHeld`; ``NeighbourFailed`` (signing.revocation-away).
    """
    source: EvidenceSource | None = getattr(signer, "revocation", None)
    if source is None:
        return Evidence()
    try:
        return await source.evidence(signer.certificate)
    except NeighbourFailed:
        if not source.may_wait:
            raise
        return Evidence()


def certificate_of(pem: bytes) -> x509.Certificate:
    """One certificate from PEM or DER."""
    if asn1_pem.detect(pem):
        _, _, pem = asn1_pem.unarmor(pem)
    return x509.Certificate.load(pem)


def certificates_of_pem(pem: bytes) -> tuple[x509.Certificate, ...]:
    """All certificates of a PEM file, in order."""
    return tuple(x509.Certificate.load(der) for _, _, der in asn1_pem.unarmor(pem, multiple=True))


def mechanism(certificate: x509.Certificate) -> cms.SignedDigestAlgorithm:
    """The pinned signature algorithm of a certificate's key."""
    rsa_key = certificate.public_key.algorithm == "rsa"
    return cms.SignedDigestAlgorithm({"algorithm": "sha256_rsa" if rsa_key else "sha256_ecdsa"})


def registry(signer: Signer) -> SimpleCertificateStore:
    """Certificates to embed beside the signer's own."""
    store = SimpleCertificateStore()  # type: ignore[no-untyped-call]
    store.register_multiple(signer.chain)
    return store


def pkcs8(pem: bytes) -> keys.PrivateKeyInfo:
    """A private key of PEM as pyHanko's time stamper wants it."""
    key = serialization.load_pem_private_key(pem, None)
    der = key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return keys.PrivateKeyInfo.load(der)
