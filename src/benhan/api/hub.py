"""The hub's machine door: IHE MHD and the exchange calls, over mutual TLS with a certificate-bound token. Thin.

Served only by a node whose role is ``hub``. A facility is known by its token; what it says of itself is compared.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import date
from urllib.parse import unquote

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from benhan.access import MachineClient, read_statement, token_ctx
from benhan.api.auth import client_thumbprint
from benhan.api.guard import FHIR_JSON, Guard, correlation_of, on_benhan_error, on_http_error
from benhan.api.oauth import oauth_routes
from benhan.base.errors import BenhanError, InvalidInput, NotAllowed, NotAuthenticated, NotFound
from benhan.base.json_door import JsonObject, dumps, loads
from benhan.base.settings import Settings
from benhan.exchange import (
    ENVELOPE_KIND,
    HUB,
    PURPOSES,
    answer_json,
    cross_reference,
    disclosures_for,
    feed,
    find,
    find_lists,
    grant,
    manifest,
    open_envelope,
    read_report,
    receive,
    referral_feed,
    retrieve,
    summary,
    take,
    take_report,
)
from benhan.gateways.bhyt import ingest as ingest_package
from benhan.gateways.bhyt import ingest_stream
from benhan.signing import Signer, TimeStamper
from benhan.store import Action, Repository, Store, SystemPolicy, TenantInfo

Seal = Callable[[Repository], Awaitable[tuple[Signer, TimeStamper | None]]]
MAX_SUBMISSION = 200_000_000
#: many packages after one another; read piece by piece, so the limit is patience, not memory
STREAM = "/ingest/bhyt/stream"
MAX_STREAM = 50_000_000_000
#: Envelopes at work at once; who comes then is asked to wait.
AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Caller:
    """Who stands at the door: the hub's repository and the facility of the token."""

    repo: Repository
    facility: TenantInfo
    client: MachineClient


def hub_app(store: Store, settings: Settings, seal: Seal) -> ASGIApp:
    """The whole machine door of the hub: tokens, documents, rights, disclosures, status."""
    door = _Door(store, seal)
    routes = [
        *oauth_routes(store, settings),
        Route("/mhd/", door.provide, methods=["POST"]),
        Route("/mhd/DocumentReference", door.find, methods=["GET"]),
        Route("/mhd/DocumentReference/_search", door.find, methods=["POST"]),
        Route("/mhd/List", door.find_lists, methods=["GET"]),
        Route("/mhd/List/_search", door.find_lists, methods=["POST"]),
        Route("/mhd/Binary/{sha256}", door.retrieve, methods=["GET"]),
        Route("/mhd/Patient/$summary", door.summary, methods=["POST"]),
        Route("/pixm/Patient/$ihe-pix", door.cross_reference, methods=["GET"]),
        Route("/pixm/Patient", door.feed, methods=["PUT"]),
        Route("/mhd/$grant", door.grant, methods=["POST"]),
        Route("/mhd/$disclosures", door.disclosures, methods=["POST"]),
        Route("/mhd/$referrals", door.referrals, methods=["POST"]),
        Route("/mhd/$manifest", door.manifest, methods=["POST"]),
        Route("/mhd/$status", door.status, methods=["POST"]),
        Route("/ingest/bhyt", door.ingest, methods=["POST"]),
        Route(STREAM, door.ingest_stream, methods=["POST"]),
    ]
    handlers = {BenhanError: on_benhan_error, HTTPException: on_http_error}
    return Guard(Starlette(routes=routes, exception_handlers=handlers), MAX_SUBMISSION, {STREAM: MAX_STREAM})


def _answer(value: JsonObject, status: int = 200) -> Response:
    return Response(dumps(value), status, media_type=FHIR_JSON)


def _requester(request: Request, facility: TenantInfo) -> str:
    """The person named by the sending facility; machine calls carry none."""
    return unquote(request.headers.get("Benhan-Requester", ""))[:200] or facility.name


_FIND_DOCUMENTS = frozenset(
    {
        "type",
        "category",
        "date",
        "identifier",
        "status",
        "period",
        "facility",
        "setting",
        "format",
        "security-label",
    }
)
_FIND_LISTS = frozenset({"code", "date", "identifier", "status"})


async def _asked(request: Request, known: frozenset[str]) -> tuple[str, list[tuple[str, str]]]:
    """The one person asked for, and the other parameters; what is not known is left aside, as FHIR says."""
    pairs = list(request.query_params.multi_items())
    if request.method == "POST":
        form = await request.form()
        pairs += [(k, v) for k, v in form.multi_items() if isinstance(v, str)]
    identifiers = [v for k, v in pairs if k == "patient.identifier"]
    if len(identifiers) != 1:
        raise InvalidInput(
            "exchange.need-patient",
            "Phải hỏi theo đúng một patient.identifier.",
            expression="patient.identifier",
        )
    return identifiers[0], [(k, v) for k, v in pairs if k in known]


