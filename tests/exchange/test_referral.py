"""A referral from slip to reply: only the steps of the table, each once, the same at both facilities and the hub."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from itertools import product
from random import Random
from uuid import uuid4

import pytest
from tests.store.waiting import all_settled

from benhan.base.errors import BenhanError, Conflict, InvalidInput, NotAllowed, RuleViolation
from benhan.base.json_door import dumps, loads_object
from benhan.exchange import (
    HUB,
    Message,
    Reply,
    act,
    drain,
    enqueue,
    fetch_referrals,
    find,
    open_envelope,
    queue_counts,
    referral,
    referral_feed,
    referral_steps,
    referrals,
    take,
)
from benhan.exchange.engine import Envelope
from benhan.exchange.incoming import answer_json, read_answer
from benhan.exchange.mhd import provide_bundle
from benhan.exchange.referral_chain import (
    EVENTS,
    STATES,
    TABLE,
    WITH_NOTE,
    Step,
    after,
    last_day,
    message,
    overdue,
    possible,
    read_message,
)
from benhan.exchange.referrals import put_step, send_step
from benhan.fhir import validate
from benhan.store import Actor, Repository, TenantInfo

from .test_envelopes import Later, later  # noqa: F401
from .test_hub import CCCD, DOCTOR, Hub, a_message, hub  # noqa: F401

NOW = datetime(2026, 11, 23, 7, 0, tzinfo=UTC)
REQUEST = {
    "patient": a_message().patient,
    "request": {
        "resourceType": "ServiceRequest",
        "status": "active",
        "intent": "order",
        "code": {"text": "Chuyển cơ sở khám bệnh, chữa bệnh"},
        "reasonCode": [{"text": "Viêm ruột thừa cấp"}],
    },
}


def first_step(**changed: object) -> Step:
    """The sending of a referral from 51Z01 to 51Z02."""
    step = Step(
        uuid4(), 1, "send", "sender", "sent", "51Z01", "51Z02", NOW, "Practitioner/a", "Bác sĩ Gửi", "",
        date(2026, 12, 7), REQUEST,
    )  # fmt: skip
    return replace(step, **changed)  # type: ignore[arg-type]


def test_every_state_event_and_side() -> None:
    """What stands in the table passes, everything else is refused; every state can be reached."""
    for state, event, side in product(("", *STATES), EVENTS, ("sender", "receiver")):
        wanted = TABLE.get((state, event, side))
        if wanted is None:
            with pytest.raises(RuleViolation) as refused:
                after(state, event, side, "đủ dài để ghi")
            assert refused.value.code == "exchange.referral-step"
            assert event not in possible(state, side)
        else:
            assert after(state, event, side, "đủ dài để ghi") == wanted
            assert event in possible(state, side)
            if event in WITH_NOTE:
                with pytest.raises(RuleViolation):
                    after(state, event, side, " ")
    reached = {""}
    for _ in STATES:
        reached |= {new for (old, _, _), new in TABLE.items() if old in reached}
    assert reached == {"", *STATES}


def test_slip_counts_ten_working_days_or_a_year() -> None:
    """TT 01/2025 Điều 12: weekends do not count; a year for PL III, the leap day included."""
    assert last_day(date(2026, 11, 23), year=False) == date(2026, 12, 7)
    assert last_day(date(2026, 11, 27), year=False) == date(2026, 12, 11)
    assert last_day(date(2026, 11, 28), year=False) == date(2026, 12, 11)
    assert last_day(date(2028, 2, 29), year=True) == date(2029, 2, 28)
    assert last_day(date(2026, 11, 23), year=True) == date(2027, 11, 23)


def test_lists_warn_of_what_lies() -> None:
    """Unseen after hours, unread after days, run out before the person came; closed ones never."""
    today, end = NOW.date(), date(2026, 12, 7)
    assert not overdue("sent", NOW, end, NOW + timedelta(hours=1), today)
    assert overdue("sent", NOW, end, NOW + timedelta(hours=5), today)
    assert overdue("accepted", NOW, end, NOW + timedelta(days=20), date(2026, 12, 13))
    assert overdue("treated", NOW, end, NOW + timedelta(days=4), today)
    assert not overdue("closed", NOW, end, NOW + timedelta(days=400), date(2028, 1, 1))


def test_message_is_fhir_and_comes_back_as_it_was() -> None:
    """Every resource of every step validates; what is read is what was written, bytes included."""
    note = "đã mổ, ổn định"
    for (_, event, side), state in TABLE.items():
        number = EVENTS.index(event) + 1
        step = first_step(
            number=number, event=event, side=side, state=state, note=note if event in WITH_NOTE else "",
            request=REQUEST if event == "send" else None,
        )  # fmt: skip
        bundle = message(step)
        for entry in bundle["entry"]:
            validate(entry["resource"])
        back = read_message(loads_object(dumps(bundle)))
        assert dumps(message(back)) == dumps(bundle)
        assert (back.event, back.side, back.state, back.note) == (event, side, state, step.note)


@pytest.mark.parametrize("broken", ["event", "owner", "number", "identifier", "task"])
def test_broken_message_is_refused(broken: str) -> None:
    """Anything that does not hold together is refused with one code."""
    bundle = message(first_step())
    header, task = bundle["entry"][0]["resource"], bundle["entry"][1]["resource"]
    if broken == "event":
        header["eventUri"] = "urn:benhan:referral:steal"
    elif broken == "owner":
        task["owner"] = task["requester"]
    elif broken == "number":
        task["identifier"][0]["value"] = task["identifier"][0]["value"].replace("#1", "#2")
    elif broken == "identifier":
        bundle["identifier"]["value"] = "urn:uuid:1"
    else:
        del bundle["entry"][1]
    with pytest.raises(InvalidInput) as refused:
        read_message(bundle)
    assert refused.value.code == "exchange.bad-referral"


@dataclass
class Three:
    """Both facilities and the hub, joined by a line whose faults come from a seed."""

    hub: Hub
    a: Repository
    b: Repository
    rng: Random
    faults: float = 0.0

    async def exchange(self) -> None:
        """Both sides send what is due and fetch what is there."""
        both = ((self.a, self.hub.a), (self.b, self.hub.b))
        for repo, place in both:
            await drain(repo, self._sender(repo, place))
        for repo, place in both:
            await fetch_referrals(repo, place.code, self._feed(place))

    def _sender(self, repo: Repository, place: TenantInfo) -> Callable:
        async def send(envelope: Envelope) -> Reply:
            if self.rng.random() < self.faults:
                return Reply(None)
            raw = await repo.store.blobs.get(envelope.body_sha256)
            opened = open_envelope(envelope.as_json(), place, HUB, raw)
            taken = await take(self.hub.repo, place, opened, "jws", raw, **self.hub.seal)
            if self.rng.random() < self.faults:
                return Reply(None)
            body = answer_json(taken)
            return Reply(read_answer(loads_object(dumps(body))), body.get("receipt"))

        return send

    def _feed(self, place: TenantInfo) -> Callable:
        async def ask(cursor: str) -> dict:
            await all_settled(self.hub.repo)
            return await referral_feed(self.hub.repo, place, cursor)

        return ask

    async def sent(self) -> Step:
        """Facility A queues the papers and the referral."""
        made = a_message()
        papers = await self.a.store.blobs.put(dumps(provide_bundle(made)))
        step = first_step(at=self.a.clock.now())
        async with self.a.transaction() as tx:
            await enqueue(tx, Message(made.message_id, "urgent", "Patient/x", 1, papers), "51Z01", HUB)
            await put_step(tx, step, patient_id="benh-nhan-o-a", encounter_id="dot-1")
            await send_step(tx, step)
        return step

    async def equal(self, step: Step) -> None:
        """Both sides and the hub hold the same chain of steps."""
        chains = [
            [(d.number, d.event, d.name, d.at, d.note) for d in await referral_steps(repo, step.referral_id)]
            for repo in (self.a, self.b, self.hub.repo)
        ]
        assert chains[0] == chains[1] == chains[2]


@pytest.fixture
def three(hub: Hub) -> Three:  # noqa: F811
    """A and B with a doctor each."""

    def side(place: TenantInfo, name: str) -> Repository:
        actor = Actor(f"Practitioner/{place.code}", name, "person")
        return hub.repo.store.repo(replace(hub.repo.ctx, tenant=place.id, actor=actor), hub.repo.policy)

    return Three(hub, side(hub.a, "Bác sĩ Gửi"), side(hub.b, "Bác sĩ Nhận"), Random(3))


async def walk(three: Three, step: Step, events: list[tuple[str, str, str]]) -> None:
    """Do steps one after another, the line between."""
    for side, event, note in events:
        repo, code = (three.a, "51Z01") if side == "sender" else (three.b, "51Z02")
        seen = (await referral(repo, step.referral_id)).number
        await act(repo, code, step.referral_id, event, note, seen=seen)
        await three.exchange()


async def test_loop_from_slip_to_reply(three: Three) -> None:
    """Sent with its papers, seen, accepted, arrived, answered, read: names and clocks on both sides, the right opened."""
    with pytest.raises(NotAllowed):
        await find(three.hub.repo, three.hub.b, CCCD, DOCTOR)
    step = await three.sent()
    await three.exchange()
    (come,) = await referrals(three.b, receiver="51Z02")
    assert (come.state, come.request["patient"]["name"]) == ("sent", REQUEST["patient"]["name"])
    papers = await find(three.hub.repo, three.hub.b, CCCD, DOCTOR)
    assert papers["total"] == 1, "the receiver sees the papers before the person arrives"
    await walk(three, step, [
        ("receiver", "see", ""), ("receiver", "accept", ""), ("receiver", "arrive", ""),
        ("receiver", "reply", "Đã mổ nội soi, ổn định, tái khám sau 7 ngày"), ("sender", "read", ""),
    ])  # fmt: skip
    done = await referral_steps(three.a, step.referral_id)
    assert [d.event for d in done] == ["send", "see", "accept", "arrive", "reply", "read"]
    assert {d.name for d in done} == {"Bác sĩ Gửi", "Bác sĩ Nhận"}
    assert (await referral(three.hub.repo, step.referral_id)).state == "closed"
    await three.equal(step)
    assert await queue_counts(three.a) == {"received": 3}
    assert await queue_counts(three.b) == {"received": 4}


async def test_refusal_comes_back_with_its_reason(three: Three) -> None:
    """A refusal needs a reason; the sender reads it; nothing follows."""
    step = await three.sent()
    await three.exchange()
    await walk(three, step, [("receiver", "see", "")])
    with pytest.raises(RuleViolation) as bare:
        await act(three.b, "51Z02", step.referral_id, "refuse", " ", seen=2)
    assert bare.value.code == "exchange.referral-note"
    await walk(three, step, [("receiver", "refuse", "Hết máy thở"), ("sender", "read", "")])
    assert (await referral_steps(three.a, step.referral_id))[2].note == "Hết máy thở"
    with pytest.raises(RuleViolation):
        await act(three.b, "51Z02", step.referral_id, "arrive", "", seen=4)
    await three.equal(step)


async def test_two_doctors_at_once_one_wins(three: Three) -> None:
    """Who decides on an old page is told so; the other side cannot do this side's step."""
    step = await three.sent()
    await three.exchange()
    await walk(three, step, [("receiver", "see", "")])
    await act(three.b, "51Z02", step.referral_id, "accept", "", seen=2)
    with pytest.raises(Conflict) as late:
        await act(three.b, "51Z02", step.referral_id, "refuse", "Không còn giường", seen=2)
    assert late.value.code == "exchange.referral-order"
    with pytest.raises(RuleViolation):
        await act(three.a, "51Z01", step.referral_id, "arrive", "", seen=2)


