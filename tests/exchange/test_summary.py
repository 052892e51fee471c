"""The patient summary of the province: built from every record the asker may see, valid, silent facilities named."""

from __future__ import annotations

import io
import zipfile
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.store.waiting import all_settled

from benhan.base.errors import NotAllowed
from benhan.base.json_door import JsonObject, dumps
from benhan.catalogue import facility, systems
from benhan.exchange import disclosures_for, grant, receive, summary
from benhan.exchange.ips import ABSENT, SECTIONS, Fact, summary_document
from benhan.exchange.mhd import Document, Submission, provide_bundle
from benhan.fhir import validate
from benhan.signing import KeyStore, time_stamper
from benhan.store import Actor, Ctx, Store, SystemPolicy

SENT = datetime(2026, 11, 23, 7, 0, tzinfo=UTC)
CCCD = "urn:benhan:id:cccd|051199000001"
DOCTOR = "Practitioner/b Bác sĩ Thử (51Z02)"
WHO = {"reference": "Patient/benh-nhan"}


def named(number: str) -> str:
    """What a facility is called in the summary."""
    known = facility(number)
    return known.name if known else f"Cơ sở {number}"


def code(text: str, system: str = systems.ICD10, value: str = "J18.9") -> JsonObject:
    return {"coding": [{"system": system, "code": value}], "text": text}


def status(system: str, value: str) -> JsonObject:
    return {"coding": [{"system": f"http://terminology.hl7.org/CodeSystem/{system}", "code": value}]}


def a_record(allergy: str = "Penicillin") -> list[JsonObject]:
    """What a sealed record says of a person: a diagnosis, an allergy, a drug, results, and what no summary holds."""
    results = [
        {
            "resourceType": "Observation",
            "id": f"kq-{n}",
            "status": "final",
            "category": [status("observation-category", "laboratory")],
            "code": code("Creatinin", systems.LAB, "CRE"),
            "subject": WHO,
            "encounter": {"reference": "Encounter/dot-1"},
            "effectiveDateTime": fhir_day(n),
            "valueQuantity": {"value": 80 + n, "unit": "µmol/L"},
        }
        for n in range(5)
    ]
    return [
        {"resourceType": "Composition", "id": "hs-1"},
        {
            "resourceType": "Condition",
            "id": "cd-1",
            "clinicalStatus": status("condition-clinical", "active"),
            "verificationStatus": status("condition-ver-status", "confirmed"),
            "code": code("Viêm phổi"),
            "subject": WHO,
            "encounter": {"reference": "Encounter/dot-1"},
        },
        {
            "resourceType": "AllergyIntolerance",
            "id": "du-1",
            "clinicalStatus": status("allergyintolerance-clinical", "active"),
            "code": {"text": allergy},
            "patient": WHO,
        },
        {
            "resourceType": "MedicationRequest",
            "id": "th-1",
            "status": "completed",
            "intent": "order",
            "medicationCodeableConcept": {"text": "Amoxicilin 500 mg"},
            "subject": WHO,
            "authoredOn": fhir_day(1),
            "requester": {"reference": "Practitioner/bs"},
            "dosageInstruction": [{"text": "1 viên × 3 lần"}],
        },
        *results,
    ]


def fhir_day(n: int) -> str:
    return (SENT - timedelta(days=n)).isoformat()


