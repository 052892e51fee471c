"""Invented populations and queries for the differential test of search."""

from __future__ import annotations

from decimal import Decimal
from random import Random
from typing import Any

from tests.store.search_oracle import COMPOSITES, PARAMS, UCUM, Resource, codings, dig, many

HO, DEM, TEN = (
    ("Nguyễn", "Trần", "Đặng", "Lê", "Bùi"),
    ("Thị", "Văn", "Minh", "Ngọc"),
    ("Hoa", "Hoàng", "Đức", "Ân", "Yến"),
)
CITIES = ("Quảng Ngãi", "Đức Phổ", "Bình Sơn", "Sơn Tịnh")
LOINC, ICD, LOCAL = "http://loinc.org", "http://hl7.org/fhir/sid/icd-10", "urn:benhan:lab"
CODES = (
    ("29463-7", "Cân nặng"),
    ("8302-2", "Chiều cao"),
    ("718-7", "Huyết sắc tố"),
    ("2339-0", "Đường huyết"),
)
DISEASES = ("A00", "A00.0", "A00.1", "A01.0", "J18.9", "I10")
UNITS_OF = (
    ("kg", "kg"),
    ("g", "gam"),
    ("mg", "mg"),
    ("g/L", "g/L"),
    ("mg/dL", "mg/dL"),
    ("cm", "cm"),
    ("m", "m"),
)
CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"
CLINICAL_CODES = ("active", "recurrence", "relapse", "inactive", "remission", "resolved")
STATUS = ("registered", "preliminary", "final", "amended", "corrected")
SYSTEMS = ("urn:a:so", "urn:b:so")
MR = {
    "coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}],
    "text": "Mã bệnh nhân",
}
VALUE_SET_URL = "http://bv.example/fhir/ValueSet/benh-ta"
IN_VALUE_SET = [(ICD, "A00"), (ICD, "A00.0"), (LOINC, "718-7")]


def day(rng: Random) -> str:
    return f"202{rng.randrange(3, 6)}-{rng.randrange(1, 13):02}-{rng.randrange(1, 29):02}"


def a_date(rng: Random) -> str:
    """A date of any precision."""
    full = day(rng)
    zone = rng.choice(("Z", "+07:00", "+01:00"))
    return rng.choice(
        (full[:4], full[:7], full, full, f"{full}T{rng.randrange(24):02}:{rng.randrange(60):02}:00{zone}")
    )


def a_number(rng: Random) -> Decimal:
    digits = rng.randrange(0, 3)
    return Decimal(rng.randrange(1, 20 * 10**digits)).scaleb(-digits)


def identifier(rng: Random, number: int) -> list[Resource]:
    out: list[Resource] = [{"system": rng.choice(SYSTEMS), "value": f"S{number % 23:03}"}]
    if rng.random() < 0.3:
        out[0]["type"] = MR
    if rng.random() < 0.3:
        out.append({"value": f"T{number % 7}"})
    return out


def coding(system: str, pair: tuple[str, str]) -> Resource:
    return {"system": system, "code": pair[0], "display": pair[1]}


def code(rng: Random) -> Resource:
    out: Resource = {"coding": [coding(LOINC, rng.choice(CODES))]}
    if rng.random() < 0.4:
        out["coding"].append(
            coding(LOCAL, rng.choice((("L1", "Máu"), ("L2", "Nước tiểu"), ("718-7", "Trùng mã"))))
        )
    if rng.random() < 0.4:
        out["text"] = rng.choice(("Huyết sắc tố", "Cân", "đường máu"))
    return out


def quantity(rng: Random) -> Resource:
    unit, written = rng.choice(UNITS_OF)
    out: Resource = {"value": a_number(rng)}
    kind = rng.random()
    if kind < 0.75:
        out |= {"unit": written, "system": UCUM, "code": unit}
    elif kind < 0.9:
        out |= {"system": "urn:don-vi", "code": unit}
    return out


def human(rng: Random) -> Resource:
    family, given = rng.choice(HO), [rng.choice(DEM), rng.choice(TEN)]
    out: Resource = {"family": family, "given": given}
    if rng.random() < 0.5:
        out["text"] = " ".join([family, *given])
    return out


