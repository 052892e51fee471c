"""Proof that certificates were not revoked: gathered when signing, embedded, read back offline.

B-LT of ETSI EN 319 122-1 and 319 142-1: in CMS inside ``SignedData.crls`` (lists, and OCSP answers as RFC 5940), in a
PDF inside its document security store. NĐ 23/2025, Điều 15–17: the state is asked when signing and the answer is kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from asn1crypto import cms, core, crl, ocsp, x509
from cryptography.hazmat.primitives import serialization

from benhan.base.clock import SYSTEM_CLOCK, Clock
from benhan.base.errors import NotAllowed
from benhan.signing import pki


@dataclass(frozen=True, slots=True)
class Evidence:
    """Revocation lists and OCSP answers, as they are embedded."""

    crls: tuple[crl.CertificateList, ...] = ()
    ocsps: tuple[ocsp.OCSPResponse, ...] = ()

    def __add__(self, other: Evidence) -> Evidence:
        """Both together."""
        return Evidence(self.crls + other.crls, self.ocsps + other.ocsps)


class CertificateRevoked(NotAllowed):
    """A certificate of the signer's chain is revoked since ``at``; ``evidence`` is what says so."""

    def __init__(self, at: datetime, evidence: Evidence) -> None:
        super().__init__("signing.certificate-revoked", "Chứng thư chữ ký số đã bị thu hồi.")
        self.at, self.evidence = at, evidence


class CertificateHeld(NotAllowed):
    """A certificate of the signer's chain is suspended (certificateHold) since ``at``."""

    def __init__(self, at: datetime, evidence: Evidence) -> None:
        super().__init__("signing.certificate-held", "Chứng thư chữ ký số đang bị tạm dừng.")
        self.at, self.evidence = at, evidence


class EvidenceSource(Protocol):
    """Where the state of a certificate is asked.

    ``may_wait``: while the source is away one may sign, and ask later (setting ``revocation_away``).
    """

    @property
    def may_wait(self) -> bool:
        """See the class."""
        ...

    async def evidence(self, certificate: x509.Certificate) -> Evidence:
        """Present state of the certificate and of its issuers.

        Raises: `CertificateRevoked`; `CertificateHeld`; ``NeighbourFailed`` (signing.revocation-away).
        """
        ...


@dataclass(frozen=True, slots=True)
class LocalEvidence:
    """The installation's own test authority, asked without network."""

    folder: Path
    clock: Clock = SYSTEM_CLOCK
    may_wait: bool = False

    async def evidence(self, certificate: x509.Certificate) -> Evidence:
        """Lists of root and issuing CA, and the responder's answer where it knows the certificate."""
        return await asyncio.to_thread(self._evidence, certificate)

    def _evidence(self, certificate: x509.Certificate) -> Evidence:
        lists = tuple(
            crl.CertificateList.load(pki.current_list(self.folder, name, self.clock))
            for name in ("root", "ca")
        )
        if (gone := pki.gone(self.folder, certificate.serial_number)) is not None:
            raise (CertificateHeld if gone.held else CertificateRevoked)(gone.at, Evidence(lists))
        if not pki.is_issued(self.folder, certificate.serial_number):
            return Evidence(lists)
        answer = pki.ocsp_response(self.folder, certificate.serial_number, self.clock)
        der = answer.public_bytes(serialization.Encoding.DER)
        return Evidence(lists, (ocsp.OCSPResponse.load(der),))


def each(found: Any) -> Iterable[Any]:
    """Elements of an optional field, none when it is absent. Not by ``.native``: that decodes every certificate inside."""
    return () if isinstance(found, core.Void) else found


def embed(signed: cms.ContentInfo, evidence: Evidence) -> None:
    """Put evidence into a CMS signature; it is outside the signed attributes."""
    if not (evidence.crls or evidence.ocsps):
        return
    choices = [cms.RevocationInfoChoice("crl", one) for one in evidence.crls]
    for answer in evidence.ocsps:
        form = cms.OtherRevocationInfoFormat(
            {"other_rev_info_format": "ocsp_response", "other_rev_info": answer}
        )
        choices.append(cms.RevocationInfoChoice("other", form))
    signed["content"]["crls"] = cms.RevocationInfoChoices(choices)
    if evidence.ocsps:
        signed["content"]["version"] = "v5"


def embedded(signed_data: cms.SignedData) -> Evidence:
    """Evidence inside a CMS signature; raises ``ValueError`` when it is malformed."""
    lists: list[crl.CertificateList] = []
    answers: list[ocsp.OCSPResponse] = []
    for choice in each(signed_data["crls"]):
        if choice.name == "crl":
            lists.append(choice.chosen)
        elif choice.chosen["other_rev_info_format"].native == "ocsp_response":
            answers.append(ocsp.OCSPResponse.load(choice.chosen["other_rev_info"].dump(), strict=True))
    return Evidence(tuple(lists), tuple(answers))


def of_lists(ders: Sequence[bytes]) -> Evidence:
    """Evidence from revocation lists (DER) that a judge brings along; raises ``ValueError``."""
    return Evidence(tuple(crl.CertificateList.load(der, strict=True) for der in ders))
