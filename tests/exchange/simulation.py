"""Facilities and a hub in memory, over a line that loses, doubles, reorders, replays and forges; processes and clocks fail.

Durable state is what survives a crash; a step commits as a whole or not at all, as the database does. The transitions are
those of :mod:`benhan.exchange.engine`, nothing is written a second time here but the keeping.
"""

from __future__ import annotations

import copy
import heapq
import itertools
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import Random

from benhan.exchange import engine
from benhan.exchange.engine import Envelope, Gap, InLane, Message, OutLane, Receipt, Refusal, Waiting

START = datetime(2026, 11, 23, tzinfo=UTC)


@dataclass(frozen=True)
class Packet:
    """What travels to the hub: the envelope as signed, by whom, and the body."""

    envelope: Envelope
    signed_by: str
    body: str


@dataclass
class Clock:
    """A node's clock: off by a fixed time, and now and then set wrong."""

    off: timedelta

    def at(self, now: datetime) -> datetime:
        return now + self.off


@dataclass
class Sent:
    """A row of the facility's outgoing table."""

    waiting: Waiting
    body: str
    state: engine.State = "waiting"


@dataclass
class FacilityDisk:
    """What a facility keeps: its documents, its lanes, what it has sent."""

    documents: dict[str, tuple[str, int, str]] = field(default_factory=dict)
    lanes: dict[str, OutLane] = field(default_factory=dict)
    out: dict[str, Sent] = field(default_factory=dict)


@dataclass
class Facility:
    """A sender."""

    name: str
    clock: Clock
    disk: FacilityDisk = field(default_factory=FacilityDisk)
    acknowledged: set[str] = field(default_factory=set)
    versions: dict[str, int] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)

    def write(self, rng: Random, number: int, now: datetime) -> None:
        """A user's act: document and envelope in one commit, then the user is told."""
        subject = f"{self.name}-benh-nhan-{rng.randrange(4)}"
        version = self.versions.get(subject, 0) + 1
        message_id, body = f"{self.name}-{number}", f"{subject} bản {version} #{number}"
        lane = rng.choice(engine.LANES)
        message = Message(message_id, lane, subject, version, body)
        self.disk.documents[message_id] = (subject, version, body)
        self._enclose(message, body, now)
        self.versions[subject] = version
        self.acknowledged.add(message_id)

    def _enclose(self, message: Message, body: str, now: datetime) -> None:
        lane = self.disk.lanes.get(message.lane, OutLane())
        at = self.clock.at(now)
        self.disk.lanes[message.lane], envelope = engine.enclose(
            lane, message, self.name, "hub", at.isoformat()
        )
        self.disk.out[message.message_id] = Sent(Waiting(envelope, 0, at), body)

    def due(self, now: datetime) -> list[Packet]:
        """What goes on the line now."""
        waiting = [s.waiting for s in self.disk.out.values() if s.state == "waiting"]
        return [
            Packet(w.envelope, self.name, self.disk.out[w.envelope.message_id].body)
            for w in engine.due(waiting, self.clock.at(now))
        ]

    def answered(self, packet: Packet, answer: engine.Answer, now: datetime, jitter: float) -> None:
        """Keep what an answer says, in one commit."""
        sent = self.disk.out.get(packet.envelope.message_id)
        if sent is None or sent.state != "waiting" or sent.waiting.envelope != packet.envelope:
            return
        sent.state, sent.waiting, reason = engine.after(sent.waiting, answer, self.clock.at(now), jitter)
        if sent.state == "refused" and reason in engine.LOST_PLACE:
            sent.state = "waiting"
            self._start_again(packet.envelope.lane, now)
        if isinstance(answer, Gap):
            self._rewind(packet.envelope.lane, answer)

    def _rewind(self, lane: str, gap: Gap) -> None:
        ours = [s for s in self.disk.out.values() if s.waiting.envelope.lane == lane]
        ours = [s for s in ours if s.waiting.envelope.epoch == gap.epoch]
        waiting = [s.waiting.envelope.sequence for s in ours if s.state == "waiting"]
        if waiting and engine.sent_too_far(gap, min(waiting)):
            for s in ours:
                if s.waiting.envelope.sequence >= gap.expected:
                    s.state = "waiting"

    def _start_again(self, lane: str, now: datetime) -> None:
        self.disk.lanes[lane] = engine.start_again(self.disk.lanes[lane])
        open_ones = [
            s for s in self.disk.out.values() if s.state == "waiting" and s.waiting.envelope.lane == lane
        ]
        for s in sorted(open_ones, key=lambda s: (s.waiting.envelope.epoch, s.waiting.envelope.sequence)):
            e = s.waiting.envelope
            self._enclose(Message(e.message_id, lane, e.subject, e.version, e.body_sha256), s.body, now)

    def reconcile(self, hub: Hub, now: datetime) -> None:
        """The daily comparison: what the hub lacks is sent again; what we lack (lost with a machine) is fetched."""
        ours = {m: body for m, (_, _, body) in self.disk.documents.items()}
        lacking, _, differing = engine.differences(ours, hub.manifest(self.name))
        assert not differing
        for message_id in lacking:
            if message_id in self.disk.out:
                self.disk.out[message_id].state = "waiting"
            else:
                subject, version, body = self.disk.documents[message_id]
                self._enclose(Message(message_id, "archive", subject, version, body), body, now)
        self.fetch(hub)

    def fetch(self, hub: Hub) -> None:
        """Take over what the hub has of ours and we do not."""
        for message_id, body in hub.manifest(self.name).items():
            subject, version = hub.disk.about[self.name, message_id]
            self.disk.documents.setdefault(message_id, (subject, version, body))
            self.versions[subject] = max(version, self.versions.get(subject, 0))

    def manifest(self) -> dict[str, str]:
        return {m: s.body for m, s in self.disk.out.items()}


