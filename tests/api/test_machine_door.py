"""Mutual TLS over a real socket: who comes in, and what the app learns of them."""

from __future__ import annotations

import asyncio
import socket
import ssl
from pathlib import Path

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from benhan.access import certs, create_ca, issue_node
from benhan.api import client_context, machine_client, open_door, server_context
from benhan.api.machine_door import _listen


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the thumbprint of the certificate in the scope."""
    der = scope["extensions"]["tls"]["client_cert"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": certs.thumbprint(der).encode()})


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two CAs; a hub and a facility of ours, a stranger of the other."""
    folder = tmp_path_factory.mktemp("pki")
    for ca in ("ours", "theirs"):
        create_ca(folder / ca)
    issue_node(folder / "ours", "hub", ["localhost", "127.0.0.1"], folder)
    issue_node(folder / "ours", "a", ["localhost"], folder)
    issue_node(folder / "theirs", "stranger", ["localhost"], folder / "x")
    return folder


def hub_context(pki: Path) -> ssl.SSLContext:
    return server_context(pki / "hub.crt", pki / "hub.key", pki / "ours" / "ca.crt")


async def test_app_learns_the_certificate_of_the_connection(pki: Path) -> None:
    """The thumbprint in the scope is that of the client's certificate, on every request of a connection."""
    expected = certs.thumbprint((pki / "a.crt").read_bytes())
    async with open_door(echo, hub_context(pki), "127.0.0.1") as port:
        ca = pki / "ours" / "ca.crt"
        async with machine_client(f"https://localhost:{port}", pki / "a.crt", pki / "a.key", ca) as http:
            for _ in range(3):
                assert (await http.get("/", headers={"X-Client-Cert": "forged"})).text == expected


async def test_no_certificate_is_refused_in_the_handshake(pki: Path) -> None:
    """Without a certificate no HTTP answer comes back."""
    context = ssl.create_default_context(cafile=str(pki / "ours" / "ca.crt"))
    async with (
        open_door(echo, hub_context(pki), "127.0.0.1") as port,
        httpx.AsyncClient(verify=context, trust_env=False) as http,
    ):
        with pytest.raises(httpx.TransportError):
            await http.get(f"https://localhost:{port}/")


async def test_certificate_of_another_ca_is_refused(pki: Path) -> None:
    """A stranger's certificate does not open the door."""
    context = client_context(pki / "x" / "stranger.crt", pki / "x" / "stranger.key", pki / "ours" / "ca.crt")
    async with (
        open_door(echo, hub_context(pki), "127.0.0.1") as port,
        httpx.AsyncClient(verify=context, trust_env=False) as http,
    ):
        with pytest.raises(httpx.TransportError):
            await http.get(f"https://localhost:{port}/")


async def test_client_refuses_a_server_of_another_ca(pki: Path) -> None:
    """Our client does not speak to a hub it cannot verify, nor to one of another name."""
    stranger = pki / "x"
    context = server_context(stranger / "stranger.crt", stranger / "stranger.key", pki / "ours" / "ca.crt")
    ca = pki / "ours" / "ca.crt"
    async with (
        open_door(echo, context, "127.0.0.1") as port,
        machine_client(f"https://localhost:{port}", pki / "a.crt", pki / "a.key", ca) as http,
    ):
        with pytest.raises(httpx.ConnectError):
            await http.get("/")


async def test_small_answers_are_not_held_back() -> None:
    """asyncio turns Nagle's waiting off for sockets named TCP only; else every call takes 40 ms longer."""
    with _listen("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1")
async def test_plain_http_and_old_tls_get_no_answer(pki: Path) -> None:
    """Plain text and TLS 1.1 are refused."""
    async with open_door(echo, hub_context(pki), "127.0.0.1") as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await writer.drain()
        assert not (await reader.read(100)).startswith(b"HTTP")
        writer.close()
        old = client_context(pki / "a.crt", pki / "a.key", pki / "ours" / "ca.crt")
        old.minimum_version = ssl.TLSVersion.TLSv1_1
        old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection("127.0.0.1", port, ssl=old, server_hostname="localhost")
