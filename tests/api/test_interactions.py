"""Patch, conditional interactions, history of types and of all, parts, XML: over HTTP, as a client meets them."""

from __future__ import annotations

import base64
import json
from typing import Any

from benhan.fhir import from_xml, to_xml, validate

from .conftest import Client
from .test_fhir import PATIENT, code_in, make

JSON_PATCH = {"Content-Type": "application/json-patch+json"}
FHIR = {"Content-Type": "application/fhir+json"}
WEIGHT = (
    b'{"resourceType":"Observation","status":"final","code":{"text":"C\xc3\xa2n n\xe1\xba\xb7ng"},'
    b'"valueQuantity":{"value":72.50,"unit":"kg"}}'
)


def operation(**parts: Any) -> dict:
    """One operation of a FHIRPath Patch."""
    out = []
    for name, value in parts.items():
        kind = "valueInteger" if isinstance(value, int) else "valueCode" if name == "type" else "valueString"
        out.append({"name": name, **value} if isinstance(value, dict) else {"name": name, kind: value})
    return {"name": "operation", "part": out}


def parameters(*operations: dict) -> dict:
    """A FHIRPath Patch."""
    return {"resourceType": "Parameters", "parameter": list(operations)}


async def test_json_patch(doctor: Client, facility: str) -> None:
    """Applied as a new version; a failed test, a bad path, a stale version and a changed id change nothing."""
    made = await make(doctor, facility)
    address = f"/fhir/{facility}/Patient/{made['id']}"
    steps: list[tuple[list, dict, int]] = [
        ([{"op": "replace", "path": "/gender", "value": "male"}], {"If-Match": 'W/"1"'}, 200),
        ([{"op": "replace", "path": "/gender", "value": "female"}], {"If-Match": 'W/"1"'}, 412),
        ([{"op": "test", "path": "/gender", "value": "female"}, {"op": "remove", "path": "/name"}], {}, 422),
        ([{"op": "remove", "path": "/khong/co"}], {}, 400),
        ([{"op": "replace", "path": "/id", "value": "khac"}], {}, 400),
        ([{"op": "add", "path": "/gender", "value": "khong-co"}], {}, 400),
        ([{"op": "add", "path": "/name/0/given", "value": ["Sông"]}], {}, 200),
        ([{"op": "add", "path": "/name/0/given/-", "value": "Trà"}], {}, 200),
        ([{"op": "move", "from": "/name/0/given/1", "path": "/name/0/given/0"}], {}, 200),
        ([{"op": "copy", "from": "/birthDate", "path": "/deceasedDateTime"}], {}, 200),
    ]
    for patch, headers, status in steps:
        answer = await doctor.patch(address, json=patch, headers={**JSON_PATCH, **headers})
        assert answer.status_code == status, (patch, answer.text)
    found = (await doctor.get(address)).json()
    assert found["meta"]["versionId"] == "6"
    assert found["gender"] == "male"
    assert found["name"][0]["given"] == ["Trà", "Sông"]
    assert found["deceasedDateTime"] == found["birthDate"]
    assert (await doctor.patch(f"{address}x", json=[], headers=JSON_PATCH)).status_code == 404
    assert (await doctor.patch(address, json=[], headers={"Content-Type": "text/plain"})).status_code == 415


