"""The judgement on a resource as a whole: everything wrong and everything advised, as an OperationOutcome.

:func:`benhan.fhir.validation.validate` is the gate of the store and stops at errors; this is for people and
machines that ask (``$validate``, ``benhan validate``).
"""

from __future__ import annotations

from typing import Any

from benhan.base.errors import Issue
from benhan.fhir import invariants
from benhan.fhir.path import Scope
from benhan.fhir.path_values import resource_node
from benhan.fhir.statements import issue_of
from benhan.fhir.validation import faults

JsonObject = dict[str, Any]


def judge(resource: object) -> list[Issue]:
    """Every fault of a resource (severity ``error``), then, when it has none, what FHIR advises (``warning``)."""
    found = faults(resource)
    if found or not isinstance(resource, dict):
        return found
    node = resource_node(resource)
    inside = frozenset(str(one.get("id")) for one in resource.get("contained", ()))
    kind = resource["resourceType"]
    return list(
        invariants.advice(resource, kind, kind, Scope(resource, resource, node, node, local_ids=inside))
    )


def outcome(found: list[Issue]) -> JsonObject:
    """An OperationOutcome of these issues; one of severity ``information`` when there are none."""
    fine = Issue("fhir.valid", "Tài nguyên hợp lệ.", severity="information", issue_type="informational")
    return {"resourceType": "OperationOutcome", "issue": [issue_of(i, "invalid") for i in found or [fine]]}


def validation_outcome(resource: object) -> JsonObject:
    """All issues of a resource as the OperationOutcome that ``$validate`` answers with (status 200 either way)."""
    return outcome(judge(resource))
