"""Draining a backlog to the hub over mutual TLS: envelopes, receipts, registry and all, against bare POST and COPY."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from random import Random
from uuid import NAMESPACE_URL, uuid5

import httpx
import psycopg
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from starlette.types import ASGIApp, Receive, Scope, Send

from benhan.access import certs, create_ca, issue_node, register_client
from benhan.api import machine_client, open_door, server_context
from benhan.api.hub import hub_app
from benhan.base.json_door import dumps
from benhan.bench.measure import Result, Sizes, rate, seconds_async
from benhan.bench.storing import WHO
from benhan.exchange import (
    HUB,
    Document,
    Envelope,
    HubClient,
    Message,
    Reply,
    Submission,
    drain,
    enqueue,
    provide_bundle,
)
from benhan.signing import KeyStore, Signer, TimeStamper
from benhan.store import Ctx, Repository, Store, SystemPolicy

_PAPER = 20_000  # bytes of a paper
_CODE = "BS001"


async def drain_bench(store: Store, sizes: Sizes) -> Result:
    """Documents/s of a backlog. Limit: the same bodies by bare POST over the same TLS, then one COPY of them."""
    hub = await _repo(store, "hub", "BSHUB")
    facility = await _repo(store, "facility", _CODE)
    ours, limits = [], []
    with tempfile.TemporaryDirectory(prefix="benhan-bench-") as folder:
        pki = Path(folder)
        create_ca(pki / "ca")
        for name in ("hub", "a"):
            issue_node(pki / "ca", name, ["localhost"], pki)
        for number in range(sizes.runs):
            bodies = await _queue(facility, number, sizes.documents)
            async with _door(store, hub, facility, pki) as client:
                send = partial(_send, store, client)
                ours.append(sizes.documents / await seconds_async(partial(drain, facility, send)))
            limits.append(sizes.documents / await _bare(store, pki, bodies))
    return rate("exchange-drain", "documents/s", ours, limits)


async def _repo(store: Store, kind: str, code: str) -> Repository:
    known = await store.tenant_by_code(code)
    tenant = (
        known.id if known else await store.create_tenant("hub" if kind == "hub" else "facility", code, code)
    )
    return store.repo(Ctx(tenant=tenant, actor=WHO), SystemPolicy())


async def _send(store: Store, client: HubClient, envelope: Envelope) -> Reply:
    return await client.send_envelope(envelope, await store.blobs.get(envelope.body_sha256))


async def _queue(repo: Repository, run: int, count: int) -> list[bytes]:
    """A backlog: one paper each of so many people; the bodies as they will be sent."""
    bodies = []
    for number in range(count):
        name = f"bench {run} {number}"
        sent = datetime(2026, 11, 23, tzinfo=UTC)
        document = Document(
            master_id=uuid5(NAMESPACE_URL, f"{name} paper").urn,
            kind="TT25/2025-M02",
            kind_display="Giấy ra viện",
            title="Giấy ra viện",
            content_type="application/pdf",
            data=b"%PDF-1.7 " + Random(name).randbytes(_PAPER),
            created=sent,
        )
        patient = {
            "resourceType": "Patient",
            "id": f"p{run}-{number}",
            "identifier": [{"system": "urn:benhan:id:cccd", "value": f"{run:03d}{number:09d}"}],
            "name": [{"text": f"Người Mẫu {number}"}],
            "gender": "female",
            "birthDate": f"{1950 + number % 70}",
        }
        message_id = uuid5(NAMESPACE_URL, name).urn
        body = dumps(
            provide_bundle(
                Submission(message_id, f"urn:benhan:id:ma-cskcb:{_CODE}", sent, patient, (document,))
            )
        )
        bodies.append(body)
        message = Message(message_id, "archive", "Patient/p", number, await repo.store.blobs.put(body))
        async with repo.transaction() as tx:
            await enqueue(tx, message, _CODE, HUB)
    return bodies


@asynccontextmanager
async def _door(store: Store, hub: Repository, facility: Repository, pki: Path) -> AsyncIterator[HubClient]:
    key = ec.generate_private_key(ec.SECP384R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    thumbprints = [certs.thumbprint((pki / "a.crt").read_bytes())]
    client = await register_client(
        hub,
        "may-a",
        key_pem=key,
        thumbprints=thumbprints,
        scopes="system/*.cruds",
        facility=facility.ctx.tenant,
    )
    signer = await KeyStore(hub).seal_signer(hub.ctx.tenant)

    async def seal(_: Repository) -> tuple[Signer, TimeStamper | None]:
        return signer, None

    port = _free_port()
    settings = store.settings.model_copy(update={"role": "hub", "machine_port": port})
    own = store.settings.model_copy(
        update={
            "hub_url": f"https://localhost:{port}",
            "tls_cert": pki / "a.crt",
            "tls_key": pki / "a.key",
            "tls_ca": pki / "ca" / "ca.crt",
        }
    )
    context = server_context(pki / "hub.crt", pki / "hub.key", pki / "ca" / "ca.crt")
    async with (
        open_door(hub_app(store, settings, seal), context, "127.0.0.1", port),
        HubClient(own, _CODE, client.client_id, key, clock=store.clock) as one,
    ):
        yield one


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


async def _bare(store: Store, pki: Path, bodies: list[bytes]) -> float:
    """Seconds for POST and COPY of the bodies with nothing of the product between."""
    context = server_context(pki / "hub.crt", pki / "hub.key", pki / "ca" / "ca.crt")
    taken: list[bytes] = []
    async with (
        open_door(_taker(taken), context, "127.0.0.1") as port,
        machine_client(
            f"https://localhost:{port}", pki / "a.crt", pki / "a.key", pki / "ca" / "ca.crt"
        ) as http,
        await psycopg.AsyncConnection.connect(store.database.admin) as connection,
    ):
        await connection.execute("create temporary table bare_body (body bytea not null)")

        async def work() -> None:
            for body in bodies:
                await _post(http, body)
            async with connection.cursor().copy("copy bare_body from stdin") as target:
                for body in taken:
                    await target.write_row((body,))
            await connection.commit()

        return await seconds_async(work)


async def _post(http: httpx.AsyncClient, body: bytes) -> None:
    (await http.post("/", content=body)).raise_for_status()


def _taker(taken: list[bytes]) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        parts = []
        while True:
            message = await receive()
            parts.append(message.get("body", b""))
            if not message.get("more_body"):
                break
        taken.append(b"".join(parts))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    return app
