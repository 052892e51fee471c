"""A referral as a message: its states, who may do which step, its FHIR form. Pure.

One referral is a chain of numbered steps. The sender's first step carries ``ServiceRequest`` and ``Patient``; every step
carries a ``Task`` with state, person and clock. Hub and both facilities apply the same table, so that a step out of
order is refused wherever it arrives. Source: TT 01/2025/TT-BYT Điều 12 and PL VI; FHIR R4 Task, MessageHeader.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal
from uuid import NAMESPACE_URL, UUID, uuid5

from benhan.base.clock import fhir_instant, parse_instant
from benhan.base.errors import InvalidInput, RuleViolation
from benhan.base.json_door import JsonObject
from benhan.catalogue import systems

Side = Literal["sender", "receiver"]
REFERRAL = "urn:benhan:referral"
STATE = "urn:benhan:referral-state"
WORKING_DAYS = 10
LEAST_NOTE = 5

#: (state before, event, side) → state after. "" is before the first step.
TABLE: dict[tuple[str, str, Side], str] = {
    ("", "send", "sender"): "sent",
    ("sent", "see", "receiver"): "seen",
    ("seen", "accept", "receiver"): "accepted",
    ("seen", "refuse", "receiver"): "refused",
    ("accepted", "refuse", "receiver"): "refused",
    ("accepted", "arrive", "receiver"): "arrived",
    ("arrived", "reply", "receiver"): "treated",
    ("treated", "read", "sender"): "closed",
    ("refused", "read", "sender"): "refusal-read",
}
STATES = ("sent", "seen", "accepted", "refused", "arrived", "treated", "closed", "refusal-read")
EVENTS = ("send", "see", "accept", "refuse", "arrive", "reply", "read")
#: Steps that must say why or what.
WITH_NOTE = frozenset({"refuse", "reply"})
TASK_STATUS = {
    "sent": "requested", "seen": "received", "accepted": "accepted", "refused": "rejected", "arrived": "in-progress",
    "treated": "completed", "closed": "completed", "refusal-read": "rejected",
}  # fmt: skip
#: How long a state may last before the work list warns: house limits, no regulation names them.
PATIENCE = {
    "sent": timedelta(hours=4), "seen": timedelta(hours=4), "refused": timedelta(hours=4),
    "arrived": timedelta(days=30), "treated": timedelta(days=3),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a referral. ``request``: ``{"patient", "request"}`` in the first one. ``who``: staff reference."""

    referral_id: UUID
    number: int
    event: str
    side: Side
    state: str
    sender: str
    receiver: str
    at: datetime
    who: str
    name: str
    note: str
    valid_until: date
    request: JsonObject | None = None

    @property
    def message_id(self) -> str:
        """The same step has the same number of message at every try."""
        return f"urn:uuid:{uuid5(NAMESPACE_URL, f'{REFERRAL}|{self.referral_id}|{self.number}|{self.event}|{self.who}')}"

    @property
    def by(self) -> str:
        """MA_CSKCB of the facility that does this step."""
        return self.sender if self.side == "sender" else self.receiver

    @property
    def source_id(self) -> str:
        """How the facility that does this step names itself."""
        return f"{systems.MA_CSKCB}:{self.by}"


def after(state: str, event: str, side: Side, note: str = "") -> str:
    """State after a step. Raises: ``RuleViolation`` (exchange.referral-step, exchange.referral-note)."""
    found = TABLE.get((state, event, side))
    if found is None:
        raise RuleViolation(
            "exchange.referral-step", "Phiếu chuyển không ở bước này nữa; tải lại trang để xem tình trạng."
        )
    if event in WITH_NOTE and len(note.strip()) < LEAST_NOTE:
        raise RuleViolation("exchange.referral-note", "Bước này phải ghi rõ nội dung.", expression="note")
    return found


def possible(state: str, side: Side) -> list[str]:
    """Events this side may do now."""
    return [event for event in EVENTS if (state, event, side) in TABLE]


def last_day(issued: date, *, year: bool) -> date:
    """Last day on which a slip counts: ten working days after issue, a year for the diseases of PL III.

    Saturdays and Sundays are left out; public holidays are not known here, so the real end may be later, never earlier.
    Source: TT 01/2025/TT-BYT Điều 12.
    """
    if year:
        day = min(issued.day, 28) if issued.month == 2 else issued.day
        return issued.replace(year=issued.year + 1, day=day)
    found, left = issued, WORKING_DAYS
    while left:
        found += timedelta(days=1)
        left -= found.weekday() < 5
    return found


def overdue(state: str, changed_at: datetime, valid_until: date, now: datetime, today: date) -> bool:
    """Whether the work list must warn: a side lets it lie, or the slip ran out before the person came."""
    if state in ("sent", "seen", "accepted") and today > valid_until:
        return True
    patience = PATIENCE.get(state)
    return patience is not None and now - changed_at > patience


