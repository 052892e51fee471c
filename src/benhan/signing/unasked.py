"""When nobody could be asked about the signer's certificate: sign without the answer where the house allows it, ask later.

A signature whose certificate's state is not known is B-T at most: it verifies, but nothing says that the certificate was good.
The answer that comes later settles it: good, and it is put beside the signature; revoked before the time that the signature
proves, and the signature has no value (EN 319 102-1, 5.2.6 and 5.5). What waits is never called complete.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO

import asn1crypto.tsp  # noqa: F401 — teaches cms the time-stamp attributes
from asn1crypto import cms, x509
from pyhanko.pdf_utils.misc import PdfReadError
from pyhanko.pdf_utils.reader import PdfFileReader

from benhan.base.errors import InvalidInput
from benhan.signing.evidence import Evidence, EvidenceSource, embed, embedded
from benhan.signing.revocation import states
from benhan.signing.signer import Signer
from benhan.signing.verification import stamped_at, stored_evidence


@dataclass(frozen=True, slots=True)
class Unasked:
    """A signature and what its state is asked with. ``name``: SHA-256 (hex) of the signature value; ``chain``: issuer first;
    ``proved_at``: the earliest time stamp over it, None without any; ``evidence``: what is known already.
    """

    name: str
    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...]
    proved_at: datetime | None
    evidence: Evidence

    def known(self, at: datetime) -> bool:
        """Whether the evidence inside speaks for every certificate of the chain at ``at``."""
        path = [*reversed(self.chain), self.certificate]
        return all(s.known_at is not None for s in states(path, self.evidence, at))


def state_waits(data: bytes, signer: Signer, at: datetime, *, pdf: bool) -> str:
    """Name of the signature just made when its certificate's state must still be asked; ``""`` when nothing waits.

    Raises: ``InvalidInput`` (signing.not-a-pdf).
    """
    source: EvidenceSource | None = getattr(signer, "revocation", None)
    if source is None or not source.may_wait:
        return ""
    made = _all_of(data, pdf=pdf)[-1]
    return "" if made.known(at) else made.name


def unasked(data: bytes, name: str, *, pdf: bool) -> Unasked | None:
    """The signature of that name in a CMS or PDF. Raises: ``InvalidInput`` (signing.not-a-pdf)."""
    return next((one for one in _all_of(data, pdf=pdf) if one.name == name), None)


def cms_answered(signature: bytes, evidence: Evidence) -> bytes:
    """The CMS with evidence beside what it has; nothing that is signed changes."""
    info = cms.ContentInfo.load(signature)
    embed(info, embedded(info["content"]) + evidence)
    return bytes(info.dump())


def _all_of(data: bytes, *, pdf: bool) -> list[Unasked]:
    if not pdf:
        signed = cms.ContentInfo.load(data)["content"]
        return [_one(signed, stamped_at(signed["signer_infos"][0]), embedded(signed))]
    try:
        reader = PdfFileReader(BytesIO(data))
        stamps = [(s.signed_revision, _gen_time(s.signed_data)) for s in reader.embedded_timestamp_signatures]
        store, found = stored_evidence(reader), []
        for one in reader.embedded_regular_signatures:
            own = stamped_at(one.signer_info)
            later = [at for revision, at in stamps if revision > one.signed_revision]
            proved = min([*([own] if own else []), *later], default=None)
            found.append(_one(one.signed_data, proved, store + embedded(one.signed_data)))
        return found
    except (PdfReadError, ValueError):
        raise InvalidInput("signing.not-a-pdf", "Tệp không phải PDF đọc được nên không ký.") from None


def _gen_time(signed: cms.SignedData) -> datetime:
    moment: datetime = signed["encap_content_info"]["content"].parsed["gen_time"].native
    return moment


def _one(signed: cms.SignedData, proved: datetime | None, evidence: Evidence) -> Unasked:
    info = signed["signer_infos"][0]
    held: list[x509.Certificate] = [choice.chosen for choice in signed["certificates"]]
    serial = info["sid"].chosen["serial_number"].native
    own = next(c for c in held if c.serial_number == serial)
    path = [own]
    while path[-1].issuer != path[-1].subject:
        above = next((c for c in held if c.subject == path[-1].issuer and c not in path), None)
        if above is None:
            break
        path.append(above)
    name = hashlib.sha256(info["signature"].native).hexdigest()
    return Unasked(name, own, tuple(path[1:]), proved, evidence)
