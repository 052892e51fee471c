"""Clinical resources derived from a signed form. Derived: read-only elsewhere, each linked to its linkId, renewed when the
form is amended, set entered-in-error when the answer is gone. Facts with another home (``populate``) are not doubled."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from benhan.catalogue import systems
from benhan.forms import Extraction, Form, answers, defaults, empty, extractions
from benhan.records.facts import facts, form_of, is_error
from benhan.records.shapes import (
    coding,
    concept,
    ext_value,
    id_of,
    instant,
    of_encounter,
    ref,
    with_extensions,
)
from benhan.records.signatures import EXTRACT, activity, provenance, provenances
from benhan.records.types import JsonObject, Staff
from benhan.store import Repository, Stored

_OBS = "http://terminology.hl7.org/CodeSystem/observation-category"
_COND = "http://terminology.hl7.org/CodeSystem/condition-category"
_CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"
_VERIFIED = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
_ALLERGY = "http://terminology.hl7.org/CodeSystem/allergyintolerance-"
KINDS = ("Condition", "Observation", "AllergyIntolerance")


@cache
def _rules() -> dict[str, Any]:
    return dict(
        yaml.safe_load((Path(__file__).parent / "data" / "extraction.yaml").read_text(encoding="utf-8"))
    )


def derive(form: Form, response: JsonObject, known: Mapping[str, Any]) -> dict[str, JsonObject]:
    """Resources of a form by their key ``<response>#<linkId>#<row>``; ``known``: facts with another home (pure)."""
    given = answers(form, response)
    elsewhere = {
        link_id for link_id, default in defaults(form, known).items() if given.get(link_id) == default.value
    }
    common = {"subject": response["subject"], "encounter": response["encounter"]}
    made: dict[str, JsonObject] = {}
    for item in extractions(form, given):
        if item.link_id in elsewhere or item.resource not in ("Condition", "Observation"):
            continue
        build = _condition if item.resource == "Condition" else _observation
        body = build(item, common, response)
        if body:
            made[f"{response['id']}#{item.link_id}#{item.row}"] = body
    made.update(_allergies(form, given, response))
    return {
        key: with_extensions(body, {"url": systems.EXT_LINK_ID, "valueString": key})
        for key, body in made.items()
    }


def _condition(item: Extraction, common: JsonObject, response: JsonObject) -> JsonObject:
    value = item.value if isinstance(item.value, dict) else {"text": str(item.value)}
    code: JsonObject = {}
    if value.get("code"):
        code["coding"] = [coding(item.code_system or systems.ICD10, value["code"], value.get("text"))]
    if value.get("text"):
        code["text"] = value["text"]
    if not code:
        return {}
    if item.category == "encounter-diagnosis":
        category = [
            concept(_COND, "encounter-diagnosis", "Encounter Diagnosis"),
            concept(systems.DIAGNOSIS_STAGE, item.code or "", item.display),
        ]
    else:
        category = [concept(item.system or systems.FORM, item.code or item.link_id, item.display)]
    return {
        "resourceType": "Condition",
        "clinicalStatus": {"coding": [coding(_CLINICAL, "active")]},
        "verificationStatus": {"coding": [coding(_VERIFIED, "confirmed")]},
        "category": category,
        "code": code,
        **common,
        "recordedDate": response["authored"],
        "recorder": response["author"],
    }


def _observation(item: Extraction, common: JsonObject, response: JsonObject) -> JsonObject:
    body: JsonObject = {
        "resourceType": "Observation",
        "status": "final",
        "category": [concept(_OBS, item.category or "exam")],
        "code": {
            "coding": [coding(item.system or systems.FORM, item.code or item.link_id)],
            "text": item.display,
        },
        **common,
        "effectiveDateTime": response["authored"],
        "performer": [response["author"]],
        "derivedFrom": [ref("QuestionnaireResponse", response["id"])],
    }
    if item.type == "quantity" and not isinstance(item.value, str):
        unit = {"unit": item.unit} if item.unit else {}
        body["valueQuantity"] = {"value": item.value, **unit}
        if item.ucum:
            body["valueQuantity"] |= {"system": systems.UCUM, "code": item.ucum}
    elif isinstance(item.value, bool):
        body["valueBoolean"] = item.value
    elif isinstance(item.value, dict):
        body["valueString"] = " ".join(str(v) for v in item.value.values())
    else:
        body["valueString"] = str(item.value)
    return body


