"""One PIN, many papers: each over exactly what was shown, refused alone, gone on with after a stop."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any

import pytest

from benhan import records
from benhan.base.errors import Conflict, NeighbourFailed, NotFound
from benhan.records import Chosen, SignWith, everything_allowed
from benhan.records.paper_signing import SEEN
from benhan.records.shapes import fact_of
from benhan.store import Repository


async def choose(ward: Repository, made: list[Any], role: str = "bac_si_lam_benh_an") -> list[Chosen]:
    """All of them ticked, with the hashes that are shown."""
    return [Chosen(r.response_id, (await records.show_paper(ward, r.response_id)).sha256, role) for r in made]


def ink(build: Any) -> Any:
    """How the doctor signs in a role."""
    return lambda role: SignWith(None, build.DOCTOR, role)


async def signed_file(ward: Repository, response_id: str) -> bytes:
    """The PDF of a paper as it is kept."""
    return await records.print_paper(ward, response_id)


async def test_the_hash_shown_is_the_hash_signed(ward: Repository, build: Any, clock: Any) -> None:
    """The signed file begins with the very bytes that were shown; the signature says their hash; the copy is gone."""
    (record,) = await build.some_papers(ward, 1)
    (chosen,) = await choose(ward, [record])
    seen = await records.shown_pdf(ward, record.response_id, chosen.shown)
    assert hashlib.sha256(seen).hexdigest() == chosen.shown
    clock.move(minutes=20)
    assert (await records.show_paper(ward, record.response_id)).sha256 == chosen.shown
    made = await records.sign_paper(
        ward, record.response_id, ink(build)(chosen.role), authorize=everything_allowed, shown=chosen.shown
    )
    assert (await signed_file(ward, record.response_id)).startswith(seen)
    assert fact_of(made.data, SEEN) == chosen.shown
    assert not await ward.store.blobs.exists(chosen.shown)
    with pytest.raises(NotFound) as gone:
        await records.shown_pdf(ward, record.response_id, chosen.shown)
    assert gone.value.code == "records.not-shown"


async def test_a_changed_paper_is_refused_alone(ward: Repository, build: Any) -> None:
    """Of four one was changed and one was signed by somebody else meanwhile: two are signed, two say why not."""
    made = await build.some_papers(ward, 4)
    chosen = await choose(ward, made)
    await build.write(made[1], {"tien_luong": "Dè dặt, đã đổi."})
    await build.sign(made[2], build.HEAD, "bac_si_lam_benh_an")
    batch = await records.begin_batch(ward, chosen)
    done = await records.run_batch(ward, batch.id, ink(build), authorize=everything_allowed)
    assert [i.stage for i in done.items].count("signed") == 2
    refused = {i.seq: i for i in done.items if i.stage == "refused"}
    assert refused[2].code == "records.changed-since-shown"
    assert "xem lại rồi ký" in refused[2].sentence
    assert refused[3].code == "records.not-your-turn"
    for record, item in zip(made, done.items, strict=True):
        if item.stage == "signed":
            (signature,) = (await records.paper(ward, record.response_id)).signatures
            assert signature.provenance_id == item.provenance_id
    assert (await records.paper(ward, made[1].response_id)).signatures == ()


async def test_other_bytes_than_those_shown_are_never_signed(ward: Repository, build: Any) -> None:
    """A made-up hash, the hash of another paper, the hash of an earlier version: nothing is signed."""
    one, two = await build.some_papers(ward, 2)
    first, second = await choose(ward, [one, two])
    for wrong in ("0" * 64, second.shown):
        with pytest.raises(Conflict) as refused:
            await records.sign_paper(
                ward, one.response_id, ink(build)(first.role), authorize=everything_allowed, shown=wrong
            )
        assert refused.value.code == "records.changed-since-shown"
    await build.sign(one, build.DOCTOR, "bac_si_lam_benh_an")
    await build.write(one, build.summary_answers())
    with pytest.raises(Conflict):
        await records.sign_paper(
            ward, one.response_id, ink(build)("bac_si_dieu_tri"), authorize=everything_allowed,
            shown=first.shown,
        )  # fmt: skip


async def test_the_second_signer_sees_the_file_with_the_first_signature(ward: Repository, build: Any) -> None:
    """What is shown to him is the signed file itself, and he signs behind it."""
    (record,) = await build.some_papers(ward, 1)
    await build.write(record, build.summary_answers())
    await build.sign(record, build.DOCTOR, "bac_si_lam_benh_an")
    held = await signed_file(ward, record.response_id)
    shown = await records.show_paper(ward, record.response_id)
    assert hashlib.sha256(held).hexdigest() == shown.sha256
    assert await records.shown_pdf(ward, record.response_id, shown.sha256) == held
    sign = ink(build)("bac_si_dieu_tri")
    await records.sign_paper(ward, record.response_id, sign, authorize=everything_allowed, shown=shown.sha256)
    assert (await signed_file(ward, record.response_id)).startswith(held)


async def test_a_batch_that_stopped_goes_on(
    ward: Repository, build: Any, clock: Any, plain_ink: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The token goes away after two papers, the process dies after a third: nothing is lost, nothing is signed twice."""
    made = await build.some_papers(ward, 4)
    batch = await records.begin_batch(ward, await choose(ward, made))
    inked: list[str] = []
    real = plain_ink.sign_pdf

    async def away(*given: Any, **named: Any) -> bytes:
        if len(inked) == 2:
            raise NeighbourFailed("signing.tsa-away", "Dịch vụ dấu thời gian không trả lời.")
        inked.append(named["field"])
        return bytes(await real(*given, **named))

    with monkeypatch.context() as without:
        without.setattr(plain_ink, "sign_pdf", away)
        stopped = await records.run_batch(ward, batch.id, ink(build), authorize=everything_allowed)
    assert (stopped.waiting, stopped.note) == (2, "Dịch vụ dấu thời gian không trả lời.")
    assert not stopped.running(clock.now())
    assert [b.id for b in await records.stopped_batches(ward)] == [batch.id]
    # signed, but the process died before it could note it
    third = stopped.items[2]
    await records.sign_paper(
        ward, third.response_id, ink(build)(third.role), authorize=everything_allowed, shown=third.shown
    )
    again = await records.claim_batch(ward, batch.id)
    assert again.running(clock.now())
    with pytest.raises(Conflict) as twice:
        await records.claim_batch(ward, batch.id)
    assert twice.value.code == "records.batch-running"
    done = await records.run_batch(ward, batch.id, ink(build), authorize=everything_allowed)
    assert {i.stage for i in done.items} == {"signed"}
    for record in made:
        assert len((await records.paper(ward, record.response_id)).signatures) == 1
    assert await records.stopped_batches(ward) == []


