"""The CapabilityStatement tells the truth: what it lists works, and nothing else does."""

from __future__ import annotations

from uuid import UUID

from benhan.access import AccessPolicy
from benhan.api import Caller, create_app
from benhan.api.topics import topics
from benhan.base.errors import Conflict
from benhan.fhir import RESOURCE_TYPES, search_params, validate
from benhan.store import Action, Actor, Ctx, Store, SystemPolicy

from .conftest import Client, admin_repo

PATCH = {"Content-Type": "application/json-patch+json"}
META = {
    "resourceType": "Parameters",
    "parameter": [{"name": "meta", "valueMeta": {"tag": [{"system": "urn:x", "code": "a"}]}}],
}
COMPOSITION = {
    "resourceType": "Composition", "status": "final", "type": {"text": "Giấy"}, "title": "Giấy",
    "date": "2026-11-20", "author": [{"display": "A"}],
}  # fmt: skip
BODIES = {
    "Patient": {"resourceType": "Patient", "name": [{"text": "A"}]},
    "Observation": {"resourceType": "Observation", "status": "final", "code": {"text": "x"}},
    "Organization": {"resourceType": "Organization", "name": "Khoa Nội"},
    "Encounter": {"resourceType": "Encounter", "status": "planned", "class": {"code": "IMP"}},
    "Basic": {"resourceType": "Basic", "code": {"text": "x"}},
}


def open_client(store: Store, tenant: UUID) -> Client:
    """A client to whom everything is allowed: refusals can come from the door only."""
    import httpx
    from starlette.applications import Starlette
    from starlette.routing import Mount

    async def anybody(request: object) -> Caller:
        return Caller(Ctx(tenant, Actor("Device/t", "Kiểm thử", "system")), SystemPolicy())

    app = Starlette(routes=[Mount("/fhir", create_app(store, authenticate=anybody))])
    return Client(transport=httpx.ASGITransport(app=app), base_url="http://node.test")


async def test_statement_is_valid_and_lists_what_is_served(store: Store, tenant: UUID, facility: str) -> None:
    """It validates, names FHIR 4.0.1 and JSON, and leaves out the types that are not served."""
    async with open_client(store, tenant) as http:
        statement = (await http.get(f"/fhir/{facility}/metadata")).json()
    validate(statement)
    assert statement["fhirVersion"] == "4.0.1"
    assert statement["implementation"]["url"] == f"http://node.test/fhir/{facility}"
    listed = {r["type"] for r in statement["rest"][0]["resource"]}
    assert listed < RESOURCE_TYPES
    assert {"Patient", "Encounter", "Composition", "Provenance", "Binary"} <= listed
    assert not {"MessageHeader", "Parameters"} & listed
    [one] = [r for r in statement["rest"][0]["resource"] if r["type"] == "Subscription"]
    assert {e["valueCanonical"] for e in one["extension"]} == set(topics())


async def test_each_listed_interaction_works_and_no_other(store: Store, tenant: UUID, facility: str) -> None:
    """Tried one by one for several types; what is not listed is refused."""
    async with open_client(store, tenant) as http:
        base = f"/fhir/{facility}"
        statement = (await http.get(f"{base}/metadata")).json()
        rest = statement["rest"][0]
        by_type = {r["type"]: r for r in rest["resource"]}
        for kind, body in BODIES.items():
            listed = {i["code"] for i in by_type[kind]["interaction"]}
            made = await http.post(f"{base}/{kind}", json=body)
            address = f"{base}/{kind}/{made.json()['id']}"
            changed = {**body, "id": made.json()["id"]}
            works = {
                "create": made.status_code == 201,
                "read": (await http.get(address)).status_code == 200,
                "vread": (await http.get(f"{address}/_history/1")).status_code == 200,
                "update": (await http.put(address, json=changed)).status_code == 200,
                "patch": (await http.patch(address, json=[], headers=PATCH)).status_code == 200,
                "history-instance": (await http.get(f"{address}/_history")).status_code == 200,
                "history-type": (await http.get(f"{base}/{kind}/_history")).status_code == 200,
                "search-type": (await http.get(f"{base}/{kind}")).status_code == 200,
                "delete": (await http.delete(address)).status_code == 204,
            }
            assert {name for name, does in works.items() if does} == listed, kind
            assert by_type[kind]["conditionalCreate"]
            assert by_type[kind]["conditionalUpdate"]
            assert by_type[kind]["conditionalDelete"] == "single"
            assert (await http.delete(f"{base}/{kind}?_id=x")).status_code == 204
            assert by_type[kind]["conditionalRead"] == "full-support"
            last = await http.get(f"{address}/_history/1")
            for name, header in (("ETag", "If-None-Match"), ("Last-Modified", "If-Modified-Since")):
                again = await http.get(f"{address}/_history/1", headers={header: last.headers[name]})
                assert again.status_code == 304, header
        listed = {i["code"] for i in rest["interaction"]}
        works = {
            "transaction": await _bundle(http, base, "transaction"),
            "batch": await _bundle(http, base, "batch"),
            "search-system": (await http.get(base)).status_code < 400,
            "history-system": (await http.get(f"{base}/_history")).status_code < 400,
        }
        assert {name for name, does in works.items() if does} == listed


