"""What the verifier must see beyond intact bytes: changed pages, lapsed and revoked certificates, long-term evidence."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import pytest
import typst
from asn1crypto import cms
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter

import benhan_verify
from benhan.base.clock import FrozenClock
from benhan.signing import (
    LocalEvidence,
    LocalTimeStamper,
    Place,
    SoftwareSigner,
    pki,
    seal,
    sign_cades,
    sign_pdf,
    verify_container,
    verify_entry,
    verify_pdf,
)

LATER = datetime.now(UTC) + timedelta(days=3 * 365)
BOX = Place(0, (50, 50, 250, 95))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A PKI with two persons and a seal whose signatures carry evidence."""
    folder = tmp_path_factory.mktemp("judging") / "pki"
    pki.create(folder)

    def signer(issued: pki.Issued, source: LocalEvidence | None = None) -> SoftwareSigner:
        return SoftwareSigner.load(issued.certificate, issued.key, pki.chain(folder), source)

    return SimpleNamespace(
        folder=folder, tsa=LocalTimeStamper(folder), roots=(folder / "root.pem").read_bytes(),
        doctor=signer(pki.issue_person(folder, "Nguyễn Văn Thử", "1")),
        head=signer(pki.issue_person(folder, "Phạm Thị Thử", "2")),
        stamp=signer(pki.issue_seal(folder, "51Z01 Bệnh viện Thử", "51Z01"), LocalEvidence(folder)),
        paper=typst.compile('#set document(title: "Giấy")\n= Giấy ra viện (thử)'.encode(), pdf_standards=["a-2b"]),
    )  # fmt: skip


def _pdfsig(pdf: bytes, made: SimpleNamespace, folder: Path) -> str:
    if not (folder / "cert9.db").exists():
        subprocess.run(["certutil", "-N", "-d", folder, "--empty-password"], check=True)
        subprocess.run(
            ["certutil", "-A", "-d", folder, "-n", "root", "-t", "C,C,C", "-i", made.folder / "root.pem"], check=True
        )  # fmt: skip
    (folder / "p.pdf").write_bytes(pdf)
    done = subprocess.run(
        ["pdfsig", "-nssdir", folder, folder / "p.pdf"], capture_output=True, text=True, check=False
    )
    return done.stdout


async def test_three_signers_of_one_paper_are_each_trusted_by_pdfsig(made, tmp_path) -> None:
    """Doctor, head and seal (with evidence) in order: every signature valid and every certificate trusted."""
    pdf = await sign_pdf(
        made.paper, made.doctor, field="bac_si", name="Thử 100%", role="Bác sĩ điều trị", tsa=made.tsa, place=BOX
    )  # fmt: skip
    pdf = await sign_pdf(pdf, made.head, field="truong_khoa", name="Thử", tsa=made.tsa)
    pdf = await sign_pdf(pdf, made.stamp, field="co_so", name="Bệnh viện", tsa=made.tsa)
    said = _pdfsig(pdf, made, tmp_path)
    assert said.count("Signature is Valid") == 3, said
    assert said.count("Certificate is Trusted") == 3, said
    assert "Total document signed" in said
    report = await verify_pdf(pdf, made.roots)
    assert report.ok, report
    assert [p.ok for p in report.parts] == [True] * 3
    text = subprocess.run(["pdftotext", tmp_path / "p.pdf", "-"], capture_output=True, text=True, check=True)
    assert "Bác sĩ điều trị" in text.stdout
    assert "Thử 100%" in text.stdout


def _with_other_page(pdf: bytes) -> bytes:
    """The paper with its page drawn anew by an incremental update: earlier bytes stay as they are."""
    writer = IncrementalPdfFileWriter(BytesIO(pdf))
    page = writer.root["/Pages"]["/Kids"][0].get_object()
    drawn = writer.add_object(generic.StreamObject(stream_data=b"0 0 500 500 re f"))
    page[generic.pdf_name("/Contents")] = drawn
    writer.update_container(page)
    out = BytesIO()
    writer.write(out)
    return out.getvalue()


