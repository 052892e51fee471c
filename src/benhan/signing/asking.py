"""The state of a certificate asked by network when signing: OCSP first (RFC 6960), its issuer's list second (RFC 5280).

Where to ask stands in the certificate (authority information access, CRL distribution points) or in the settings of a closed
network. An answer counts only as :mod:`benhan.signing.revocation` judges it: signed by the issuer or a responder the issuer
appointed, about this certificate, made before now and not past its nextUpdate. Answers are kept until nextUpdate and
asked again after `ASK_AGAIN`, so that a batch of papers asks once and a revocation is seen the same hour.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import httpx
from asn1crypto import crl as asn1_crl
from asn1crypto import ocsp as asn1_ocsp
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID

from benhan.base.clock import SYSTEM_CLOCK, Clock
from benhan.base.errors import NeighbourFailed, NotAllowed
from benhan.base.settings import Settings
from benhan.signing import pki
from benhan.signing.evidence import (
    CertificateHeld,
    CertificateRevoked,
    Evidence,
    EvidenceSource,
    LocalEvidence,
)
from benhan.signing.fetch import fetch
from benhan.signing.revocation import SKEW, State, state_of

ASK_S, WHOLE_S = 3.0, 10.0
MOST_ANSWER_BYTES, MOST_LIST_BYTES = 100_000, 5_000_000
#: answers held in this process, of certificates and of lists
MOST_KEPT, MOST_LISTS = 2_000, 16
ASK_AGAIN = timedelta(minutes=5)
#: seconds for which a service that let us wait in vain is not asked again
REST_S = 20.0
NONCE_BYTES = 32


@dataclass(frozen=True, slots=True)
class _Kept:
    evidence: Evidence
    asked_at: datetime


_answers: OrderedDict[str, _Kept] = OrderedDict()
_lists: OrderedDict[str, _Kept] = OrderedDict()
_resting: dict[str, float] = {}


def forget_answers() -> None:
    """Drop every kept answer, as a restart does."""
    _answers.clear()
    _lists.clear()
    _resting.clear()


@dataclass(frozen=True, slots=True)
class HttpEvidence:
    """The services of a certificate's issuers. ``chain``: issuer's certificate and those above it, in any order.

    ``ocsp_url`` and ``crl_urls`` take the place of what the certificate says. ``may_wait``: see `EvidenceSource`.
    """

    chain: tuple[asn1_x509.Certificate, ...]
    ocsp_url: str | None = None
    crl_urls: tuple[str, ...] = ()
    may_wait: bool = False
    clock: Clock = SYSTEM_CLOCK

    async def evidence(self, certificate: asn1_x509.Certificate) -> Evidence:
        """Answers about the certificate and its issuers, all good; at most `WHOLE_S` seconds.

        Raises: `CertificateRevoked`; `CertificateHeld`; ``NotAllowed`` (signing.chain-incomplete); ``NeighbourFailed``
        (signing.revocation-away).
        """
        found = Evidence()
        try:
            async with asyncio.timeout(WHOLE_S):
                for own, issuer in self._pairs(certificate):
                    found += await self._of(own, issuer)
        except TimeoutError:
            raise _away() from None
        return found

    def _pairs(
        self, certificate: asn1_x509.Certificate
    ) -> Iterator[tuple[x509.Certificate, x509.Certificate]]:
        own = x509.load_der_x509_certificate(certificate.dump())
        above = [x509.load_der_x509_certificate(c.dump()) for c in self.chain]
        path = [own]
        while path[-1].issuer != path[-1].subject:
            issuer = next((c for c in above if c.subject == path[-1].issuer and c not in path), None)
            if issuer is None:
                break
            path.append(issuer)
        if len(path) < 2:
            raise NotAllowed(
                "signing.chain-incomplete",
                "Chứng thư chữ ký số không kèm chứng thư của nơi cấp nên không hỏi được trạng thái.",
            )
        return itertools.pairwise(path)

    async def _of(self, own: x509.Certificate, issuer: x509.Certificate) -> Evidence:
        """Evidence that one certificate stands; kept evidence when it is young, or when nobody answers."""
        key, now = own.fingerprint(hashes.SHA256()).hex(), self.clock.now()
        kept = _answers.get(key)
        if kept is not None and now < kept.asked_at + ASK_AGAIN and await _stands(kept, own, issuer, now):
            return kept.evidence
        for ask in (self._by_ocsp, self._by_lists):
            found = await ask(own, issuer)
            if found is not None and await _stands(found, own, issuer, now):
                _keep(_answers, key, found, MOST_KEPT)
                return found.evidence
        if kept is not None and await _stands(kept, own, issuer, now):
            return kept.evidence
        raise _away()

    async def _by_ocsp(self, own: x509.Certificate, issuer: x509.Certificate) -> _Kept | None:
        urls = [self.ocsp_url] if self.ocsp_url else _responders(own)
        nonce = x509.OCSPNonce(os.urandom(NONCE_BYTES))
        # the certificate is named by SHA-1, which every responder knows (RFC 5019, 2.1.1); nothing is proved by it
        request = ocsp.OCSPRequestBuilder().add_certificate(own, issuer, hashes.SHA1())  # noqa: S303
        der = request.add_extension(nonce, critical=False).build().public_bytes(serialization.Encoding.DER)
        for url in urls:
            body = await _ask(url, MOST_ANSWER_BYTES, der, "application/ocsp-request")
            if body is not None and _answers_nonce(body, nonce):
                return _Kept(Evidence((), (asn1_ocsp.OCSPResponse.load(body),)), self.clock.now())
        return None

    async def _by_lists(self, own: x509.Certificate, issuer: x509.Certificate) -> _Kept | None:
        for url in self.crl_urls or _points(own):
            found = await self._list(url)
            if found is not None and (await _judged(found, own, issuer, self.clock.now())) is not None:
                return found
        return None

    async def _list(self, url: str) -> _Kept | None:
        now, kept = self.clock.now(), _lists.get(url)
        if kept is not None and now < kept.asked_at + ASK_AGAIN:
            return kept
        body = await _ask(url, MOST_LIST_BYTES)
        try:
            listed = None if body is None else asn1_crl.CertificateList.load(body, strict=True)
        except ValueError:
            listed = None
        if listed is None:
            return kept
        found = _Kept(Evidence((listed,)), now)
        _keep(_lists, url, found, MOST_LISTS)
        return found


def evidence_source(
    settings: Settings,
    chain: tuple[asn1_x509.Certificate, ...],
    clock: Clock = SYSTEM_CLOCK,
    *,
    of_seal: bool = False,
) -> EvidenceSource:
    """Where the state of a certificate is asked that ``chain`` (issuer first) has issued.

    The own test authority answers without network; certificates of all others are asked at their authority, or at the
    services of the settings. ``of_seal``: for a seal or a completion, which never goes without evidence.
    """
    may_wait = settings.revocation_away == "later" and not of_seal
    if is_own(settings, chain):
        return LocalEvidence(pki.pki_folder(settings), clock, may_wait)
    return HttpEvidence(chain, settings.ocsp_url, settings.crl_urls, may_wait, clock)


def is_own(settings: Settings, chain: tuple[asn1_x509.Certificate, ...]) -> bool:
    """Whether the issuer is the test authority of this installation."""
    own = pki.pki_folder(settings) / "ca.pem"
    return bool(chain) and own.exists() and chain[0].dump() == _der(own)


def _der(path: Path) -> bytes:
    return x509.load_pem_x509_certificate(path.read_bytes()).public_bytes(serialization.Encoding.DER)


def _keep(store: OrderedDict[str, _Kept], key: str, found: _Kept, most: int) -> None:
    store[key] = found
    store.move_to_end(key)
    while len(store) > most:
        store.popitem(last=False)


def _away() -> NeighbourFailed:
    return NeighbourFailed(
        "signing.revocation-away", "Không hỏi được trạng thái chứng thư (OCSP, CRL) ở nơi cấp."
    )


async def _judged(
    kept: _Kept, own: x509.Certificate, issuer: x509.Certificate, now: datetime
) -> State | None:
    """What kept evidence says now; None when it says nothing, is past its nextUpdate or comes from the future."""
    found = await asyncio.to_thread(state_of, own, issuer, kept.evidence, now)
    if found.revoked_at is not None:  # for good, however old the answer
        return found
    return None if found.known_at is None or found.known_at > now + SKEW else found


async def _stands(kept: _Kept, own: x509.Certificate, issuer: x509.Certificate, now: datetime) -> bool:
    """Whether evidence says that a certificate is good now; raises `CertificateRevoked` and `CertificateHeld`."""
    found = await _judged(kept, own, issuer, now)
    if found is None:
        return False
    if found.revoked_at is not None:
        raise CertificateRevoked(found.revoked_at, kept.evidence)
    if found.held_at is not None:
        raise CertificateHeld(found.held_at, kept.evidence)
    return True


async def _ask(url: str, most: int, content: bytes | None = None, kind: str = "") -> bytes | None:
    """The answer of a service; None when it is away, refuses, floods, or has let us wait a moment ago."""
    clock: Callable[[], float] = asyncio.get_running_loop().time
    if clock() < _resting.get(url, 0.0):
        return None
    try:
        async with asyncio.timeout(ASK_S):
            return await fetch(url, most=most, timeout_s=ASK_S, content=content, kind=kind)
    except (TimeoutError, httpx.TimeoutException):
        _resting[url] = clock() + REST_S
    except (httpx.HTTPError, httpx.InvalidURL):
        pass
    return None


def _answers_nonce(body: bytes, nonce: x509.OCSPNonce) -> bool:
    """Whether an answer can be read and repeats our nonce; responders that sign ahead send none (RFC 5019)."""
    try:
        answer = ocsp.load_der_ocsp_response(body)
        if answer.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            return False
        return answer.extensions.get_extension_for_class(x509.OCSPNonce).value == nonce
    except x509.ExtensionNotFound:
        return True
    except (ValueError, TypeError):
        return False


def _responders(certificate: x509.Certificate) -> list[str]:
    try:
        access = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except x509.ExtensionNotFound:
        return []
    return _web(a.access_location for a in access if a.access_method == AuthorityInformationAccessOID.OCSP)


def _points(certificate: x509.Certificate) -> list[str]:
    try:
        points = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    except x509.ExtensionNotFound:
        return []
    return _web(name for point in points for name in point.full_name or ())


def _web(names: Iterator[x509.GeneralName]) -> list[str]:
    found = [str(n.value) for n in names if isinstance(n, x509.UniformResourceIdentifier)]
    return [url for url in found if url.startswith(("http://", "https://"))]