async def test_fhirpath_patch(doctor: Client, facility: str) -> None:
    """add, insert, replace, move, delete by path; the path must point to exactly one thing."""
    made = await make(doctor, facility)
    address = f"/fhir/{facility}/Patient/{made['id']}"
    steps = [
        (operation(type="replace", path="Patient.birthDate", value={"valueDate": "1999-02-04"}), 200),
        (operation(type="add", path="Patient", name="active", value={"valueBoolean": True}), 200),
        (operation(type="add", path="Patient", name="active", value={"valueBoolean": True}), 400),
        (operation(type="add", path="Patient", name="deceased", value={"valueBoolean": False}), 200),
        (operation(type="replace", path="Patient.deceased", value={"valueDateTime": "2026-01-02"}), 200),
        (operation(type="add", path="Patient.name.first()", name="given", value={"valueString": "B"}), 200),
        (operation(type="insert", path="Patient.name[0].given", index=0, value={"valueString": "A"}), 200),
        (operation(type="move", path="Patient.name[0].given", source=1, destination=0), 200),
        (
            operation(
                type="add", path="Patient", name="contact",
                value={"part": [{"name": "name", "valueHumanName": {"text": "Người nhà"}}]},
            ),
            200,
        ),
        (operation(type="delete", path="Patient.identifier.where(value = '051099000001')"), 200),
        (operation(type="delete", path="Patient.identifier"), 200),
        (operation(type="delete", path="Patient.name.matches('(a+)+$')"), 400),
        (operation(type="replace", path="Patient.khongCo", value={"valueString": "x"}), 400),
        (operation(type="xoa", path="Patient.name"), 400),
    ]  # fmt: skip
    for step, status in steps:
        answer = await doctor.patch(address, json=parameters(step), headers=FHIR)
        assert answer.status_code == status, (step, answer.text)
    found = (await doctor.get(address)).json()
    validate(found)
    assert (found["birthDate"], found["active"], found["deceasedDateTime"]) == (
        "1999-02-04",
        True,
        "2026-01-02",
    )
    assert found["name"][0]["given"] == ["B", "A"]
    assert found["contact"] == [{"name": {"text": "Người nhà"}}]
    assert "identifier" not in found


async def test_digits_survive_patch_elements_bundle_and_xml(doctor: Client, facility: str) -> None:
    """72.50 stays 72.50 whichever way it travels."""
    made = await doctor.post(f"/fhir/{facility}/Observation", content=WEIGHT, headers=FHIR)
    address = f"/fhir/{facility}/Observation/{made.json()['id']}"
    patched = await doctor.patch(
        address, json=[{"op": "add", "path": "/status", "value": "amended"}], headers=JSON_PATCH
    )
    answers = [
        patched.content,
        (await doctor.get(f"{address}?_elements=value")).content,
        (await doctor.get(f"/fhir/{facility}/Observation?_summary=true")).content,
        (await doctor.get(f"/fhir/{facility}/_history")).content,
    ]
    assert all(b"72.50" in a for a in answers)
    xml = await doctor.get(address, headers={"Accept": "application/fhir+xml"})
    assert b'value="72.50"' in xml.content
    again = await doctor.put(address, content=xml.content, headers={"Content-Type": "application/fhir+xml"})
    assert again.status_code == 200, again.text
    assert b"72.50" in again.content


async def test_xml_both_ways(doctor: Client, facility: str) -> None:
    """Create in XML, read in XML, errors in XML; weights of Accept count."""
    sent = await doctor.post(
        f"/fhir/{facility}/Patient?_format=xml",
        content=to_xml(PATIENT),
        headers={"Content-Type": "application/fhir+xml"},
    )
    assert sent.status_code == 201
    assert sent.headers["content-type"].startswith("application/fhir+xml")
    made = from_xml(sent.content)
    assert made["name"] == PATIENT["name"]
    missing = await doctor.get(
        f"/fhir/{facility}/Patient/khong-co", headers={"Accept": "application/fhir+xml"}
    )
    assert (missing.status_code, from_xml(missing.content)["resourceType"]) == (404, "OperationOutcome")
    weighed = "application/fhir+xml;q=0.5, application/fhir+json"
    both = await doctor.get(f"/fhir/{facility}/Patient/{made['id']}", headers={"Accept": weighed})
    assert both.headers["content-type"].startswith("application/fhir+json")
    for path in ("Patient", "metadata", "_history"):
        answer = await doctor.get(f"/fhir/{facility}/{path}?_format=xml")
        validate(from_xml(answer.content))


