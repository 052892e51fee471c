"""A record that its facility destroyed goes from the hub: rows, keys, files and message bodies; others stay."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import psycopg
import pytest
from psycopg import sql

from benhan.base.errors import Deleted, InvalidInput, NeighbourFailed, NotAllowed, NotFound
from benhan.base.json_door import dumps, loads_object
from benhan.exchange import HUB, Envelope, Message, Reply, drain, ending_state, enqueue, keep_client, receive
from benhan.exchange.ending import ending_bundle, ending_of, is_ending, read_ending
from benhan.exchange.facility import end_record
from benhan.exchange.mhd import provide_bundle
from benhan.store import Repository

from .test_envelopes import Line, facility  # noqa: F401
from .test_hub import Hub, a_message, hub  # noqa: F401

MASTER = "22222222-2222-4222-8222-222222222222"


def named(number: int, master: str, text: str):
    """A submission of one paper with a title of its own."""
    message = a_message(f"urn:uuid:{number:08d}-1111-4111-8111-111111111111", text)
    document = replace(message.documents[0], master_id=f"urn:uuid:{master}", title=f"Giấy ra viện {text}")
    return replace(message, documents=(document,))


async def sent(facility: Repository, line: Line, message_id: str, body: dict) -> None:  # noqa: F811
    """Queue a message and send it over a good line."""
    sha256 = await facility.store.blobs.put(dumps(body))
    async with facility.transaction() as tx:
        await enqueue(tx, Message(message_id, "archive", "Patient/x", 1, sha256), "51Z01", HUB)
    await drain(facility, line.send)


async def test_the_copies_of_a_destroyed_record_go_from_the_hub(
    hub: Hub,  # noqa: F811
    facility: Repository,  # noqa: F811
) -> None:
    """No text of the document is left in any table or file of the hub; another record of the same person is whole."""
    old = Line(hub, Random(1), faults=False)
    other = "33333333-3333-4333-8333-333333333333"
    for number, master, text in ((1, MASTER, "viêm phổi thùy"), (2, other, "gãy xương đòn")):
        message = named(number, master, text)
        await sent(facility, old, message.message_id, provide_bundle(message))
    bodies = {p.name: p for p in (hub.repo.store.settings.home / "blobs").rglob("*") if p.is_file()}
    (gone,) = (
        await hub.repo.search("DocumentReference", [("identifier", f"urn:ietf:rfc:3986|urn:uuid:{MASTER}")])
    ).entries

    ending = ending_of("51Z01", "dot-1", [MASTER])
    await sent(facility, Line(hub, Random(2), faults=False), ending.message_id, ending_bundle(ending))
    with pytest.raises((NotFound, Deleted)):
        await hub.repo.vread("DocumentReference", gone.id, 1)
    (left,) = (await hub.repo.search("DocumentReference", [])).entries
    assert left.data["description"] == "Giấy ra viện gãy xương đòn"
    assert await hub.repo.count("List", []) == 1
    for envelope, raw in old.kept:  # a late repeat of what was sent before brings nothing back
        await old.deliver(envelope, raw)
    files = {p.name for p in (hub.repo.store.settings.home / "blobs").rglob("*") if p.is_file()}
    assert len(bodies.keys() - files) == 2  # the paper, and the body of the message that brought it
    for name in files:
        data = await hub.repo.store.blobs.get(name)
        assert "viêm phổi thùy".encode() not in data
    with psycopg.connect(hub.repo.store.database.admin) as admin:
        tables = admin.execute(
            "select schemaname, tablename from pg_tables where schemaname in ('public', 'jobs', 'views')"
        )
        for schema, table in tables.fetchall():
            rows = admin.execute(
                sql.SQL("select t::text from {} t").format(sql.Identifier(schema, table))
            ).fetchall()
            assert not any("viêm phổi" in r[0] or "viem phoi" in r[0] for r in rows), table
        sealed = admin.execute(
            "select count(*) from record_key where scope = %s", (gone.reference,)
        ).fetchone()
        assert sealed == (0,)


async def test_only_the_keeper_of_a_record_ends_it(hub: Hub) -> None:  # noqa: F811
    """Another facility's word destroys nothing; a repeat gets the same receipt; a broken message is refused."""
    await receive(hub.repo, hub.a, dumps(provide_bundle(a_message())), **hub.seal)
    foreign = ending_of("51Z02", "dot-1", [MASTER])
    await receive(hub.repo, hub.b, dumps(ending_bundle(foreign)), **hub.seal)
    assert await hub.repo.count("DocumentReference", []) == 1
    own = dumps(ending_bundle(ending_of("51Z01", "dot-1", [MASTER])))
    with pytest.raises(NotAllowed):
        await receive(hub.repo, hub.b, own, **hub.seal)
    first = await receive(hub.repo, hub.a, own, **hub.seal)
    again = await receive(hub.repo, hub.a, own, **hub.seal)
    assert (first.receipt, again.duplicate) == (again.receipt, True)
    assert first.receipt["statement"]["destroyed"] == [f"urn:uuid:{MASTER}"]
    assert await hub.repo.count("DocumentReference", []) == 0
    bundle = loads_object(own)
    assert is_ending(bundle)
    bundle["entry"].pop()
    with pytest.raises(InvalidInput):
        read_ending(bundle)


