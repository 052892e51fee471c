"""Lists people start their day with: my patients, papers to sign, records the khoa still owes."""

from __future__ import annotations

from datetime import date

from benhan.base.clock import local_date
from benhan.identity import name_of
from benhan.records.cases import list_cases
from benhan.records.facts import form_of
from benhan.records.papers import papers
from benhan.records.sheets import entries, is_sheet
from benhan.records.signatures import next_place
from benhan.records.signers import Reader, waits_for
from benhan.records.states import closed_states, states
from benhan.records.stays import current_stay
from benhan.records.types import Case, WorkPaper, WorkPatient, WorkRecord
from benhan.store import Repository

_OWED = ["discharged", "completed", "returned", "reopened"]


async def my_patients(
    repo: Repository, staff_reference: str | None = None, khoa: str | None = None
) -> list[WorkPatient]:
    """Patients in treatment, by doctor and khoa, in the order of admission."""
    async with repo.transaction() as tx:
        found = await list_cases(tx, ["open"], khoa=khoa, doctor=staff_reference)
        return [await _patient(tx, here) for here in found]


async def _patient(tx: Repository, here: Case) -> WorkPatient:
    patient = (await tx.read("Patient", here.patient_id)).data
    stay = await current_stay(tx, here.encounter_id)
    bed = stay.beds[-1] if stay.beds else None
    return WorkPatient(
        here.encounter_id, here.patient_id, name_of(patient), patient.get("birthDate", ""),
        patient.get("gender", "unknown"), here.khoa, stay.doctor_name, bed.room if bed else "", bed.bed if bed else "",
        here.admitted_at, here.state, here.ma_lk, here.so_benh_an,
    )  # fmt: skip


async def papers_to_sign(repo: Repository, reader: Reader, *, khoa: str | None = None) -> list[WorkPaper]:
    """Papers whose next place waits for this person, and own lines of running sheets, oldest first."""
    async with repo.transaction() as tx:
        waiting: list[WorkPaper] = []
        active = [s for s in states() if s not in closed_states()]
        for here in await list_cases(tx, active, khoa=khoa):
            waiting += await _waiting(tx, here, reader)
        return sorted(waiting, key=lambda w: w.since)


async def _waiting(tx: Repository, here: Case, reader: Reader) -> list[WorkPaper]:
    name = name_of((await tx.read("Patient", here.patient_id)).data)
    out = []
    for paper in await papers(tx, here.encounter_id):
        form, stored = form_of(paper.response.data), paper.response
        head = (here.encounter_id, here.patient_id, name)
        if is_sheet(form):
            out += [
                WorkPaper(
                    *head, e.id, form.code, form.title, "", e.happened, True, e.version, e.sha256, stored.id, e.values
                )
                for e in await entries(tx, stored.id)
                if e.signed_by is None and e.author == reader.staff
            ]  # fmt: skip
            continue
        place = next_place(form, list(paper.signatures))
        given = {
            "author": stored.data.get("author", {}).get("reference", ""),
            "doctor": here.doctor,
            "signed": {s.staff for s in paper.signatures if s.standing},
        }
        if place and waits_for(form, place, here.khoa, reader=reader, **given):
            out.append(
                WorkPaper(
                    *head, stored.id, form.code, form.title, place.role, stored.at, False, stored.version,
                    place_title=place.title,
                )
            )  # fmt: skip
    return out


async def records_owed(
    repo: Repository, khoa: str | None = None, *, on: date | None = None
) -> list[WorkRecord]:
    """Records that are discharged and not yet handed over, the most overdue first."""
    async with repo.transaction() as tx:
        today = on or local_date(tx.clock.now())
        owed = []
        for here in await list_cases(tx, _OWED, khoa=khoa):
            if here.discharged_at is None:
                continue
            patient = (await tx.read("Patient", here.patient_id)).data
            due = here.due_on or local_date(here.discharged_at)
            stay = await current_stay(tx, here.encounter_id)
            owed.append(
                WorkRecord(
                    here.encounter_id, here.patient_id, name_of(patient), here.khoa, stay.doctor_name, here.state,
                    here.discharged_at, due, (today - due).days, here.so_benh_an,
                )
            )  # fmt: skip
        return sorted(owed, key=lambda r: -r.days_late)
