"""Subscriptions over real sockets: a receiver on 127.0.0.1 that comes, fails, goes and comes back."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from benhan.access import certs, create_ca, disable_client, issue_node, machine_now, register_client
from benhan.api import Caller, create_app, notifying, open_door, register_subscriptions, server_context
from benhan.api.calling import checked_endpoint
from benhan.api.topics import topics
from benhan.base.clock import SYSTEM_CLOCK, FrozenClock
from benhan.base.errors import InvalidInput, NotAllowed
from benhan.base.settings import Settings
from benhan.fhir import from_xml, validate
from benhan.jobs import run_once, start_import
from benhan.store import Store, SystemPolicy

from .conftest import Client, Enter, admin_repo, code_of
from .fuzzing import Fuzzer

GUIDE = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition"
VISITS, RESULTS, CLOSED = (
    "urn:benhan:topic:dot-kham-thay-doi",
    "urn:benhan:topic:ket-qua-moi",
    "urn:benhan:topic:ho-so-dong",
)
SCOPES = "system/Subscription.cruds system/Encounter.rs system/DiagnosticReport.rs system/Composition.rs"
Json = dict[str, Any]
Make = Callable[..., Awaitable[Store]]


@dataclass
class Receiver:
    """Somebody who wants to hear of things: keeps what comes, and answers with ``status``."""

    status: int = 200
    bodies: list[tuple[str, bytes]] = field(default_factory=list)
    port: int = 0

    async def take(self, request: Request) -> Response:
        self.bodies.append((request.headers["content-type"], await request.body()))
        return Response(status_code=self.status)

    @property
    def got(self) -> list[Json]:
        """Every message, judged by the specification."""
        out = []
        for kind, raw in self.bodies:
            out.append(from_xml(raw) if "xml" in kind else json.loads(raw))
            validate(out[-1])
        return out

    def numbers(self) -> list[int]:
        """Numbers of all events told, in the order in which they came."""
        return [int(n) for message in self.got for n in parts(message, "event-number")]

    @asynccontextmanager
    async def there(self, pki: Path) -> AsyncIterator[None]:
        """At home while this lasts."""
        app = Starlette(routes=[Route("/nhan", self.take, methods=["POST"])])
        context = server_context(pki / "nhan.crt", pki / "nhan.key", pki / "ca" / "ca.crt")
        async with open_door(app, context, "127.0.0.1", self.port):
            yield


def parts(message: Json, name: str) -> list[str]:
    """Values of a part of each notification-event of a message."""
    out = []
    for parameter in message["entry"][0]["resource"]["parameter"]:
        for part in parameter.get("part", ()):
            if part["name"] == name:
                out += [v if isinstance(v, str) else v["reference"] for k, v in part.items() if k != "name"]
    return out


def status_of(message: Json, name: str = "type") -> str:
    """One value of a status."""
    found = [p for p in message["entry"][0]["resource"]["parameter"] if p["name"] == name]
    value = next(v for k, v in found[0].items() if k != "name")
    return str(value["reference"] if isinstance(value, dict) else value)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One CA, the node and the receiver."""
    folder = tmp_path_factory.mktemp("pki")
    create_ca(folder / "ca")
    for name in ("node", "nhan"):
        issue_node(folder / "ca", name, ["localhost", "127.0.0.1"], folder)
    return folder


