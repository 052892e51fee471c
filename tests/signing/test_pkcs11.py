"""Keys in a PKCS#11 token (SoftHSM): signatures are accepted, wrong PINs and missing things are told apart."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pkcs11
import pytest
import typst
from asn1crypto import keys as asn1_keys
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from benhan.base.errors import BenhanError
from benhan.signing import (
    LocalTimeStamper,
    TokenPlace,
    TokenSigner,
    pki,
    sign_cades,
    sign_pdf,
    verify_entry,
    verify_pdf,
)

MODULE = Path("/usr/lib/softhsm/libsofthsm2.so")
PIN = "482915"
ENTRY = "Diễn biến: giảm sốt.".encode()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A token with an RSA and an EC key made inside it, certified by a test PKI."""
    home = tmp_path_factory.mktemp("softhsm")
    (home / "tokens").mkdir()
    (home / "softhsm2.conf").write_text(
        f"directories.tokendir = {home / 'tokens'}\nobjectstore.backend = file\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOFTHSM2_CONF", str(home / "softhsm2.conf"))
        subprocess.run(
            ["softhsm2-util", "--init-token", "--free", "--label", "bac-si", "--pin", PIN, "--so-pin", "87654321"],
            check=True, capture_output=True,
        )  # fmt: skip
        folder = home / "pki"
        pki.create(folder)
        with pkcs11.lib(str(MODULE)).get_token(token_label="bac-si").open(rw=True, user_pin=PIN) as session:
            _fill(session, folder)
        yield SimpleNamespace(
            folder=folder, tsa=LocalTimeStamper(folder), roots=(folder / "root.pem").read_bytes(),
            chain=pki.chain(folder),
        )  # fmt: skip


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


@pytest.mark.parametrize("label", ["ky-rsa", "ky-ec"])
async def test_token_signs_entries_and_papers(made, label) -> None:
    """Both kinds of key make signatures that verify; a changed byte is refused."""
    signer = await TokenSigner.open(TokenPlace(MODULE, "bac-si", label), PIN, made.chain)
    signature = await sign_cades(ENTRY, signer, made.tsa)
    assert (await verify_entry(ENTRY, signature, made.roots)).ok
    assert not (await verify_entry(ENTRY + b"!", signature, made.roots)).ok
    paper = typst.compile('#set document(title: "Giấy thử")\n= Giấy (thử)'.encode(), pdf_standards=["a-2b"])
    report = await verify_pdf(await sign_pdf(paper, signer, field="ky", name="Thử", tsa=made.tsa), made.roots)
    assert report.ok
    assert report.signer == f"Bác sĩ {label} (thử nghiệm)"
    assert PIN not in repr(signer)


@pytest.mark.parametrize(
    ("place", "pin", "code"),
    [
        (TokenPlace(MODULE, "bac-si", "ky-rsa"), "000000", "signing.wrong-pin"),
        (TokenPlace(MODULE, "khac", "ky-rsa"), PIN, "signing.no-token"),
        (TokenPlace(MODULE, "bac-si", "khac"), PIN, "signing.no-key-in-token"),
        (TokenPlace(Path("/khong/co.so"), "bac-si", "ky-rsa"), PIN, "signing.token-failed"),
    ],
)
async def test_faults_of_the_token_are_told_apart(made, place, pin, code) -> None:
    """Wrong PIN, no token, no key, no driver: each has its own code."""
    with pytest.raises(BenhanError) as caught:
        await TokenSigner.open(place, pin, made.chain)
    assert caught.value.code == code


async def test_wrong_pin_at_signing_is_refused(made) -> None:
    """The PIN is asked for at each signature, not only at the first look."""
    good = await TokenSigner.open(TokenPlace(MODULE, "bac-si", "ky-rsa"), PIN, made.chain)
    with pytest.raises(BenhanError) as caught:
        await sign_cades(ENTRY, TokenSigner(good.certificate, good.chain, good.place, "000000"), made.tsa)
    assert caught.value.code == "signing.wrong-pin"
