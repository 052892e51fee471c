"""One person's numbers across the facilities: IHE PIXm, Mobile Patient Identifier Cross-reference Query (ITI-83).

Domains (assigning authorities) the hub knows: the national numbers, and one per facility, ``urn:benhan:id:nguoi-benh:<code>``,
whose values are the ids of ``Patient`` in that facility's submissions. The facility that asks gets the national numbers of
its own patients; the ids at other facilities only under a right in force, as any other record of theirs (Luật 91/2025
Điều 26). Without the link and without a right a person looks like an unknown one.
"""

from __future__ import annotations

from benhan.base.errors import InvalidInput, NotAllowed, NotFound
from benhan.base.json_door import JsonObject
from benhan.catalogue import systems
from benhan.exchange.rights import person_of, right_of
from benhan.identity import crossref, family, sources
from benhan.store import Repository, TenantInfo

#: number domain of a facility: this, a colon, and its code
FACILITY_DOMAIN = "urn:benhan:id:nguoi-benh"
NATIONAL_DOMAINS = (systems.CCCD, systems.CMND, systems.PASSPORT, systems.BHYT, systems.BHXH)

Number = tuple[str, str]


async def cross_reference(
    repo: Repository, asker: TenantInfo, source_identifier: str, targets: list[str]
) -> JsonObject:
    """``Parameters`` with a ``targetIdentifier`` for each other number of the person; none is a good answer too.

    ``source_identifier``: ``system|value``; ``targets``: domains wanted, empty for all. Every answer and every refusal
    about a person is audited. Raises, as ITI-83 says: ``InvalidInput`` 400 code-invalid (exchange.unknown-source-domain),
    ``NotAllowed`` 403 code-invalid (exchange.unknown-target-domain), ``NotFound`` 404 (exchange.unknown-patient).
    """
    domains = await _domains(repo)
    system, _, value = source_identifier.partition("|")
    if system not in domains or not value:
        raise InvalidInput(
            "exchange.unknown-source-domain",
            "Trục liên thông không quản lý hệ thống định danh của sourceIdentifier.",
            expression="sourceIdentifier",
            diagnostics="sourceIdentifier Assigning Authority not found",
            issue_type="code-invalid",
        )
    if any(target not in domains for target in targets):
        raise NotAllowed(
            "exchange.unknown-target-domain",
            "Trục liên thông không quản lý hệ thống định danh của targetSystem.",
            expression="targetSystem",
            diagnostics="targetSystem not found",
            issue_type="code-invalid",
        )
    patient_id = await _person(repo, domains, system, value)
    local = await sources(repo, patient_id)
    right = await right_of(repo, patient_id, asker.id)
    mine = any(link.source == asker.id for link in local)
    await repo.audit(
        "pix-query",
        entity=f"Patient/{patient_id}",
        patient=patient_id,
        outcome="0" if mine or right else "8",
        detail={"reader": asker.code, "right": right.kind if right else "", "own": mine},
    )
    if not mine and right is None:
        raise _unknown()
    by_source = {facility: name for name, facility in domains.items() if facility is not None}
    numbers = await _national(repo, patient_id)
    numbers += [
        (by_source[link.source], link.source_patient_id)
        for link in local
        if link.source in by_source and (right is not None or link.source == asker.id)
    ]
    wanted = [n for n in dict.fromkeys(numbers) if n != (system, value) and (not targets or n[0] in targets)]
    return _parameters(wanted)


async def _domains(repo: Repository) -> dict[str, object]:
    """Every domain: a facility's with its tenant, a national one with None."""
    named: dict[str, object] = dict.fromkeys(NATIONAL_DOMAINS)
    facilities = [t for t in await repo.store.tenants() if t.id != repo.ctx.tenant]
    return named | {f"{FACILITY_DOMAIN}:{t.code}": t.id for t in facilities}


async def _person(repo: Repository, domains: dict[str, object], system: str, value: str) -> str:
    facility = next((t for t in await repo.store.tenants() if t.id == domains[system]), None)
    if facility is None:
        return await person_of(repo, f"{system}|{value}")
    found = await crossref(repo, facility.id, value)
    if found is None:
        raise _unknown()
    return found


async def _national(repo: Repository, patient_id: str) -> list[Number]:
    """National numbers of the person and of those merged into it."""
    found: list[Number] = []
    for one in await family(repo, patient_id):
        stored = await repo.read("Patient", one)
        found += [
            (i["system"], i["value"])
            for i in stored.data.get("identifier", [])
            if i.get("system") in NATIONAL_DOMAINS and i.get("value")
        ]
    return found


def _parameters(numbers: list[Number]) -> JsonObject:
    answer: JsonObject = {"resourceType": "Parameters"}
    if numbers:
        answer["parameter"] = [
            {"name": "targetIdentifier", "valueIdentifier": {"system": system, "value": value}}
            for system, value in numbers
        ]
    return answer


def _unknown() -> NotFound:
    return NotFound("exchange.unknown-patient", "Trục liên thông chưa có người bệnh với số định danh này.")
