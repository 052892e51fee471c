"""Sealed records: ASiC-E containers (EN 319 162-1) in the canonical form in which Bệnh Án packs them.

The file must equal its canonical rebuilding byte for byte, ZIP headers included, and the manifest must equal the one
rebuilt from the files; the manifest's XML is therefore never interpreted, only compared.
"""

from __future__ import annotations

import base64
import hashlib
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape
from io import BytesIO
from xml.sax.saxutils import quoteattr

from benhan_verify.cms import malformed
from benhan_verify.report import Refused

MIMETYPE = b"application/vnd.etsi.asic-e+zip"
MANIFEST = "META-INF/ASiCManifest.xml"
SIGNATURE = "META-INF/signature.p7s"
MOST_FILES, MOST_MANIFEST_BYTES = 100_000, 50_000_000
_TIME = (1980, 1, 1, 0, 0, 0)
_RENEWAL = re.compile(r"META-INF/(ASiCArchiveManifest\d{3}\.xml|timestamp\d{3}\.tst)")
_BROKEN = (
    zipfile.BadZipFile,
    NotImplementedError,
    RuntimeError,
    ValueError,
    KeyError,
    IndexError,
    EOFError,
    OSError,
    OverflowError,
    struct.error,
    zlib.error,
)


@dataclass(frozen=True, slots=True)
class Container:
    """The parts of a sealed record."""

    files: Mapping[str, bytes]
    manifest: bytes
    signature: bytes
    #: archive manifests and the time-stamp tokens over them, oldest first
    archives: tuple[tuple[bytes, bytes], ...] = ()


def open_container(data: bytes) -> Container:
    """Read a container and compare it with its canonical form and its manifest.

    Raises: `Refused` (FORMAT_FAILURE for the form, HASH_FAILURE for a file that was changed, added or taken away).
    """
    try:
        container = _read(data)
        canonical = _pack(container) == data
    except _BROKEN as error:
        raise malformed(
            "Hộp niêm phong không đọc được: đã hỏng hoặc bị sửa.",
            f"The sealed record is damaged or altered ({type(error).__name__}).",
        ) from error
    difference = _differences(container) or _archive_differences(container)
    if difference is not None:
        raise difference
    if not canonical:
        raise malformed(
            "Các byte của hộp không đúng dạng chuẩn: đã bị sửa.",
            "The bytes of the record are not canonical: it was altered.",
        )
    return container


def _read(data: bytes) -> Container:
    with zipfile.ZipFile(BytesIO(data)) as archive:
        entries = archive.infolist()
        names = [e.filename for e in entries]
        if len(names) > MOST_FILES or len(names) != len(set(names)) or names[:1] != ["mimetype"]:
            raise ValueError("names")
        if any(e.compress_type != zipfile.ZIP_STORED or e.flag_bits & 1 for e in entries):
            raise ValueError("entries must be stored and open")
        if sum(e.file_size for e in entries) > len(data) or archive.read("mimetype") != MIMETYPE:
            raise ValueError("mimetype or sizes")
        count = sum(1 for n in names if _RENEWAL.fullmatch(n)) // 2
        pairs = [_archive_names(number) for number in range(1, count + 1)]
        own = ("mimetype", MANIFEST, SIGNATURE, *(n for pair in pairs for n in pair))
        if any(_leaves(n) for n in names if n not in own):
            raise ValueError("a name leaves the container")
        files = {n: archive.read(n) for n in names if n not in own}
        archives = tuple((archive.read(listing), archive.read(token)) for listing, token in pairs)
        return Container(files, archive.read(MANIFEST), archive.read(SIGNATURE), archives)


def _archive_names(number: int) -> tuple[str, str]:
    return f"META-INF/ASiCArchiveManifest{number:03d}.xml", f"META-INF/timestamp{number:03d}.tst"


def _leaves(name: str) -> bool:
    parts = name.split("/")
    return not name or "\\" in name or parts[0] in ("", "META-INF") or ".." in parts


def _parts(container: Container) -> list[tuple[str, bytes]]:
    """All parts in the canonical order."""
    parts = [("mimetype", MIMETYPE)]
    parts += [(name, container.files[name]) for name in sorted(container.files)]
    parts += [(MANIFEST, container.manifest), (SIGNATURE, container.signature)]
    for number, pair in enumerate(container.archives, 1):
        parts += zip(_archive_names(number), pair, strict=True)
    return parts


