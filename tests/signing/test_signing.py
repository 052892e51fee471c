"""Signatures that outside judges accept and that refuse every change."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest
import typst

from benhan.base.errors import InvalidInput
from benhan.signing import (
    LocalTimeStamper,
    Place,
    Prepared,
    SoftwareSigner,
    cades_finish,
    cades_prepare,
    pdf_finish,
    pdf_prepare,
    pki,
    seal,
    sign_cades,
    sign_pdf,
    verify_container,
    verify_entry,
    verify_pdf,
)

ENTRY = "Diễn biến: giảm sốt, đỡ khó thở.".encode()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A test PKI."""
    path = tmp_path_factory.mktemp("pki")
    pki.create(path)
    return path


@pytest.fixture(scope="module")
def roots(folder: Path) -> bytes:
    """Its root."""
    return (folder / "root.pem").read_bytes()


@pytest.fixture(scope="module")
def signer(folder: Path) -> SoftwareSigner:
    """An invented doctor."""
    issued = pki.issue(folder, "Nguyễn Văn Thử", "person", serial="000001/QNG-CCHN")
    return SoftwareSigner.load(issued.certificate, issued.key, pki.chain(folder))


@pytest.fixture(scope="module")
def tsa(folder: Path) -> LocalTimeStamper:
    """Its time-stamp authority."""
    return LocalTimeStamper(folder)


@pytest.fixture(scope="module")
def paper() -> bytes:
    """A one-page PDF/A-2b."""
    return typst.compile(
        '#set document(title: "Giấy thử")\n= Giấy ra viện (thử)'.encode(), pdf_standards=["a-2b"]
    )


