"""When the time-stamp service is away: sign without its token where the house allows it, and add the token later.

A signature without a token is B-B (EN 319 142-1, 319 122-1): it verifies, but proves its time only by the signer's word. The
token that comes later proves that the signature stood at that later moment. What waits is never called complete.
"""

from __future__ import annotations

import hashlib
from io import BytesIO

from asn1crypto import cms
from pyhanko.pdf_utils.misc import PdfReadError
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.signers.pdf_cms import ExternalSigner
from pyhanko.sign.timestamps import TimeStamper

from benhan.base.errors import InvalidInput, NeighbourFailed
from benhan.signing.evidence import each
from benhan.signing.signer import DIGEST

_STAMP = "signature_time_stamp_token"


def may_wait(tsa: TimeStamper | None) -> bool:
    """Whether the house lets a signature wait for this service's token (setting ``tsa_away``)."""
    return bool(getattr(tsa, "may_wait", False))


async def with_token(
    signer: ExternalSigner, attributes: cms.CMSAttributes, tsa: TimeStamper | None
) -> cms.ContentInfo:
    """The CMS of a finished signature with the token of ``tsa``; without it when the service is away and that may wait.

    Raises: ``NeighbourFailed`` (signing.tsa-away, signing.tsa-timeout, signing.tsa-refused) where it may not.
    """
    try:
        return await signer.async_sign_prescribed_attributes(DIGEST, signed_attrs=attributes, timestamper=tsa)
    except NeighbourFailed:
        if not may_wait(tsa):
            raise
        return await signer.async_sign_prescribed_attributes(
            DIGEST, signed_attrs=attributes, timestamper=None
        )


def cms_waits(signature: bytes) -> bool:
    """True when a CMS (DER) has no time-stamp token yet."""
    info = cms.ContentInfo.load(signature)["content"]["signer_infos"][0]
    return not _has_token(info)


def _has_token(info: cms.SignerInfo) -> bool:
    return any(a["type"].native == _STAMP for a in each(info["unsigned_attrs"]))


async def cms_stamped(signature: bytes, tsa: TimeStamper) -> bytes:
    """The CMS with a time-stamp token over its signature value; nothing that is signed changes."""
    info = cms.ContentInfo.load(signature)
    signer = info["content"]["signer_infos"][0]
    digest = hashlib.sha256(signer["signature"].native).digest()
    token = await tsa.async_timestamp(digest, DIGEST)
    attributes = list(each(signer["unsigned_attrs"]))
    attributes.append(cms.CMSAttribute({"type": _STAMP, "values": (token,)}))
    signer["unsigned_attrs"] = cms.CMSAttributes(attributes)
    return bytes(info.dump())


def pdf_waits(pdf: bytes) -> bool:
    """True when a signature of a paper is under no time stamp: neither its own, nor a later one of the document.

    Raises: ``InvalidInput`` (signing.not-a-pdf).
    """
    try:
        reader = PdfFileReader(BytesIO(pdf))
        stamped = max((s.signed_revision for s in reader.embedded_timestamp_signatures), default=-1)
        return any(
            not _has_token(s.signer_info) and s.signed_revision > stamped
            for s in reader.embedded_regular_signatures
        )
    except (PdfReadError, ValueError):
        raise InvalidInput("signing.not-a-pdf", "Tệp không phải PDF đọc được nên không ký.") from None
