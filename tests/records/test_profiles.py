"""What the rooms write follows the local profiles."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

from benhan import fhir, records
from benhan.cli.demo.people import invent
from benhan.gateways.bhyt import to_fhir
from benhan.gateways.bhyt.samples import package_of, stories
from benhan.identity import parse_qr, patient_resource, person_from_scan
from benhan.records import LabOrder, ResultInput
from benhan.store import Repository

P = "urn:benhan:profile:"
BY_TYPE = {
    "Patient": "nguoi-benh",
    "EpisodeOfCare": "giai-doan-cham-soc",
    "Coverage": "the-bhyt",
    "Account": "tai-khoan",
    "ChargeItem": "dong-vien-phi",
    "Composition": "ho-so-benh-an",
}


def profile_of(resource: dict[str, Any]) -> str:
    """The profile that a resource of ours follows."""
    if resource["resourceType"] == "Encounter":
        return P + ("khoa-nam" if "partOf" in resource else "dot-dieu-tri")
    return P + BY_TYPE[resource["resourceType"]]


async def test_a_record_follows_the_profiles(ward: Repository, build: Any, clock: Any) -> None:
    """Patient, episode, đợt, stays with beds, card, account, charges and the record's cover."""
    record = await build.an_inpatient_record(ward)
    here = record.admitted.encounter.id
    (order,) = await records.order_lab(ward, here, LabOrder(("LAB001",), clock.now(), build.DOCTOR))
    clock.move(minutes=30)
    await records.enter_result(ward, order.id, ResultInput(Decimal("4.50"), clock.now(), build.LAB))
    (line,) = await records.charge_lines(ward, here)
    await records.reverse_charge(ward, line.id, "Ghi nhầm")
    await records.move_bed(ward, here, build.Bed("102", "H002"), clock.now())
    seen: dict[str, int] = {}
    for kind in (*BY_TYPE, "Encounter"):
        page = await ward.search(kind, [("_count", "50")])
        for stored in page.entries:
            url = profile_of(stored.data)
            wrong = [i for i in fhir.judge(stored.data, url) if i.severity == "error"]
            assert not wrong, (kind, wrong, stored.data)
            seen[url] = seen.get(url, 0) + 1
    assert set(seen) == {P + name for name in (*BY_TYPE.values(), "khoa-nam", "dot-dieu-tri")}
    assert seen[P + "dong-vien-phi"] == 2


async def test_people_without_papers_follow_the_profile_too(ward: Repository, build: Any) -> None:
    """Unknown at the door, a newborn, a card read by its code, an old identity card."""
    mother = await build.a_patient(ward)
    people: list[dict[str, Any]] = [
        {"status": "unknown", "name": "", "cccd": "", "birth_date": ""},
        {"status": "newborn", "name": "", "cccd": "", "mother_id": mother.id, "birth_order": 1},
        {"cccd": "", "bhyt": "GD4515100000001", "bhxh": "5100000001", "source": "qr-bhyt", "name": "Lê Mẫu"},
        {"cccd": "", "cmnd": "212000001", "passport": "B1000001", "name": "Trần Mẫu"},
    ]
    for over in people:
        stored = await build.a_patient(ward, **over)
        assert [i for i in fhir.judge(stored.data, P + "nguoi-benh") if i.severity == "error"] == []


def test_people_of_the_demo_follow_the_profile() -> None:
    """Invented people as their cards are scanned: citizen card and BHYT card."""
    for who in invent(60, 7, date(2026, 11, 23)):
        for code in (who.cccd_qr(date(2023, 5, 4)), who.bhyt_qr("51Z01")):
            patient = patient_resource(person_from_scan(parse_qr(code)), ma_bn="26000001")
            wrong = [i for i in fhir.judge(patient, P + "nguoi-benh") if i.severity == "error"]
            assert not wrong, (wrong, patient)


def test_what_claims_of_others_become_follows_the_profiles() -> None:
    """Person, card and đợt read from BHYT packages of any software."""
    names = {"Patient": "nguoi-benh", "Coverage": "the-bhyt", "Encounter": "dot-dieu-tri"}
    judged = 0
    for number, story in enumerate(stories(), 1):
        for entry in to_fhir(package_of(story, number))["entry"]:
            name = names.get(entry["resource"]["resourceType"])
            profile = P + name if name else None
            wrong = [i for i in fhir.judge(entry["resource"], profile) if i.severity == "error"]
            assert not wrong, (wrong, entry["resource"])
            judged += 1
    assert judged > 100
