"""No leak: every type × every interaction × own or another's compartment × own or another facility.

Generated, not written by hand: each served type gets a resource for two patients at one facility and for one patient
at another, all with a secret word inside. Then a patient of the first facility and a doctor of the second go through
every route there is. A secret of another's must not be in any answer.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from tests.fhir.instances import Maker

from benhan.access import AccessPolicy
from benhan.access.policy import OPEN_TYPES
from benhan.api import Caller, create_app
from benhan.api.asking import SERVED
from benhan.base.errors import NotAllowed
from benhan.fhir import RESOURCE_TYPES, patient_of, search_params
from benhan.jobs import run_once
from benhan.store import Actor, Ctx, Repository, Store
from benhan.views import read_view, stream

from .conftest import Client, admin_repo, code_of

OWN, OTHER, FOREIGN = "so-huu", "nguoi-khac", "noi-khac"
ALLERGY = "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical"
TAG = "urn:test:bi-mat"
MINIMAL: dict[str, dict[str, Any]] = {
    "Patient": {"name": [{"text": "A"}]},
    "Observation": {"status": "final", "code": {"text": "x"}, "subject": "?"},
    "Condition": {"subject": "?"},
    "Encounter": {"status": "planned", "class": {"code": "IMP"}, "subject": "?"},
    "EpisodeOfCare": {"status": "active", "patient": "?"},
    "Composition": {"status": "final", "type": {"text": "x"}, "date": "2026", "author": [{"display": "x"}],
                    "title": "x", "subject": "?"},
    "DocumentReference": {"status": "current", "content": [{"attachment": {"url": "urn:x"}}], "subject": "?"},
    "DiagnosticReport": {"status": "final", "code": {"text": "x"}, "subject": "?"},
    "AllergyIntolerance": {"patient": "?", "clinicalStatus": {"coding": [{"code": "active", "system": ALLERGY}]}},
    "MedicationRequest": {"status": "active", "intent": "order", "medicationCodeableConcept": {"text": "x"},
                          "subject": "?"},
    "ServiceRequest": {"status": "active", "intent": "order", "subject": "?"},
    "Procedure": {"status": "completed", "subject": "?"},
    "QuestionnaireResponse": {"status": "completed", "subject": "?"},
    "Coverage": {"status": "active", "beneficiary": "?", "payor": [{"display": "x"}]},
    "Account": {"status": "active", "subject": ["?"]},
    "ChargeItem": {"status": "billable", "code": {"text": "x"}, "subject": "?"},
    "Consent": {"status": "active", "scope": {"text": "x"}, "category": [{"text": "x"}], "patient": "?",
                "policyRule": {"text": "x"}},
    "RelatedPerson": {"patient": "?"},
    "Specimen": {"subject": "?"},
    "Basic": {"code": {"text": "x"}, "subject": "?"},
    "Binary": {"contentType": "text/plain", "securityContext": "?"},
    "List": {"status": "current", "mode": "working", "subject": "?"},
    "Provenance": {"target": ["?"], "recorded": "2026-11-20T00:00:00Z", "agent": [{"who": {"display": "x"}}]},
    "Immunization": {"status": "completed", "vaccineCode": {"text": "x"}, "patient": "?",
                     "occurrenceString": "x"},
    "CarePlan": {"status": "active", "intent": "plan", "subject": "?"},
}  # fmt: skip


def resource(kind: str, mark: str) -> dict[str, Any]:
    """A resource of the patient ``mark`` with the secret of the same name."""
    patient = {"reference": f"Patient/{mark}"}
    body = {k: patient if v == "?" else [patient] if v == ["?"] else v for k, v in MINIMAL[kind].items()}
    meta = {"tag": [{"system": TAG, "code": f"mat-{mark}"}]}
    return {"resourceType": kind, "id": mark, "meta": meta, **body}


async def fill(repo: Repository, mark: str) -> None:
    """One resource of each type for one patient, each with two versions."""
    for kind in MINIMAL:
        made = resource(kind, mark)
        assert kind == "Patient" or patient_of(made) == mark, kind
        await repo.update(made)
        await repo.update(made)


def addresses(kind: str, mark: str) -> Iterator[tuple[str, str]]:
    """Every way to ask for a resource of ``kind`` that belongs to ``mark``."""
    one = f"{kind}/{mark}"
    yield from (
        ("GET", one),
        ("GET", f"{one}/_history/1"),
        ("GET", f"{one}/_history"),
        ("GET", f"{one}/$meta"),
    )
    yield from (("GET", f"{one}/$validate"), ("GET", f"{kind}/_history"), ("GET", kind), ("HEAD", one))
    yield from (("GET", f"{kind}?_id={mark}"), ("GET", f"{kind}?_tag={TAG}|mat-{mark}"))
    yield from (("GET", f"{kind}?_id={mark}&_summary=count"), ("GET", f"{kind}?_id={mark}&_total=accurate"))
    yield from (("PATCH", one), ("DELETE", one), ("PUT", one), ("DELETE", f"{kind}?_id={mark}"))
    yield from (("PATCH", f"{kind}?_id={mark}"), ("PUT", f"{kind}?_id={mark}"), ("POST", f"{kind}/_search"))
    yield from (
        ("GET", f"Patient/{mark}/{kind}?_count=9"),
        ("POST", f"Patient/{mark}/{kind}/_search?_count=9"),
    )
    yield from (
        ("GET", f"{kind}/_history?_since=2000-01-01"),
        ("GET", f"{kind}?_sort=-_lastUpdated&_count=1"),
    )
    yield from (("GET", f"{kind}?_content=mat-{mark}"), ("GET", f"{kind}?_tag:not=x&_elements=meta"))
    yield from (
        ("POST", f"{one}/$meta-add"),
        ("GET", f"{one}?_summary=text"),
        ("GET", f"{one}?_elements=meta"),
    )
    for name, param in search_params(kind).items():
        if param.type == "reference" and "Patient" in param.targets:
            yield "GET", f"{kind}?{name}=Patient/{mark}"
            yield "GET", f"{kind}?{name}:Patient._id={mark}"
            yield "GET", f"{kind}?_include={kind}:{name}"
            yield "GET", f"Patient?_revinclude={kind}:{name}"
            yield "GET", f"Patient?_has:{kind}:{name}:_id={mark}"


ALSO = ("_history", "Patient/{mark}/$everything", "Composition/{mark}/$document")


class Walker:
    """One caller who asks for everything and must not see ``secrets``."""

    def __init__(self, client: Client, facility: str, secrets: tuple[str, ...]) -> None:
        self.client, self.facility, self.secrets = client, facility, secrets
        self.asked = 0

    async def ask(self, method: str, path: str, kind: str, mark: str) -> None:
        """One request; the answer holds no secret, and no number that counts one."""
        headers, body = {}, None
        if method == "PUT":
            made = resource(kind, mark) if kind in MINIMAL else made_of_chance(kind)
            body = json.dumps(made).encode()
            headers["Content-Type"] = "application/fhir+json"
        if path.endswith("$meta-add"):
            tag = {"system": TAG, "code": "them"}
            parameter = [{"name": "meta", "valueMeta": {"tag": [tag]}}]
            body = json.dumps({"resourceType": "Parameters", "parameter": parameter}).encode()
            headers["Content-Type"] = "application/fhir+json"
        elif method == "POST":
            body = f"_id={mark}".encode()
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        if method == "PATCH":
            body = b'[{"op":"test","path":"/id","value":"%s"}]' % mark.encode()
            headers["Content-Type"] = "application/json-patch+json"
        answer = await self.client.request(
            method, f"/fhir/{self.facility}/{path}", headers=headers, content=body
        )
        self.asked += 1
        told = f"{method} {path}: {answer.status_code} {answer.text[:300]}"
        assert answer.status_code < 500, told
        assert not any(f'"mat-{s}"' in answer.text for s in self.secrets), told
        if method in ("PUT", "PATCH", "DELETE") or path.startswith(f"{kind}/{mark}"):
            assert answer.status_code in (403, 404) or "?" in path, told
        if "_id=" in path and answer.status_code == 200 and "_has" not in path and "._id" not in path:
            assert answer.json().get("total", 0) == 0, told

    async def everything(self, kinds: list[str], mark: str) -> None:
        """All routes for all types of one patient."""
        for kind in kinds:
            for method, path in addresses(kind, mark):
                await self.ask(method, path, kind, mark)
        for path in ALSO:
            await self.ask("GET", path.format(mark=mark), "", mark)
        await self.bundles(kinds, mark)

    async def bundles(self, kinds: list[str], mark: str) -> None:
        """Every type as entries of a Bundle; in a batch each entry is refused, or finds nothing."""
        for kind in ("batch", "transaction"):
            for first in range(0, len(kinds), 20):
                asked = [url for k in kinds[first : first + 20] for url in inside(k, mark)]
                entries = [{"request": {"method": "GET", "url": url}} for url in asked]
                bundle = {"resourceType": "Bundle", "type": kind, "entry": entries}
                answer = await self.client.post(f"/fhir/{self.facility}", json=bundle)
                self.asked += len(asked)
                assert answer.status_code < 500, answer.text[:300]
                assert not any(f'"mat-{s}"' in answer.text for s in self.secrets), answer.text[:300]


def inside(kind: str, mark: str) -> tuple[str, ...]:
    """Reads as entries of a Bundle."""
    one = f"{kind}/{mark}"
    return one, f"{one}/_history/1", f"{one}/_history", f"{kind}?_id={mark}", f"{kind}/_history?_count=100"


def client_of(store: Store, tenant: UUID, policy: AccessPolicy) -> Client:
    """A client of one caller."""
    import httpx
    from starlette.applications import Starlette
    from starlette.routing import Mount

    async def somebody(request: object) -> Caller:
        return Caller(Ctx(tenant, Actor("Practitioner/t", "Kiểm thử", "person")), policy)

    app = Starlette(routes=[Mount("/fhir", create_app(store, authenticate=somebody))])
    return Client(transport=httpx.ASGITransport(app=app), base_url="http://node.test")


async def filled(store: Store, tenant: UUID, other: UUID) -> None:
    """Two patients here, one there."""
    await fill(admin_repo(store, tenant), OWN)
    await fill(admin_repo(store, tenant), OTHER)
    await fill(admin_repo(store, other), FOREIGN)


async def walk(store: Store, tenant: UUID, other_tenant: UUID, kinds: list[str]) -> None:
    """Both callers through everything that is not theirs, at both facilities."""
    await filled(store, tenant, other_tenant)
    here, there = await code_of(store, tenant), await code_of(store, other_tenant)
    patient = client_of(store, tenant, AccessPolicy.of_roles(["nguoi_benh"], patient=OWN))
    machine = client_of(store, other_tenant, AccessPolicy.of_scopes("system/*.cruds"))
    async with patient, machine:
        own = await patient.get(f"/fhir/{here}/Patient/{OWN}/$everything?_count=100")
        assert f"mat-{OWN}" in own.text  # the walk is not blind
        assert len(own.json()["entry"]) >= 15
        for client, facility, mark in (
            (patient, here, OTHER),
            (patient, there, FOREIGN),
            (patient, here, FOREIGN),
            (machine, here, OWN),
        ):
            secrets = (OTHER, FOREIGN) if client is patient else (OWN, OTHER)
            walker = Walker(client, facility, secrets)
            await walker.everything(kinds, mark)
            assert walker.asked >= 16 * len(kinds)
    repo = admin_repo(store, tenant)
    for kind in kinds:  # nothing was written on the way
        assert (await repo.read(kind, OTHER)).version == 2


async def test_a_few_types(store: Store, tenant: UUID, other_tenant: UUID) -> None:
    """The types that tell most, on every run."""
    await walk(store, tenant, other_tenant, ["Patient", "Observation", "Composition"])


@pytest.mark.long
async def test_every_type(store: Store, tenant: UUID, other_tenant: UUID) -> None:
    """All types that have a patient here."""
    await walk(store, tenant, other_tenant, sorted(MINIMAL))


def made_of_chance(kind: str) -> dict[str, Any]:
    """A valid resource of any type with a secret, in the compartment of nobody who asks."""
    made = Maker(f"isolation {kind}").resource(kind)
    meta = {"tag": [{"system": TAG, "code": f"mat-{OTHER}"}]}
    return {**made, "id": OTHER, "meta": meta}


async def walk_all(store: Store, tenant: UUID, other_tenant: UUID, kinds: list[str]) -> None:
    """Resources of chance at one facility: a patient there, and a machine of another, find none that is not open."""
    repo = admin_repo(store, tenant)
    await repo.update(resource("Patient", OWN))
    for kind in kinds:
        await repo.update(made_of_chance(kind))
    here, there = await code_of(store, tenant), await code_of(store, other_tenant)
    patient = client_of(store, tenant, AccessPolicy.of_roles(["nguoi_benh"], patient=OWN))
    machine = client_of(store, other_tenant, AccessPolicy.of_scopes("system/*.cruds"))
    async with patient, machine:
        for client, facility, closed in (
            (patient, here, [k for k in kinds if k not in OPEN_TYPES]),
            (machine, here, kinds),
            (machine, there, kinds),
        ):
            walker = Walker(client, facility, (OTHER,))
            for kind in closed:
                for method, path in addresses(kind, OTHER):
                    if (
                        facility == here or method in ("GET", "HEAD") or "_search" in path
                    ):  # there it may write
                        await walker.ask(method, path, kind, OTHER)
            if client is machine:  # a patient's holds the open types
                await walker.ask("GET", "_history?_count=200", "", OTHER)
            await walker.bundles(closed, OTHER)
    for kind in kinds:
        assert (await repo.read(kind, OTHER)).version == 1


async def test_some_types_of_chance(store: Store, tenant: UUID, other_tenant: UUID) -> None:
    """A sample of all served types on every run."""
    await walk_all(store, tenant, other_tenant, sorted(SERVED)[::24])


@pytest.mark.long
async def test_all_served_types(store: Store, tenant: UUID, other_tenant: UUID) -> None:
    """All of them."""
    await walk_all(store, tenant, other_tenant, sorted(SERVED))


async def test_export_gives_only_the_own(store: Store, tenant: UUID, other_tenant: UUID) -> None:
    """The rows of an export are those of the caller's scope and facility."""
    await filled(store, tenant, other_tenant)
    system = AccessPolicy.of_scopes("system/*.rs")
    repo = store.repo(Ctx(tenant, Actor("Device/t", "Kiểm thử", "machine")), system)
    assert [row async for row in repo.export()] == []  # no letter x, no export
    rows = [raw async for _, raw in admin_repo(store, other_tenant).export()]
    assert rows
    assert not any(f"mat-{OWN}".encode() in raw or f"mat-{OTHER}".encode() in raw for raw in rows)


