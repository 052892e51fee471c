"""A closed record refuses every write but the signed addendum, whatever door it comes through.

``closed_record_guard`` is registered with the store and sees every version before it is appended. Which record a
resource belongs to is read from its references (both of the new and of the old version): to the đợt, to one of its
stays, or, for ``Provenance``, to its targets. Fees have a lock of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from benhan.base.errors import Conflict
from benhan.catalogue import systems
from benhan.records.states import closed_states
from benhan.records.types import JsonObject
from benhan.store import Action, Ctx, Repository

#: money and its answers: under the lock of the fees, not under the clinical lock (a claim correction reopens nothing)
FINANCIAL = frozenset(
    {
        "Account", "ChargeItem", "Claim", "ClaimResponse", "Coverage", "CoverageEligibilityRequest",
        "CoverageEligibilityResponse", "ExplanationOfBenefit", "Invoice", "PaymentNotice", "PaymentReconciliation",
    }
)  # fmt: skip
_FEES = frozenset({"ChargeItem", "Account", "Invoice"})
_CASE = "select state, financial_lock from record_case where tenant = %s and encounter_id = any(%s)"
_LET_IN = "select set_config('benhan.passing', %s, true)"
_passes: ContextVar[frozenset[str]] = ContextVar("records_passes", default=frozenset())


@contextmanager
def passing(encounter_id: str) -> Iterator[None]:
    """Inside, this room may write to the closed record: its own state, and the signed addendum."""
    token = _passes.set(_passes.get() | {encounter_id})
    try:
        yield
    finally:
        _passes.reset(token)


async def closed_record_guard(
    tx: Repository, ctx: Ctx, action: Action, new: JsonObject | None, old: JsonObject | None
) -> None:
    """Refuse a write into a closed record.

    Raises: ``Conflict`` records.already-closed, records.fees-locked.
    """
    resources = [r for r in (new, old) if r]
    kind = str(resources[0]["resourceType"]) if resources else ""
    if not resources or kind == "Patient" or tx.connection is None:
        return
    wanted = await _encounters(tx, resources)
    passed = wanted if _is_claim_document(resources) else wanted & _passes.get()
    if passed:  # the database has a lock of its own (migration 0520): open it for these, for this transaction
        await tx.connection.execute(_LET_IN, (",".join(sorted(passed)),))
    wanted = wanted - passed
    if not wanted:
        return
    rows = await (await tx.connection.execute(_CASE, (ctx.tenant, sorted(wanted)))).fetchall()
    for state, fees_locked in rows:
        if kind in _FEES and fees_locked:
            raise Conflict("records.fees-locked", "Viện phí đã khóa.")
        if kind not in FINANCIAL and state in closed_states():
            raise Conflict("records.already-closed", "Hồ sơ đã đóng: chỉ được ghi bổ sung có ký.")


def _is_claim_document(resources: list[JsonObject]) -> bool:
    return all(
        r["resourceType"] == "DocumentReference"
        and any(
            c.get("system") == systems.DOCUMENT_KIND and c.get("code") == systems.DOC_CLAIM
            for category in r.get("category", [])
            for c in category.get("coding", [])
        )
        for r in resources
    )


async def _encounters(tx: Repository, resources: list[JsonObject]) -> set[str]:
    found: set[str] = set()
    followed: set[str] = set()
    for resource in resources:
        if resource["resourceType"] == "Encounter" and resource.get("id"):
            found.add(str(resource["id"]))
        for kind, target in references(resource):
            if kind == "Encounter":
                found.add(target)
            elif kind in _CLINICAL:
                followed.add(f"{kind}/{target}")
    for stay in sorted(found):
        found |= await _parents(tx, stay)
    if not found or resources[0]["resourceType"] in ("Provenance", "Observation", "DiagnosticReport"):
        for reference in sorted(followed):
            found |= await _behind(tx, reference)
    return found


#: resources through which a reference leads into a record
_CLINICAL = frozenset(
    {
        "AllergyIntolerance", "Composition", "Condition", "DiagnosticReport", "DocumentReference", "MedicationRequest",
        "MedicationAdministration", "Observation", "Procedure", "QuestionnaireResponse", "ServiceRequest", "Account",
    }
)  # fmt: skip


def references(value: Any) -> Iterator[tuple[str, str]]:
    """Every literal reference in a resource as (type, id)."""
    if isinstance(value, dict):
        text = value.get("reference")
        if isinstance(text, str):
            parts = text.split("/")
            if len(parts) >= 4 and parts[-2] == "_history":
                parts = parts[:-2]
            if len(parts) >= 2:
                yield parts[-2], parts[-1]
        for child in value.values():
            yield from references(child)
    elif isinstance(value, list):
        for child in value:
            yield from references(child)


async def _parents(tx: Repository, encounter_id: str) -> set[str]:
    data = await _current(tx, "Encounter", encounter_id)
    return {i for k, i in references(data.get("partOf", {})) if k == "Encounter"} if data else set()


async def _behind(tx: Repository, reference: str) -> set[str]:
    kind, _, resource_id = reference.partition("/")
    data = await _current(tx, kind, resource_id)
    return {i for k, i in references(data) if k == "Encounter"} if data else set()


async def _current(tx: Repository, kind: str, resource_id: str) -> JsonObject:
    """Present version whatever the caller may see: the guard must not be blind where the caller is."""
    found = await tx.current(kind, resource_id)
    return {} if found is None or found.destroyed else found.stored.data
