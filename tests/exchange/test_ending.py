"""A record that its facility destroyed goes from the hub: rows, keys, files and message bodies; others stay."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import psycopg
import pytest
from psycopg import sql

from benhan.base.errors import Deleted, InvalidInput, NotAllowed, NotFound
from benhan.base.json_door import dumps, loads_object
from benhan.exchange import HUB, Message, drain, enqueue, receive
from benhan.exchange.ending import ending_bundle, ending_of, is_ending, read_ending
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


async def sent(facility: Repository, hub: Hub, message_id: str, body: dict) -> None:  # noqa: F811
    """Queue a message and send it over a good line."""
    sha256 = await facility.store.blobs.put(dumps(body))
    async with facility.transaction() as tx:
        await enqueue(tx, Message(message_id, "archive", "Patient/x", 1, sha256), "51Z01", HUB)
    await drain(facility, Line(hub, Random(1), faults=False).send)


async def test_the_copies_of_a_destroyed_record_go_from_the_hub(
    hub: Hub,  # noqa: F811
    facility: Repository,  # noqa: F811
) -> None:
    """No text of the document is left in any table or file of the hub; another record of the same person is whole."""
    other = "33333333-3333-4333-8333-333333333333"
    for number, master, text in ((1, MASTER, "viêm phổi thùy"), (2, other, "gãy xương đòn")):
        message = named(number, master, text)
        await sent(facility, hub, message.message_id, provide_bundle(message))
    bodies = {p.name: p for p in (hub.repo.store.settings.home / "blobs").rglob("*") if p.is_file()}
    (gone,) = (
        await hub.repo.search("DocumentReference", [("identifier", f"urn:ietf:rfc:3986|urn:uuid:{MASTER}")])
    ).entries

    ending = ending_of("51Z01", "dot-1", [MASTER])
    await sent(facility, hub, ending.message_id, ending_bundle(ending))
    with pytest.raises((NotFound, Deleted)):
        await hub.repo.vread("DocumentReference", gone.id, 1)
    (left,) = (await hub.repo.search("DocumentReference", [])).entries
    assert left.data["description"] == "Giấy ra viện gãy xương đòn"
    assert await hub.repo.count("List", []) == 1
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
