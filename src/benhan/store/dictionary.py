"""Trains the compression dictionary of the log from invented resources: ``python -m benhan.store.dictionary N``.

Run once per dictionary; the result is shipped as ``data/fhir-N.zdict`` and never changed, because rows name it.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

import zstandard

from benhan.base.json_door import JsonObject, dumps

_SIZE = 48_000
_SAMPLES = 4000
_FAMILY = ("Nguyễn", "Trần", "Lê", "Phạm", "Hoàng", "Phan", "Vũ", "Đặng", "Bùi", "Đỗ", "Hồ", "Ngô", "Dương", "Lý")
_GIVEN = ("Văn An", "Thị Bình", "Minh Châu", "Quốc Dũng", "Thị Hà", "Hữu Khánh", "Ngọc Lan", "Đức Mạnh", "Thu Nga")
_LABS = (
    ("718-7", "Hemoglobin", "g/L"), ("6690-2", "Bạch cầu", "10*9/L"), ("2160-0", "Creatinin", "umol/L"),
    ("2345-7", "Glucose", "mmol/L"), ("8867-4", "Mạch", "/min"), ("8310-5", "Nhiệt độ", "Cel"),
    ("8480-6", "Huyết áp tâm thu", "mm[Hg]"), ("8462-4", "Huyết áp tâm trương", "mm[Hg]"),
    ("9279-1", "Nhịp thở", "/min"), ("2708-6", "SpO2", "%"), ("29463-7", "Cân nặng", "kg"),
)  # fmt: skip
_ICD = (("J18.9", "Viêm phổi, không xác định"), ("I10", "Tăng huyết áp vô căn"), ("E11.9", "Đái tháo đường típ 2"),
        ("K35.8", "Viêm ruột thừa cấp"), ("A90", "Sốt xuất huyết Dengue"), ("J44.1", "COPD đợt cấp"))  # fmt: skip


def sample(pick: random.Random) -> JsonObject:
    """One invented resource of the kinds a ward writes most."""
    uid = lambda: f"0199{pick.getrandbits(16):04x}-{pick.getrandbits(16):04x}-7{pick.getrandbits(12):03x}-8{pick.getrandbits(12):03x}-{pick.getrandbits(48):012x}"  # noqa: E731
    at = f"2026-{pick.randint(1, 12):02}-{pick.randint(1, 28):02}T{pick.randint(0, 23):02}:{pick.randint(0, 59):02}:00.000+07:00"
    base = {"id": uid(), "meta": {"versionId": str(pick.randint(1, 3)), "lastUpdated": at[:19] + ".000Z"}}
    links = {"subject": {"reference": f"Patient/{uid()}"}, "encounter": {"reference": f"Encounter/{uid()}"}}
    who = {"reference": f"Practitioner/{uid()}", "display": f"BS {pick.choice(_FAMILY)} {pick.choice(_GIVEN)}"}
    code, name, unit = pick.choice(_LABS)
    icd, icd_name = pick.choice(_ICD)
    value = round(pick.uniform(1, 180), 1)
    kinds: list[JsonObject] = [
        {"resourceType": "Observation", **base, "status": "final", "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": pick.choice(["vital-signs", "laboratory"])}]}], "code": {"coding": [{"system": "http://loinc.org", "code": code, "display": name}], "text": name}, **links, "effectiveDateTime": at, "performer": [who], "valueQuantity": {"value": value, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit}, "interpretation": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation", "code": "N"}]}], "referenceRange": [{"low": {"value": 1}, "high": {"value": 10}}]},
        {"resourceType": "Condition", **base, "clinicalStatus": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]}, "verificationStatus": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-ver-status", "code": "confirmed"}]}, "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-category", "code": "encounter-diagnosis"}]}], "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10", "code": icd, "display": icd_name}], "text": icd_name}, **links, "recordedDate": at, "recorder": who},
        {"resourceType": "Patient", **base, "identifier": [{"system": "urn:benhan:id:cccd", "value": f"051{pick.randint(10**8, 10**9 - 1)}"}, {"system": "urn:benhan:id:bhyt", "value": f"GD451{pick.randint(10**9, 10**10 - 1)}"}, {"system": "urn:benhan:id:ma-bn", "value": f"{pick.randint(1, 999999):06}"}], "active": True, "name": [{"use": "official", "text": f"{pick.choice(_FAMILY)} {pick.choice(_GIVEN)}", "family": pick.choice(_FAMILY), "given": pick.choice(_GIVEN).split()}], "telecom": [{"system": "phone", "value": f"09{pick.randint(10**7, 10**8 - 1)}", "use": "mobile"}], "gender": pick.choice(["male", "female"]), "birthDate": f"19{pick.randint(40, 99)}-0{pick.randint(1, 9)}-1{pick.randint(0, 9)}", "address": [{"use": "home", "text": "Phường Nghĩa Lộ, tỉnh Quảng Ngãi", "country": "VN"}]},
        {"resourceType": "Encounter", **base, "identifier": [{"system": "urn:benhan:ma-lk", "value": uid()}], "status": pick.choice(["in-progress", "finished"]), "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": pick.choice(["IMP", "AMB", "EMER"])}, "subject": links["subject"], "participant": [{"individual": who}], "period": {"start": at}, "partOf": links["encounter"], "location": [{"location": {"display": "Khoa Nội, buồng 3, giường 12"}, "period": {"start": at}}], "serviceProvider": {"reference": f"Organization/{uid()}"}},
        {"resourceType": "MedicationRequest", **base, "status": "active", "intent": "order", "medicationCodeableConcept": {"coding": [{"system": "urn:benhan:thuoc", "code": "40.155", "display": "Paracetamol 500mg"}], "text": "Paracetamol 500mg"}, **links, "authoredOn": at, "requester": who, "dosageInstruction": [{"text": "Uống 1 viên x 3 lần/ngày sau ăn", "timing": {"repeat": {"frequency": 3, "period": 1, "periodUnit": "d"}}, "route": {"coding": [{"system": "urn:benhan:duong-dung", "code": "1.01", "display": "Uống"}]}, "doseAndRate": [{"doseQuantity": {"value": 1, "unit": "viên"}}]}], "dispenseRequest": {"quantity": {"value": 9, "unit": "viên"}}},
        {"resourceType": "ServiceRequest", **base, "status": "active", "intent": "order", "category": [{"coding": [{"system": "urn:benhan:dvkt", "code": "23"}]}], "priority": "routine", "code": {"coding": [{"system": "urn:benhan:dvkt", "code": "23.0051.1494", "display": f"Định lượng {name}"}]}, **links, "occurrenceDateTime": at, "authoredOn": at, "requester": who},
        {"resourceType": "QuestionnaireResponse", **base, "questionnaire": "urn:benhan:form:01/BV1|2025", "status": "completed", **links, "authored": at, "author": who, "item": [{"linkId": "ly_do_vao_vien", "answer": [{"valueString": "Sốt cao, ho, khó thở"}]}, {"linkId": "qua_trinh_benh_ly", "answer": [{"valueString": "Bệnh khởi phát cách nhập viện 3 ngày"}]}, {"linkId": "mach", "answer": [{"valueInteger": 88}]}, {"linkId": "nhiet_do", "answer": [{"valueDecimal": value}]}, {"linkId": "chan_doan", "answer": [{"valueCoding": {"system": "http://hl7.org/fhir/sid/icd-10", "code": icd, "display": icd_name}}]}]},
        {"resourceType": "Provenance", **base, "target": [{"reference": f"QuestionnaireResponse/{uid()}/_history/1"}], "occurredDateTime": at, "recorded": at, "activity": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-DocumentCompletion", "code": "LA"}]}, "agent": [{"type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/provenance-participant-type", "code": "author"}]}, "who": who}], "signature": [{"type": [{"system": "urn:iso-astm:E1762-95:2013", "code": "1.2.840.10065.1.12.1.1"}], "when": at, "who": who, "sigFormat": "application/pkcs7-signature"}]},
        {"resourceType": "DocumentReference", **base, "masterIdentifier": {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{uid()}"}, "status": "current", "docStatus": "final", "type": {"coding": [{"system": "urn:benhan:paper", "code": "01/BV1"}]}, "subject": links["subject"], "date": at, "author": [who], "content": [{"attachment": {"contentType": "application/pdf", "url": "urn:sha256:", "title": "Bệnh án Nội khoa"}}], "context": {"encounter": [links["encounter"]]}},
        {"resourceType": "DiagnosticReport", **base, "status": "final", "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0074", "code": "LAB"}]}], "code": {"text": "Xét nghiệm máu"}, **links, "effectiveDateTime": at, "issued": at, "performer": [who], "result": [{"reference": f"Observation/{uid()}"}], "conclusion": "Bình thường"},
    ]  # fmt: skip  # noqa: E501
    return pick.choice(kinds)


def train(seed: int = 1) -> bytes:
    """The dictionary, the same for the same seed and library."""
    pick = random.Random(seed)  # noqa: S311 - samples, not secrets
    samples = [dumps(sample(pick)) for _ in range(_SAMPLES)]
    return bytes(zstandard.train_dictionary(_SIZE, samples).as_bytes())


def main() -> None:
    """Write a new dictionary; an existing one is never overwritten."""
    path = Path(__file__).parent / "data" / f"fhir-{int(sys.argv[1])}.zdict"
    with path.open("xb") as file:
        file.write(train())


if __name__ == "__main__":
    main()
