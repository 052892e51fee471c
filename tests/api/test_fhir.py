"""The FHIR door over HTTP: every interaction, its headers, its refusals."""

from __future__ import annotations

import base64
import json
import logging
from uuid import UUID

import pytest

from benhan.store import Store

from .conftest import Client, Enter, admin_repo

JSON = {"Content-Type": "application/fhir+json"}
PATIENT = {
    "resourceType": "Patient",
    "identifier": [{"system": "urn:benhan:id:cccd", "value": "051099000001"}],
    "name": [{"text": "Nguyễn Thị Sông"}],
    "gender": "female",
    "birthDate": "1999-02-03",
}


async def make(client: Client, facility: str, resource: dict | None = None) -> dict:
    """Create a resource; its representation."""
    body = resource or PATIENT
    answer = await client.post(f"/fhir/{facility}/{body['resourceType']}", json=body)
    assert answer.status_code == 201, answer.text
    made: dict = answer.json()
    return made


def code_in(body: dict) -> str:
    """Our code in an OperationOutcome, whose shape is checked."""
    assert body["resourceType"] == "OperationOutcome"
    assert body["id"]
    issue = body["issue"][0]
    assert issue["severity"] in ("error", "fatal")
    assert issue["details"]["text"]
    return str(issue["details"]["coding"][0]["code"])


async def test_create_read_update_delete_history(doctor: Client, facility: str) -> None:
    """The life of a resource with its headers; a deleted one answers 410 and keeps its history."""
    answer = await doctor.post(f"/fhir/{facility}/Patient", json=PATIENT)
    assert answer.status_code == 201
    made = answer.json()
    base = f"http://node.test/fhir/{facility}"
    assert answer.headers["location"] == f"{base}/Patient/{made['id']}/_history/1"
    assert answer.headers["etag"] == 'W/"1"'
    assert answer.headers["last-modified"].endswith("GMT")
    address = f"/fhir/{facility}/Patient/{made['id']}"
    read = await doctor.get(address)
    assert read.status_code == 200
    assert read.headers["content-type"].startswith("application/fhir+json")
    assert read.json()["name"] == PATIENT["name"]
    assert (await doctor.get(address, headers={"If-None-Match": 'W/"1"'})).status_code == 304
    changed = {**read.json(), "gender": "male"}
    updated = await doctor.put(address, json=changed, headers={"If-Match": 'W/"1"'})
    assert updated.status_code == 200
    assert updated.headers["etag"] == 'W/"2"'
    stale = await doctor.put(address, json=changed, headers={"If-Match": 'W/"1"'})
    assert stale.status_code == 412
    assert (await doctor.get(f"{address}/_history/1")).json()["gender"] == "female"
    history = (await doctor.get(f"{address}/_history")).json()
    assert [e["response"]["etag"] for e in history["entry"]] == ['W/"2"', 'W/"1"']
    page = (await doctor.get(f"{address}/_history?_count=1")).json()
    following = next(x["url"] for x in page["link"] if x["relation"] == "next")
    assert (await doctor.get(following)).json()["entry"][0]["response"]["etag"] == 'W/"1"'
    assert (await doctor.delete(address)).status_code == 403


async def test_delete_by_a_machine_leaves_history(
    store: Store, tenant: UUID, facility: str, doctor: Client
) -> None:
    """After deletion: 410 with an outcome, and the history still tells."""
    made = await make(doctor, facility)
    await admin_repo(store, tenant).delete("Patient", made["id"])
    gone = await doctor.get(f"/fhir/{facility}/Patient/{made['id']}")
    assert gone.status_code == 410
    code_in(gone.json())
    history = (await doctor.get(f"/fhir/{facility}/Patient/{made['id']}/_history")).json()
    assert [e["request"]["method"] for e in history["entry"]] == ["DELETE", "POST"]


async def test_update_with_own_id_creates(doctor: Client, facility: str) -> None:
    """PUT of a client's id creates with 201, then updates with 200; id and type must match the address."""
    address = f"/fhir/{facility}/Patient/nguoi-1"
    assert (await doctor.put(address, json={**PATIENT, "id": "nguoi-1"})).status_code == 201
    assert (await doctor.put(address, json={**PATIENT, "id": "nguoi-1"})).status_code == 200
    assert code_in((await doctor.put(address, json={**PATIENT, "id": "x"})).json()) == "api.id-differs"
    wrong = {"resourceType": "Group", "id": "nguoi-1"}
    assert code_in((await doctor.put(address, json=wrong)).json()) == "api.type-differs"


