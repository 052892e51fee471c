"""Signatures whose last phase comes later: what was prepared is kept, the value is made elsewhere, then it is finished.

A distant signer ends the first phase by raising `AtTheToken`, with what is to be signed; nothing was written. When the
value is there, `ResumedSigner` goes the same way again and finishes exactly what was prepared.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field

from asn1crypto import cms, x509

from benhan.base.errors import Conflict, NotAllowed
from benhan.base.json_door import loads_object
from benhan.signing.evidence import EvidenceSource
from benhan.signing.signer import Prepared, Signer


class AtTheToken(NotAllowed):
    """The key is not here: ``prepared`` is to be signed where it is."""

    def __init__(self, prepared: Prepared) -> None:
        super().__init__(
            "signing.at-the-token",
            "Khóa ký nằm ở thiết bị của người ký: ký việc này từ trang Chờ tôi ký.",
            diagnostics=prepared.digest,
        )
        self.prepared = prepared


@dataclass(frozen=True, slots=True)
class ResumedSigner:
    """A value made elsewhere over what was prepared before."""

    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...]
    prepared: Prepared
    signature: bytes = field(repr=False)
    revocation: EvidenceSource | None = field(default=None, repr=False)

    async def sign_digest(self, prepared: Prepared) -> bytes:
        """The value. Raises: ``Conflict`` (signing.other-bytes) for anything but what was prepared."""
        if prepared.to_be_signed != self.prepared.to_be_signed:
            raise _other()
        return self.signature


def resumed(signer: Signer, data: bytes) -> Prepared | None:
    """What a resumed signer has prepared over ``data``; None for every other signer.

    Raises: ``Conflict`` (signing.other-bytes) when it was prepared over something else.
    """
    if not isinstance(signer, ResumedSigner):
        return None
    state = loads_object(signer.prepared.state, max_bytes=400_000_000)
    if state["kind"] == "pades":
        same = base64.b64decode(state["pdf"]).startswith(data)
    else:
        attributes = cms.CMSAttributes.load(base64.b64decode(state["attributes"]))
        told = next(a["values"][0].native for a in attributes if a["type"].native == "message_digest")
        same = told == hashlib.sha256(data).digest()
    if not same:
        raise _other()
    return signer.prepared


def _other() -> Conflict:
    return Conflict("signing.other-bytes", "Giấy đã khác bản được gửi ký; ký lại.")
