"""Operations on resources: ``$validate``, ``$everything``, ``$document``, ``$meta``, ``$meta-add``, ``$meta-delete``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import Response

from benhan.api import answering, asking
from benhan.base.clock import fhir_instant
from benhan.base.errors import InvalidInput
from benhan.base.json_door import JsonObject
from benhan.fhir import RESOURCE_TYPES, validate, validation_outcome
from benhan.store import EverythingAsked, Repository, Stored, document_parts, everything

Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]
Line: TypeAlias = tuple[str, str, Endpoint]
_META_LISTS = ("profile", "security", "tag")
_MAX_PAGE = 1000


class Door(Protocol):
    """What operations need of the door."""

    async def repo(self, request: Request) -> Repository:
        """The caller's repository."""
        ...

    def base(self, request: Request) -> str:
        """Base of addresses."""
        ...


def operation_lines(door: Door) -> list[Line]:
    """Routes of the operations."""
    ops = Operations(door)
    return [
        ("/{facility}/{type}/$validate", "POST", ops.validate),
        ("/{facility}/{type}/{id}/$validate", "GET", ops.validate_stored),
        ("/{facility}/Patient/{id}/$everything", "GET", ops.everything),
        ("/{facility}/Composition/{id}/$document", "GET", ops.document),
        ("/{facility}/{type}/{id}/$meta", "GET", ops.meta),
        ("/{facility}/{type}/{id}/$meta-add", "POST", ops.meta_add),
        ("/{facility}/{type}/{id}/$meta-delete", "POST", ops.meta_delete),
    ]


@dataclass(frozen=True, slots=True)
class Operations:
    """Each function is one operation, thin over the rooms below."""

    door: Door

    async def validate(self, request: Request) -> Response:
        """``$validate`` of what is sent (a resource, or Parameters with one), also against a ``profile``: all that is
        wrong with it, status 200.
        """
        await self.door.repo(request)
        asking.wanted(request)
        kind = asking.served_type(request)
        body = await asking.resource_body(request)
        profile = dict(asking.query_pairs(request)).get("profile")
        if body["resourceType"] == "Parameters":
            profile = _text_parameter(body, "profile") or profile
            body = resource_parameter(body, "resource")
        found = validation_outcome(asking.resource_of(body, kind), profile)
        return answering.resource_response(request, found)

    async def validate_stored(self, request: Request) -> Response:
        """``$validate`` of what is kept."""
        repo = await self.door.repo(request)
        asking.wanted(request)
        stored = await repo.read(asking.served_type(request), asking.resource_id(request))
        profile = dict(asking.query_pairs(request)).get("profile")
        return answering.resource_response(request, validation_outcome(stored.data, profile))

    async def everything(self, request: Request) -> Response:
        """``Patient/$everything``: ``_type``, ``_since``, ``_count``, and ``_cursor`` as next page.

        Raises: ``InvalidInput`` (api.bad-query) for ``start`` and ``end``, which are not kept to.
        """
        repo = await self.door.repo(request)
        asking.wanted(request)
        given = asking.resource_id(request)
        params = dict(asking.query_pairs(request))
        if strange := sorted(set(params) - {"_type", "_since", "_count", "_cursor"}):
            name = strange[0] if strange[0] in ("start", "end") else "?"
            raise InvalidInput("api.bad-query", "Có tham số không hiểu.", expression=name)
        types = tuple(t.strip() for t in params.get("_type", "").split(",") if t.strip())
        if set(types) - RESOURCE_TYPES:
            raise InvalidInput("api.bad-query", "Tham số _type có loại không biết.", expression="_type")
        since = asking.instants(params, "_since")
        count = max(1, min(asking.whole_number(params, "_count", 200), _MAX_PAGE))
        asked = EverythingAsked(given, types, since[0] if since else None, count, params.get("_cursor"))
        page = await everything(repo, asked)
        base, path = self.door.base(request), f"Patient/{given}/$everything"
        kept = [(k, v) for k, v in params.items() if k != "_cursor"] + asking.door_pairs(request)
        links = [("self", answering.link(base, path, kept))]
        if page.next:
            links.append(("next", answering.link(base, path, [*kept, ("_cursor", page.next)])))
        entries = [answering.search_entry(request, s, base, "match") for s in page.entries]
        entries += [answering.search_entry(request, s, base, "include") for s in page.included]
        return answering.bundle_response(request, "searchset", entries, links)

    async def document(self, request: Request) -> Response:
        """``Composition/$document``: a Bundle with the Composition and all it refers to; ``persist=true`` keeps it."""
        repo = await self.door.repo(request)
        asking.wanted(request)
        parts = await document_parts(repo, asking.resource_id(request))
        bundle = _document(parts, self.door.base(request), fhir_instant(repo.clock.now()))
        if dict(asking.query_pairs(request)).get("persist") == "true":
            bundle = (await repo.create(bundle)).data
        return answering.resource_response(request, bundle)

    async def meta(self, request: Request) -> Response:
        """``$meta``: profiles, tags and labels of a resource."""
        repo = await self.door.repo(request)
        asking.wanted(request)
        stored = await repo.read(asking.served_type(request), asking.resource_id(request))
        return _meta_answer(request, stored)

    async def meta_add(self, request: Request) -> Response:
        """``$meta-add``: what is not there yet is added, as a new version."""
        return await self._change_meta(request, _with)

    async def meta_delete(self, request: Request) -> Response:
        """``$meta-delete``: what is there is taken away, as a new version."""
        return await self._change_meta(request, _without)

    async def _change_meta(
        self, request: Request, change: Callable[[JsonObject, JsonObject], JsonObject]
    ) -> Response:
        repo = await self.door.repo(request)
        asking.wanted(request)
        kind, given = asking.served_type(request), asking.resource_id(request)
        body = asking.resource_of(await asking.resource_body(request), "Parameters")
        validate(body)
        sent = next((p["valueMeta"] for p in body.get("parameter", []) if "valueMeta" in p), None)
        if sent is None:
            raise InvalidInput("api.bad-parameters", "Thiếu tham số meta.", expression="Parameters.parameter")
        stored = await repo.patch(
            kind,
            given,
            lambda current: {**current, "meta": change(current.get("meta", {}), sent)},
            if_match=asking.if_match(request),
        )
        return _meta_answer(request, stored)


