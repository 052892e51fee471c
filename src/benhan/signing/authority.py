"""The two services of the test PKI over HTTP: time stamps (RFC 3161, 3.4) and certificate state (RFC 6960, A.1).

ASGI apps, to be served on this machine only. They keep no state but the folder of the PKI.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from pathlib import Path
from urllib.parse import unquote

from asn1crypto import tsp
from cryptography.hazmat.primitives import serialization
from cryptography.x509 import ocsp
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from benhan.base.clock import SYSTEM_CLOCK, Clock
from benhan.signing import pki
from benhan.signing.timestamps import LocalTimeStamper, WeakDigest, refusal

MOST_REQUEST_BYTES = 20_000


def tsa_app(folder: Path, clock: Clock = SYSTEM_CLOCK) -> Starlette:
    """The time-stamp authority of the PKI in ``folder``: POST of ``application/timestamp-query`` to ``/``."""
    pki.create(folder, clock)
    authority = LocalTimeStamper(folder, clock)

    async def stamp(request: Request) -> Response:
        if request.headers.get("content-type", "") != "application/timestamp-query":
            return Response(status_code=415)
        body = await _body(request)
        if body is None:
            return Response(status_code=413)
        answer = await asyncio.to_thread(_stamp, authority, body)
        return Response(answer, media_type="application/timestamp-reply")

    return Starlette(routes=[Route("/", stamp, methods=["POST"])])


def _stamp(authority: LocalTimeStamper, body: bytes) -> bytes:
    try:
        query = tsp.TimeStampReq.load(body, strict=True)
        _ = query.native
    except (ValueError, TypeError, KeyError):
        return refusal("bad_data_format")
    try:
        return bytes(authority.request_tsa_response(query).dump())
    except WeakDigest:
        return refusal("bad_alg")


def ocsp_app(folder: Path, clock: Clock = SYSTEM_CLOCK) -> Starlette:
    """The responder of the PKI in ``folder``: POST to ``/``, or GET of the request in base64 behind it."""
    pki.create(folder, clock)

    async def post(request: Request) -> Response:
        if request.headers.get("content-type", "") != "application/ocsp-request":
            return Response(status_code=415)
        body = await _body(request)
        return Response(status_code=413) if body is None else await answer(body)

    async def get(request: Request) -> Response:
        try:
            body = base64.b64decode(unquote(request.path_params["query"]), validate=True)
        except (binascii.Error, ValueError):
            body = b""
        return await answer(body)

    async def answer(body: bytes) -> Response:
        der = await asyncio.to_thread(_state, folder, body, clock)
        return Response(der, media_type="application/ocsp-response")

    routes = [Route("/", post, methods=["POST"]), Route("/{query:path}", get, methods=["GET"])]
    return Starlette(routes=routes)


def _state(folder: Path, body: bytes, clock: Clock) -> bytes:
    try:
        query = ocsp.load_der_ocsp_request(body)
        response = pki.ocsp_response(folder, query.serial_number, clock, request=query)
    except (ValueError, NotImplementedError):
        response = ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.MALFORMED_REQUEST)
    return response.public_bytes(serialization.Encoding.DER)


def pki_app(folder: Path, clock: Clock = SYSTEM_CLOCK) -> Starlette:
    """Both services, at ``/tsa`` and ``/ocsp``, with the lists at ``/root.crl``, ``/ca.crl`` and the root at ``/root.pem``."""
    pki.create(folder, clock)

    async def published(request: Request) -> Response:
        name = request.url.path.rpartition("/")[2]
        if name.endswith(".crl"):
            listed = await asyncio.to_thread(pki.current_list, folder, name.removesuffix(".crl"), clock)
            return Response(listed, media_type="application/pkix-crl")
        return Response(
            await asyncio.to_thread((folder / name).read_bytes), media_type="application/x-pem-file"
        )

    routes = [Route(f"/{name}", published) for name in ("root.crl", "ca.crl", "root.pem")]
    mounts = [Mount("/tsa", tsa_app(folder, clock)), Mount("/ocsp", ocsp_app(folder, clock))]
    return Starlette(routes=[*routes, *mounts])


async def _body(request: Request) -> bytes | None:
    """The body, None when it is larger than any honest request."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_REQUEST_BYTES:
            return None
    return body
