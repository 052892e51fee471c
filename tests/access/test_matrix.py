"""The generated matrix of who sees what: role × facility × relation × kind × sensitivity × path, with its own oracle.

No leak on any path: nothing of a hidden row, not even its count; and what may be seen is seen.

Nothing of the program's decision is used to say what is right: the rules are written again here, from the law's words.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

import pytest

from benhan.access import (
    AccessPolicy,
    break_glass,
    grant_access,
    open_reviews,
    permissions,
    revoke_grant,
    roles,
    sensitivity_guard,
)
from benhan.base.clock import FrozenClock
from benhan.base.errors import BenhanError
from benhan.store import (
    Action,
    Actor,
    Ctx,
    EverythingAsked,
    ExportAsked,
    HistoryAsked,
    Repository,
    Store,
    SystemPolicy,
    everything,
    export_page,
)

NOW = datetime(2026, 11, 22, 1, 0, tzinfo=UTC)
SPACE = UUID("7a8f0a1e-0c52-4a3a-9d0e-5b2f6f1f0001")
ME = uuid5(SPACE, "account")
KHOA = "K01"
SENSITIVITY = ("none", "hiv", "tam-than")
KINDS = (
    "Condition",
    "Observation",
    "DocumentReference",
    "QuestionnaireResponse",
    "MedicationRequest",
    "Composition",
)
#: how the caller stands to the patient; each has a patient of its own
IN_HOUSE = (
    "stranger", "treats-now", "treated-10-days-ago", "treated-60-days-ago", "other-khoa-treats", "writer",
    "break-glass", "break-glass-over", "consent-hiv", "consent-plain", "consent-hiv-research", "grant-revoked",
)  # fmt: skip
BETWEEN = (
    "stranger", "custodian", "referral", "consent-plain", "consent-hiv", "consent-hiv-research", "break-glass",
    "break-glass-over", "grant-revoked",
)  # fmt: skip
OPENS_ALL = frozenset({"treats-now", "treated-10-days-ago", "writer", "break-glass", "custodian"})
ENTERS = frozenset({"custodian", "referral", "consent-plain", "consent-hiv", "break-glass"})


@dataclass(frozen=True, slots=True)
class Case:
    """One combination."""

    facility: str
    role: str
    relation: str
    kind: str
    sensitivity: str
    path: str


def cases() -> list[Case]:
    """Every combination."""
    house = [
        Case("own", *c)
        for c in itertools.product(
            [r.code for r in roles() if r.kind != "patient"], IN_HOUSE, KINDS, SENSITIVITY, PATHS
        )
    ]
    hub = [
        Case("other", *c)
        for c in itertools.product(["machine", "hub-door"], BETWEEN, KINDS, SENSITIVITY, PATHS)
    ]
    return house + hub


def id_of(facility: str, relation: str, *more: str) -> str:
    """Id of a resource of the world."""
    return str(uuid5(SPACE, "|".join([facility, relation, *more])))


def expected(case: Case) -> bool:
    """Whether the row itself may be seen, by the rules alone (rights to types are asked beside)."""
    if case.facility == "other":
        if case.relation not in ENTERS:
            return False
    else:
        held = permissions()["sensitive.read"].roles.get(case.role, "none")
        if held == "facility":
            return True
        if case.relation in ("treats-now", "treated-10-days-ago") and held != "khoa":
            return case.sensitivity == "none"
    if case.sensitivity == "none" or case.relation in OPENS_ALL:
        return True
    return case.relation == "consent-hiv" and case.sensitivity == "hiv"


def _resource(case_kind: str, patient: str, resource_id: str, sensitivity: str) -> dict:
    subject = {"reference": f"Patient/{patient}"}
    label = {"security": [{"system": "urn:benhan:nhom-nhay-cam", "code": sensitivity}]}
    icd = {"none": "K35.8", "hiv": "B20.1", "tam-than": "F20.0"}[sensitivity]
    loinc = "68961-2" if sensitivity == "hiv" else "718-7"
    base: dict = {"resourceType": case_kind, "id": resource_id}
    if (
        sensitivity != "none"
        and case_kind not in ("Condition",)
        and not (case_kind == "Observation" and sensitivity == "hiv")
    ):
        base["meta"] = label
    more: dict = {
        "Condition": {"subject": subject, "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10", "code": icd}]}},
        "Observation": {
            "status": "final", "subject": subject, "code": {"coding": [{"system": "http://loinc.org", "code": loinc}]},
        },
        "DocumentReference": {
            "status": "current", "subject": subject, "masterIdentifier": {"value": f"urn:uuid:{resource_id}"},
            "content": [{"attachment": {"contentType": "application/pdf", "url": f"Binary/{resource_id}"}}],
        },
        "QuestionnaireResponse": {"status": "completed", "subject": subject, "questionnaire": "urn:benhan:mau:01-BV1|1"},
        "MedicationRequest": {
            "status": "active", "intent": "order", "subject": subject, "medicationCodeableConcept": {"text": "thuốc"},
        },
        "Composition": {
            "status": "final", "type": {"text": "giấy"}, "subject": subject, "date": "2026-11-01",
            "author": [{"display": "BS"}], "title": "Giấy",
        },
    }[case_kind]  # fmt: skip
    return {**base, **more}


async def build(store: Store) -> tuple[UUID, UUID, UUID]:
    """The world: a facility, a hub, and the facility that asks there. The store's clock stands at `NOW`."""
    store.clock = FrozenClock(NOW)
    store.guard_with(sensitivity_guard)
    own = await store.create_tenant("facility", "51Z01", "Cơ sở thử")
    hub = await store.create_tenant("hub", "QNG-HUB", "Trục thử")
    asks = await store.create_tenant("facility", "51Z02", "Cơ sở hỏi")
    for facility, tenant, relations in (("own", own, IN_HOUSE), ("other", hub, BETWEEN)):
        grantee = ME if facility == "own" else asks
        for relation in relations:
            await _person(
                store, tenant, facility, relation, grantee, asks if relation == "custodian" else own
            )
    return own, hub, asks