async def test_conditional_create_and_update(doctor: Client, facility: str) -> None:
    """If-None-Exist finds what is there; PUT by condition updates it; an empty condition is refused."""
    condition = "identifier=urn:benhan:id:cccd|051099000001"
    headers = {"If-None-Exist": condition}
    first = await doctor.post(f"/fhir/{facility}/Patient", json=PATIENT, headers=headers)
    second = await doctor.post(f"/fhir/{facility}/Patient", json=PATIENT, headers=headers)
    assert [first.status_code, second.status_code] == [201, 200]
    assert first.json()["id"] == second.json()["id"]
    changed = {**PATIENT, "gender": "male"}
    updated = await doctor.put(f"/fhir/{facility}/Patient?{condition}", json=changed)
    assert updated.status_code == 200
    assert updated.json()["meta"]["versionId"] == "2"
    assert (await doctor.put(f"/fhir/{facility}/Patient", json=changed)).status_code == 400
    empty = await doctor.post(f"/fhir/{facility}/Patient", json=PATIENT, headers={"If-None-Exist": " "})
    assert empty.status_code == 400


async def test_search_by_address_and_form(doctor: Client, facility: str) -> None:
    """Both ways give the same searchset; unknown parameters are told, or refused when handling is strict."""
    made = await make(doctor, facility)
    by_address = await doctor.get(f"/fhir/{facility}/Patient", params={"birthdate": "1999-02-03"})
    by_form = await doctor.post(
        f"/fhir/{facility}/Patient/_search", data={"identifier": "urn:benhan:id:cccd|051099000001"}
    )
    for answer in (by_address, by_form):
        assert answer.status_code == 200, answer.text
        bundle = answer.json()
        assert bundle["type"] == "searchset"
        assert [e["resource"]["id"] for e in bundle["entry"]] == [made["id"]]
        assert bundle["entry"][0]["search"]["mode"] == "match"
    none = (await doctor.get(f"/fhir/{facility}/Patient?birthdate=1900-01-01")).json()
    assert "entry" not in none
    odd = (await doctor.get(f"/fhir/{facility}/Patient?khong-co=1&birthdate=1999-02-03")).json()
    assert odd["entry"][-1]["search"]["mode"] == "outcome"
    strict = await doctor.get(f"/fhir/{facility}/Patient?khong-co=1", headers={"Prefer": "handling=strict"})
    assert strict.status_code == 400


async def test_search_pages_follow_next(doctor: Client, facility: str) -> None:
    """Three people by twos: the next link leads to the rest, none twice."""
    for n in range(3):
        await make(doctor, facility, {**PATIENT, "identifier": [{"system": "urn:x", "value": str(n)}]})
    page = (await doctor.get(f"/fhir/{facility}/Patient?_count=2&gender=female")).json()
    seen = [e["resource"]["id"] for e in page["entry"]]
    following = [x["url"] for x in page["link"] if x["relation"] == "next"]
    assert len(seen) == 2
    rest = (await doctor.get(following[0])).json()
    seen += [e["resource"]["id"] for e in rest["entry"]]
    assert len(set(seen)) == 3


async def test_transaction_and_batch(doctor: Client, facility: str) -> None:
    """A transaction resolves references between its entries; a failing entry undoes all; a batch goes on."""
    observation = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "Mạch"},
        "subject": {"reference": "urn:uuid:00000000-0000-4000-8000-000000000001"},
    }
    entries = [
        {
            "fullUrl": "urn:uuid:00000000-0000-4000-8000-000000000001",
            "resource": PATIENT,
            "request": {"method": "POST", "url": "Patient"},
        },
        {"resource": observation, "request": {"method": "POST", "url": "Observation"}},
    ]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    done = await doctor.post(f"/fhir/{facility}", json=bundle)
    assert done.status_code == 200, done.text
    assert [e["response"]["status"][:3] for e in done.json()["entry"]] == ["201", "201"]
    found = (await doctor.get(f"/fhir/{facility}/Observation")).json()
    assert found["entry"][0]["resource"]["subject"]["reference"].startswith("Patient/")
    broken = {**observation, "status": "khong-co"}
    failing = {**bundle, "entry": [entries[0], {**entries[1], "resource": broken}]}
    assert (await doctor.post(f"/fhir/{facility}/", json=failing)).status_code in (400, 422)
    assert len((await doctor.get(f"/fhir/{facility}/Patient")).json()["entry"]) == 1
    batch = {**failing, "type": "batch"}
    answered = (await doctor.post(f"/fhir/{facility}", json=batch)).json()
    assert [e["response"]["status"][0] for e in answered["entry"]] == ["2", "4"]


