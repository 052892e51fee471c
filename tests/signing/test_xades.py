"""XAdES-B: an outside judge accepts it; wrapping, doubled Ids and every other trick are refused with a reason."""

from __future__ import annotations

import random
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from lxml import etree

from benhan.base.errors import InvalidInput
from benhan.signing import (
    Prepared,
    SoftwareSigner,
    pki,
    sign_xades,
    verify_xades,
    xades_finish,
    xades_prepare,
)

DOC = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<GIAMDINHHS><!-- lời --><HOSO>\n'
    " <HO_TEN>Đặng Thử</HO_TEN>\n</HOSO><CHUKYDONVI/></GIAMDINHHS>"
).encode()
D = "{http://www.w3.org/2000/09/xmldsig#}"


@pytest.fixture(scope="module")
async def made(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A PKI, an RSA and an EC signer, a signed document of each."""
    folder = tmp_path_factory.mktemp("pki")
    pki.create(folder)
    issued = pki.issue(folder, "Bệnh viện Thử", "seal", serial="51001")
    signer = SoftwareSigner.load(issued.certificate, issued.key, pki.chain(folder))
    return SimpleNamespace(
        folder=folder, signer=signer, curve=_curve(folder), roots=(folder / "root.pem").read_bytes(),
        signed=await sign_xades(DOC, signer, parent="CHUKYDONVI"), issued=issued,
    )  # fmt: skip


def _curve(folder: Path) -> SoftwareSigner:
    ca = x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())
    above = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), None)
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Người ký EC (thử nghiệm)")])
    usage = x509.KeyUsage(True, True, False, False, False, False, False, False, False)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(ca.subject).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=9)).add_extension(usage, critical=True)
        .sign(above, hashes.SHA256())
    )  # fmt: skip
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return SoftwareSigner.load(certificate.public_bytes(pem), private, pki.chain(folder))


def _xmlsec(folder: Path, path: Path) -> int:
    trusted = ["--trusted-pem", str(folder / "root.pem"), "--untrusted-pem", str(folder / "ca.pem")]
    ids = ["--id-attr:Id", "http://uri.etsi.org/01903/v1.3.2#:SignedProperties"]
    command = ["xmlsec1", "--verify", *trusted, *ids, "--enabled-key-data", "x509", path.name]
    return subprocess.run(command, cwd=path.parent, capture_output=True, check=False).returncode


async def test_an_outside_judge_accepts_and_refuses(made, tmp_path) -> None:
    """`xmlsec1` for RSA and EC, enveloped and detached; a changed name is refused by both."""
    for number, signer in enumerate((made.signer, made.curve)):
        path = tmp_path / f"{number}.xml"
        signed = await sign_xades(DOC, signer, parent="CHUKYDONVI")
        path.write_bytes(signed)
        assert _xmlsec(made.folder, path) == 0
        report = await verify_xades(signed, made.roots)
        assert report.ok, report
        bent = signed.replace("Đặng".encode(), "Đăng".encode())
        path.write_bytes(bent)
        assert _xmlsec(made.folder, path) != 0
        assert (await verify_xades(bent, made.roots)).sub == "HASH_FAILURE"
        (tmp_path / "goi.xml").write_bytes(DOC)
        detached = await sign_xades(DOC, signer, detached="goi.xml")
        path.write_bytes(detached)
        assert _xmlsec(made.folder, path) == 0
        assert (await verify_xades(detached, made.roots, content=("goi.xml", DOC))).ok
        assert (
            await verify_xades(detached, made.roots, content=("goi.xml", DOC + b" "))
        ).sub == "HASH_FAILURE"
        assert (await verify_xades(detached, made.roots, content=("khac.xml", DOC))).sub == "FORMAT_FAILURE"
        assert (await verify_xades(detached, made.roots)).sub == "SIGNED_DATA_NOT_FOUND"


async def test_two_phases_survive_being_stored(made) -> None:
    """The state is bytes; another process finishes."""
    first = await xades_prepare(DOC, made.signer)
    again = Prepared(bytes(first.to_be_signed), bytes(first.state))
    signed = await xades_finish(again, made.signer, await made.signer.sign_digest(again))
    assert (await verify_xades(signed, made.roots)).ok
    with pytest.raises(InvalidInput, match="đã có chữ ký"):
        await sign_xades(signed, made.signer)


async def test_tricks_are_refused_with_a_reason(made) -> None:
    """Wrapping, doubled Ids, no signature, two signatures, foreign roots, weak algorithms, other transforms."""
    text, roots = made.signed.decode(), made.roots
    tree = etree.fromstring(made.signed)
    signature = etree.tostring(tree.find(f".//{D}Signature"), with_tail=False).decode()
    own = tree.find(f".//{D}Signature").get("Id")
    bare = text.replace(signature, "")
    evil = bare.replace("Đặng", "Kẻ")
    wrapped = evil.replace("<CHUKYDONVI", f"<Giau>{text[text.index('<GIAMDINHHS') :]}</Giau><CHUKYDONVI")
    cases = {
        "SIGNED_DATA_NOT_FOUND": [bare],
        "HASH_FAILURE": [wrapped, text.replace("<HOSO>", "<HOSO><X/>"), text.replace("<HOSO>", '<HOSO a="1">')],
        "FORMAT_FAILURE": [
            text.replace("</GIAMDINHHS>", signature + "</GIAMDINHHS>"),
            text.replace("<HOSO>", f'<HOSO Id="{own}">'),
            text.replace("<HOSO>", f'<HOSO ID="{own}-props">'),
            text.replace('URI=""', 'URI="#x"'),
            text.replace("xmldsig#enveloped-signature", "xmldsig#base64"),
            text.replace("<ds:Object>", "<ds:Object/><ds:Object>"),
        ],
        "CRYPTO_CONSTRAINTS_FAILURE": [
            text.replace("xmlenc#sha256", "xmldsig#sha1"),
            text.replace("rsa-sha256", "rsa-sha1").replace("2001/04/xmldsig-more", "2000/09/xmldsig"),
        ],
    }  # fmt: skip
    for sub, documents in cases.items():
        for number, document in enumerate(documents):
            assert document != text, (sub, number)
            report = await verify_xades(document.encode(), roots)
            assert (report.indication, report.sub) == ("TOTAL-FAILED", sub), (number, report)
            assert report.findings[0].text


async def test_certificates_are_judged(made, tmp_path) -> None:
    """Foreign root, expired, not yet valid, revoked, a claimed time in the future."""
    pki.create(tmp_path)
    foreign = await verify_xades(made.signed, (tmp_path / "root.pem").read_bytes())
    assert (foreign.indication, foreign.sub) == ("INDETERMINATE", "NO_CERTIFICATE_CHAIN_FOUND")
    later = await verify_xades(made.signed, made.roots, datetime.now(UTC) + timedelta(days=4000))
    assert (later.indication, later.sub) == ("INDETERMINATE", "OUT_OF_BOUNDS_NO_POE")
    early = await verify_xades(made.signed, made.roots, datetime.now(UTC) - timedelta(days=4000))
    assert early.sub == "SIG_CONSTRAINTS_FAILURE"
    pki.revoke(made.folder, made.signer.certificate.serial_number)
    lists = [(made.folder / f"{name}.crl").read_bytes() for name in ("root", "ca")]
    revoked = await verify_xades(made.signed, made.roots, datetime.now(UTC) + timedelta(hours=1), crls=lists)
    assert (revoked.indication, revoked.sub) == ("TOTAL-FAILED", "REVOKED")


async def test_changed_bytes_never_pass_with_other_content(made) -> None:
    """Random bytes changed: refused, or the document's content and the signer are the same as before."""
    rng, content = random.Random(41), etree.tostring(etree.fromstring(DOC).find("HOSO"), method="c14n")
    for _ in range(300):
        bent = bytearray(made.signed)
        bent[rng.randrange(len(bent))] ^= 1 << rng.randrange(8)
        report = await verify_xades(bytes(bent), made.roots)
        if report.ok:
            assert etree.tostring(etree.fromstring(bytes(bent)).find("HOSO"), method="c14n") == content
            assert report.signer.startswith("Bệnh viện Thử")
        else:
            assert report.sub
