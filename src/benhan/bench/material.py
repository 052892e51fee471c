"""Invented resources to measure with: an observation and a patient of about 2 kB, and bundles of them."""

from __future__ import annotations

from random import Random
from typing import Any

from benhan.base.ids import new_id
from benhan.base.json_door import JsonObject

_TEXT = (
    "mẫu máu đạt yêu cầu xét nghiệm lại sau hai giờ vì vỡ hồng cầu nhẹ so với lần trước giảm rõ người bệnh đã dùng thuốc "
    "sắt truyền dịch kết quả phù hợp lâm sàng bác sĩ điều trị xem cùng huyết đồ chỉ số thể tích trung bình tiểu cầu trong "
    "giới hạn bình thường theo dõi thêm mười ngày báo khoa biết qua điện thoại lúc sáng không ghi nhận bất thường khác"
)
_WORDS = tuple(_TEXT.split())


def note(number: int) -> str:
    """About 450 bytes of Vietnamese words in an order of its own, so that it packs no better than written notes do."""
    source = Random(number)
    return " ".join(source.choice(_WORDS) for _ in range(80))


def patient(number: int) -> JsonObject:
    """An invented patient."""
    return {
        "resourceType": "Patient",
        "id": new_id(),
        "identifier": [{"system": "urn:benhan:id:ma-bn", "value": f"BENCH{number:08d}"}],
        "name": [
            {
                "use": "official",
                "text": f"NGUYỄN VĂN MẪU {number}",
                "family": "NGUYỄN",
                "given": ["VĂN", "MẪU"],
            }
        ],
        "gender": "male" if number % 2 else "female",
        "birthDate": f"{1950 + number % 70}-0{1 + number % 9}-1{number % 9}",
    }


def observation(patient_id: str, number: int) -> JsonObject:
    """An invented laboratory result of about 2 kB."""
    return {
        "resourceType": "Observation",
        "id": new_id(patient_id),
        "identifier": [{"system": "urn:benhan:lab:result", "value": f"KQ26{number:09d}"}],
        "basedOn": [{"reference": f"ServiceRequest/bench-{number}"}],
        "status": "final",
        "category": [
            {
                "coding": [
                    {
                        "system": "http://terminology.hl7.org/CodeSystem/observation-category",
                        "code": "laboratory",
                        "display": "Laboratory",
                    }
                ]
            }
        ],
        "code": {
            "coding": [
                {
                    "system": "http://loinc.org",
                    "code": "718-7",
                    "display": "Hemoglobin [Mass/volume] in Blood",
                },
                {
                    "system": "urn:benhan:lab",
                    "code": f"LAB{number % 80:03d}",
                    "display": "Huyết sắc tố (HGB)",
                },
            ],
            "text": "Huyết sắc tố",
        },
        "subject": {"reference": f"Patient/{patient_id}", "display": "NGUYỄN VĂN MẪU"},
        "effectiveDateTime": f"2026-{1 + number % 12:02d}-{1 + number % 28:02d}T08:{number % 60:02d}:00+07:00",
        "encounter": {"reference": f"Encounter/bench-{number % 7}"},
        "issued": "2026-11-22T09:30:00.000+07:00",
        "performer": [{"reference": "Practitioner/bench", "display": "KTV Trần Thị Thử"}],
        "valueQuantity": {
            "value": 100 + number % 80,
            "unit": "g/L",
            "system": "http://unitsofmeasure.org",
            "code": "g/L",
        },
        "interpretation": [
            {
                "coding": [
                    {
                        "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation",
                        "code": "N",
                        "display": "Normal",
                    }
                ]
            }
        ],
        "specimen": {"reference": f"Specimen/bench-{number}", "display": "Máu toàn phần chống đông EDTA"},
        "referenceRange": [
            {
                "low": {"value": 120, "unit": "g/L", "system": "http://unitsofmeasure.org", "code": "g/L"},
                "high": {"value": 175, "unit": "g/L", "system": "http://unitsofmeasure.org", "code": "g/L"},
                "text": "120 – 175",
            }
        ],
        "note": [{"text": note(number)}],
    }


def bundle(resources: list[JsonObject]) -> dict[str, Any]:
    """A transaction that puts each resource under its own id."""
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {
                "fullUrl": f"https://bench.invalid/{r['resourceType']}/{r['id']}",
                "resource": r,
                "request": {"method": "PUT", "url": f"{r['resourceType']}/{r['id']}"},
            }
            for r in resources
        ],
    }
