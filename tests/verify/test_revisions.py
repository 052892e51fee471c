"""What follows a signature in a PDF may only be further signatures; the stand-alone verifier sees everything else."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import pytest
import typst
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.generic import pdf_name
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter

import benhan_verify
from benhan.signing import LocalEvidence, LocalTimeStamper, Place, SoftwareSigner, pki, sign_pdf, verify_pdf


@pytest.fixture(scope="module")
async def made(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A paper of two pages, signed once, and how to sign it again."""
    folder = tmp_path_factory.mktemp("revisions") / "pki"
    pki.create(folder)
    issued = pki.issue_person(folder, "Nguyễn Văn Thử", "1")
    signer = SoftwareSigner.load(issued.certificate, issued.key, pki.chain(folder), LocalEvidence(folder))
    tsa = LocalTimeStamper(folder)
    text = '#set document(title: "Giấy")\n= Giấy ra viện (thử)\nMột ý (a)\n#pagebreak()\nHai'

    async def sign(pdf: bytes, field: str, place: Place | None = None) -> bytes:
        return await sign_pdf(pdf, signer, field=field, name="Thử", tsa=tsa, place=place)

    paper = typst.compile(text.encode(), pdf_standards=["a-2b"])
    pem = (folder / "root.pem").read_bytes()
    return SimpleNamespace(
        sign=sign, roots=benhan_verify.roots_of_pem(pem), pem=pem,
        once=await sign(paper, "bac_si", Place(0, (50, 50, 250, 95))),
    )  # fmt: skip


def _updated(pdf: bytes, change) -> bytes:
    writer = IncrementalPdfFileWriter(BytesIO(pdf))
    change(writer, writer.root["/Pages"]["/Kids"][0].get_object())
    out = BytesIO()
    writer.write(out)
    return out.getvalue()


def _contents(writer, page) -> None:
    page[pdf_name("/Contents")] = writer.add_object(generic.StreamObject(stream_data=b"0 0 500 500 re f"))
    writer.update_container(page)


def _stream(writer, page) -> None:
    reference = page.raw_get("/Contents")
    old = reference.get_object()
    old._data, old._encoded_data = b"0 0 500 500 re f", None
    writer.mark_update(reference)


def _note(writer, page) -> None:
    note = generic.DictionaryObject(
        {pdf_name("/Type"): pdf_name("/Annot"), pdf_name("/Subtype"): pdf_name("/Stamp"),
         pdf_name("/Rect"): generic.ArrayObject([generic.NumberObject(n) for n in (0, 0, 500, 500)])}
    )  # fmt: skip
    listed = generic.ArrayObject([*page.raw_get("/Annots"), writer.add_object(note)])
    page[pdf_name("/Annots")] = listed
    writer.update_container(page)


def _turned(writer, page) -> None:
    page[pdf_name("/Rotate")] = generic.NumberObject(180)
    writer.update_container(page)


def _script(writer, page) -> None:
    writer.root[pdf_name("/OpenAction")] = generic.DictionaryObject({pdf_name("/S"): pdf_name("/JavaScript")})
    writer.update_root()


def _fewer_pages(writer, page) -> None:
    pages = writer.root["/Pages"]
    pages[pdf_name("/Kids")] = generic.ArrayObject(list(pages.raw_get("/Kids"))[:1])
    pages[pdf_name("/Count")] = generic.NumberObject(1)
    writer.update_container(pages)


def _drawn_over(writer, page) -> None:
    field = page["/Annots"][0]
    drawn = field["/AP"].raw_get("/N")
    drawn.get_object()._data, drawn.get_object()._encoded_data = b"0 0 500 500 re f", None
    writer.mark_update(drawn)


CHANGES = [_contents, _stream, _note, _turned, _script, _fewer_pages, _drawn_over]


@pytest.mark.parametrize("change", CHANGES, ids=lambda c: c.__name__.strip("_"))
async def test_change_between_signatures_is_refused_by_both_verifiers(made, change) -> None:
    """Seven ways to alter what was signed first, each signed over by a second signer."""
    forged = await made.sign(_updated(made.once, change), "truong_khoa")
    verdict = benhan_verify.verify_pdf(forged, made.roots)
    assert (verdict.indication, verdict.sub) == ("TOTAL-FAILED", "FORMAT_FAILURE"), verdict.as_text()
    assert not (await verify_pdf(forged, made.pem)).ok


async def test_four_honest_signatures_are_proved(made, tmp_path: Path) -> None:
    """Seen and unseen, on both pages, with long-term evidence: accepted by both verifiers."""
    pdf = await made.sign(made.once, "dieu_duong")
    pdf = await made.sign(pdf, "truong_khoa", Place(0, (300, 50, 500, 95)))
    pdf = await made.sign(pdf, "co_so", Place(1, (300, 50, 500, 95)))
    verdict = benhan_verify.verify_pdf(pdf, made.roots)
    assert verdict.exit_code == 0, verdict.as_text()
    assert len(verdict.signers) == 4
    assert "chỉ có thêm chữ ký" in verdict.as_text()
    report = await verify_pdf(pdf, made.pem)
    assert report.ok, report


async def test_signature_that_covers_the_page_is_refused(made) -> None:
    """A second signature drawn over most of the page could hide what the first signer saw."""
    pdf = await made.sign(made.once, "truong_khoa", Place(0, (0, 0, 595, 841)))
    assert benhan_verify.verify_pdf(pdf, made.roots).sub == "FORMAT_FAILURE"