class AHub:
    """The hub as a facility's worker reaches it; ``away``: it does not answer."""

    def __init__(self, line: Line, reports: list, away: bool) -> None:
        self.line, self.reports, self.away = line, reports, away

    async def __aenter__(self) -> AHub:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def send_envelope(self, envelope: Envelope, raw: bytes) -> Reply:
        """One delivery."""
        return Reply(None) if self.away else await self.line.deliver(envelope, raw)

    async def report_status(self, rows: list) -> dict:
        """Keep the report."""
        self.reports.extend(rows)
        return {}


async def test_the_worker_waits_for_the_hubs_receipt(
    hub: Hub,  # noqa: F811
    facility: Repository,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody to tell: done. The hub away: the job comes back, the page says waiting. Then the receipt, and the new state."""
    store, reports = hub.repo.store, []
    payload = {"encounter": "dot-1", "ma_lk": "x", "documents": [MASTER]}
    await end_record(store, hub.a.id, payload)
    assert await ending_state(facility, "dot-1") is None
    message = named(1, MASTER, "viêm phổi thùy")
    line = Line(hub, Random(1), faults=False)
    await sent(facility, line, message.message_id, provide_bundle(message))
    with psycopg.connect(store.database.admin) as admin:
        admin.execute("set session_replication_role = replica")
        admin.execute(
            "insert into record_case (tenant, encounter_id, patient_id, composition_id, khoa, doctor, state,"
            " admitted_at, ma_lk) values (%s, 'dot-1', 'p', 'binder-1', 'K01', 'x', 'destroyed', now(), 'x')",
            (hub.a.id,),
        )
    keep_client(store.settings, "51Z01", "may", b"khoa")
    away = [True]

    async def client(*_: object) -> AHub:
        return AHub(line, reports, away[0])

    monkeypatch.setattr("benhan.exchange.facility.hub_client", client)
    with pytest.raises(NeighbourFailed):
        await end_record(store, hub.a.id, payload)
    assert await ending_state(facility, "dot-1") == "waiting"
    assert reports == []
    away[0] = False
    with psycopg.connect(store.database.admin) as admin:
        admin.execute("update exchange_out set not_before = now() - interval '1 minute'")
    await end_record(store, hub.a.id, payload)
    assert await ending_state(facility, "dot-1") == "received"
    assert await hub.repo.count("DocumentReference", []) == 0
    assert [(r["state"], r["signed"]) for r in reports] == [("destroyed", 0)]