def free_port() -> int:
    """A port that nobody holds."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@dataclass
class House:
    """A node with a machine ``may-a`` and a receiver."""

    store: Store
    tenant: UUID
    facility: str
    receiver: Receiver
    pki: Path

    @asynccontextmanager
    async def client(self, name: str = "may-a") -> AsyncIterator[Client]:
        """The FHIR door as a machine meets it."""

        async def somebody(request: Request) -> Caller:
            machine = await machine_now(self.store, self.tenant, f"{name}@{self.tenant}")
            assert machine is not None
            return Caller(machine.ctx, machine.policy)

        app = Starlette(routes=[Mount("/fhir", create_app(self.store, authenticate=somebody))])
        base = f"http://node.test/fhir/{self.facility}/"
        async with Client(transport=httpx.ASGITransport(app=app), base_url=base) as made:
            yield made

    async def register(self, name: str, scopes: str = SCOPES) -> None:
        """A registered machine."""
        path = self.pki / f"{name}.pem"
        key = path.read_bytes() if path.exists() else certs.create_client_key(path)
        await register_client(
            admin_repo(self.store, self.tenant), name, key_pem=key, thumbprints=["x" * 43], scopes=scopes
        )

    def asked(self, topic: str = VISITS, content: str = "id-only", **more: Any) -> Json:
        """A Subscription as a machine sends it."""
        extensions = [
            {"url": f"{GUIDE}/backport-{name}", key: more.pop(name)}
            for name, key in (("heartbeat-period", "valueUnsignedInt"), ("timeout", "valueUnsignedInt"),
                              ("max-count", "valuePositiveInt"))
            if name in more
        ]  # fmt: skip
        filters = [
            {"url": f"{GUIDE}/backport-filter-criteria", "valueString": text}
            for text in more.pop("filters", ())
        ]
        channel: Json = {
            "type": "rest-hook",
            "endpoint": f"https://localhost:{self.receiver.port}/nhan",
            "payload": more.pop("payload", "application/fhir+json"),
            "_payload": {"extension": [{"url": f"{GUIDE}/backport-payload-content", "valueCode": content}]},
            **({"extension": extensions} if extensions else {}),
            **more.pop("channel", {}),
        }
        out = {
            "resourceType": "Subscription",
            "meta": {"profile": [f"{GUIDE}/backport-subscription"]},
            "status": "requested",
            "reason": "Theo dõi người bệnh",
            "criteria": topic,
            "channel": channel,
            **more,
        }
        if filters:
            out["_criteria"] = {"extension": filters}
        return out

    async def subscribed(self, **more: Any) -> str:
        """An active subscription; its id."""
        async with self.client() as client:
            made = await client.post("Subscription", json=self.asked(**more))
        assert made.status_code == 201, made.text
        await run_once(self.store)
        return str(made.json()["id"])

    async def visit(self, id: str, status: str = "planned", patient: str = "p1") -> None:
        """A change of a visit."""
        resource = {
            "resourceType": "Encounter", "id": id, "status": status, "class": {"code": "IMP"},
            "subject": {"reference": f"Patient/{patient}"},
        }  # fmt: skip
        await admin_repo(self.store, self.tenant).update(resource)

    async def shown(self, id: str) -> str:
        """Status as the resource tells it."""
        return str((await admin_repo(self.store, self.tenant).read("Subscription", id)).data["status"])

    async def later(self) -> None:
        """The waits of failed deliveries are over, and the queue runs."""
        async with self.store.pool.connection() as connection:
            await connection.execute(
                "update jobs.procrastinate_jobs set scheduled_at = null where status = 'todo'"
            )
        await run_once(self.store)


@pytest.fixture
async def make(store_factory: Make, settings: Settings, pki: Path) -> Callable[..., Awaitable[House]]:
    """``await make(clock=…)``: a house."""

    async def house(**more: Any) -> House:
        register_subscriptions()
        receiver = Receiver(port=free_port())
        chosen = settings.model_copy(
            update={
                "tls_cert": pki / "node.crt",
                "tls_key": pki / "node.key",
                "tls_ca": pki / "ca" / "ca.crt",
                "subscription_hosts": (f"localhost:{receiver.port}",),
                "subscription_private": True,
                "public_url": "https://benh-vien.example.vn",
                **more.pop("settings", {}),
            }
        )
        store = await store_factory(settings=chosen, **more)
        tenant = await store.create_tenant("facility", "51Z01", "Bệnh viện Thử nghiệm")
        made = House(store, tenant, await code_of(store, tenant), receiver, pki)
        await made.register("may-a")
        return made

    return house


Maker = Callable[..., Awaitable[House]]


async def test_handshake_events_and_what_can_be_asked_for(make: Maker) -> None:
    """requested → handshake → active; events numbered from 1; $status and $events tell the same; a delete is told."""
    house = await make()
    async with house.receiver.there(house.pki), house.client() as client:
        await house.visit("truoc")
        id = await house.subscribed()
        [handshake] = house.receiver.got
        assert (handshake["type"], status_of(handshake), status_of(handshake, "status")) == (
            "history", "handshake", "requested",
        )  # fmt: skip
        assert await house.shown(id) == "active"
        await house.visit("e1")
        await house.visit("e1", "in-progress")
        await admin_repo(house.store, house.tenant).delete("Encounter", "e1")
        await admin_repo(house.store, house.tenant).update(
            {"resourceType": "Basic", "id": "b", "code": {"text": "x"}}
        )
        await run_once(house.store)
        [told] = house.receiver.got[1:]
        assert status_of(told) == "event-notification"
        assert parts(told, "event-number") == ["1", "2", "3"]
        base = "https://benh-vien.example.vn/fhir/51Z01"
        assert set(parts(told, "focus")) == {f"{base}/Encounter/e1"}
        assert [e["request"]["method"] for e in told["entry"][1:]] == ["POST", "PUT", "DELETE"]
        assert not any("resource" in e for e in told["entry"][1:])
        status = (await client.get(f"Subscription/{id}/$status")).json()
        validate(status)
        assert status_of(status, "status") == "active"
        assert status_of(status, "events-since-subscription-start") == "3"
        several = (await client.get(f"Subscription/$status?id={id},khong-co&status=active")).json()
        assert several["total"] == 1
        assert (await client.get(f"Subscription/$status?id={id}&status=off")).json()["total"] == 0
        again = (
            await client.get(f"Subscription/{id}/$events?eventsSinceNumber=2&content=full-resource")
        ).json()
        validate(again)
        assert status_of(again) == "query-event"
        assert parts(again, "event-number") == ["2", "3"]
    assert await run_once(house.store) == 0


async def test_contents_filters_and_sizes(make: Maker) -> None:
    """Empty, full, XML; filters all hold; no message holds more than max-count; the version told is that of the event."""
    house = await make()
    async with house.receiver.there(house.pki):
        await house.subscribed(content="empty", filters=["Encounter?patient=Patient/p1"])
        await house.subscribed(
            content="full-resource",
            payload="application/fhir+xml",
            **{"max-count": 2},
            filters=["Encounter?patient=p1,p2&class=EMER,IMP", "Encounter?status=planned,in-progress"],
        )
        house.receiver.bodies.clear()
        for number, (status, patient) in enumerate(
            [
                ("planned", "p1"),
                ("planned", "p2"),
                ("finished", "p1"),
                ("planned", "p3"),
                ("in-progress", "p1"),
            ]
        ):
            await house.visit(f"e{number}", status, patient)
        await run_once(house.store)
        empty = [m for m in house.receiver.got if len(m["entry"]) == 1]
        full = [m for m in house.receiver.got if len(m["entry"]) > 1]
        assert [parts(m, "event-number") for m in empty] == [["1", "2", "3"]]
        assert [parts(m, "focus") for m in empty] == [[]]
        assert [parts(m, "event-number") for m in full] == [["1", "2"], ["3"]]
        told = [e["resource"] for m in full for e in m["entry"][1:]]
        assert [(r["id"], r["status"]) for r in told] == [
            ("e0", "planned"), ("e1", "planned"), ("e4", "in-progress"),
        ]  # fmt: skip
        await house.visit("e0", "in-progress")
        await house.visit("e0", "finished")
        house.receiver.bodies.clear()
        await run_once(house.store)
        [full] = [m for m in house.receiver.got if len(m["entry"]) > 1]
        assert full["entry"][1]["resource"]["status"] == "in-progress"


async def test_topics_tell_of_the_step_only(make: Maker) -> None:
    """A record is told when it closes, not when a closed one is touched; a report when it is final or corrected."""
    house = await make()
    repo = admin_repo(house.store, house.tenant)

    async def binder(state: str) -> None:
        form = {"system": "urn:benhan:mau", "code": "ho-so-benh-an"}
        await repo.update(
            {
                "resourceType": "Composition", "id": "h1", "status": "final", "type": {"coding": [form]},
                "subject": {"reference": "Patient/p1"}, "date": "2026-11-20", "author": [{"display": "A"}],
                "title": "Hồ sơ", "extension": [{"url": "urn:benhan:record-state", "valueCode": state}],
            }
        )  # fmt: skip

    async def report(status: str) -> None:
        await repo.update(
            {"resourceType": "DiagnosticReport", "id": "r1", "status": status, "code": {"text": "x"}}
        )

    async with house.receiver.there(house.pki):
        await house.subscribed(topic=CLOSED)
        await house.subscribed(topic=RESULTS)
        house.receiver.bodies.clear()
        for state in ("open", "completed", "closed", "closed", "reopened", "closed"):
            await binder(state)
        for status in ("registered", "preliminary", "final", "corrected"):
            await report(status)
        await run_once(house.store)
        told = {parts(m, "focus")[0].split("/")[-2]: parts(m, "event-number") for m in house.receiver.got}
        assert told == {"Composition": ["1", "2"], "DiagnosticReport": ["1", "2"]}


async def test_a_receiver_that_fails_or_is_away_misses_nothing(make: Maker) -> None:
    """Killed, back on the same port, answering 500, back again: every number comes, in order; the status tells it."""
    house = await make()
    async with house.receiver.there(house.pki):
        id = await house.subscribed(**{"max-count": 3})
        await house.visit("e0")
        await run_once(house.store)
    assert house.receiver.numbers() == [1]
    for number in range(1, 5):  # nobody listens
        await house.visit(f"e{number}")
        await run_once(house.store)
    for _ in range(3):
        await house.later()
    assert await house.shown(id) == "error"
    async with house.receiver.there(house.pki):
        house.receiver.status = 500
        await house.later()
        house.receiver.bodies.clear()
        house.receiver.status = 200
        await house.visit("e5")
        await house.later()
        await run_once(house.store)
        assert house.receiver.numbers() == [2, 3, 4, 5, 6]
        assert await house.shown(id) == "active"
        async with house.client() as client:
            assert "error" not in (await client.get(f"Subscription/{id}")).json()


async def test_given_up_is_off_and_asked_again_goes_on_where_it_stopped(make: Maker) -> None:
    """After the last attempt the status is off; requested again, what waited is told; off by the owner forgets it."""
    house = await make()
    async with house.receiver.there(house.pki):
        id = await house.subscribed()
    await house.visit("e1")
    for _ in range(notifying.LAST + 1):
        await house.later()
    assert await house.shown(id) == "off"
    await house.visit("e2")
    assert await run_once(house.store) == 0
    async with house.receiver.there(house.pki), house.client() as client:
        house.receiver.bodies.clear()
        kept = {**house.asked(), "id": id}
        assert (await client.put(f"Subscription/{id}", json=kept)).status_code == 200
        await run_once(house.store)
        await run_once(house.store)
        assert status_of(house.receiver.got[0]) == "handshake"
        assert house.receiver.numbers() == [1, 2]
        assert (await client.put(f"Subscription/{id}", json={**kept, "status": "off"})).status_code == 200
        await house.visit("e3")
        assert await run_once(house.store) == 0
        house.receiver.bodies.clear()
        assert (await client.put(f"Subscription/{id}", json=kept)).status_code == 200
        await run_once(house.store)
        await house.visit("e4")
        await run_once(house.store)
        assert [f for m in house.receiver.got for f in parts(m, "focus")] == [
            "https://benh-vien.example.vn/fhir/51Z01/Encounter/e4"
        ]


async def test_a_lost_acknowledgement_doubles_but_never_loses(
    make: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process dies after the receiver has taken a message and before that is kept: the same numbers come again."""
    house = await make()
    async with house.receiver.there(house.pki):
        await house.subscribed()
        kept = notifying.taken

        async def dies(*_: Any, **__: Any) -> None:
            monkeypatch.setattr(notifying, "taken", kept)
            raise RuntimeError("the power is gone")

        await house.visit("e1")
        monkeypatch.setattr(notifying, "taken", dies)
        await run_once(house.store)
        await house.later()
        assert house.receiver.numbers() == [1, 1]
        await house.visit("e2")
        await run_once(house.store)
        assert house.receiver.numbers() == [1, 1, 2]


