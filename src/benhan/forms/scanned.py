"""Scanned paper: what a scanner gave → a PDF that may be kept. A PDF stays byte for byte, a picture becomes a page of PDF/A."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import typst
from pypdf import PdfReader
from pypdf.errors import PyPdfError

from benhan.base.errors import InvalidInput

#: how a file begins → what it is
_KINDS = {b"%PDF-": "pdf", b"\xff\xd8\xff": "jpg", b"\x89PNG\r\n\x1a\n": "png"}
_ACTIVE = ("/JavaScript", "/EmbeddedFiles", "/AcroForm")
_PAGE = (
    '#set page(paper: "a4", margin: 0pt)\n'
    '#align(center + horizon, image("page.{kind}", fit: "contain", width: 100%, height: 100%))'
)


def scan_pdf(data: bytes, name: str) -> bytes:
    """The PDF of a scanned file. CPU-bound.

    Raises: ``InvalidInput`` forms.scan-kind (neither PDF, JPEG nor PNG), forms.scan-broken (cannot be read, has no page),
    forms.scan-locked (encrypted), forms.scan-active (scripts, attached files or form fields in it).
    """
    kind = next((k for start, k in _KINDS.items() if data.startswith(start)), None)
    if kind is None:
        raise InvalidInput(
            "forms.scan-kind", f"Tệp {name} không phải PDF, JPEG hoặc PNG. Chọn lại định dạng ở máy quét."
        )
    if kind != "pdf":
        return _picture(data, kind, name)
    try:
        reader = PdfReader(io.BytesIO(data))
        if reader.is_encrypted:
            raise InvalidInput("forms.scan-locked", f"Tệp {name} đặt mật khẩu. Quét lại không đặt mật khẩu.")
        pages, root = len(reader.pages), reader.root_object
        names = root.get("/Names")
        active = [k for k in _ACTIVE if k in root or (names is not None and k in names.get_object())]
        if "/OpenAction" in root and "/JS" in str(root["/OpenAction"]):
            active.append("/OpenAction")
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidInput("forms.scan-broken", f"Tệp {name} không đọc được. Quét lại.") from error
    if active:
        text = f"Tệp {name} có nội dung chạy được, tệp kèm hoặc ô điền. Quét lại từ giấy."
        raise InvalidInput("forms.scan-active", text, diagnostics=", ".join(active))
    if not pages:
        raise InvalidInput("forms.scan-broken", f"Tệp {name} không có trang nào. Quét lại.")
    return data


def _picture(data: bytes, kind: str, name: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / f"page.{kind}").write_bytes(data)
        (Path(folder) / "page.typ").write_text(_PAGE.format(kind=kind), encoding="utf-8")
        try:
            made = typst.Compiler(Path(folder) / "page.typ", root=folder, ignore_system_fonts=True).compile(
                format="pdf", pdf_standards=["a-2b"]
            )
        except typst.TypstError as error:
            raise InvalidInput("forms.scan-broken", f"Tệp {name} không đọc được. Quét lại.") from error
    return made if isinstance(made, bytes) else b""
