"""Every route × every role × own / other facility. A route that is missing here fails the companion test."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
from starlette.routing import Route

from benhan.access import roles
from benhan.api import create_app
from benhan.store import Store

from .conftest import Enter, admin_repo, code_of

#: Letters a role has on Patient (c create, r read, u update, s search), decided here a second time.
PATIENT_RIGHTS = {
    "bac_si": "crus", "truong_khoa": "crus", "y_si": "crus", "dieu_duong": "crus", "ho_sinh": "crus",
    "dieu_duong_truong": "crus", "tiep_don": "crus", "phong_khth": "crus", "ky_thuat_vien": "rs",
    "duoc_si": "rs",
    "thu_ngan": "rs", "lanh_dao": "rs", "quan_ly_chat_luong": "rs", "dinh_duong": "rs", "hoc_vien": "rs",
    "giam_dinh_bhxh": "rs", "cntt": "", "so_y_te": "", "nguoi_benh": "rs",
}  # fmt: skip

NO_JOB = "00000000-0000-7000-8000-000000000000"
#: Roles that may write no type at all.
NO_WRITE = frozenset({"hoc_vien", "quan_ly_chat_luong", "giam_dinh_bhxh", "so_y_te", "nguoi_benh"})
#: route, method → (address, letter needed, "open", "in" (whoever has signed in), "any" (whoever may read
#: anything) or "composition", "export", "import", "group", "machine" (no person), status when allowed)
ROUTES: dict[tuple[str, str], tuple[str, str, int]] = {
    ("/{facility}/metadata", "GET"): ("metadata", "open", 200),
    ("/{facility}/.well-known/smart-configuration", "GET"): (".well-known/smart-configuration", "open", 200),
    ("/{facility}", "POST"): ("", "c", 200),
    ("/{facility}/", "POST"): ("/", "c", 200),
    ("/{facility}/$export", "GET"): ("$export", "export", 202),
    ("/{facility}/Patient/$export", "GET"): ("Patient/$export", "export", 202),
    ("/{facility}/$export", "POST"): ("$export", "export", 202),
    ("/{facility}/Patient/$export", "POST"): ("Patient/$export", "export", 202),
    ("/{facility}/Group/{id}/$export", "GET"): ("Group/g1/$export?_type=Bundle", "group", 202),
    ("/{facility}/Group/{id}/$export", "POST"): ("Group/g1/$export", "group", 202),
    ("/{facility}/$import", "POST"): ("$import", "import", 202),
    ("/{facility}/$bulk/{job}", "GET"): (f"$bulk/{NO_JOB}", "in", 404),
    ("/{facility}/$bulk/{job}", "DELETE"): (f"$bulk/{NO_JOB}", "in", 404),
    ("/{facility}/$bulk/{job}/{number}", "GET"): (f"$bulk/{NO_JOB}/1", "in", 404),
    ("/{facility}/_history", "GET"): ("_history", "any", 200),
    ("/{facility}/{type}/$validate", "POST"): ("Patient/$validate", "in", 200),
    ("/{facility}/{type}/{id}/$validate", "GET"): ("Patient/p1/$validate", "r", 200),
    ("/{facility}/Patient/{id}/$everything", "GET"): ("Patient/p1/$everything", "r", 200),
    ("/{facility}/Composition/{id}/$document", "GET"): ("Composition/c1/$document", "composition", 200),
    ("/{facility}/Patient/$match", "POST"): ("Patient/$match", "s", 200),
    ("/{facility}/{type}/{id}/$meta", "GET"): ("Patient/p1/$meta", "r", 200),
    ("/{facility}/{type}/{id}/$meta-add", "POST"): ("Patient/p1/$meta-add", "u", 200),
    ("/{facility}/{type}/{id}/$meta-delete", "POST"): ("Patient/p1/$meta-delete", "u", 200),
    ("/{facility}/Subscription/$status", "GET"): ("Subscription/$status", "machine", 200),
    ("/{facility}/Subscription/{id}/$status", "GET"): ("Subscription/s1/$status", "machine", 200),
    ("/{facility}/Subscription/{id}/$events", "GET"): ("Subscription/s1/$events", "machine", 200),
    ("/{facility}/ValueSet/$expand", "GET"): ("ValueSet/$expand?url=urn:benhan:tinh/vs", "in", 200),
    ("/{facility}/ValueSet/$expand", "POST"): ("ValueSet/$expand?url=urn:benhan:tinh/vs", "in", 200),
    ("/{facility}/ValueSet/$validate-code", "GET"): (
        "ValueSet/$validate-code?url=urn:benhan:tinh/vs&code=51",
        "in",
        200,
    ),
    ("/{facility}/ValueSet/$validate-code", "POST"): (
        "ValueSet/$validate-code?url=urn:benhan:tinh/vs&code=51",
        "in",
        200,
    ),
    ("/{facility}/CodeSystem/$lookup", "GET"): (
        "CodeSystem/$lookup?system=urn:benhan:tinh&code=51",
        "in",
        200,
    ),
    ("/{facility}/CodeSystem/$lookup", "POST"): (
        "CodeSystem/$lookup?system=urn:benhan:tinh&code=51",
        "in",
        200,
    ),
    ("/{facility}/CodeSystem/$validate-code", "GET"): (
        "CodeSystem/$validate-code?url=urn:benhan:tinh&code=51",
        "in",
        200,
    ),
    ("/{facility}/CodeSystem/$validate-code", "POST"): (
        "CodeSystem/$validate-code?url=urn:benhan:tinh&code=51",
        "in",
        200,
    ),
    ("/{facility}/ConceptMap/$translate", "GET"): ("ConceptMap/$translate?code=21010", "in", 200),
    ("/{facility}/ConceptMap/$translate", "POST"): ("ConceptMap/$translate?code=21010", "in", 200),
    ("/{facility}/{type}/_history", "GET"): ("Patient/_history", "r", 200),
    ("/{facility}/{type}", "PATCH"): ("Patient?identifier=urn:x|1", "u", 200),
    ("/{facility}/{type}", "DELETE"): ("Patient?identifier=urn:x|2", "d", 204),
    ("/{facility}/{type}/{id}", "PATCH"): ("Patient/p1", "u", 200),
    ("/{facility}/{type}", "GET"): ("Patient", "s", 200),
    ("/{facility}/{type}", "POST"): ("Patient", "c", 201),
    ("/{facility}/{type}", "PUT"): ("Patient?identifier=urn:x|1", "u", 200),
    ("/{facility}/{type}/_search", "POST"): ("Patient/_search", "s", 200),
    ("/{facility}/Patient/{id}/{type}", "GET"): ("Patient/p1/Patient", "s", 200),
    ("/{facility}/Patient/{id}/{type}/_search", "POST"): ("Patient/p1/Patient/_search", "s", 200),
    ("/{facility}/{type}/{id}", "GET"): ("Patient/p1", "r", 200),
    ("/{facility}/{type}/{id}", "PUT"): ("Patient/p1", "u", 200),
    ("/{facility}/{type}/{id}", "DELETE"): ("Patient/p1", "d", 204),
    ("/{facility}/{type}/{id}/_history", "GET"): ("Patient/p1/_history", "r", 200),
    ("/{facility}/{type}/{id}/_history/{vid}", "GET"): ("Patient/p1/_history/1", "r", 200),
}
#: Roles that may not read papers.
NO_PAPERS = frozenset({"thu_ngan", "cntt", "so_y_te"})
COMPOSITION = {
    "resourceType": "Composition",
    "id": "c1",
    "status": "final",
    "type": {"text": "Giấy ra viện"},
    "subject": {"reference": "Patient/p1"},
    "date": "2026-11-20",
    "author": [{"display": "Bác sĩ thử nghiệm"}],
    "title": "Giấy ra viện",
}
PATIENT = {
    "resourceType": "Patient",
    "id": "p1",
    "identifier": [{"system": "urn:x", "value": "1"}],
    "name": [{"text": "Phạm Văn Núi"}],
}


def test_table_lists_every_route(store: Store) -> None:
    """A new route or method must be entered with who may use it."""
    served = {
        (route.path, method)
        for route in create_app(store).routes
        if isinstance(route, Route)
        for method in route.methods or ()
        if method != "HEAD"
    }
    assert served == set(ROUTES)
    assert set(PATIENT_RIGHTS) == {r.code for r in roles()}


def body_of(route: str, method: str) -> dict | list | None:
    """A body that the route would accept."""
    if method == "PATCH":
        return []
    if "$meta-" in route:
        tag = {"system": "urn:x", "code": "thu"}
        return {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": {"tag": [tag]}}]}
    if "$match" in route:
        return {"resourceType": "Parameters", "parameter": [{"name": "resource", "resource": PATIENT}]}
    if "/$" in route and "{type}" not in route and method == "POST":
        return {"resourceType": "Parameters"}
    if "$validate" in route:
        return {"resourceType": "Patient"} if method == "POST" else None
    if method == "PUT" or (method == "POST" and route == "/{facility}/{type}"):
        if method == "POST":
            return {"resourceType": "Patient", "name": [{"text": "Người mới"}]}
        return {k: v for k, v in PATIENT.items() if k != "id" or "{id}" in route}
    if method == "POST" and "_search" not in route:
        new = {"resourceType": "Patient", "name": [{"text": "Người mới"}]}
        entry = {"resource": new, "request": {"method": "POST", "url": "Patient"}}
        return {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}
    return None


async def ask(client: object, facility: str, key: tuple[str, str]) -> int:
    """Status of one route."""
    route, method = key
    path = ROUTES[key][0]
    address = f"/fhir/{facility}" + (path if path in ("", "/") else f"/{path}")
    if "_search" in route:
        answer = await client.request(method, address, data={"name": "x"})
    elif "$import" in route:
        headers = {"Content-Type": "application/fhir+ndjson"}
        answer = await client.request(method, address, content=b"", headers=headers)
    else:
        headers = {"Content-Type": "application/json-patch+json"} if method == "PATCH" else {}
        answer = await client.request(method, address, json=body_of(route, method), headers=headers)
    if answer.status_code >= 400:
        assert answer.json()["resourceType"] == "OperationOutcome", (key, answer.text)
    return int(answer.status_code)


async def prepare(store: Store, tenant: UUID) -> None:
    """One person and one paper to be read."""
    await admin_repo(store, tenant).update(PATIENT)
    await admin_repo(store, tenant).update(COMPOSITION)
    await admin_repo(store, tenant).update(
        {"resourceType": "Group", "id": "g1", "type": "person", "actual": True}
    )


@pytest.mark.parametrize("role", sorted(PATIENT_RIGHTS))
async def test_role_at_own_and_other_facility(
    store: Store, tenant: UUID, other_tenant: UUID, enter: Enter, role: str
) -> None:
    """Own facility: as the table says, refusals 403; another facility: as if it were not there."""
    for place in (tenant, other_tenant):
        await prepare(store, place)
    more = {"person": "Patient/p1"} if role == "nguoi_benh" else {}
    client = await enter(tenant, role, **more)
    own, other = await code_of(store, tenant), await code_of(store, other_tenant)
    for key, (_, letter, done) in ROUTES.items():
        allowed = letter in ("open", "in", "any") or letter in PATIENT_RIGHTS[role]
        if letter == "export":
            allowed = role == "phong_khth"
        if letter == "group":
            allowed = role == "phong_khth"
        if letter == "import":
            allowed = role not in NO_WRITE
        if letter == "composition":
            allowed = role not in NO_PAPERS
        if key == ("/{facility}/{type}", "PUT") and "s" not in PATIENT_RIGHTS[role]:
            allowed = False
        got = await ask(client, own, key)
        refused = 404 if (role, letter) == ("nguoi_benh", "group") else 403  # another's looks absent
        assert got == (done if allowed else refused), (role, key, got)
        assert await ask(client, other, key) == (200 if letter == "open" else 404), (role, key)


async def test_nobody_gets_nothing(store: Store, tenant: UUID, enter: Enter) -> None:
    """Without sign-in every closed route answers 401, before anything is said of facility or resource."""
    client = await enter()
    for facility in (await code_of(store, tenant), "KHONG-CO"):
        for key, (_, letter, done) in ROUTES.items():
            expected = (done if facility != "KHONG-CO" else 404) if letter == "open" else 401
            assert await ask(client, facility, key) == expected, key


async def test_unsigned_body_is_not_even_parsed(store: Store, tenant: UUID, enter: Enter) -> None:
    """A hostile body from nobody is answered 401, not by the parser."""
    client = await enter()
    facility = await code_of(store, tenant)
    answer = await client.post(
        f"/fhir/{facility}/Patient", content=b"[" * 100_000, headers={"Content-Type": "application/fhir+json"}
    )
    assert answer.status_code == 401


async def test_patient_sees_only_the_own_compartment(store: Store, tenant: UUID, enter: Enter) -> None:
    """Another person's resources look absent by id, by search, by history, by include and by version."""
    repo = admin_repo(store, tenant)
    await repo.update(PATIENT)
    await repo.update({**PATIENT, "id": "p2", "identifier": [{"system": "urn:x", "value": "2"}]})
    for number in ("1", "2"):
        await repo.update(
            {
                "resourceType": "Observation",
                "id": f"o{number}",
                "status": "final",
                "code": {"text": "Mạch"},
                "subject": {"reference": f"Patient/p{number}"},
            }
        )
    client = await enter(tenant, "nguoi_benh", person="Patient/p1")
    base = f"/fhir/{await code_of(store, tenant)}"
    for path in ("Patient/p2", "Observation/o2", "Patient/p2/_history", "Observation/o2/_history/1"):
        assert (await client.get(f"{base}/{path}")).status_code == 404, path
    for path in ("Patient", "Observation", "Observation?_include=Observation:subject", "Patient?_id=p2"):
        found = (await client.get(f"{base}/{path}")).json()
        ids = {e["resource"]["id"] for e in found.get("entry", [])}
        assert ids <= {"p1", "o1"}, path
    revealed = (await client.get(f"{base}/Patient?_revinclude=Observation:subject")).json()
    assert {e["resource"]["id"] for e in revealed["entry"]} == {"p1", "o1"}
    chained = (await client.get(f"{base}/Observation?subject:Patient.identifier=urn:x|2")).json()
    assert not [e for e in chained.get("entry", []) if e["search"]["mode"] == "match"]


