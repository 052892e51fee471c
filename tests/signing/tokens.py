"""A SoftHSM token with keys made inside it and certified by a test PKI; it can be pulled out and plugged in again."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pkcs11
import pytest
from asn1crypto import keys as asn1_keys
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

MODULE = Path("/usr/lib/softhsm/libsofthsm2.so")
PIN = "482915"
LABEL = "bac-si"


class SoftToken:
    """Where the token's files are; without them the driver answers as with a token that was pulled out."""

    def __init__(self, home: Path) -> None:
        self._in, self._out = home / "tokens", home / "pulled"

    def pull(self) -> None:
        """Out, while the driver stays loaded."""
        self._in.rename(self._out)

    def plug(self) -> None:
        """In again."""
        self._out.rename(self._in)


@contextlib.contextmanager
def soft_token(home: Path, folder: Path) -> Iterator[SoftToken]:
    """A token ``bac-si`` below ``home``, with ``ky-rsa`` and ``ky-ec`` certified by the PKI in ``folder``."""
    (home / "tokens").mkdir()
    (home / "softhsm2.conf").write_text(
        f"directories.tokendir = {home / 'tokens'}\nobjectstore.backend = file\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOFTHSM2_CONF", str(home / "softhsm2.conf"))
        subprocess.run(
            ["softhsm2-util", "--init-token", "--free", "--label", LABEL, "--pin", PIN, "--so-pin", "87654321"],
            check=True, capture_output=True,
        )  # fmt: skip
        library = pkcs11.lib(str(MODULE))
        library.reinitialize()  # another test of this process may have had another token
        with library.get_token(token_label=LABEL).open(rw=True, user_pin=PIN) as session:
            _fill(session, folder)
        yield SoftToken(home)


def _fill(session: pkcs11.Session, folder: Path) -> None:
    public, _ = session.generate_keypair(pkcs11.KeyType.RSA, 2048, store=True, label="ky-rsa")
    _certify(session, folder, "ky-rsa", pkcs11.util.rsa.encode_rsa_public_key(public), "rsa")
    parameters = session.create_domain_parameters(
        pkcs11.KeyType.EC,
        {pkcs11.Attribute.EC_PARAMS: pkcs11.util.ec.encode_named_curve_parameters("secp256r1")},
        local=True,
    )
    public, _ = parameters.generate_keypair(store=True, label="ky-ec")
    _certify(session, folder, "ky-ec", pkcs11.util.ec.encode_ec_public_key(public), "ec")


def _certify(session: pkcs11.Session, folder: Path, label: str, public: bytes, kind: str) -> None:
    """Let the test CA certify a key of the token and put the certificate beside it."""
    if kind == "rsa":
        public = asn1_keys.PublicKeyInfo.wrap(asn1_keys.RSAPublicKey.load(public), "rsa").dump()
    ca = x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())
    ca_key = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), None)
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(
            x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"Bác sĩ {label} (thử nghiệm)")])
        )
        .issuer_name(ca.subject)
        .public_key(serialization.load_der_public_key(public))
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.KeyUsage(True, True, *[False] * 7), critical=True)
        .sign(ca_key, hashes.SHA256())
    )
    session.create_object(
        {
            pkcs11.Attribute.CLASS: pkcs11.ObjectClass.CERTIFICATE,
            pkcs11.Attribute.CERTIFICATE_TYPE: pkcs11.CertificateType.X_509,
            pkcs11.Attribute.TOKEN: True,
            pkcs11.Attribute.LABEL: label,
            pkcs11.Attribute.SUBJECT: certificate.subject.public_bytes(),
            pkcs11.Attribute.VALUE: certificate.public_bytes(serialization.Encoding.DER),
        }
    )
