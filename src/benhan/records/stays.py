"""Stays of a đợt: one per khoa, each with its bed intervals; a transfer ends only when the receiving khoa accepts."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from benhan.base.errors import Conflict, NotFound, RuleViolation
from benhan.catalogue import systems
from benhan.records.cases import add_event, locked_case, set_place
from benhan.records.shapes import (
    House,
    all_of,
    concept,
    fact,
    fact_of,
    house,
    house_ref,
    id_of,
    instant,
    must,
    ref,
    staff_ref,
    with_extensions,
)
from benhan.records.types import Admission, Bed, BedInterval, JsonObject, Staff, Stay
from benhan.store import Repository, Stored


def stay_resource(encounter_id: str, admission: Admission, place: House) -> JsonObject:
    """``Encounter`` with ``partOf``: khoa in ``serviceType``, beds in ``location`` as logical references."""
    return {
        "resourceType": "Encounter",
        "status": "in-progress",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"},
        "serviceType": concept(systems.MA_KHOA, admission.khoa, admission.khoa_name),
        "subject": ref("Patient", admission.patient_id),
        "participant": [{"individual": staff_ref(admission.doctor)}],
        "period": {"start": instant(admission.happened)},
        **(
            {"location": [_location(admission.khoa, admission.bed, admission.happened)]}
            if admission.bed
            else {}
        ),
        "serviceProvider": house_ref(place),
        "partOf": ref("Encounter", encounter_id),
    }


def _location(khoa: str, bed: Bed, start: datetime) -> JsonObject:
    value = "/".join([khoa, bed.room or "", bed.bed or ""])
    words = [f"Buồng {bed.room}" if bed.room else "", f"giường {bed.bed}" if bed.bed else ""]
    location: JsonObject = {
        "location": {
            "identifier": {"system": systems.GIUONG, "value": value},
            "display": ", ".join(w for w in words if w) or "Chưa xếp giường",
        },
        "status": "active",
        "period": {"start": instant(start)},
    }
    if bed.shared:
        location["extension"] = [{"url": systems.EXT_FACT + "nam-ghep", "valueBoolean": True}]
    return location


def read_stay(resource_id: str, encounter: JsonObject) -> Stay:
    """A stay read from its ``Encounter``."""
    service = encounter["serviceType"]["coding"][0]
    doctor: JsonObject = next((p["individual"] for p in reversed(encounter.get("participant", []))), {})
    period = encounter["period"]
    return Stay(
        id=resource_id,
        khoa=service["code"],
        khoa_name=service.get("display", ""),
        start=must(period["start"]),
        end=must(period["end"]) if "end" in period else None,
        doctor=doctor.get("reference", ""),
        doctor_name=doctor.get("display", ""),
        beds=tuple(_interval(entry) for entry in encounter.get("location", [])),
    )


def _interval(entry: JsonObject) -> BedInterval:
    _, room, bed = entry["location"]["identifier"]["value"].split("/")
    period = entry["period"]
    return BedInterval(
        room,
        bed,
        bool(entry.get("extension")),
        must(period["start"]),
        must(period["end"]) if "end" in period else None,
    )


async def stays(repo: Repository, encounter_id: str) -> list[Stay]:
    """Stays of a đợt that were not cancelled, oldest first."""
    found = await all_of(repo, "Encounter", [("part-of", f"Encounter/{encounter_id}")])
    read = [read_stay(s.id, s.data) for s in found if s.data["status"] != "cancelled"]
    return sorted(read, key=lambda s: (s.start, s.end is None, s.id))


async def current_stay(repo: Repository, encounter_id: str) -> Stay:
    """The running stay, or the last one. Raises: ``NotFound`` (records.no-stay)."""
    found = await stays(repo, encounter_id)
    if not found:
        raise NotFound("records.no-stay", "Đợt điều trị không có khoa nào.")
    return next((s for s in found if s.end is None), found[-1])


async def end_stay(tx: Repository, stay_id: str, end: datetime, *, status: str = "finished") -> Stored:
    """Close a stay and its running bed."""
    stay = await tx.read("Encounter", stay_id)
    resource = {**stay.data, "status": status, "period": {**stay.data["period"], "end": instant(end)}}
    if "location" in resource:
        resource["location"] = [_ended(entry, end) for entry in resource["location"]]
    return await tx.update(resource, if_match=stay.version)


def _ended(entry: JsonObject, end: datetime) -> JsonObject:
    if "end" in entry["period"]:
        return entry
    return {**entry, "status": "completed", "period": {**entry["period"], "end": instant(end)}}


async def reopen_stay(tx: Repository, stay_id: str) -> Stored:
    """Take the end of a stay back (discharge undone)."""
    stay = await tx.read("Encounter", stay_id)
    period = {k: v for k, v in stay.data["period"].items() if k != "end"}
    resource = {**stay.data, "status": "in-progress", "period": period}
    if resource.get("location"):
        *before, last = resource["location"]
        reopened = {
            **last,
            "status": "active",
            "period": {k: v for k, v in last["period"].items() if k != "end"},
        }
        resource["location"] = [*before, reopened]
    return await tx.update(resource, if_match=stay.version)


async def move_bed(repo: Repository, encounter_id: str, bed: Bed, happened: datetime) -> Stored:
    """The patient changes bed inside the khoa. Raises: ``RuleViolation`` (records.bed-before-last)."""
    async with repo.transaction() as tx:
        stay = await current_stay(tx, encounter_id)
        if stay.beds and happened < stay.beds[-1].start:
            raise RuleViolation("records.bed-before-last", "Giờ chuyển giường trước giờ vào giường hiện tại.")
        stored = await tx.read("Encounter", stay.id)
        ended = [_ended(entry, happened) for entry in stored.data.get("location", [])]
        resource = {**stored.data, "location": [*ended, _location(stay.khoa, bed, happened)]}
        return await tx.update(resource, if_match=stored.version)


async def request_transfer(
    repo: Repository,
    encounter_id: str,
    to_khoa: str,
    to_khoa_name: str,
    happened: datetime,
    reason: str,
    by: Staff,
) -> Stored:
    """Ask another khoa to take the patient over. Raises: ``Conflict`` (records.transfer-pending, records.not-open)."""
    async with repo.transaction() as tx:
        case = await locked_case(tx, encounter_id)
        if case.state != "open":
            raise Conflict("records.not-open", "Đợt điều trị đã kết thúc.")
        stay = await current_stay(tx, encounter_id)
        if to_khoa == stay.khoa:
            raise RuleViolation("records.same-khoa", "Người bệnh đang ở khoa này.", expression="to_khoa")
        if await _pending(tx, encounter_id):
            raise Conflict("records.transfer-pending", "Đang có một yêu cầu chuyển khoa chưa được nhận.")
        task = with_extensions(
            {
                "resourceType": "Task",
                "status": "requested",
                "intent": "order",
                "code": concept(systems.TASK, "chuyen-khoa", "Chuyển khoa"),
                "focus": ref("Encounter", stay.id),
                "for": ref("Patient", case.patient_id),
                "encounter": ref("Encounter", encounter_id),
                "authoredOn": instant(happened),
                "requester": staff_ref(by),
                "reasonCode": {"text": reason},
            },
            fact("tu-khoa", stay.khoa),
            fact("den-khoa", to_khoa),
            fact("den-khoa-ten", to_khoa_name),
        )
        stored = await tx.create(task)
        await add_event(tx, encounter_id, "request-transfer", stay.khoa, to_khoa, reason)
        return stored


async def _pending(tx: Repository, encounter_id: str) -> list[Stored]:
    tasks = await all_of(tx, "Task", [("encounter", f"Encounter/{encounter_id}"), ("status", "requested")])
    return [t for t in tasks if t.data["code"]["coding"][0]["code"] == "chuyen-khoa"]


async def pending_transfers(repo: Repository, encounter_id: str) -> list[Stored]:
    """Transfer requests that nobody has accepted or taken back."""
    return await _pending(repo, encounter_id)


def transfer_to(task: Stored) -> str:
    """Khoa a transfer goes to (pure)."""
    return fact_of(task.data, "den-khoa")


async def accept_transfer(
    repo: Repository, task_id: str, happened: datetime, doctor: Staff, bed: Bed
) -> Stored:
    """The receiving khoa takes the patient over with a bed: the old stay ends, the new one begins.

    Raises: ``Conflict`` (records.transfer-not-pending); ``RuleViolation`` (records.transfer-before-stay).
    """
    async with repo.transaction() as tx:
        task = await tx.read("Task", task_id)
        if task.data["status"] != "requested":
            raise Conflict("records.transfer-not-pending", "Yêu cầu chuyển khoa này không còn chờ nhận.")
        encounter_id = id_of(task.data["encounter"])
        case = await locked_case(tx, encounter_id)
        old = await current_stay(tx, encounter_id)
        if happened < old.start:
            raise RuleViolation("records.transfer-before-stay", "Giờ nhận trước giờ vào khoa hiện tại.")
        await end_stay(tx, old.id, happened)
        khoa, name = fact_of(task.data, "den-khoa"), fact_of(task.data, "den-khoa-ten")
        admission = Admission(case.patient_id, happened, khoa, name, replace(doctor, khoa=khoa), bed=bed)
        stay = await tx.create(stay_resource(encounter_id, admission, await house(tx)))
        await tx.update(
            {**task.data, "status": "completed", "owner": staff_ref(doctor)}, if_match=task.version
        )
        await set_place(tx, encounter_id, khoa, doctor.reference)
        await add_event(tx, encounter_id, "accept-transfer", old.khoa, khoa)
        return stay


async def cancel_transfer(repo: Repository, task_id: str, reason: str, by: Staff) -> Stored:
    """Take a request back, or refuse it, with a reason. Raises: ``Conflict`` (records.transfer-not-pending)."""
    if not reason.strip():
        raise RuleViolation("records.reason-needed", "Cần nêu lý do.", expression="reason")
    async with repo.transaction() as tx:
        task = await tx.read("Task", task_id)
        if task.data["status"] != "requested":
            raise Conflict("records.transfer-not-pending", "Yêu cầu chuyển khoa này không còn chờ nhận.")
        resource = {
            **task.data,
            "status": "cancelled",
            "statusReason": {"text": reason.strip()},
            "owner": staff_ref(by),
        }
        await add_event(
            tx,
            id_of(task.data["encounter"]),
            "cancel-transfer",
            fact_of(task.data, "tu-khoa"),
            fact_of(task.data, "den-khoa"),
            reason,
        )
        return await tx.update(resource, if_match=task.version)


async def accepted_transfer(repo: Repository, encounter_id: str) -> Stored | None:
    """The latest transfer that a khoa has accepted; None when there was none, or it was taken back."""
    done = await all_of(repo, "Task", [("encounter", f"Encounter/{encounter_id}"), ("status", "completed")])
    moves = [t for t in done if t.data["code"]["coding"][0]["code"] == "chuyen-khoa"]
    return max(moves, key=lambda t: (t.data["authoredOn"], t.id), default=None)


async def undo_transfer(tx: Repository, encounter_id: str, reason: str) -> Stored:
    """Take an accepted transfer back: the new stay is cancelled, the old one and its bed run on as if it had not ended.

    Raises: ``Conflict`` (records.no-transfer).
    """
    task = await accepted_transfer(tx, encounter_id)
    held = await stays(tx, encounter_id)
    if task is None or len(held) < 2:
        raise Conflict("records.no-transfer", "Đợt này không có lần chuyển khoa nào để hủy.")
    old, new = held[-2], held[-1]
    await end_stay(tx, new.id, tx.clock.now(), status="cancelled")
    await reopen_stay(tx, old.id)
    wrong = {**task.data, "status": "entered-in-error", "statusReason": {"text": reason}}
    stored = await tx.update(wrong, if_match=task.version)
    await set_place(tx, encounter_id, old.khoa, old.doctor)
    await add_event(tx, encounter_id, "undo-transfer", new.khoa, old.khoa, reason)
    return stored
