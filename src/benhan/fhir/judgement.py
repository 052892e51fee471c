"""The judgement on a resource as a whole: everything wrong and everything advised, as an OperationOutcome.

:func:`benhan.fhir.validation.validate` is the gate of the store and stops at errors; this is for people and
machines that ask (``$validate``, ``benhan validate``).
"""

from __future__ import annotations

from typing import Any

from benhan.base.errors import Issue
from benhan.fhir import invariants, profiling
from benhan.fhir.path import Scope
from benhan.fhir.path_values import resource_node
from benhan.fhir.statements import issue_of
from benhan.fhir.validation import faults

JsonObject = dict[str, Any]
MAX_TOLD = 500
"""Issues of one answer: enough for a person, bounded for a machine that sends nothing but faults."""


def judge(resource: object, profile: str | None = None) -> list[Issue]:
    """Every fault of a resource (severity ``error``), then, when it has none, what is advised (``warning``).

    ``profile``: canonical address of a local profile to hold the resource to, besides those of its ``meta.profile``.
    One that is not known is an error here (``fhir.profile-unknown``), in ``meta.profile`` a warning.
    """
    found = faults(resource)
    if not isinstance(resource, dict) or any(issue.code in _BREAK_SHAPE for issue in found):
        return found
    kind = resource["resourceType"]
    if profile is not None:
        known = profiling.is_known(profile)
        asked = profiling.issues(resource, profile, kind) if known else [_unknown(profile, "error")]
        found = list(dict.fromkeys([*found, *asked]))
    if found:
        return found
    node = resource_node(resource)
    inside = frozenset(str(one.get("id")) for one in resource.get("contained", ()))
    scope = Scope(resource, resource, node, node, local_ids=inside)
    strange = [_unknown(url, "warning") for url in profiling.claimed(resource) if not profiling.is_known(url)]
    return [*strange, *invariants.advice(resource, kind, kind, scope)]


_BREAK_SHAPE = frozenset(
    {
        "fhir.type-unknown",
        "fhir.type-wrong",
        "fhir.choice-many",
        "fhir.null-alone",
        "fhir.empty",
        "fhir.too-many",
    }
)
"""Faults after which a profile cannot be asked."""


def _unknown(url: str, severity: str) -> Issue:
    text = "Không có hồ sơ mẫu này ở đây nên chưa kiểm tra theo nó."
    said = f"profile not known: {url[:200]}"
    return Issue("fhir.profile-unknown", text, "meta.profile", said, severity, "not-supported")


def outcome(found: list[Issue]) -> JsonObject:
    """An OperationOutcome of these issues; one of severity ``information`` when there are none."""
    fine = Issue("fhir.valid", "Tài nguyên hợp lệ.", severity="information", issue_type="informational")
    return {"resourceType": "OperationOutcome", "issue": [issue_of(i, "invalid") for i in found or [fine]]}


def validation_outcome(resource: object, profile: str | None = None) -> JsonObject:
    """All issues of a resource as the OperationOutcome that ``$validate`` answers with (status 200 either way)."""
    return outcome(judge(resource, profile)[:MAX_TOLD])
