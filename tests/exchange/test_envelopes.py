"""Signed envelopes on a real database and a real TLS socket: each effect once, whatever the line does."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from random import Random
from urllib.parse import urlencode
from uuid import NAMESPACE_URL, uuid5

import psycopg
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from benhan.access import certs, create_ca, issue_node, register_client, sign_statement
from benhan.api import open_door, server_context
from benhan.api.hub import hub_app
from benhan.base.clock import local_date
from benhan.base.errors import BenhanError, NotAllowed, NotFound
from benhan.base.json_door import dumps, loads_object
from benhan.exchange import (
    ENVELOPE_KIND,
    HUB,
    Envelope,
    HubClient,
    Message,
    Reply,
    compare_day,
    comparisons,
    drain,
    enqueue,
    manifest,
    open_envelope,
    quarantined,
    queue,
    queue_counts,
    replay_quarantined,
    take,
)
from benhan.exchange.engine import Gap, Receipt
from benhan.exchange.incoming import answer_json, read_answer
from benhan.exchange.mhd import provide_bundle
from benhan.identity import link_patient
from benhan.store import Repository

from .test_hub import Hub, a_message, hub  # noqa: F401


@dataclass
class Line:
    """The way to the hub; what goes wrong is drawn from a seed."""

    hub: Hub
    rng: Random
    faults: bool = True
    kept: list[tuple[Envelope, bytes]] = field(default_factory=list)

    async def deliver(self, envelope: Envelope, raw: bytes) -> Reply:
        """One delivery: the hub's own answer."""
        opened = open_envelope(envelope.as_json(), self.hub.a, HUB, raw)
        taken = await take(self.hub.repo, self.hub.a, opened, "jws", raw, **self.hub.seal)
        body = answer_json(taken)
        return Reply(read_answer(loads_object(dumps(body))), body.get("receipt"))

    async def send(self, envelope: Envelope) -> Reply:
        """One sending: lost on the way there or back, doubled, or with an old one before it."""
        raw = await self.hub.repo.store.blobs.get(envelope.body_sha256)
        self.kept.append((envelope, raw))
        chance = self.rng.random() if self.faults else 1.0
        if chance < 0.2:
            return Reply(None)
        if chance < 0.3:
            await self.deliver(*self.rng.choice(self.kept))
        reply = await self.deliver(envelope, raw)
        if chance < 0.45:
            return Reply(None)
        return await self.deliver(envelope, raw) if chance < 0.6 else reply


@pytest.fixture
async def facility(hub: Hub) -> Repository:  # noqa: F811
    """Facility A's own side."""
    return hub.repo.store.repo(replace(hub.repo.ctx, tenant=hub.a.id), hub.repo.policy)


async def queued(repo: Repository, number: int, lane: str = "normal", raw: bytes | None = None) -> str:
    """Queue a submission of one paper."""
    message_id = uuid5(NAMESPACE_URL, f"thu {number}").urn
    made = a_message(message_id, f"số {number}")
    (document,) = made.documents
    other = replace(document, master_id=uuid5(NAMESPACE_URL, f"giấy {number}").urn)
    body = raw or dumps(provide_bundle(replace(made, documents=(other,))))
    message = Message(message_id, lane, "Patient/benh-nhan-o-a", number, await repo.store.blobs.put(body))
    async with repo.transaction() as tx:
        assert await enqueue(tx, message, "51Z01", HUB)
        assert not await enqueue(tx, message, "51Z01", HUB)
    return message_id


async def until_quiet(repo: Repository, line: Line, passing: Callable[[], None]) -> None:
    """Send until nothing waits, time passing between."""
    for _ in range(200):
        await drain(repo, line.send)
        if not (await queue_counts(repo)).get("waiting"):
            return
        passing()
    raise AssertionError(await queue(repo, state="waiting"))


class Later:
    """A clock that can be moved on."""

    def __init__(self, clock: object) -> None:
        self.clock, self.by = clock, timedelta(0)

    def now(self):
        return self.clock.now() + self.by


