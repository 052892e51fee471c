"""The hostile files through the real HTTP door: handled as the index of the corpus says, and never a 5xx."""

from __future__ import annotations

import csv
import socket
import time
from pathlib import Path

import pytest

from .conftest import Client

CORPUS = Path(__file__).parents[1] / "data" / "parser-attack-corpus"
INDEX = {
    row["file"]: row["expected"]
    for row in csv.DictReader((CORPUS / "index.csv").read_text(encoding="utf-8").splitlines())
}
JSON_FILES = sorted(f for f in INDEX if f.endswith(".json"))
XML_FILES = sorted(f for f in INDEX if f.endswith(".xml"))
QUERIES = [q for q in (CORPUS / "search_params.txt").read_text(encoding="utf-8").splitlines() if q.strip()]
KINDS = {"Bundle": "", "Binary": "/Binary"}


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Name look-ups are recorded and refused."""
    asked: list[object] = []

    def refuse(host: object, *_: object, **__: object) -> object:
        asked.append(host)
        raise OSError("no network in tests")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    return asked


def address(facility: str, name: str, raw: bytes) -> str:
    """Where a client would send the file."""
    text = raw.decode("utf-8", "replace")
    for kind in ("Bundle", "Subscription", "Binary", "DocumentReference", "Observation"):
        if f'"resourceType":"{kind}"' in text.replace(" ", ""):
            return f"/fhir/{facility}" + ("" if kind == "Bundle" else f"/{kind}")
    return f"/fhir/{facility}/Patient"


@pytest.mark.parametrize("name", JSON_FILES)
async def test_json_file(doctor: Client, facility: str, no_network: list[object], name: str) -> None:
    """reject: 4xx with an outcome; store or keep: 2xx; nothing is fetched, nothing takes long."""
    raw = (CORPUS / name).read_bytes()
    began = time.perf_counter()
    answer = await doctor.post(
        address(facility, name, raw), content=raw, headers={"Content-Type": "application/fhir+json"}
    )
    assert time.perf_counter() - began < 2
    expected = INDEX[name]
    if expected.startswith("reject"):
        assert 400 <= answer.status_code < 500, answer.text
    elif expected.startswith(("store", "keep", "serve")):
        assert answer.status_code == 201, answer.text
    else:
        assert answer.status_code < 500
    if answer.status_code >= 400:
        assert answer.json()["resourceType"] == "OperationOutcome"
    if name == "float_precision.json":
        assert b'"value":0.10' in answer.content
    if name == "binary_html.json":
        raw_answer = await doctor.get(
            answer.headers["location"].partition("/_history")[0], headers={"Accept": "text/html"}
        )
        assert raw_answer.headers["content-disposition"].startswith("attachment")
        assert "html" not in raw_answer.headers["content-type"]
    assert no_network == []


#: A style sheet is named by a processing instruction, which is dropped: nothing is fetched, the rest is a resource.
HARMLESS = {"xslt_pi.xml": (201,)}


async def test_xml_files(doctor: Client, facility: str, no_network: list[object]) -> None:
    """Nothing is fetched or expanded: XML by its own name is 400 or 413, under JSON's name 400."""
    for name in XML_FILES:
        await send_xml(doctor, facility, name)
    assert no_network == []


async def send_xml(doctor: Client, facility: str, name: str) -> None:
    """One file under three media types."""
    raw = (CORPUS / name).read_bytes()
    for kind, refused in (
        ("application/fhir+xml", HARMLESS.get(name, (400, 413))),
        ("application/xml", HARMLESS.get(name, (400, 413))),
        ("application/fhir+json", (400,)),
    ):
        answer = await doctor.post(f"/fhir/{facility}/Patient", content=raw, headers={"Content-Type": kind})
        assert answer.status_code in refused, (name, kind, answer.text)


@pytest.mark.parametrize("query", QUERIES)
async def test_search_attack(doctor: Client, facility: str, no_network: list[object], query: str) -> None:
    """4xx or an answer, as fast as any, by address and by form; the people are still there afterwards."""
    made = await doctor.post(
        f"/fhir/{facility}/Patient", json={"resourceType": "Patient", "name": [{"text": "A"}]}
    )
    for kind in ("Patient", "Observation"):
        began = time.perf_counter()
        by_address = await doctor.get(f"/fhir/{facility}/{kind}?{query.replace(' ', '%20')}")
        by_form = await doctor.post(
            f"/fhir/{facility}/{kind}/_search",
            content=query.replace(" ", "+").encode(),
            headers={"Content-Type": "application/x-www-form-urlencoded"},
        )
        assert time.perf_counter() - began < 2
        for answer in (by_address, by_form):
            assert answer.status_code < 500, answer.text
            ids = [
                e["resource"].get("id")
                for e in answer.json().get("entry", [])
                if e["search"]["mode"] == "match"
            ]
            assert len(ids) <= 1
    still = await doctor.get(f"/fhir/{facility}/Patient/{made.json()['id']}")
    assert still.status_code == 200
    assert no_network == []


HOSTILE_QUERIES = ["name=%00", "name=%ED%A0%80", "a=1&" * 500, "_count=-1", "_count=x", "_cursor=x", "_sort=%00",
     "_id=" + "x" * 9000,
     "_include=", "birthdate=ge", "birthdate=2026-13-45", "_has:x=1", ":=:", "=", "&&&", "%", "name:nosuch=1",
     "_lastUpdated=x", "identifier=a|b|c|d", "_summary=x", "_total=x", "subject.subject.subject.subject=1"]  # fmt: skip


async def test_more_hostile_queries(doctor: Client, facility: str) -> None:
    """Odd bytes, too many or too long parameters, broken values: never a 5xx."""
    for query in HOSTILE_QUERIES:
        answer = await doctor.get(f"/fhir/{facility}/Patient?{query}")
        assert answer.status_code < 500, (query, answer.text)
