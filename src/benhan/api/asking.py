"""Reading a request: media types, ids, ``If-Match``, ``Prefer``, search parameters, and the body (JSON or XML)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from urllib.parse import parse_qsl

from starlette.requests import Request

from benhan.api.guard import NotAcceptable, UnsupportedBody
from benhan.base.errors import InvalidInput, NotFound
from benhan.base.json_door import JsonObject, JsonValue, loads
from benhan.fhir import RESOURCE_TYPES, date_range, from_xml

#: Types that only travel: not served as resources.
NOT_SERVED = frozenset({"MessageHeader", "OperationOutcome", "Parameters", "CapabilityStatement"})
SERVED = RESOURCE_TYPES - NOT_SERVED

Format = Literal["json", "xml"]
JSON_TYPES = frozenset({"application/fhir+json", "application/json"})
FORM_TYPE = "application/x-www-form-urlencoded"
XML_TYPES = frozenset({"application/fhir+xml", "application/xml", "text/xml"})
PATCH_TYPE = "application/json-patch+json"
_FORMATS: dict[str, Format] = {
    **dict.fromkeys(JSON_TYPES | {"json"}, "json"),
    **dict.fromkeys(XML_TYPES | {"xml"}, "xml"),
}
_ANY = frozenset({"*/*", "application/*", ""})
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_ETAG = re.compile(r'(?:W/)?"([1-9]\d{0,9})"')
_MAX_PARAMS = 100
#: Parameters that say how to answer, not what to find.
_DOOR_PARAMS = frozenset({"_format", "_pretty", "_elements"})
_SUMMARIES = frozenset({"true", "text", "data", "false"})

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


@dataclass(frozen=True, slots=True)
class Wanted:
    """How an answer is to look: form, indentation, and the part of each resource (``_summary``, ``_elements``)."""

    format: Format = "json"
    pretty: bool = False
    summary: str = "false"
    elements: tuple[str, ...] = ()


def answer_format(request: Request) -> Format:
    """Form of the answer: ``_format`` wins over ``Accept``, whose weights count; JSON when both do.

    Raises: ``NotAcceptable`` (api.not-acceptable) when the caller wants something else than FHIR JSON or XML.
    """
    given = [v for k, v in _door_given(request) if k == "_format"]
    if given:
        found = {_FORMATS.get(v.partition(";")[0].strip().lower().replace(" ", "+")) for v in given}
        only = found.pop() if len(found) == 1 else None
        if only is not None:
            return only
    else:
        weighed = sorted(map(_accepted, request.headers.get("accept", "*/*").split(",")), key=lambda a: -a[1])
        for kind, weight in weighed:
            if weight > 0 and (kind in _FORMATS or kind in _ANY):
                return _FORMATS.get(kind, "json")
    raise NotAcceptable("api.not-acceptable", "Chỉ trả lời dạng FHIR JSON hoặc XML.", expression="_format")


def _accepted(part: str) -> tuple[str, float]:
    kind, *rest = (p.strip().lower() for p in part.split(";"))
    weight = next((p[2:] for p in rest if p.startswith("q=")), "1")
    return kind, float(weight) if re.fullmatch(r"[01](\.\d{0,3})?", weight) else 0.0


def wanted(request: Request) -> Wanted:
    """How the answer is to look.

    Raises: ``NotAcceptable`` (api.not-acceptable), ``InvalidInput`` (api.bad-summary).
    """
    params = dict(_door_given(request))
    summary = params.get("_summary", "false")
    if summary not in _SUMMARIES | {"count"}:
        raise InvalidInput("api.bad-summary", "Không hiểu giá trị của _summary.", expression="_summary")
    names = tuple(n.strip() for n in params.get("_elements", "").split(",") if n.strip())
    pretty = params.get("_pretty") == "true"
    return Wanted(answer_format(request), pretty, "false" if summary == "count" else summary, names)


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


def only_new(request: Request) -> bool:
    """``If-None-Match: *``: write only what is not there yet. Raises: ``InvalidInput`` (api.bad-etag)."""
    given = request.headers.get("if-none-match")
    if given is None:
        return False
    if given.strip() != "*":
        raise InvalidInput(
            "api.bad-etag", "If-None-Match của lệnh ghi chỉ nhận dấu *.", expression="If-None-Match"
        )
    return True


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
    return [(k, v) for k, v in found if k not in _DOOR_PARAMS and not (k == "_summary" and v in _SUMMARIES)]


def door_pairs(request: Request) -> list[tuple[str, str]]:
    """Parameters of the address that say how to answer: they belong into links."""
    return [
        (k, v) for k, v in _door_given(request) if k in _DOOR_PARAMS or (k == "_summary" and v in _SUMMARIES)
    ]


def _door_given(request: Request) -> list[tuple[str, str]]:
    """All parameters of the address, and those of a form that say how to answer."""
    in_form: list[tuple[str, str]] = request.scope.get("state", {}).get("door_params", [])
    return [*request.query_params.multi_items(), *in_form]


def query_pairs(request: Request) -> list[tuple[str, str]]:
    """Search parameters of the address."""
    return pairs(request.scope.get("query_string", b""))


async def form_pairs(request: Request) -> list[tuple[str, str]]:
    """Search parameters of a ``_search`` body and its address; those for the door are remembered for the answer.

    Raises: ``UnsupportedBody``, ``InvalidInput`` (api.bad-query).
    """
    _media_type(request, frozenset({FORM_TYPE}))
    body = await request.body()
    found = pairs(body)
    for_door = _DOOR_PARAMS | {"_summary"}
    given = [(k, v) for k, v in parse_qsl(body.decode("ascii"), keep_blank_values=True) if k in for_door]
    request.scope.setdefault("state", {})["door_params"] = given
    return query_pairs(request) + found


async def resource_body(request: Request) -> JsonObject:
    """The resource in the body, from JSON or XML. Call only after the caller is known.

    Raises: ``UnsupportedBody`` (api.unsupported-body), ``InvalidInput`` (json.*, xml.*, fhir.*,
    api.not-a-resource), ``TooLarge``.
    """
    kind = _media_type(request, JSON_TYPES | XML_TYPES)
    raw = await request.body()
    value = from_xml(raw) if kind in XML_TYPES else loads(raw)
    if not isinstance(value, dict) or not isinstance(value.get("resourceType"), str):
        raise InvalidInput(
            "api.not-a-resource", "Nội dung không phải là một tài nguyên FHIR.", expression="resourceType"
        )
    return value


async def patch_body(request: Request) -> JsonValue:
    """A JSON Patch (an array), or the Parameters resource of a FHIRPath Patch.

    Raises: as :func:`resource_body`.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() == PATCH_TYPE:
        _media_type(request, frozenset({PATCH_TYPE}))
        operations = loads(await request.body())
        if not isinstance(operations, list):
            raise InvalidInput("fhir.patch-operation", "Bản vá có thao tác không đọc được.")
        return operations
    return resource_of(await resource_body(request), "Parameters")