async def test_a_dead_process_is_noticed(ward: Repository, build: Any, clock: Any) -> None:
    """Without a sign of life for half a minute the batch counts as stopped and can be taken up."""
    batch = await records.begin_batch(ward, await choose(ward, await build.some_papers(ward, 1)))
    assert batch.running(clock.now())
    clock.move(seconds=31)
    assert not (await records.sign_batch(ward, batch.id)).running(clock.now())
    assert (await records.claim_batch(ward, batch.id)).running(clock.now())


async def test_a_batch_is_its_owners_alone(ward: Repository, build: Any) -> None:
    """Nobody else sees it or goes on with it."""
    batch = await records.begin_batch(ward, await choose(ward, await build.some_papers(ward, 1)))
    other = ward.store.repo(build.ctx(ward.ctx.tenant, build.HEAD), ward.policy)
    for ask in (records.sign_batch, records.claim_batch):
        with pytest.raises(NotFound):
            await ask(other, batch.id)
    with pytest.raises(Conflict) as empty:
        await records.begin_batch(ward, [])
    assert empty.value.code == "records.nothing-chosen"


async def test_lines_are_signed_over_the_bytes_shown(ward: Repository, build: Any, clock: Any) -> None:
    """A line that was amended since it was shown is refused; the other is signed."""
    record = await build.an_inpatient_record(ward)
    sheet = await records.open_sheet(ward, record.id, "36/BV2", build.DOCTOR, clock.now())
    lines = [
        await records.add_entry(ward, sheet.id, records.Entry(clock.now(), build.DOCTOR, text))
        for text in ("Sốt", "Đỡ sốt")
    ]
    chosen = [Chosen(line.id, line.sha256, "", True) for line in lines]
    clock.move(minutes=1)
    other = records.Entry(clock.now(), build.DOCTOR, "Sốt cao")
    await records.amend_entry(ward, lines[0].id, other, "Ghi nhầm")
    batch = await records.begin_batch(ward, chosen)
    done = await records.run_batch(ward, batch.id, ink(build), authorize=everything_allowed)
    assert [i.stage for i in done.items] == ["refused", "signed"]
    assert done.items[0].code == "records.changed-since-shown"


async def test_a_print_nobody_signed_is_made_anew_and_destroyed_with_the_record(
    ward: Repository, build: Any, clock: Any
) -> None:
    """After half a day the print is a new one; what waits is listed for destruction."""
    from benhan.records.paper_signing import KEEP, shown_files

    (record,) = await build.some_papers(ward, 1)
    first = await records.show_paper(ward, record.response_id)
    clock.move(seconds=(KEEP + timedelta(minutes=1)).total_seconds())
    second = await records.show_paper(ward, record.response_id)
    assert second.sha256 != first.sha256
    assert not await ward.store.blobs.exists(first.sha256)
    assert await shown_files(ward, record.id) == [second.sha256]
