"""The test PKI of practice installations: root, issuing CA, time-stamp authority, OCSP responder, seals, persons.

Every subject says "thử nghiệm". Keys lie in ``home``/secrets/pki with mode 0600. Real certificates come from a licensed
authority and enter through the same `Signer`.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from asn1crypto import keys
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from benhan.base.clock import SYSTEM_CLOCK, Clock
from benhan.base.errors import ConfigurationError, InvalidInput
from benhan.base.settings import Settings

BITS = 2048
LIST_LIFE = timedelta(days=7)
LIFE = {"root": 7300, "ca": 3650, "tsa": 1825, "ocsp": 730, "seal": 1095, "person": 730}
MARK = "thử nghiệm"


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate with its private key, both PEM."""

    certificate: bytes
    key: bytes


def pki_folder(settings: Settings) -> Path:
    """Folder of the test PKI of an installation."""
    return settings.secrets_dir / "pki"


def create(folder: Path, clock: Clock = SYSTEM_CLOCK) -> None:
    """Make the PKI in ``folder`` unless it is there: root, ca, tsa, ocsp, empty revocation lists.

    It is made beside and moved in whole, so that processes starting together end with one and the same PKI.

    Raises: ``ConfigurationError`` (signing.pki-incomplete) for a folder that holds half a PKI.
    """
    if (folder / "ca.crl").exists():
        return
    folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    aside = folder.with_name(f".{folder.name}.{secrets.token_hex(8)}")
    aside.mkdir(mode=0o700)
    try:
        _fill(aside, clock)
        with contextlib.suppress(OSError):  # another process was first, or the folder is not empty
            aside.rename(folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    if not (folder / "ca.crl").exists():
        raise ConfigurationError(
            "signing.pki-incomplete", "Thư mục khóa thử nghiệm thiếu tệp; hãy dời nó đi."
        )


def _fill(folder: Path, clock: Clock) -> None:
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
        _note_issued(folder, made)
    _note_issued(folder, ca)
    for name, issuer, key in (("root", root, root_key), ("ca", ca, ca_key)):
        _write(folder / f"{name}.der", issuer.public_bytes(serialization.Encoding.DER), 0o644)
        _write(folder / f"{name}.crl", _crl(issuer, key, clock, 1, {}), 0o644)


def issue(
    folder: Path, common_name: str, kind: str, clock: Clock = SYSTEM_CLOCK, serial: str | None = None
) -> Issued:
    """A certificate of the issuing CA for a person or a seal (``kind``), with a new key; ``serial``: licence or code."""
    ca, ca_key = _certificate_in(folder, "ca"), _key_in(folder, "ca")
    key = _new_key()
    made = _certificate(_name(_marked(common_name), serial), ca.subject, key, ca_key, kind, clock, issuer=ca)
    _note_issued(folder, made)
    return Issued(made.public_bytes(serialization.Encoding.PEM), _key_pem(key))


def certify(folder: Path, csr: bytes, clock: Clock = SYSTEM_CLOCK) -> bytes:
    """A person's certificate for a request (PKCS #10, PEM) whose own signature holds; PEM.

    Raises: ``InvalidInput`` (signing.bad-request).
    """
    try:
        asked = x509.load_pem_x509_csr(csr)
    except ValueError:
        asked = None
    public = asked.public_key() if asked is not None and asked.is_signature_valid else None
    if asked is None or not isinstance(public, rsa.RSAPublicKey):
        raise InvalidInput("signing.bad-request", "Yêu cầu cấp chứng thư không đọc được.")
    held = {a.oid: str(a.value) for a in asked.subject}
    subject = _name(_marked(held.get(NameOID.COMMON_NAME, "")), held.get(NameOID.SERIAL_NUMBER))
    ca, ca_key = _certificate_in(folder, "ca"), _key_in(folder, "ca")
    made = _certificate(subject, ca.subject, public, ca_key, "person", clock, issuer=ca)
    _note_issued(folder, made)
    return made.public_bytes(serialization.Encoding.PEM)


def issue_person(folder: Path, name: str, licence: str, clock: Clock = SYSTEM_CLOCK) -> Issued:
    """A certificate of a person; the licence number stands as ``serialNumber`` of the subject."""
    return issue(folder, name, "person", clock, licence or None)


def issue_seal(folder: Path, name: str, code: str, clock: Clock = SYSTEM_CLOCK) -> Issued:
    """A certificate of a facility's seal; the facility code stands as ``serialNumber`` of the subject."""
    return issue(folder, name, "seal", clock, code or None)


@dataclass(frozen=True, slots=True)
class Gone:
    """A certificate on the list: since when, and whether it is only on hold (RFC 5280, 5.3.1 certificateHold)."""

    at: datetime
    held: bool = False


def revoke(folder: Path, serial: int, clock: Clock = SYSTEM_CLOCK) -> None:
    """Put a certificate of the issuing CA on its revocation list for good; twice changes nothing.

    From now on; one that was on hold is revoked from the beginning of the hold.
    """
    with _locked(folder):
        entries = _gone(folder)
        before = entries.get(serial)
        if before is None or before.held:
            entries[serial] = Gone(before.at if before else clock.now())
            _publish(folder, entries, clock)


def hold(folder: Path, serial: int, clock: Clock = SYSTEM_CLOCK) -> None:
    """Put a certificate on the list as suspended, from now on; one that is on the list already stays as it is."""
    with _locked(folder):
        entries = _gone(folder)
        if serial not in entries:
            entries[serial] = Gone(clock.now(), held=True)
            _publish(folder, entries, clock)


def lift(folder: Path, serial: int, clock: Clock = SYSTEM_CLOCK) -> None:
    """Take a suspended certificate off the list; a revoked one stays on it."""
    with _locked(folder):
        entries = _gone(folder)
        if (found := entries.get(serial)) is not None and found.held:
            del entries[serial]
            _publish(folder, entries, clock)


def _publish(folder: Path, entries: dict[int, Gone], clock: Clock) -> None:
    text = json.dumps({f"{s:x}": {"at": one.at.isoformat(), "held": one.held} for s, one in entries.items()})
    _write(folder / "revoked.json", text.encode(), 0o644)
    _write_list(folder, "ca", entries, clock)


def _write_list(folder: Path, name: str, entries: dict[int, Gone], clock: Clock) -> None:
    before = x509.load_der_x509_crl((folder / f"{name}.crl").read_bytes())
    number = before.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number + 1
    made = _crl(_certificate_in(folder, name), _key_in(folder, name), clock, number, entries)
    _write(folder / f"{name}.crl", made, 0o644)


def current_list(folder: Path, name: str, clock: Clock = SYSTEM_CLOCK) -> bytes:
    """The revocation list (DER) of ``root`` or ``ca``, made anew in the second half of its life."""
    path = folder / f"{name}.crl"
    if _half_spent(path.read_bytes(), clock):
        with _locked(folder):
            if _half_spent(path.read_bytes(), clock):
                _write_list(folder, name, _gone(folder) if name == "ca" else {}, clock)
    return path.read_bytes()


def _half_spent(der: bytes, clock: Clock) -> bool:
    return clock.now() > x509.load_der_x509_crl(der).last_update_utc + LIST_LIFE / 2


def gone(folder: Path, serial: int) -> Gone | None:
    """Since when a certificate is revoked or on hold, None while it stands."""
    return _gone(folder).get(serial)


def is_issued(folder: Path, serial: int) -> bool:
    """Whether this PKI has issued a certificate with the serial number."""
    return (folder / "issued" / f"{serial:x}").exists()


def ocsp_response(
    folder: Path, serial: int, clock: Clock = SYSTEM_CLOCK, *, request: ocsp.OCSPRequest | None = None
) -> ocsp.OCSPResponse:
    """The responder's signed answer about a certificate of the issuing CA (RFC 6960): good, revoked or unknown.

    With a request, its issuer hashes and nonce are answered; hashes of another issuer are unknown.
    """
    ca, responder = _certificate_in(folder, "ca"), _certificate_in(folder, "ocsp")
    algorithm: hashes.HashAlgorithm = request.hash_algorithm if request else hashes.SHA256()
    name_hash, key_hash = issuer_hashes(ca, algorithm)
    ours = request is None or (request.issuer_name_hash, request.issuer_key_hash) == (name_hash, key_hash)
    found = gone(folder, serial) if ours and is_issued(folder, serial) else None
    status = ocsp.OCSPCertStatus.UNKNOWN
    if ours and is_issued(folder, serial):
        status = ocsp.OCSPCertStatus.REVOKED if found else ocsp.OCSPCertStatus.GOOD
    now = clock.now()
    builder = (
        ocsp.OCSPResponseBuilder()
        .add_response_by_hash(
            issuer_name_hash=request.issuer_name_hash if request else name_hash,
            issuer_key_hash=request.issuer_key_hash if request else key_hash,
            serial_number=serial,
            algorithm=algorithm,
            cert_status=status,
            this_update=now,
            next_update=now + timedelta(days=1),
            revocation_time=found.at if found else None,
            revocation_reason=x509.ReasonFlags.certificate_hold if found and found.held else None,
        )
        .responder_id(ocsp.OCSPResponderEncoding.HASH, responder)
        .certificates([responder])
    )
    with contextlib.suppress(x509.ExtensionNotFound):
        if request is not None:
            nonce = request.extensions.get_extension_for_class(x509.OCSPNonce)
            builder = builder.add_extension(nonce.value, critical=False)
    return builder.sign(_key_in(folder, "ocsp"), hashes.SHA256())


def issuer_hashes(issuer: x509.Certificate, algorithm: hashes.HashAlgorithm) -> tuple[bytes, bytes]:
    """Hashes of name and key by which OCSP names an issuer (RFC 6960, 4.1.1)."""
    info = issuer.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    bits = keys.PublicKeyInfo.load(info)["public_key"].contents[1:]  # without the count of unused bits

    def digest(data: bytes) -> bytes:
        return hashlib.new(algorithm.name, data, usedforsecurity=False).digest()

    return digest(issuer.subject.public_bytes()), digest(bits)


def _certificate_in(folder: Path, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate((folder / f"{name}.pem").read_bytes())


def _key_in(folder: Path, name: str) -> rsa.RSAPrivateKey:
    return _key_of((folder / f"{name}.key").read_bytes())


@lru_cache(maxsize=32)
def _key_of(pem: bytes) -> rsa.RSAPrivateKey:
    """The key, which OpenSSL checks when it is read: that takes longer than to sign with it."""
    key = serialization.load_pem_private_key(pem, None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise RuntimeError("the keys of the test PKI are RSA")
    return key


def _note_issued(folder: Path, certificate: x509.Certificate) -> None:
    (folder / "issued").mkdir(exist_ok=True, mode=0o700)
    (folder / "issued" / f"{certificate.serial_number:x}").touch()


def _gone(folder: Path) -> dict[int, Gone]:
    path = folder / "revoked.json"
    if not path.exists():
        return {}
    return {int(s, 16): _gone_of(one) for s, one in json.loads(path.read_bytes()).items()}


def _gone_of(one: str | dict[str, Any]) -> Gone:
    """An entry of the file; a bare time is a revocation, as earlier versions wrote it."""
    if isinstance(one, str):
        return Gone(datetime.fromisoformat(one))
    return Gone(datetime.fromisoformat(one["at"]), bool(one["held"]))


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with (folder / "revoked.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


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
    key: rsa.RSAPrivateKey | rsa.RSAPublicKey,
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
    public = key if isinstance(key, rsa.RSAPublicKey) else key.public_key()
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer_name)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=LIFE[kind]))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=ca), critical=True)
        .add_extension(_usage(is_ca, kind), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
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


def _crl(
    issuer: x509.Certificate, key: rsa.RSAPrivateKey, clock: Clock, number: int, entries: dict[int, Gone]
) -> bytes:
    now = clock.now() - timedelta(minutes=0 if number > 1 else 5)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.subject)
        .last_update(now)
        .next_update(now + LIST_LIFE)
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
    )
    for serial, one in sorted(entries.items()):
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(one.at)
        if one.held:
            entry = entry.add_extension(x509.CRLReason(x509.ReasonFlags.certificate_hold), critical=False)
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def _key_pem(key: rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _keep(folder: Path, name: str, certificate: x509.Certificate, key: rsa.RSAPrivateKey) -> None:
    _write(folder / f"{name}.pem", certificate.public_bytes(serialization.Encoding.PEM), 0o644)
    _write(folder / f"{name}.key", _key_pem(key), 0o600)


def _write(path: Path, data: bytes, mode: int) -> None:
    """Replace a file whole: readers see the old bytes or the new."""
    aside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(data)
    aside.replace(path)
