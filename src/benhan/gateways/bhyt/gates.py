"""The rules of the claim while the record is still being made: at the order, at discharge, at payment."""

from __future__ import annotations

from benhan import records
from benhan.base.errors import BenhanError
from benhan.gateways.bhyt.check import check
from benhan.gateways.bhyt.claim import build_claim
from benhan.gateways.bhyt.own_rules import published_rules
from benhan.gateways.bhyt.record_facts import facts_from_record
from benhan.gateways.bhyt.rules import Finding, Gate
from benhan.store import Repository


async def judge_case(repo: Repository, encounter_id: str, gate: Gate | None = None) -> list[Finding]:
    """What the rules say of a đợt as it stands now; nothing for somebody without a card.

    ``gate`` None: ``order`` while the patient is here, ``discharge`` afterwards. Nothing found here blocks care. Faults that
    keep a claim from being built are told as one warning.
    """
    if not await records.entitlement_line(repo, encounter_id):
        return []
    here = await records.case(repo, encounter_id)
    at = gate or ("order" if here.discharged_at is None else "discharge")
    try:
        package = build_claim(await facts_from_record(repo, encounter_id, provisional=True))
    except BenhanError as error:
        return [Finding("warning", error.code, "XML1", error.text.rstrip("."), error.code)]
    return check(package, gate=at, own=await published_rules(repo))
