"""Resources: create, read, update, delete, history, exact bytes."""

from __future__ import annotations

import hashlib

import pytest
from tests.store.builders import a_patient, an_observation

from benhan.base.errors import Conflict, Deleted, InvalidInput, NotFound, StaleVersion
from benhan.base.json_door import dumps, loads_object
from benhan.store import Repository

pytestmark = pytest.mark.server


async def test_created_resource_is_read_back_with_id_version_and_digits(repo: Repository) -> None:
    patient = await repo.create(a_patient())
    created = await repo.create(an_observation(patient.id))
    found = await repo.read("Observation", created.id)
    assert found.raw == created.raw
    assert b"72.50" in found.raw
    assert (found.version, found.etag, found.author, found.action) == (1, 'W/"1"', "Device/test", "create")
    assert found.sha256 == hashlib.sha256(found.raw).hexdigest()
    assert found.data["meta"]["versionId"] == "1"
    assert found.id[14:18] == patient.id[14:18], "a resource carries the placement of its patient"


async def test_bytes_with_an_id_are_kept_exactly(repo: Repository) -> None:
    raw = b'{ "resourceType":"Basic" ,\n "id":"goc-1", "code":{"text":"x"} }'
    stored = await repo.create(raw)
    assert stored.raw == raw
    assert (await repo.read("Basic", "goc-1")).raw == raw
    assert (await repo.read("Basic", "goc-1")).data["meta"]["versionId"] == "1"
    changed = raw.replace(b'"x"', b'"y"')
    assert (await repo.update(changed)).raw == changed
    assert (await repo.vread("Basic", "goc-1", 1)).raw == raw


async def test_update_appends_and_old_versions_stay(repo: Repository) -> None:
    first = await repo.create(a_patient())
    second = await repo.update({**first.data, "gender": "male"})
    assert (second.version, second.action) == (2, "update")
    assert (await repo.vread("Patient", first.id, 1)).raw == first.raw
    assert [s.version for s in await repo.history("Patient", first.id)] == [2, 1]
    assert [s.version for s in await repo.history("Patient", first.id, before=2)] == [1]
    assert (await repo.search("Patient", "gender=female")).entries == []
    assert [s.id for s in (await repo.search("Patient", "gender=male")).entries] == [first.id]


async def test_stale_version_is_refused(repo: Repository) -> None:
    first = await repo.create(a_patient())
    await repo.update(first.data, if_match=1)
    with pytest.raises(StaleVersion) as refused:
        await repo.update(first.data, if_match=1)
    assert refused.value.status == 412
    with pytest.raises(StaleVersion):
        await repo.delete("Patient", first.id, if_match=1)


async def test_deleted_is_gone_but_history_remains(repo: Repository) -> None:
    first = await repo.create(a_patient())
    await repo.delete("Patient", first.id)
    await repo.delete("Patient", first.id)
    with pytest.raises(Deleted):
        await repo.read("Patient", first.id)
    assert (await repo.search("Patient", "gender=female")).entries == []
    assert [(s.version, s.deleted) for s in await repo.history("Patient", first.id)] == [
        (2, True),
        (1, False),
    ]
    again = await repo.update({**a_patient(), "id": first.id})
    assert (again.version, again.action) == (3, "create")
    assert (await repo.read("Patient", first.id)).version == 3


async def test_client_id_is_accepted_and_unknown_is_not_found(repo: Repository) -> None:
    stored = await repo.update({**a_patient(), "id": "ma-cua-khach.1"})
    assert (stored.id, stored.version, stored.action) == ("ma-cua-khach.1", 1, "create")
    with pytest.raises(NotFound):
        await repo.read("Patient", "khong-co")
    with pytest.raises(NotFound):
        await repo.vread("Patient", "ma-cua-khach.1", 9)
    with pytest.raises(NotFound):
        await repo.read("KhongCoLoaiNay", "1")
    with pytest.raises(InvalidInput):
        await repo.update({**a_patient(), "id": "có dấu"})
    with pytest.raises(Conflict):
        await repo.create({**a_patient(), "id": "ma-cua-khach.1"})


async def test_invalid_resource_is_refused_and_nothing_is_written(repo: Repository) -> None:
    with pytest.raises(InvalidInput):
        await repo.create({"resourceType": "Patient", "birthDate": "2026-02-30"})
    assert (await repo.count("Patient", "")) == 0


async def test_conditional_create_gives_the_one_there_is(repo: Repository) -> None:
    query = "identifier=urn:benhan:id:cccd|051190000001"
    first = await repo.create(a_patient(), if_none_exist=query)
    second = await repo.create(a_patient(), if_none_exist=query)
    assert second.id == first.id
    assert second.version == 1
    await repo.create(a_patient())
    with pytest.raises(Conflict) as refused:
        await repo.create(a_patient(), if_none_exist=query)
    assert (refused.value.code, refused.value.status) == ("store.many-matches", 412)


async def test_conditional_update_creates_then_updates(repo: Repository) -> None:
    query = "identifier=urn:benhan:id:cccd|051190000001"
    first = await repo.conditional_update("Patient", query, a_patient())
    second = await repo.conditional_update("Patient", query, {**a_patient(), "active": True})
    assert (first.id, first.version) == (second.id, 1)
    assert second.version == 2


async def test_an_exception_rolls_everything_back(repo: Repository) -> None:
    with pytest.raises(RuntimeError):  # noqa: PT012
        async with repo.transaction() as tx:
            await tx.create(a_patient())
            await tx.outbox("t", "k", {})
            raise RuntimeError
    assert await repo.count("Patient", "") == 0


async def test_five_hundred_versions_read_the_current_one_by_key(repo: Repository) -> None:
    stored = await repo.create(a_patient())
    async with repo.transaction() as tx:
        for _ in range(60):
            stored = await tx.update(stored.data)
    assert (await repo.read("Patient", stored.id)).version == 61
    assert loads_object(stored.raw)["meta"]["versionId"] == "61"
    assert dumps(stored.data)
