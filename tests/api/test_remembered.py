"""Reads by a session known from a moment ago: what is taken away counts at once here, after that moment elsewhere."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from benhan.access import disable_account, list_accounts, sign_out
from benhan.access.memory import MOMENT_S
from benhan.base.json_door import dumps, loads_object
from benhan.store import Repository, Store

from .conftest import Client, Enter, admin_repo

PATIENT = {"resourceType": "Patient", "name": [{"text": "Nguyễn Thị Thử"}], "gender": "female"}


async def written(client: Client, facility: str) -> str:
    """Address of a new patient."""
    answer = await client.post(f"/fhir/{facility}/Patient", json=PATIENT)
    assert answer.status_code == 201, answer.text
    return f"/fhir/{facility}/Patient/{answer.headers['location'].split('/Patient/')[1].split('/')[0]}"


async def statements(
    store: Store, client: Client, address: str, monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    """The SQL that one read sends."""
    import psycopg

    sent: list[str] = []
    plain = psycopg.AsyncConnection.execute

    async def execute(self: Any, query: Any, *more: Any, **named: Any) -> Any:
        sent.append(query.decode() if isinstance(query, bytes) else str(query))
        return await plain(self, query, *more, **named)

    with monkeypatch.context() as patch:
        patch.setattr(psycopg.AsyncConnection, "execute", execute)
        assert (await client.get(address)).status_code == 200
    return sent


async def test_a_second_read_asks_only_for_the_resource(
    store: Store, doctor: Client, facility: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One transaction with its one question, and the audit row; nothing about session, roles and facility."""
    address = await written(doctor, facility)
    first = await statements(store, doctor, address, monkeypatch)
    second = await statements(store, doctor, address, monkeypatch)
    assert len(second) < len(first)
    questions = [s for s in second if s.startswith(("select", "insert")) and "set_config" not in s]
    assert [q.split()[0] for q in questions] == ["select", "insert"], questions
    assert "current_version" in questions[0]
    assert "insert into audit" in questions[1]


async def test_every_remembered_read_is_audited_with_its_own_correlation(
    store: Store, tenant: UUID, doctor: Client, facility: str
) -> None:
    """Three reads, three rows, each with the id of its own request."""
    address = await written(doctor, facility)
    ids = [(await doctor.get(address)).headers["x-correlation-id"] for _ in range(3)]
    rows = await admin_repo(store, tenant).audit_of_patient(address.rpartition("/")[2])
    assert {r.correlation_id for r in rows if r.action == "read"} == set(ids)
    assert len(set(ids)) == 3


async def test_a_session_ended_here_is_refused_at_once(store: Store, doctor: Client, facility: str) -> None:
    """Signing out in this process: the very next read is refused."""
    address = await written(doctor, facility)
    assert (await doctor.get(address)).status_code == 200
    await sign_out(store, doctor.cookies["benhan_session"])
    assert (await doctor.get(address)).status_code == 401


async def test_a_role_taken_away_here_counts_at_once(
    store: Store, tenant: UUID, enter: Enter, facility: str
) -> None:
    """Disabling the account, or ending the only role, is felt by the next read."""
    repo = admin_repo(store, tenant)
    doctor = await enter(tenant, "bac_si")
    address = await written(doctor, facility)
    assert (await doctor.get(address)).status_code == 200
    account = next(a for a in await list_accounts(repo) if a.username.startswith("bac_si"))
    await disable_account(repo, account.id, "thôi việc")
    assert (await doctor.get(address)).status_code == 401


async def test_a_session_ended_elsewhere_is_refused_after_the_moment_and_for_a_write_at_once(
    store: Store, repo: Repository, doctor: Client, facility: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process ends the session: writes are refused at once, reads once the moment is over."""
    address = await written(doctor, facility)
    assert (await doctor.get(address)).status_code == 200
    async with repo.transaction() as tx:
        await tx.open_connection.execute("update session set ended_at = now()")
    assert (await doctor.put(address, json={**PATIENT, "id": address.rpartition("/")[2]})).status_code == 401
    later = SimpleNamespace(monotonic=lambda: time.monotonic() + MOMENT_S)
    monkeypatch.setattr("benhan.access.memory.time", later)
    assert (await doctor.get(address)).status_code == 401


async def test_an_expired_session_is_refused_within_the_moment(
    store: Store, repo: Repository, doctor: Client, facility: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end of a session is known with it, so it is not overstepped."""
    address = await written(doctor, facility)
    assert (await doctor.get(address)).status_code == 200
    from datetime import timedelta

    real = store.clock
    ahead = timedelta(minutes=store.settings.session_minutes + 1)
    monkeypatch.setattr(store, "clock", SimpleNamespace(now=lambda: real.now() + ahead))
    assert (await doctor.get(address)).status_code == 401


async def test_the_kept_bytes_are_served_where_they_are_the_whole_answer(
    repo: Repository, doctor: Client, facility: str
) -> None:
    """What the server wrote leaves as it lies; what a neighbour's bytes lack (version, instant) is laid over."""
    ours = await repo.create({**PATIENT, "multipleBirthInteger": 2})
    foreign = await repo.update(dumps({**PATIENT, "id": "of-others"}))
    assert ours.served == ours.raw
    assert foreign.served is None
    for stored in (ours, foreign):
        answer = await doctor.get(f"/fhir/{facility}/{stored.reference}")
        assert loads_object(answer.content) == stored.data
        assert answer.headers["etag"] == stored.etag
        assert answer.headers["content-type"] == "application/fhir+json"
    part = await doctor.get(f"/fhir/{facility}/{ours.reference}?_elements=gender")
    assert "multipleBirthInteger" not in part.json()
