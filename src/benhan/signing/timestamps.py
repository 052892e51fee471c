"""RFC 3161 time stamps: the installation's own test authority, or a service by HTTP."""

from __future__ import annotations

import asyncio
import functools
import hashlib
from datetime import datetime
from pathlib import Path

import httpx
from asn1crypto import cms, core, tsp, x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from pyhanko.sign.general import as_signing_certificate_v2
from pyhanko.sign.timestamps import TimeStamper
from pyhanko.sign.timestamps.dummy_client import DummyTimeStamper
from pyhanko_certvalidator.registry import SimpleCertificateStore

from benhan.base.clock import SYSTEM_CLOCK, Clock
from benhan.base.errors import NeighbourFailed, NeighbourTimeout
from benhan.signing.fetch import fetch
from benhan.signing.signer import certificate_of, certificates_of_pem, pkcs8
from benhan.signing.verification import ArchiveRefused, token_time

TIMEOUT_S = 10.0
MOST_ANSWER_BYTES = 1_000_000
STRONG = ("sha256", "sha384", "sha512")


def _store(certificates: tuple[x509.Certificate, ...]) -> SimpleCertificateStore:
    store = SimpleCertificateStore()  # type: ignore[no-untyped-call]
    store.register_multiple(certificates)
    return store


class LocalTimeStamper(DummyTimeStamper):
    """The test authority of this installation; practice only, its certificate says so."""

    def __init__(self, folder: Path, clock: Clock = SYSTEM_CLOCK) -> None:
        super().__init__(
            tsa_cert=certificate_of((folder / "tsa.pem").read_bytes()),
            tsa_key=pkcs8((folder / "tsa.key").read_bytes()),
            certs_to_embed=_store(certificates_of_pem((folder / "ca.pem").read_bytes())),
        )
        self._clock = clock

    def request_tsa_response(self, req: tsp.TimeStampReq) -> tsp.TimeStampResp:
        """Answer a request at the clock's time; raises ``WeakDigest`` for a digest weaker than SHA-256."""
        if req["message_imprint"]["hash_algorithm"]["algorithm"].native not in STRONG:
            raise WeakDigest
        self.fixed_dt = self._clock.now().replace(microsecond=0)
        return super().request_tsa_response(req)

    def _sign_tst_info(
        self, tst_info_data: bytes, md_algorithm: str, dt: datetime
    ) -> tuple[bytes, cms.CMSAttributes]:
        """Signed attributes with the certificate named by SHA-256 (RFC 5816), and the signature over them."""
        digest = getattr(hashes, md_algorithm.upper())()
        hashed = hashlib.new(md_algorithm, tst_info_data).digest()
        attributes = cms.CMSAttributes(
            [
                _attribute("content_type", "tst_info"),
                _attribute("signing_time", cms.Time({"utc_time": core.UTCTime(dt)})),
                _attribute("signing_certificate_v2", as_signing_certificate_v2(self.tsa_cert)),
                _attribute("message_digest", hashed),
            ]
        )
        key = _authority_key(self.tsa_key.dump())
        return key.sign(attributes.dump(), padding.PKCS1v15(), digest), attributes


def _attribute(kind: str, value: object) -> cms.CMSAttribute:
    return cms.CMSAttribute({"type": kind, "values": (value,)})


@functools.lru_cache(maxsize=8)
def _authority_key(der: bytes) -> rsa.RSAPrivateKey:
    """The authority's key, read and checked once: checking an RSA key costs more than signing with it."""
    key = serialization.load_der_private_key(der, None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise RuntimeError("the keys of the test PKI are RSA")
    return key


class WeakDigest(ValueError):
    """A time stamp was asked over a digest that proves nothing for long."""


class _Refusal(core.Sequence):  # type: ignore[misc]
    """TimeStampResp without a token, which RFC 3161 allows and asn1crypto's own class does not."""

    _fields = [("status", tsp.PKIStatusInfo)]  # noqa: RUF012 — read by asn1crypto


def refusal(why: str) -> bytes:
    """A time-stamp answer (DER) that grants nothing; ``why`` is a PKIFailureInfo name."""
    info = tsp.PKIStatusInfo({"status": "rejection", "fail_info": {why}})
    return bytes(_Refusal({"status": info}).dump())


class HttpTimeStamper(TimeStamper):
    """A time-stamp service reached by HTTP (RFC 3161, section 3.4). ``roots`` (PEM): what its tokens must chain to.

    A token is taken only when its signature and its chain hold, it is over the digest that was asked, repeats the nonce and
    does not come from the future. ``may_wait``: see :mod:`benhan.signing.later`.
    """

    def __init__(
        self, url: str, roots: bytes, *, may_wait: bool = False, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.url, self.roots, self.may_wait, self._clock = url, roots, may_wait, clock

    async def async_request_tsa_response(self, req: tsp.TimeStampReq) -> tsp.TimeStampResp:
        """Ask the service, for ``TIMEOUT_S`` in all.

        Raises: ``NeighbourFailed`` (signing.tsa-away, signing.tsa-refused, signing.tsa-untrusted); ``NeighbourTimeout``
        (signing.tsa-timeout).
        """
        try:
            async with asyncio.timeout(TIMEOUT_S):
                content = await fetch(
                    self.url,
                    most=MOST_ANSWER_BYTES,
                    timeout_s=TIMEOUT_S,
                    content=req.dump(),
                    kind="application/timestamp-query",
                )
        except (TimeoutError, httpx.TimeoutException):
            raise NeighbourTimeout(
                "signing.tsa-timeout", "Dịch vụ dấu thời gian không trả lời kịp."
            ) from None
        except httpx.HTTPError:
            raise NeighbourFailed("signing.tsa-away", "Không nối được dịch vụ dấu thời gian.") from None
        if content is None:
            raise NeighbourFailed("signing.tsa-refused", "Dịch vụ dấu thời gian từ chối yêu cầu.")
        answer = _answering(req, content)
        imprint = req["message_imprint"]
        asked, digest = imprint["hash_algorithm"]["algorithm"].native, imprint["hashed_message"].native
        try:
            await token_time(
                answer["time_stamp_token"].dump(),
                lambda name: digest if name == asked else b"",
                self.roots,
                self._clock.now(),
            )
        except ArchiveRefused as refused:
            raise NeighbourFailed(
                "signing.tsa-untrusted",
                "Dấu thời gian nhận được không đúng hoặc không nối tới gốc tin cậy.",
                diagnostics=refused.sub,
            ) from None
        return answer


def _answering(req: tsp.TimeStampReq, content: bytes) -> tsp.TimeStampResp:
    """The answer, if it grants a token over the very digest that was asked, for this question (nonce)."""
    refused = NeighbourFailed("signing.tsa-refused", "Dịch vụ dấu thời gian từ chối yêu cầu.")
    try:
        answer = tsp.TimeStampResp.load(content, strict=True)
        if answer["status"]["status"].native != "granted":
            raise refused
        stamped = answer["time_stamp_token"]["content"]["encap_content_info"]["content"].parsed
        same = stamped["message_imprint"].native == req["message_imprint"].native
        same = same and stamped["nonce"].native == req["nonce"].native
    except (ValueError, TypeError, KeyError):
        raise refused from None
    if not same:
        raise refused
    return answer