async def test_rights_are_those_of_now(make: Maker) -> None:
    """A right taken away, or the machine disabled: off, and nothing is sent, not even what waits."""
    house = await make()
    repo = admin_repo(house.store, house.tenant)
    async with house.receiver.there(house.pki):
        first = await house.subscribed(content="full-resource")
        house.receiver.status = 503
        await house.visit("e1")
        await run_once(house.store)
        house.receiver.status = 200
        house.receiver.bodies.clear()
        await house.register("may-a", "system/Subscription.cruds system/Patient.rs")
        await house.later()
        await house.visit("e2")
        await house.later()
        assert house.receiver.bodies == []
        assert await house.shown(first) == "off"
        async with house.client() as client:
            assert (await client.post("Subscription", json=house.asked())).status_code == 403
            events = (await client.get(f"Subscription/{first}/$events?content=full-resource")).json()
            assert parts(events, "focus") == []  # what was numbered is not shown either
            assert len(events["entry"]) == 1
        await house.register("may-a")
        second = await house.subscribed()
        house.receiver.bodies.clear()
        await disable_client(repo, f"may-a@{house.tenant}", "mất máy")
        await house.visit("e3")
        await run_once(house.store)
        assert house.receiver.bodies == []
        assert await house.shown(second) == "off"


async def test_only_what_is_allowed_is_accepted(make: Maker, enter: Enter) -> None:
    """Topic, channel, receiver, content, filter, number, status, owner: by every way in, each with its place."""
    house = await make()
    await house.register("may-b")
    cases: list[tuple[Json, str]] = [
        ({"topic": "urn:khong-co"}, "api.subscription-topic"),
        ({"topic": "Encounter?status=planned"}, "api.subscription-topic"),
        ({"content": "tat-ca"}, "api.subscription-content"),
        ({"payload": "text/plain"}, "api.subscription-content"),
        ({"status": "active"}, "api.subscription-status"),
        ({"status": "error"}, "api.subscription-status"),
        ({"filters": ["Encounter?length=3"]}, "api.subscription-filter"),
        ({"filters": ["Patient?patient=1"]}, "api.subscription-filter"),
        ({"filters": ["Encounter"]}, "api.subscription-filter"),
        ({"timeout": 0}, "api.subscription-number"),
        ({"max-count": 5000}, "api.subscription-number"),
        ({"channel": {"type": "email"}}, "api.subscription-channel"),
        ({"channel": {"header": ["Authorization: Bearer x"]}}, "api.subscription-channel"),
        ({"channel": {"endpoint": f"http://localhost:{house.receiver.port}/nhan"}}, "fhir.endpoint"),
        ({"channel": {"endpoint": "https://localhost/nhan"}}, "api.subscription-endpoint"),
        ({"channel": {"endpoint": "https://nguoi-la.example.org/"}}, "api.subscription-endpoint"),
        ({"channel": {"endpoint": f"https://u:p@localhost:{house.receiver.port}/"}}, "fhir.endpoint"),
    ]  # fmt: skip
    async with house.receiver.there(house.pki), house.client() as client, house.client("may-b") as other:
        for more, code in cases:
            asked = house.asked(**more)
            bundle = {
                "resourceType": "Bundle",
                "type": "transaction",
                "entry": [{"resource": asked, "request": {"method": "POST", "url": "Subscription"}}],
            }
            for answer in (
                await client.post("Subscription", json=asked),
                await client.put("Subscription/s9", json={**asked, "id": "s9"}),
                await client.post("", json=bundle),
            ):
                assert answer.status_code == 400, (more, answer.text)
                assert answer.json()["issue"][0]["details"]["coding"][0]["code"] == code
        id = await house.subscribed()
        patch = [{"op": "replace", "path": "/channel/endpoint", "value": "https://nguoi-la.example.org/"}]
        kind = {"Content-Type": "application/json-patch+json"}
        assert (await client.patch(f"Subscription/{id}", json=patch, headers=kind)).status_code == 400
        told = [{"op": "replace", "path": "/reason", "value": "Lý do khác"}]
        assert (await client.patch(f"Subscription/{id}", json=told, headers=kind)).status_code == 200
        assert (await other.put(f"Subscription/{id}", json={**house.asked(), "id": id})).status_code == 403
        assert (await other.delete(f"Subscription/{id}")).status_code == 403
        assert (await other.get(f"Subscription/{id}/$status")).status_code == 404
        assert (await other.get(f"Subscription/{id}/$events")).status_code == 404
        assert (await other.get(f"Subscription/$status?id={id}")).json()["total"] == 0
        line = json.dumps({**house.asked(channel={"endpoint": "https://nguoi-la.example.org/"}), "id": "s8"})
        machine = await machine_now(house.store, house.tenant, f"may-a@{house.tenant}")
        assert machine is not None
        await start_import(house.store.repo(machine.ctx, SystemPolicy()), line.encode())
        house.receiver.bodies.clear()
        await run_once(house.store)
        assert (await client.get("Subscription/s8")).status_code == 404
        assert (await client.get("Subscription")).json()["entry"][0]["resource"]["id"] == id
        assert (await client.delete(f"Subscription/{id}")).status_code == 204
        await house.visit("e1")
        await run_once(house.store)
        assert house.receiver.bodies == []
        assert (await client.get(f"Subscription/{id}/$status")).status_code == 404
    with pytest.raises(NotAllowed):
        await admin_repo(house.store, house.tenant).create(house.asked())


