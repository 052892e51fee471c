"""The job ``bhyt.card-check``: look up the cards of a đợt that could not be checked at the desk, keep the answers.

Each answer is a ``CoverageEligibilityResponse`` whose id follows from the ``Coverage``: asking again makes a new version.
The portal is asked outside any transaction.
"""

from __future__ import annotations

from uuid import NAMESPACE_URL, UUID, uuid5

from benhan.base.clock import fhir_instant
from benhan.base.json_door import JsonObject
from benhan.catalogue import systems
from benhan.gateways.bhyt.portal import CardAnswer, portal_of
from benhan.identity import name_of
from benhan.records import entitlement_line
from benhan.store import Actor, Ctx, Repository, Store, SystemPolicy

CARD_TOPIC = "bhyt.card-check"
_DEVICE = Actor("Device/bhyt", "Cổng giao tiếp BHYT", "system")
_RESULT = "urn:benhan:bhyt:ket-qua-tra-the"


async def check_cards(store: Store, tenant: UUID, payload: JsonObject) -> None:
    """Handle ``{"encounter": id}``; without a portal nothing is done.

    Raises: ``NeighbourFailed`` when the portal is away (the worker tries again).
    """
    repo = store.repo(Ctx(tenant, _DEVICE, purpose="HPAYMT"), SystemPolicy())
    facility = next((t.code for t in await store.tenants() if t.id == tenant), "")
    portal = portal_of(store.settings, facility, clock=store.clock)
    if portal is None:
        return
    encounter_id = str(payload["encounter"])
    encounter = (await repo.read("Encounter", encounter_id)).data
    patient = (await repo.read(*str(encounter["subject"]["reference"]).split("/", 1))).data
    async with portal:
        for right in await entitlement_line(repo, encounter_id):
            answer = await portal.check_card(right.card, name_of(patient), _birth(patient))
            await _keep(repo, encounter["subject"], right.coverage_id, answer)


def answer_id(coverage_id: str) -> str:
    """Id of the answer about a card."""
    return str(uuid5(NAMESPACE_URL, f"urn:benhan:card-check:{coverage_id}"))


def _birth(patient: JsonObject) -> str:
    """dd/mm/yyyy, or the year when the day is not known."""
    parts = str(patient.get("birthDate", "")).split("-")
    return "/".join(reversed(parts)) if len(parts) == 3 else parts[0]


async def _keep(repo: Repository, patient: JsonObject, coverage_id: str, answer: CardAnswer) -> None:
    now = fhir_instant(repo.clock.now())
    listed = {
        "coding": [{"system": _RESULT, "code": answer.code}],
        "text": answer.text or "Không có thông điệp.",
    }
    await repo.update(
        {
            "resourceType": "CoverageEligibilityResponse",
            "id": answer_id(coverage_id),
            "identifier": [{"system": systems.BHYT, "value": answer.card}],
            "status": "active",
            "purpose": ["validation"],
            "patient": patient,
            "created": now,
            "request": {"display": "Tra cứu thẻ BHYT"},
            "outcome": "complete" if answer.good else "error",
            "disposition": f"{answer.code}: {answer.text}",
            "insurer": {"display": "Bảo hiểm xã hội Việt Nam"},
            "insurance": [{"coverage": {"reference": f"Coverage/{coverage_id}"}, "inforce": answer.good}],
            **({} if answer.good else {"error": [{"code": listed}]}),
        }
    )