async def lines_of(store: Store, client: Client, facility: str, path: str) -> str:
    """Everything that an export gives; its kick-off must be accepted."""
    asked = await client.get(f"/fhir/{facility}/{path}")
    assert asked.status_code == 202, asked.text
    where = asked.headers["content-location"]
    await run_once(store)
    made = (await client.get(where)).json()
    return "".join([(await client.get(f["url"])).text for f in made["output"]])


async def test_bulk_export_of_a_few_types(store: Store, tenant: UUID, other_tenant: UUID) -> None:
    """By every door, on every run."""
    await export_by_every_door(store, tenant, other_tenant, "?_type=Patient,Observation,Composition")


@pytest.mark.long
async def test_bulk_export_of_all_types(store: Store, tenant: UUID, other_tenant: UUID) -> None:
    """All types."""
    await export_by_every_door(store, tenant, other_tenant, "")


async def export_by_every_door(store: Store, tenant: UUID, other_tenant: UUID, types: str) -> None:
    """System, patients, Group: a machine of another facility gets its own rows, a patient none, nobody another's job."""
    await filled(store, tenant, other_tenant)
    here, there = await code_of(store, tenant), await code_of(store, other_tenant)
    for owner in (tenant, other_tenant):
        member = [{"entity": {"reference": f"Patient/{m}"}} for m in (OWN, OTHER, FOREIGN)]
        group = {"resourceType": "Group", "id": "g", "type": "person", "actual": True, "member": member}
        await admin_repo(store, owner).update(group)
    patient = client_of(store, tenant, AccessPolicy.of_roles(["nguoi_benh"], patient=OWN))
    reader = client_of(store, tenant, AccessPolicy.of_scopes("system/*.cruds"))
    machine = client_of(store, other_tenant, AccessPolicy.of_scopes("system/*.crudsx"))
    ours = client_of(store, tenant, AccessPolicy.of_scopes("system/*.rsx"))
    async with patient, machine, ours, reader:
        for path in (f"$export{types}", f"Patient/$export{types}", f"Group/g/$export{types}"):
            for client in (patient, reader):
                assert (await client.get(f"/fhir/{here}/{path}")).status_code in (403, 404)
            assert (await machine.get(f"/fhir/{here}/{path}")).status_code == 404
            theirs = await lines_of(store, machine, there, path)
            assert f'"mat-{FOREIGN}"' in theirs
            assert not any(f'"mat-{m}"' in theirs for m in (OWN, OTHER))
            mine = await lines_of(store, ours, here, path)
            assert all(f'"mat-{m}"' in mine for m in (OWN, OTHER))
            assert f'"mat-{FOREIGN}"' not in mine


