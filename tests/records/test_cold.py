"""Sealed containers in the cold place: moved after a checked copy, read from there, scrubbed, destroyed, faults listed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from benhan import records
from benhan.access import sensitivity_guard
from benhan.base.errors import BenhanError
from benhan.base.settings import Settings
from benhan.records import closed_record_guard, everything_allowed
from benhan.store import Repository, Store, SystemPolicy

YEAR = timedelta(days=365)


@pytest.fixture
async def cold_ward(
    settings: Settings, clock: Any, build: Any, plain_ink: Any, tmp_path: Path
) -> AsyncIterator[Repository]:
    """A facility with a cold folder beside its own."""
    cold = settings.model_copy(update={"cold_url": f"file://{tmp_path / 'cold'}"})
    store = await Store.open(cold, clock=clock, guards=[closed_record_guard, sensitivity_guard])
    try:
        tenant = await store.create_tenant("facility", "51Z01", "Bệnh viện Đa khoa tỉnh Quảng Ngãi")
        yield store.repo(build.ctx(tenant), SystemPolicy())
    finally:
        await store.close()


async def test_the_cold_place_from_moving_to_destruction(
    cold_ward: Repository, build: Any, clock: Any, tmp_path: Path
) -> None:
    """Not before its time; then moved once, read back, scrubs see altered and absent bytes; destroyed there too."""
    ward, cold = cold_ward, tmp_path / "cold"
    record = await build.a_closed_record(ward, clock)
    await records.archive_record(ward, record.id, authorize=everything_allowed)
    (box,) = await records.containers(ward, record.id)
    sha256 = records.blob_of(box.data)
    bytes_before = await ward.store.blobs.get(sha256)
    assert await records.move_to_cold(ward, YEAR) == 0
    clock.move(days=400)
    assert await records.move_to_cold(ward, YEAR) == 1
    assert await records.move_to_cold(ward, YEAR) == 0
    assert await records.places(ward, record.id) == [(box.id, "cold")]
    assert not (ward.store.settings.home / "blobs" / sha256[:2] / sha256[2:4] / sha256).exists()
    assert await ward.store.blobs.get(sha256) == bytes_before
    assert (await records.scrub(ward)).broken == []

    place = cold / sha256[:2] / sha256[2:4] / sha256
    whole = place.read_bytes()
    place.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert len((await records.scrub(ward)).broken) == 1
    (fault,) = await records.cold_faults(ward)
    assert (fault.document_id, fault.moved_at is not None) == (box.id, True)
    place.rename(place.with_suffix(".away"))
    await records.scrub(ward)
    assert [f.fault for f in await records.cold_faults(ward)] == ["store.no-such-blob"]
    assert await records.places(ward, record.id) == [(box.id, "lost")]
    place.with_suffix(".away").unlink()
    place.write_bytes(whole)
    await records.scrub(ward)
    assert await records.cold_faults(ward) == []
    state = await records.cold_state(ward)
    assert (state.moved, state.faulty) == (1, 0)

    clock.move(days=3400)
    asked = await records.propose_destruction(ward, record.id, "Hết hạn", authorize=everything_allowed)
    other = ward.store.repo(build.ctx(ward.ctx.tenant, build.DIRECTOR), ward.policy)
    await records.destroy_record(
        other, asked.id, build.sign_as(build.HOUSE, "dau"), authorize=everything_allowed
    )
    assert [p for p in cold.rglob("*") if p.is_file()] == []
    assert (await records.cold_state(ward)).moved == 0


async def test_a_copy_that_is_not_the_same_leaves_the_first_in_place(
    cold_ward: Repository, tmp_path: Path
) -> None:
    """A foreign object under the name in the cold place: refused, the good one stays where it is."""
    blobs = cold_ward.store.blobs
    sha256 = await blobs.put(b"hop niem phong")
    there = tmp_path / "cold" / sha256[:2] / sha256[2:4] / sha256
    there.parent.mkdir(parents=True)
    there.write_bytes(b"khac")
    with pytest.raises(BenhanError) as refused:
        await blobs.cool(sha256)
    assert refused.value.code == "store.blob-altered"
    assert await blobs.where(sha256) == "warm"
    assert await blobs.get(sha256) == b"hop niem phong"
