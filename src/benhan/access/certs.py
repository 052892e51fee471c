"""The network's own small CA: node certificates for mutual TLS (`benhan cert`). Keys EC P-256, files 0600.

No revocation list: a node's certificates live a year, its registration (thumbprint) is removed at once.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import os
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from benhan.base.clock import SYSTEM_CLOCK, Clock
from benhan.base.errors import Conflict, InvalidInput, NotFound

CA_LIFE = timedelta(days=3650)
NODE_LIFE = timedelta(days=365)
RENEW_BEFORE = timedelta(days=30)
_BACKDATE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class NodeFiles:
    """Files of a node (PEM) and the thumbprint of its certificate."""

    cert: Path
    key: Path
    ca: Path
    thumbprint: str
    not_after: datetime


def thumbprint(cert: bytes) -> str:
    """``x5t#S256``: base64url SHA-256 of a certificate given as DER or PEM, without padding."""
    der = cert
    if cert.lstrip().startswith(b"-----"):
        der = x509.load_pem_x509_certificate(cert).public_bytes(serialization.Encoding.DER)
    return base64.urlsafe_b64encode(hashlib.sha256(der).digest()).rstrip(b"=").decode()


def create_ca(folder: Path, name: str = "Bệnh Án: CA nội bộ", *, clock: Clock = SYSTEM_CLOCK) -> Path:
    """A new CA in ``folder`` (``ca.crt``, ``ca.key``); path of ``ca.crt``.

    Raises: ``Conflict`` (access.ca-exists): a CA is never overwritten.
    """
    if (folder / "ca.key").exists():
        raise Conflict("access.ca-exists", f"Thư mục {folder} đã có CA; không ghi đè.")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COUNTRY_NAME, "VN"), _common_name(name)])
    now = clock.now()
    cert = (
        _builder(subject, subject, key.public_key(), now, now + CA_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(sign_certs=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    _write(folder / "ca.key", _key_pem(key), 0o600)
    _write(folder / "ca.crt", cert.public_bytes(serialization.Encoding.PEM), 0o644)
    return folder / "ca.crt"


def issue_node(
    ca_dir: Path,
    name: str,
    hosts: list[str],
    out: Path,
    *,
    clock: Clock = SYSTEM_CLOCK,
    life: timedelta = NODE_LIFE,
) -> NodeFiles:
    """A certificate and key for a node, good as server and as client, for its host names and addresses.

    Writes ``<name>.crt``, ``<name>.key`` and a copy of ``ca.crt`` into ``out``; an earlier key is replaced
    (renewal draws a new key; keep the old thumbprint registered until the node has switched).
    Raises: ``NotFound`` (access.no-ca), ``InvalidInput`` (access.bad-host).
    """
    ca_cert, ca_key = _load_ca(ca_dir)
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,60}", name) or not hosts:
        raise InvalidInput(
            "access.bad-host", "Cần tên nút (chữ không dấu, số) và ít nhất một tên máy hoặc địa chỉ."
        )
    out.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = ec.generate_private_key(ec.SECP256R1())
    now = clock.now()
    end = min(now + life, ca_cert.not_valid_after_utc)
    cert = (
        _builder(x509.Name([_common_name(name)]), ca_cert.subject, key.public_key(), now, end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(sign_certs=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
            critical=False,
        )
        .add_extension(x509.SubjectAlternativeName([_alt_name(h) for h in hosts]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False
        )
        .sign(ca_key, hashes.SHA256())
    )
    pem = cert.public_bytes(serialization.Encoding.PEM)
    _write(out / f"{name}.key", _key_pem(key), 0o600)
    _write(out / f"{name}.crt", pem, 0o644)
    _write(out / "ca.crt", ca_cert.public_bytes(serialization.Encoding.PEM), 0o644)
    return NodeFiles(
        out / f"{name}.crt", out / f"{name}.key", out / "ca.crt", thumbprint(pem), cert.not_valid_after_utc
    )


def renew_node(ca_dir: Path, cert: Path, *, clock: Clock = SYSTEM_CLOCK) -> NodeFiles:
    """Issue a node's certificate again, with a new key, for the same name and hosts, in its folder."""
    old = x509.load_pem_x509_certificate(cert.read_bytes())
    alt = old.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    hosts = [
        *alt.get_values_for_type(x509.DNSName),
        *(str(a) for a in alt.get_values_for_type(x509.IPAddress)),
    ]
    name = old.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
    return issue_node(ca_dir, str(name), hosts, cert.parent, clock=clock)


def needs_renewal(cert: Path, *, clock: Clock = SYSTEM_CLOCK) -> bool:
    """True from 30 days before the end."""
    end = x509.load_pem_x509_certificate(cert.read_bytes()).not_valid_after_utc
    return clock.now() >= end - RENEW_BEFORE


def create_client_key(path: Path) -> bytes:
    """A new EC P-384 key (PEM, 0600) with which a machine signs its assertions; its bytes."""
    pem = _key_pem(ec.generate_private_key(ec.SECP384R1()))
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    _write(path, pem, 0o600)
    return pem


def _load_ca(folder: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    try:
        cert = x509.load_pem_x509_certificate((folder / "ca.crt").read_bytes())
        key = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), None)
    except FileNotFoundError:
        raise NotFound("access.no-ca", f"Thư mục {folder} chưa có CA. Tạo bằng 'benhan cert ca'.") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise InvalidInput("access.bad-key", "Khóa CA phải là khóa EC.")
    return cert, key


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATE)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _common_name(name: str) -> x509.NameAttribute[str]:
    return x509.NameAttribute(NameOID.COMMON_NAME, name)


def _usage(*, sign_certs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign_certs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign_certs,
        crl_sign=sign_certs,
        encipher_only=False,
        decipher_only=False,
    )


def _alt_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    if not re.fullmatch(r"(?!-)[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})*", host):
        raise InvalidInput("access.bad-host", f"Tên máy '{host}' không hợp lệ.")
    return x509.DNSName(host)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(path: Path, data: bytes, mode: int) -> None:
    """Write by rename, so that a half-written key is never read; the mode is set before the first byte."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