OPERATIONS = {
    "validate": ("POST", "{type}/$validate", {"resourceType": "{type}"}),
    "meta": ("GET", "{type}/{id}/$meta", None),
    "meta-add": ("POST", "{type}/{id}/$meta-add", META),
    "meta-delete": ("POST", "{type}/{id}/$meta-delete", META),
    "everything": ("GET", "Patient/{id}/$everything", None),
    "match": (
        "POST",
        "Patient/$match",
        {
            "resourceType": "Parameters",
            "parameter": [{"name": "resource", "resource": {"resourceType": "Patient"}}],
        },
    ),
    "document": ("GET", "Composition/{id}/$document", None),
    "export": ("GET", "Patient/$export", None),
    "expand": ("GET", "ValueSet/$expand?url=urn:benhan:tinh/vs", None),
    "lookup": ("GET", "CodeSystem/$lookup?system=urn:benhan:tinh&code=51", None),
    "validate-code": ("GET", "{type}/$validate-code?url={url}&code=51", None),
    "translate": ("GET", "ConceptMap/$translate?code=21010", None),
}


async def test_each_listed_operation_works(store: Store, tenant: UUID, facility: str) -> None:
    """Whatever operation the statement names, on the system or a type, answers."""
    repo = admin_repo(store, tenant)
    bodies = {**BODIES, "Composition": COMPOSITION}
    for kind in ("Patient", "Composition", "Basic"):
        await repo.update({**bodies[kind], "id": "x1"})
    async with open_client(store, tenant) as http:
        base = f"/fhir/{facility}"
        rest = (await http.get(f"{base}/metadata")).json()["rest"][0]
        assert [o["name"] for o in rest["operation"]] == ["export"]
        assert (await http.get(f"{base}/$export")).status_code == 202
        tried = set()
        for resource in rest["resource"]:
            kind = resource["type"]
            for operation in resource["operation"]:
                name = operation["name"]
                if kind not in bodies and name in ("meta", "meta-add", "meta-delete", "validate"):
                    continue
                if kind == "Subscription":  # tests/api/test_subscriptions.py
                    continue
                if kind not in ("Patient", "Composition", "Basic") and "{id}" in OPERATIONS[name][1]:
                    continue
                method, path, body = OPERATIONS[name]
                url = "urn:benhan:tinh" + ("/vs" if kind == "ValueSet" else "")
                sent = (
                    None if body is None else {**body, "resourceType": body["resourceType"].format(type=kind)}
                )
                answer = await http.request(
                    method, f"{base}/{path.format(type=kind, id='x1', url=url)}", json=sent
                )
                assert answer.status_code in (200, 202), (kind, name, answer.text)
                tried.add(name)
        assert tried == set(OPERATIONS)


