"""What was added to a PDF after a signature: nothing but further signatures, or it is refused (ISO 32000-2, 7.5.6).

The view of a reader before and after is built from the cross-reference tables; objects that differ must be those which
signing touches, and only in the ways in which signing touches them. Files with cross-reference streams are not examined and
therefore refused when something follows a signature.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from benhan_verify.report import Refused
from benhan_verify.revocation import Evidence

DEEPEST, MOST_OBJECTS, MOST_REVISIONS = 40, 1_000_000, 500
MOST_STREAM_BYTES = 50_000_000
LARGEST_FIELD = (
    100_000  # square points; a fifth of a page of A4: a larger appearance could hide what was signed before
)
_SPACE = rb"(?:[\0\t\n\f\r ]|%[^\r\n]*[\r\n])*"
_TOKEN = re.compile(
    _SPACE + rb"(<<|>>|\[|\]|\(|/[^\0\t\n\f\r ()<>\[\]{}/%]*|<[0-9A-Fa-f\s]*>|\d{1,10}\s+\d{1,5}\s+R\b"
    rb"|[+-]?(?:\d{1,20}\.?\d{0,20}|\.\d{1,20})|true\b|false\b|null\b)"
)
_STARTXREF = re.compile(rb"startxref\s+(\d{1,12})\s+%%EOF\s*\Z")
_SUBSECTION = re.compile(rb"\s*(\d{1,10}) (\d{1,10})[ \t]*\r?\n")
_ENTRY = re.compile(rb"(\d{10}) (\d{5}) ([fn])(?: \r| \n|\r\n)")
_REFERENCE = re.compile(rb"(\d{1,10})\s+\d{1,5}\s+R\b")
_STREAM = re.compile(_SPACE + rb"stream\r?\n")
_ESCAPE = re.compile(rb"\\(?:([0-7]{1,3})|(\r\n|\r|\n)|(.))", re.DOTALL)
_ESCAPED = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f"}
_FIELD_KEYS = {
    "FT",
    "T",
    "TU",
    "Type",
    "Subtype",
    "F",
    "Ff",
    "Rect",
    "P",
    "AP",
    "V",
    "MK",
    "DA",
    "Lock",
    "SV",
}
_BROKEN = (
    ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError, ArithmeticError, zlib.error,
)  # fmt: skip
_MAY_CHANGE = {
    "catalog": {"AcroForm", "DSS", "Extensions"},
    "page": {"Annots"},
    "form": {"Fields", "SigFlags"},
    "field": {"V", "AP", "F"},
}


@dataclass(frozen=True, slots=True)
class Ref:
    """An indirect reference."""

    number: int
    generation: int


class _Parser:
    """Objects of a PDF as Python values: dict, list, ``Ref``, ``bytes`` (strings), ``Decimal``, ``str`` (names, words)."""

    def __init__(self, data: bytes, place: int) -> None:
        self.data, self.place = data, place

    def value(self, depth: int = 0) -> Any:
        found = self._next()
        if depth > DEEPEST:
            raise ValueError("deep")
        if found == b"<<":
            return self._dictionary(depth)
        if found == b"[":
            return self._array(depth)
        if found == b"(":
            return self._string()
        if found.startswith(b"<"):
            digits = re.sub(rb"\s", b"", found[1:-1])
            return bytes.fromhex((digits + b"0" * (len(digits) % 2)).decode())
        if found.startswith(b"/"):
            return re.sub(rb"#([0-9A-Fa-f]{2})", lambda m: bytes([int(m[1], 16)]), found).decode("latin-1")
        if found.endswith(b"R"):
            number, generation, _ = found.split()
            return Ref(int(number), int(generation))
        return found.decode() if found in (b"true", b"false", b"null") else Decimal(found.decode())

    def _next(self) -> bytes:
        match = _TOKEN.match(self.data, self.place)
        if match is None:
            raise ValueError("token")
        self.place = match.end()
        return match[1]

    def _dictionary(self, depth: int) -> dict[str, Any]:
        made: dict[str, Any] = {}
        while (key := self._next()) != b">>":
            if not key.startswith(b"/"):
                raise ValueError("key")
            self.place -= len(key)
            name = str(self.value(depth + 1))[1:]
            if name in made:
                raise ValueError("key twice")
            made[name] = self.value(depth + 1)
        return made

    def _array(self, depth: int) -> list[Any]:
        made = []
        while (found := self._next()) != b"]":
            self.place -= len(found)
            made.append(self.value(depth + 1))
        return made

    def _string(self) -> bytes:
        start, depth = self.place, 1
        while depth:
            match = re.compile(rb"\\.|[()]", re.DOTALL).search(self.data, self.place)
            if match is None:
                raise ValueError("string")
            depth += {b"(": 1, b")": -1}.get(match[0], 0)
            self.place = match.end()
        return _ESCAPE.sub(_unescaped, self.data[start : self.place - 1])


def _unescaped(match: re.Match[bytes]) -> bytes:
    if match[1]:
        return bytes([int(match[1], 8) & 0xFF])
    return b"" if match[2] else _ESCAPED.get(match[3], match[3])


class View:
    """What a reader sees of a file that ends here: its trailer and the place of each object."""

    def __init__(self, pdf: bytes) -> None:
        self.pdf = pdf
        self.places: dict[int, tuple[int, int]] = {}
        found = _STARTXREF.search(pdf, max(0, len(pdf) - 2048))
        if found is None:
            raise ValueError("startxref")
        self.trailer = self._read(int(found[1]))

    def _read(self, offset: int) -> dict[str, Any]:
        newest: dict[str, Any] | None = None
        seen: set[int] = set()
        entries: dict[int, tuple[int, int] | None] = {}
        while True:
            if offset in seen or len(seen) > MOST_REVISIONS:
                raise ValueError("loop")
            seen.add(offset)
            trailer = self._section(offset, entries)
            newest = trailer if newest is None else newest
            if "XRefStm" in trailer or "Encrypt" in trailer:
                raise ValueError("hybrid or encrypted")
            if "Prev" not in trailer:
                break
            offset = int(trailer["Prev"])
        self.places = {number: place for number, place in entries.items() if place is not None}
        return newest

    def _section(self, offset: int, entries: dict[int, tuple[int, int] | None]) -> dict[str, Any]:
        if not self.pdf.startswith(b"xref", offset):
            raise ValueError("xref")
        place = offset + 4
        while match := _SUBSECTION.match(self.pdf, place):
            place = match.end()
            for number in range(int(match[1]), int(match[1]) + int(match[2])):
                entry = _ENTRY.match(self.pdf, place)
                if entry is None or len(entries) > MOST_OBJECTS:
                    raise ValueError("entry")
                used = (int(entry[1]), int(entry[2])) if entry[3] == b"n" else None
                entries.setdefault(number, used)
                place = entry.end()
        match = re.compile(rb"\s*trailer").match(self.pdf, place)
        if match is None:
            raise ValueError("trailer")
        trailer = _Parser(self.pdf, match.end()).value()
        if not isinstance(trailer, dict) or not isinstance(trailer.get("Root"), Ref):
            raise ValueError("trailer")
        return trailer

    def load(self, number: int) -> tuple[Any, bool]:
        """The object and whether it is a stream (then its dictionary)."""
        offset, generation = self.places[number]
        head = re.compile(rb"\s*%d\s+%d\s+obj" % (number, generation)).match(self.pdf, offset)
        if head is None:
            raise ValueError("object")
        parser = _Parser(self.pdf, head.end())
        value = parser.value()
        return value, _STREAM.match(self.pdf, parser.place) is not None

    def data(self, number: int) -> bytes:
        """Bytes of a stream, plain or deflated, of at most ``MOST_STREAM_BYTES``."""
        offset, _ = self.places[number]
        parser = _Parser(self.pdf, self.pdf.index(b"obj", offset) + 3)
        head = parser.value()
        match = _STREAM.match(self.pdf, parser.place)
        if match is None or head.get("Filter") not in (None, "/FlateDecode", ["/FlateDecode"]):
            raise ValueError("stream")
        raw = self.pdf[match.end() : match.end() + int(self.plain(head["Length"]))]
        return raw if "Filter" not in head else zlib.decompressobj().decompress(raw, MOST_STREAM_BYTES)

    def plain(self, value: Any) -> Any:
        """``value``, or what it refers to when it is a reference; a stream is refused."""
        if not isinstance(value, Ref):
            return value
        found, stream = self.load(value.number)
        if stream:
            raise ValueError("stream")
        return found


def evidence_in(pdf: bytes) -> Evidence:
    """Revocation data in the document security store; nothing where the file cannot be read."""
    try:
        view = View(pdf)
        store = view.plain(view.plain(view.trailer["Root"]).get("DSS", {}))
        lists, answers = (
            tuple(view.data(ref.number) for ref in view.plain(store.get(key, [])))
            for key in ("CRLs", "OCSPs")
        )
    except _BROKEN:
        return Evidence()
    return Evidence(lists, answers)


def require_only_signing(before: bytes, after: bytes) -> None:
    """Refuse unless ``after``, which begins with ``before``, shows the same document with further signatures.

    Raises: `Refused` (FORMAT_FAILURE).
    """
    try:
        _compare(View(before), View(after))
    except (
        ValueError,
        KeyError,
        TypeError,
        IndexError,
        AttributeError,
        RecursionError,
        ArithmeticError,
    ) as error:
        raise Refused(
            "FORMAT_FAILURE",
            "Sau một chữ ký, tệp được thêm nội dung không phải là chữ ký, hoặc không xét được.",
            f"After a signature something was added that is not, or cannot be shown to be, signing ({error}).",
        ) from error


def _compare(old: View, new: View) -> None:
    root = old.trailer["Root"]
    if new.trailer["Root"] != root or old.places.keys() - new.places.keys():
        raise ValueError("objects removed")
    changed = {n for n in old.places if old.places[n] != new.places[n]}
    added = new.places.keys() - old.places.keys()
    if added & {int(n) for n in _REFERENCE.findall(old.pdf)}:
        raise ValueError("a missing object was supplied")
    for number in changed | added:
        new.load(number)
    catalogs = old.plain(root), new.plain(root)
    _same_but(*catalogs, "catalog")
    free = _evidence(old, catalogs[0]) | {
        r.number for v in (old, new) if isinstance(r := v.trailer.get("Info"), Ref)
    }
    fields = _form(old, new, catalogs, added)
    lists = {
        r.number for r in (old.plain(catalogs[0].get("AcroForm", {})).get("Fields"),) if isinstance(r, Ref)
    }
    forms = {r.number for r in (catalogs[0].get("AcroForm"),) if isinstance(r, Ref)}
    rest = changed - {root.number} - free - forms - lists
    annotations: set[int] = set()
    for number in sorted(rest):
        was, now = old.load(number), new.load(number)
        if isinstance(was[0], dict) and was[0].get("Type") == "/Page" and not was[1] and not now[1]:
            annotations |= _page(old, new, was[0], now[0], fields)
    for number in rest - annotations:
        _other(old.load(number), new.load(number), catalogs[0].get("Metadata") == Ref(number, 0))


def _same_but(was: Any, now: Any, kind: str) -> None:
    if not isinstance(was, dict) or not isinstance(now, dict):
        raise ValueError(f"{kind} missing")
    if {k for k in was.keys() | now.keys() if was.get(k) != now.get(k)} - _MAY_CHANGE[kind]:
        raise ValueError(f"{kind} changed")


def _evidence(old: View, catalog: dict[str, Any]) -> set[int]:
    """Objects of the document security store: certificates and revocation data, never shown."""
    store = catalog.get("DSS")
    found = {store.number} if isinstance(store, Ref) else set()
    values = old.plain(store) if store is not None else {}
    return found | {v.number for v in values.values() if isinstance(v, Ref)}


def _form(old: View, new: View, catalogs: tuple[dict[str, Any], dict[str, Any]], added: set[int]) -> set[int]:
    """The new signature fields; the rest of the form must be as it was."""
    was = old.plain(catalogs[0].get("AcroForm", {}))
    now = new.plain(catalogs[1].get("AcroForm", {}))
    if was:
        _same_but(was, now, "form")
    elif now.keys() - {"Fields", "SigFlags", "DA", "DR"}:
        raise ValueError("form added")
    before, after = old.plain(was.get("Fields", [])), new.plain(now.get("Fields", []))
    fresh = after[len(before) :]
    if after[: len(before)] != before or any(not isinstance(f, Ref) or f.number not in added for f in fresh):
        raise ValueError("fields")
    for field in fresh:
        _signature_field(new.plain(field))
    return {f.number for f in fresh}


def _signature_field(field: Any) -> None:
    if not isinstance(field, dict) or field.get("FT") != "/Sig" or field.keys() - _FIELD_KEYS:
        raise ValueError("field is not a signature")
    left, bottom, right, top = field.get("Rect", [Decimal(0)] * 4)
    if abs((right - left) * (top - bottom)) > LARGEST_FIELD:
        raise ValueError("appearance too large")


def _page(old: View, new: View, was: dict[str, Any], now: dict[str, Any], fields: set[int]) -> set[int]:
    """A page may gain new signature fields; gives the numbers of its old list of annotations."""
    _same_but(was, now, "page")
    before, after = old.plain(was.get("Annots", [])), new.plain(now.get("Annots", []))
    fresh = after[len(before) :]
    if after[: len(before)] != before or any(not isinstance(f, Ref) or f.number not in fields for f in fresh):
        raise ValueError("annotations")
    return {was["Annots"].number} if isinstance(was.get("Annots"), Ref) else set()


def _other(was: tuple[Any, bool], now: tuple[Any, bool], metadata: bool) -> None:
    """Metadata may change; an empty signature field may be filled; a page was judged before."""
    old, new = was[0], now[0]
    if not isinstance(old, dict) or not isinstance(new, dict) or was[1] != now[1]:
        raise ValueError("object changed")
    if old.get("Type") == "/Page":
        return
    if metadata and was[1] and old.get("Type") == new.get("Type") == "/Metadata":
        return
    if was[1] or old.get("FT") != "/Sig" or "V" in old:
        raise ValueError("object changed")
    _same_but(old, new, "field")
    _signature_field(new)