async def test_page_changed_between_two_signatures_is_refused(made) -> None:
    """The later signer covers the whole file and the earlier bytes are intact: still refused, by the earlier one."""
    once = await sign_pdf(made.paper, made.doctor, field="bac_si", name="Thử", tsa=made.tsa, place=BOX)
    honest = await sign_pdf(once, made.head, field="truong_khoa", name="Thử", tsa=made.tsa)
    assert (await verify_pdf(honest, made.roots)).ok
    report = await verify_pdf(
        await sign_pdf(_with_other_page(once), made.head, field="truong_khoa", name="Thử", tsa=made.tsa),
        made.roots,
    )
    assert (report.indication, report.sub) == ("TOTAL-FAILED", "FORMAT_FAILURE")
    assert [p.ok for p in report.parts] == [False, True]
    assert not (await verify_pdf(_with_other_page(once), made.roots)).ok


async def test_stamped_signatures_outlive_their_certificates(made) -> None:
    """Three years on, what was stamped in time is proved; what has no stamp is not."""
    stamped, bare = await sign_cades(b"x", made.doctor, made.tsa), await sign_cades(b"x", made.doctor)
    assert (await verify_entry(b"x", stamped, made.roots, LATER)).ok
    refused = await verify_entry(b"x", bare, made.roots, LATER)
    assert refused.indication == "INDETERMINATE"
    assert not refused.ok
    pdf = await sign_pdf(made.paper, made.doctor, field="bac_si", name="Thử", tsa=made.tsa)
    assert (await verify_pdf(pdf, made.roots, LATER)).ok
    box = await seal({"giay.pdf": pdf}, made.stamp, made.tsa)
    assert (await verify_container(box, made.roots, LATER)).ok


async def test_stamp_of_the_future_is_refused(made) -> None:
    """A stamp after the present of the judge."""
    clock = FrozenClock(datetime.now(UTC) + timedelta(days=1))
    ahead = await sign_cades(b"x", made.doctor, LocalTimeStamper(made.folder, clock))
    assert (await verify_entry(b"x", ahead, made.roots)).sub == "TIMESTAMP_ORDER_FAILURE"


def _revocation(report) -> str:
    return next(f.text for f in report.findings if f.what == "thu hồi")


async def test_seal_carries_evidence_that_needs_no_network(made, tmp_path) -> None:
    """Lists and the responder's answer lie inside the CMS and the PDF; openssl still accepts; persons' carry none."""
    signature = await sign_cades(b"x", made.stamp, made.tsa)
    kinds = [c.name for c in cms.ContentInfo.load(signature)["content"]["crls"]]
    assert sorted(kinds) == ["crl", "crl", "other"]
    (tmp_path / "s").write_bytes(signature)
    (tmp_path / "d").write_bytes(b"x")
    done = subprocess.run(
        ["openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", "s", "-content", "d", "-CAfile",
         made.folder / "root.pem", "-crl_check", "-out", "/dev/null"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Không bị thu hồi, theo bằng chứng" in _revocation(
        await verify_entry(b"x", signature, made.roots, LATER)
    )
    pdf = await sign_pdf(made.paper, made.stamp, field="co_so", name="Bệnh viện", tsa=made.tsa, place=BOX)
    assert "Không bị thu hồi, theo bằng chứng" in _revocation(await verify_pdf(pdf, made.roots, LATER))
    plain = await verify_entry(b"x", await sign_cades(b"x", made.doctor, made.tsa), made.roots)
    assert "chưa xét" in _revocation(plain)
    verdict = benhan_verify.verify_detached(b"x", signature, benhan_verify.roots_of_pem(made.roots))
    assert verdict.exit_code == 0, verdict.as_text()


async def test_list_of_another_authority_neither_harms_nor_helps(made, tmp_path) -> None:
    """A list that does not belong to the issuer is passed over, also when it names the serial number."""
    pki.create(tmp_path / "other")
    pki.revoke(tmp_path / "other", made.doctor.certificate.serial_number)
    signature = await sign_cades(b"x", made.doctor, made.tsa)
    lists = [(tmp_path / "other" / "ca.crl").read_bytes()]
    report = await verify_entry(b"x", signature, made.roots, LATER, crls=lists)
    assert report.ok
    assert "chưa xét" in _revocation(report)
