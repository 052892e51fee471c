"""Conditions, compartments and entries of Bundles that the address alone decides: over HTTP, as a client meets them."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from benhan.fhir import validate
from benhan.store import Store

from .conftest import Client
from .test_capability import open_client
from .test_fhir import PATIENT, code_in, make

ABSENT = {"If-None-Match": "*"}


def bundle(kind: str, *entries: dict[str, Any]) -> dict[str, Any]:
    """A Bundle of entries; each is its request and, under ``resource``, what it carries."""
    listed = []
    for entry in entries:
        request = {k: v for k, v in entry.items() if k != "resource"}
        listed.append(
            {"request": request, **({"resource": entry["resource"]} if "resource" in entry else {})}
        )
    return {"resourceType": "Bundle", "type": kind, "entry": listed}


async def test_put_of_what_must_be_new(store: Store, tenant: UUID, facility: str, doctor: Client) -> None:
    """``If-None-Match: *``: 201 when there is none, 412 when there is one, 201 again after a deletion."""
    address = f"/fhir/{facility}/Patient/moi"
    person = {**PATIENT, "id": "moi"}
    assert (await doctor.put(address, json=person, headers=ABSENT)).status_code == 201
    again = await doctor.put(address, json=person, headers=ABSENT)
    assert (again.status_code, code_in(again.json())) == (412, "store.exists-already")
    assert (await doctor.put(address, json=person, headers={"If-None-Match": 'W/"1"'})).status_code == 400
    assert (await doctor.put(address, json=person)).status_code == 200
    async with open_client(store, tenant) as http:
        assert (await http.delete(address)).status_code == 204
    assert (await doctor.put(address, json=person, headers=ABSENT)).status_code == 201


async def test_conditional_update_with_a_version(doctor: Client, facility: str) -> None:
    """``If-Match`` counts for an update by condition too."""
    await make(doctor, facility)
    by = f"/fhir/{facility}/Patient?identifier=urn:benhan:id:cccd|051099000001"
    for version, status in ((2, 412), (1, 200), (1, 412), (2, 200)):
        answer = await doctor.put(by, json=PATIENT, headers={"If-Match": f'W/"{version}"'})
        assert answer.status_code == status, version


async def test_history_and_conditions_inside_a_bundle(doctor: Client, facility: str) -> None:
    """History of one, a type, all; 304; HEAD without body; ifNoneMatch on PUT; addresses inside are full."""
    made = await make(doctor, facility)
    one = f"Patient/{made['id']}"
    base = f"http://node.test/fhir/{facility}"
    new = {**PATIENT, "id": "moi"}
    for kind in ("transaction", "batch"):
        sent = bundle(
            kind,
            {"method": "GET", "url": f"{one}/_history"},
            {"method": "PUT", "url": one, "resource": {**PATIENT, "id": made["id"]}},
            {"method": "GET", "url": "Patient/_history?_count=1"},
            {"method": "GET", "url": "_history?_count=2"},
            {"method": "GET", "url": "Patient?_id=" + made["id"]},
            {"method": "HEAD", "url": one},
            {"method": "GET", "url": f"{one}/_history/1", "ifNoneMatch": 'W/"1"'},
            {"method": "GET", "url": f"{one}/_history/1", "ifNoneMatch": 'W/"9"'},
            {"method": "GET", "url": f"{one}/_history/1", "ifModifiedSince": "Fri, 01 Jan 2100 00:00:00 GMT"},
            {"method": "PUT", "url": "Patient/moi-" + kind, "ifNoneMatch": "*",
             "resource": {**new, "id": "moi-" + kind}},
        )  # fmt: skip
        answer = await doctor.post(f"/fhir/{facility}", json=sent)
        assert answer.status_code == 200, answer.text
        got = answer.json()
        validate(got)
        entries = got["entry"]
        assert [e["response"]["status"][:3] for e in entries] == [
            "200", "200", "200", "200", "200", "200", "304", "200", "304", "201",
        ]  # fmt: skip
        versions = [e["response"]["etag"] for e in entries[0]["resource"]["entry"]]
        # in a transaction reads come after writes (R4 3.1.0.11.2); in the batch, which comes second, in the order given
        assert versions == ['W/"2"', 'W/"1"']
        assert [len(e["resource"]["entry"]) for e in entries[2:4]] == [1, 2]
        assert entries[4]["resource"]["entry"][0]["fullUrl"] == f"{base}/{one}"
        assert not any("resource" in e for e in (entries[5], entries[6], entries[8]))
    again = bundle("transaction", {"method": "PUT", "url": "Patient/moi-batch", "ifNoneMatch": "*", "resource": {
        **new, "id": "moi-batch"}}, {"method": "POST", "url": "Patient", "resource": PATIENT})  # fmt: skip
    assert (await doctor.post(f"/fhir/{facility}", json=again)).status_code == 412
    again["type"] = "batch"
    each = (await doctor.post(f"/fhir/{facility}", json=again)).json()["entry"]
    assert [e["response"]["status"][:3] for e in each] == ["412", "201"]
    for bad in (
        {"method": "PUT", "url": "Patient/x", "ifNoneMatch": 'W/"1"', "resource": {**PATIENT, "id": "x"}},
        {"method": "POST", "url": "Patient/_history", "resource": PATIENT},
        {"method": "GET", "url": "MessageHeader/_history"},
        {"method": "GET", "url": "Patient/_history/_history"},
        {"method": "GET", "url": "_history/1"},
    ):
        answer = await doctor.post(f"/fhir/{facility}", json=bundle("transaction", bad))
        assert (answer.status_code, code_in(answer.json())) == (400, "api.bad-bundle"), bad
    missing = bundle("batch", {"method": "GET", "url": "Patient/khong-co/_history"})
    [one_entry] = (await doctor.post(f"/fhir/{facility}", json=missing)).json()["entry"]
    assert one_entry["response"]["status"] == "404"


async def test_a_form_may_say_how_to_answer(doctor: Client, facility: str) -> None:
    """``_format``, ``_elements``, ``_summary`` and ``_pretty`` in the body of a search count as in the address."""
    await make(doctor, facility)
    address = f"/fhir/{facility}/Patient/_search"
    part = (await doctor.post(address, data={"name": "nguyen", "_elements": "gender"})).json()["entry"][0][
        "resource"
    ]
    assert part["gender"] == "female"
    assert "birthDate" not in part
    count = (await doctor.post(address, data={"_summary": "count"})).json()
    assert (count["total"], "entry" in count) == (1, False)
    xml = await doctor.post(address, data={"_format": "xml", "name": "nguyen"})
    assert xml.headers["content-type"].startswith("application/fhir+xml")
    assert (await doctor.post(address, data={"_format": "csv"})).status_code == 406


async def test_search_in_the_compartment_of_a_patient(doctor: Client, facility: str) -> None:
    """``Patient/[id]/[type]``: what refers to the patient in any role, and nothing of others; paging keeps to it."""
    mine, other = await make(doctor, facility), await make(doctor, facility)
    for person, code in ((mine, "a"), (mine, "b"), (other, "c")):
        observation = {"resourceType": "Observation", "status": "final", "code": {"text": code}}
        await make(doctor, facility, {**observation, "subject": {"reference": f"Patient/{person['id']}"}})
    address = f"/fhir/{facility}/Patient/{mine['id']}/Observation"
    found: list[str] = []
    url = f"{address}?_count=1"
    while url:
        page = (await doctor.get(url)).json()
        found += [e["resource"]["code"]["text"] for e in page["entry"]]
        url = next((x["url"] for x in page["link"] if x["relation"] == "next"), "")
    assert sorted(found) == ["a", "b"]
    assert (await doctor.get(f"{address}?_summary=count")).json()["total"] == 2
    assert (await doctor.post(f"{address}/_search", data={"status": "final"})).json()["entry"]
    assert "entry" not in (await doctor.get(f"/fhir/{facility}/Patient/khong-co/Observation")).json()
    assert (await doctor.get(f"/fhir/{facility}/Patient/{mine['id']}/MessageHeader")).status_code == 404


async def test_validate_against_a_profile(doctor: Client, facility: str) -> None:
    """``$validate`` with ``profile``: in the address or in Parameters; one that is not known is an error."""
    address = f"/fhir/{facility}/Patient/$validate"
    bare = {"resourceType": "Patient"}
    profile = "urn:benhan:profile:nguoi-benh"
    wrapped = {
        "resourceType": "Parameters",
        "parameter": [{"name": "resource", "resource": bare}, {"name": "profile", "valueUri": profile}],
    }

    def errors(answer: Any) -> int:
        return sum(i["severity"] == "error" for i in json.loads(answer.content)["issue"])

    assert errors(await doctor.post(address, json=bare)) == 0
    assert errors(await doctor.post(f"{address}?profile={profile}", json=bare)) > 0
    assert errors(await doctor.post(address, json=wrapped)) > 0
    assert errors(await doctor.post(f"{address}?profile=urn:khong-co", json=bare)) == 1


async def test_what_a_refusal_quotes_cannot_turn_the_writing(doctor: Client, facility: str) -> None:
    """Text that a caller sent comes back without characters that our own door would refuse, in JSON and in XML."""
    for value in ("\u202e", "\u2066x", "\x01", "\ufffe"):
        for kind in ("json", "xml"):
            answer = await doctor.get(f"/fhir/{facility}/Patient", params={"_sort": value, "_format": kind})
            assert answer.status_code == 400, (value, kind)
            assert value not in answer.text
