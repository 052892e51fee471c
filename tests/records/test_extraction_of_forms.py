"""What the records 01/BV1–29/BV1 become when they are signed: conditions by stage, vital signs, allergies."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from benhan.fhir import validate
from benhan.forms import Form, catalogue, get, response, sample
from benhan.records.extraction import derive

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