@dataclass
class HubDisk:
    """What the hub keeps."""

    lanes: dict[tuple[str, str], InLane] = field(default_factory=dict)
    taken: dict[tuple[str, str, int, int], tuple[str, str]] = field(default_factory=dict)
    messages: dict[tuple[str, str], str] = field(default_factory=dict)
    about: dict[tuple[str, str], tuple[str, int]] = field(default_factory=dict)
    current: dict[str, int] = field(default_factory=dict)
    applied: list[tuple[str, str]] = field(default_factory=list)
    refused: int = 0


@dataclass
class Hub:
    """The receiver."""

    disk: HubDisk = field(default_factory=HubDisk)

    def take(self, packet: Packet) -> engine.Answer:
        """One envelope, in one commit."""
        e = packet.envelope
        if packet.signed_by != e.sender or packet.body != e.body_sha256:
            self.disk.refused += 1
            return None
        at = (e.sender, e.lane, e.epoch, e.sequence)
        known = self.disk.taken.get(at)
        verdict = engine.judge(
            self.disk.lanes.get((e.sender, e.lane), InLane()), known[0] if known else None, e
        )
        if isinstance(verdict, engine.Repeat):
            return Receipt(e.digest, "stored")
        if isinstance(verdict, engine.Take):
            self.disk.lanes[e.sender, e.lane] = verdict.lane
            self.disk.taken[at] = (e.digest, e.previous)
            self._apply(e, packet.body)
            return Receipt(e.digest, "stored")
        if isinstance(verdict, Refusal):
            self.disk.refused += 1
        return verdict

    def _apply(self, e: Envelope, body: str) -> None:
        if (e.sender, e.message_id) in self.disk.messages:
            return
        self.disk.messages[e.sender, e.message_id] = body
        self.disk.about[e.sender, e.message_id] = (e.subject, e.version)
        self.disk.applied.append((e.sender, e.message_id))
        if engine.newer(self.disk.current.get(e.subject), e.version):
            self.disk.current[e.subject] = e.version

    def manifest(self, sender: str) -> dict[str, str]:
        return {m: body for (s, m), body in self.disk.messages.items() if s == sender}


