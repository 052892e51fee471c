"""Reading a request: media types, ids, ``If-Match``, ``Prefer``, search parameters, and the JSON body."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qsl

from starlette.requests import Request

from benhan.api.guard import NotAcceptable, UnsupportedBody
from benhan.base.errors import InvalidInput, NotFound
from benhan.base.json_door import JsonObject, loads
from benhan.fhir import RESOURCE_TYPES

#: Types that only travel, or that would make this node call out (Subscription): not served as resources.
NOT_SERVED = frozenset(
    {"Subscription", "MessageHeader", "OperationOutcome", "Parameters", "CapabilityStatement"}
)
SERVED = RESOURCE_TYPES - NOT_SERVED

JSON_TYPES = frozenset({"application/fhir+json", "application/json"})
FORM_TYPE = "application/x-www-form-urlencoded"
_FORMATS = JSON_TYPES | {"json"}
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_ETAG = re.compile(r'(?:W/)?"([1-9]\d{0,9})"')
_MAX_PARAMS = 100
_DOOR_PARAMS = frozenset({"_format", "_pretty"})

Return = Literal["representation", "minimal", "OperationOutcome"]


@dataclass(frozen=True, slots=True)
class Preference:
    """``Prefer`` header: what a write returns, and whether unknown search parameters are refused."""

    returns: Return = "representation"
    strict: bool = False


def preference(request: Request) -> Preference:
    """Read ``Prefer``; unknown parts are ignored (RFC 7240)."""
    returns: Return = "representation"
    strict = False
    for part in re.split(r"[;,]", request.headers.get("prefer", "")):
        name, _, value = part.strip().partition("=")
        if name == "return" and value in ("minimal", "OperationOutcome"):
            returns = "minimal" if value == "minimal" else "OperationOutcome"
        elif name == "handling" and value == "strict":
            strict = True
    return Preference(returns, strict)


def accepts_json(request: Request) -> None:
    """Raise `NotAcceptable` (api.not-acceptable) when the caller wants something else than FHIR JSON."""
    given = [v for k, v in request.query_params.multi_items() if k == "_format"]
    if given:
        good = all(v.partition(";")[0].strip().replace(" ", "+") in _FORMATS for v in given)
    else:
        kinds = [
            part.partition(";")[0].strip().lower() for part in request.headers.get("accept", "*/*").split(",")
        ]
        good = any(k in JSON_TYPES or k in ("*/*", "application/*", "") for k in kinds)
    if not good:
        raise NotAcceptable("api.not-acceptable", "Chỉ trả lời dạng FHIR JSON.", expression="_format")


def served_type(request: Request) -> str:
    """Resource type of the address. Raises: ``NotFound`` (api.no-such-type)."""
    name = str(request.path_params["type"])
    if name not in SERVED:
        raise NotFound("api.no-such-type", "Không có loại tài liệu này ở đây.")
    return name


def resource_id(request: Request) -> str:
    """Id of the address. Raises: ``NotFound`` (api.no-such-resource) for what cannot be an id."""
    given = str(request.path_params["id"])
    if not _ID.fullmatch(given):
        raise NotFound("api.no-such-resource", "Không có tài liệu này.")
    return given


def version(request: Request) -> int:
    """Version of the address. Raises: ``NotFound`` (api.no-such-version)."""
    given = str(request.path_params["vid"])
    if not re.fullmatch(r"[1-9]\d{0,8}", given):
        raise NotFound("api.no-such-version", "Không có phiên bản này.")
    return int(given)


def if_match(request: Request) -> int | None:
    """Version of ``If-Match``. Raises: ``InvalidInput`` (api.bad-etag)."""
    given = request.headers.get("if-match")
    if given is None:
        return None
    match = _ETAG.fullmatch(given.strip())
    if match is None or int(match[1]) > 2**31 - 1:
        raise InvalidInput("api.bad-etag", 'If-Match phải có dạng W/"3".', expression="If-Match")
    return int(match[1])


def pairs(text: str | bytes) -> list[tuple[str, str]]:
    """Search parameters of a query string or form body, those of the door left out.

    Raises: ``InvalidInput`` (api.bad-query): not UTF-8, NUL, or too many.
    """
    try:
        raw = text.decode("ascii") if isinstance(text, bytes) else text
        found = parse_qsl(raw, keep_blank_values=True, errors="strict", max_num_fields=_MAX_PARAMS)
    except ValueError:  # UnicodeDecodeError is one
        raise InvalidInput("api.bad-query", "Tham số tìm kiếm không đọc được hoặc quá nhiều.") from None
    if any("\x00" in k or "\x00" in v for k, v in found):
        raise InvalidInput("api.bad-query", "Tham số tìm kiếm có ký tự bị cấm.")
    return [(k, v) for k, v in found if k not in _DOOR_PARAMS]


def query_pairs(request: Request) -> list[tuple[str, str]]:
    """Search parameters of the address."""
    return pairs(request.scope.get("query_string", b""))


async def form_pairs(request: Request) -> list[tuple[str, str]]:
    """Search parameters of a ``_search`` body and its address. Raises: ``UnsupportedBody``."""
    _media_type(request, frozenset({FORM_TYPE}))
    return query_pairs(request) + pairs(await request.body())


async def json_body(request: Request) -> JsonObject:
    """The resource in the body. Call only after the caller is known.

    Raises: ``UnsupportedBody`` (api.unsupported-body), ``InvalidInput`` (json.*, api.not-a-resource),
    ``TooLarge``.
    """
    _media_type(request, JSON_TYPES)
    value = loads(await request.body())
    if not isinstance(value, dict) or not isinstance(value.get("resourceType"), str):
        raise InvalidInput(
            "api.not-a-resource", "Nội dung không phải là một tài nguyên FHIR.", expression="resourceType"
        )
    return value


def _media_type(request: Request, allowed: frozenset[str]) -> None:
    given = request.headers.get("content-type", "")
    kind, _, rest = given.partition(";")
    charset = re.search(r'charset\s*=\s*"?([^";\s]+)', rest, re.IGNORECASE)
    bad_charset = charset is not None and charset[1].lower() not in ("utf-8", "utf8")
    if kind.strip().lower() not in allowed or bad_charset or request.headers.get("content-encoding"):
        raise UnsupportedBody(
            "api.unsupported-body", "Chỉ nhận nội dung dạng FHIR JSON, mã UTF-8, không nén."
        )


def resource_of(body: JsonObject, kind: str, given_id: str | None = None) -> JsonObject:
    """The body, if it is of the address's type (and id).

    Raises: ``InvalidInput`` (api.type-differs, api.id-differs).
    """
    if body["resourceType"] != kind:
        raise InvalidInput("api.type-differs", "Loại tài nguyên khác với địa chỉ.", expression="resourceType")
    if given_id is not None and body.get("id") != given_id:
        raise InvalidInput("api.id-differs", "Mã tài nguyên khác với địa chỉ.", expression=f"{kind}.id")
    return body