async def test_parts_and_pretty(doctor: Client, facility: str) -> None:
    """_summary and _elements cut, mark and stay in the links; _pretty indents; nonsense is refused."""
    made = await make(doctor, facility)
    address = f"/fhir/{facility}/Patient/{made['id']}"
    part = (await doctor.get(f"{address}?_elements=gender")).json()
    assert part["gender"] == "female"
    assert "birthDate" not in part
    assert part["meta"]["tag"][-1]["code"] == "SUBSETTED"
    found = (await doctor.get(f"/fhir/{facility}/Patient?_elements=gender&_count=1")).json()
    assert "birthDate" not in found["entry"][0]["resource"]
    assert "_elements=gender" in found["link"][0]["url"]
    assert b"\n  " in (await doctor.get(f"{address}?_pretty=true")).content
    assert (await doctor.get(f"{address}?_summary=text")).status_code == 200
    assert (await doctor.get(f"{address}?_summary=khong")).status_code == 400
    count = (await doctor.get(f"/fhir/{facility}/Patient?_summary=count")).json()
    assert (count["total"], "entry" in count) == (1, False)
    head = await doctor.head(address)
    assert (head.status_code, head.headers["etag"]) == (200, 'W/"1"')


async def test_conditional_read_patch_and_delete(doctor: Client, facility: str) -> None:
    """304 for what the caller has; patch by condition; nothing found is 404, several are 412."""
    made = await make(doctor, facility)
    address = f"/fhir/{facility}/Patient/{made['id']}"
    read = await doctor.get(address)
    for headers, status in (
        ({"If-None-Match": 'W/"1"'}, 304),
        ({"If-None-Match": 'W/"7"'}, 200),
        ({"If-Modified-Since": read.headers["last-modified"]}, 304),
        ({"If-Modified-Since": "Mon, 01 Jan 2001 00:00:00 GMT"}, 200),
        ({"If-Modified-Since": "yesterday"}, 200),
    ):
        assert (await doctor.get(address, headers=headers)).status_code == status, headers
    patch = [{"op": "replace", "path": "/gender", "value": "other"}]
    by = f"/fhir/{facility}/Patient?identifier=urn:benhan:id:cccd|"
    assert (await doctor.patch(f"{by}051099000001", json=patch, headers=JSON_PATCH)).status_code == 200
    assert (await doctor.patch(f"{by}1", json=patch, headers=JSON_PATCH)).status_code == 404
    await make(doctor, facility)
    assert (await doctor.patch(f"{by}051099000001", json=patch, headers=JSON_PATCH)).status_code == 412
    assert (await doctor.delete(f"{by}051099000001")).status_code == 403
    assert (
        await doctor.patch(f"/fhir/{facility}/Patient", json=patch, headers=JSON_PATCH)
    ).status_code == 400


async def test_history_of_type_and_system(doctor: Client, facility: str) -> None:
    """Newest first, every version once over the pages; _since and _at choose by time."""
    first = await make(doctor, facility)
    address = f"/fhir/{facility}/Patient/{first['id']}"
    await doctor.put(address, json={**first, "gender": "male"})
    await make(doctor, facility)
    await doctor.post(f"/fhir/{facility}/Observation", content=WEIGHT, headers=FHIR)
    seen: list[str] = []
    url = f"/fhir/{facility}/_history?_count=2"
    while url:
        page = (await doctor.get(url)).json()
        validate(page)
        seen += [e["response"]["etag"] + e["fullUrl"].rpartition(facility)[2] for e in page["entry"]]
        url = next((x["url"] for x in page["link"] if x["relation"] == "next"), "")
    assert len(seen) == len(set(seen)) == 5  # with the row of the doctor
    assert "Observation" in seen[0]
    kind = (await doctor.get(f"/fhir/{facility}/Patient/_history")).json()
    assert [e["response"]["etag"] for e in kind["entry"]] == ['W/"1"', 'W/"2"', 'W/"1"']
    versions = (await doctor.get(f"{address}/_history")).json()["entry"]
    between = versions[1]["response"]["lastModified"]
    at = (await doctor.get(f"{address}/_history", params={"_at": between})).json()
    assert [e["response"]["etag"] for e in at["entry"]] == ['W/"1"']
    later = (await doctor.get(f"{address}/_history?_since=2999-01-01")).json()
    assert "entry" not in later
    for bad in ("_since=hom-qua", "_count=x", "_cursor=1.2", "_cursor=a"):
        answer = await doctor.get(f"/fhir/{facility}/_history?{bad}")
        assert answer.status_code == 400, bad
        code_in(answer.json())