def message(step: Step) -> JsonObject:
    """The FHIR message of a step; equal steps give equal bytes."""
    urn = f"urn:uuid:{step.referral_id}"
    task_urn = f"urn:uuid:{uuid5(NAMESPACE_URL, f'{step.message_id}|task')}"
    header: JsonObject = {
        "resourceType": "MessageHeader",
        "eventUri": f"{REFERRAL}:{step.event}",
        "source": {"name": step.by, "endpoint": step.source_id},
        "focus": [{"reference": task_urn}],
    }
    entries = [
        {"fullUrl": f"urn:uuid:{uuid5(NAMESPACE_URL, f'{step.message_id}|header')}", "resource": header},
        {"fullUrl": task_urn, "resource": _task(step, urn)},
    ]
    if step.request is not None:
        patient_urn = f"urn:uuid:{uuid5(NAMESPACE_URL, f'{step.message_id}|patient')}"
        request = {**step.request["request"], "subject": {"reference": patient_urn}}
        patient = {k: v for k, v in step.request["patient"].items() if k != "meta"}
        entries += [{"fullUrl": urn, "resource": request}, {"fullUrl": patient_urn, "resource": patient}]
    return {
        "resourceType": "Bundle",
        "identifier": {"system": "urn:ietf:rfc:3986", "value": step.message_id},
        "type": "message",
        "timestamp": fhir_instant(step.at),
        "entry": entries,
    }


def _facility(code: str) -> JsonObject:
    return {"identifier": {"system": systems.MA_CSKCB, "value": code}}


def _task(step: Step, focus: str) -> JsonObject:
    task: JsonObject = {
        "resourceType": "Task",
        "identifier": [{"system": REFERRAL, "value": f"{step.referral_id}#{step.number}"}],
        "groupIdentifier": {"system": REFERRAL, "value": str(step.referral_id)},
        "status": TASK_STATUS[step.state],
        "businessStatus": {"coding": [{"system": STATE, "code": step.state}]},
        "intent": "order",
        "code": {"coding": [{"system": "http://hl7.org/fhir/CodeSystem/task-code", "code": "fulfill"}]},
        "focus": {"reference": focus},
        "lastModified": fhir_instant(step.at),
        "requester": _facility(step.sender),
        "owner": _facility(step.receiver),
        "restriction": {"period": {"end": step.valid_until.isoformat()}},
        "note": [
            {
                "authorReference": {"identifier": {"value": step.who}, "display": step.name},
                "time": fhir_instant(step.at),
                "text": step.note or step.event,
            }
        ],
    }
    if step.event == "refuse":
        task["statusReason"] = {"text": step.note}
    if step.event == "reply":
        task["output"] = [{"type": {"text": "Phản hồi"}, "valueString": step.note}]
    return task


def is_step(bundle: JsonObject) -> bool:
    """Whether a Bundle is a referral's message."""
    return bundle.get("resourceType") == "Bundle" and bundle.get("type") == "message"


def read_message(bundle: JsonObject) -> Step:
    """Inverse of :func:`message`. Raises: ``InvalidInput`` (exchange.bad-referral)."""
    try:
        resources = {e["resource"]["resourceType"]: e["resource"] for e in bundle["entry"]}
        header, task = resources["MessageHeader"], resources["Task"]
        event = str(header["eventUri"]).removeprefix(f"{REFERRAL}:")
        referral_id, _, number = str(task["identifier"][0]["value"]).partition("#")
        sender, receiver = (str(task[k]["identifier"]["value"]) for k in ("requester", "owner"))
        by, note = str(header["source"]["name"]), task["note"][0]
        if sender == receiver or by not in (sender, receiver) or event not in EVENTS:
            raise ValueError(event)
        first = (
            {"patient": resources["Patient"], "request": resources["ServiceRequest"]}
            if event == "send"
            else None
        )
        step = Step(
            UUID(referral_id), int(number), event, "sender" if by == sender else "receiver",
            str(task["businessStatus"]["coding"][0]["code"]), sender, receiver, parse_instant(note["time"]),
            str(note["authorReference"]["identifier"]["value"]), str(note["authorReference"]["display"]),
            "" if note["text"] == event else str(note["text"]), date.fromisoformat(task["restriction"]["period"]["end"]),
            first,
        )  # fmt: skip
    except (KeyError, IndexError, TypeError, ValueError):
        raise InvalidInput("exchange.bad-referral", "Bước của phiếu chuyển không đúng cấu trúc.") from None
    if bundle.get("identifier", {}).get("value") != step.message_id or (step.number == 1) != (
        event == "send"
    ):
        raise InvalidInput("exchange.bad-referral", "Bước của phiếu chuyển không đúng cấu trúc.")
    return step