async def _person(
    store: Store, tenant: UUID, facility: str, relation: str, grantee: UUID, custodian: UUID
) -> None:
    system = store.system_repo(tenant)
    patient = id_of(facility, relation)
    keeper = custodian if facility == "other" else None
    async with system.transaction() as tx:
        await tx.update(
            {"resourceType": "Patient", "id": patient, "name": [{"text": "AN"}]}, custodian=keeper
        )
        await _stay(tx, patient, relation)
    writer = replace(system.ctx, sight=ME if relation == "writer" else None)
    for kind, sensitivity in itertools.product(KINDS, SENSITIVITY):
        made = id_of(facility, relation, kind, sensitivity)
        resource = _resource(kind, patient, made, sensitivity)
        await store.repo(writer, SystemPolicy()).update(resource, custodian=keeper)
        task = {
            "resourceType": "Task", "id": id_of(facility, relation, kind, sensitivity, "task"), "status": "requested",
            "intent": "order", "for": {"reference": f"Patient/{patient}"}, "focus": {"reference": f"{kind}/{made}"},
        }  # fmt: skip
        await system.update(task, custodian=keeper)
    await _grants(store, system, patient, relation, grantee)


async def _stay(tx: Repository, patient: str, relation: str) -> None:
    start, end, khoa = {
        "treats-now": (5, None, KHOA),
        "treated-10-days-ago": (20, 10, KHOA),
        "treated-60-days-ago": (90, 60, KHOA),
        "other-khoa-treats": (5, None, "K02"),
    }.get(relation, (0, None, ""))
    if not khoa:
        return
    period = {"start": (NOW - timedelta(days=start)).isoformat()}
    if end is not None:
        period["end"] = (NOW - timedelta(days=end)).isoformat()
    await tx.create(
        {
            "resourceType": "Encounter", "status": "in-progress", "class": {"code": "IMP"},
            "serviceType": {"coding": [{"system": "urn:benhan:ma-khoa", "code": khoa}]},
            "subject": {"reference": f"Patient/{patient}"}, "period": period,
        }
    )  # fmt: skip