def resource_parameter(parameters: JsonObject, name: str) -> JsonObject:
    """The resource in a parameter. Raises: ``InvalidInput`` (api.bad-parameters)."""
    listed = parameters.get("parameter")
    for part in listed if isinstance(listed, list) else ():
        found = part.get("resource") if isinstance(part, dict) and part.get("name") == name else None
        if isinstance(found, dict) and isinstance(found.get("resourceType"), str):
            return found
    raise InvalidInput("api.bad-parameters", f"Thiếu tham số {name}.", expression="Parameters.parameter")


def _text_parameter(parameters: JsonObject, name: str) -> str | None:
    """A parameter of text, under whichever type it was sent."""
    listed = parameters.get("parameter")
    for part in listed if isinstance(listed, list) else ():
        if isinstance(part, dict) and part.get("name") == name:
            texts = [v for k, v in part.items() if k.startswith("value") and isinstance(v, str)]
            return texts[0] if texts else None
    return None


def _meta_answer(request: Request, stored: Stored) -> Response:
    answer = {
        "resourceType": "Parameters",
        "parameter": [{"name": "return", "valueMeta": stored.data["meta"]}],
    }
    return answering.resource_response(request, answer, 200, answering.version_headers(stored))


def _key(one: Any) -> Any:
    return (one.get("system"), one.get("code")) if isinstance(one, dict) else one


def _with(meta: JsonObject, sent: JsonObject) -> JsonObject:
    out = dict(meta)
    for name in _META_LISTS:
        have = {_key(one) for one in meta.get(name, [])}
        more = [one for one in sent.get(name, []) if _key(one) not in have]
        if more:
            out[name] = [*meta.get(name, []), *more]
    return out


def _without(meta: JsonObject, sent: JsonObject) -> JsonObject:
    out = dict(meta)
    for name in _META_LISTS:
        gone = {_key(one) for one in sent.get(name, [])}
        left = [one for one in meta.get(name, []) if _key(one) not in gone]
        out.pop(name, None)
        if left:
            out[name] = left
    return out


def _document(parts: list[Stored], base: str, at: str) -> JsonObject:
    """Bundle of type document; addresses are absolute, so that every reference resolves inside it."""
    return {
        "resourceType": "Bundle",
        "identifier": {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{uuid4()}"},
        "type": "document",
        "timestamp": at,
        "entry": [{"fullUrl": f"{base}/{s.reference}", "resource": s.data} for s in parts],
    }
