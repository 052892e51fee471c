"""Signing outside of transactions: a slow or lost signer, a restart in between, two at once, giving up."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from benhan import records
from benhan.base.errors import Conflict, RuleViolation
from benhan.records import Addendum, everything_allowed
from benhan.store import Repository


class TokenGone(Exception):
    """The stand-in for a signer that does not answer."""


async def test_a_closing_that_stopped_goes_on_from_the_same_bytes(
    ward: Repository, build: Any, clock: Any, plain_ink: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The token is gone: nothing shows as closed, nothing may be written; later, in another process, it is sealed."""
    record = await build.a_received_record(ward, clock)
    seal = build.sign_as(build.HOUSE, "niem-phong")

    async def gone(*_: Any) -> bytes:
        raise TokenGone

    with monkeypatch.context() as without:
        without.setattr(plain_ink, "seal", gone)
        with pytest.raises(TokenGone):
            await records.close_record(ward, record.id, seal, authorize=everything_allowed)
    assert (await records.case(ward, record.id)).state == "closing"
    assert await records.containers(ward, record.id) == []
    with pytest.raises(Conflict) as refused:
        await records.record_vitals(ward, record.id, build.vitals(clock.now()))
    assert refused.value.code == "records.already-closed"
    (waiting,) = await records.open_sealings(ward)
    frozen = await ward.store.blobs.get(waiting.frozen)
    clock.move(hours=5)
    assert await ward.store.blobs.get(waiting.frozen) == frozen
    done = await records.close_record(ward, record.id, seal, authorize=everything_allowed)
    assert (await records.case(ward, record.id)).state == "closed"
    assert [c.id for c in await records.containers(ward, record.id)] == [done.id]
    assert await records.open_sealings(ward) == []
    assert not await ward.store.blobs.exists(waiting.frozen)
    assert [e.event for e in await records.events(ward, record.id)][-2:] == ["close", "seal"]


async def test_no_transaction_is_open_while_the_signer_thinks(
    ward: Repository, build: Any, clock: Any, plain_ink: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """During the signature of closing and of both signatures of an addendum the row of the record can be locked."""
    record = await build.a_received_record(ward, clock)
    asked: list[str] = []
    inks = {"seal": plain_ink.seal, "sign_pdf": plain_ink.sign_pdf}

    def slow(name: str) -> Any:
        async def ink(*given: Any, **named: Any) -> bytes:
            async with ward.transaction() as tx:
                await tx.open_connection.execute("set local lock_timeout = '200ms'")
                await tx.open_connection.execute("select from record_case for update")
            asked.append(name)
            return bytes(await inks[name](*given, **named))

        return ink

    for name in inks:
        monkeypatch.setattr(plain_ink, name, slow(name))
    seal = build.sign_as(build.HOUSE, "niem-phong")
    await records.close_record(ward, record.id, seal, authorize=everything_allowed)
    late = Addendum("Cấy máu", "Âm tính", clock.now() - timedelta(hours=1), build.DOCTOR, "Kết quả muộn")
    await records.add_addendum(
        ward, record.id, late, build.sign_as(build.DOCTOR, "x"), seal, authorize=everything_allowed
    )
    assert asked == ["seal", "sign_pdf", "seal"]


async def test_of_two_who_seal_at_once_one_wins(ward: Repository, build: Any, clock: Any) -> None:
    """One container, whoever was first."""
    record = await build.a_received_record(ward, clock)
    seal = build.sign_as(build.HOUSE, "niem-phong")
    begun = await records.start_closing(ward, record.id, authorize=everything_allowed)
    results = await asyncio.gather(
        records.finish_sealing(ward, begun, seal),
        records.finish_sealing(ward, begun, seal),
        return_exceptions=True,
    )
    assert sum(isinstance(r, BaseException) for r in results) == 1
    assert len(await records.containers(ward, record.id)) == 1


async def test_a_closing_is_given_up_with_a_reason(ward: Repository, build: Any, clock: Any) -> None:
    """Back with the records department; the seal that comes too late is not put on."""
    record = await build.a_received_record(ward, clock)
    begun = await records.start_closing(ward, record.id, authorize=everything_allowed)
    with pytest.raises(RuleViolation):
        await records.cancel_closing(ward, record.id, " ", authorize=everything_allowed)
    after = await records.cancel_closing(ward, record.id, "Thiếu phim", authorize=everything_allowed)
    assert after.state == "received"
    with pytest.raises(Conflict) as late:
        await records.finish_sealing(ward, begun, build.sign_as(build.HOUSE, "x"))
    assert late.value.code == "records.sealing-over"
    assert await records.containers(ward, record.id) == []
    await records.record_vitals(ward, record.id, build.vitals(clock.now()))


async def test_an_addendum_waits_for_its_author_and_then_for_the_seal(
    ward: Repository, build: Any, clock: Any
) -> None:
    """Before the author signs the record is unchanged; signed, the fact stands even while the seal is awaited."""
    record = await build.a_closed_record(ward, clock)
    before = [s.raw for s in await records.contents(ward, await records.case(ward, record.id))]
    late = Addendum("Cấy máu", "Âm tính", clock.now() - timedelta(hours=1), build.DOCTOR, "Kết quả muộn")
    begun = await records.start_addendum(ward, record.id, late, build.DOCTOR, authorize=everything_allowed)
    assert [s.raw for s in await records.contents(ward, await records.case(ward, record.id))] == before
    response, _ = await records.sign_addendum(
        ward, begun, build.sign_as(build.DOCTOR, "bac_si"), authorize=everything_allowed
    )
    assert (await ward.read("QuestionnaireResponse", response.id)).raw == response.raw
    (waiting,) = await records.open_sealings(ward, record.id)
    assert waiting.stage == "to-seal"
    with pytest.raises(Conflict) as twice:
        await records.sign_addendum(
            ward, waiting, build.sign_as(build.DOCTOR, "x"), authorize=everything_allowed
        )
    assert twice.value.code == "records.sealing-over"
    await records.finish_sealing(ward, waiting, build.sign_as(build.HOUSE, "niem-phong"))
    assert len(await records.containers(ward, record.id)) == 2
