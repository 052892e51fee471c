"""A facility's side of the hub: one HTTPS client with mutual TLS and a token bound to its certificate.

No call is made inside a database transaction; what is to be sent waits in the outbox.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from urllib.parse import quote

import httpx

from benhan.access import client_assertion, sign_statement
from benhan.base.clock import SYSTEM_CLOCK, Clock
from benhan.base.errors import BenhanError, Issue, NeighbourFailed, NeighbourTimeout, NotAllowed, NotFound
from benhan.base.json_door import JsonObject, dumps, loads_object
from benhan.base.settings import Settings
from benhan.exchange.engine import Busy, Envelope
from benhan.exchange.incoming import KIND as ENVELOPE_KIND
from benhan.exchange.incoming import read_answer
from benhan.exchange.outgoing import Reply

TIMEOUT = httpx.Timeout(30.0, connect=5.0)


class HubBusy(NeighbourFailed):
    """The hub asks to wait ``seconds`` (back-pressure)."""

    def __init__(self, seconds: float) -> None:
        super().__init__("exchange.hub-busy", "Trục liên thông đang bận; sẽ thử lại.")
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class Requester:
    """The person on whose behalf a facility asks: shown in every audit of the look."""

    reference: str
    display: str

    def header(self) -> str:
        """Percent-encoded text for the request header."""
        return quote(f"{self.reference} {self.display}".strip())


@dataclass(slots=True)
class HubClient:
    """Speaks to the hub for one facility. Use as an async context manager."""

    settings: Settings
    facility: str
    client_id: str
    private_key_pem: bytes = field(repr=False)
    clock: Clock = SYSTEM_CLOCK
    _http: httpx.AsyncClient | None = None
    _token: str = ""
    _token_until: float = 0.0

    async def __aenter__(self) -> HubClient:
        settings = self.settings
        if not (settings.hub_url and settings.tls_cert and settings.tls_key and settings.tls_ca):
            raise NeighbourFailed(
                "exchange.no-hub",
                "Cơ sở chưa cấu hình đường tới trục liên thông (hub_url, tls_cert, tls_key, tls_ca).",
            )
        context = ssl.create_default_context(cafile=str(settings.tls_ca))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(str(settings.tls_cert), str(settings.tls_key))
        self._http = httpx.AsyncClient(
            base_url=settings.hub_url, verify=context, timeout=TIMEOUT, trust_env=False
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._http is not None:
            await self._http.aclose()

    async def provide(self, bundle: bytes) -> JsonObject:
        """ITI-65: hand over a submission; gives ``{"response", "receipt"}``."""
        return await self._json("POST", "/mhd/", content=bundle)

    async def send_envelope(self, envelope: Envelope, bundle: bytes) -> Reply:
        """ITI-65 under a signed envelope. A hub that cannot be reached or asks for patience is an answer too."""
        signed = sign_statement(envelope.as_json(), ENVELOPE_KIND, self.private_key_pem)
        try:
            answer = await self._send(
                "POST", "/mhd/", content=bundle, more={"Benhan-Envelope": signed}, also=frozenset({409})
            )
        except HubBusy as busy:
            return Reply(Busy(busy.seconds))
        except (NeighbourFailed, NeighbourTimeout):
            return Reply(None)
        body = loads_object(answer.content)
        return Reply(read_answer(body), body.get("receipt"))

    async def manifest(self, day: date) -> JsonObject:
        """What the hub has of a day's envelopes: ``{"messages": {id: sha256}}``."""
        return await self._json("POST", "/mhd/$manifest", content=dumps({"day": day.isoformat()}))

    async def find(
        self, identifier: str, requester: Requester, filters: Sequence[tuple[str, str]] = ()
    ) -> JsonObject:
        """ITI-67: documents of a person by ``system|value``. The identifier goes in the body, never in the URL."""
        form = {"patient.identifier": identifier, **dict(filters)}
        return await self._json("POST", "/mhd/DocumentReference/_search", data=form, requester=requester)

    async def summary(self, identifier: str, requester: Requester) -> JsonObject:
        """The IPS document of a person by ``system|value``; the identifier goes in the body."""
        form = {"identifier": identifier}
        return await self._json("POST", "/mhd/Patient/$summary", data=form, requester=requester)

    async def retrieve(self, sha256: str, requester: Requester) -> bytes:
        """ITI-68: exact bytes of a document."""
        return (await self._send("GET", f"/mhd/Binary/{sha256}", requester=requester)).content

    async def grant(self, body: JsonObject, requester: Requester) -> JsonObject:
        """Ask the hub to open a person's documents: kind, patient identifier, reason, evidence."""
        return await self._json("POST", "/mhd/$grant", content=dumps(body), requester=requester)

    async def disclosures(self, after: str) -> JsonObject:
        """Looks of others into this facility's documents after a cursor."""
        return await self._json("POST", "/mhd/$disclosures", content=dumps({"after": after}))

    async def referrals(self, after: str) -> JsonObject:
        """Steps the other side did in this facility's referrals, after a cursor."""
        return await self._json("POST", "/mhd/$referrals", content=dumps({"after": after}))

    async def report_status(self, rows: Sequence[JsonObject]) -> JsonObject:
        """Report the status (never the content) of records."""
        return await self._json("POST", "/mhd/$status", content=dumps({"records": list(rows)}))

    async def _json(self, method: str, path: str, **kwargs: Any) -> JsonObject:
        answer = await self._send(method, path, **kwargs)
        return loads_object(answer.content)

    async def _send(
        self,
        method: str,
        path: str,
        *,
        content: bytes | None = None,
        data: dict[str, str] | None = None,
        requester: Requester | None = None,
        more: dict[str, str] | None = None,
        also: frozenset[int] = frozenset(),
    ) -> httpx.Response:
        http = self._open()
        headers = {"Authorization": f"Bearer {await self._bearer()}", **(more or {})}
        if content is not None:
            headers["Content-Type"] = "application/fhir+json"
        if requester is not None:
            headers["Benhan-Requester"] = requester.header()
        try:
            answer = await http.request(method, path, content=content, data=data, headers=headers)
        except httpx.TimeoutException:
            raise NeighbourTimeout("exchange.hub-timeout", "Trục liên thông không trả lời kịp.") from None
        except httpx.HTTPError as error:
            raise NeighbourFailed(
                "exchange.hub-away",
                "Không nối được trục liên thông; sẽ thử lại.",
                diagnostics=type(error).__name__,
            ) from None
        if answer.is_success or (answer.status_code in also and b'"answer"' in answer.content[:200]):
            return answer
        if answer.status_code == 503 and answer.headers.get("retry-after", "").isdigit():
            raise HubBusy(float(answer.headers["retry-after"]))
        raise _refusal(answer)

    def _open(self) -> httpx.AsyncClient:
        if self._http is None:
            raise RuntimeError("HubClient is used outside its context")
        return self._http

    async def _bearer(self) -> str:
        now = self.clock.now().timestamp()
        if self._token and now < self._token_until - 30:
            return self._token
        audience = f"{str(self.settings.hub_url).rstrip('/')}/oauth/token"
        form = {
            "grant_type": "client_credentials",
            "scope": "system/*.cruds",
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": client_assertion(
                self.client_id, audience, self.private_key_pem, clock=self.clock
            ),
        }
        try:
            answer = await self._open().post("/oauth/token", data=form)
        except httpx.HTTPError as error:
            raise NeighbourFailed(
                "exchange.hub-away",
                "Không nối được trục liên thông; sẽ thử lại.",
                diagnostics=type(error).__name__,
            ) from None
        if not answer.is_success:
            raise _refusal(answer)
        body = loads_object(answer.content)
        self._token, self._token_until = body["access_token"], now + float(body["expires_in"])
        return self._token


def _refusal(answer: httpx.Response) -> BenhanError:
    """The hub's refusal as our error: its own code and Vietnamese sentence are kept."""
    code, text = "exchange.refused", "Trục liên thông từ chối."
    try:
        body = loads_object(answer.content)
        issue = body["issue"][0]
        code = issue["details"]["coding"][0]["code"]
        text = issue["details"]["text"]
    except (BenhanError, KeyError, IndexError, TypeError):
        pass
    kinds: dict[int, type[BenhanError]] = {403: NotAllowed, 404: NotFound}
    kind = kinds.get(answer.status_code, NeighbourFailed)
    return kind(code, text, issues=[Issue(code, text, diagnostics=f"HTTP {answer.status_code}")])
