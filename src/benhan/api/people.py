"""Finding a person who may be known already: ``Patient/$match`` (FHIR R4; IHE PDQm ITI-119)."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from benhan.api import answering, asking
from benhan.api.operations import Door, Line, resource_parameter
from benhan.base.errors import InvalidInput
from benhan.base.json_door import JsonObject
from benhan.fhir import validate
from benhan.identity import Candidate, find_candidates, person_of, probability

GRADE = "http://hl7.org/fhir/StructureDefinition/match-grade"
_MOST = 50


def people_lines(door: Door) -> list[Line]:
    """Routes of the operations on people."""
    return [("/{facility}/Patient/$match", "POST", lambda request: match(door, request))]


async def match(door: Door, request: Request) -> Response:
    """``$match``: a searchset of people like the one sent, best first, each with its probability and grade.

    Parameters ``resource`` (a Patient), ``onlyCertainMatches``, ``count``. Raises: ``InvalidInput`` (api.bad-parameters).
    """
    repo = await door.repo(request)
    asking.wanted(request)
    body = asking.resource_of(await asking.resource_body(request), "Parameters")
    validate(body)
    person = resource_parameter(body, "resource")
    if person["resourceType"] != "Patient":
        raise InvalidInput(
            "api.bad-parameters", "Tham số resource phải là Patient.", expression="Parameters.parameter"
        )
    asked = {part.get("name"): part for part in body["parameter"]}
    certain = asked.get("onlyCertainMatches", {}).get("valueBoolean") is True
    count = int(asked.get("count", {}).get("valueInteger", 10))
    if not 1 <= count <= _MOST:
        raise InvalidInput(
            "api.bad-parameters", f"Tham số count phải từ 1 đến {_MOST}.", expression="Parameters.parameter"
        )
    found = await find_candidates(repo, person_of(person), limit=count)
    if certain:
        found = [c for c in found if grade(c) == "certain"]
    base = door.base(request)
    entries = [_entry(request, c, base) for c in found]
    return answering.bundle_response(request, "searchset", entries, [])


def grade(candidate: Candidate) -> str:
    """Code of the match-grade extension: certain, probable or possible."""
    if candidate.verdict == "link":
        return "certain"
    return "probable" if candidate.duplicate else "possible"


def _entry(request: Request, candidate: Candidate, base: str) -> JsonObject:
    entry = answering.search_entry(request, candidate.patient, base, "match")
    entry["search"] = {
        "extension": [{"url": GRADE, "valueCode": grade(candidate)}],
        "mode": "match",
        "score": probability(candidate.score),
    }
    return entry
