"""The rim of every machine-facing app: correlation id, body limit, security headers, one log line, one error
shape.

Nothing gets past it: any exception becomes an OperationOutcome. The log never holds a query, a body, a
name or the text of a foreign exception (a database message may quote data).
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from benhan.access import TokenRefused
from benhan.base.errors import (
    BenhanError,
    InvalidInput,
    Issue,
    NotAuthenticated,
    NotFound,
    TooLarge,
)
from benhan.base.json_door import JsonObject, dumps
from benhan.fhir import operation_outcome, to_xml

FHIR_JSON = "application/fhir+json"
FHIR_XML = "application/fhir+xml"
log = logging.getLogger("benhan.api")

_CORRELATION = re.compile(r"[A-Za-z0-9-]{8,64}")
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class MethodRefused(BenhanError):
    """The address exists, the method does not."""

    status = 405
    issue_type = "not-supported"


class NotAcceptable(BenhanError):
    """Only FHIR JSON and XML are spoken."""

    status = 406
    issue_type = "not-supported"


class UnsupportedBody(BenhanError):
    """The body is of a type or coding that is not read."""

    status = 415
    issue_type = "not-supported"


class Broken(BenhanError):
    """A fault of the program; its cause is in the log under the correlation id."""

    status = 500
    issue_type = "exception"


_HTTP: Mapping[int, tuple[type[BenhanError], str, str]] = {
    404: (NotFound, "api.no-such-address", "Không có địa chỉ này."),
    405: (MethodRefused, "api.method-refused", "Địa chỉ này không nhận phương thức đó."),
    406: (NotAcceptable, "api.not-acceptable", "Chỉ trả lời dạng FHIR JSON hoặc XML."),
    413: (TooLarge, "api.body-too-large", "Nội dung gửi lên quá lớn."),
    415: (UnsupportedBody, "api.unsupported-body", "Chỉ nhận nội dung dạng FHIR JSON hoặc XML."),
}


def correlation_of(request: Request) -> str:
    """Correlation id of a request."""
    return str(request.scope.get("state", {}).get("correlation_id", ""))


def outcome_of(error: BenhanError, correlation_id: str) -> JsonObject:
    """OperationOutcome whose id is the correlation id."""
    outcome = operation_outcome(error)
    return {
        "resourceType": "OperationOutcome",
        "id": correlation_id or "none",
        **{k: v for k, v in outcome.items() if k not in ("resourceType", "id")},
    }


def error_response(
    error: BenhanError, correlation_id: str, headers: Mapping[str, str] | None = None
) -> Response:
    """An error as it leaves the house."""
    out = dict(headers or {})
    if isinstance(error, NotAuthenticated):
        out["WWW-Authenticate"] = 'Bearer realm="benhan"'
    if isinstance(error, TokenRefused):
        return Response(json.dumps({"error": error.error}), error.status, out, media_type="application/json")
    return Response(dumps(outcome_of(error, correlation_id)), error.status, out, media_type=FHIR_JSON)


def of_http(error: HTTPException) -> BenhanError:
    """Starlette's own refusals as ours."""
    kind, code, text = _HTTP.get(
        error.status_code, (InvalidInput, "api.bad-request", "Yêu cầu không hợp lệ.")
    )
    return kind(code, text)


async def on_http_error(request: Request, error: Exception) -> Response:
    """Exception handler for `HTTPException`."""
    assert isinstance(error, HTTPException)
    return error_response(of_http(error), correlation_of(request), error.headers)


async def on_benhan_error(request: Request, error: Exception) -> Response:
    """Exception handler for `BenhanError`."""
    assert isinstance(error, BenhanError)
    request.scope.setdefault("state", {})["error_code"] = error.code
    answer = error_response(error, correlation_of(request))
    if _wants_xml(request) and answer.media_type == FHIR_JSON:
        outcome = to_xml(outcome_of(error, correlation_of(request)))
        headers = {k: v for k, v in answer.headers.items() if k not in ("content-type", "content-length")}
        return Response(outcome, answer.status_code, headers, media_type=FHIR_XML)
    return answer


def _wants_xml(request: Request) -> bool:
    """True when XML is named and JSON is not: an error comes in JSON when in doubt."""
    asked = request.query_params.get("_format") or request.headers.get("accept", "")
    return "xml" in asked and "json" not in asked and "html" not in asked


