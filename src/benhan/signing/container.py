"""The sealed record: one ASiC-E container with CAdES, canonical to the byte.

``mimetype`` first and stored; every file stored in sorted order with a fixed time; ``META-INF/ASiCManifest.xml`` lists each
with its SHA-256; ``META-INF/signature.p7s`` is a CAdES signature over the manifest. Rebuilding gives the same bytes, so
one changed byte anywhere, ZIP headers included, is seen. Source: ETSI EN 319 162-1.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from xml.sax.saxutils import quoteattr

from pyhanko.sign.timestamps import TimeStamper

from benhan.base.errors import InvalidInput
from benhan.signing.cades import sign_cades
from benhan.signing.renewal import zipped
from benhan.signing.signer import Signer

MIMETYPE = b"application/vnd.etsi.asic-e+zip"
MANIFEST = "META-INF/ASiCManifest.xml"
SIGNATURE = "META-INF/signature.p7s"


def manifest(files: Mapping[str, bytes]) -> bytes:
    """The ASiCManifest of files, canonical: sorted names, one line each."""
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<asic:ASiCManifest xmlns:asic="http://uri.etsi.org/02918/v1.2.1#" xmlns:ds="http://www.w3.org/2000/09/xmldsig#">',
        f'<asic:SigReference URI={quoteattr(SIGNATURE)} MimeType="application/pkcs7-signature"/>',
    ]
    for name in sorted(files):
        digest = base64.b64encode(hashlib.sha256(files[name]).digest()).decode()
        lines.append(
            f"<asic:DataObjectReference URI={quoteattr(name)}>"
            '<ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/>'
            f"<ds:DigestValue>{digest}</ds:DigestValue></asic:DataObjectReference>"
        )
    lines.append("</asic:ASiCManifest>")
    return ("\n".join(lines) + "\n").encode()


def pack(files: Mapping[str, bytes], manifest_bytes: bytes, signature: bytes) -> bytes:
    """The container's bytes; equal parts give equal bytes."""
    parts = {"mimetype": MIMETYPE, **{name: files[name] for name in sorted(files)}}
    return zipped({**parts, MANIFEST: manifest_bytes, SIGNATURE: signature})


async def seal(files: Mapping[str, bytes], signer: Signer, tsa: TimeStamper | None = None) -> bytes:
    """Seal files into one container.

    Raises: ``InvalidInput`` (signing.bad-name) for a name that leaves the container or meets its own parts.
    """
    for name in files:
        if (
            not name
            or name.startswith(("/", "META-INF"))
            or ".." in name.split("/")
            or name == "mimetype"
            or "\\" in name
        ):
            raise InvalidInput(
                "signing.bad-name", "Tên tệp trong hộp niêm phong không hợp lệ.", diagnostics=name
            )
    if not files:
        raise InvalidInput("signing.empty", "Không có gì để niêm phong.")
    listing = manifest(files)
    return pack(files, listing, await sign_cades(listing, signer, tsa))
