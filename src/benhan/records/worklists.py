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
from benhan.records.signers import Reader, owed_by, signs_first, waits_for
from benhan.records.states import closed_states, states
from benhan.records.stays import current_stay
from benhan.records.types import Case, LateSignature, Paper, WorkPaper, WorkPatient, WorkRecord
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
                if e.signed_by is None and reader.staff == (here.doctor if e.supervised else e.author)
            ]  # fmt: skip
            continue
        place = next_place(form, list(paper.signatures))
        if paper.returned or place is None:
            continue
        author, signed = signs_first(stored.data.get("author", {}), here.doctor), _standing(paper)
        if waits_for(form, place, here.khoa, author=author, doctor=here.doctor, reader=reader, signed=signed):
            out.append(
                WorkPaper(
                    *head, stored.id, form.code, form.title, place.role, stored.at, False, stored.version,
                    place_title=place.title,
                )
            )  # fmt: skip
    return out


def _standing(paper: Paper) -> set[str]:
    """Who has signed a paper."""
    return {s.staff for s in paper.signatures if s.standing}


async def late_signatures(repo: Repository, khoa: str | None = None) -> list[LateSignature]:
    """Who owes which signature since when, the oldest first: every paper of the khoa whose order is not at its end."""
    async with repo.transaction() as tx:
        owed: list[LateSignature] = []
        for here in await list_cases(tx, [s for s in states() if s not in closed_states()], khoa=khoa):
            name = name_of((await tx.read("Patient", here.patient_id)).data)
            for paper in await papers(tx, here.encounter_id):
                owed += await _owed_on(tx, here, paper, name)
        return sorted(owed, key=lambda w: w.since)


async def _owed_on(tx: Repository, here: Case, paper: Paper, name: str) -> list[LateSignature]:
    form, stored = form_of(paper.response.data), paper.response
    head = (here.encounter_id, name)
    if is_sheet(form):
        doctor = (await current_stay(tx, here.encounter_id)).doctor_name
        return [
            LateSignature(
                *head, stored.id, form.code, form.title, "", doctor if e.supervised else e.author_name, here.khoa,
                e.happened, None,
            )
            for e in await entries(tx, stored.id)
            if e.signed_by is None
        ]  # fmt: skip
    place = next_place(form, list(paper.signatures))
    if place is None:
        return []
    author, back = stored.data.get("author", {}), paper.returned
    person = owed_by(form, place, author=signs_first(author, here.doctor), doctor=here.doctor)
    if back or person == author.get("reference"):
        owing = author.get("display", "")
    else:
        owing = (await current_stay(tx, here.encounter_id)).doctor_name if person else place.title
    signed = [s.at for s in paper.signatures if s.standing]
    since = back.at if back else max([stored.at, *signed])
    return [
        LateSignature(
            *head, stored.id, form.code, form.title, place.title, owing, here.khoa, since, back
        )
    ]  # fmt: skip


async def returned_papers(repo: Repository, staff: str, *, khoa: str | None = None) -> list[LateSignature]:
    """Papers of this author that a signer has sent back, the oldest first."""
    async with repo.transaction() as tx:
        found: list[LateSignature] = []
        for here in await list_cases(tx, [s for s in states() if s not in closed_states()], khoa=khoa):
            for paper in await papers(tx, here.encounter_id):
                if paper.returned and paper.response.data.get("author", {}).get("reference") == staff:
                    name = name_of((await tx.read("Patient", here.patient_id)).data)
                    found += await _owed_on(tx, here, paper, name)
        return sorted(found, key=lambda w: w.since)


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
