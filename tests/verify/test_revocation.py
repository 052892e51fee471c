"""The stand-alone verifier judges revocation by what travels with a signature and by lists brought along."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
import typst
from cryptography import x509
from cryptography.hazmat.primitives import serialization

import benhan_verify
from benhan.base.clock import FrozenClock
from benhan.signing import LocalEvidence, LocalTimeStamper, SoftwareSigner, pki, seal, sign_cades, sign_pdf
from benhan_verify.revocation import of_lists

LATER = datetime.now(UTC) + timedelta(days=10)


@pytest.fixture
def made(tmp_path: Path) -> SimpleNamespace:
    """A PKI of its own, a seal with evidence, a person without, and a folder of roots."""
    folder = tmp_path / "pki"
    pki.create(folder)
    person, stamp = (
        pki.issue_person(folder, "Nguyễn Văn Thử", "1"),
        pki.issue_seal(folder, "Bệnh viện", "51Z01"),
    )
    (tmp_path / "roots").mkdir()
    (tmp_path / "roots" / "root.pem").write_bytes((folder / "root.pem").read_bytes())
    return SimpleNamespace(
        folder=folder, tsa=LocalTimeStamper(folder),
        person=SoftwareSigner.load(person.certificate, person.key, pki.chain(folder)),
        seal=SoftwareSigner.load(stamp.certificate, stamp.key, pki.chain(folder), LocalEvidence(folder)),
        roots=benhan_verify.roots_of_pem((folder / "root.pem").read_bytes()),
    )  # fmt: skip


def _lists(made: SimpleNamespace):
    return of_lists([(made.folder / f"{name}.crl").read_bytes() for name in ("root", "ca")])


async def test_evidence_inside_a_sealed_record_is_proved(made, tmp_path, capsys) -> None:
    """The CMS of the container and the store of a sealed paper prove that nothing was revoked; the folder of roots works."""
    paper = typst.compile('#set document(title: "x")\n= Giấy'.encode(), pdf_standards=["a-2b"])
    pdf = await sign_pdf(paper, made.seal, field="co_so", name="Bệnh viện", tsa=made.tsa)
    (tmp_path / "a.asice").write_bytes(await seal({"giay.pdf": pdf}, made.seal, made.tsa))
    assert benhan_verify.main([str(tmp_path / "a.asice"), "--root", str(tmp_path / "roots")], now=LATER) == 0
    assert capsys.readouterr().out.count("không bị thu hồi, theo bằng chứng") == 4  # seal and stamp, twice


async def test_signature_without_evidence_says_so(made) -> None:
    """A remark, no refusal; a list brought along judges it."""
    signature = await sign_cades(b"x", made.person, made.tsa)
    verdict = benhan_verify.verify_detached(b"x", signature, made.roots)
    assert verdict.exit_code == 0
    assert "Không đủ bằng chứng" in verdict.as_text()
    judged = benhan_verify.verify_detached(b"x", signature, made.roots, LATER, brought=_lists(made))
    assert judged.exit_code == 0
    assert "Không đủ bằng chứng" not in judged.as_text()


async def test_revoked_certificate_is_refused_from_then_on(made, tmp_path, capsys) -> None:
    """What was stamped before the revocation stays proved; what came after is refused, also on the command line."""
    clock = FrozenClock(datetime.now(UTC) - timedelta(minutes=2))
    tsa = LocalTimeStamper(made.folder, clock)
    before = await sign_cades(b"x", made.person, tsa)
    pki.revoke(made.folder, made.person.certificate.serial_number)
    clock.move(days=1)
    after = await sign_cades(b"x", made.person, tsa)
    lists = _lists(made)
    assert benhan_verify.verify_detached(b"x", before, made.roots, LATER, brought=lists).exit_code == 0
    refused = benhan_verify.verify_detached(b"x", after, made.roots, LATER, brought=lists)
    assert (refused.indication, refused.sub) == ("INDETERMINATE", "REVOKED_NO_POE"), refused.as_text()
    (tmp_path / "x").write_bytes(b"x")
    (tmp_path / "x.p7s").write_bytes(after)
    pem = x509.load_der_x509_crl((made.folder / "ca.crl").read_bytes())
    (tmp_path / "ca.crl.pem").write_bytes(pem.public_bytes(serialization.Encoding.PEM))
    named = [str(tmp_path / "x"), "--root", str(tmp_path / "roots")]
    assert benhan_verify.main([*named, "--crl", str(tmp_path / "ca.crl.pem")], now=LATER) == 1
    assert "đã bị thu hồi lúc" in capsys.readouterr().out
    assert benhan_verify.main([*named, "--crl", str(tmp_path / "x")], now=LATER) == 2


async def test_list_of_another_authority_is_passed_over(made, tmp_path) -> None:
    """A foreign list that names the serial number does not count."""
    pki.create(tmp_path / "other")
    pki.revoke(tmp_path / "other", made.person.certificate.serial_number)
    foreign = of_lists([(tmp_path / "other" / "ca.crl").read_bytes()])
    signature = await sign_cades(b"x", made.person, made.tsa)
    verdict = benhan_verify.verify_detached(b"x", signature, made.roots, LATER, brought=foreign)
    assert verdict.exit_code == 0
    assert "Không đủ bằng chứng" in verdict.as_text()


async def test_answer_of_a_responder_that_nobody_appointed_is_passed_over(made) -> None:
    """Only the issuer or a certificate for OCSP signing may say that a certificate is revoked."""
    serial = made.person.certificate.serial_number
    pki.revoke(made.folder, serial)
    honest = pki.ocsp_response(made.folder, serial).public_bytes(serialization.Encoding.DER)
    for name in ("pem", "key"):
        (made.folder / f"ocsp.{name}").write_bytes((made.folder / f"tsa.{name}").read_bytes())
    foreign = pki.ocsp_response(made.folder, serial).public_bytes(serialization.Encoding.DER)
    clock = FrozenClock(datetime.now(UTC) + timedelta(days=1))
    signature = await sign_cades(b"x", made.person, LocalTimeStamper(made.folder, clock))
    for answer, code in ((honest, 1), (foreign, 0)):
        evidence = benhan_verify.revocation.Evidence((), (answer,))
        verdict = benhan_verify.verify_detached(b"x", signature, made.roots, LATER, brought=evidence)
        assert verdict.exit_code == code, verdict.as_text()
