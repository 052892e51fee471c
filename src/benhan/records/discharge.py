"""End of a đợt: one choice of outcome, from which form items and claim codes follow; and taking it back."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from benhan.base.clock import local_date
from benhan.base.errors import Conflict, RuleViolation
from benhan.catalogue import OutcomeFacts, facility_setting, icd10, outcome_facts, systems
from benhan.records.cases import case, locked_case
from benhan.records.charges import charge_bed_days, charge_lines, reverse_charge
from benhan.records.facts import diagnosis_stage
from benhan.records.papers import papers
from benhan.records.shapes import (
    coding,
    concept,
    fact,
    fact_of,
    house,
    id_of,
    instant,
    late,
    of_encounter,
    ref,
    staff_ref,
    with_extensions,
)
from benhan.records.stays import current_stay, end_stay, pending_transfers, reopen_stay
from benhan.records.steps import step
from benhan.records.types import Authorize, Case, Discharge, JsonObject
from benhan.store import Repository, Stored

_FACTS = ("ket-cuc", "muc-17", "muc-18", "muc-24", "ma-loai-rv", "ket-qua-dtri", "ket-qua-ten", "pp-dieu-tri", "loi-dan",
          "chuyen-den", "nguyen-nhan-tu-vong")  # fmt: skip


async def discharge(repo: Repository, encounter_id: str, end: Discharge, *, authorize: Authorize) -> Stored:
    """End the đợt: diagnoses, outcome with its codes, stay and bed ended, bed-days charged, state ``discharged``.

    Raises: ``Conflict`` records.transfer-pending, records.transition-forbidden; ``RuleViolation``
    records.discharge-before-stay, records.outcome-needs, records.no-such-icd10, catalogue.result-not-possible.
    """
    async with repo.transaction() as tx:
        here = await locked_case(tx, encounter_id)
        place = await house(tx)
        day = local_date(end.happened)
        chosen = outcome_facts(end.outcome, end.result, day)
        await _check(tx, here, end, chosen)
        extensions = await late(tx, end.happened, end.late_reason, place=place)
        conditions = await _diagnoses(tx, here, end)
        stay = await current_stay(tx, encounter_id)
        await end_stay(tx, stay.id, end.happened)
        encounter = await tx.read("Encounter", encounter_id)
        stored = await tx.update(
            with_extensions(
                _ended(encounter.data, end, chosen, conditions), *_facts(end, chosen), *extensions
            ),
            if_match=encounter.version,
        )
        await _end_episode(tx, encounter.data, end)
        if not here.financial_lock:
            await charge_bed_days(tx, encounter_id)
        days = int(facility_setting("submit_days_after_discharge", day, facility=place.code))
        await step(
            tx,
            encounter_id,
            "discharge",
            authorize=authorize,
            discharged_at=end.happened,
            due_on=day + timedelta(days=days),
        )
        await submit_claim_when_ready(tx, encounter_id)
        return stored


async def _check(tx: Repository, here: Case, end: Discharge, chosen: OutcomeFacts) -> None:
    if await pending_transfers(tx, here.encounter_id):
        raise Conflict("records.transfer-pending", "Còn yêu cầu chuyển khoa chưa được nhận.")
    stay = await current_stay(tx, here.encounter_id)
    if end.happened < stay.start:
        raise RuleViolation(
            "records.discharge-before-stay", "Giờ ra viện trước giờ vào khoa.", expression="happened"
        )
    if not chosen.ket_qua_dtri and chosen.outcome.results:
        raise RuleViolation("records.outcome-needs", "Chưa chọn kết quả điều trị.", expression="result")
    for needed in chosen.outcome.needs:
        if not getattr(end, needed):
            raise RuleViolation(
                "records.outcome-needs",
                f"Hình thức “{chosen.outcome.name}” cần thêm thông tin.",
                expression=needed,
            )
    for code in (end.icd10, *(c for c, _ in end.others)):
        if icd10(code) is None:
            raise RuleViolation("records.no-such-icd10", f"Không có mã ICD-10 {code}.", expression="icd10")


async def _diagnoses(tx: Repository, here: Case, end: Discharge) -> list[tuple[str, Stored]]:
    made = []
    for stage, code, text in (
        ("ra-vien", end.icd10, end.diagnosis),
        *(("kem-theo", c, t) for c, t in end.others),
    ):
        condition: JsonObject = {
            "resourceType": "Condition",
            "clinicalStatus": {
                "coding": [coding("http://terminology.hl7.org/CodeSystem/condition-clinical", "active")]
            },
            "verificationStatus": {
                "coding": [coding("http://terminology.hl7.org/CodeSystem/condition-ver-status", "confirmed")]
            },
            "category": [
                concept("http://terminology.hl7.org/CodeSystem/condition-category", "encounter-diagnosis"),
                concept(systems.DIAGNOSIS_STAGE, stage),
            ],
            "code": concept(systems.ICD10, code, text),
            "subject": ref("Patient", here.patient_id),
            "encounter": ref("Encounter", here.encounter_id),
            "recordedDate": instant(end.happened),
            "recorder": staff_ref(end.doctor),
        }
        made.append((stage, await tx.create(condition)))
    return made


def _ended(
    encounter: JsonObject, end: Discharge, chosen: OutcomeFacts, conditions: list[tuple[str, Stored]]
) -> JsonObject:
    disposition = [coding(systems.OUTCOME, chosen.outcome.code, chosen.outcome.name)]
    if chosen.ma_loai_rv:
        disposition.append(coding(systems.MA_LOAI_RV, chosen.ma_loai_rv))
    hospitalization: JsonObject = {
        "dischargeDisposition": {"coding": disposition, "text": chosen.outcome.name}
    }
    if end.moved_to:
        hospitalization["destination"] = {"display": end.moved_to}
    return {
        **encounter,
        "status": "finished",
        "period": {**encounter["period"], "end": instant(end.happened)},
        "hospitalization": hospitalization,
        "diagnosis": [
            {
                "condition": ref("Condition", stored.id),
                "use": concept(systems.DIAGNOSIS_STAGE, stage),
                "rank": rank,
            }
            for rank, (stage, stored) in enumerate(conditions, 1)
        ],
    }


def _facts(end: Discharge, chosen: OutcomeFacts) -> list[JsonObject]:
    values = {
        "ket-cuc": chosen.outcome.code,
        "muc-17": chosen.form_17,
        "muc-18": chosen.form_18,
        "muc-24": chosen.form_24,
        "ma-loai-rv": chosen.ma_loai_rv,
        "ket-qua-dtri": chosen.ket_qua_dtri,
        "ket-qua-ten": chosen.result_name,
        "pp-dieu-tri": end.treatment,
        "loi-dan": end.advice,
        "chuyen-den": end.moved_to or "",
        "nguyen-nhan-tu-vong": end.death_cause or "",
    }
    return [fact(name, value) for name, value in values.items() if value]


def discharge_facts(encounter: JsonObject) -> dict[str, str]:
    """Outcome and codes of an ended đợt; keys with ``_`` for ``-``; what is not known is ``""``."""
    return {name.replace("-", "_"): fact_of(encounter, name) for name in _FACTS}


async def _end_episode(tx: Repository, encounter: JsonObject, end: Discharge) -> None:
    for reference in encounter.get("episodeOfCare", []):
        episode = await tx.read("EpisodeOfCare", id_of(reference))
        period = {**episode.data["period"], "end": instant(end.happened)}
        await tx.update({**episode.data, "status": "finished", "period": period}, if_match=episode.version)


async def undo_discharge(
    repo: Repository, encounter_id: str, reason: str, request: UUID, *, authorize: Authorize
) -> Stored:
    """Take a discharge back: stay and bed run again, bed-days are reversed, discharge diagnoses entered in error.

    ``request``: granted by another person (``undoing``). Raises: ``Conflict`` (records.paper-issued) when the discharge
    paper has left the house.
    """
    async with repo.transaction() as tx:
        if any(p.issued for p in await papers(tx, encounter_id)):
            raise Conflict("records.paper-issued", "Giấy ra viện đã cấp: thu hồi giấy trước khi hủy ra viện.")
        await step(
            tx,
            encounter_id,
            "undo_discharge",
            authorize=authorize,
            reason=reason,
            discharged_at=None,
            due_on=None,
            request=request,
        )
        encounter = await tx.read("Encounter", encounter_id)
        gone = {systems.EXT_FACT + name for name in _FACTS}
        resource = {
            k: v for k, v in encounter.data.items() if k not in ("hospitalization", "diagnosis", "extension")
        }
        kept = [e for e in encounter.data.get("extension", []) if e["url"] not in gone]
        resource |= {"status": "in-progress", "period": {"start": encounter.data["period"]["start"]}}
        stored = await tx.update(
            with_extensions(resource, *kept) if kept else resource, if_match=encounter.version
        )
        await reopen_stay(tx, (await current_stay(tx, encounter_id)).id)
        await _take_back(tx, encounter_id)
        for reference in encounter.data.get("episodeOfCare", []):
            episode = await tx.read("EpisodeOfCare", id_of(reference))
            period = {"start": episode.data["period"]["start"]}
            await tx.update({**episode.data, "status": "active", "period": period}, if_match=episode.version)
        return stored


async def _take_back(tx: Repository, encounter_id: str) -> None:
    system = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
    for stored in await of_encounter(tx, "Condition", encounter_id):
        from_form = any(e["url"] == systems.EXT_LINK_ID for e in stored.data.get("extension", []))
        if diagnosis_stage(stored) in ("ra-vien", "kem-theo") and not from_form:
            bare = {k: v for k, v in stored.data.items() if k != "clinicalStatus"}
            wrong = {**bare, "verificationStatus": {"coding": [coding(system, "entered-in-error")]}}
            await tx.update(wrong, if_match=stored.version)
    lines = await charge_lines(tx, encounter_id)
    reversed_ids = {line.reverses for line in lines}
    for line in lines:
        if (
            line.source.startswith("Encounter/")
            and line.quantity > Decimal(0)
            and line.id not in reversed_ids
        ):
            await reverse_charge(tx, line.id, "Hủy ra viện")


async def submit_claim_when_ready(tx: Repository, encounter_id: str, stage: str = "") -> None:
    """Put the claim into the outbox once the facts are signed: discharged, and the discharge paper issued.

    A facility may by setting send on discharge already. The key makes the same facts go once; ``stage`` tells apart what
    the encounter's version does not show, such as the summary that was signed later.
    """
    here = await case(tx, encounter_id)
    if here.discharged_at is None:
        return
    place = await house(tx)
    at_once = facility_setting(
        "claim_without_discharge_paper", local_date(here.discharged_at), facility=place.code
    )
    if at_once or any(p.issued for p in await papers(tx, encounter_id)):
        encounter = await tx.read("Encounter", encounter_id)
        key = f"{here.ma_lk}:{encounter.version}" + (f":{stage}" if stage else "")
        await tx.outbox("bhyt.submit", key, {"encounter": encounter_id, "ma_lk": here.ma_lk})