class Making:
    """Makes resources one after another, each referring to those before it."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.made: list[Resource] = []

    def ref(self, *kinds: str, miss: float = 0.05) -> Resource:
        rng = self.rng
        held = [r for r in self.made if r["resourceType"] in kinds]
        if rng.random() < miss or not held:
            return {"identifier": {"system": rng.choice(SYSTEMS), "value": f"S{rng.randrange(23):03}"}}
        one = rng.choice(held)
        return {"reference": f"{one['resourceType']}/{one['id']}"}

    def population(self, size: int) -> list[Resource]:
        makers = (
            (self.organization, 1), (self.practitioner, 1), (self.patient, 3), (self.encounter, 3), (self.condition, 3),
            (self.observation, 6), (self.risk, 1), (self.value_set, 1), (self.group, 1),
        )  # fmt: skip
        total = sum(share for _, share in makers)
        for make, share in makers:
            for n in range(max(3, size * share // total)):
                made = make(n)
                kind = made["resourceType"]
                self.made.append({**made, "id": f"{kind[:3].lower()}{n}"})
        return self.made

    def organization(self, n: int) -> Resource:
        rng = self.rng
        out: Resource = {
            "resourceType": "Organization",
            "identifier": identifier(rng, n),
            "name": f"Khoa {rng.choice(CITIES)} {n % 3}",
        }
        if n and rng.random() < 0.7:
            out["partOf"] = self.ref("Organization")
        if rng.random() < 0.5:
            out["alias"] = [rng.choice(("Khoa Nội", "Khoa Ngoại"))]
        if rng.random() < 0.5:
            out["type"] = [{"text": "Khoa phòng", "coding": [{"system": "urn:loai", "code": "khoa"}]}]
        return out

    def practitioner(self, n: int) -> Resource:
        return {"resourceType": "Practitioner", "identifier": identifier(self.rng, n), "name": [human(self.rng)],
                "active": self.rng.random() < 0.7}  # fmt: skip

    def patient(self, n: int) -> Resource:
        rng = self.rng
        out: Resource = {"resourceType": "Patient", "identifier": identifier(rng, n), "name": [human(rng)]}
        if rng.random() < 0.2:
            out["name"].append({"text": "Tên Khác"})
        if rng.random() < 0.9:
            out["gender"] = rng.choice(("male", "female", "unknown"))
        if rng.random() < 0.8:
            out["birthDate"] = f"{rng.randrange(1950, 2000)}-0{rng.randrange(1, 10)}-1{rng.randrange(10)}"[
                : rng.choice((4, 7, 10))
            ]
        if rng.random() < 0.5:
            out["active"] = rng.random() < 0.5
        if rng.random() < 0.6:
            out["managingOrganization"] = self.ref("Organization")
        if rng.random() < 0.5:
            out["generalPractitioner"] = [
                self.ref("Practitioner", "Organization") for _ in range(rng.randrange(1, 3))
            ]
        if rng.random() < 0.5:
            out["address"] = [{"city": rng.choice(CITIES)}]
        if rng.random() < 0.4:
            out["telecom"] = [{"system": rng.choice(("phone", "email")), "value": f"09{n % 5}"}]
        if rng.random() < 0.1:
            out["deceasedDateTime"] = a_date(rng)
        return out

    def encounter(self, n: int) -> Resource:
        rng = self.rng
        out: Resource = {
            "resourceType": "Encounter",
            "status": rng.choice(("planned", "in-progress", "finished")),
            "class": {
                "system": "http://terminology.hl7.org/CodeSystem/v3-ActCode",
                "code": rng.choice(("IMP", "AMB")),
            },
        }
        if rng.random() < 0.9:
            out["subject"] = self.ref("Patient")
        if rng.random() < 0.5:
            out["identifier"] = identifier(rng, n)
        if rng.random() < 0.8:
            start = day(rng)
            out["period"] = {"start": f"{start}T08:00:00+07:00"}
            if rng.random() < 0.6:
                out["period"]["end"] = f"{start[:4]}-{start[5:7]}-28T17:30:00+07:00"
        if rng.random() < 0.3:
            out["partOf"] = self.ref("Encounter")
        if rng.random() < 0.5:
            out["serviceProvider"] = self.ref("Organization")
        if rng.random() < 0.6:
            out["participant"] = [{"individual": self.ref("Practitioner")}]
        return out

    def condition(self, n: int) -> Resource:
        rng = self.rng
        out: Resource = {
            "resourceType": "Condition",
            "subject": self.ref("Patient"),
            "code": {
                "coding": [{"system": ICD, "code": rng.choice(DISEASES), "display": "Bệnh tả"}],
                "text": "Sốt, đau bụng",
            },
            "clinicalStatus": {"coding": [{"system": CLINICAL, "code": rng.choice(CLINICAL_CODES)}]},
        }
        if any(c["code"] in ("inactive", "remission", "resolved") for c in out["clinicalStatus"]["coding"]):
            out["abatementString"] = "khỏi"
        if rng.random() < 0.5:
            out["encounter"] = self.ref("Encounter")
        if rng.random() < 0.5:
            out["onsetDateTime"] = a_date(rng)
        elif rng.random() < 0.5:
            out["onsetPeriod"] = {"start": day(rng)[:7]}
        if rng.random() < 0.5:
            out["recordedDate"] = a_date(rng)
        if rng.random() < 0.4:
            out["asserter"] = self.ref("Practitioner", "Patient")
        if rng.random() < 0.4:
            out["note"] = [{"text": rng.choice(("tràn dịch màng phổi", "theo dõi thêm", "phù hai chân"))}]
        return out

    def observation(self, n: int) -> Resource:
        rng = self.rng
        out: Resource = {"resourceType": "Observation", "status": rng.choice(STATUS), "code": code(rng)}
        if rng.random() < 0.9:
            out["subject"] = self.ref("Patient") if rng.random() < 0.9 else self.ref("Group", "Patient")
        if rng.random() < 0.5:
            out["encounter"] = self.ref("Encounter")
        if rng.random() < 0.7:
            out["effectiveDateTime"] = a_date(rng)
        elif rng.random() < 0.5:
            start = day(rng)
            out["effectivePeriod"] = {"start": start, "end": f"{start[:8]}28T23:00:00+07:00"}
        if rng.random() < 0.6:
            out["performer"] = [
                self.ref("Practitioner", "Organization", "Patient") for _ in range(rng.randrange(1, 3))
            ]
        if rng.random() < 0.6:
            out["category"] = [{"coding": [{"system": CATEGORY, "code": rng.choice(("laboratory", "vital-signs")),
                                            "display": "Dấu hiệu sinh tồn"}]}]  # fmt: skip
        kind = rng.random()
        if kind < 0.5:
            out["valueQuantity"] = quantity(rng)
        elif kind < 0.6:
            out["valueString"] = rng.choice(("Âm tính", "dương tính", "nghi ngờ"))
        elif kind < 0.75:
            out["valueCodeableConcept"] = {
                "text": "Âm tính",
                "coding": [{"system": "urn:kq", "code": rng.choice("AB")}],
            }
        else:
            out["component"] = [
                {"code": {"coding": [{"system": LOINC, "code": c}]}, "valueQuantity": quantity(rng)}
                for c in rng.sample(("8480-6", "8462-4", "9999-9"), rng.randrange(1, 4))
            ]
        if rng.random() < 0.15:
            out["hasMember"] = [self.ref("Observation")]
        if rng.random() < 0.2:
            out["text"] = {
                "status": "generated",
                "div": '<div xmlns="http://www.w3.org/1999/xhtml">Kết quả <b>bất thường</b></div>',
            }
        return out

    def risk(self, n: int) -> Resource:
        rng = self.rng
        return {"resourceType": "RiskAssessment", "status": "final", "subject": self.ref("Patient"),
                "occurrenceDateTime": a_date(rng),
                "prediction": [{"probabilityDecimal": Decimal(rng.randrange(0, 100)).scaleb(-2)}]}  # fmt: skip

    def value_set(self, n: int) -> Resource:
        url = (
            VALUE_SET_URL
            if n == 0
            else self.rng.choice(
                (
                    "http://bv.example/fhir",
                    "http://bv.example/",
                    "http://bv.example/fhir/ValueSet/x",
                    "urn:oid:1.2.3",
                )
            )
        )
        include: list[Resource] = [
            {"system": ICD, "concept": [{"code": "A00"}, {"code": "A00.0"}]},
            {"system": LOINC, "concept": [{"code": "718-7"}]},
        ]
        return {"resourceType": "ValueSet", "status": self.rng.choice(("draft", "active")), "url": url,
                "name": f"Bo{n}", "compose": {"include": include}}  # fmt: skip

    def group(self, n: int) -> Resource:
        rng = self.rng
        held = [self.ref("Patient", miss=0) for _ in range(rng.randrange(1, 4))]
        return {"resourceType": "Group", "type": "person", "actual": True, "member": [{"entity": e} for e in held],
                "characteristic": [
                    {"code": {"coding": [{"system": "urn:dac-diem", "code": rng.choice("XY")}]},
                     "valueCodeableConcept": {"coding": [{"code": rng.choice("PQ")}]}, "exclude": False}
                    for _ in range(rng.randrange(1, 3))]}  # fmt: skip


TARGETS = {
    ("Patient", "organization"): ["Organization"], ("Patient", "general-practitioner"): ["Practitioner", "Organization"],
    ("Organization", "partof"): ["Organization"], ("Encounter", "subject"): ["Patient"], ("Encounter", "patient"): ["Patient"],
    ("Encounter", "part-of"): ["Encounter"], ("Encounter", "service-provider"): ["Organization"],
    ("Encounter", "participant"): ["Practitioner"], ("Condition", "subject"): ["Patient"],
    ("Condition", "patient"): ["Patient"],
    ("Condition", "encounter"): ["Encounter"], ("Condition", "asserter"): ["Practitioner", "Patient"],
    ("Observation", "subject"): ["Patient", "Group"], ("Observation", "patient"): ["Patient"],
    ("Observation", "encounter"): ["Encounter"], ("Observation", "performer"): ["Practitioner", "Organization", "Patient"],
    ("Observation", "has-member"): ["Observation"], ("RiskAssessment", "subject"): ["Patient"],
    ("Group", "member"): ["Patient"],
}  # fmt: skip
PREFIXES = ("", "", "", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap")
_UPPER = ("A00.0", "A00.1", "A00")


class Asking:
    """Makes queries whose values are taken from the population, now and then bent."""

    def __init__(self, seed: int, resources: list[Resource]) -> None:
        self.rng, self.resources = Random(seed), resources

    def query(self) -> tuple[str, list[tuple[str, str]]]:
        rng = self.rng
        kind = rng.choice(list(PARAMS) + ["Observation"] * 3 + ["Patient"] * 2)
        count = rng.choice((0, 1, 1, 1, 2, 2, 3))
        asked = [self.one(kind, 0) for _ in range(count)]
        if rng.random() < 0.06:
            asked.append(("_compartment", f"Patient/{self.an_id('Patient')}"))
        return kind, asked

    def one(self, kind: str, depth: int) -> tuple[str, str]:
        rng = self.rng
        if depth < 3 and rng.random() < (0.35, 0.3, 0.15)[depth]:
            found = self.chain(kind, depth) if rng.random() < 0.6 else self.reverse(kind, depth)
            if found:
                return found
        if depth == 0 and rng.random() < 0.05:
            return rng.choice(
                (("_content", "tran dich"), ("_content", "Theo Dõi,phù"), ("_text", "bat thuong"), ("_content", "khoa noi"),
                 ("_content", "benh ta"), ("_id", f"{self.an_id(kind)},{self.an_id(kind)}"))
            )  # fmt: skip
        composites = [name for k, name in COMPOSITES if k == kind]
        if composites and rng.random() < 0.2:
            name = rng.choice(composites)
            return name, ",".join(self.composite(kind, name) for _ in range(rng.choice((1, 1, 2))))
        name = rng.choice(list(PARAMS[kind]))
        return self.plain(kind, name)

    def chain(self, kind: str, depth: int) -> tuple[str, str] | None:
        options = [name for k, name in TARGETS if k == kind]
        if not options:
            return None
        name = self.rng.choice(options)
        target = self.rng.choice(TARGETS[kind, name])
        rest, value = self.one(target, depth + 1)
        if rest.startswith("_") and not rest.startswith(("_has:", "_id")):
            return None
        several = len(TARGETS[kind, name]) > 1 or name in ("subject", "member")
        typed = f":{target}" if several or self.rng.random() < 0.3 else ""
        return f"{name}{typed}.{rest}", value

    def reverse(self, kind: str, depth: int) -> tuple[str, str] | None:
        options = [(source, name) for (source, name), targets in TARGETS.items() if kind in targets]
        if not options:
            return None
        source, name = self.rng.choice(options)
        rest, value = self.one(source, depth + 1)
        return f"_has:{source}:{name}:{rest}", value

    def an_id(self, kind: str) -> str:
        return str(self.rng.choice([r["id"] for r in self.resources if r["resourceType"] == kind]))

    def a(self, kind: str) -> Resource:
        return self.rng.choice([r for r in self.resources if r["resourceType"] == kind])

    def held(self, kind: str, name: str, entry: str) -> list[Any]:
        for _ in range(8):
            found = PARAMS[kind][name][entry](self.a(kind))
            if found:
                return list(found)
        return []

    def plain(self, kind: str, name: str) -> tuple[str, str]:
        rng, entry = self.rng, PARAMS[kind][name]
        if rng.random() < 0.06:
            return f"{name}:missing", rng.choice(("true", "false"))
        if "token" in entry:
            return self.token(kind, name)
        made = {
            "string": self.string, "date": self.date, "number": self.number, "quantity": self.quantity,
            "reference": self.reference, "uri": self.uri,
        }[next(k for k in entry)]  # fmt: skip
        modifier, values = "", []
        for n in range(rng.choice((1, 1, 1, 2))):
            chosen, value = made(kind, name)
            if n == 0:
                modifier = chosen
            if chosen == modifier:
                values.append(value)
        return f"{name}:{modifier}" if modifier else name, ",".join(values)

    def token(self, kind: str, name: str) -> tuple[str, str]:
        rng, entry = self.rng, PARAMS[kind][name]
        system, code_ = rng.choice(self.held(kind, name, "token") or [("urn:x", "x")])
        roll = rng.random()
        if roll < 0.08 and entry["text"](self.a(kind)) is not None and "code" not in entry:
            texts = self.held(kind, name, "text") or ["khong co"]
            text = rng.choice(texts)
            return f"{name}:text", text[: rng.randrange(3, len(text) + 1)].replace(",", "\\,") if len(
                text
            ) > 3 else text
        if roll < 0.16 and "typed" in entry and (found := self.held(kind, name, "typed")):
            return f"{name}:of-type", "|".join(rng.choice(found))
        if (roll < 0.25 and name == "code") or (roll < 0.2 and name == "combo-code"):
            url = rng.choice((VALUE_SET_URL, "ValueSet/val0"))
            return f"{name}:{rng.choice(('in', 'not-in'))}", url
        if roll < 0.4 and (kind, name) == ("Condition", "code"):
            return (
                f"{name}:{rng.choice(('below', 'above'))}",
                f"{ICD}|{rng.choice((*_UPPER, 'A00-A09', 'I'))}",
            )
        if roll < 0.4 and name == "clinical-status":
            return f"{name}:{rng.choice(('below', 'above'))}", f"{CLINICAL}|{rng.choice(CLINICAL_CODES)}"
        if roll < 0.3 and (kind, name) == ("Observation", "status"):
            return rng.choice((
                (f"{name}:in", "http://hl7.org/fhir/ValueSet/observation-status"),
                (f"{name}:below", "http://hl7.org/fhir/observation-status|amended"),
            ))  # fmt: skip
        shape = rng.random()
        one = (
            code_
            if shape < 0.5
            else f"{system}|{code_}"
            if shape < 0.85
            else f"|{code_}"
            if shape < 0.93
            else f"{system}|"
        )
        if one == "|":
            one = code_
        more = [c for _, c in self.held(kind, name, "token")[:1]] if rng.random() < 0.2 else []
        return f"{name}:not" if rng.random() < 0.12 else name, ",".join([one, *more])

    def string(self, kind: str, name: str) -> tuple[str, str]:
        rng = self.rng
        text = rng.choice(self.held(kind, name, "string") or ["khong co"])
        modifier = rng.choice(("", "", "", "exact", "contains"))
        if modifier == "exact":
            return modifier, text if rng.random() < 0.8 else text.lower()
        start = rng.randrange(len(text)) if modifier else 0
        part = text[start : start + rng.randrange(2, 12)].strip() or text
        return modifier, rng.choice((part, part.lower(), part.upper()))

    def date(self, kind: str, name: str) -> tuple[str, str]:
        rng = self.rng
        text = a_date(rng)
        if name == "birthdate":
            text = f"{rng.randrange(1950, 2000)}-0{rng.randrange(1, 10)}"[: rng.choice((4, 7))]
        elif (found := self.held(kind, name, "date")) and rng.random() < 0.5:
            text = rng.choice(found)[rng.randrange(2)].isoformat(timespec="seconds")
            text = text if text[:2] == "20" else "2024"
        return "", rng.choice(PREFIXES) + text

    def number(self, kind: str, name: str) -> tuple[str, str]:
        return "", self.rng.choice(PREFIXES) + str(
            Decimal(self.rng.randrange(0, 100)).scaleb(-self.rng.randrange(1, 3))
        )

    def quantity(self, kind: str, name: str) -> tuple[str, str]:
        rng = self.rng
        value = a_number(rng)
        if (found := self.held(kind, name, "quantity")) and rng.random() < 0.6:
            value = rng.choice(found)["value"]
        unit = rng.choice(("", "", f"|{UCUM}|{rng.choice(UNITS_OF)[0]}", f"|{UCUM}|{rng.choice(UNITS_OF)[0]}",
                           f"||{rng.choice(rng.choice(UNITS_OF))}", f"|urn:don-vi|{rng.choice(UNITS_OF)[0]}"))  # fmt: skip
        return "", f"{rng.choice(PREFIXES)}{value:f}{unit}"

    def reference(self, kind: str, name: str) -> tuple[str, str]:
        rng = self.rng
        target = rng.choice(TARGETS[kind, name])
        roll = rng.random()
        if roll < 0.1:
            return "identifier", rng.choice(
                (f"{rng.choice(SYSTEMS)}|S{rng.randrange(23):03}", f"S{rng.randrange(23):03}")
            )
        found = [t["reference"] for t in self.held(kind, name, "reference") if "reference" in t]
        text = rng.choice(found) if found and rng.random() < 0.7 else f"{target}/{self.an_id(target)}"
        if roll < 0.3:
            return text.split("/")[0], text.split("/")[1]
        return "", text.split("/")[1] if roll < 0.45 else text

    def uri(self, kind: str, name: str) -> tuple[str, str]:
        url = self.rng.choice(self.held(kind, name, "uri") or ["urn:x"])
        modifier = self.rng.choice(("", "below", "above"))
        return modifier, url + ("/y" if modifier == "above" and self.rng.random() < 0.5 else "")

    def composite(self, kind: str, name: str) -> str:
        groups, parts = COMPOSITES[kind, name]
        for _ in range(10):
            group = self.rng.choice(many(groups(self.a(kind))) or [{}])
            if all(dig(group, path) for _, path in parts):
                break
        pieces = []
        for part_kind, path in parts:
            found = dig(group, path)
            if part_kind == "token":
                system, code_ = self.rng.choice(codings(found) or [("", "x")])
                pieces.append(code_ if self.rng.random() < 0.5 else f"{system}|{code_}")
            elif part_kind == "string":
                pieces.append(str(found[0])[:4] if found else "x")
            else:
                held = found[0] if found else {"value": Decimal(1)}
                unit = self.rng.choice(
                    ("", f"|{held.get('system', '')}|{held['code']}" if "code" in held else "")
                )
                pieces.append(f"{self.rng.choice(PREFIXES)}{held['value']:f}{unit}")
        return "$".join(pieces)

    def includes(self, kind: str) -> list[tuple[str, str]]:
        rng, out = self.rng, []
        for _ in range(rng.randrange(1, 4)):
            iterate = ":iterate" if rng.random() < 0.4 else ""
            source, name = rng.choice([k for k in TARGETS if k[0] == kind or iterate] or list(TARGETS))
            back = [(s, n) for (s, n), targets in TARGETS.items() if kind in targets or iterate]
            if rng.random() < 0.5 and back:
                source, name = rng.choice(back)
                out.append((f"_revinclude{iterate}", f"{source}:{name}"))
            else:
                target = f":{rng.choice(TARGETS[source, name])}" if rng.random() < 0.3 else ""
                out.append((f"_include{iterate}", f"{source}:{name}{target}"))
        return out

    def sort(self, kind: str) -> list[tuple[str, bool]]:
        options = ["_id"] + [
            n for n, e in PARAMS[kind].items()
            if next(iter(e)) in ("date", "string", "number", "quantity", "uri")
            and n not in ("name", "family", "given") and not n.startswith("combo-")
        ]  # fmt: skip
        if kind == "Organization":
            options.append("name")
        return [
            (self.rng.choice(options), self.rng.random() < 0.5) for _ in range(self.rng.choice((1, 1, 2)))
        ]
