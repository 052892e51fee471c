"""The job ``bhyt.card-check``: look up the cards of a đợt that could not be checked at the desk, keep the answers.

The portal is asked outside any transaction; while it is away the worker tries again, each time later.
"""

from __future__ import annotations

from uuid import UUID

from benhan.base.errors import NeighbourFailed
from benhan.base.json_door import JsonObject
from benhan.gateways.bhyt.card import birth_of, keep_answer
from benhan.gateways.bhyt.portal import portal_of
from benhan.identity import name_of
from benhan.records import entitlement_line
from benhan.store import Actor, Ctx, Store, SystemPolicy

CARD_TOPIC = "bhyt.card-check"
_DEVICE = Actor("Device/bhyt", "Cổng giao tiếp BHYT", "system")


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
            answer = await portal.check_card(right.card, name_of(patient), birth_of(patient))
            view = await keep_answer(repo, patient, right.card, answer, right.coverage_id)
            if view.away:
                raise NeighbourFailed(
                    "bhyt.card-not-told", "Cổng BHYT chưa trả lời về thẻ.", diagnostics=view.code
                )