async def test_bundle_that_is_not_served_is_refused(doctor: Client, facility: str) -> None:
    """Foreign addresses, methods and types: 400 that names each entry; in a batch each has its own answer."""
    for kind in ("document", "collection", "searchset", None):
        body = {"resourceType": "Bundle", "type": kind} if kind else {"resourceType": "Bundle"}
        assert (await doctor.post(f"/fhir/{facility}", json=body)).status_code == 400
    entries = [
        {"request": {"method": "GET", "url": url}}
        for url in (
            "http://169.254.169.254/",
            "Patient/../../admin",
            "//x",
            "MessageHeader",
            "Patient/$everything",
        )
    ]
    entries.append({"request": {"method": "TRACE", "url": "Patient/1"}})
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    answer = await doctor.post(f"/fhir/{facility}", json=bundle)
    assert answer.status_code == 400
    assert len(answer.json()["issue"]) == len(entries)
    good = {"resource": PATIENT, "request": {"method": "POST", "url": "Patient"}}
    batch = {**bundle, "type": "batch", "entry": [entries[0], good, *entries[1:]]}
    answered = (await doctor.post(f"/fhir/{facility}", json=batch)).json()
    assert [e["response"]["status"] for e in answered["entry"]] == [
        "400",
        "201",
        *["400"] * (len(entries) - 1),
    ]


async def test_prefer(doctor: Client, facility: str) -> None:
    """minimal: no body; OperationOutcome: an information; representation: the resource."""
    for value, length in (
        ("return=minimal", 0),
        ("return=OperationOutcome", 1),
        ("return=representation", 1),
    ):
        answer = await doctor.post(f"/fhir/{facility}/Patient", json=PATIENT, headers={"Prefer": value})
        assert answer.status_code == 201
        assert bool(answer.content) is bool(length)
        if value.endswith("Outcome"):
            assert answer.json()["issue"][0]["severity"] == "information"


ACCEPTED = [
    ("", "*/*", 200),
    ("", "application/fhir+json; fhirVersion=4.0", 200),
    ("", "application/fhir+xml", 200),
    ("", "text/html", 406),
    ("?_format=json", "text/html", 200),
    ("?_format=application/fhir%2Bjson", "*/*", 200),
    ("?_format=application/fhir+json", "*/*", 200),
    ("?_format=xml", "*/*", 200),
    ("?_format=text/turtle", "*/*", 406),
    ("", "application/fhir+turtle", 406),
    ("?_format=json&_format=xml", "*/*", 406),
]


async def test_only_json_and_xml_are_spoken(doctor: Client, facility: str) -> None:
    """_format wins over Accept; anything but JSON and XML is 406."""
    for query, accept, status in ACCEPTED:
        for path in ("metadata", "Patient"):
            answer = await doctor.get(f"/fhir/{facility}/{path}{query}", headers={"Accept": accept})
            assert answer.status_code == status, (path, query, accept)


