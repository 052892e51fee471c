"""What the node says about itself and about errors: CapabilityStatement and OperationOutcome."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from benhan.base.errors import BenhanError, Issue
from benhan.fhir.profiling import profiles
from benhan.fhir.search import search_params
from benhan.fhir.tables import RESOURCE_TYPES, load

JsonObject = dict[str, Any]

ERROR_SYSTEM = "urn:benhan:error"
"""Code system of our error codes in ``OperationOutcome.issue.details``."""

_HIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
_WRITES = {"create", "update", "delete", "patch"}
_TYPE_INTERACTIONS = (
    "read", "vread", "update", "patch", "delete", "history-instance", "history-type", "create", "search-type",
)  # fmt: skip
_SYSTEM_INTERACTIONS = ("transaction", "batch", "search-system", "history-system")


def operation_outcome(error: BenhanError) -> JsonObject:
    """An OperationOutcome with one issue per fault: our code, the Vietnamese sentence, the FHIRPath place."""
    return {
        "resourceType": "OperationOutcome",
        "issue": [issue_of(i, error.issue_type) for i in error.issues],
    }


def issue_of(issue: Issue, default: str) -> JsonObject:
    """One issue of an OperationOutcome; ``default`` is its type when the issue names none."""
    code = issue.issue_type or default
    known = load("schema")["definitions"]["valueset:issue-type"]["enum"]
    out: JsonObject = {
        "severity": issue.severity
        if issue.severity in ("fatal", "error", "warning", "information")
        else "error",
        "code": code if code in known else "processing",
        "details": {"coding": [{"system": ERROR_SYSTEM, "code": issue.code}], "text": _shown(issue.text)},
    }
    if issue.diagnostics:
        out["diagnostics"] = _shown(issue.diagnostics)
    if issue.expression:
        out["expression"] = [_shown(issue.expression)]
    return out


def _shown(text: str) -> str:
    """A sentence that may name what was sent, without characters that the JSON door refuses or that turn the writing."""
    return _HIDDEN.sub("\ufffd", text)


def capability_statement(
    types: Iterable[str],
    interactions: Mapping[str, Iterable[str]] | Iterable[str],
    params: Mapping[str, Iterable[str]],
    base_url: str,
    version: str,
    date: str,
    *,
    system_interactions: Sequence[str] = ("transaction", "batch"),
    includes: Mapping[str, Iterable[str]] | None = None,
    revincludes: Mapping[str, Iterable[str]] | None = None,
    conditional: bool = False,
    security: str | None = None,
) -> JsonObject:
    """What the node really serves, and nothing else: every argument is what the caller has switched on.

    Shape:   ``interactions`` by type, or one list for all types; ``params`` by type, names known to
             :func:`search_params`; ``includes``, ``revincludes`` by type (``Encounter:patient``); ``date`` a FHIR dateTime.
    Raises:  ``ValueError`` when a type, an interaction or a parameter is claimed that FHIR R4 does not know.
    """
    by_type = interactions if isinstance(interactions, Mapping) else None
    same = [] if by_type is not None else list(interactions)
    resources = [
        _resource(
            name,
            list(by_type.get(name, ())) if by_type is not None else same,
            list(params.get(name, ())),
            {
                "searchInclude": sorted((includes or {}).get(name, ())),
                "searchRevInclude": sorted((revincludes or {}).get(name, ())),
            },
            conditional,
        )
        for name in sorted(set(types))
    ]
    rest: JsonObject = {"mode": "server", "resource": resources}
    if security is not None:
        rest["security"] = {"cors": False, "description": security}
    if system_interactions:
        _known(system_interactions, _SYSTEM_INTERACTIONS)
        rest["interaction"] = [{"code": code} for code in system_interactions]
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": date,
        "kind": "instance",
        "software": {"name": "Bệnh Án", "version": version},
        "implementation": {"description": "Kho FHIR của Bệnh Án", "url": base_url},
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "json"],
        "rest": [rest],
    }


def _known(given: Iterable[str], allowed: Iterable[str]) -> None:
    strange = set(given) - set(allowed)
    if strange:
        raise ValueError(f"not of FHIR R4: {', '.join(sorted(strange))}")


def _resource(
    name: str, interactions: list[str], params: list[str], includes: dict[str, list[str]], conditional: bool
) -> JsonObject:
    _known([name], RESOURCE_TYPES)
    _known(interactions, _TYPE_INTERACTIONS)
    known = search_params(name)
    _known(params, known)
    out: JsonObject = {"type": name, "versioning": "versioned"}
    if held := [url for url, one in sorted(profiles().items()) if one["type"] == name]:
        out["supportedProfile"] = held
    if interactions:
        out["interaction"] = [{"code": code} for code in _TYPE_INTERACTIONS if code in interactions]
    out["readHistory"] = "vread" in interactions
    out["updateCreate"] = "update" in interactions
    if conditional and _WRITES & set(interactions):
        out["conditionalCreate"] = "create" in interactions
        out["conditionalUpdate"] = "update" in interactions
    out.update({key: listed for key, listed in includes.items() if listed})
    if params:
        out["searchParam"] = [
            {"name": p, "definition": known[p].url, "type": known[p].type} for p in sorted(set(params))
        ]
    return out