async def test_another_facility_hears_nothing(make: Maker) -> None:
    """Changes at one facility are told to its own subscribers only, though ids, types and filters are the same."""
    house = await make()
    other = await house.store.create_tenant("facility", "51Z02", "Bệnh viện Khác")
    theirs = House(house.store, other, "51Z02", house.receiver, house.pki)
    await theirs.register("may-a")
    async with house.receiver.there(house.pki):
        ids = [await one.subscribed(content="full-resource") for one in (house, theirs)]
        house.receiver.bodies.clear()
        await house.visit("e1")
        await house.visit("e2")
        await theirs.visit("e1", "finished")
        await run_once(house.store)
        told = {
            status_of(m, "subscription"): [e["resource"]["status"] for e in m["entry"][1:]]
            for m in house.receiver.got
        }
        base = "https://benh-vien.example.vn/fhir"
        assert told == {
            f"{base}/51Z01/Subscription/{ids[0]}": ["planned", "planned"],
            f"{base}/51Z02/Subscription/{ids[1]}": ["finished"],
        }
        async with theirs.client() as client:
            assert (await client.get(f"Subscription/{ids[0]}/$events")).status_code == 404
            assert (await client.get(f"Subscription/{ids[0]}")).status_code == 404


async def test_nobody_of_flesh_subscribes(enter: Enter, tenant: UUID, facility: str) -> None:
    """No role has a right on Subscription."""
    person = await enter(tenant, "phong_khth")
    answer = await person.post(f"/fhir/{facility}/Subscription", json={"resourceType": "Subscription"})
    assert answer.status_code in (400, 403)
    assert (await person.get(f"/fhir/{facility}/Subscription/x/$status")).status_code == 403


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "10.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254", "192.168.1.9", "0.0.0.0", "100.64.0.1",
     "224.0.0.1"],
)  # fmt: skip
def test_private_addresses_need_leave(settings: Settings, host: str) -> None:
    """Even a listed host: an address of a private network is refused until the operator says otherwise."""
    listed = settings.model_copy(update={"subscription_hosts": (host.strip("[]"),)})
    with pytest.raises(InvalidInput):
        checked_endpoint(listed, f"https://{host}/x", "x")
    open_one = settings.model_copy(update={"subscription_hosts": ("8.8.8.8",)})
    assert checked_endpoint(open_one, "https://8.8.8.8/x", "x").hostname == "8.8.8.8"