async def test_facility_at_the_hub_sees_own_and_granted_rows_only(
    store: Store, tenant: UUID, other_tenant: UUID
) -> None:
    """By read, version, history, search and include: rows of others look absent until a grant, and after it."""
    import httpx
    from starlette.applications import Starlette
    from starlette.routing import Mount

    from benhan.access import AccessPolicy, grant_access, revoke_grant
    from benhan.api import Caller
    from benhan.store import Actor, Ctx

    repo = admin_repo(store, tenant)
    mine, theirs = UUID(int=11), UUID(int=12)
    for number, custodian in (("1", mine), ("2", theirs)):
        await repo.update({**PATIENT, "id": f"p{number}"}, custodian=custodian)
        body = {"resourceType": "Observation", "id": f"o{number}", "status": "final", "code": {"text": "x"}}
        subject = {"subject": {"reference": f"Patient/p{number}"}}
        await repo.update({**body, **subject}, custodian=custodian)

    async def machine(request: object) -> Caller:
        ctx = Ctx(tenant, Actor("Device/a", "A", "machine"), frozenset({"machine"}), reader=mine)
        return Caller(ctx, AccessPolicy.of_scopes("system/*.rs"))

    app = Starlette(routes=[Mount("/fhir", create_app(store, authenticate=machine))])
    base = f"/fhir/{await code_of(store, tenant)}"
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://hub.test") as http:

        async def seen() -> set[str]:
            out: set[str] = set()
            for path in (
                "Patient?_revinclude=Observation:subject",
                "Observation?_include=Observation:subject",
            ):
                found = (await http.get(f"{base}/{path}")).json()
                out |= {e["resource"]["id"] for e in found.get("entry", [])}
            for kind, number in (
                ("Patient", "p1"),
                ("Patient", "p2"),
                ("Observation", "o1"),
                ("Observation", "o2"),
            ):
                address = f"{base}/{kind}/{number}"
                ways = [address, f"{address}/_history", f"{address}/_history/1"]
                statuses = {(await http.get(way)).status_code for way in ways}
                assert statuses == ({200} if number in out else {404}), (number, statuses)
            return out

        assert await seen() == {"p1", "o1"}
        until = store.clock.now() + timedelta(hours=1)
        grant = await grant_access(repo, "consent", "p2", mine, until, "người bệnh đồng ý")
        assert await seen() == {"p1", "o1", "p2", "o2"}
        await revoke_grant(repo, grant, "rút lại")
        assert await seen() == {"p1", "o1"}
