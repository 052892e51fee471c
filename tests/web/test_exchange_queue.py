"""The page of sharing: a facility sees where each message truly stands; the hub replays what was kept apart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benhan.base.clock import local_date
from benhan.exchange import HUB, Message, Reply, compare_day, drain, enqueue, queue
from benhan.exchange.engine import Envelope, Receipt


async def test_queue_says_what_is_true(house: Any, as_person: Callable[..., Any]) -> None:
    """Waiting until the hub has it, then received; a refusal shows its reason; the comparison shows both sides."""
    repo = house.repo
    async with repo.transaction() as tx:
        for number in range(3):
            message = Message(f"urn:uuid:thu-{number}", "normal", "Patient/1", 1, "0" * 64)
            await enqueue(tx, message, "51Z01", HUB)
    one = await as_person("khth")
    assert "chờ gửi" in await one.see("/lien-thong")

    async def send(envelope: Envelope) -> Reply:
        if envelope.sequence == 2:
            return Reply(Receipt(envelope.digest, "quarantined", "Gói thiếu người bệnh."))
        return Reply(Receipt(envelope.digest, "stored")) if envelope.sequence == 1 else Reply(None)

    await drain(repo, send)
    told = await one.see("/lien-thong")
    assert "trục giữ lại, chờ xử lý" in told
    assert "Gói thiếu người bệnh." in told
    day = local_date((await queue(repo))[0].queued_at)
    await compare_day(repo, day, {"urn:uuid:thu-0": "0" * 64})
    text = await one.see("/lien-thong")
    assert all(words in text for words in ("trục đã nhận", "chờ gửi", "gửi lại 1"))
    again = {row.message_id: row for row in await queue(repo)}["urn:uuid:thu-1"]
    assert (again.state, again.reason, again.answered_at) == ("waiting", "", None), (
        "an old answer stands beside what waits"
    )


async def test_only_those_who_watch_see_it(house: Any, as_person: Callable[..., Any]) -> None:
    """A doctor has no business here."""
    one = await as_person("bacsi")
    await one.see("/lien-thong", 403)
