"""Paper: a form and its answers → PDF/A-2b by Typst.

Python makes a *print tree* (plain data, every text a value); ``layout/form.typ`` draws it. Texts reach
Typst only as
JSON in ``sys.inputs``, never as markup, so nothing that a person types can become code.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson
import segno
import typst
from pypdf import PdfReader, PdfWriter

from benhan.base.clock import local
from benhan.base.errors import ConfigurationError
from benhan.forms.model import Form
from benhan.forms.print_model import (
    Cover,
    PrintContext,
    PrintedEntry,
    PrintedSignature,
    PrintResult,
    SignatureBox,
)
from benhan.forms.print_tree import build_tree

__all__ = [
    "FONT_DIR",
    "Cover",
    "PrintContext",
    "PrintResult",
    "PrintedEntry",
    "PrintedSignature",
    "SignatureBox",
    "joined",
    "marked",
    "page_count",
    "page_images",
    "pages",
    "pdf",
    "print_certificate",
    "print_cover",
    "print_form",
]

ROOM = Path(__file__).parent
FONT_DIR = ROOM / "fonts"
_LAYOUT_DIR = ROOM / "layout"


_NO_DATE = datetime(2000, 1, 1, tzinfo=UTC)
_local = threading.local()


@lru_cache(maxsize=1)
def _fonts() -> typst.Fonts:
    return typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=[FONT_DIR])


def _compiler(layout: str = "form") -> typst.Compiler:
    """One compiler per thread and layout: it keeps the parsed layout and the fonts."""
    found: typst.Compiler | None = getattr(_local, layout, None)
    if found is None:
        found = typst.Compiler(
            _LAYOUT_DIR / f"{layout}.typ", root=_LAYOUT_DIR, font_paths=_fonts(), ignore_system_fonts=True
        )
        setattr(_local, layout, found)
    return found


def print_form(form: Form, context: PrintContext) -> PrintResult:
    """Print a form. CPU-bound (tens of ms): call it through ``asyncio.to_thread``.

    Same form and context give the same bytes (``printed_at`` is the document's date).
    Raises: ``ConfigurationError`` forms.print-failed when the layout itself is at fault.
    """
    inputs = {"data": orjson.dumps(build_tree(form, context)).decode()}
    compiler = _compiler()
    stamp = (context.printed_at or _NO_DATE).astimezone(UTC)
    try:
        pdf = compiler.compile(format="pdf", sys_inputs=inputs, pdf_standards=["a-2b"], timestamp=stamp)
        found = orjson.loads(compiler.query("<place>", field="value"))
    except typst.TypstError as error:
        detail = f"{error.message} {error.hints}"
        raise ConfigurationError(
            "forms.print-failed", f"Không in được {form.title}.", diagnostics=detail
        ) from error
    boxes = tuple(_box(p) for p in found if p["kind"] == "signature")
    pages = next(int(p["pages"]) for p in found if p["kind"] == "document")
    return PrintResult(pdf if isinstance(pdf, bytes) else b"", boxes, pages)


def page_images(form: Form, context: PrintContext, ppi: float = 80.0) -> list[bytes]:
    """The printed pages as PNG, for a preview. CPU-bound."""
    inputs = {"data": orjson.dumps(build_tree(form, context)).decode()}
    found = _compiler().compile(format="png", sys_inputs=inputs, ppi=ppi)
    return [bytes(i) for i in found] if isinstance(found, list) else [bytes(found)] if found else []


def print_cover(cover: Cover, printed_at: datetime) -> bytes:
    """Cover with contents of a printed record, PDF/A-2b. CPU-bound."""
    first = 1
    parts = []
    for title, code, pages in cover.parts:
        parts.append({"title": title, "code": code, "pages": pages, "first": first})
        first += pages
    data = {
        "title": cover.title,
        "subtitle": cover.subtitle,
        "facility": cover.facility,
        "authority": cover.authority,
        "number": cover.number,
        "running": " · ".join(t for t in (cover.facility, cover.patient, cover.number) if t),
        "facts": [list(f) for f in cover.facts],
        "parts": parts,
        "pages": first - 1,
        "printed": f"In lúc {local(printed_at):%H:%M %d/%m/%Y}",
    }
    pdf = _compiler("cover").compile(
        format="pdf",
        sys_inputs={"data": orjson.dumps(data).decode()},
        pdf_standards=["a-2b"],
        timestamp=printed_at.astimezone(UTC).replace(microsecond=0),
    )
    return pdf if isinstance(pdf, bytes) else b""


def print_certificate(
    *,
    title: str,
    subtitle: str,
    facility: str,
    facts: Sequence[tuple[str, str]],
    text: str,
    heads: tuple[str, str, str],
    rows: Sequence[tuple[str, str]],
    printed_at: datetime,
) -> bytes:
    """A certificate with facts (name, value) and a numbered list of two columns, PDF/A-2b. CPU-bound."""
    data = {
        "title": title,
        "subtitle": subtitle,
        "facility": facility,
        "facts": [list(f) for f in facts],
        "text": text,
        "heads": list(heads),
        "rows": [list(r) for r in rows],
        "running": f"{title} · {local(printed_at):%H:%M %d/%m/%Y}",
    }
    pdf = _compiler("certificate").compile(
        format="pdf",
        sys_inputs={"data": orjson.dumps(data).decode()},
        pdf_standards=["a-2b"],
        timestamp=printed_at.astimezone(UTC).replace(microsecond=0),
    )
    return pdf if isinstance(pdf, bytes) else b""


def joined(documents: Sequence[bytes]) -> bytes:
    """PDFs one after another in one file, pages as they are, for printing (signatures are those of the parts)."""
    writer = PdfWriter()
    for document in documents:
        writer.append(io.BytesIO(document))
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def marked(document: bytes, *, watermark: str, text: str, code: str, address: str) -> bytes:
    """A copy of a PDF with a watermark and, at the foot of every page, the mark of conversion with code and QR.

    ``address`` goes into the QR. Signatures of the original do not survive; the copy is proved by its code. CPU-bound.
    Raises: ``ConfigurationError`` (forms.print-failed).
    """
    writer = PdfWriter(clone_from=io.BytesIO(document))
    drawn = io.BytesIO()
    segno.make(address, error="m", micro=False).save(drawn, kind="svg", border=1, xmldecl=False)
    first = writer.pages[0].mediabox
    data = {
        "width": float(first.width),
        "height": float(first.height),
        "pages": len(writer.pages),
        "watermark": watermark,
        "text": text,
        "code": code,
        "qr": drawn.getvalue().decode(),
    }
    try:
        over = _compiler("mark").compile(format="pdf", sys_inputs={"data": orjson.dumps(data).decode()})
    except typst.TypstError as error:
        raise ConfigurationError(
            "forms.print-failed", "Không in được dấu chuyển đổi.", diagnostics=error.message
        ) from error
    for page, mark in zip(
        writer.pages, PdfReader(io.BytesIO(over if isinstance(over, bytes) else b"")).pages, strict=True
    ):
        page.merge_page(mark)
    if "/AcroForm" in writer.root_object:
        del writer.root_object["/AcroForm"]
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def pages(document: bytes, first: int, last: int) -> bytes:
    """Some pages of a PDF (from 1, both ends count) as a file of its own. CPU-bound."""
    writer = PdfWriter()
    writer.append(io.BytesIO(document), pages=(first - 1, last))
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def page_count(document: bytes) -> int:
    """Number of pages of a PDF."""
    return len(PdfReader(io.BytesIO(document)).pages)


def _box(place: Mapping[str, Any]) -> SignatureBox:
    top = place["height"] - place["y"]
    return SignatureBox(
        place["role"],
        place["page"],
        round(place["x"], 2),
        round(top - place["h"], 2),
        round(place["x"] + place["w"], 2),
        round(top, 2),
    )


def pdf(form: Form, context: PrintContext) -> bytes:
    """The PDF of ``print_form``."""
    return print_form(form, context).pdf
