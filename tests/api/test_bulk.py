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


async def lines_of(client: Client, made: dict) -> dict[str, list[str]]:
    """Ids by type in the files of a manifest."""
    out: dict[str, list[str]] = {}
    for file in made["output"]:
        text = (await client.get(file["url"])).text
        out.setdefault(file["type"], []).extend(sorted(json.loads(line)["id"] for line in text.splitlines()))
    return out


async def three_people(repo: Repository) -> None:
    """Three patients, two observations each, and a group with two of them and much else."""
    for name in ("a", "b", "c"):
        await repo.update({"resourceType": "Patient", "id": name, "name": [{"text": name}]})
        for status in ("final", "preliminary"):
            subject = {"reference": f"Patient/{name}"}
            observation = {"resourceType": "Observation", "code": {"text": "x"}, "subject": subject}
            await repo.update({**observation, "id": f"{name}-{status}", "status": status})
    member = [
        {"entity": {"reference": "Patient/a"}},
        {"entity": {"reference": "Patient/b"}, "inactive": True},
        {"entity": {"reference": "Patient/b"}, "period": {"end": "2020-01-01"}},
        {"entity": {"reference": "Patient/c"}, "period": {"end": "2999-01-01"}},
        {"entity": {"reference": "Practitioner/x"}},
    ]
    await repo.update(
        {"resourceType": "Group", "id": "g", "type": "person", "actual": True, "member": member}
    )
    await repo.update({"resourceType": "Organization", "id": "o", "name": "x"})


async def test_export_of_a_group(store: Store, tenant: UUID, facility: str) -> None:
    """Only who is in it now; who cannot be exported stands in the error file; by POST also fewer of them."""
    await three_people(admin_repo(store, tenant))
    base = f"/fhir/{facility}"
    async with open_client(store, tenant) as client:
        asked = await client.get(f"{base}/Group/g/$export?_type=Patient,Observation,Organization")
        made = await manifest(client, store, asked.headers["content-location"])
        assert made["request"].endswith("/Group/g/$export")
        assert await lines_of(client, made) == {
            "Patient": ["a", "c"],
            "Observation": ["a-final", "a-preliminary", "c-final", "c-preliminary"],
        }
        [error] = made["error"]
        outcome = json.loads((await client.get(error["url"])).text)
        assert outcome["issue"][0]["expression"] == ["Group.member[4].entity"]
        body = {
            "resourceType": "Parameters",
            "parameter": [
                {"name": "_type", "valueString": "Patient"},
                {"name": "patient", "valueReference": {"reference": "Patient/c"}},
                {"name": "patient", "valueReference": {"reference": "Patient/b"}},
            ],
        }
        for address, wanted in ((f"{base}/Group/g/$export", ["c"]), (f"{base}/Patient/$export", ["b", "c"])):
            asked = await client.post(address, json=body)
            made = await manifest(client, store, asked.headers["content-location"])
            assert await lines_of(client, made) == {"Patient": wanted}
        assert (
            await client.post(f"{base}/$export", json=body)
        ).status_code == 400  # patient is not for the system
        assert (await client.get(f"{base}/Group/khong-co/$export")).status_code == 404
        body["parameter"] = [{"name": "_type", "valueInteger": "x"}]
        assert (await client.post(f"{base}/$export", json=body)).status_code == 400


async def test_what_was_deleted_since_is_told(store: Store, tenant: UUID, facility: str) -> None:
    """With _since: Bundles of DELETE for what is deleted now, within the types and patients asked for."""
    repo = admin_repo(store, tenant)
    await three_people(repo)
    for kind, name in (("Observation", "a-final"), ("Observation", "b-final"), ("Organization", "o")):
        await repo.delete(kind, name)
    async with open_client(store, tenant) as client:
        for path, wanted in (
            (
                "$export?_type=Observation,Organization",
                ["Observation/a-final", "Observation/b-final", "Organization/o"],
            ),
            ("Patient/$export?_type=Observation", ["Observation/a-final", "Observation/b-final"]),
            ("Group/g/$export?_type=Observation", ["Observation/a-final"]),
        ):
            asked = await client.get(f"/fhir/{facility}/{path}&_since=2020-01-01T00:00:00Z")
            made = await manifest(client, store, asked.headers["content-location"])
            [file] = made["deleted"]
            assert (file["type"], file["count"]) == ("Bundle", len(wanted))
            told = [json.loads(line) for line in (await client.get(file["url"])).text.splitlines()]
            assert [b["entry"][0]["request"]["url"] for b in told] == wanted
            assert {b["type"] for b in told} == {"transaction"}
        asked = await client.get(f"/fhir/{facility}/$export?_type=Observation")
        assert (await manifest(client, store, asked.headers["content-location"]))["deleted"] == []


async def test_export_filtered_by_searches(store: Store, tenant: UUID, facility: str) -> None:
    """_typeFilter: one of a type's searches must find a resource; types without filter come whole."""
    await three_people(admin_repo(store, tenant))
    base = f"/fhir/{facility}"
    async with open_client(store, tenant) as client:
        filters = "Observation?status=final&subject=Patient/a,Observation?status=preliminary&subject=Patient/b,Patient/c"
        asked = await client.get(
            f"{base}/Patient/$export", params={"_type": "Patient,Observation", "_typeFilter": filters}
        )
        made = await manifest(client, store, asked.headers["content-location"])
        assert await lines_of(client, made) == {
            "Patient": ["a", "b", "c"],
            "Observation": ["a-final", "b-preliminary", "c-preliminary"],
        }
        for bad in (
            "Observation?la=1",
            "Encounter?status=planned",
            "Observation",
            "Observation?_count=1",
            "x?y=z",
        ):
            answer = await client.get(f"{base}/$export", params={"_type": "Observation", "_typeFilter": bad})
            assert answer.status_code == 400, bad


async def test_a_cancelled_export_stops(
    store: Store, tenant: UUID, facility: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deleted while it runs: it ends at the next page, keeps nothing, and its address is gone."""
    await three_people(admin_repo(store, tenant))
    page, pages = bulk.export_page, 0
    async with open_client(store, tenant) as client:
        where = (await client.get(f"/fhir/{facility}/$export")).headers["content-location"]

        async def cancelled(*given: object) -> object:
            nonlocal pages
            pages += 1
            if pages == 1:
                assert (await client.delete(where)).status_code == 202
            return await page(*given)  # type: ignore[arg-type]

        monkeypatch.setattr(bulk, "export_page", cancelled)
        await run_once(store)
        assert pages == 1
        assert (await client.get(where)).status_code == 404
        assert (await client.delete(where)).status_code == 404
    async with admin_repo(store, tenant).transaction() as tx:
        assert await tx.all("select from bulk_file where tenant = %s", (tenant,)) == []


async def test_a_machine_with_the_letter_exports(store: Store, tenant: UUID, facility: str) -> None:
    """``rsx`` exports, ``rs`` does not, and a Group is read by the rights of the caller."""
    await three_people(admin_repo(store, tenant))
    for scopes, path, status in (
        ("system/*.rsx", "$export", 202),
        ("system/*.rs", "$export", 403),
        ("system/Patient.rsx", "$export?_type=Patient", 202),
        ("system/Patient.rsx", "$export?_type=Observation", 403),
        ("system/Patient.rsx", "Group/g/$export?_type=Patient", 403),
        ("system/Patient.x", "Patient/$export?_type=Patient&_typeFilter=Patient?name=a", 403),
    ):
        async with client_of(store, tenant, AccessPolicy.of_scopes(scopes)) as client:
            assert (await client.get(f"/fhir/{facility}/{path}")).status_code == status, (scopes, path)


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