async def test_a_name_that_leads_inside_is_not_called(make: Maker) -> None:
    """The name is listed, but it resolves to a private address, and that was not allowed: no call, no event lost."""
    house = await make(settings={"subscription_private": False})
    async with house.receiver.there(house.pki):
        id = await house.subscribed()
        for _ in range(notifying.PATIENCE):
            await house.later()
        assert house.receiver.bodies == []
        assert await house.shown(id) == "error"


async def test_a_heartbeat_comes_when_there_is_nothing_to_tell(make: Maker) -> None:
    """One beat for each period without news; an event counts as a sign of life; the end of the time ends it."""
    clock = FrozenClock(SYSTEM_CLOCK.now())
    house = await make(clock=clock)
    end = SYSTEM_CLOCK.now().replace(year=SYSTEM_CLOCK.now().year + 1).isoformat(timespec="seconds")
    async with house.receiver.there(house.pki):
        id = await house.subscribed(**{"heartbeat-period": 60}, end=end)
        house.receiver.bodies.clear()
        clock.move(seconds=59)
        await run_once(house.store)
        assert house.receiver.bodies == []
        clock.move(seconds=2)
        await run_once(house.store)
        assert [status_of(m) for m in house.receiver.got] == ["heartbeat"]
        clock.move(seconds=30)
        await house.visit("e1")
        await run_once(house.store)
        clock.move(seconds=40)
        await run_once(house.store)
        assert [status_of(m) for m in house.receiver.got] == ["heartbeat", "event-notification"]
        clock.move(days=400)
        await run_once(house.store)
        assert await house.shown(id) == "off"


