"""Signing as this room uses it: which bytes, which field, which place. Nothing here touches the database."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import datetime

from benhan import signing
from benhan.records.shapes import instant, staff_ref
from benhan.records.signatures import UNASKED, WAITING
from benhan.records.types import JsonObject, SignWith
from benhan.signing import cms_waits, may_wait, pdf_waits, state_waits

_AUTHOR = {
    "system": "urn:iso-astm:E1762-95:2013",
    "code": "1.2.840.10065.1.12.1.1",
    "display": "Author's Signature",
}


async def ink_pdf(
    pdf: bytes,
    sign: SignWith,
    *,
    field: str,
    reason: str,
    place: signing.Place | None = None,
    role: str = "",
    name: str = "",
    drawing: bytes | None = None,
) -> bytes:
    """The PDF with one more PAdES signature in ``field``, visible in ``place``, with the signer's ``role``.

    ``name``, ``drawing``: of a person who signs by hand, with the signer as witness.
    """
    return await signing.sign_pdf(
        pdf,
        sign.signer,
        field=field,
        reason=reason,
        name=name or sign.staff.name,
        tsa=sign.tsa,
        place=place,
        role=role,
        drawing=drawing,
    )


async def ink_entry(data: bytes, sign: SignWith) -> bytes:
    """Detached CMS signature over the exact bytes of an entry."""
    return await signing.entry_signature(data, sign.signer, sign.tsa)


async def ink_container(files: Mapping[str, bytes], sign: SignWith) -> bytes:
    """ASiC-E container of the files."""
    return await signing.seal(files, sign.signer, sign.tsa)


def waiting(data: bytes, sign: SignWith, at: datetime, *, pdf: bool) -> dict[str, str]:
    """Facts of a signature just made: no time stamp, certificate's state not known, where the house lets them wait."""
    found = {}
    if may_wait(sign.tsa) and (pdf_waits(data) if pdf else cms_waits(data)):
        found[WAITING] = "1"
    if name := state_waits(data, sign.signer, at, pdf=pdf):
        found[UNASKED] = name
    return found


def signature_element(sign: SignWith, at: datetime, *, content: str, cms: bytes | None = None) -> JsonObject:
    """FHIR ``Signature``; the CMS of an entry inside, a PDF's own signature stays in the PDF."""
    element: JsonObject = {
        "type": [_AUTHOR],
        "when": instant(at),
        "who": staff_ref(sign.staff),
        "targetFormat": content,
        "sigFormat": "application/pkcs7-signature" if cms is not None else content,
    }
    if cms is not None:
        element["data"] = base64.b64encode(cms).decode("ascii")
    return element
