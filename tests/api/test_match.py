"""``Patient/$match``: look-alikes with probability and grade."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

KNOWN = {
    "resourceType": "Patient",
    "identifier": [{"system": "urn:benhan:id:cccd", "value": "051188000020"}],
    "name": [{"text": "Nguyễn Thị Hồng Hạnh"}],
    "gender": "female",
    "birthDate": "1988-04-08",
    "telecom": [{"system": "phone", "value": "0905123456"}],
}


def asked(patient: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Parameters of ``$match``."""
    parts: list[dict[str, Any]] = [{"name": "resource", "resource": patient}]
    for name, value in more.items():
        parts.append({"name": name, "valueBoolean" if isinstance(value, bool) else "valueInteger": value})
    return {"resourceType": "Parameters", "parameter": parts}


@pytest.fixture
async def known(doctor: httpx.AsyncClient, facility: str) -> str:
    """Address of the operation at a facility that knows somebody."""
    assert (await doctor.post(f"/fhir/{facility}/Patient", json=KNOWN)).status_code == 201
    return f"/fhir/{facility}/Patient/$match"


async def _found(doctor: httpx.AsyncClient, address: str, body: dict[str, Any]) -> list[tuple[str, float]]:
    answer = await doctor.post(address, json=body)
    assert answer.status_code == 200, answer.text
    return [
        (entry["search"]["extension"][0]["valueCode"], entry["search"]["score"])
        for entry in answer.json().get("entry", [])
    ]


async def test_same_person_is_certain(doctor: httpx.AsyncClient, known: str) -> None:
    """The number and the rest agree, tones or not: certain, with a probability of nearly one."""
    typed = {**KNOWN, "name": [{"text": "nguyen thi hong hanh"}]}
    ((grade, score),) = await _found(doctor, known, asked(typed))
    assert grade == "certain"
    assert score > 0.999


async def test_look_alike_is_graded_and_may_be_left_out(doctor: httpx.AsyncClient, known: str) -> None:
    """Without a number and born a day apart: shown as less than certain, not given to who wants certainty."""
    typed = {**KNOWN, "identifier": [], "birthDate": "1988-04-09"}
    typed.pop("identifier")
    ((grade, score),) = await _found(doctor, known, asked(typed))
    assert grade in ("probable", "possible")
    assert 0 < score <= 1
    assert await _found(doctor, known, asked(typed, onlyCertainMatches=True)) == []


async def test_stranger_is_not_found_and_nonsense_is_refused(doctor: httpx.AsyncClient, known: str) -> None:
    """Nobody like this: an empty answer. No Patient, or a senseless count: 400 with the place."""
    stranger = {"resourceType": "Patient", "name": [{"text": "Siu Blơi"}], "birthDate": "1950"}
    assert await _found(doctor, known, asked(stranger)) == []
    for body in (asked({"resourceType": "Basic"}), asked(KNOWN, count=0), {"resourceType": "Parameters"}):
        answer = await doctor.post(known, json=body)
        assert answer.status_code == 400
        assert answer.json()["issue"][0]["expression"]