def _pack(container: Container) -> bytes:
    parts = _parts(container)
    out = BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, data in parts:
            info = zipfile.ZipInfo(name, _TIME)
            info.create_system = 3
            info.external_attr = 0o644 << 16
            archive.writestr(info, data)
    return out.getvalue()


def _escaped(name: str) -> str:
    return f'"{escape(name)}"'


# Two ways to write a name as an attribute, the same to XML; they differ only for names with quotation marks.
_WRITINGS: tuple[Callable[[str], str], ...] = (quoteattr, _escaped)


def _lines(
    files: Mapping[str, bytes], writing: Callable[[str], str], *, in_order: bool = False
) -> dict[str, str]:
    """The manifest's line of each file, by name as it is written there; sorted, or as the files stand."""
    return {
        writing(name): f"<asic:DataObjectReference URI={writing(name)}>"
        '<ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/>'
        f"<ds:DigestValue>{base64.b64encode(hashlib.sha256(files[name]).digest()).decode()}</ds:DigestValue>"
        "</asic:DataObjectReference>"
        for name in (files if in_order else sorted(files))
    }


_SEAL = (SIGNATURE, "application/pkcs7-signature")


def _rebuilt(lines: Mapping[str, str], signed_by: tuple[str, str] = _SEAL) -> bytes:
    head = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<asic:ASiCManifest xmlns:asic="http://uri.etsi.org/02918/v1.2.1#" '
        'xmlns:ds="http://www.w3.org/2000/09/xmldsig#">\n'
        f'<asic:SigReference URI="{signed_by[0]}" MimeType="{signed_by[1]}"/>\n'
    )
    return (head + "".join(f"{line}\n" for line in lines.values()) + "</asic:ASiCManifest>\n").encode()


def _archive_differences(container: Container) -> Refused | None:
    """Why an archive manifest is not that of everything before it."""
    parts = _parts(container)
    for number, (listing, _) in enumerate(container.archives, 1):
        before = dict(parts[: len(parts) - 2 * (len(container.archives) - number + 1)])
        token = (_archive_names(number)[1], "application/vnd.etsi.timestamp-token")
        if all(_rebuilt(_lines(before, writing, in_order=True), token) != listing for writing in _WRITINGS):
            return Refused(
                "HASH_FAILURE",
                f"Danh mục lưu trữ {number} không khớp những gì có trước nó.",
                f"Archive manifest {number} differs from what lies before it.",
            )
    return None


def _differences(container: Container) -> Refused | None:
    """Why the manifest is not that of the files, by names where its lines allow it."""
    written = [_lines(container.files, writing) for writing in _WRITINGS]
    if any(_rebuilt(lines) == container.manifest for lines in written):
        return None
    if len(container.manifest) > MOST_MANIFEST_BYTES or b"<!" in container.manifest:
        return malformed("Danh mục không đúng dạng.", "The manifest is malformed.")
    try:
        text = container.manifest.decode()
    except UnicodeDecodeError:
        return malformed("Danh mục không đúng dạng.", "The manifest is malformed.")
    listed = {
        m[1]: line
        for line in text.split("\n")
        if (m := re.match(r"<asic:DataObjectReference URI=(\"[^\"]*\"|'[^']*')>", line))
    }
    real = max(written, key=lambda lines: len(lines.keys() & listed.keys()))
    missing, extra = sorted(listed.keys() - real.keys()), sorted(real.keys() - listed.keys())
    changed = sorted(n for n in listed.keys() & real.keys() if listed[n] != real[n])
    if not (missing or extra or changed):
        return malformed("Danh mục không đúng dạng chuẩn.", "The manifest is not canonical.")
    told = (("thiếu", "missing", missing), ("thừa", "extra", extra), ("đã đổi", "changed", changed))
    vi = "; ".join(f"{word} {', '.join(names[:5])}" for word, _, names in told if names)
    en = "; ".join(f"{word} {', '.join(names[:5])}" for _, word, names in told if names)
    return Refused(
        "HASH_FAILURE", f"Tệp không khớp danh mục: {vi}.", f"Files differ from the manifest: {en}."
    )
