"""Another code for a discharge diagnosis: what the coder of the records department mends, without touching the doctor's words.

A correction of a claim that touches no clinical fact reopens nothing (practice A3): the text of the diagnosis and the
signed papers stay as they are; the ``Condition`` gets a version with the other code and the book of events a line.
"""

from __future__ import annotations

from dataclasses import dataclass

from benhan.base.errors import NotFound, RuleViolation
from benhan.catalogue import icd10, systems
from benhan.records.cases import add_event, locked_case
from benhan.records.facts import diagnosis_stage, diagnosis_value, is_error
from benhan.records.shapes import coding, of_encounter
from benhan.records.types import JsonObject
from benhan.store import Repository, Stored

_STAGES = ("ra-vien", "kem-theo")


@dataclass(frozen=True, slots=True)
class DischargeDiagnosis:
    """A discharge diagnosis: ``id`` of its ``Condition``, main or not, its code and the doctor's text."""

    id: str
    main: bool
    code: str
    text: str


async def discharge_diagnoses(repo: Repository, encounter_id: str) -> list[DischargeDiagnosis]:
    """Main first, then the others in the order they were written; what a signed form repeats is told once."""
    found: dict[tuple[bool, str, str], DischargeDiagnosis] = {}
    for stored, main, code, text in await _standing(repo, encounter_id):
        found.setdefault((main, code, text), DischargeDiagnosis(stored.id, main, code, text))
    return sorted(found.values(), key=lambda d: not d.main)


async def _standing(repo: Repository, encounter_id: str) -> list[tuple[Stored, bool, str, str]]:
    found = []
    for stored in await of_encounter(repo, "Condition", encounter_id):
        stage, value = diagnosis_stage(stored), diagnosis_value(stored.data)
        if stage in _STAGES and value and not is_error(stored.data):
            code, text = str(value.get("code", "")), str(value.get("text", ""))
            found.append((stored, stage == "ra-vien", code, text))
    return found


async def recode(repo: Repository, encounter_id: str, condition_id: str, code: str, reason: str) -> Stored:
    """Give a discharge diagnosis another ICD-10 code; the doctor's words stay.

    Raises: ``RuleViolation`` records.no-such-icd10, records.reason-needed; ``NotFound`` records.no-diagnosis;
    ``Conflict`` when the record is closed.
    """
    wanted = code.strip().upper()
    if icd10(wanted) is None:
        raise RuleViolation("records.no-such-icd10", f"Không có mã ICD-10 {wanted}.", expression=condition_id)
    if not reason.strip():
        raise RuleViolation("records.reason-needed", "Cần nêu lý do sửa mã bệnh.", expression="reason")
    async with repo.transaction() as tx:
        await locked_case(tx, encounter_id)
        standing = await _standing(tx, encounter_id)
        chosen = next(((m, c, t) for s, m, c, t in standing if s.id == condition_id), None)
        if chosen is None:
            raise NotFound("records.no-diagnosis", "Đợt này không có chẩn đoán ra viện ấy.")
        same = [s for s, m, c, t in standing if (m, c, t) == chosen]
        written = [await tx.update(_recoded(s.data, wanted), if_match=s.version) for s in same]
        await add_event(tx, encounter_id, "recode", chosen[1], wanted, reason.strip())
        return next(s for s in written if s.id == condition_id)


def _recoded(condition: JsonObject, code: str) -> JsonObject:
    others = [c for c in condition["code"].get("coding", []) if c.get("system") != systems.ICD10]
    told = {**condition["code"], "coding": [coding(systems.ICD10, code), *others]}
    return {**condition, "code": told}