OTHER_BODIES: list[dict[str, str]] = [
    {"Content-Type": "text/plain"},
    {"Content-Type": "application/json; charset=utf-16"},
    {"Content-Type": "application/x-www-form-urlencoded"},
    {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    {},
]


async def test_other_bodies_are_415(doctor: Client, facility: str) -> None:
    """Only plain UTF-8 JSON and XML are read."""
    for headers in OTHER_BODIES:
        answer = await doctor.post(f"/fhir/{facility}/Patient", content=json.dumps(PATIENT), headers=headers)
        assert answer.status_code == 415, headers
        assert code_in(answer.json()) == "api.unsupported-body"


async def test_condition_with_an_unknown_parameter_is_refused(doctor: Client, facility: str) -> None:
    """A misspelt condition must not match everybody: neither finds nor overwrites, in a Bundle neither."""
    made = await make(doctor, facility)
    changed = {**PATIENT, "gender": "male"}
    typo = "identifer=urn:benhan:id:cccd|051099000001"
    base = f"/fhir/{facility}"
    entry = {"resource": changed, "request": {"method": "PUT", "url": f"Patient?{typo}"}}
    unless = {"resource": changed, "request": {"method": "POST", "url": "Patient", "ifNoneExist": typo}}
    for answer in (
        await doctor.put(f"{base}/Patient?{typo}", json=changed),
        await doctor.post(f"{base}/Patient", json=changed, headers={"If-None-Exist": typo}),
        await doctor.post(base, json={"resourceType": "Bundle", "type": "transaction", "entry": [entry]}),
        await doctor.post(base, json={"resourceType": "Bundle", "type": "transaction", "entry": [unless]}),
    ):
        assert answer.status_code in (400, 412), answer.text
    assert (await doctor.get(f"{base}/Patient/{made['id']}")).json()["meta"]["versionId"] == "1"


async def test_bodies_beyond_the_limit_are_413(store: Store, doctor: Client, facility: str) -> None:
    """Said length and streamed length are both held to the limit."""
    limit = store.settings.max_body_bytes

    async def endless() -> object:
        for _ in range(limit // 1_000_000 + 2):
            yield b" " * 1_000_000

    told = await doctor.post(
        f"/fhir/{facility}/Patient", content=b"{}", headers={**JSON, "Content-Length": str(limit + 1)}
    )
    streamed = await doctor.post(f"/fhir/{facility}/Patient", content=endless(), headers=JSON)
    assert [told.status_code, streamed.status_code] == [413, 413]
    assert code_in(streamed.json()) == "api.body-too-large"


async def test_every_error_has_the_same_shape(doctor: Client, facility: str) -> None:
    """404 of route, type and id; 405; 400: OperationOutcome, correlation id, security headers."""
    for method, path, status in (
        ("GET", f"/fhir/{facility}/Patient/1/2/3/4", 404),
        ("GET", f"/fhir/{facility}/KhongCo", 404),
        ("GET", f"/fhir/{facility}/MessageHeader", 404),
        ("GET", f"/fhir/{facility}/Patient/khong-co", 404),
        ("GET", f"/fhir/{facility}/Patient/{'x' * 65}", 404),
        ("GET", f"/fhir/{facility}/Patient/%00", 404),
        ("GET", f"/fhir/{facility}/Patient/khong-co/_history", 404),
        ("GET", f"/fhir/{facility}/Patient/khong-co/_history/1", 404),
        ("GET", f"/fhir/{facility}/Patient/khong-co/_history/x", 404),
        ("PATCH", f"/fhir/{facility}/Patient/1", 415),
        ("DELETE", f"/fhir/{facility}/Patient", 400),
        ("POST", f"/fhir/{facility}/metadata", 404),
        ("PATCH", f"/fhir/{facility}/metadata", 404),
        ("PUT", f"/fhir/{facility}", 405),
        ("GET", f"/fhir/{facility}/Patient?birthdate=gt9999-99-99", 400),
        ("GET", f"/fhir/{facility}/Patient?a=%FF", 400),
    ):
        answer = await doctor.request(method, path, headers={"X-Correlation-Id": "kiem-thu-0001"})
        assert answer.status_code == status, (method, path, answer.text)
        code_in(answer.json())
        assert answer.json()["id"] == answer.headers["x-correlation-id"] == "kiem-thu-0001"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["cache-control"] == "no-store"


async def test_hostile_correlation_id_is_replaced(doctor: Client, facility: str) -> None:
    """What is not a plain id is not echoed."""
    answer = await doctor.get(f"/fhir/{facility}/metadata", headers={"X-Correlation-Id": "<script>alert(1)"})
    assert "script" not in answer.headers["x-correlation-id"]


async def test_fault_of_the_program_tells_nothing(
    doctor: Client,
    facility: str,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An unforeseen exception: 500, generic text, correlation id; its message reaches nobody."""

    def broken(*_: object) -> object:
        raise RuntimeError("Nguyễn Thị Sông 051099000001")

    monkeypatch.setattr(store, "repo", broken)
    monkeypatch.setattr("benhan.api.auth.session_ctx", _someone)
    with caplog.at_level(logging.INFO):
        answer = await doctor.get(f"/fhir/{facility}/Patient")
    assert answer.status_code == 500
    assert code_in(answer.json()) == "api.broken"
    assert answer.headers["x-correlation-id"] in answer.text
    assert "Sông" not in answer.text + caplog.text
    assert "RuntimeError" in caplog.text


async def _someone(store: Store, token: str, **_: object) -> object:
    from types import SimpleNamespace

    tenant = (await store.tenants())[0]
    del token
    info = SimpleNamespace(tenant=tenant.id)
    return SimpleNamespace(ctx=info, policy=None, csrf="")


async def test_log_has_route_and_id_but_no_query_or_body(
    doctor: Client, facility: str, caplog: pytest.LogCaptureFixture
) -> None:
    """One line per request with method, route, status and correlation id; nothing personal."""
    with caplog.at_level(logging.DEBUG):
        await doctor.post(f"/fhir/{facility}/Patient", json=PATIENT)
        await doctor.get(f"/fhir/{facility}/Patient?name=S%C3%B4ng&identifier=051099000001")
        await doctor.get(f"/fhir/{facility}/051099000001/x/y/z")
    ours = [r.getMessage() for r in caplog.records if r.name.startswith("benhan")]
    lines = [json.loads(m) for m in ours if m.startswith("{")]
    assert [(x["method"], x["route"], x["status"]) for x in lines if x["event"] == "request"] == [
        ("POST", "/{facility}/{type}", 201),
        ("GET", "/{facility}/{type}", 200),
        ("GET", "", 404),
    ]
    assert all(x["correlation"] for x in lines)
    assert "051099000001" not in " ".join(ours)
    assert "Sông" not in " ".join(ours)


async def test_binary_leaves_as_attachment_only(doctor: Client, facility: str) -> None:
    """HTML in a Binary is never served as HTML; a PDF keeps its type; both are attachments."""
    for kind, served in (("text/html", "application/octet-stream"), ("application/pdf", "application/pdf")):
        content = b"<script>alert(1)</script>"
        body = {
            "resourceType": "Binary",
            "contentType": kind,
            "data": base64.b64encode(content).decode(),
        }
        made = await make(doctor, facility, body)
        address = f"/fhir/{facility}/Binary/{made['id']}"
        raw = await doctor.get(address, headers={"Accept": "text/html"})
        assert raw.status_code == 200
        assert raw.content == content
        assert raw.headers["content-type"] == served
        assert raw.headers["content-disposition"].startswith("attachment")
        assert raw.headers["x-content-type-options"] == "nosniff"
        assert "sandbox" in raw.headers["content-security-policy"]
        as_fhir = await doctor.get(address, headers={"Accept": "text/html, */*"})
        assert as_fhir.headers["content-type"].startswith("application/fhir+json")


async def test_decimals_keep_their_digits(doctor: Client, facility: str) -> None:
    """72.50 comes back as 72.50, from read and from search."""
    body = (
        '{"resourceType":"Observation","status":"final","code":{"text":"Cân nặng"},'
        '"valueQuantity":{"value":72.50,"unit":"kg"}}'
    )
    made = await doctor.post(f"/fhir/{facility}/Observation", content=body.encode(), headers=JSON)
    assert made.status_code == 201, made.text
    assert b'"value":72.50' in (await doctor.get(f"/fhir/{facility}/Observation/{made.json()['id']}")).content
    assert b'"value":72.50' in (await doctor.get(f"/fhir/{facility}/Observation")).content


async def test_cookie_writes_need_the_csrf_token(
    doctor: Client, enter: Enter, tenant: UUID, facility: str
) -> None:
    """Without it, or with another session's, a write is refused; a read needs none."""
    other = await enter(tenant, "bac_si")
    for token in ("", "x", other.headers["x-csrf-token"], "é"):
        answer = await doctor.post(
            f"/fhir/{facility}/Patient", json=PATIENT, headers={"X-CSRF-Token": token.encode()}
        )
        assert answer.status_code == 403
        assert code_in(answer.json()) == "api.csrf"
    read = await doctor.get(f"/fhir/{facility}/Patient", headers={"X-CSRF-Token": ""})
    assert read.status_code == 200


async def test_bearer_without_certificate_is_refused(enter: Enter, facility: str) -> None:
    """A bearer token on a connection without certificate, or another scheme, is nobody."""
    nobody = await enter()
    for value in ("Bearer x", "Bearer " + "0" * 32 + "." + "A" * 43, "Basic YTpi", "Bearer", ""):
        answer = await nobody.get(f"/fhir/{facility}/Patient", headers={"Authorization": value})
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
