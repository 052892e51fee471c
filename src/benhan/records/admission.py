"""Beginning of a đợt: EpisodeOfCare → Encounter with MA_LK → first stay with its bed; and taking it back."""

from __future__ import annotations

from uuid import UUID

from benhan.base.errors import Conflict
from benhan.catalogue import systems
from benhan.identity import PersonInput, find_candidates, register_person
from benhan.records.cases import add_case, add_event, encounter_id_of, locked_case
from benhan.records.numbering import cancel_number, take_number
from benhan.records.shapes import (
    House,
    concept,
    fact,
    house,
    house_ref,
    id_of,
    identifier_of,
    instant,
    late,
    ref,
    staff_ref,
    with_extensions,
)
from benhan.records.stays import current_stay, end_stay, stay_resource
from benhan.records.steps import step
from benhan.records.types import Admission, Admitted, Authorize, JsonObject
from benhan.store import Repository, Stored

_ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
#: MA_LOAI_KCB with treatment beds; everything else is ambulatory
_INPATIENT = ("03", "04", "06", "09")


async def register_patient(repo: Repository, person: PersonInput) -> Stored:
    """New patient of this facility with a mã người bệnh."""
    async with repo.transaction() as tx:
        number = await take_number(tx, "ma_bn", event="register")
        return await register_person(tx, person, ma_bn=number.text)


async def find_or_register_patient(repo: Repository, person: PersonInput) -> tuple[Stored, bool]:
    """The one registered person with this identifier, else a new one; second value True when new."""
    async with repo.transaction() as tx:
        exact = [c for c in await find_candidates(tx, person) if c.exact]
        if len(exact) == 1 and exact[0].score > 0:
            return exact[0].patient, False
        return await register_patient(tx, person), True


async def admit(repo: Repository, admission: Admission) -> Admitted:
    """Begin a đợt: numbers, episode, encounter, account, first stay.

    Raises: ``Conflict`` (records.already-admitted) when the patient has an open đợt in bed.
    """
    async with repo.transaction() as tx:
        place = await house(tx)
        patient = await tx.read("Patient", admission.patient_id)
        inpatient = admission.ma_loai_kcb in _INPATIENT
        if inpatient and await _open_in_bed(tx, patient.id):
            raise Conflict("records.already-admitted", "Người bệnh đang nằm viện, chưa kết thúc đợt trước.")
        extensions = await late(tx, admission.happened, admission.late_reason, place=place)
        ma_lk = await take_number(
            tx, "ma_lk", event="admit", khoa=admission.khoa, subject=f"Patient/{patient.id}"
        )
        number = await take_number(
            tx, "so_vao_vien", event="admit", khoa=admission.khoa, subject=f"Patient/{patient.id}"
        )
        episode = await _episode(tx, admission, place)
        account = await tx.create(_account(admission, ma_lk.text))
        encounter = await tx.create(
            with_extensions(
                _encounter(admission, place, ma_lk.text, number.text, episode.id, account.id),
                *_facts(admission),
                *extensions,
            )
        )
        stay = await tx.create(stay_resource(encounter.id, admission, place))
        await add_case(
            tx,
            encounter.id,
            patient.id,
            admission.khoa,
            admission.doctor.reference,
            admission.happened,
            ma_lk.text,
        )
        await add_event(tx, encounter.id, "admit", "", "open")
        return Admitted(episode, encounter, stay, ma_lk.text, number.text)


async def _open_in_bed(tx: Repository, patient_id: str) -> bool:
    page = await tx.search(
        "Encounter",
        [("subject", f"Patient/{patient_id}"), ("status", "in-progress"), ("class", "IMP"), ("_count", "5")],
    )
    return any("partOf" not in e.data for e in page.entries)


