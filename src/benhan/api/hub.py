"""The hub's machine door: IHE MHD and the exchange calls, over mutual TLS with a certificate-bound token. Thin.

Served only by a node whose role is ``hub``. A facility is known by its token; what it says of itself is compared.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from benhan.base.errors import InvalidInput, NotFound
from benhan.base.json_door import JsonObject, dumps, loads
from benhan.exchange import disclosures_for, find, grant, read_report, receive, retrieve, take_report
from benhan.signing import Signer, TimeStamper
from benhan.store import Repository, TenantInfo

FHIR_JSON = "application/fhir+json"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who stands at the door: the hub's repository and the facility of the token."""

    repo: Repository
    facility: TenantInfo


Authenticate = Callable[[Request], Awaitable[Caller]]
SealSigner = Callable[[Repository], Awaitable[tuple[Signer, TimeStamper | None]]]


def hub_routes(authenticate: Authenticate, seal: SealSigner) -> list[Route]:
    """Routes of the machine door below its root."""
    door = _Door(authenticate, seal)
    return [
        Route("/mhd/", door.provide, methods=["POST"]),
        Route("/mhd/DocumentReference", door.find, methods=["GET"]),
        Route("/mhd/DocumentReference/_search", door.find, methods=["POST"]),
        Route("/mhd/Binary/{sha256}", door.retrieve, methods=["GET"]),
        Route("/mhd/$grant", door.grant, methods=["POST"]),
        Route("/mhd/$disclosures", door.disclosures, methods=["POST"]),
        Route("/mhd/$status", door.status, methods=["POST"]),
    ]


def _answer(value: JsonObject, status: int = 200) -> Response:
    return Response(dumps(value), status, media_type=FHIR_JSON)


def _requester(request: Request, facility: TenantInfo) -> str:
    """The person named by the sending facility; machine calls carry none."""
    return unquote(request.headers.get("Benhan-Requester", ""))[:200] or facility.name


class _Door:
    def __init__(self, authenticate: Authenticate, seal: SealSigner) -> None:
        self._authenticate = authenticate
        self._seal = seal

    async def provide(self, request: Request) -> Response:
        caller = await self._authenticate(request)
        raw = await request.body()
        signer, tsa = await self._seal(caller.repo)
        received = await receive(caller.repo, caller.facility, raw, signer=signer, tsa=tsa)
        return _answer({"response": received.response, "receipt": received.receipt, "duplicate": received.duplicate})

    async def find(self, request: Request) -> Response:
        caller = await self._authenticate(request)
        pairs = list(request.query_params.multi_items())
        if request.method == "POST":
            form = await request.form()
            pairs += [(k, v) for k, v in form.multi_items() if isinstance(v, str)]
        identifiers = [v for k, v in pairs if k == "patient.identifier"]
        if len(identifiers) != 1:
            raise InvalidInput(
                "exchange.need-patient", "Phải hỏi theo đúng một patient.identifier.", expression="patient.identifier"
            )
        filters = [(k, v) for k, v in pairs if k in ("type", "date", "identifier")]
        return _answer(
            await find(caller.repo, caller.facility, identifiers[0], _requester(request, caller.facility), filters)
        )

    async def retrieve(self, request: Request) -> Response:
        caller = await self._authenticate(request)
        data, content_type = await retrieve(
            caller.repo, caller.facility, request.path_params["sha256"], _requester(request, caller.facility)
        )
        headers = {"Content-Disposition": "attachment", "X-Content-Type-Options": "nosniff"}
        return Response(data, media_type=content_type, headers=headers)

    async def grant(self, request: Request) -> Response:
        caller = await self._authenticate(request)
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
        )
        return _answer(made)

    async def disclosures(self, request: Request) -> Response:
        caller = await self._authenticate(request)
        body = await _json(request)
        return _answer(await disclosures_for(caller.repo, caller.facility, str(body.get("after") or "")))

    async def status(self, request: Request) -> Response:
        caller = await self._authenticate(request)
        rows = read_report(await _json(request))
        return _answer({"taken": await take_report(caller.repo, caller.facility, rows)})


async def _json(request: Request) -> JsonObject:
    value = loads(await request.body())
    if not isinstance(value, dict):
        raise InvalidInput("exchange.need-object", "Thân của yêu cầu phải là một đối tượng JSON.")
    return value