async def test_hub_takes_no_step_of_another_facility(three: Three) -> None:
    """A facility cannot speak for another, nor hang a step on a referral that is not its own."""
    step = await three.sent()
    await three.exchange()
    forged = replace(
        step, number=2, event="see", side="receiver", state="seen", request=None, who="Practitioner/x"
    )
    for place, made in (
        (three.hub.a, forged),
        (three.hub.b, replace(forged, receiver="51Z02", sender="51Z03")),
    ):
        raw = dumps(message(made))
        sha256 = await three.a.store.blobs.put(raw)
        repo = three.a if place.code == "51Z01" else three.b
        async with repo.transaction() as tx:
            await enqueue(tx, Message(made.message_id, "urgent", "Task/x", 2, sha256), place.code, HUB)
    await three.exchange()
    assert (await queue_counts(three.a)).get("quarantined") == 1
    assert (await queue_counts(three.b)).get("quarantined") == 1
    assert (await referral(three.hub.repo, step.referral_id)).state == "sent"


@pytest.mark.parametrize("seed", range(4))
async def test_bad_line_changes_nothing(three: Three, later: Callable[[], None], seed: int) -> None:  # noqa: F811
    """Half of everything lost, answers too, clocks moving: the same chain at all three in the end, nothing twice."""
    three.rng, three.faults = Random(seed), 0.5
    step = await three.sent()
    plan = [("receiver", "see", ""), ("receiver", "accept", ""), ("receiver", "arrive", ""),
            ("receiver", "reply", "Đã điều trị ổn định"), ("sender", "read", "")]  # fmt: skip
    for side, event, note in plan:
        for _ in range(60):
            repo, code = (three.a, "51Z01") if side == "sender" else (three.b, "51Z02")
            await three.exchange()
            later()
            try:
                seen = (await referral(repo, step.referral_id)).number
                await act(repo, code, step.referral_id, event, note, seen=seen)
                break
            except BenhanError:
                continue
    for _ in range(60):
        await three.exchange()
        later()
        waiting = [(await queue_counts(r)).get("waiting") for r in (three.a, three.b)]
        if not any(waiting):
            break
    await three.exchange()
    await three.equal(step)
    assert (await referral(three.hub.repo, step.referral_id)).state == "closed"
    assert await three.hub.repo.count("DocumentReference", []) == 1