def test_topics_are_stated(settings: Settings) -> None:
    """The shipped topics, each with a Vietnamese title and filters that are search parameters."""
    assert len(topics()) >= 5
    assert all(topic.title and topic.filters for topic in topics().values())


async def test_spoilt_subscriptions_are_refused_and_nothing_breaks(make: Maker) -> None:
    """Whatever is wrong with it: accepted or refused with an outcome, never a fault of ours; then one that is right."""
    house = await make()
    spoiler = Fuzzer(7, "")
    async with house.receiver.there(house.pki), house.client() as client:
        for number in range(150):
            asked = house.asked(filters=["Encounter?patient=p1"], **{"heartbeat-period": 600, "max-count": 3})
            for _ in range(spoiler.random.choice((1, 1, 2))):
                spoiler._spoil(asked)
            answer = await client.put(f"Subscription/s{number % 9}", json={**asked, "id": f"s{number % 9}"})
            assert answer.status_code in (200, 201, 400, 403), (asked, answer.text)
        await run_once(house.store)
        id = await house.subscribed()
        assert await house.shown(id) == "active"


async def test_a_change_that_commits_late_is_told(make: Maker) -> None:
    """A transaction that began first and commits last: nothing passes it, and both changes are told, each once."""
    house = await make()
    async with house.receiver.there(house.pki):
        await house.subscribed()
        house.receiver.bodies.clear()
        repo = admin_repo(house.store, house.tenant)
        async with repo.transaction() as tx:
            await tx.update(
                {"resourceType": "Encounter", "id": "muon", "status": "planned", "class": {"code": "IMP"}}
            )
            await house.visit("som")
            await run_once(house.store)
            assert house.receiver.bodies == []
        await run_once(house.store)
        assert house.receiver.numbers() == [1, 2]
        told = {f.rpartition("/")[2] for m in house.receiver.got for f in parts(m, "focus")}
        assert told == {"muon", "som"}
