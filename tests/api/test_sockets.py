"""Over real sockets: Granian for people, mutual TLS with bound tokens for machines."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from benhan.access import NodeFiles, client_assertion, create_ca, issue_node, register_client
from benhan.access.certs import create_client_key
from benhan.api import create_machine_app, machine_client, open_door, server_context
from benhan.base.settings import Settings
from benhan.store import Store

from .conftest import admin_repo

GRANIAN_APP = '''
from starlette.applications import Starlette
from starlette.routing import Mount
from benhan.api import create_app
from benhan.base.settings import Settings


class NoStore:
    """A door without a store: only what is refused before the store is asked."""

    settings = Settings()

    def guard_with(self, guard):
        return None

    async def tenant_by_code(self, code):
        return None


app = Starlette(routes=[Mount("/fhir", create_app(NoStore()))])
'''


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_fhir_door_over_granian(tmp_path: Path) -> None:
    """The production server carries our errors, headers and limits unchanged."""
    (tmp_path / "node_app.py").write_text(GRANIAN_APP, encoding="utf-8")
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "granian", "--interface", "asgi", "--host", "127.0.0.1", "--port", str(port),
        "--no-access-log", "node_app:app", cwd=tmp_path, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}",
            trust_env=False,
            transport=httpx.AsyncHTTPTransport(retries=8),
        ) as http:
            statuses = {}
            for method, path in (
                ("GET", "/fhir/A/Patient"),
                ("GET", "/fhir/A/metadata"),
                ("PUT", "/fhir/A/metadata/x/y"),
            ):
                answer = await http.request(method, path)
                statuses[path] = answer.status_code
                assert answer.headers["content-type"].startswith("application/fhir+json")
                assert answer.json()["id"] == answer.headers["x-correlation-id"]
                assert answer.headers["x-content-type-options"] == "nosniff"
            assert statuses == {"/fhir/A/Patient": 401, "/fhir/A/metadata": 404, "/fhir/A/metadata/x/y": 404}
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST /fhir/A/Patient HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n{")
        await writer.drain()
        assert b" 413 " in await asyncio.wait_for(reader.readline(), 10)
        writer.close()
    finally:
        process.terminate()
        await process.wait()


@dataclass
class Network:
    """A node behind mutual TLS, a facility registered there, and another facility with a certificate of its
    own.
    """

    base: str
    client_id: str
    key: bytes
    ours: NodeFiles
    theirs: NodeFiles

    def http(self, node: NodeFiles) -> httpx.AsyncClient:
        """Client of a node."""
        return machine_client(self.base, node.cert, node.key, node.ca)


@pytest.fixture
async def network(store: Store, tenant: UUID, tmp_path: Path) -> AsyncIterator[Network]:
    """Everything up."""
    ca = tmp_path / "ca"
    create_ca(ca)
    node, ours, theirs = (
        issue_node(ca, n, ["localhost", "127.0.0.1"], tmp_path / n) for n in ("hub", "a", "b")
    )
    key = create_client_key(tmp_path / "client.key")
    client = await register_client(
        admin_repo(store, tenant),
        "a",
        key_pem=key,
        thumbprints=[ours.thumbprint],
        scopes="system/Patient.crus",
    )
    port = free_port()
    settings = Settings(machine_port=port, home=tmp_path)
    app = create_machine_app(store, settings)
    context = server_context(node.cert, node.key, node.ca)
    async with open_door(app, context, "127.0.0.1", port):
        yield Network(f"https://localhost:{port}", client.client_id, key, ours, theirs)


async def token(network: Network, http: httpx.AsyncClient, assertion: str | None = None) -> httpx.Response:
    """Ask for a token."""
    audience = f"{network.base}/oauth/token"
    form = {
        "grant_type": "client_credentials",
        "scope": "system/*.cruds",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": assertion or client_assertion(network.client_id, audience, network.key),
    }
    return await http.post("/oauth/token", data=form)


async def test_machine_gets_token_and_reads(network: Network, facility: str) -> None:
    """The whole way: TLS, assertion, token, FHIR; scopes hold."""
    async with network.http(network.ours) as http:
        configuration = (await http.get("/.well-known/smart-configuration")).json()
        assert configuration["token_endpoint"].endswith("/oauth/token")
        answer = await token(network, http)
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert body["token_type"] == "bearer"
        assert body["expires_in"] <= 300
        assert body["scope"] == "system/Patient.crus"
        assert answer.headers["cache-control"] == "no-store"
        http.headers["Authorization"] = f"Bearer {body['access_token']}"
        made = await http.post(
            f"/fhir/{facility}/Patient", json={"resourceType": "Patient", "name": [{"text": "A"}]}
        )
        assert made.status_code == 201
        assert made.headers["location"].startswith(f"{network.base}/fhir/{facility}/Patient/")
        assert (await http.get(f"/fhir/{facility}/Patient/{made.json()['id']}")).status_code == 200
        assert (await http.get(f"/fhir/{facility}/Observation")).status_code == 403
        assert (await http.delete(f"/fhir/{facility}/Patient/{made.json()['id']}")).status_code == 403
        assert (await http.get("/health")).text == "ok"


async def test_stolen_token_and_replayed_assertion_are_useless(network: Network, facility: str) -> None:
    """From another certificate of the same CA the token is refused; an assertion serves once."""
    async with network.http(network.ours) as http, network.http(network.theirs) as thief:
        assertion = client_assertion(network.client_id, f"{network.base}/oauth/token", network.key)
        first = await token(network, http, assertion)
        again = await token(network, http, assertion)
        assert [first.status_code, again.status_code] == [200, 400]
        assert again.json() == {"error": "invalid_client"}
        assert (await token(network, thief)).json() == {"error": "invalid_client"}
        bearer = {"Authorization": f"Bearer {first.json()['access_token']}"}
        assert (await http.get(f"/fhir/{facility}/Patient", headers=bearer)).status_code == 200
        stolen = await thief.get(f"/fhir/{facility}/Patient", headers=bearer)
        assert stolen.status_code == 401
        assert stolen.json()["resourceType"] == "OperationOutcome"


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"grant_type=a&grant_type=b", b"x=" + b"1" * 30_000])
async def test_bad_token_requests(network: Network, content: bytes) -> None:
    """Garbage is an OAuth error, never a 5xx."""
    async with network.http(network.ours) as http:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = await http.post("/oauth/token", content=content, headers=headers)
        assert answer.status_code == 400
        assert answer.json()["error"] in ("invalid_request", "unsupported_grant_type")
        assert (await http.post("/oauth/token", json={})).status_code == 400
        assert (await http.get("/oauth/token")).status_code == 405