async def test_entry_is_accepted_by_openssl_and_by_us(signer, tsa, roots, folder, tmp_path) -> None:
    """A detached CMS verifies with `openssl cms`; a changed byte is refused by both."""
    signature = await sign_cades(ENTRY, signer, tsa)
    (tmp_path / "s.p7s").write_bytes(signature)
    for content, code in ((ENTRY, 0), (ENTRY[:-1] + b"!", 4)):
        (tmp_path / "d").write_bytes(content)
        done = subprocess.run(
            ["openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", tmp_path / "s.p7s", "-content",
             tmp_path / "d", "-CAfile", folder / "root.pem", "-purpose", "any", "-out", "/dev/null"],
            capture_output=True, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stderr
        report = await verify_entry(content, signature, roots)
        assert report.ok is (code == 0)
        assert report.sub == ("" if code == 0 else "HASH_FAILURE")


async def test_time_stamp_is_accepted_by_openssl(signer, tsa, folder, tmp_path) -> None:
    """The RFC 3161 token inside the signature verifies with `openssl ts` over the signature value."""
    from asn1crypto import cms

    info = cms.ContentInfo.load(await sign_cades(ENTRY, signer, tsa))["content"]["signer_infos"][0]
    token = next(a for a in info["unsigned_attrs"] if a["type"].native == "signature_time_stamp_token")[
        "values"
    ][0]
    (tmp_path / "token").write_bytes(token.dump())
    (tmp_path / "chain.pem").write_bytes(pki.chain(folder))
    for data, ok in ((info["signature"].native, True), (info["signature"].native[:-1] + b"\0", False)):
        (tmp_path / "sig").write_bytes(data)
        done = subprocess.run(
            ["openssl", "ts", "-verify", "-data", tmp_path / "sig", "-in", tmp_path / "token", "-token_in",
             "-CAfile", tmp_path / "chain.pem", "-untrusted", folder / "tsa.pem"],
            capture_output=True, check=False, text=True,
        )  # fmt: skip
        assert ("Verification: OK" in done.stdout + done.stderr) is ok, done.stdout + done.stderr


async def test_paper_is_accepted_by_pdfsig(signer, tsa, roots, folder, paper, tmp_path) -> None:
    """Two signatures in order on one paper: `pdfsig` finds both valid, the first with the root trusted."""
    once = await sign_pdf(
        paper, signer, field="bac_si", name="Nguyễn Văn Thử", tsa=tsa, place=Place(0, (50, 50, 250, 90))
    )
    twice = await sign_pdf(once, signer, field="truong_khoa", name="Phạm Thị Thử", tsa=tsa)
    subprocess.run(["certutil", "-N", "-d", tmp_path, "--empty-password"], check=True)
    subprocess.run(
        ["certutil", "-A", "-d", tmp_path, "-n", "root", "-t", "C,C,C", "-i", folder / "root.pem"], check=True
    )
    for name, pdf, count in (("1.pdf", once, 1), ("2.pdf", twice, 2)):
        (tmp_path / name).write_bytes(pdf)
        said = subprocess.run(
            ["pdfsig", "-nssdir", tmp_path, tmp_path / name], capture_output=True, text=True, check=False
        ).stdout
        assert said.count("Signature is Valid") == count, said
        assert "Certificate is Trusted" in said, said
    report = await verify_pdf(twice, roots)
    assert report.ok
    assert [p.signer for p in report.parts] == ["Nguyễn Văn Thử (thử nghiệm)"] * 2
    assert not (await verify_pdf(paper, roots)).ok


async def test_paper_with_a_flipped_byte_is_refused(signer, tsa, roots, paper) -> None:
    """Every changed byte of a signed paper outside its signature container is seen."""
    signed = await sign_pdf(paper, signer, field="bac_si", name="Thử", tsa=tsa)
    rng = random.Random(7)
    for _ in range(12):
        bent = bytearray(signed)
        place = rng.randrange(len(paper))
        bent[place] ^= 1 << rng.randrange(8)
        assert not (await verify_pdf(bytes(bent), roots)).ok, place


async def test_signing_is_finished_by_another_process(signer, tsa, roots, paper) -> None:
    """What was prepared is finished from its stored state alone, minutes later."""
    prepared = await pdf_prepare(paper, signer, field="bac_si", reason="", name="Thử")
    again = Prepared(prepared.to_be_signed, bytes(prepared.state))
    done = await pdf_finish(again, signer, await signer.sign_digest(again), tsa)
    assert (await verify_pdf(done, roots)).ok
    entry = await cades_prepare(ENTRY, signer)
    again = Prepared(entry.to_be_signed, bytes(entry.state))
    assert (
        await verify_entry(
            ENTRY, await cades_finish(again, signer, await signer.sign_digest(again), tsa), roots
        )
    ).ok


async def test_foreign_root_is_not_trusted(signer, tsa, tmp_path) -> None:
    """A chain to another root is said to be without a chain, not called false."""
    pki.create(tmp_path / "other")
    report = await verify_entry(
        ENTRY, await sign_cades(ENTRY, signer, tsa), (tmp_path / "other" / "root.pem").read_bytes()
    )
    assert (report.indication, report.sub) == ("INDETERMINATE", "NO_CERTIFICATE_CHAIN_FOUND")


async def _mutate(count: int, signer, tsa, roots, paper) -> None:
    signed = await sign_pdf(paper, signer, field="bac_si", name="Thử", tsa=tsa)
    box = await seal({"giay.pdf": signed, "ho-so.json": b'{"a":72.50}', "Bệnh án.txt": ENTRY}, signer, tsa)
    assert (await verify_container(box, roots)).ok
    rng = random.Random(11)
    for _ in range(count):
        bent = bytearray(box)
        place = rng.randrange(len(box))
        bent[place] ^= 1 << rng.randrange(8)
        report = await verify_container(bytes(bent), roots)
        assert not report.ok, place
        assert report.findings


async def test_sealed_record_refuses_a_flipped_bit_anywhere(signer, tsa, roots, paper) -> None:
    """A hundred random bits of the container, headers included: each is refused with a reason."""
    await _mutate(100, signer, tsa, roots, paper)


@pytest.mark.long
async def test_sealed_record_refuses_a_thousand_flipped_bits(signer, tsa, roots, paper) -> None:
    """The full count."""
    await _mutate(1000, signer, tsa, roots, paper)


@pytest.mark.parametrize("name", ["../x", "/x", "META-INF/x", "mimetype", "a\\b", ""])
async def test_names_that_leave_the_container_are_refused(signer, name) -> None:
    """A container has no way out."""
    with pytest.raises(InvalidInput):
        await seal({name: b"x"}, signer)
