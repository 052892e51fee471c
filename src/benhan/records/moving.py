"""What was written in the wrong place goes to the right one: a đợt to its patient, a paper to its record, a đợt into another.

Only the current rows move; every earlier version stays where it was written. Nothing signed is moved: a signature covers
bytes that name the patient (``undoing.obstacles`` looks before).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from benhan.catalogue import systems
from benhan.forms import answers
from benhan.records.cases import add_event, locked_case, set_admitted, set_opened, set_patient
from benhan.records.charges import recalculate
from benhan.records.entitlement import account_of, entitlement_line, withdraw_coverage
from benhan.records.extraction import retract
from benhan.records.facts import form_of
from benhan.records.numbering import cancel_number
from benhan.records.papers import open_paper
from benhan.records.proposals import defaults
from benhan.records.shapes import all_of, fact, id_of, identifier_of, instant, must, with_extensions
from benhan.records.stays import end_stay
from benhan.records.steps import step
from benhan.records.types import Authorize, JsonObject, Staff
from benhan.store import Repository, Stored

#: kinds that name their đợt, with the search parameter that finds them
_NAMING = {
    "QuestionnaireResponse": "encounter", "Condition": "encounter", "Observation": "encounter",
    "ServiceRequest": "encounter", "DiagnosticReport": "encounter", "MedicationRequest": "encounter",
    "MedicationAdministration": "context", "MedicationDispense": "context", "Procedure": "encounter",
    "ChargeItem": "context", "Composition": "encounter", "Task": "encounter", "DocumentReference": "encounter",
    "Communication": "encounter", "Flag": "encounter", "CarePlan": "encounter", "ImagingStudy": "encounter",
}  # fmt: skip


async def change_patient(tx: Repository, encounter_id: str, right_id: str, reason: str) -> int:
    """Give a đợt opened on the wrong person to the right one, with everything in it; cards of the wrong one are withdrawn.

    Returns how many resources were moved.
    """
    here = await locked_case(tx, encounter_id)
    for entitlement in await entitlement_line(tx, encounter_id):
        await withdraw_coverage(tx, encounter_id, entitlement.coverage_id, reason)
    swap = {f"Patient/{here.patient_id}": f"Patient/{right_id}"}
    encounter = await tx.read("Encounter", encounter_id)
    episodes = await _own_episodes(tx, encounter)
    found = [encounter, *episodes, await account_of(tx, encounter_id), *await _of(tx, encounter_id)]
    found += await all_of(tx, "Encounter", [("part-of", f"Encounter/{encounter_id}")])
    found += await _allergies(tx, here.patient_id, encounter_id)
    await set_patient(tx, encounter_id, right_id)
    moved = await _repoint(tx, found, swap)
    detail = {"from": here.patient_id, "to": right_id, "moved": moved}
    await add_event(tx, encounter_id, "change-patient", "", "", reason, detail)
    return moved


async def move_paper(tx: Repository, paper_id: str, encounter_id: str, reason: str) -> Stored:
    """Write an unsigned paper into the right record as a draft; the one in the wrong record is entered in error.

    An answer that the wrong record had proposed itself (name, age, bed …) is proposed anew by the right one; what the
    author typed is kept.
    """
    wrong = await tx.read("QuestionnaireResponse", paper_id)
    form, came_from = form_of(wrong.data), id_of(wrong.data["encounter"])
    proposed = await defaults(tx, came_from, form.code)
    typed = {k: v for k, v in answers(form, wrong.data).items() if proposed.get(k) != v}
    author = wrong.data["author"]
    staff = Staff(author["reference"], author.get("display", ""), author.get("identifier", {}).get("value"))
    made = await open_paper(tx, encounter_id, form.code, staff, must(wrong.data["authored"]), typed)
    made = await tx.update(with_extensions(made.data, fact("chuyen-tu", paper_id)), if_match=made.version)
    await retract(tx, wrong)
    gone = with_extensions({**wrong.data, "status": "entered-in-error"}, fact("chuyen-sang", made.id))
    await tx.update(gone, if_match=wrong.version)
    detail: JsonObject = {"paper": paper_id, "as": made.id, "to": encounter_id}
    await add_event(tx, came_from, "move-paper", "", "", reason, detail)
    await add_event(tx, encounter_id, "receive-paper", "", "", reason, detail | {"from": came_from})
    return made


async def merge_into(
    tx: Repository, gone_id: str, kept_id: str, reason: str, request: UUID, *, authorize: Authorize
) -> int:
    """Move everything of one đợt into another of the same patient and cancel the empty one with its numbers.

    Stays that began before the kept đợt are put before it (they end where it began); later ones are cancelled: the
    patient lay in the kept one. Returns how many resources were moved.
    """
    gone, kept = await locked_case(tx, gone_id), await locked_case(tx, kept_id)
    await _stays(tx, gone_id, kept_id, kept.admitted_at)
    accounts = [(await account_of(tx, i)).id for i in (gone_id, kept_id)]
    swap = {
        f"Encounter/{gone_id}": f"Encounter/{kept_id}",
        f"Account/{accounts[0]}": f"Account/{accounts[1]}",
    }
    found = [*await _of(tx, gone_id), *await _allergies(tx, gone.patient_id, gone_id)]
    opened = gone.composition_id
    moved = await _repoint(tx, found, swap)
    if opened and not kept.composition_id:
        await set_opened(tx, kept_id, opened, gone.form_code or "", gone.so_benh_an or "")
    encounter = await tx.read("Encounter", gone_id)
    await cancel_number(tx, "so_vao_vien", identifier_of(encounter.data, systems.SO_VAO_VIEN), reason)
    cancelled = with_extensions({**encounter.data, "status": "cancelled"}, fact("gop-vao", kept.ma_lk))
    await tx.update(cancelled, if_match=encounter.version)
    if opened:
        await set_opened(tx, gone_id, None, None, None)
    await step(
        tx, gone_id, "cancel", authorize=authorize, reason=reason, detail={"into": kept_id}, request=request
    )
    if gone.admitted_at < kept.admitted_at:
        await _begin(tx, kept_id, gone.admitted_at)
    await recalculate(tx, kept_id)
    await add_event(tx, kept_id, "merge", gone.ma_lk, kept.ma_lk, reason, {"from": gone_id, "moved": moved})
    return moved


async def _stays(tx: Repository, gone_id: str, kept_id: str, began: datetime) -> None:
    for stay in await all_of(tx, "Encounter", [("part-of", f"Encounter/{gone_id}")]):
        if stay.data["status"] == "cancelled":
            continue
        period = stay.data["period"]
        if must(period["start"]) >= began:
            await end_stay(tx, stay.id, tx.clock.now(), status="cancelled")
            continue
        if "end" not in period or must(period["end"]) > began:
            stay = await end_stay(tx, stay.id, began)
        await tx.update({**stay.data, "partOf": {"reference": f"Encounter/{kept_id}"}}, if_match=stay.version)


async def _begin(tx: Repository, encounter_id: str, at: datetime) -> None:
    kept = await tx.read("Encounter", encounter_id)
    period = {**kept.data["period"], "start": instant(at)}
    await tx.update({**kept.data, "period": period}, if_match=kept.version)
    await set_admitted(tx, encounter_id, at)


async def _own_episodes(tx: Repository, encounter: Stored) -> list[Stored]:
    """Episodes of this đợt alone; one that holds other visits stays with them."""
    found = []
    for reference in encounter.data.get("episodeOfCare", []):
        params = [("episode-of-care", str(reference["reference"])), ("_count", "2")]
        if len((await tx.search("Encounter", params)).entries) == 1:
            found.append(await tx.read("EpisodeOfCare", id_of(reference)))
    return found


async def _of(tx: Repository, encounter_id: str) -> list[Stored]:
    found: dict[tuple[str, str], Stored] = {}
    for kind, param in _NAMING.items():
        for stored in await all_of(tx, kind, [(param, f"Encounter/{encounter_id}")]):
            found[stored.type, stored.id] = stored
    return list(found.values())


async def _allergies(tx: Repository, patient_id: str, encounter_id: str) -> list[Stored]:
    listed = await all_of(tx, "AllergyIntolerance", [("patient", f"Patient/{patient_id}")])
    return [s for s in listed if id_of(s.data.get("encounter")) == encounter_id]


async def _repoint(tx: Repository, found: list[Stored], swap: Mapping[str, str]) -> int:
    moved = 0
    for stored in found:
        after = _swapped(stored.data, swap)
        if after != stored.data:
            await tx.update(after, if_match=stored.version)
            moved += 1
    return moved


def _swapped(value: Any, swap: Mapping[str, str]) -> Any:
    """The same with literal references renamed (pure)."""
    if isinstance(value, dict):
        return {
            k: swap.get(v, v) if k == "reference" and isinstance(v, str) else _swapped(v, swap)
            for k, v in value.items()
        }
    return [_swapped(v, swap) for v in value] if isinstance(value, list) else value
