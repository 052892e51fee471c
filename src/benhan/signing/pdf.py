"""PAdES signatures of papers: two phases, a visible appearance in its place, several signers in order.

B-T with a time stamper; B-LT when the signer has a source of revocation data (the organisation's seal): the evidence
goes into the document security store in the same revision, so that the last signature still covers the whole file.
"""

from __future__ import annotations

import asyncio
import base64
import json
import textwrap
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from asn1crypto import cms
from pyhanko.pdf_utils import text as pdf_text
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.layout import AxisAlignment, Margins, SimpleBoxLayoutRule
from pyhanko.pdf_utils.misc import PdfReadError
from pyhanko.sign.fields import SigFieldSpec, SigSeedSubFilter
from pyhanko.sign.signers.pdf_byterange import PreparedByteRangeDigest
from pyhanko.sign.signers.pdf_signer import PdfSignatureMetadata, PdfSigner, PdfTBSDocument, PdfTimeStamper
from pyhanko.sign.timestamps import TimeStamper
from pyhanko.sign.validation import DocumentSecurityStore
from pyhanko.stamp import TextStampStyle

from benhan.base.clock import SYSTEM_CLOCK, Clock, local
from benhan.base.errors import InvalidInput
from benhan.base.json_door import loads_object
from benhan.signing.cades import _external
from benhan.signing.drawing import Picture
from benhan.signing.evidence import Evidence
from benhan.signing.later import with_token
from benhan.signing.resuming import resumed
from benhan.signing.signer import DIGEST, Prepared, Signer, evidence_for