class Guard:
    """ASGI middleware around a whole app; ``max_body`` in bytes; ``own``: paths with another limit (read as a stream)."""

    def __init__(self, app: ASGIApp, max_body: int, own: Mapping[str, int] | None = None) -> None:
        self.app = app
        self.max_body = max_body
        self.own = own or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or "guarded" in scope.get("state", {}):
            await self.app(scope, receive, send)
            return
        correlation_id = _correlation(scope)
        scope["state"] = {**scope.get("state", {}), "correlation_id": correlation_id, "guarded": True}
        most = self.own.get(scope["path"], self.max_body)
        door = _Door(scope, receive, send, most, correlation_id)
        began = time.perf_counter()
        try:
            door.refuse_known_length()
            await self.app(scope, door.receive, door.send)
        except BenhanError as error:
            await door.answer(error)
        except Exception as error:
            log.error(
                json.dumps(
                    {
                        "event": "broken",
                        "correlation": correlation_id,
                        "kind": type(error).__name__,
                        "where": _where(error),
                    }
                )
            )
            await door.answer(
                Broken(
                    "api.broken",
                    "Hệ thống gặp lỗi. Hãy báo mã này cho người quản trị.",
                    issues=[
                        Issue(
                            "api.broken",
                            "Hệ thống gặp lỗi. Hãy báo mã này cho người quản trị.",
                            diagnostics=f"correlation {correlation_id}",
                        )
                    ],
                )
            )
        finally:
            log.info(json.dumps(_line(scope, door.status, correlation_id, began)))


class _Door:
    """Receive with a limit, send with headers, of one request."""

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, max_body: int, correlation_id: str
    ) -> None:
        self.scope, self._receive, self._send = scope, receive, send
        self.max_body, self.correlation_id = max_body, correlation_id
        self.seen = 0
        self.status = 0

    def refuse_known_length(self) -> None:
        for name, value in self.scope["headers"]:
            if name == b"content-length" and (not value.isdigit() or int(value[:20]) > self.max_body):
                raise _too_large()

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self.seen += len(message.get("body", b""))
            if self.seen > self.max_body:
                raise _too_large()
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers: list[tuple[bytes, bytes]] = list(message.get("headers", []))
            have = {name.lower() for name, _ in headers}
            extra = {**_HEADERS, "X-Correlation-Id": self.correlation_id}
            if self.scope.get("scheme") == "https":
                extra["Strict-Transport-Security"] = "max-age=31536000"
            headers += [
                (k.lower().encode(), v.encode()) for k, v in extra.items() if k.lower().encode() not in have
            ]
            message = {**message, "headers": headers}
        await self._send(message)

    async def answer(self, error: BenhanError) -> None:
        if self.status:
            raise error  # the answer has begun: the connection can only be cut
        self.scope["state"]["error_code"] = error.code
        await error_response(error, self.correlation_id)(self.scope, self._receive, self.send)


def _too_large() -> TooLarge:
    return TooLarge("api.body-too-large", "Nội dung gửi lên quá lớn.")


def _correlation(scope: Scope) -> str:
    """The id given by the caller when it is harmless, else a new one."""
    for name, value in scope["headers"]:
        if name in (b"x-correlation-id", b"x-request-id"):
            text = value.decode("latin-1")
            if _CORRELATION.fullmatch(text):
                return str(text)
    return str(uuid4())


def _where(error: BaseException) -> str:
    """File and line of the innermost frame: enough to find it, without data."""
    trace = error.__traceback__
    where = ""
    while trace is not None:
        code = trace.tb_frame.f_code
        where = f"{code.co_filename.rpartition('benhan')[2]}:{trace.tb_lineno}"
        trace = trace.tb_next
    return where


def _line(scope: Scope, status: int, correlation_id: str, began: float) -> dict[str, Any]:
    state = scope.get("state", {})
    params = scope.get("path_params", {})
    return {
        "event": "request",
        "correlation": correlation_id,
        "method": scope.get("method"),
        "route": state.get("route", ""),
        "type": params.get("type", "") if state.get("route") else "",
        "status": status,
        "code": state.get("error_code", ""),
        "ms": round((time.perf_counter() - began) * 1000, 1),
    }
