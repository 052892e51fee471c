"""The test PKI of practice installations: root, issuing CA, time-stamp authority, OCSP responder, seals, persons.

Every subject says "thử nghiệm". Keys lie in ``home``/secrets/pki with mode 0600. Real certificates come from a licensed
authority and enter through the same `Signer`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from benhan.base.clock import SYSTEM_CLOCK, Clock

BITS = 2048
LIFE = {"root": 7300, "ca": 3650, "tsa": 1825, "ocsp": 730, "seal": 1095, "person": 730}
MARK = "thử nghiệm"


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate with its private key, both PEM."""

    certificate: bytes
    key: bytes


def create(folder: Path, clock: Clock = SYSTEM_CLOCK) -> None:
    """Make the PKI in ``folder`` unless it is there: root, ca, tsa, ocsp, an empty revocation list."""
    if (folder / "ca.crl").exists():
        return
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    root_key = _new_key()
    root_name = _name(f"Bệnh Án Root CA ({MARK})")
    root = _certificate(root_name, root_name, root_key, root_key, "root", clock, ca=1)
    _keep(folder, "root", root, root_key)
    ca_key = _new_key()
    ca_name = _name(f"Bệnh Án Issuing CA ({MARK})")
    ca = _certificate(ca_name, root_name, ca_key, root_key, "ca", clock, ca=0, issuer=root)
    _keep(folder, "ca", ca, ca_key)
    for kind, title, usage in (
        ("tsa", "Bệnh Án Time Stamp", ExtendedKeyUsageOID.TIME_STAMPING),
        ("ocsp", "Bệnh Án OCSP", ExtendedKeyUsageOID.OCSP_SIGNING),
    ):
        key = _new_key()
        made = _certificate(
            _name(f"{title} ({MARK})"), ca_name, key, ca_key, kind, clock, issuer=ca, extended=usage
        )
        _keep(folder, kind, made, key)
    for name, issuer, key in (("root", root, root_key), ("ca", ca, ca_key)):
        _write(folder / f"{name}.crl", _crl(issuer, key, clock), 0o644)


def issue(
    folder: Path, common_name: str, kind: str, clock: Clock = SYSTEM_CLOCK, serial: str | None = None
) -> Issued:
    """A certificate of the issuing CA for a person or a seal (``kind``), with a new key; ``serial``: licence or code."""
    ca = x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())
    ca_key = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), None)
    if not isinstance(ca_key, rsa.RSAPrivateKey):
        raise RuntimeError("the test CA has an RSA key")
    key = _new_key()
    made = _certificate(_name(_marked(common_name), serial), ca.subject, key, ca_key, kind, clock, issuer=ca)
    return Issued(made.public_bytes(serialization.Encoding.PEM), _key_pem(key))


def chain(folder: Path) -> bytes:
    """Issuing CA and root, PEM."""
    return (folder / "ca.pem").read_bytes() + (folder / "root.pem").read_bytes()


def _new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=BITS)


def _marked(name: str) -> str:
    """The name with the mark of the test PKI, within the 64 bytes a common name may have (RFC 5280)."""
    mark = f" ({MARK})"
    room = 64 - len(mark.encode())
    return name.encode()[:room].decode(errors="ignore").rstrip() + mark


def _name(common: str, serial: str | None = None) -> x509.Name:
    parts = [
        x509.NameAttribute(NameOID.COUNTRY_NAME, "VN"),
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, f"Bệnh Án ({MARK})"),
        x509.NameAttribute(NameOID.COMMON_NAME, common),
    ]
    if serial:
        parts.append(x509.NameAttribute(NameOID.SERIAL_NUMBER, serial[:64]))
    return x509.Name(parts)


def _certificate(
    subject: x509.Name,
    issuer_name: x509.Name,
    key: rsa.RSAPrivateKey,
    signing_key: rsa.RSAPrivateKey,
    kind: str,
    clock: Clock,
    *,
    ca: int | None = None,
    issuer: x509.Certificate | None = None,
    extended: x509.ObjectIdentifier | None = None,
) -> x509.Certificate:
    now = clock.now() - timedelta(minutes=5)
    is_ca = ca is not None
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer_name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=LIFE[kind]))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=ca), critical=True)
        .add_extension(_usage(is_ca, kind), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key()), critical=False
        )
    )
    if extended is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage([extended]), critical=True)
    if kind == "ocsp":
        builder = builder.add_extension(x509.OCSPNoCheck(), critical=False)
    return builder.sign(signing_key, hashes.SHA256())


def _usage(is_ca: bool, kind: str) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_ca,
        content_commitment=kind in ("person", "seal"),
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_ca,
        crl_sign=is_ca,
        encipher_only=False,
        decipher_only=False,
    )


def _crl(issuer: x509.Certificate, key: rsa.RSAPrivateKey, clock: Clock) -> bytes:
    now = clock.now() - timedelta(minutes=5)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.subject)
        .last_update(now)
        .next_update(now + timedelta(days=3650))
        .add_extension(x509.CRLNumber(1), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def _key_pem(key: rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _keep(folder: Path, name: str, certificate: x509.Certificate, key: rsa.RSAPrivateKey) -> None:
    _write(folder / f"{name}.pem", certificate.public_bytes(serialization.Encoding.PEM), 0o644)
    _write(folder / f"{name}.key", _key_pem(key), 0o600)


def _write(path: Path, data: bytes, mode: int) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
        file.write(data)