async def _grants(store: Store, repo: Repository, patient: str, relation: str, grantee: UUID) -> None:
    soon, why = NOW + timedelta(hours=1), "Lý do đủ dài để ghi lại"
    if relation.startswith("break-glass"):
        if relation.endswith("over"):
            store.clock = FrozenClock(NOW - timedelta(days=2))
        await break_glass(repo, patient, grantee, why)
        store.clock = FrozenClock(NOW)
    elif relation == "grant-revoked":
        await revoke_grant(
            repo, await grant_access(repo, "consent", patient, grantee, soon, why, groups=["hiv"]), why
        )
    elif relation == "referral":
        await grant_access(repo, "referral", patient, grantee, soon, why, purposes=["TREAT"])
    elif relation.startswith("consent"):
        groups = [] if relation == "consent-plain" else ["hiv"]
        purpose = "HRESCH" if relation.endswith("research") else "TREAT"
        await grant_access(repo, "consent", patient, grantee, soon, why, groups=groups, purposes=[purpose])


@dataclass(frozen=True, slots=True)
class World:
    """What `build` made."""

    store: Store
    own: UUID
    hub: UUID
    asks: UUID

    def caller(self, case: Case) -> Repository:
        """The repository of a case's caller."""
        if case.facility == "other":
            machine = Actor("Device/his", "HIS", "machine")
            ctx = Ctx(
                self.hub, machine, frozenset({"machine"}), reader=self.asks, sight=uuid5(SPACE, "machine")
            )
            return self.store.repo(ctx, AccessPolicy.of_scopes("system/*.rsx"))
        held = permissions()["sensitive.read"].roles.get(case.role, "none")
        khoa = frozenset({KHOA}) if held == "khoa" else frozenset()
        actor = Actor("Practitioner/toi", "Tôi", "person", ME)
        sight = None if held == "facility" else ME
        ctx = Ctx(self.own, actor, frozenset({case.role}), sight=sight, khoa=khoa)
        return self.store.repo(ctx, AccessPolicy.of_roles([case.role]))


async def sees(world: World, case: Case) -> tuple[bool, bool]:
    """``(seen, right)``: what the path gave, and what it should have given by rules and rights to types."""
    repo = world.caller(case)
    may = expected(case) and _rights(repo, case)
    try:
        return await PATHS[case.path](repo, case), may
    except BenhanError:
        return False, may


_ACTIONS = {
    "read": Action.READ, "vread": Action.VREAD, "history": Action.HISTORY, "history-type": Action.HISTORY,
    "count": Action.COUNT, "export": Action.EXPORT, "bulk": Action.EXPORT,
}  # fmt: skip


def _rights(repo: Repository, case: Case) -> bool:
    def held(action: Action, kind: str) -> bool:
        return repo.policy.scope(repo.ctx, action, kind).kind == "all"

    own = held(_ACTIONS.get(case.path, Action.SEARCH), case.kind)
    if case.path in ("include", "chain"):
        own = (
            own and held(Action.SEARCH, "Task") and (case.path == "chain" or held(Action.INCLUDE, case.kind))
        )
    if case.path in ("has", "revinclude", "everything"):
        own = own and held(Action.SEARCH, "Patient") and held(Action.READ, "Patient")
        own = own and (case.path != "revinclude" or held(Action.INCLUDE, case.kind))
    return own


def _ids(case: Case) -> tuple[str, str, str]:
    return (
        id_of(case.facility, case.relation, case.kind, case.sensitivity),
        id_of(case.facility, case.relation),
        id_of(case.facility, case.relation, case.kind, case.sensitivity, "task"),
    )


async def _read(repo: Repository, case: Case) -> bool:
    return (await repo.read(case.kind, _ids(case)[0])).id == _ids(case)[0]


async def _vread(repo: Repository, case: Case) -> bool:
    return (await repo.vread(case.kind, _ids(case)[0], 1)).id == _ids(case)[0]


async def _history(repo: Repository, case: Case) -> bool:
    return bool(await repo.history(case.kind, _ids(case)[0]))