@dataclass
class World:
    """One seed: what goes wrong is drawn from it."""

    seed: int
    rng: Random = field(init=False)
    now: datetime = START
    facilities: list[Facility] = field(default_factory=list)
    hub: Hub = field(default_factory=Hub)
    line: list[tuple[datetime, int, str, Facility, Packet, engine.Answer]] = field(default_factory=list)
    old: list[tuple[Facility, Packet]] = field(default_factory=list)
    order: itertools.count[int] = field(default_factory=itertools.count)
    told: set[tuple[str, str]] = field(default_factory=set)
    backups: list[HubDisk] = field(default_factory=list)
    copies: dict[str, tuple[FacilityDisk, dict[str, int]]] = field(default_factory=dict)
    seen: Counter[str] = field(default_factory=Counter)
    faults: bool = True

    def __post_init__(self) -> None:
        self.rng = Random(self.seed)
        hours = (0, 0, 1, -1, 24, -24)
        self.facilities = [
            Facility(f"CS{n}", Clock(timedelta(hours=self.rng.choice(hours))))
            for n in range(self.rng.randint(1, 3))
        ]
        self.loss, self.twice = self.rng.choice((0, 0.1, 0.3)), self.rng.choice((0, 0.1, 0.3))
        self.delay = self.rng.choice((1, 30, 600))

    def send(self, kind: str, facility: Facility, packet: Packet, answer: engine.Answer = None) -> None:
        """Put something on the line: it may be lost, doubled, late."""
        copies = 1
        if self.faults:
            copies = 0 if self.rng.random() < self.loss else 2 if self.rng.random() < self.twice else 1
        for _ in range(copies):
            late = timedelta(seconds=self.rng.uniform(0, self.delay if self.faults else 1))
            heapq.heappush(self.line, (self.now + late, next(self.order), kind, facility, packet, answer))

    def step(self, number: int) -> None:
        """A little time passes."""
        self.now += timedelta(seconds=self.rng.uniform(0.5, 20))
        for facility in self.facilities:
            if self.faults and self.rng.random() < 0.3:
                self.write(facility, number)
            for packet in facility.due(self.now):
                self.old.append((facility, packet))
                self.send("to hub", facility, packet)
                facility.answered(packet, None, self.now, self.rng.random())
        if self.faults:
            self.misfortune()
        while self.line and self.line[0][0] <= self.now:
            self.deliver(*heapq.heappop(self.line)[2:])

    def write(self, facility: Facility, number: int) -> None:
        """A user writes; when the machine dies before the commit nothing is there and the user was not told."""
        if self.rng.random() >= 0.05:
            facility.write(self.rng, number, self.now)

    def deliver(self, kind: str, facility: Facility, packet: Packet, answer: engine.Answer) -> None:
        """Something arrives; the one who gets it may die before or after keeping it."""
        dies = self.rng.random() if self.faults else 1.0
        if kind == "to hub":
            if dies < 0.05:
                return
            answer = self.hub.take(packet)
            self.seen[type(answer).__name__] += 1
            if dies < 0.1 or answer is None:
                return
            self.send("to facility", facility, packet, answer)
        elif dies >= 0.05:
            facility.answered(packet, answer, self.now, self.rng.random())
            sent = facility.disk.out.get(packet.envelope.message_id)
            if sent is not None and sent.state == "received":
                self.told.add((facility.name, packet.envelope.message_id))

    def misfortune(self) -> None:
        """Replays, forgeries, clocks set wrong, and the hub brought back from an old copy."""
        chance = self.rng.random()
        if self.old and chance < 0.2:
            facility, packet = self.rng.choice(self.old)
            self.send("to hub", facility, packet)
        elif self.old and chance < 0.3:
            facility, packet = self.rng.choice(self.old)
            e = packet.envelope
            forged = self.rng.choice(
                (
                    replace(packet, body="khác"),
                    replace(packet, signed_by="ke-gian"),
                    Packet(replace(e, body_sha256="khác"), e.sender, "khác"),
                    Packet(replace(e, sequence=e.sequence + 1), "ke-gian", packet.body),
                )
            )
            if forged.signed_by == e.sender and forged.body == forged.envelope.body_sha256:
                forged = replace(forged, signed_by="ke-gian")
            self.send("to hub", facility, forged)
        elif chance < 0.33:
            self.rng.choice(self.facilities).clock.off += timedelta(days=self.rng.choice((-1, 1)))
        elif chance < 0.36:
            self.backups.append(copy.deepcopy(self.hub.disk))
        elif self.backups and chance < 0.37:
            self.hub.disk = copy.deepcopy(self.rng.choice(self.backups))
            self.seen["hub restored"] += 1
        elif chance < 0.39:
            facility = self.rng.choice(self.facilities)
            self.copies[facility.name] = copy.deepcopy((facility.disk, facility.versions))
        elif chance < 0.4:
            facility = self.rng.choice(self.facilities)
            if facility.name in self.copies:
                self.bring_back(facility)

    def bring_back(self, facility: Facility) -> None:
        """A facility from an old copy: as the procedure demands, it fetches what the hub has before anybody writes.

        What had not reached the hub since the copy is lost with the machine; its users must be told.
        """
        facility.disk, facility.versions = copy.deepcopy(self.copies[facility.name])
        facility.fetch(self.hub)
        facility.acknowledged &= set(facility.disk.documents)
        self.told = {
            (name, m) for name, m in self.told if name != facility.name or m in facility.acknowledged
        }
        self.seen["facility restored"] += 1

    def run(self, steps: int = 80) -> None:
        """Faults for a while, then a good line until nothing waits; the daily comparison twice."""
        for number in range(steps):
            self.step(number)
        self.faults = False
        for round_ in range(3):
            for facility in self.facilities:
                facility.reconcile(self.hub, self.now)
            for _ in range(4000):
                if (
                    all(s.state != "waiting" for f in self.facilities for s in f.disk.out.values())
                    and not self.line
                ):
                    break
                self.step(steps + round_)
