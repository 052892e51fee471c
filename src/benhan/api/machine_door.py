"""The door for machines: an ASGI app over mutual TLS, where the peer's certificate reaches the app.

The TLS layer refuses a peer without a certificate of our CA before a byte of HTTP is read. The
certificate's DER bytes stand in ``scope["extensions"]["tls"]["client_cert"]``; no header can put them
there.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import httpx
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from benhan.base.errors import ConfigurationError
from benhan.base.settings import Settings


class CertProtocol(HttpToolsProtocol):
    """HTTP/1.1 that hands the verified peer certificate to the app."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        tls = self.transport.get_extra_info("ssl_object")
        der = tls.getpeercert(binary_form=True) if tls is not None else None
        scope = cast(dict[str, object], self.scope)
        scope["extensions"] = {"tls": {"client_cert": der}}


def server_context(cert: Path, key: Path, ca: Path) -> ssl.SSLContext:
    """TLS ≥ 1.2 that demands a client certificate of ``ca``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(str(cert), str(key))
    context.load_verify_locations(cafile=str(ca))
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.set_alpn_protocols(["http/1.1"])
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    return context


def client_context(cert: Path, key: Path, ca: Path) -> ssl.SSLContext:
    """TLS ≥ 1.2 that shows our certificate and trusts ``ca`` only."""
    context = ssl.create_default_context(cafile=str(ca))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(str(cert), str(key))
    return context


def machine_client(
    base_url: str, cert: Path, key: Path, ca: Path, *, timeout_s: float = 30.0
) -> httpx.AsyncClient:
    """An HTTP client that shows its certificate; no proxy of the environment is used."""
    return httpx.AsyncClient(
        base_url=base_url, verify=client_context(cert, key, ca), timeout=timeout_s, trust_env=False
    )


def _config(app: ASGIApp, context: ssl.SSLContext) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=CertProtocol,
        ws="none",
        lifespan="off",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        log_config=None,
        timeout_graceful_shutdown=5,
        ssl_context_factory=lambda _config, _default: context,
    )


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # named TCP: asyncio turns Nagle's waiting off only then, and every call would wait 40 ms for an acknowledgement
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    return listener


@asynccontextmanager
async def open_door(app: ASGIApp, context: ssl.SSLContext, host: str, port: int = 0) -> AsyncIterator[int]:
    """Serve in this event loop as long as the context lasts; gives the port (0: a free one is chosen)."""
    listener = _listen(host, port)
    server = uvicorn.Server(_config(app, context))
    running = asyncio.create_task(server._serve(sockets=[listener]))  # serve() would take over the signals
    try:
        while not server.started and not running.done():  # noqa: ASYNC110 (uvicorn tells by a flag only)
            await asyncio.sleep(0.005)
        if running.done():
            running.result()
        yield int(listener.getsockname()[1])
    finally:
        server.should_exit = True
        await running
        listener.close()


async def serve_machines(app: ASGIApp, settings: Settings) -> None:
    """Serve the machine door of this node until the process is told to stop.

    Raises: ``ConfigurationError`` (api.no-machine-door) when a setting it needs is missing.
    """
    if not (settings.machine_port and settings.tls_cert and settings.tls_key and settings.tls_ca):
        raise ConfigurationError(
            "api.no-machine-door", "Cửa cho máy cần machine_port, tls_cert, tls_key và tls_ca trong cấu hình."
        )
    context = server_context(settings.tls_cert, settings.tls_key, settings.tls_ca)
    server = uvicorn.Server(_config(app, context))
    await server.serve(sockets=[_listen(settings.host, settings.machine_port)])
