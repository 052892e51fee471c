"""The end of a record, and the walk through the archive that finds what is lost or altered before it is needed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from benhan import records
from benhan.base.errors import BenhanError, Conflict, Deleted, NotFound
from benhan.records import everything_allowed
from benhan.store import Repository


async def test_destruction_takes_content_files_and_leaves_a_certificate(
    ward: Repository, build: Any, clock: Any
) -> None:
    """Not before its time, not under hold, not by one alone; afterwards nothing of the content can be read."""
    record = await build.a_closed_record(ward, clock)
    seal = build.sign_as(build.HOUSE, "dau")
    other = ward.store.repo(build.ctx(ward.ctx.tenant, build.DIRECTOR), ward.policy)
    everything = await records.contents(ward, await records.case(ward, record.id))
    (box,) = await records.containers(ward, record.id)
    papers = [s for s in everything if s.type == "DocumentReference"]
    await records.archive_record(ward, record.id, authorize=everything_allowed)
    with pytest.raises(Conflict) as early:
        await records.propose_destruction(ward, record.id, "Hết hạn", authorize=everything_allowed)
    assert early.value.code == "records.not-due"
    clock.move(days=3710)
    await records.mark_due(ward, record.id, authorize=everything_allowed)
    asked = await records.propose_destruction(ward, record.id, "Hết hạn", authorize=everything_allowed)
    await records.set_legal_hold(ward, record.id, True, "Tòa án yêu cầu", authorize=everything_allowed)
    with pytest.raises(Conflict) as held:
        await records.destroy_record(other, asked.id, seal, authorize=everything_allowed)
    assert held.value.code == "records.legal-hold"
    assert (await records.request(ward, asked.id)).decision is None
    await records.set_legal_hold(ward, record.id, False, "Xong vụ án", authorize=everything_allowed)
    with pytest.raises(Conflict) as alone:
        await records.destroy_record(ward, asked.id, seal, authorize=everything_allowed)
    assert alone.value.code == "records.same-person"

    done = await records.destroy_record(other, asked.id, seal, authorize=everything_allowed)
    assert (await records.case(ward, record.id)).state == "destroyed"
    left = []
    for stored in everything:
        try:
            await ward.vread(stored.type, stored.id, stored.version)
        except (NotFound, Deleted):
            continue
        left.append(stored.type)
    assert sorted(left) == [
        "EpisodeOfCare",
        "Patient",
    ]  # the person, and the frame of his care, are no part of the record
    for document in [*papers, box]:
        assert not await ward.store.blobs.exists(records.blob_of(document.data))
    assert await ward.count("QuestionnaireResponse", f"encounter=Encounter/{record.id}") == 0
    certificate = json.loads(await ward.store.blobs.get(done.listing))
    assert certificate["so_luu_tru"] == "26/000001"
    assert certificate["nguoi_duyet"] == build.DIRECTOR.reference
    assert certificate["nguoi_de_nghi"] == build.DOCTOR.reference
    assert done.signature != done.certificate
    assert await ward.store.blobs.exists(done.signature)
    text = json.dumps(certificate, ensure_ascii=False)
    assert "Nguyễn Văn Mẫu" not in text
    with pytest.raises(BenhanError):
        await records.destroy_record(other, asked.id, seal, authorize=everything_allowed)


async def test_the_scrub_finds_the_altered_and_the_lost(ward: Repository, build: Any, clock: Any) -> None:
    """A byte changed in the store of files, then the file gone: both are named; a sound archive has no fault."""
    record = await build.a_closed_record(ward, clock)
    (box,) = await records.containers(ward, record.id)
    sound = await records.scrub(ward)
    assert (sound.files, sound.broken) == (1, [])
    sha256 = records.blob_of(box.data)
    place = ward.store.settings.home / "blobs" / sha256[:2] / sha256[2:4] / sha256
    whole = place.read_bytes()
    place.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    altered = await records.scrub(ward)
    assert [(b["document"], b["sha256"]) for b in altered.broken] == [(box.id, sha256)]
    place.unlink()
    lost = await records.scrub(ward)
    assert [b["fault"] for b in lost.broken] == ["store.no-such-blob"]
    assert [len(s.broken) for s in await records.scrubs(ward)].count(1) == 2