def _purpose(request: Request) -> str:
    """What the caller looks for, as ``Benhan-Purpose`` says; a right serves its purpose only."""
    purpose = request.headers.get("Benhan-Purpose", "TREAT")
    if purpose not in PURPOSES:
        raise InvalidInput("exchange.bad-purpose", "Mục đích xem phải là TREAT, HPAYMT, HRESCH hoặc PUBHLTH.")
    return purpose


class _Door:
    def __init__(self, store: Store, seal: Seal) -> None:
        self._store = store
        self._seal = seal
        self._at_work = 0

    async def _caller(self, request: Request, action: Action) -> Caller:
        """The facility of the token; its scopes must allow ``action`` on documents."""
        kind, _, bearer = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer":
            raise NotAuthenticated("access.bad-token", "Thẻ truy cập của máy kết nối không còn giá trị.")
        correlation_id = correlation_of(request)
        machine = await token_ctx(
            self._store,
            bearer.strip(),
            client_thumbprint(request),
            purpose=_purpose(request),
            correlation_id=correlation_id,
        )
        machine.policy.check(machine.ctx, action, "DocumentReference", None)
        facility = next((t for t in await self._store.tenants() if t.id == machine.client.facility), None)
        if facility is None:
            raise NotAllowed(
                "exchange.no-facility", "Máy kết nối này không thuộc cơ sở nào ở trục liên thông."
            )
        repo = self._store.repo(replace(machine.ctx, reader=None, sight=None), SystemPolicy())
        return Caller(repo, facility, machine.client)

    async def provide(self, request: Request) -> Response:
        """ITI-65; under ``Benhan-Envelope`` the answer says receipt, gap or refused, and too many at once wait (503)."""
        caller = await self._caller(request, Action.CREATE)
        raw = await request.body()
        if signed := request.headers.get("benhan-envelope"):
            return await self._enveloped(caller, signed, raw)
        signer, tsa = await self._seal(caller.repo)
        received = await receive(caller.repo, caller.facility, raw, signer=signer, tsa=tsa)
        return _answer(
            {"response": received.response, "receipt": received.receipt, "duplicate": received.duplicate}
        )

    async def _enveloped(self, caller: Caller, signed: str, raw: bytes) -> Response:
        if self._at_work >= AT_ONCE:
            return Response(status_code=503, headers={"Retry-After": "2"})
        self._at_work += 1
        try:
            claims = read_statement(signed, ENVELOPE_KIND, caller.client)
            envelope = open_envelope(claims, caller.facility, HUB, raw)
            signer, tsa = await self._seal(caller.repo)
            taken = await take(caller.repo, caller.facility, envelope, signed, raw, signer=signer, tsa=tsa)
        except (NotAllowed, InvalidInput) as refused:
            await caller.repo.audit(
                "envelope-refused",
                entity=None,
                patient=None,
                outcome="8",
                detail={"source": caller.facility.code, "reason": refused.code},
            )
            raise
        finally:
            self._at_work -= 1
        body = answer_json(taken)
        return _answer(body, 200 if body["answer"] == "receipt" else 409)

    async def manifest(self, request: Request) -> Response:
        """What came of a day's envelopes of the caller: message id → SHA-256 of the body."""
        caller = await self._caller(request, Action.SEARCH)
        text = str((await _json(request)).get("day", ""))
        try:
            day = date.fromisoformat(text)
        except ValueError:
            raise InvalidInput(
                "exchange.bad-day", "Ngày phải có dạng YYYY-MM-DD.", expression="day"
            ) from None
        return _answer({"day": text, "messages": await manifest(caller.repo, caller.facility, day)})

    async def find(self, request: Request) -> Response:
        """ITI-67. Parameters: those of MHD 2:3.67.4.1.2 that the store indexes."""
        caller = await self._caller(request, Action.SEARCH)
        who, filters = await _asked(request, _FIND_DOCUMENTS)
        asker = _requester(request, caller.facility)
        return _answer(await find(caller.repo, caller.facility, who, asker, filters))

    async def find_lists(self, request: Request) -> Response:
        """ITI-66. Parameters: those of MHD 2:3.66.4.1.2 that the store indexes."""
        caller = await self._caller(request, Action.SEARCH)
        who, filters = await _asked(request, _FIND_LISTS)
        asker = _requester(request, caller.facility)
        return _answer(await find_lists(caller.repo, caller.facility, who, asker, filters))

    async def retrieve(self, request: Request) -> Response:
        caller = await self._caller(request, Action.READ)
        data, content_type = await retrieve(
            caller.repo, caller.facility, request.path_params["sha256"], _requester(request, caller.facility)
        )
        headers = {"Content-Disposition": "attachment", "X-Content-Type-Options": "nosniff"}
        return Response(data, media_type=content_type, headers=headers)

    async def summary(self, request: Request) -> Response:
        """The International Patient Summary of one ``identifier``, built from every record the caller may see."""
        caller = await self._caller(request, Action.SEARCH)
        asked = (await request.form()).getlist("identifier")
        if len(asked) != 1 or not isinstance(asked[0], str):
            raise InvalidInput(
                "exchange.need-patient", "Phải hỏi theo đúng một identifier.", expression="identifier"
            )
        asker = _requester(request, caller.facility)
        return _answer(await summary(caller.repo, caller.facility, asked[0], asker))

    async def cross_reference(self, request: Request) -> Response:
        """ITI-83: other numbers of the person with ``sourceIdentifier``."""
        caller = await self._caller(request, Action.SEARCH)
        asked = request.query_params.getlist("sourceIdentifier")
        if len(asked) != 1:
            raise InvalidInput(
                "exchange.need-source",
                "Phải hỏi theo đúng một sourceIdentifier.",
                expression="sourceIdentifier",
            )
        targets = request.query_params.getlist("targetSystem")
        return _answer(await cross_reference(caller.repo, caller.facility, asked[0], targets))

    async def feed(self, request: Request) -> Response:
        """ITI-104: add or revise a person of the calling facility, or say that two of its own are one."""
        caller = await self._caller(request, Action.CREATE)
        asked = request.query_params.getlist("identifier")
        if len(asked) != 1 or len(request.query_params) != 1:
            raise InvalidInput(
                "exchange.feed-identifier",
                "Ghi người bệnh theo đúng một identifier=<hệ thống>|<mã>.",
                expression="identifier",
            )
        fed = await feed(caller.repo, caller.facility, asked[0], await request.body())
        answer = _answer(fed.resource, 201 if fed.created else 200)
        answer.headers["Location"] = f"/pixm/Patient?{request.url.query}"
        return answer

    async def grant(self, request: Request) -> Response:
        caller = await self._caller(request, Action.CREATE)
        body = await _json(request)
        grantee = await caller.repo.store.tenant_by_code(str(body.get("to", "")))
        if grantee is None:
            raise NotFound("exchange.no-such-facility", "Trục liên thông không có cơ sở nhận với mã này.")
        made = await grant(
            caller.repo,
            caller.facility,
            grantee,
            str(body.get("identifier", "")),
            str(body.get("kind", "")),
            str(body.get("reason", "")),
            _requester(request, caller.facility),
            str(body.get("evidence") or ""),
            purpose=str(body.get("purpose") or "TREAT"),
            groups=[str(group) for group in body.get("groups") or []],
        )
        return _answer(made)

    async def disclosures(self, request: Request) -> Response:
        caller = await self._caller(request, Action.SEARCH)
        body = await _json(request)
        return _answer(await disclosures_for(caller.repo, caller.facility, str(body.get("after") or "")))

    async def referrals(self, request: Request) -> Response:
        """Steps of the other side in the caller's referrals."""
        caller = await self._caller(request, Action.SEARCH)
        body = await _json(request)
        return _answer(await referral_feed(caller.repo, caller.facility, str(body.get("after") or "")))

    async def status(self, request: Request) -> Response:
        caller = await self._caller(request, Action.CREATE)
        rows = read_report(await _json(request))
        return _answer({"taken": await take_report(caller.repo, caller.facility, rows)})

    async def ingest(self, request: Request) -> Response:
        """A claim package of other software; the answer says what became of it."""
        caller = await self._caller(request, Action.CREATE)
        name = f"{caller.facility.code}-{correlation_of(request)}.xml"
        result = await ingest_package(caller.repo, await request.body(), name, sender=caller.facility)
        body: JsonObject = {"status": result.status, "maLk": result.ma_lk, "reason": result.reason}
        return _answer(body, 422 if result.status == "quarantined" else 200)

    async def ingest_stream(self, request: Request) -> Response:
        """Packages one after another; the answer is a line of JSON for each, written as soon as it is done."""
        caller = await self._caller(request, Action.CREATE)
        name = f"{caller.facility.code}-{correlation_of(request)}"

        async def told() -> AsyncIterator[bytes]:
            async for done in ingest_stream(caller.repo, request.stream(), name, sender=caller.facility):
                result = done.result
                line: JsonObject = {
                    "number": done.number,
                    "status": result.status,
                    "maLk": result.ma_lk,
                    "reason": result.reason,
                }
                yield dumps(line) + b"\n"

        return _Told(told(), media_type="application/x-ndjson")


class _Told(StreamingResponse):
    """Answers while the body of the request is still being read: nobody else may take messages from it meanwhile."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.stream_response(send)


async def _json(request: Request) -> JsonObject:
    value = loads(await request.body())
    if not isinstance(value, dict):
        raise InvalidInput("exchange.need-object", "Thân của yêu cầu phải là một đối tượng JSON.")
    return value
