"""The official examples through the store: the bytes that went in are the bytes that come out, by every way out."""

from __future__ import annotations

import hashlib
from pathlib import Path

from benhan.base.json_door import loads_object
from benhan.store import Repository

FILES = sorted((Path(__file__).parents[1] / "data" / "fhir-r4-examples").glob("*.json"))


async def test_every_example_keeps_its_bytes(repo: Repository) -> None:
    """All 173: by read, version, history, search and export. (JSON → XML → JSON: tests/fhir/test_xml.py.)"""
    assert len(FILES) == 173
    kept: dict[tuple[str, str], bytes] = {}
    async with repo.transaction() as tx:
        for path in FILES:
            raw = path.read_bytes()
            given = loads_object(raw)
            stored = await tx.create(raw)
            kept[stored.type, stored.id] = raw
            assert (stored.type, stored.id) == (given["resourceType"], given["id"])
            assert stored.sha256 == hashlib.sha256(raw).hexdigest()
    assert len(kept) == len(FILES)
    async with repo.transaction() as tx:
        for (kind, given_id), raw in kept.items():
            assert (await tx.read(kind, given_id)).raw == raw
            assert (await tx.vread(kind, given_id, 1)).raw == raw
            assert [s.raw for s in await tx.history(kind, given_id)] == [raw]
            assert [s.raw for s in (await tx.search(kind, f"_id={given_id}")).entries] == [raw]
    exported = {raw async for _, raw in repo.export()}
    assert exported == set(kept.values())