def _media_type(request: Request, allowed: frozenset[str]) -> str:
    given = request.headers.get("content-type", "")
    kind, _, rest = given.partition(";")
    charset = re.search(r'charset\s*=\s*"?([^";\s]+)', rest, re.IGNORECASE)
    bad_charset = charset is not None and charset[1].lower() not in ("utf-8", "utf8")
    kind = kind.strip().lower()
    if kind not in allowed or bad_charset or request.headers.get("content-encoding"):
        raise UnsupportedBody(
            "api.unsupported-body", "Chỉ nhận nội dung dạng FHIR JSON hoặc XML, mã UTF-8, không nén."
        )
    return kind


def instants(params: dict[str, str], name: str) -> tuple[datetime, datetime] | None:
    """A time parameter (``_since``, ``_at``) as half-open instants. Raises: ``InvalidInput`` (api.bad-query)."""
    given = params.get(name)
    if given is None:
        return None
    low, high = date_range(given.replace(" ", "+")) or (None, None)  # "+07:00" unescaped comes as a space
    if low is None or high is None:
        raise InvalidInput("api.bad-query", f"Tham số {name} phải là một thời điểm.", expression=name)
    return low, high


def whole_number(params: dict[str, str], name: str, default: int) -> int:
    """A count. Raises: ``InvalidInput`` (api.bad-query)."""
    given = params.get(name)
    if given is None:
        return default
    if not re.fullmatch(r"[0-9]{1,6}", given):
        raise InvalidInput("api.bad-query", f"Tham số {name} phải là số nguyên.", expression=name)
    return int(given)


def resource_of(body: JsonObject, kind: str, given_id: str | None = None) -> JsonObject:
    """The body, if it is of the address's type (and id).

    Raises: ``InvalidInput`` (api.type-differs, api.id-differs).
    """
    if body["resourceType"] != kind:
        raise InvalidInput("api.type-differs", "Loại tài nguyên khác với địa chỉ.", expression="resourceType")
    if given_id is not None and body.get("id") != given_id:
        raise InvalidInput("api.id-differs", "Mã tài nguyên khác với địa chỉ.", expression=f"{kind}.id")
    return body