async def _history_type(repo: Repository, case: Case) -> bool:
    page = await repo.history_page(HistoryAsked(case.kind, count=1000))
    return _ids(case)[0] in {e.id for e in page.entries}


async def _search(repo: Repository, case: Case) -> bool:
    page = await repo.search(case.kind, [("subject", f"Patient/{_ids(case)[1]}"), ("_total", "accurate")])
    assert page.total == len(page.entries), "the total counts what is hidden"
    return _ids(case)[0] in {e.id for e in page.entries}


async def _count(repo: Repository, case: Case) -> bool:
    return await repo.count(case.kind, [("_id", _ids(case)[0])]) == 1


async def _summary_count(repo: Repository, case: Case) -> bool:
    page = await repo.search(case.kind, [("_id", _ids(case)[0]), ("_summary", "count")])
    return page.total == 1


async def _include(repo: Repository, case: Case) -> bool:
    page = await repo.search("Task", [("_id", _ids(case)[2]), ("_include", "Task:focus")])
    return _ids(case)[0] in {e.id for e in page.included}


async def _revinclude(repo: Repository, case: Case) -> bool:
    page = await repo.search("Patient", [("_id", _ids(case)[1]), ("_revinclude", f"{case.kind}:subject")])
    return _ids(case)[0] in {e.id for e in page.included}


async def _chain(repo: Repository, case: Case) -> bool:
    return await repo.count("Task", [(f"focus:{case.kind}._id", _ids(case)[0])]) == 1


async def _has(repo: Repository, case: Case) -> bool:
    return await repo.count("Patient", [(f"_has:{case.kind}:subject:_id", _ids(case)[0])]) == 1


async def _everything(repo: Repository, case: Case) -> bool:
    page = await everything(repo, EverythingAsked(_ids(case)[1], count=500))
    return _ids(case)[0] in {e.id for e in [*page.entries, *page.included]}


async def _export(repo: Repository, case: Case) -> bool:
    wanted = _ids(case)[0].encode()
    return any([wanted in raw async for _, raw in repo.export((case.kind,))])


async def _bulk(repo: Repository, case: Case) -> bool:
    rows, _ = await export_page(repo, ExportAsked(case.kind, limit=1000))
    return _ids(case)[0] in {row if isinstance(row, str) else row.id for row in rows}


Path = Callable[[Repository, Case], Awaitable[bool]]
PATHS: dict[str, Path] = {
    "read": _read, "vread": _vread, "history": _history, "history-type": _history_type, "search": _search,
    "count": _count, "summary-count": _summary_count, "include": _include, "revinclude": _revinclude,
    "chain": _chain, "has": _has, "everything": _everything, "export": _export, "bulk": _bulk,
}  # fmt: skip


SAMPLE, SEED = 300, 20261123


async def _judge(world: World, chosen: list) -> None:
    wrong = []
    for case in chosen:
        seen, right = await sees(world, case)
        if seen is not right:
            wrong.append((case, f"seen {seen}, right {right}"))
    assert not wrong, (len(wrong), wrong[:12])


async def test_a_sample_of_the_matrix(store: Store) -> None:
    """Seeded sample of every combination; a break-glass is on the review list and in the patient's trail."""
    world = World(store, *await build(store))
    await _judge(world, random.Random(SEED).sample(cases(), SAMPLE))
    for facility, tenant in (("own", world.own), ("other", world.hub)):
        patients = {id_of(facility, r) for r in ("break-glass", "break-glass-over")}
        repo = store.system_repo(tenant)
        assert {r.patient_id for r in await open_reviews(repo)} == patients
        for patient in patients:
            rows = await repo.audit_of_patient(patient, limit=1000)
            assert any(r.action == "break-glass" and r.detail and r.detail["reason"] for r in rows)


@pytest.mark.long
async def test_the_whole_matrix(store: Store) -> None:
    """Every combination; prints how many."""
    world = World(store, *await build(store))
    every = cases()
    await _judge(world, every)
    print(f"matrix: {len(every)} combinations, account {ME}, no leak")  # noqa: T201 - the figure to report