def _allergies(form: Form, given: Mapping[str, Any], response: JsonObject) -> dict[str, JsonObject]:
    made: dict[str, JsonObject] = {}
    for rule in _rules()["allergies"]:
        if rule.get("form", form.code) != form.code:
            continue
        for row in given.get(rule["table"], []):
            if str(row.get(rule["key"])) == rule["value"] and row.get(rule["tick"]) is True:
                key = f"{response['id']}#{rule['table']}#{rule['value']}"
                made[key] = _allergy(
                    str(row.get(rule["text"]) or "Có dị ứng, chưa ghi rõ dị nguyên"), response
                )
    return made


def _allergy(text: str, response: JsonObject) -> JsonObject:
    return {
        "resourceType": "AllergyIntolerance",
        "clinicalStatus": {"coding": [coding(_ALLERGY + "clinical", "active")]},
        "verificationStatus": {"coding": [coding(_ALLERGY + "verification", "confirmed")]},
        "code": {"text": text},
        "patient": response["subject"],
        "encounter": response["encounter"],
        "recordedDate": response["authored"],
        "recorder": response["author"],
    }


async def extract(tx: Repository, response: Stored, staff: Staff) -> list[Stored]:
    """Bring the derived resources of a form up to this version; one ``Provenance`` names them all."""
    encounter_id = id_of(response.data["encounter"])
    known = await facts(tx, encounter_id)
    existing = await derived(tx, response)
    for stored in existing.values():
        known = _without_own(known, stored)
    wanted = derive(form_of(response.data), response.data, known)
    made: list[Stored] = []
    for key, body in wanted.items():
        before = existing.pop(key, None)
        if before is None:
            made.append(await tx.create(body))
        elif _same(before.data, body):
            made.append(before)
        else:
            made.append(await tx.update({**body, "id": before.id}, if_match=before.version))
    for gone in existing.values():
        if not is_error(gone.data):
            await tx.update(_in_error(gone.data), if_match=gone.version)
    if made:
        await _record(tx, response, staff, made)
    return made


async def retract(tx: Repository, response: Stored) -> None:
    """What was derived from a form is entered in error: the form was written in the wrong record."""
    for stored in (await derived(tx, response)).values():
        if not is_error(stored.data):
            await tx.update(_in_error(stored.data), if_match=stored.version)


def _without_own(known: dict[str, Any], stored: Stored) -> dict[str, Any]:
    """Facts without those that this very form gave: a derived diagnosis or sign has its home in the form."""
    from benhan.records.facts import diagnosis_value

    value = diagnosis_value(stored.data) if stored.type == "Condition" else None
    number = stored.data.get("valueQuantity", {}).get("value")

    def own(fact: Any) -> bool:
        return (value is not None and not empty(value) and fact == value) or (
            number is not None and fact == number
        )

    return {name: fact for name, fact in known.items() if not own(fact)}


async def derived(repo: Repository, response: Stored) -> dict[str, Stored]:
    """Resources derived from a form by key."""
    encounter_id = id_of(response.data["encounter"])
    found: dict[str, Stored] = {}
    for kind in ("Condition", "Observation"):
        for stored in await of_encounter(repo, kind, encounter_id):
            _keep(found, stored, response)
    patient_id = id_of(response.data["subject"])
    page = await repo.search("AllergyIntolerance", [("patient", f"Patient/{patient_id}"), ("_count", "200")])
    for stored in page.entries:
        _keep(found, stored, response)
    return found


def _keep(found: dict[str, Stored], stored: Stored, response: Stored) -> None:
    key = str(ext_value(stored.data, systems.EXT_LINK_ID) or "")
    if key.startswith(f"{response.id}#"):
        found[key] = stored


def _same(before: JsonObject, after: JsonObject) -> bool:
    return {k: v for k, v in before.items() if k not in ("id", "meta")} == after


def _in_error(resource: JsonObject) -> JsonObject:
    if resource["resourceType"] == "Observation":
        return {**resource, "status": "entered-in-error"}
    system = _VERIFIED if resource["resourceType"] == "Condition" else _ALLERGY + "verification"
    bare = {k: v for k, v in resource.items() if k != "clinicalStatus"}
    return {**bare, "verificationStatus": {"coding": [coding(system, "entered-in-error")]}}


async def _record(tx: Repository, response: Stored, staff: Staff, made: list[Stored]) -> None:
    source = f"{response.type}/{response.id}/_history/{response.version}"
    targets = [ref(s.type, s.id) for s in made]
    recorded = instant(tx.clock.now())
    # the paper itself is a target too, so that its acts are found together
    resource = provenance(EXTRACT, [ref(response.type, response.id), *targets], staff, "", recorded, source)
    before = [p for p in await provenances(tx, response) if activity(p.data) == EXTRACT]
    if before:
        await tx.update({**resource, "id": before[-1].id}, if_match=before[-1].version)
    else:
        await tx.create(resource)
