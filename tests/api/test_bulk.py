"""Bulk export and import over HTTP with the real queue: kick-off, status, files, deletion, rights, resumption."""

from __future__ import annotations

import json
from uuid import UUID

import pytest

from benhan.access import AccessPolicy
from benhan.base.errors import BenhanError, Conflict, NotAllowed
from benhan.jobs import bulk, run_once
from benhan.store import Action, Ctx, Repository, Store

from .conftest import Client, admin_repo
from .test_capability import open_client
from .test_isolation import client_of

NDJSON = {"Content-Type": "application/fhir+ndjson"}


def people(first: int, number: int) -> bytes:
    """Lines of Patients."""
    rows = (
        {"resourceType": "Patient", "id": f"p{n}", "name": [{"text": f"Người {n}"}]}
        for n in range(first, first + number)
    )
    return b"\n".join(json.dumps(r, ensure_ascii=False).encode() for r in rows)


async def manifest(client: Client, store: Store, where: str) -> dict:
    """The job's manifest after the worker has run."""
    assert (await client.get(where)).status_code == 202
    await run_once(store)
    answer = await client.get(where)
    assert answer.status_code == 200, answer.text
    found: dict = answer.json()
    return found


async def test_import_then_export(
    store: Store, tenant: UUID, facility: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What goes in comes out, in several files; a refused line is told with its number; deletion takes the files."""
    monkeypatch.setattr(bulk, "FILE_ROWS", 100)
    base = f"/fhir/{facility}"
    lines = people(0, 620) + b'\n{"resourceType":"Patient","id":"sai","gender":"x"}\n\nkhong phai json\n'
    async with open_client(store, tenant) as client:
        sent = await client.post(f"{base}/$import", content=lines, headers=NDJSON)
        assert sent.status_code == 202, sent.text
        told = await manifest(client, store, sent.headers["content-location"])
        assert told["extension"] == {"written": 620, "refused": 2}
        errors = (await client.get(told["error"][0]["url"])).text.splitlines()
        assert [json.loads(e)["issue"][0]["diagnostics"] for e in errors] == ["line 621", "line 623"]
        asked = await client.get(f"{base}/$export?_type=Patient", headers={"Prefer": "respond-async"})
        where = asked.headers["content-location"]
        made = await manifest(client, store, where)
        assert len(made["output"]) == 2  # pages of 500
        rows = [r for f in made["output"] for r in (await client.get(f["url"])).text.splitlines()]
        assert sorted(json.loads(r)["id"] for r in rows) == sorted(f"p{n}" for n in range(620))
        assert (await client.delete(where)).status_code == 202
        for url in (where, made["output"][0]["url"]):
            assert (await client.get(url)).status_code == 404
        since = await client.get(f"{base}/Patient/$export?_since=2999-01-01")
        assert (await manifest(client, store, since.headers["content-location"]))["output"] == []
        for bad in ("_type=KhongCo", "_outputFormat=csv", "_since=x", "la=1"):
            assert (await client.get(f"{base}/$export?{bad}")).status_code == 400, bad


async def test_rights_of_the_caller_hold(store: Store, tenant: UUID, facility: str) -> None:
    """Without x no export, without c and u no import; another's job is not there; a doctor's import is refused."""
    reader = client_of(store, tenant, AccessPolicy.of_scopes("system/*.rs"))
    exporter = client_of(store, tenant, AccessPolicy())
    async with reader, exporter:
        for client in (reader, exporter):
            assert (await client.get(f"/fhir/{facility}/$export")).status_code == 403
            sent = await client.post(f"/fhir/{facility}/$import", content=people(0, 1), headers=NDJSON)
            assert sent.status_code == 403
    async with (
        open_client(store, tenant) as owner,
        client_of(store, tenant, AccessPolicy.of_scopes("system/*.cruds")) as other,
    ):
        where = (await owner.get(f"/fhir/{facility}/$export")).headers["content-location"]
        await run_once(store)
        assert (await owner.get(where)).status_code == 200
        for method in ("GET", "DELETE"):
            assert (await other.request(method, where)).status_code == 404


async def test_import_goes_on_after_a_crash(
    store: Store, tenant: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker dies in the middle: the second attempt writes the rest, and no line twice."""
    repo = admin_repo(store, tenant)
    job = await bulk.start_import(repo, people(0, 250))
    calls = 0
    write = bulk._write

    async def dying(tx: Repository, line: bytes) -> None:
        nonlocal calls
        calls += 1
        if calls == 150:
            raise BenhanError("test.crash", "Thử nghiệm.")
        await write(tx, line)

    monkeypatch.setattr(bulk, "_write", dying)
    with pytest.raises(BenhanError):
        await bulk.run_import(store, tenant, {"job": str(job)})
    assert (await bulk.bulk_job(repo, job)).place["written"] == 100
    await bulk.run_import(store, tenant, {"job": str(job)})
    done = await bulk.bulk_job(repo, job)
    assert (done.state, done.place["written"]) == ("done", 250)
    assert await repo.count("Patient", "") == 250
    assert all([(await repo.read("Patient", f"p{n}")).version == 1 for n in (0, 99, 100, 149, 249)])


async def test_a_job_that_cannot_go_on_ends(
    store: Store, tenant: UUID, facility: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its owner is told at the status address; it does not run for ever."""

    async def gone(*_: object) -> object:
        raise NotAllowed("test.gone", "Thử nghiệm.")

    monkeypatch.setattr(bulk, "export_page", gone)
    async with open_client(store, tenant) as client:
        where = (await client.get(f"/fhir/{facility}/$export?_type=Patient")).headers["content-location"]
        await run_once(store)
        answer = await client.get(where)
    assert (answer.status_code, answer.json()["resourceType"]) == (422, "OperationOutcome")


async def test_a_guard_stops_the_import(store_factory: object) -> None:
    """A write guard (a closed record) is asked of every line."""

    async def closed(tx: Repository, ctx: Ctx, action: Action, new: dict | None, old: dict | None) -> None:
        if new and new.get("id") == "p3":
            raise Conflict("test.closed", "Hồ sơ đã đóng.")

    store: Store = await store_factory(guards=(closed,))  # type: ignore[operator]
    tenant = await store.create_tenant("facility", "51Z01", "Thử nghiệm")
    repo = admin_repo(store, tenant)
    job = await bulk.start_import(repo, people(0, 5))
    await bulk.run_import(store, tenant, {"job": str(job)})
    done = await bulk.bulk_job(repo, job)
    assert (done.place["written"], done.place["refused"]) == (4, 1)
    assert await repo.count("Patient", "") == 4
