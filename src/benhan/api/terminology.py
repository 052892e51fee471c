"""Terminology operations over the shipped lists: ``$expand``, ``$lookup``, ``$validate-code``, ``$translate``.

They tell nothing of any person, so whoever has signed in may ask. Parameters come in the address or in a Parameters
resource; ``date`` chooses the list in force on that day, today without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from starlette.requests import Request
from starlette.responses import Response

from benhan.api import answering, asking
from benhan.api.operations import Door, Line
from benhan.base.clock import fhir_instant, local_date
from benhan.base.errors import InvalidInput, NotFound
from benhan.base.json_door import JsonObject
from benhan.catalogue import systems, terminology
from benhan.catalogue.terminology import Concept, ListVersion
from benhan.fhir import validate

_MAX_COUNT = 1000


def terminology_lines(door: Door) -> list[Line]:
    """Routes of the terminology operations."""
    desk = Terminology(door)
    paths = (
        ("ValueSet/$expand", desk.expand),
        ("ValueSet/$validate-code", desk.validate_in_set),
        ("CodeSystem/$lookup", desk.lookup),
        ("CodeSystem/$validate-code", desk.validate_in_system),
        ("ConceptMap/$translate", desk.translate),
    )
    return [(f"/{{facility}}/{path}", method, end) for path, end in paths for method in ("GET", "POST")]


@dataclass(frozen=True, slots=True)
class Terminology:
    """Each function is one operation."""

    door: Door

    async def expand(self, request: Request) -> Response:
        """``ValueSet/$expand``: ``url``, ``filter`` (tones optional), ``count``, ``offset``, ``date``."""
        given, on = await self._asked(request)
        found = terminology.value_set(given.get("url", ""), on=on)
        if found is None:
            raise NotFound("api.no-such-value-set", "Không có bộ giá trị này vào ngày được hỏi.")
        concepts = terminology.expand(found, given.get("filter", ""))
        offset = asking.whole_number(given, "offset", 0)
        count = min(asking.whole_number(given, "count", 100), _MAX_COUNT)
        used = [{"name": "offset", "valueInteger": offset}, {"name": "count", "valueInteger": count}]
        shown = [
            {"system": found.system, "version": found.version, "code": c.code, "display": c.display}
            for c in concepts[offset : offset + count]
        ]
        expansion: JsonObject = {
            "timestamp": fhir_instant((await self.door.repo(request)).clock.now()),
            "total": len(concepts),
            "offset": offset,
            "parameter": used,
        }
        if shown:
            expansion["contains"] = shown
        answer: JsonObject = {
            "resourceType": "ValueSet",
            "url": terminology.value_set_url(found.system),
            "version": found.version,
            "status": "active",
            "expansion": expansion,
        }
        return answering.resource_response(request, answer)

    async def lookup(self, request: Request) -> Response:
        """``CodeSystem/$lookup``: ``system`` and ``code``, or ``coding``; ``version`` or ``date``."""
        given, on = await self._asked(request)
        found = _system(given, on)
        concept = None if found is None else found.find(given.get("code", ""))
        if found is None or concept is None:
            raise NotFound("api.no-such-code", "Không có mã này trong danh mục vào ngày được hỏi.")
        parts = [
            {"name": "name", "valueString": found.title},
            {"name": "version", "valueString": found.version},
            {"name": "display", "valueString": concept.display},
        ]
        return _parameters(request, [*parts, *map(_property, concept.properties)])

    async def validate_in_system(self, request: Request) -> Response:
        """``CodeSystem/$validate-code``: ``url`` (or ``system``), ``code``, ``display``."""
        given, on = await self._asked(request)
        given.setdefault("system", given.get("url", ""))
        return self._judged(request, _system(given, on), given)

    async def validate_in_set(self, request: Request) -> Response:
        """``ValueSet/$validate-code``: ``url``, ``code``, ``system``, ``display``."""
        given, on = await self._asked(request)
        found = terminology.value_set(given.get("url", ""), on=on)
        if found is not None and given.get("system", found.system) != found.system:
            text = "Mã thuộc hệ thống khác."
            return _parameters(
                request, [{"name": "result", "valueBoolean": False}, {"name": "message", "valueString": text}]
            )
        return self._judged(request, found, given)

    async def translate(self, request: Request) -> Response:
        """``ConceptMap/$translate``: communes before 01/07/2025 to those of today."""
        given, _ = await self._asked(request)
        known = given.get("url", terminology.MERGER) == terminology.MERGER
        if not known or given.get("system", systems.COMMUNE) != systems.COMMUNE:
            raise NotFound("api.no-such-map", "Không có bảng chuyển mã này.")
        found = terminology.translate(given.get("code", ""))
        matches: list[JsonObject] = [
            {
                "name": "match",
                "part": [
                    {"name": "equivalence", "valueCode": t.equivalence},
                    {"name": "concept", "valueCoding": _coding(t.system, t.concept)},
                    {"name": "source", "valueString": terminology.MERGER},
                ],
            }
            for t in found
        ]
        return _parameters(request, [{"name": "result", "valueBoolean": bool(found)}, *matches])

    def _judged(self, request: Request, found: ListVersion | None, given: Mapping[str, str]) -> Response:
        if found is None:
            raise NotFound("api.no-such-value-set", "Không có bộ giá trị này vào ngày được hỏi.")
        concept = found.find(given.get("code", ""))
        parts: list[JsonObject] = [{"name": "result", "valueBoolean": concept is not None}]
        if concept is None:
            parts.append({"name": "message", "valueString": "Mã không có trong danh mục."})
        else:
            wrong = "display" in given and given["display"] != concept.display
            parts += [{"name": "message", "valueString": "Tên khác với danh mục."}] if wrong else []
            parts.append({"name": "display", "valueString": concept.display})
        return _parameters(request, parts)

    async def _asked(self, request: Request) -> tuple[dict[str, str], date]:
        """Parameters by name, and the day. Raises: ``InvalidInput`` (api.bad-query)."""
        repo = await self.door.repo(request)
        asking.wanted(request)
        given = dict(asking.query_pairs(request))
        if request.method == "POST":
            body = asking.resource_of(await asking.resource_body(request), "Parameters")
            validate(body)
            given.update(_plain(body))
        at = asking.instants(given, "date")
        return given, at[0].date() if at else local_date(repo.clock.now())


def _plain(body: JsonObject) -> dict[str, str]:
    """Values of a Parameters resource as text; a Coding gives ``system``, ``code``, ``version``, ``display``."""
    out: dict[str, str] = {}
    for part in body.get("parameter", []):
        value = next((v for k, v in part.items() if k.startswith("value")), None)
        if isinstance(value, dict):
            codings = value.get("coding", [value])
            inner = codings[0] if codings else {}
            out.update({k: str(inner[k]) for k in ("system", "code", "version", "display") if k in inner})
        elif value is not None:
            out[str(part.get("name"))] = str(value)
    return out


def _system(given: Mapping[str, str], on: date) -> ListVersion | None:
    if not given.get("system") or not given.get("code"):
        raise InvalidInput("api.bad-parameters", "Cần hệ thống mã và mã.", expression="code")
    return terminology.code_system(given["system"], on=on, version=given.get("version"))


def _property(pair: tuple[str, str]) -> JsonObject:
    return {
        "name": "property",
        "part": [{"name": "code", "valueCode": pair[0]}, {"name": "value", "valueString": pair[1]}],
    }


def _coding(system: str, concept: Concept) -> JsonObject:
    return {"system": system, "code": concept.code, "display": concept.display}


def _parameters(request: Request, parts: list[JsonObject]) -> Response:
    return answering.resource_response(request, {"resourceType": "Parameters", "parameter": parts})
