"""The shipped lists as terminology: found without tones, by day, by page; the merger of communes as a map."""

from __future__ import annotations

from benhan.fhir import validate

from .conftest import Client

ICD10 = "http://hl7.org/fhir/sid/icd-10"


def values(answer: dict) -> dict:
    """Plain values of a Parameters resource by name."""
    validate(answer)
    return {
        p["name"]: next((v for k, v in p.items() if k.startswith("value")), p) for p in answer["parameter"]
    }


async def test_expand(doctor: Client, facility: str) -> None:
    """Tones are optional, pages do not overlap, an unknown set is 404."""
    url = f"/fhir/{facility}/ValueSet/$expand"
    for typed in ("tăng huyết áp", "tang huyet ap"):
        answer = (await doctor.get(url, params={"url": f"{ICD10}/vs", "filter": typed, "count": "5"})).json()
        validate(answer)
        assert "I10" in [c["code"] for c in answer["expansion"]["contains"]]
    pages = [
        (await doctor.get(url, params={"url": "urn:benhan:xa/vs", "offset": str(n), "count": "2"})).json()
        for n in (0, 2)
    ]
    codes = [c["code"] for p in pages for c in p["expansion"]["contains"]]
    assert len(set(codes)) == 4
    assert pages[0]["expansion"]["total"] > 3000
    assert (await doctor.get(url, params={"url": "urn:khong-co/vs"})).status_code == 404
    assert (await doctor.get(url, params={"url": "urn:benhan:xa/vs", "count": "x"})).status_code == 400


async def test_lists_are_chosen_by_day(doctor: Client, facility: str) -> None:
    """A commune of before the merger is known on a day before it, and not today."""
    url = f"/fhir/{facility}/CodeSystem/$lookup"
    asked = {"system": "urn:benhan:xa", "code": "21010"}
    assert (await doctor.get(url, params=asked)).status_code == 404
    before = values((await doctor.get(url, params={**asked, "date": "2025-06-30"})).json())
    assert before["display"] == "Phường Lê Hồng Phong"
    assert (
        await doctor.get(url, params={"system": ICD10, "code": "I10", "date": "1999-01-01"})
    ).status_code == 404
    coding = {"name": "coding", "valueCoding": {"system": ICD10, "code": "I10"}}
    body = {"resourceType": "Parameters", "parameter": [coding]}
    assert values((await doctor.post(url, json=body)).json())["version"] == "2020-10-28"


async def test_validate_code_and_translate(doctor: Client, facility: str) -> None:
    """A code is in the list or not; a wrong title is told; the old commune leads to the new one."""
    base = f"/fhir/{facility}"
    for path, asked, result in (
        ("CodeSystem", {"url": ICD10, "code": "I10"}, True),
        ("CodeSystem", {"url": ICD10, "code": "I10", "display": "Sốt"}, True),
        ("CodeSystem", {"url": ICD10, "code": "XX9"}, False),
        ("ValueSet", {"url": f"{ICD10}/vs", "system": ICD10, "code": "I10"}, True),
        ("ValueSet", {"url": f"{ICD10}/vs", "system": "urn:x", "code": "I10"}, False),
    ):
        answer = values((await doctor.get(f"{base}/{path}/$validate-code", params=asked)).json())
        assert answer["result"] is result, asked
        assert ("message" in answer) == ("display" in asked or not result)
    answer = (await doctor.get(f"{base}/ConceptMap/$translate", params={"code": "21010"})).json()
    parts = {p["name"]: p for p in values(answer)["match"]["part"]}
    assert parts["concept"]["valueCoding"]["code"] == "21028"
    assert parts["equivalence"]["valueCode"] == "wider"
    unknown = values((await doctor.get(f"{base}/ConceptMap/$translate", params={"code": "99999"})).json())
    assert unknown["result"] is False
