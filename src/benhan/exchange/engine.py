"""The exchange as a pure state machine: what a sender and a receiver do next, given their state and a clock.

No clock, socket or database here. The adapters (:mod:`benhan.exchange.outgoing`, :mod:`benhan.exchange.incoming`) keep the
state in PostgreSQL; the simulation of the tests keeps it in memory and lets lines, clocks and processes fail. What must hold
whatever fails is I1-I9 of the reliability reference (A.4).

A sender numbers its messages within a **lane** (urgent, normal, archive) and chains them: each envelope names the digest of
the one before. A receiver takes exactly the next one of a lane; it answers a repeated one with the first receipt, a later
one with the number it waits for, and refuses a known number with other content. A lane that cannot go on (the sender's
database was restored from an old copy) starts again under a higher **epoch**, and the daily reconciliation finds the rest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Literal, TypeAlias

from benhan.base.errors import InvalidInput
from benhan.base.json_door import JsonObject, dumps

LANES = ("urgent", "normal", "archive")
#: Envelopes of a lane that may be on their way at once.
WINDOW = 16
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=2), timedelta(minutes=10)
State = Literal["waiting", "received", "quarantined", "refused"]


@dataclass(frozen=True, slots=True)
class Message:
    """What is to be sent. ``subject`` and ``version``: a later version is never overwritten by an earlier one."""

    message_id: str
    lane: str
    subject: str
    version: int
    body_sha256: str


@dataclass(frozen=True, slots=True)
class Envelope:
    """A message with its place in the sender's lane. ``previous``: digest of the envelope before, "" for the first."""

    sender: str
    receiver: str
    lane: str
    epoch: int
    sequence: int
    previous: str
    message_id: str
    subject: str
    version: int
    body_sha256: str
    sent_at: str

    @property
    def digest(self) -> str:
        """SHA-256 of the header in its one written form."""
        return hashlib.sha256(dumps(self.as_json())).hexdigest()

    def as_json(self) -> JsonObject:
        """The header as it is signed."""
        return dict(sorted(asdict(self).items()))


def read_envelope(header: JsonObject) -> Envelope:
    """Inverse of :meth:`Envelope.as_json`. Raises: ``InvalidInput`` (exchange.bad-envelope)."""
    kinds = {"epoch": int, "sequence": int, "version": int}
    names = Envelope.__dataclass_fields__
    good = set(header) == set(names) and all(
        type(value) is kinds.get(name, str) for name, value in header.items()
    )
    if not good or header["lane"] not in LANES or header["sequence"] < 1 or header["epoch"] < 1:
        raise InvalidInput("exchange.bad-envelope", "Phong bì của lần gửi không đúng cấu trúc.")
    return Envelope(**header)


# -- sender ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OutLane:
    """Where a sender stands in a lane: ``number`` of the next envelope, digest of the last."""

    epoch: int = 1
    number: int = 1
    head: str = ""


@dataclass(frozen=True, slots=True)
class Waiting:
    """An envelope without an answer."""

    envelope: Envelope
    tries: int
    not_before: datetime


@dataclass(frozen=True, slots=True)
class Receipt:
    """The receiver has it, durably. ``outcome``: stored, or quarantined (kept with the reason, to be replayed there)."""

    digest: str
    outcome: Literal["stored", "quarantined"]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Gap:
    """The receiver waits for an earlier number of this epoch."""

    epoch: int
    expected: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """The receiver will never take this envelope as it is."""

    reason: str


@dataclass(frozen=True, slots=True)
class Busy:
    """The receiver asks for patience (back-pressure)."""

    seconds: float


#: ``None``: nothing came back.
Answer: TypeAlias = Receipt | Gap | Refusal | Busy | None


def enclose(lane: OutLane, message: Message, sender: str, receiver: str, at: str) -> tuple[OutLane, Envelope]:
    """Give a message the next number of its lane."""
    envelope = Envelope(
        sender,
        receiver,
        message.lane,
        lane.epoch,
        lane.number,
        lane.head,
        message.message_id,
        message.subject,
        message.version,
        message.body_sha256,
        at,
    )
    return replace(lane, number=lane.number + 1, head=envelope.digest), envelope