async def test_a_closed_record_refuses_every_way_to_write(store_factory: object) -> None:
    """The store's guard is asked by update, patch, delete, meta, conditional and Bundle writes alike."""

    async def closed(tx: object, ctx: Ctx, action: Action, new: dict | None, old: dict | None) -> None:
        if old is not None:
            raise Conflict("test.closed", "Hồ sơ đã đóng.")

    store: Store = await store_factory(guards=(closed,))  # type: ignore[operator]
    tenant = await store.create_tenant("facility", "51Z01", "Thử nghiệm")
    await admin_repo(store, tenant).update({**BODIES["Patient"], "id": "x1"})
    patch = {"resourceType": "Binary", "contentType": "application/json-patch+json", "data": "W10="}
    batch = [
        {"resource": {**BODIES["Patient"], "id": "x1"}, "request": {"method": "PUT", "url": "Patient/x1"}},
        {"resource": patch, "request": {"method": "PATCH", "url": "Patient/x1"}},
        {"request": {"method": "DELETE", "url": "Patient?_id=x1"}},
    ]
    async with open_client(store, tenant) as http:
        base = "/fhir/51Z01"
        for answer in (
            await http.put(f"{base}/Patient/x1", json={**BODIES["Patient"], "id": "x1"}),
            await http.put(f"{base}/Patient?_id=x1", json=BODIES["Patient"]),
            await http.patch(f"{base}/Patient/x1", json=[], headers=PATCH),
            await http.patch(f"{base}/Patient?_id=x1", json=[], headers=PATCH),
            await http.delete(f"{base}/Patient/x1"),
            await http.delete(f"{base}/Patient?_id=x1"),
            await http.post(f"{base}/Patient/x1/$meta-add", json=META),
        ):
            assert answer.status_code == 409, answer.text
            assert "test.closed" in answer.text
        bundle = {"resourceType": "Bundle", "type": "batch", "entry": batch}
        answered = (await http.post(base, json=bundle)).json()["entry"]
        assert [e["response"]["status"] for e in answered] == ["409"] * 3
    assert (await admin_repo(store, tenant).read("Patient", "x1")).version == 1


async def _bundle(http: Client, base: str, kind: str) -> bool:
    return (
        await http.post(base, json={"resourceType": "Bundle", "type": kind, "entry": []})
    ).status_code == 200


async def test_listed_search_parameters_are_understood(store: Store, tenant: UUID, facility: str) -> None:
    """No listed parameter of the story's types is ignored or refused; unlisted ones are ignored and told."""
    values = {"token": "x", "string": "x", "reference": "Patient/x", "date": "2026", "number": "1",
              "uri": "urn:x", "special": "x",
              "quantity": "1"}  # fmt: skip
    async with open_client(store, tenant) as http:
        base = f"/fhir/{facility}"
        statement = (await http.get(f"{base}/metadata")).json()
        for resource in statement["rest"][0]["resource"]:
            kind = resource["type"]
            if kind not in (
                "Patient",
                "Encounter",
                "Observation",
                "Composition",
                "DocumentReference",
                "Task",
            ):
                continue
            listed = {p["name"]: p["type"] for p in resource["searchParam"]}
            for name, type_ in listed.items():
                parts = [values[c.type] for c in search_params(kind)[name].components]
                asked = "$".join(parts) if type_ == "composite" else values[type_]
                answer = await http.get(f"{base}/{kind}", params={name: asked})
                assert answer.status_code == 200, (kind, name, answer.text)
                assert "entry" not in answer.json(), (kind, name)
            for name in set(search_params(kind)) - set(listed):
                answer = await http.get(
                    f"{base}/{kind}", params={name: "x"}, headers={"Prefer": "handling=strict"}
                )
                assert answer.status_code >= 400, (kind, name)


async def test_listed_includes_are_understood(store: Store, tenant: UUID, facility: str) -> None:
    """Each listed _include and _revinclude of the story's types is taken; one that is not listed is refused."""
    async with open_client(store, tenant) as http:
        base = f"/fhir/{facility}"
        statement = (await http.get(f"{base}/metadata")).json()
        for resource in statement["rest"][0]["resource"]:
            kind = resource["type"]
            if kind not in ("Patient", "Encounter", "Observation"):
                continue
            for name, listed in (("_include", "searchInclude"), ("_revinclude", "searchRevInclude")):
                for first in range(0, len(resource[listed]), 40):
                    asked = [(name, one) for one in resource[listed][first : first + 40]]
                    answer = await http.get(f"{base}/{kind}", params=asked)
                    assert answer.status_code == 200, (kind, answer.text)
                strange = await http.get(f"{base}/{kind}", params={name: f"{kind}:status"})
                assert strange.status_code == 400, (kind, name)


def test_policy_of_the_tests_is_a_policy() -> None:
    """The shipped policy denies by default; only these tests open everything."""
    assert AccessPolicy().rights == {}
