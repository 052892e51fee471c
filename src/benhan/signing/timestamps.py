"""RFC 3161 time stamps: the installation's own test authority, or a service by HTTP."""

from __future__ import annotations

from pathlib import Path

import httpx
from asn1crypto import tsp, x509
from pyhanko.sign.timestamps import TimeStamper
from pyhanko.sign.timestamps.dummy_client import DummyTimeStamper
from pyhanko_certvalidator.registry import SimpleCertificateStore

from benhan.base.clock import SYSTEM_CLOCK, Clock
from benhan.base.errors import NeighbourFailed, NeighbourTimeout
from benhan.signing.signer import certificate_of, certificates_of_pem, pkcs8

TIMEOUT_S = 10.0


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
        """Answer a request at the clock's time."""
        self.fixed_dt = self._clock.now().replace(microsecond=0)
        return super().request_tsa_response(req)


class HttpTimeStamper(TimeStamper):
    """A time-stamp service reached by HTTP (RFC 3161, section 3.4)."""

    def __init__(self, url: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.url = url

    async def async_request_tsa_response(self, req: tsp.TimeStampReq) -> tsp.TimeStampResp:
        """Ask the service; raises ``NeighbourFailed`` (signing.tsa-away) or ``NeighbourTimeout``."""
        try:
            async with httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=False) as http:
                answer = await http.post(
                    self.url, content=req.dump(), headers={"Content-Type": "application/timestamp-query"}
                )
        except httpx.TimeoutException:
            raise NeighbourTimeout(
                "signing.tsa-timeout", "Dịch vụ dấu thời gian không trả lời kịp."
            ) from None
        except httpx.HTTPError:
            raise NeighbourFailed("signing.tsa-away", "Không nối được dịch vụ dấu thời gian.") from None
        if answer.status_code != 200:
            raise NeighbourFailed("signing.tsa-refused", "Dịch vụ dấu thời gian từ chối yêu cầu.")
        return tsp.TimeStampResp.load(answer.content)