def due(waiting: Iterable[Waiting], now: datetime, *, most: int = WINDOW) -> list[Waiting]:
    """What to send now: urgent lanes first, each in order, no more than ``WINDOW`` of a lane on their way at once.

    A wait that is longer than any we give was set by a clock that has since gone back: it is over.
    """
    lanes: dict[tuple[int, int], list[Waiting]] = {}
    for one in waiting:
        lanes.setdefault((LANES.index(one.envelope.lane), one.envelope.epoch), []).append(one)
    chosen: list[Waiting] = []
    for _, found in sorted(lanes.items(), key=lambda lane: lane[0]):
        window = sorted(found, key=lambda one: one.envelope.sequence)[:WINDOW]
        chosen += [one for one in window if not now < one.not_before <= now + LONGEST_WAIT]
    return chosen[:most]


def after(one: Waiting, answer: Answer, now: datetime, jitter: float) -> tuple[State, Waiting, str]:
    """What an envelope is after an answer: its state, when to try again, the reason for people.

    ``jitter`` is 0 to 1. Only a receipt for this very envelope ends the waiting (I9: nothing is shown as sent that is not).
    """
    if isinstance(answer, Receipt) and answer.digest == one.envelope.digest:
        return ("received" if answer.outcome == "stored" else "quarantined"), one, answer.reason
    if isinstance(answer, Refusal):
        return "refused", one, answer.reason
    if isinstance(answer, Gap) and answer.expected < one.envelope.sequence:
        return "waiting", replace(one, not_before=now + FIRST_WAIT / 4), ""
    if isinstance(answer, Busy):
        return "waiting", replace(one, not_before=now + timedelta(seconds=answer.seconds)), ""
    wait = min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(one.tries, 12)) * (0.5 + jitter / 2)
    return "waiting", replace(one, tries=one.tries + 1, not_before=now + wait), ""


def start_again(lane: OutLane) -> OutLane:
    """The lane under its next epoch: the receiver knows our numbers with other content, so we have forgotten some."""
    return OutLane(lane.epoch + 1)


#: Refusals after which a lane starts again under its next epoch, with all that waits in it.
LOST_PLACE = frozenset({"exchange.number-reused", "exchange.old-epoch", "exchange.chain-broken"})


def sent_too_far(answer: Gap, lowest_waiting: int) -> bool:
    """The receiver lacks what it once acknowledged (restored from an old copy): send again from ``expected`` on."""
    return answer.expected < lowest_waiting


# -- receiver -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class InLane:
    """Where a receiver stands in a sender's lane: the number it waits for, digest of the last one taken."""

    epoch: int = 1
    expected: int = 1
    head: str = ""


@dataclass(frozen=True, slots=True)
class Take:
    """The next one: apply it, keep its receipt and this state, all in one transaction."""

    lane: InLane


@dataclass(frozen=True, slots=True)
class Repeat:
    """Taken before: give the kept receipt again."""


Verdict: TypeAlias = Take | Repeat | Gap | Refusal


def judge(lane: InLane, known_digest: str | None, envelope: Envelope) -> Verdict:
    """What to do with an envelope whose signature and body are good.

    ``known_digest``: digest of the envelope taken under this epoch and number, if any.
    """
    if known_digest is not None:
        return Repeat() if known_digest == envelope.digest else Refusal("exchange.number-reused")
    if envelope.epoch < lane.epoch:
        return Refusal("exchange.old-epoch")
    here = lane if envelope.epoch == lane.epoch else InLane(envelope.epoch)
    if envelope.sequence < here.expected:
        return Refusal("exchange.number-reused")
    if envelope.sequence > here.expected:
        return Gap(here.epoch, here.expected)
    if envelope.previous != here.head:
        return Refusal("exchange.chain-broken")
    return Take(InLane(here.epoch, here.expected + 1, envelope.digest))


def newer(kept_version: int | None, version: int) -> bool:
    """Whether a version becomes the current one of its subject (I4)."""
    return kept_version is None or version > kept_version


# -- reconciliation -------------------------------------------------------------------------------------

Manifest: TypeAlias = dict[str, str]


def summary_of(manifest: Manifest) -> tuple[int, str]:
    """Count and hash of a manifest (message id → body digest): equal on both sides when nothing is missing."""
    text = "\n".join(f"{key} {manifest[key]}" for key in sorted(manifest))
    return len(manifest), hashlib.sha256(text.encode()).hexdigest()


def differences(ours: Manifest, theirs: Manifest) -> tuple[Sequence[str], Sequence[str], Sequence[str]]:
    """Message ids that they lack, that we lack, and that differ."""
    return (
        sorted(ours.keys() - theirs.keys()),
        sorted(theirs.keys() - ours.keys()),
        sorted(k for k in ours.keys() & theirs.keys() if ours[k] != theirs[k]),
    )