async def test_views_give_only_the_own(store: Store, tenant: UUID, other_tenant: UUID) -> None:
    """A view over each type: rows of the caller's facility; without the right to export, none at all."""
    await filled(store, tenant, other_tenant)
    actor = Actor("Device/t", "Kiểm thử", "machine")
    for kind in sorted(MINIMAL):
        column = {"name": "key", "path": "getResourceKey()"}
        view = read_view(
            {"resource": kind, "status": "active", "name": "v", "select": [{"column": [column]}]}
        )
        for owner, marks in ((tenant, {OWN, OTHER}), (other_tenant, {FOREIGN})):
            allowed = store.repo(Ctx(owner, actor), AccessPolicy.of_scopes(f"system/{kind}.x"))
            found = {str(row[0]).rpartition("/")[2] async for row in stream(allowed, view)}
            assert found == marks, kind
        for policy in (
            AccessPolicy.of_scopes("system/*.cruds"),
            AccessPolicy.of_roles(["nguoi_benh"], patient=OWN),
        ):
            with pytest.raises(NotAllowed):
                _ = [row async for row in stream(store.repo(Ctx(tenant, actor), policy), view)]


def test_policy_is_asked_of_types_without_rights() -> None:
    """Every served type the patient's role does not name is refused: default deny."""
    policy = AccessPolicy.of_roles(["nguoi_benh"], patient=OWN)
    assert {t for t in RESOURCE_TYPES if t not in policy.rights} >= {"AuditEvent", "Task", "Subscription"}
    assert set(MINIMAL) <= SERVED