RESERVED_BYTES = 24_576
#: letters in a line of an appearance; a longer name goes on in the next, so that it is not drawn small
_LETTERS = 34
#: lines that stand in the room of a paper at full size; the role, which the paper prints above, gives way
_LINES = 4
_INSIDE = SimpleBoxLayoutRule(
    x_align=AxisAlignment.ALIGN_MID, y_align=AxisAlignment.ALIGN_MID, margins=Margins(2, 2, 2, 2)
)
#: below a hand-drawn signature
_BELOW = SimpleBoxLayoutRule(
    x_align=AxisAlignment.ALIGN_MID, y_align=AxisAlignment.ALIGN_MIN, margins=Margins(2, 2, 2, 2)
)
FONT: Path = Path(__file__).parent / "fonts" / "signature.ttf"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a signature appears: page from 0, box in PDF points, origin lower left."""

    page: int
    box: tuple[float, float, float, float]


async def pdf_prepare(
    pdf: bytes,
    signer: Signer,
    *,
    field: str,
    reason: str,
    name: str,
    place: Place | None = None,
    clock: Clock = SYSTEM_CLOCK,
    role: str = "",
    drawing: bytes | None = None,
) -> Prepared:
    """First phase: the PDF with its signature field and empty container, and the attributes to be signed.

    ``role`` is printed under the name in the visible appearance. Runs in a thread: it lays out text and subsets a font.

    Raises: ``InvalidInput`` (signing.not-a-pdf); ``NotAllowed`` (signing.certificate-revoked).
    """
    evidence = await evidence_for(signer)
    spec = SigFieldSpec(field)
    if place is not None:
        left, bottom, right, top = (round(v) for v in place.box)
        spec = SigFieldSpec(field, on_page=place.page, box=(left, bottom, right, top))
    stamp = None if place is None else _appearance(name, role, clock, drawing)
    return await asyncio.to_thread(
        lambda: asyncio.run(_prepare(pdf, signer, spec, stamp, evidence, reason, name))
    )


async def _prepare(
    pdf: bytes,
    signer: Signer,
    spec: SigFieldSpec,
    stamp: TextStampStyle | None,
    evidence: Evidence,
    reason: str,
    name: str,
) -> Prepared:
    writer = _writer(pdf)
    if evidence.crls or evidence.ocsps:
        DocumentSecurityStore.supply_dss_in_writer(
            writer,
            None,
            certs=[signer.certificate, *signer.chain],
            ocsps=list(evidence.ocsps),
            crls=list(evidence.crls),
        )
    metadata = PdfSignatureMetadata(
        field_name=spec.sig_field_name,
        md_algorithm=DIGEST,
        reason=reason or None,
        name=name,
        subfilter=SigSeedSubFilter.PADES,
    )
    pdf_signer = PdfSigner(metadata, signer=_external(signer), new_field_spec=spec, stamp_style=stamp)
    digest, _, output = await pdf_signer.async_digest_doc_for_signing(writer, bytes_reserved=RESERVED_BYTES)
    attributes = await _external(signer).signed_attrs(digest.document_digest, DIGEST, use_pades=True)
    der = attributes.dump()
    output.seek(0)
    state = {
        "kind": "pades",
        "attributes": base64.b64encode(der).decode(),
        "digest": digest.document_digest.hex(),
        "start": digest.reserved_region_start,
        "end": digest.reserved_region_end,
        "pdf": base64.b64encode(output.read()).decode(),
    }
    return Prepared(b"\x31" + der[1:], json.dumps(state).encode())


def _writer(pdf: bytes) -> IncrementalPdfFileWriter:
    """A further revision of a PDF; its objects begin on a line of their own (ISO 19005-2, 6.1.9)."""
    try:
        return IncrementalPdfFileWriter(BytesIO(pdf if pdf.endswith((b"\n", b"\r")) else pdf + b"\n"))
    except (PdfReadError, ValueError):
        raise InvalidInput("signing.not-a-pdf", "Tệp không phải PDF đọc được nên không ký.") from None


def _appearance(name: str, role: str, clock: Clock, drawing: bytes | None = None) -> TextStampStyle:
    """Name, role and time; over a hand-drawn signature (PNG) where there is one."""
    from pyhanko.pdf_utils.font.opentype import (
        GlyphAccumulatorFactory,
    )  # half a second of font tools, on first use

    size, leading = (9, 11) if drawing is None else (6, 7)
    text_style = pdf_text.TextBoxStyle(
        font=GlyphAccumulatorFactory(str(FONT)), font_size=size, border_width=0, leading=leading
    )
    when = local(clock.now()).strftime("%d/%m/%Y %H:%M:%S")
    who, what = (textwrap.wrap(text, _LETTERS) for text in (f"Ký bởi: {name}", role))
    lines = [*who, *(what if len(who) + len(what) <= _LINES - 1 else ()), f"Ngày ký: {when}"]
    if drawing is not None:
        lines = [f"Ký tay: {name}", f"{role}, {when}"]
    return TextStampStyle(
        stamp_text="\n".join(lines).replace("%", "%%"),
        text_box_style=text_style,
        border_width=0,
        background=None if drawing is None else Picture(drawing),
        background_opacity=1.0,
        inner_content_layout=_INSIDE if drawing is None else _BELOW,
    )


async def pdf_finish(prepared: Prepared, signer: Signer, signature: bytes, tsa: TimeStamper | None) -> bytes:
    """Last phase: the signed PDF."""
    state = loads_object(prepared.state, max_bytes=400_000_000)
    attributes = cms.CMSAttributes.load(base64.b64decode(state["attributes"]))
    signed = await with_token(_external(signer, signature), attributes, tsa)
    output = BytesIO(base64.b64decode(state["pdf"]))
    digest = PreparedByteRangeDigest(bytes.fromhex(state["digest"]), int(state["start"]), int(state["end"]))
    await PdfTBSDocument.async_finish_signing(output, digest, signed)
    return output.getvalue()


async def sign_pdf(
    pdf: bytes,
    signer: Signer,
    *,
    field: str,
    reason: str = "",
    name: str = "",
    tsa: TimeStamper | None = None,
    place: Place | None = None,
    clock: Clock = SYSTEM_CLOCK,
    role: str = "",
    drawing: bytes | None = None,
) -> bytes:
    """All phases at once: the PDF with one more PAdES signature. ``drawing``: hand-drawn, PNG, shown in its place."""
    prepared = resumed(signer, pdf)
    if prepared is None:
        prepared = await pdf_prepare(
            pdf,
            signer,
            field=field,
            reason=reason,
            name=name,
            place=place,
            clock=clock,
            role=role,
            drawing=drawing,
        )
    return await pdf_finish(prepared, signer, await signer.sign_digest(prepared), tsa)


async def pdf_archive(pdf: bytes, tsa: TimeStamper, evidence: Evidence | None = None) -> bytes:
    """PAdES B-LTA: the signed PDF with (more) revocation evidence and a document time stamp over all of it.

    Again before the stamp's authority runs out. Raises: ``InvalidInput`` (signing.not-a-pdf); as the stamper.
    """
    return await asyncio.to_thread(lambda: asyncio.run(_archive(pdf, tsa, evidence or Evidence())))


async def _archive(pdf: bytes, tsa: TimeStamper, evidence: Evidence) -> bytes:
    writer = _writer(pdf)
    if evidence.crls or evidence.ocsps:
        DocumentSecurityStore.supply_dss_in_writer(
            writer, None, ocsps=list(evidence.ocsps), crls=list(evidence.crls)
        )
    output = await PdfTimeStamper(tsa).async_timestamp_pdf(writer, DIGEST, bytes_reserved=RESERVED_BYTES)
    return bytes(output.getvalue())