def a_container(resources: list[JsonObject]) -> bytes:
    """The part of a sealed record that a summary reads."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        bundle = {"resourceType": "Bundle", "entry": [{"resource": r} for r in resources]}
        archive.writestr("ho-so.json", dumps(bundle))
    return out.getvalue()


@pytest.fixture
async def hub(store: Store) -> Any:
    """A hub with two facilities; the second has a record, the third treated the person and sent nothing."""
    tenant = await store.create_tenant("hub", "QNG-HUB", "Trục thử")
    for one in ("51Z01", "51Z02", "51Z03"):
        await store.create_tenant("facility", one, f"Cơ sở {one}")
    repo = store.repo(Ctx(tenant, Actor("Device/test", "Thử", "system")), SystemPolicy())
    seal = {"signer": await KeyStore(repo).seal_signer(tenant), "tsa": time_stamper(store.settings)}
    facilities = {t.code: t for t in await store.tenants()}

    async def send(sender: str, number: int, data: bytes) -> None:
        document = Document(
            master_id=f"urn:uuid:22222222-2222-4222-8222-22222222222{number}",
            kind=systems.DOC_CONTAINER,
            kind_display="Hồ sơ bệnh án niêm phong",
            title="Hồ sơ",
            content_type="application/vnd.etsi.asic-e+zip",
            data=data,
            created=SENT,
        )
        patient = {
            "resourceType": "Patient",
            "id": f"benh-nhan-{sender}",
            "identifier": [{"system": "urn:benhan:id:cccd", "value": "051199000001"}],
            "name": [{"text": "NGUYỄN VĂN MẪU"}],
            "gender": "male",
            "birthDate": "1999-01-01",
        }
        message = Submission(
            f"urn:uuid:11111111-1111-4111-8111-11111111111{number}",
            f"urn:benhan:id:ma-cskcb:{sender}", SENT, patient, (document,),
        )  # fmt: skip
        await receive(repo, facilities[sender], dumps(provide_bundle(message)), **seal)

    return repo, facilities, send


async def test_without_a_right_there_is_no_summary(hub: Any) -> None:
    """As every other look: refused alike for the known and the unknown."""
    repo, facilities, send = hub
    await send("51Z01", 1, a_container(a_record()))
    for who in (CCCD, "urn:benhan:id:cccd|051199999999"):
        with pytest.raises(NotAllowed) as refused:
            await summary(repo, facilities["51Z02"], who, DOCTOR)
        assert refused.value.code == "exchange.no-right"


async def test_all_facilities_in_one_document_and_the_look_is_told(hub: Any) -> None:
    """Facts of two facilities with their names; what could not be read is named as silent; both custodians learn of it."""
    repo, facilities, send = hub
    await send("51Z01", 1, a_container(a_record()))
    await send("51Z03", 3, a_container(a_record("Tôm, cua")))
    await grant(
        repo, facilities["51Z02"], facilities["51Z02"], CCCD, "break-glass", "Cấp cứu, không hỏi được người bệnh", DOCTOR
    )  # fmt: skip
    document = await summary(repo, facilities["51Z02"], CCCD, DOCTOR)
    validate(document)
    text = dumps(document).decode()
    for said in ("Penicillin", "Tôm, cua", "Viêm phổi", "Amoxicilin", named("51Z01"), named("51Z03")):
        assert said in text, said
    results = [e["resource"] for e in document["entry"] if e["resource"]["resourceType"] == "Observation"]
    assert len(results) == 2 * 3  # the last three of each facility
    await all_settled(repo)
    for custodian in ("51Z01", "51Z03"):
        page = await disclosures_for(repo, facilities[custodian], "0")
        assert [i["act"] for i in page["items"]] == ["summary"]


async def test_a_container_that_cannot_be_read_makes_its_facility_silent(hub: Any) -> None:
    """Nothing is said to be known that is not: the broken record's facility is not among the sources."""
    repo, facilities, send = hub
    await send("51Z01", 1, b"PK not a container")
    await grant(
        repo, facilities["51Z02"], facilities["51Z02"], CCCD, "break-glass", "Cấp cứu, không hỏi được người bệnh", DOCTOR
    )  # fmt: skip
    document = await summary(repo, facilities["51Z02"], CCCD, DOCTOR)
    text = dumps(document).decode()
    assert f"Có hồ sơ: {named('51Z01')}" not in text
    assert "no-allergy-info" in text


PERSON = {
    "resourceType": "Patient",
    "id": "p",
    "name": [{"text": "NGUYỄN VĂN MẪU"}],
    "gender": "male",
    "birthDate": "1999",
}


def test_the_document_is_what_the_guide_asks_for() -> None:
    """IPS 1.1: type, required sections in every case, each with a text; references stay inside; unknown is said."""
    empty = summary_document(PERSON, [], [], ["Trạm thử"], "Trục", SENT)
    full = summary_document(PERSON, [Fact(r, "Cơ sở A") for r in a_record()], ["Cơ sở A"], [], "Trục", SENT)
    for document in (empty, full):
        validate(document)
        composition = document["entry"][0]["resource"]
        assert composition["type"]["coding"][0]["code"] == "60591-5"
        held = [s["code"]["coding"][0]["code"] for s in composition["section"] if "code" in s]
        assert held[:3] == ["48765-2", "11450-4", "10160-0"]
        assert all(s["text"]["div"] for s in composition["section"])
        urls = {e["fullUrl"] for e in document["entry"]}
        named = [e["reference"] for s in composition["section"] for e in s.get("entry", [])]
        assert set(named) <= urls
        assert _references(document) <= urls
    codes = {c["code"] for e in empty["entry"] for c in _codings(e["resource"]) if c.get("system") == ABSENT}
    assert codes == {s.absent for s in SECTIONS if s.absent}
    assert ABSENT not in dumps(full).decode()
    assert "Chưa có hồ sơ gửi đến: Trạm thử" in dumps(empty).decode()


def _codings(resource: JsonObject) -> list[JsonObject]:
    return list((resource.get("code") or resource.get("medicationCodeableConcept") or {}).get("coding", []))


def _references(value: Any) -> set[str]:
    """Every reference in a document."""
    if isinstance(value, dict):
        own = {str(value["reference"])} if isinstance(value.get("reference"), str) else set()
        return own.union(*(_references(v) for v in value.values()))
    return set().union(*(_references(v) for v in value)) if isinstance(value, list) else set()