async def test_patch_in_a_transaction(doctor: Client, facility: str) -> None:
    """Both kinds of patch in a Bundle; one that fails takes all with it."""
    made = await make(doctor, facility)
    url = f"Patient/{made['id']}"
    json_patch = base64.b64encode(json.dumps([{"op": "remove", "path": "/gender"}]).encode()).decode()
    binary = {"resourceType": "Binary", "contentType": "application/json-patch+json", "data": json_patch}
    path = parameters(operation(type="add", path="Patient", name="active", value={"valueBoolean": True}))
    bundle = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {"resource": binary, "request": {"method": "PATCH", "url": url}},
            {"resource": path, "request": {"method": "PATCH", "url": "Patient?identifier=051099000001"}},
            {"resource": PATIENT, "request": {"method": "POST", "url": "Patient"}},
        ],
    }
    # the conditional reference is found after the POST of its twin: two match, and all is undone
    assert (await doctor.post(f"/fhir/{facility}", json=bundle)).status_code == 412
    assert (await doctor.get(f"/fhir/{facility}/{url}")).json()["gender"] == "female"
    bundle["entry"] = bundle["entry"][:2]  # type: ignore[index]
    done = await doctor.post(f"/fhir/{facility}", json=bundle)
    assert done.status_code == 200, done.text
    found = (await doctor.get(f"/fhir/{facility}/{url}")).json()
    assert found["active"] is True
    assert "gender" not in found


async def test_operations_on_resources(doctor: Client, facility: str) -> None:
    """$validate tells all faults; $meta-add and -delete; $everything with what it leans on; $document."""
    base = f"/fhir/{facility}"
    bad = {"resourceType": "Patient", "gender": "khong-co", "la": 1}
    outcome = (await doctor.post(f"{base}/Patient/$validate", json=bad)).json()
    assert len([i for i in outcome["issue"] if i["severity"] == "error"]) == 2
    made = await make(doctor, facility)
    patient = f"Patient/{made['id']}"
    assert (await doctor.get(f"{base}/{patient}/$validate")).json()["issue"][0]["severity"] != "error"
    tag = {"system": "urn:x", "code": "thu"}
    body = {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": {"tag": [tag]}}]}
    for name, left in (("$meta-add", [tag]), ("$meta-delete", None)):
        answer = (await doctor.post(f"{base}/{patient}/{name}", json=body)).json()
        assert answer["parameter"][0]["valueMeta"].get("tag") == left
    for _ in range(3):
        observation = {**json.loads(WEIGHT), "subject": {"reference": patient}}
        await make(doctor, facility, observation)
    await make(doctor, facility, json.loads(WEIGHT))
    seen: list[str] = []
    url = f"{base}/{patient}/$everything?_count=2"
    while url:
        page = (await doctor.get(url)).json()
        seen += [e["resource"]["resourceType"] for e in page["entry"]]
        url = next((x["url"] for x in page["link"] if x["relation"] == "next"), "")
    assert sorted(seen) == ["Observation"] * 3 + ["Patient"]
    composition = {
        "resourceType": "Composition", "status": "final", "type": {"text": "Giấy"}, "title": "Giấy",
        "date": "2026-11-20", "author": [{"display": "A"}], "subject": {"reference": patient},
    }  # fmt: skip
    paper = await make(doctor, facility, composition)
    document = (await doctor.get(f"{base}/Composition/{paper['id']}/$document")).json()
    validate(document)
    assert [e["resource"]["resourceType"] for e in document["entry"]] == ["Composition", "Patient"]
