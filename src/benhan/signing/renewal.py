"""Renewal of a sealed record: archive time stamps over everything in it, one after another (EN 319 162-1, 4.4.3 and A.7).

``META-INF/ASiCArchiveManifestNNN.xml`` lists every part before it with its SHA-256: the seal's signature, earlier archive
manifests and tokens included; ``META-INF/timestampNNN.tst`` is an RFC 3161 token over it. A renewal adds two parts and
changes none, so the bytes before stay provable, and the container stays canonical.
"""

from __future__ import annotations

import base64
import hashlib
import zipfile
from collections.abc import Mapping
from datetime import datetime
from io import BytesIO
from xml.sax.saxutils import quoteattr

import asn1crypto.tsp  # noqa: F401 — teaches cms the time-stamp attributes
from asn1crypto import cms
from cryptography import x509
from pyhanko.sign.timestamps import TimeStamper

from benhan.base.errors import InvalidInput
from benhan.signing.signer import DIGEST

MOST_RENEWALS = 999


def archive_manifest_name(number: int) -> str:
    """Name of the ``number``-th archive manifest, from 1."""
    return f"META-INF/ASiCArchiveManifest{number:03d}.xml"


def token_name(number: int) -> str:
    """Name of the ``number``-th archive time stamp, from 1."""
    return f"META-INF/timestamp{number:03d}.tst"


def archive_manifest(parts: Mapping[str, bytes], number: int) -> bytes:
    """The archive manifest over parts in their order, canonical: one line each."""
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<asic:ASiCManifest xmlns:asic="http://uri.etsi.org/02918/v1.2.1#" xmlns:ds="http://www.w3.org/2000/09/xmldsig#">',
        f'<asic:SigReference URI="{token_name(number)}" MimeType="application/vnd.etsi.timestamp-token"/>',
    ]
    for name, data in parts.items():
        digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
        lines.append(
            f"<asic:DataObjectReference URI={quoteattr(name)}>"
            '<ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/>'
            f"<ds:DigestValue>{digest}</ds:DigestValue></asic:DataObjectReference>"
        )
    lines.append("</asic:ASiCManifest>")
    return ("\n".join(lines) + "\n").encode()


def zipped(parts: Mapping[str, bytes]) -> bytes:
    """Parts in their order as a canonical ZIP: stored, one time, one mode."""
    out = BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, data in parts.items():
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.create_system = 3
            info.external_attr = 0o644 << 16
            archive.writestr(info, data)
    return out.getvalue()


def parts_of(container: bytes) -> dict[str, bytes]:
    """All parts of a canonical container in their order.

    Raises: ``InvalidInput`` (signing.not-canonical).
    """
    try:
        with zipfile.ZipFile(BytesIO(container)) as archive:
            parts = {name: archive.read(name) for name in archive.namelist()}
    except (zipfile.BadZipFile, ValueError, KeyError, EOFError, OSError, RuntimeError):
        parts = {}
    if not parts or zipped(parts) != container:
        raise InvalidInput(
            "signing.not-canonical", "Hộp niêm phong không đúng dạng chuẩn nên không đóng dấu thêm."
        )
    return parts


def renewals(parts: Mapping[str, bytes]) -> int:
    """How many archive time stamps there are."""
    return sum(1 for name in parts if name.startswith("META-INF/timestamp"))


async def renew(container: bytes, tsa: TimeStamper) -> bytes:
    """The container with one more archive time stamp over all that it holds.

    The caller has verified it: a renewal of something broken proves nothing.
    Raises: ``InvalidInput`` (signing.not-canonical, signing.too-many-renewals); as the stamper.
    """
    parts = parts_of(container)
    number = renewals(parts) + 1
    if number > MOST_RENEWALS:
        raise InvalidInput(
            "signing.too-many-renewals", "Hộp niêm phong đã có quá nhiều dấu thời gian lưu trữ."
        )
    listing = archive_manifest(parts, number)
    token = await tsa.async_timestamp(hashlib.sha256(listing).digest(), DIGEST)
    return zipped({**parts, archive_manifest_name(number): listing, token_name(number): token.dump()})


def proof_ends(container: bytes) -> datetime:
    """When the newest proof of a container runs out: the end of its last time stamp authority's certificate; without
    any time stamp the end of the signer's. Renew before.

    Raises: ``InvalidInput`` (signing.not-canonical).
    """
    parts = parts_of(container)
    number = renewals(parts)
    signature = cms.ContentInfo.load(parts["META-INF/signature.p7s"])
    token = signature
    if number:
        token = cms.ContentInfo.load(parts[token_name(number)])
    else:
        for attribute in signature["content"]["signer_infos"][0]["unsigned_attrs"] or ():
            if attribute["type"].native == "signature_time_stamp_token":
                token = attribute["values"][0]
    return _end_of_signer(token)


def _end_of_signer(info: cms.ContentInfo) -> datetime:
    sid = info["content"]["signer_infos"][0]["sid"].chosen
    for choice in info["content"]["certificates"]:
        if choice.chosen.serial_number == sid["serial_number"].native:
            return x509.load_der_x509_certificate(choice.chosen.dump()).not_valid_after_utc
    raise InvalidInput("signing.not-canonical", "Chữ ký không kèm chứng thư của người ký.")
