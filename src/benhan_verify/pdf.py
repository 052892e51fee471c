"""Signatures of PDF files (ISO 32000-2, 12.8) by their byte ranges; nothing else of the PDF is interpreted.

Every ``/ByteRange`` found must be a real one: from the first byte, leaving out exactly one hexadecimal string that is the
value of ``/Contents``, so that a signature vouches for all other bytes up to its end; the last one ends with the file. A
file that hides a signature from this search still has the last one over every byte.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass

from asn1crypto import parser

from benhan_verify.cms import malformed

_RANGE = re.compile(rb"/ByteRange\s*\[\s*(\d{1,12})\s+(\d{1,12})\s+(\d{1,12})\s+(\d{1,12})\s*\]")
_HEX = re.compile(rb"<[0-9A-Fa-f]*>")
_BEFORE = re.compile(rb"/Contents\s*$")
MOST_SIGNATURES = 200


@dataclass(frozen=True, slots=True)
class PdfSignature:
    """A signature container: its CMS (DER) and the two ranges it vouches for."""

    cms: bytes
    gap: tuple[int, int]
    end: int

    def covered(self, pdf: bytes) -> bytes:
        """The signed bytes."""
        return pdf[: self.gap[0]] + pdf[self.gap[1] : self.end]


def has_signature(pdf: bytes) -> bool:
    """True when the file speaks of a byte range, well formed or not."""
    return b"/ByteRange" in pdf


def signatures(pdf: bytes) -> list[PdfSignature]:
    """All signatures in the order in which they were made.

    Raises: `Refused` (FORMAT_FAILURE) for none, or for a range that does not cover what it must.
    """
    found = list(_RANGE.finditer(pdf))
    if not found:
        raise malformed("Tệp không có chữ ký nào.", "The file has no signature.")
    if len(found) != pdf.count(b"/ByteRange") or len(found) > MOST_SIGNATURES:
        raise malformed("Có phạm vi chữ ký không đọc được.", "A byte range is unreadable.")
    made = sorted((_signature(pdf, m) for m in found), key=lambda s: s.end)
    if any(a.end >= b.end or a.end > b.gap[0] for a, b in itertools.pairwise(made)):
        raise malformed("Phạm vi các chữ ký chồng lên nhau.", "Byte ranges overlap.")
    if made[-1].end != len(pdf):
        raise malformed(
            "Có nội dung thêm vào sau chữ ký cuối cùng.", "Content was added after the last signature."
        )
    return made


def _signature(pdf: bytes, match: re.Match[bytes]) -> PdfSignature:
    start, length, resume, rest = (int(match[i]) for i in range(1, 5))
    end = resume + rest
    inside = start == 0 and 0 < length < resume and end <= len(pdf) and match.end() <= end
    gap = pdf[length:resume] if inside else b""
    if not _HEX.fullmatch(gap) or len(gap) % 2 or not _BEFORE.search(pdf[max(0, length - 64) : length]):
        raise malformed(
            "Phạm vi chữ ký không phủ trọn tệp ngoài chỗ chứa chữ ký.",
            "A byte range leaves out more than its signature.",
        )
    value = bytes.fromhex(gap[1:-1].decode("ascii"))
    try:
        size = parser.peek(value)
    except ValueError as error:
        raise malformed("Chữ ký trong PDF không đọc được.", "A signature container is unreadable.") from error
    if any(value[size:]):
        raise malformed("Chỗ chứa chữ ký có nội dung lạ.", "A signature container holds foreign bytes.")
    return PdfSignature(value[:size], (length, resume), end)