async def _episode(tx: Repository, admission: Admission, place: House) -> Stored:
    if admission.episode_id:
        return await tx.read("EpisodeOfCare", admission.episode_id)
    return await tx.create(
        {
            "resourceType": "EpisodeOfCare",
            "status": "active",
            "patient": ref("Patient", admission.patient_id),
            "managingOrganization": house_ref(place),
            "period": {"start": instant(admission.happened)},
        }
    )


def _account(admission: Admission, ma_lk: str) -> JsonObject:
    return {
        "resourceType": "Account",
        "identifier": [{"system": systems.MA_LK, "value": ma_lk}],
        "status": "active",
        "subject": [ref("Patient", admission.patient_id)],
        "servicePeriod": {"start": instant(admission.happened)},
    }


def _facts(admission: Admission) -> list[JsonObject]:
    facts = {
        "truc-tiep-vao": admission.direct_from,
        "noi-gioi-thieu": admission.referred_by,
        "noi-gioi-thieu-ten": admission.referred_from,
        "so-phieu-chuyen": admission.referral_no,
        "vao-vien-lan-thu": "" if admission.time_of_illness is None else str(admission.time_of_illness),
    }
    return [fact(name, value) for name, value in facts.items() if value]


def _encounter(
    admission: Admission, place: House, ma_lk: str, number: str, episode_id: str, account_id: str
) -> JsonObject:
    code, display = (
        ("IMP", "inpatient encounter") if admission.ma_loai_kcb in _INPATIENT else ("AMB", "ambulatory")
    )
    encounter: JsonObject = {
        "resourceType": "Encounter",
        "identifier": [
            {"system": systems.MA_LK, "value": ma_lk},
            {"system": systems.SO_VAO_VIEN, "value": number},
        ],
        "status": "in-progress",
        "class": {"system": _ACT, "code": code, "display": display},
        "type": [concept(systems.MA_LOAI_KCB, admission.ma_loai_kcb)],
        "subject": ref("Patient", admission.patient_id),
        "episodeOfCare": [ref("EpisodeOfCare", episode_id)],
        "participant": [{"individual": staff_ref(admission.doctor)}],
        "period": {"start": instant(admission.happened)},
        "account": [ref("Account", account_id)],
        "serviceProvider": house_ref(place),
    }
    if admission.reason:
        encounter["reasonCode"] = [{"text": admission.reason}]
    return encounter


async def encounter_by_ma_lk(repo: Repository, ma_lk: str) -> Stored:
    """The đợt of a MA_LK. Raises: ``NotFound`` (records.no-such-record)."""
    async with repo.transaction() as tx:
        return await tx.read("Encounter", await encounter_id_of(tx, ma_lk))


async def cancel_admission(
    tx: Repository, encounter_id: str, reason: str, request: UUID, *, authorize: Authorize
) -> Stored:
    """Take an admission back inside the running transaction: stays, đợt, account and binder end as errors, its numbers are
    cancelled with the reason. ``request``: granted by another person (``undoing`` has looked for what is in the way).
    """
    before = await locked_case(tx, encounter_id)
    encounter = await tx.read("Encounter", encounter_id)
    if not before.scanned:  # what was on paper has no stay here, and its numbers are the paper's
        await end_stay(tx, (await current_stay(tx, encounter_id)).id, tx.clock.now(), status="cancelled")
        await cancel_number(tx, "so_vao_vien", identifier_of(encounter.data, systems.SO_VAO_VIEN), reason)
        if before.so_benh_an:
            await cancel_number(tx, "so_benh_an", before.so_benh_an, reason)
    for reference in encounter.data.get("account", []):
        account = await tx.read("Account", id_of(reference))
        await tx.update({**account.data, "status": "entered-in-error"}, if_match=account.version)
    cancelled = with_extensions({**encounter.data, "status": "cancelled"}, fact("ly-do-huy", reason))
    stored = await tx.update(cancelled, if_match=encounter.version)
    await step(tx, encounter_id, "cancel", authorize=authorize, reason=reason, request=request)
    return stored
