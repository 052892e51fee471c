"""What the record knows fills any form of the catalogue in the shape of its items."""

from __future__ import annotations

from typing import Any

from benhan import records
from benhan.base.clock import fhir_instant
from benhan.fhir import validate
from benhan.forms import catalogue, check, response


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
