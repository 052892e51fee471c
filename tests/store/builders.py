"""Invented resources for tests of the store."""

from __future__ import annotations

from typing import Any


def a_patient(
    name: str = "Nguyễn Thị Hoa", cccd: str = "051190000001", born: str = "1990-05-12"
) -> dict[str, Any]:
    words = name.split()
    return {
        "resourceType": "Patient",
        "identifier": [{"system": "urn:benhan:id:cccd", "value": cccd}],
        "name": [{"text": name, "family": words[0], **({"given": words[1:]} if words[1:] else {})}],
        "gender": "female",
        "birthDate": born,
    }


def an_observation(
    patient_id: str, value: str = "72.50", at: str = "2026-11-20T08:00:00+07:00"
) -> dict[str, Any]:
    from decimal import Decimal

    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7"}]},
        "subject": {"reference": f"Patient/{patient_id}"},
        "effectiveDateTime": at,
        "valueQuantity": {
            "value": Decimal(value), "unit": "kg", "system": "http://unitsofmeasure.org", "code": "kg"
        },
    }  # fmt: skip
