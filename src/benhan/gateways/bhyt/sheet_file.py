"""A table that an administrator brings, from CSV (UTF-8; comma, semicolon or tab) or the first sheet of an XLSX, as text.

XLSX: Office Open XML (ISO/IEC 29500-1 §18): shared and inline strings; figures stay as written. Only parts of the archive
that are named here are opened, each with a limit on its size unpacked.
"""

from __future__ import annotations

import csv
import io
import re
import zipfile

from lxml import etree

from benhan.base import xml_door
from benhan.base.errors import BenhanError, InvalidInput

_NS = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_SHEET, _STRINGS = "xl/worksheets/sheet1.xml", "xl/sharedStrings.xml"
#: bytes of one unpacked part; the ICD-10 list of QĐ 4469 needs about 6 MB
_MOST = 50_000_000
_MOST_COLUMNS = 200


def read_sheet(raw: bytes) -> list[list[str]]:
    """Rows of cells, blanks around them taken off. Raises: ``InvalidInput`` bhyt.sheet-file."""
    if raw[:4] == b"PK\x03\x04":
        try:
            return _xlsx(raw)
        except (
            zipfile.BadZipFile,
            KeyError,
            IndexError,
            ValueError,
            NotImplementedError,
            RuntimeError,
        ) as error:
            raise _refused("Tệp XLSX hỏng hoặc không có trang tính đầu.", error) from None
        except BenhanError as error:
            raise _refused("Tệp XLSX hỏng: " + error.text, error) from None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _refused("Tệp CSV phải là UTF-8.", error) from None
    first = text.split("\n", 1)[0]
    mark = max(",;\t", key=first.count)
    try:
        rows = list(csv.reader(io.StringIO(text), delimiter=mark))
    except csv.Error as error:
        raise _refused("Tệp không phải CSV.", error) from None
    return [[cell.strip() for cell in row] for row in rows]


def _refused(text: str, error: Exception) -> InvalidInput:
    return InvalidInput("bhyt.sheet-file", text, diagnostics=type(error).__name__)


def _part(archive: zipfile.ZipFile, name: str) -> etree._Element:
    if archive.getinfo(name).file_size > _MOST:
        raise ValueError("too large")
    with archive.open(name) as part:
        return xml_door.parse(part.read(_MOST + 1), max_bytes=_MOST)


def _xlsx(raw: bytes) -> list[list[str]]:
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        shared = []
        if _STRINGS in archive.namelist():
            shared = [_text(item) for item in _part(archive, _STRINGS).iter(f"{_NS}si")]
        return [_row(row, shared) for row in _part(archive, _SHEET).iter(f"{_NS}row")]


def _row(row: etree._Element, shared: list[str]) -> list[str]:
    cells: list[str] = []
    for cell in row.iter(f"{_NS}c"):
        at = _column(cell.get("r", "")) if cell.get("r") else len(cells)
        if at >= _MOST_COLUMNS:
            raise ValueError("too many columns")
        cells += [""] * (at - len(cells))
        value = cell.findtext(f"{_NS}v") or ""
        kind = cell.get("t", "n")
        text = shared[int(value)] if kind == "s" and value else _text(cell) if kind == "inlineStr" else value
        cells.append(text.strip())
    return cells


def _column(reference: str) -> int:
    """``A1`` → 0, ``AA7`` → 26."""
    found = re.fullmatch(r"([A-Z]{1,3})\d+", reference)
    if not found:
        raise ValueError("cell reference")
    at = 0
    for letter in found[1]:
        at = at * 26 + ord(letter) - 64
    return at - 1


def _text(holder: etree._Element) -> str:
    """Text of a string, its runs put together; phonetic hints are left out."""
    hints = {t for hint in holder.iter(f"{_NS}rPh") for t in hint.iter(f"{_NS}t")}
    return "".join(t.text or "" for t in holder.iter(f"{_NS}t") if t not in hints)
