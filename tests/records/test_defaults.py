"""What the record knows fills any form of the catalogue in the shape of its items."""

from __future__ import annotations

from typing import Any

from benhan import records
from benhan.base.clock import fhir_instant
from benhan.fhir import validate
from benhan.forms import FACTS, catalogue, check, render_fields, response


async def test_known_facts_fit_every_form(ward: Any, plain_ink: Any, build: Any) -> None:
    """The defaults of each form are answers that it can read, and become a valid QuestionnaireResponse."""
    record = await build.an_inpatient_record(ward, signed=True)
    now, filled = ward.clock.now(), 0
    for form in catalogue().all():
        answers = await records.defaults(ward, record.id, form.code)
        filled += len(answers)
        assert [f.text for f in check(form, answers, at="save") if f.rule == "type"] == [], form.code
        made = response(
            form, answers, f"Patient/{record.patient.id}", f"Encounter/{record.id}", "Practitioner/x", now
        )
        validate({**made, "id": "thu", "authored": fhir_instant(now)})
    assert filled > 5 * len(list(catalogue().all())), "most papers begin with the person and the đợt"


async def test_an_earlier_paper_speaks_in_the_next_one(
    ward: Any, plain_ink: Any, build: Any, clock: Any
) -> None:
    """What the admitting doctor wrote stands in the bệnh án with his paper as origin, as long as nobody changes it."""
    stay = await build.an_admission(ward)
    encounter = stay.encounter.id
    said = {
        "ly_do": "Sốt, ho",
        "tien_su_ban_than": "Hen từ nhỏ",
        "qua_trinh_benh_ly": "Sốt 3 ngày\nHo nhiều về đêm",
    }
    first = await records.open_paper(ward, encounter, "29/BV2", build.DOCTOR, clock.now())
    await records.save_form(
        ward, first.id, {**await records.paper_answers(ward, first.id), **said}, build.DOCTOR
    )
    build.move(clock, minutes=10)
    opened = await records.open_record(ward, encounter, "01/BV1", build.DOCTOR, clock.now())
    held = await records.paper_answers(ward, opened.response.id)
    assert {key: held[key] for key in said} == said
    form = records.form_of(opened.response.data)
    proposed = await records.proposals(ward, encounter, form)
    assert proposed["ly_do"].origin == f"giấy 29/BV2, {build.DOCTOR.name}, 20/11/2026 08:00"
    page = str(render_fields(form, held, (), proposed))
    assert page.count("Lấy từ: giấy 29/BV2") == 3
    page = str(render_fields(form, {**held, "ly_do": "Khó thở"}, (), proposed))
    assert page.count("Lấy từ: giấy 29/BV2") == 2


async def test_the_moment_of_asking_and_known_allergies(
    ward: Any, plain_ink: Any, build: Any, clock: Any
) -> None:
    """A request is dated when it is written, its result is not; an allergy on record warns on the next paper."""
    record = await build.an_inpatient_record(ward)
    for status, name in (("confirmed", "Penicillin"), ("refuted", "Sữa")):
        await ward.create(
            {
                "resourceType": "AllergyIntolerance",
                "clinicalStatus": {
                    "coding": [{"system": f"{HL7}allergyintolerance-clinical", "code": "active"}]
                },
                "verificationStatus": {
                    "coding": [{"system": f"{HL7}allergyintolerance-verification", "code": status}]
                },
                "code": {"text": name},
                "patient": {"reference": f"Patient/{record.patient.id}"},
            }
        )
    imaging = await records.defaults(ward, record.id, "09/BV2")
    assert imaging["gio_yeu_cau"] == "2026-11-20T08:00:00+07:00"
    assert "gio_ket_qua" not in imaging
    assert "Penicillin" in imaging["di_ung"]
    assert "Sữa" not in imaging["di_ung"]


async def test_every_fact_that_a_form_asks_for_is_known_of_somebody(
    ward: Any, plain_ink: Any, build: Any, clock: Any
) -> None:
    """No form asks for what nothing in the record could ever give."""
    record = await build.a_whole_record(ward, clock)
    known = {*await records.facts(ward, record.id), *(n for n, fact in FACTS.items() if fact.papers)}
    asked = {i.populate for form in catalogue().all() for i in form.answerable() if i.populate}
    assert asked - known <= SELDOM


#: Facts that this record has none of: not referred, moved or archived; no newborn; a paper's number comes with the paper.
SELDOM = {
    "encounter.diagnosis.emergency",
    "encounter.diagnosis.referral",
    "encounter.transfers",
    "paper.number",
    "patient.address.line",
    "patient.contact.address",
    "patient.father",
    "patient.identity.issued",
    "patient.mother",
    "patient.workplace",
    "record.archive_number",
    "vitals.spo2",
}
HL7 = "http://terminology.hl7.org/CodeSystem/"
