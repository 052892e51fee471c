"""A hand-drawn signature as a picture: checked, cleaned of everything but the picture, put into a signature's appearance."""

from __future__ import annotations

import struct
import tempfile
import zlib
from functools import lru_cache
from io import BytesIO
from pathlib import Path

import typst
from pyhanko.pdf_utils.content import PdfContent
from pyhanko.pdf_utils.layout import BoxConstraints
from pyhanko.pdf_utils.reader import PdfFileReader

from benhan.base.errors import InvalidInput

#: most of the picture's bytes, width and height
MOST_BYTES, MOST_WIDTH, MOST_HEIGHT = 300_000, 1600, 800
_HEAD = b"\x89PNG\r\n\x1a\n"
_KEPT = (b"IHDR", b"IDAT", b"IEND")
#: bytes of a pixel by PNG colour type, 8 bits each
_CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}
_PAGE = """#set page(width: 200pt, height: 64pt, margin: 0pt, fill: none)
#align(top + center, box(width: 196pt, height: 44pt, image("ky.png", width: 100%, height: 100%, fit: "contain")))
"""
#: least part of the picture that is drawn on: a dot is no signature
_LEAST_INK = 120


def clean_png(data: bytes) -> bytes:
    """The picture with nothing beside it (no text, times or other chunks), when it is one and somebody drew on it.

    Raises: ``InvalidInput`` (signing.bad-drawing, signing.empty-drawing).
    """
    bad = InvalidInput("signing.bad-drawing", "Hình chữ ký không đọc được.", expression="drawing")
    if not data.startswith(_HEAD) or len(data) > MOST_BYTES:
        raise bad
    chunks, at = [], len(_HEAD)
    while at < len(data):
        if at + 12 > len(data):
            raise bad
        size, kind = struct.unpack_from(">I4s", data, at)
        body = data[at + 8 : at + 8 + size]
        if len(body) != size or zlib.crc32(kind + body).to_bytes(4) != data[at + 8 + size : at + 12 + size]:
            raise bad
        if kind in _KEPT:
            chunks.append((kind, body))
        at += 12 + size
    if len(chunks) < 3 or chunks[0][0] != b"IHDR" or chunks[-1][0] != b"IEND":
        raise bad
    _look(chunks[0][1], b"".join(body for kind, body in chunks if kind == b"IDAT"), bad)
    made = [struct.pack(">I4s", len(b), k) + b + zlib.crc32(k + b).to_bytes(4) for k, b in chunks]
    return _HEAD + b"".join(made)


def _look(head: bytes, packed: bytes, bad: InvalidInput) -> None:
    """Size and ink of the picture, unpacked within bounds."""
    if len(head) != 13:
        raise bad
    width, height, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", head)
    channels = _CHANNELS.get(colour)
    if (
        depth != 8
        or channels is None
        or interlace
        or not 0 < width <= MOST_WIDTH
        or not 0 < height <= MOST_HEIGHT
    ):
        raise bad
    size = height * (1 + width * channels)
    try:
        rows = zlib.decompressobj().decompress(packed, size + 1)
    except zlib.error:
        raise bad from None
    if len(rows) != size:
        raise bad
    if size - rows.count(0) < _LEAST_INK:  # filtered rows of an empty picture are nearly all zeros
        raise InvalidInput(
            "signing.empty-drawing", "Chưa có chữ ký: hãy ký vào ô trống.", expression="drawing"
        )


class Picture(PdfContent):
    """A hand-drawn signature as content of a PDF."""

    def __init__(self, png: bytes) -> None:
        self.png = png
        super().__init__()

    def render(self) -> bytes:
        """The operators that draw it."""
        page = PdfFileReader(BytesIO(drawing_pdf(self.png)))
        drawn = self._ensure_writer.import_page_as_xobject(page)
        self.resources.xobject["/Ky"] = drawn
        left, bottom, right, top = (float(v) for v in drawn.get_object()["/BBox"])
        self.box = BoxConstraints(width=abs(left - right), height=abs(bottom - top))
        return b"/Ky Do"


@lru_cache(maxsize=8)
def drawing_pdf(png: bytes) -> bytes:
    """One page that is the picture, for the background of a signature's appearance. CPU-bound."""
    with tempfile.TemporaryDirectory(prefix="benhan-ky-") as folder:
        (Path(folder) / "ky.png").write_bytes(png)
        main = Path(folder) / "ky.typ"
        main.write_text(_PAGE, encoding="utf-8")
        return typst.compile(main, root=Path(folder), format="pdf")