@pytest.fixture
def later(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:  # noqa: F811
    """Let ten minutes pass at every node."""
    moved = Later(hub.repo.store.clock)
    monkeypatch.setattr(hub.repo.store, "clock", moved)

    def passing() -> None:
        moved.by += timedelta(minutes=10)

    return passing


async def test_bad_line_loses_and_doubles_nothing(
    hub: Hub,  # noqa: F811
    facility: Repository,
    later: Callable[[], None],
) -> None:
    """Losses, lost answers, repeats and old envelopes: each document once, every receipt kept, both sides equal."""
    line = Line(hub, Random(7))
    for number in range(12):
        await queued(facility, number, ("urgent", "normal", "archive")[number % 3])
    await until_quiet(facility, line, later)
    assert await queue_counts(facility) == {"received": 12}
    assert await hub.repo.count("DocumentReference", []) == 12
    day = local_date((await queue(facility))[0].queued_at)
    made = await compare_day(facility, day, await manifest(hub.repo, hub.a, day))
    assert made.equal
    assert made.ours_count == 12
    assert (await comparisons(facility))[0] == made


async def test_urgent_goes_first(hub: Hub, facility: Repository) -> None:  # noqa: F811
    """A referral queued last is sent before the archive."""
    await queued(facility, 1, "archive")
    await queued(facility, 2, "normal")
    await queued(facility, 3, "urgent")
    line = Line(hub, Random(1), faults=False)
    assert await drain(facility, line.send) == 3
    assert [envelope.lane for envelope, _ in line.kept] == ["urgent", "normal", "archive"]


async def test_hub_from_an_old_copy_gets_what_it_lost(
    hub: Hub,  # noqa: F811
    facility: Repository,
    later: Callable[[], None],
) -> None:
    """The hub forgets the last two of a lane: the next comparison finds them, they go out again and fit the chain."""
    line = Line(hub, Random(1), faults=False)
    for number in range(4):
        await queued(facility, number)
    await drain(facility, line.send)
    heads = [e for e, _ in line.kept]
    await _forget(hub, heads[2:], heads[1])
    day = local_date((await queue(facility))[0].queued_at)
    made = await compare_day(facility, day, await manifest(hub.repo, hub.a, day))
    assert (made.equal, made.sent_again) == (False, 2)
    await until_quiet(facility, line, later)
    assert (await compare_day(facility, day, await manifest(hub.repo, hub.a, day))).equal


async def _forget(hub: Hub, lost: list[Envelope], head: Envelope) -> None:  # noqa: F811
    """As the owner of the database: the state of an older copy."""
    admin = hub.repo.store.database.admin
    async with await psycopg.AsyncConnection.connect(admin, autocommit=True) as connection:
        for envelope in lost:
            await connection.execute(
                "delete from exchange_in where tenant = %s and sequence = %s",
                (hub.repo.ctx.tenant, envelope.sequence),
            )
        await connection.execute(
            "update exchange_in_lane set expected = %s, head = %s where tenant = %s",
            (head.sequence + 1, head.digest, hub.repo.ctx.tenant),
        )


async def test_refused_message_waits_in_quarantine_and_is_replayed(
    hub: Hub,  # noqa: F811
    facility: Repository,
) -> None:
    """What the registry refuses does not stop the lane; the sender sees why; mended, it is replayed once."""
    line = Line(hub, Random(1), faults=False)
    bad = await queued(facility, 1, raw=b'{"resourceType":"Bundle","type":"transaction"}')
    good = await queued(facility, 2)
    assert await drain(facility, line.send) == 1
    rows = {row.message_id: row for row in await queue(facility)}
    assert (rows[bad].state, rows[good].state) == ("quarantined", "received")
    assert rows[bad].reason
    (kept,) = await quarantined(hub.repo)
    assert kept.message_id == bad
    with pytest.raises(BenhanError):
        await replay_quarantined(hub.repo, hub.a, bad, **hub.seal)
    with pytest.raises(NotFound):
        await replay_quarantined(hub.repo, hub.a, good, **hub.seal)


@pytest.mark.parametrize("change", ["body", "sender", "receiver", "number", "previous", "epoch"])
async def test_altered_envelopes_change_nothing(hub: Hub, facility: Repository, change: str) -> None:  # noqa: F811
    """Another body, sender or receiver is refused; a known number with other content too; a later one must wait."""
    line = Line(hub, Random(1), faults=False)
    await queued(facility, 1)
    await drain(facility, line.send)
    ((envelope, raw),) = line.kept
    altered = {
        "body": (envelope, raw + b" "),
        "sender": (replace(envelope, sender="51Z02"), raw),
        "receiver": (replace(envelope, receiver="khac"), raw),
        "number": (replace(envelope, message_id="urn:uuid:khac"), raw),
        "previous": (replace(envelope, sequence=2, previous="0" * 64), raw),
        "epoch": (replace(envelope, epoch=2, sequence=5), raw),
    }[change]
    try:
        reply = await line.deliver(*altered)
    except BenhanError:
        assert change in ("body", "sender", "receiver")
    else:
        assert not isinstance(reply.answer, Receipt)
    assert await hub.repo.count("DocumentReference", []) == 1


async def test_two_senders_of_one_facility_do_not_double(hub: Hub, facility: Repository) -> None:  # noqa: F811
    """Two workers drain at once: each envelope is leased to one of them."""
    import asyncio

    for number in range(6):
        await queued(facility, number)
    lines = [Line(hub, Random(n), faults=False) for n in range(2)]
    await asyncio.gather(*(drain(facility, line.send) for line in lines))
    assert await queue_counts(facility) == {"received": 6}
    assert await hub.repo.count("DocumentReference", []) == 6


# -- the door -------------------------------------------------------------------------------------------


@pytest.fixture
async def door(hub: Hub, tmp_path: Path) -> AsyncIterator[HubClient]:  # noqa: F811
    """The hub behind mutual TLS, and facility A's client for it."""
    create_ca(tmp_path / "ca")
    issue_node(tmp_path / "ca", "hub", ["localhost"], tmp_path)
    issue_node(tmp_path / "ca", "a", ["localhost"], tmp_path)
    key = _key()
    client = await register_client(
        hub.repo,
        name="may-a",
        title="Máy A",
        key_pem=key,
        thumbprints=[certs.thumbprint((tmp_path / "a.crt").read_bytes())],
        scopes="system/*.cruds",
        facility=hub.a.id,
    )
    settings = hub.repo.store.settings

    async def seal(repo: Repository):
        return hub.seal["signer"], hub.seal["tsa"]

    context = server_context(tmp_path / "hub.crt", tmp_path / "hub.key", tmp_path / "ca" / "ca.crt")
    port = _free_port()
    hub_settings = settings.model_copy(update={"role": "hub", "machine_port": port})
    own = settings.model_copy(
        update={
            "hub_url": f"https://localhost:{port}",
            "tls_cert": tmp_path / "a.crt",
            "tls_key": tmp_path / "a.key",
            "tls_ca": tmp_path / "ca" / "ca.crt",
        }
    )
    async with (
        open_door(hub_app(hub.repo.store, hub_settings, seal), context, "127.0.0.1", port),
        HubClient(own, "51Z01", client.client_id, key, clock=hub.repo.store.clock) as one,
    ):
        yield one


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


async def test_door_gives_receipts_and_the_same_one_again(
    hub: Hub,  # noqa: F811
    facility: Repository,
    door: HubClient,
) -> None:
    """Over TLS: the signed receipt comes back, a repeat gives the very same, the manifest names the message."""
    message_id = await queued(facility, 1)
    answers: list[Reply] = []

    async def send(envelope: Envelope) -> Reply:
        raw = await facility.store.blobs.get(envelope.body_sha256)
        answers.extend([await door.send_envelope(envelope, raw), await door.send_envelope(envelope, raw)])
        return answers[-1]

    assert await drain(facility, send) == 1
    assert answers[0].receipt is not None
    assert answers[0].receipt == answers[1].receipt
    day = local_date((await queue(facility))[0].queued_at)
    assert list((await door.manifest(day))["messages"]) == [message_id]


async def test_door_refuses_other_signatures_and_says_gap(
    hub: Hub,  # noqa: F811
    facility: Repository,
    door: HubClient,
) -> None:
    """A signature by another key, or a client assertion used as envelope: refused and audited; a later number: gap."""
    await queued(facility, 1)
    kept: list[tuple[Envelope, bytes]] = []

    async def lost(envelope: Envelope) -> Reply:
        kept.append((envelope, await facility.store.blobs.get(envelope.body_sha256)))
        return Reply(None)

    await drain(facility, lost)
    ((envelope, raw),) = kept
    own_key, stranger = door.private_key_pem, _key()
    for signed in (
        sign_statement(envelope.as_json(), ENVELOPE_KIND, stranger),
        sign_statement(envelope.as_json(), "JWT", own_key),
        "không phải JWS".encode().hex(),
    ):
        with pytest.raises(NotAllowed):
            await door._send("POST", "/mhd/", content=raw, more={"Benhan-Envelope": signed})
    later = replace(envelope, sequence=2, previous=envelope.digest)
    assert isinstance((await door.send_envelope(later, raw)).answer, Gap)
    assert await hub.repo.count("DocumentReference", []) == 0
    assert isinstance((await door.send_envelope(envelope, raw)).answer, Receipt)


def _key() -> bytes:
    return ec.generate_private_key(ec.SECP384R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


async def test_door_answers_iti83_to_the_facility_of_the_certificate(
    hub: Hub,  # noqa: F811
    door: HubClient,
) -> None:
    """Over TLS with the bound token: A gets the number of its own patient, an unknown domain is refused."""
    await link_patient(hub.repo, hub.a.id, a_message().patient)
    path = "/pixm/Patient/$ihe-pix?"
    mine = urlencode({"sourceIdentifier": "urn:benhan:id:nguoi-benh:51Z01|benh-nhan-o-a"})
    answer = await door._json("GET", path + mine)
    cccd = {"system": "urn:benhan:id:cccd", "value": "051199000001"}
    assert answer["parameter"] == [{"name": "targetIdentifier", "valueIdentifier": cccd}]
    with pytest.raises(BenhanError):
        await door._json("GET", path + urlencode({"sourceIdentifier": "urn:oid:1.2|3"}))
