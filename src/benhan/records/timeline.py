"""What happened to a patient, newest first, over all đợt of this facility."""

from __future__ import annotations

from datetime import datetime

from benhan.catalogue import systems
from benhan.records.facts import form_of, is_error
from benhan.records.shapes import all_of, ext_value, fact_of, id_of, must
from benhan.records.types import JsonObject, TimelineItem
from benhan.store import Repository, Stored

_TIMES = ("effectiveDateTime", "authored", "authoredOn", "recordedDate", "date", "issued")
_KINDS = {
    "QuestionnaireResponse": "paper",
    "DiagnosticReport": "result",
    "ServiceRequest": "order",
    "MedicationRequest": "drug",
    "Condition": "diagnosis",
    "DocumentReference": "document",
}


async def timeline(repo: Repository, patient_id: str, *, limit: int = 200) -> list[TimelineItem]:
    """Admissions, stays, papers, orders, results, drugs, diagnoses and documents of a patient, newest first."""
    async with repo.transaction() as tx:
        items = [i for e in await _newest(tx, "Encounter", patient_id, limit) for i in _encounter_items(e)]
        for kind in _KINDS:
            for stored in await _newest(tx, kind, patient_id, limit):
                item = _item(stored)
                if item is not None:
                    items.append(item)
        return sorted(items, key=lambda i: (i.at, i.reference), reverse=True)[:limit]


async def _newest(tx: Repository, kind: str, patient_id: str, limit: int) -> list[Stored]:
    if limit >= 200:
        return await all_of(tx, kind, [("subject", f"Patient/{patient_id}")])
    page = await tx.search(
        kind, [("subject", f"Patient/{patient_id}"), ("_sort", "-_lastUpdated"), ("_count", str(limit))]
    )
    return list(page.entries)


def _encounter_items(stored: Stored) -> list[TimelineItem]:
    data = stored.data
    if data["status"] == "cancelled" or "period" not in data:
        return []
    doctor = next((p["individual"].get("display", "") for p in data.get("participant", [])), "")
    stay = "partOf" in data
    encounter_id = id_of(data["partOf"]) if stay else stored.id
    place = data.get("serviceType", {}).get("text", "") or data.get("serviceProvider", {}).get("display", "")
    title, kind = (f"Vào {place}", "stay") if stay else ("Vào viện", "admission")
    reason = next((r.get("text", "") for r in data.get("reasonCode", [])), "")
    items = [
        TimelineItem(
            must(data["period"]["start"]), kind, title, reason, stored.reference, encounter_id, doctor
        )
    ]
    if "end" in data["period"] and not stay:
        outcome = data.get("hospitalization", {}).get("dischargeDisposition", {}).get("text", "")
        end = must(data["period"]["end"])
        items.append(
            TimelineItem(end, "discharge", outcome or "Ra viện", "", stored.reference, stored.id, doctor)
        )
    return items


def _item(stored: Stored) -> TimelineItem | None:
    data = stored.data
    happened = _when(data)
    if happened is None or is_error(data) or _hidden(stored):
        return None
    title, text = _words(stored)
    who = data.get("author") or data.get("performer") or data.get("requester") or data.get("recorder") or {}
    author = who[0] if isinstance(who, list) else who
    context = data.get("encounter") or next(iter(data.get("context", {}).get("encounter", [])), None)
    return TimelineItem(
        happened,
        _KINDS[stored.type],
        title,
        text,
        stored.reference,
        id_of(context),
        author.get("display", ""),
    )


def _hidden(stored: Stored) -> bool:
    """What only repeats: superseded documents, diagnoses that were derived from a form."""
    if stored.type == "DocumentReference":
        return bool(stored.data["status"] != "current" or fact_of(stored.data, "to"))
    return stored.type == "Condition" and ext_value(stored.data, systems.EXT_LINK_ID) is not None


def _when(data: JsonObject) -> datetime | None:
    for name in _TIMES:
        value = data.get(name)
        if isinstance(value, str) and "T" in value:
            return must(value)
    return None


def _words(stored: Stored) -> tuple[str, str]:
    data = stored.data
    if stored.type == "QuestionnaireResponse":
        form = form_of(data)
        is_entry = ext_value(data, systems.EXT_SHEET) is not None
        return form.title.capitalize(), first_text(data) if is_entry else ""
    if stored.type == "MedicationRequest":
        dosage = next((d.get("text", "") for d in data.get("dosageInstruction", [])), "")
        return data["medicationCodeableConcept"].get("text", ""), dosage
    if stored.type == "DocumentReference":
        return data.get("description", ""), ""
    code = data.get("code", {})
    icd = next((c["code"] for c in code.get("coding", []) if c.get("system") == systems.ICD10), "")
    return code.get("text", ""), icd


def first_text(response: JsonObject) -> str:
    """First free text in a response, for a line of the timeline."""
    pending = list(response.get("item", []))
    while pending:
        item = pending.pop(0)
        for answer in item.get("answer", []):
            if "valueString" in answer:
                return str(answer["valueString"])
        pending = [*item.get("item", []), *pending]
    return ""
