"""Writing an answer: a version with its headers, Bundles, and the content of a Binary as an attachment."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import Response

from benhan.api import asking
from benhan.api.asking import Preference, Wanted
from benhan.api.guard import FHIR_JSON, FHIR_XML
from benhan.base.clock import fhir_instant
from benhan.base.errors import NotFound
from benhan.base.json_door import JsonObject, dumps
from benhan.fhir import elements, summary, to_xml
from benhan.store import Stored

#: Media types of Binary content that a browser may be told; all else leaves as bytes of no type.
SAFE_TYPES = frozenset({"application/pdf", "image/png", "image/jpeg", "text/plain"})


_WHOLE = Wanted("json", False, "false", ())


def http_date(at: datetime) -> str:
    """An instant as an HTTP date."""
    return format_datetime(at.astimezone(UTC).replace(microsecond=0), usegmt=True)


def base_url(request: Request, public_url: str | None) -> str:
    """Base of FHIR addresses: ``…/fhir/<facility>``, from the settings where they say it."""
    facility = quote(str(request.path_params["facility"]), safe="")
    root = (public_url or f"{request.url.scheme}://{request.url.netloc}").rstrip("/")
    return f"{root}{request.scope.get('root_path', '')}/{facility}"


def version_headers(stored: Stored) -> dict[str, str]:
    """ETag and Last-Modified of a version."""
    return {"ETag": stored.etag, "Last-Modified": http_date(stored.at)}


def resource_response(
    request: Request, resource: JsonObject, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """A resource in the form that is wanted, whole."""
    wanted = asking.wanted(request)
    if wanted.format == "xml":
        return Response(to_xml(resource), status, headers, media_type=FHIR_XML)
    return Response(dumps(resource, pretty=wanted.pretty), status, headers, media_type=FHIR_JSON)


def part_of(request: Request, resource: JsonObject) -> JsonObject:
    """What ``_elements`` or ``_summary`` leaves of a resource."""
    wanted = asking.wanted(request)
    if wanted.elements:
        return elements(resource, wanted.elements)
    return summary(resource, wanted.summary)


def stored_response(request: Request, stored: Stored) -> Response:
    """One version as it is kept; 304 when the caller has it already."""
    headers = version_headers(stored)
    if _known(request, stored):
        return Response(status_code=304, headers=headers)
    if asking.wanted(request) == _WHOLE and (kept := stored.served) is not None:
        return Response(kept, 200, headers, media_type=FHIR_JSON)
    return resource_response(request, part_of(request, stored.data), 200, headers)


def _known(request: Request, stored: Stored) -> bool:
    headers = request.headers
    return same_copy(stored.etag, stored.at, headers.get("if-none-match"), headers.get("if-modified-since"))


def same_copy(etag: str, at: datetime, tags: str | None, since: str | None) -> bool:
    """``If-None-Match``, else ``If-Modified-Since`` (RFC 9110 13.1.3): the caller's copy is this version."""
    if tags is not None:
        listed = [t.strip() for t in tags.split(",")]
        return etag in listed or "*" in listed
    if since is None:
        return False
    try:
        known = parsedate_to_datetime(since)
    except (ValueError, TypeError, OverflowError):
        return False  # RFC 9110: what is no date is ignored
    return at.replace(microsecond=0) <= (known if known.tzinfo else known.replace(tzinfo=UTC))


def written_response(
    request: Request, stored: Stored, status: int, base: str, prefer: Preference
) -> Response:
    """Answer to a write: by ``Prefer`` the resource, nothing, or an OperationOutcome."""
    headers = version_headers(stored)
    headers["Location"] = f"{base}/{stored.type}/{stored.id}/_history/{stored.version}"
    if prefer.returns == "minimal":
        return Response(status_code=status, headers=headers)
    if prefer.returns == "OperationOutcome":
        done: JsonObject = {
            "resourceType": "OperationOutcome",
            "issue": [{"severity": "information", "code": "informational", "details": {"text": "Đã ghi."}}],
        }
        return resource_response(request, done, status, headers)
    return resource_response(request, stored.data, status, headers)


def search_entry(request: Request, stored: Stored, base: str, mode: str) -> JsonObject:
    """Entry of a searchset; ``mode`` match or include."""
    part = part_of(request, stored.data)
    return {"fullUrl": f"{base}/{stored.reference}", "resource": part, "search": {"mode": mode}}


def history_entry(request: Request, stored: Stored, base: str) -> JsonObject:
    """Entry of one version, a deletion included."""
    first = stored.version == 1
    out: JsonObject = {"fullUrl": f"{base}/{stored.reference}"}
    if not stored.deleted:
        out["resource"] = part_of(request, stored.data)
    method = "DELETE" if stored.deleted else "POST" if first else "PUT"
    out["request"] = {"method": method, "url": stored.type if first else stored.reference}
    out["response"] = {
        "status": "204" if stored.deleted else "201" if first else "200",
        "etag": stored.etag,
        "lastModified": fhir_instant(stored.at),
    }
    return out


def bundle_response(
    request: Request,
    kind: str,
    entries: Sequence[JsonObject],
    links: Sequence[tuple[str, str]],
    total: int | None = None,
) -> Response:
    """A Bundle as an answer."""
    return resource_response(request, bundle_of(kind, entries, links, total))


def bundle_of(
    kind: str,
    entries: Sequence[JsonObject],
    links: Sequence[tuple[str, str]],
    total: int | None = None,
) -> JsonObject:
    """A Bundle; decimals keep their digits through the JSON door."""
    bundle: JsonObject = {"resourceType": "Bundle", "type": kind}
    if total is not None:
        bundle["total"] = total
    bundle["link"] = [{"relation": relation, "url": url} for relation, url in links]
    if entries:  # FHIR knows no empty array
        bundle["entry"] = list(entries)
    return bundle


def link(base: str, path: str, params: Sequence[tuple[str, str]]) -> str:
    """Address with parameters."""
    return f"{base}/{path}" + (f"?{urlencode(params)}" if params else "")


def wants_content(request: Request) -> bool:
    """True when ``Accept`` names no FHIR or any type: the Binary's own content is wanted."""
    accept = request.headers.get("accept", "*/*").lower()
    fhir = "json" in accept or "fhir+xml" in accept or "*/*" in accept
    return not fhir and "_format" not in request.query_params


def binary_content(stored: Stored) -> Response:
    """Content of a Binary: always an attachment, never a type that a browser would run.

    Raises: ``NotFound`` (api.no-content) when it has none.
    """
    try:
        data = base64.b64decode(str(stored.data.get("data", "")), validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if not data:
        raise NotFound("api.no-content", "Tài liệu này không có nội dung.")
    declared = str(stored.data.get("contentType", "")).partition(";")[0].strip().lower()
    kind = declared if declared in SAFE_TYPES else "application/octet-stream"
    headers = version_headers(stored)
    headers["Content-Disposition"] = f'attachment; filename="{stored.id}"'
    response = Response(data, headers=headers)
    response.headers["Content-Type"] = kind
    return response
