"""Bundles: all or nothing, urn:uuid references, order of methods, conditional entries; batch entries stand alone."""

from __future__ import annotations

from typing import Any

import pytest
from tests.store.builders import a_patient, an_observation

from benhan.base.errors import InvalidInput, NotFound
from benhan.store import Repository

pytestmark = pytest.mark.server


def entry(method: str, url: str, resource: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    full_url = more.pop("full_url", None)
    made: dict[str, Any] = {"request": {"method": method, "url": url, **more}}
    if resource is not None:
        made["resource"] = resource
    if full_url:
        made["fullUrl"] = full_url
    return made


def bundle(*entries: dict[str, Any], kind: str = "transaction") -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


async def test_references_between_new_entries_are_resolved(repo: Repository) -> None:
    urn = "urn:uuid:11111111-1111-4111-8111-111111111111"
    observation = {**an_observation("x"), "subject": {"reference": urn}}
    answer = await repo.bundle(
        bundle(entry("POST", "Observation", observation), entry("POST", "Patient", a_patient(), full_url=urn))
    )
    first, second = answer["entry"]
    assert answer["type"] == "transaction-response"
    assert (first["response"]["status"], second["response"]["status"]) == ("201", "201")
    patient_id = second["resource"]["id"]
    assert first["resource"]["subject"]["reference"] == f"Patient/{patient_id}"
    assert len((await repo.search("Observation", f"patient={patient_id}")).entries) == 1


async def test_one_bad_entry_undoes_all(repo: Repository) -> None:
    with pytest.raises(InvalidInput):
        await repo.bundle(
            bundle(
                entry("POST", "Patient", a_patient()),
                entry("POST", "Patient", {**a_patient(), "gender": "x"}),
            )
        )
    with pytest.raises(InvalidInput):
        await repo.bundle(
            bundle(
                entry("POST", "Observation", {**an_observation("x"), "subject": {"reference": "urn:uuid:9"}})
            )
        )
    with pytest.raises(NotFound):
        await repo.bundle(bundle(entry("POST", "Patient", a_patient()), entry("GET", "Patient/khong-co")))
    assert await repo.count("Patient", "") == 0


async def test_methods_run_in_the_order_of_the_standard(repo: Repository) -> None:
    old = await repo.create(a_patient())
    answer = await repo.bundle(
        bundle(
            entry("GET", "Patient?gender=female&_summary=count"),
            entry("PUT", "Patient/p1", {**a_patient(), "id": "p1"}),
            entry("POST", "Patient", a_patient("Hai", "051190000002")),
            entry("DELETE", f"Patient/{old.id}"),
        )
    )
    assert [e["response"]["status"] for e in answer["entry"]] == ["200", "201", "201", "204"]
    assert answer["entry"][0]["resource"]["total"] == 2


async def test_conditional_entries(repo: Repository) -> None:
    query = "identifier=urn:benhan:id:cccd|051190000001"
    urn = "urn:uuid:22222222-2222-4222-8222-222222222222"
    message = bundle(
        entry("POST", "Patient", a_patient(), ifNoneExist=query, full_url=urn),
        entry("POST", "Observation", {**an_observation("x"), "subject": {"reference": urn}}),
    )
    first = await repo.bundle(message)
    second = await repo.bundle(message)
    assert first["entry"][0]["resource"]["id"] == second["entry"][0]["resource"]["id"]
    assert second["entry"][0]["response"]["status"] == "200"
    assert await repo.count("Patient", "") == 1
    third = await repo.bundle(
        bundle(
            entry("PUT", f"Patient?{query}", {**a_patient(), "active": True}),
            entry(
                "POST", "Observation", {**an_observation("x"), "subject": {"reference": f"Patient?{query}"}}
            ),
        )
    )
    assert third["entry"][0]["resource"]["meta"]["versionId"] == "2"
    assert await repo.count("Observation", f"patient={first['entry'][0]['resource']['id']}") == 3


async def test_batch_entries_fail_alone(repo: Repository) -> None:
    answer = await repo.bundle(
        bundle(
            entry("POST", "Patient", a_patient()), entry("POST", "Patient", {**a_patient(), "gender": "x"}),
            entry("GET", "Patient/khong-co"), entry("PATCH", "Patient/x"), kind="batch",
        )
    )  # fmt: skip
    assert [e["response"]["status"] for e in answer["entry"]] == ["201", "400", "404", "400"]
    assert answer["entry"][1]["response"]["outcome"]["resourceType"] == "OperationOutcome"
    assert await repo.count("Patient", "") == 1


async def test_if_match_in_a_bundle(repo: Repository) -> None:
    stored = await repo.create(a_patient())
    good = bundle(entry("PUT", f"Patient/{stored.id}", stored.data, ifMatch='W/"1"'))
    assert (await repo.bundle(good))["entry"][0]["response"]["etag"] == 'W/"2"'
    answer = await repo.bundle({**good, "type": "batch"})
    assert answer["entry"][0]["response"]["status"] == "412"
    with pytest.raises(InvalidInput):
        await repo.bundle(bundle(*[entry("PUT", "Patient/a", {**a_patient(), "id": "a"})] * 2))


async def test_names_of_entries_are_replaced_wherever_they_lead(repo: Repository) -> None:
    """In addresses, in links of the narrative and in extensions; not in identifiers, nor in canonical addresses."""
    binary, paper = (
        "urn:uuid:7d6f2b2e-3c1e-4a55-9d52-0a6c5a1f0001",
        "urn:uuid:7d6f2b2e-3c1e-4a55-9d52-0a6c5a1f0002",
    )
    document = {
        "resourceType": "DocumentReference",
        "status": "current",
        "identifier": [{"system": "urn:ietf:rfc:3986", "value": paper}],
        "extension": [{"url": "urn:t", "valueUrl": binary}],
        "text": {
            "status": "generated",
            "div": f'<div xmlns="http://www.w3.org/1999/xhtml"><a href="{binary}">giấy</a> {binary}</div>',
        },
        "content": [{"attachment": {"url": binary, "title": binary}}],
    }
    response = {
        "resourceType": "QuestionnaireResponse", "status": "completed", "questionnaire": binary,
        "item": [{"linkId": "1", "answer": [{"valueUri": paper}, {"valueAttachment": {"url": "urn:uuid:khac"}}]}],
    }  # fmt: skip
    entries = [
        {"fullUrl": paper, "resource": document},
        {"resource": response},
        {
            "fullUrl": binary,
            "resource": {"resourceType": "Binary", "contentType": "text/plain", "data": "eA=="},
        },
    ]
    for entry in entries:
        entry["request"] = {"method": "POST", "url": entry["resource"]["resourceType"]}  # type: ignore[index]
    answer = await repo.bundle({"resourceType": "Bundle", "type": "transaction", "entry": entries})
    kept = [e["resource"] for e in answer["entry"]]
    target = f"Binary/{kept[2]['id']}"
    assert kept[0]["content"] == [{"attachment": {"url": target, "title": binary}}]
    assert kept[0]["extension"][0]["valueUrl"] == target
    assert kept[0]["identifier"][0]["value"] == paper
    assert f'href="{target}"' in kept[0]["text"]["div"]
    assert f"</a> {binary}" in kept[0]["text"]["div"]
    answers = kept[1]["item"][0]["answer"]
    assert answers == [
        {"valueUri": f"DocumentReference/{kept[0]['id']}"},
        {"valueAttachment": {"url": "urn:uuid:khac"}},
    ]
    assert kept[1]["questionnaire"] == binary
