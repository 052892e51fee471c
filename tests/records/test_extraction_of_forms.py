"""What the records 01/BV1–29/BV1 become when they are signed: conditions by stage, vital signs, allergies."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from benhan import records
from benhan.fhir import validate
from benhan.forms import Form, catalogue, get, response, sample
from benhan.records import everything_allowed
from benhan.records.extraction import derive
from benhan.store import Repository

AT = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
RECORDS = [f for f in catalogue().all() if f.kind == "benh_an"]
WITH_HABITS = [f for f in RECORDS if "dac_diem_lien_quan" in f]


def derived(form: Form, answers: dict[str, Any]) -> list[dict[str, Any]]:
    """The resources of one signed form, each valid."""
    written = response(form, answers, "Patient/p", "Encounter/e", "Practitioner/d", AT, id="r")
    found = list(derive(form, written, {}).values())
    for resource in found:
        validate(resource)
    return found


@pytest.mark.parametrize("form", RECORDS, ids=lambda f: f.code)
def test_complete_answers_become_valid_resources(form: Form) -> None:
    """Every record gives diagnoses and vital signs, all valid FHIR."""
    kinds = {r["resourceType"] for r in derived(form, sample(form, 1))}
    assert {"Condition", "Observation"} <= kinds


@pytest.mark.parametrize("form", WITH_HABITS, ids=lambda f: f.code)
def test_a_ticked_allergy_is_an_allergy_in_every_record(form: Form) -> None:
    """The first line of the table of habits, ticked, with its allergen."""
    rows = [{"co": True, "ghi_chu": "Penicillin: nổi mề đay"}]
    found = derived(form, {"dac_diem_lien_quan": rows})
    assert [r["code"]["text"] for r in found if r["resourceType"] == "AllergyIntolerance"] == [
        "Penicillin: nổi mề đay"
    ]
    assert derived(form, {"dac_diem_lien_quan": [{"co": False}]}) == []


def test_codes_keep_their_system() -> None:
    """A diagnosis of traditional medicine is not called ICD-10."""
    form = get("18/BV1", date(2026, 11, 23))
    found = derived(
        form,
        {
            "cd_ra_vien_chinh": {"code": "M54.5", "text": "Đau lưng dưới"},
            "cd_ra_vien_chinh_yhct": {"code": "X", "text": "Yêu thống"},
        },
    )
    systems = {r["code"]["text"]: r["code"]["coding"][0]["system"] for r in found}
    assert systems == {"Đau lưng dưới": "http://hl7.org/fhir/sid/icd-10", "Yêu thống": "urn:benhan:icd-yhct"}


@pytest.mark.parametrize("code", ["05/BV1", "06/BV1", "15/BV1", "17/BV1", "18/BV1", "26/BV1"])
async def test_other_records_are_opened_written_and_signed(code: str, ward: Repository, build: Any) -> None:
    """The way of a record is the same on every form: known facts stand in it, saved, signed by its first signer."""
    admitted = await build.an_admission(ward)
    opened = await records.open_record(ward, admitted.encounter.id, code, build.DOCTOR, ward.clock.now())
    known = await records.paper_answers(ward, opened.response.id)
    assert known["ho_ten"] == "NGUYỄN VĂN MẪU"
    form = get(code, date(2026, 11, 23))
    given = {**known, **sample(form, 7)}
    await records.save_form(ward, opened.response.id, given, build.DOCTOR)
    role = form.signatures[0].role
    signed = await records.sign_paper(
        ward, opened.response.id, build.sign_as(build.DOCTOR, role), authorize=everything_allowed
    )
    assert signed is not None
    paper = await records.paper(ward, opened.response.id)
    assert [(s.role, s.standing) for s in paper.signatures] == [(role, True)]
    found = await records.derived(ward, paper.response)
    assert {"Condition", "Observation"} <= {r.data["resourceType"] for r in found.values()}
