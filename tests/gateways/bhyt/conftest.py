"""A facility with a whole record, and a portal over a real socket."""

from __future__ import annotations

import asyncio
import importlib.util
import socket
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import uvicorn

from benhan.access import sensitivity_guard
from benhan.base.clock import FrozenClock
from benhan.base.settings import Settings
from benhan.gateways.bhyt import create_simulator
from benhan.records import closed_record_guard
from benhan.store import Repository, Store, SystemPolicy

_BUILDERS = Path(__file__).parents[2] / "records" / "builders.py"


def _builders() -> ModuleType:
    name = "records_builders"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, _BUILDERS)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


@pytest.fixture
def build() -> Any:
    """Builders of invented records."""
    return _builders()


@pytest.fixture
async def portal(tmp_path: Path) -> AsyncIterator[tuple[str, Any]]:
    """A running simulator: its address and its state."""
    app = create_simulator(tmp_path / "portal")
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off"))
    listener = socket.create_server(("127.0.0.1", 0))
    task = asyncio.create_task(server.serve(sockets=[listener]))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        yield url, app.state.portal
    finally:
        server.should_exit = True
        await task


class PlainInk:
    """Signs by writing behind the bytes: these tests are about claims, not about cryptography."""

    async def sign_pdf(
        self,
        pdf: bytes,
        signer: Any,
        *,
        field: str,
        reason: str,
        name: str,
        tsa: Any,
        place: Any = None,
        role: str = "",
        drawing: bytes | None = None,
    ) -> bytes:
        return pdf + f"\n%{field}|{name}".encode()

    async def entry_signature(self, data: bytes, signer: Any, tsa: Any = None) -> bytes:
        return b"cms:" + data[-16:]

    async def seal(self, files: Any, signer: Any, tsa: Any) -> bytes:
        return b"asic:" + "\n".join(sorted(files)).encode()


@pytest.fixture
def clock() -> FrozenClock:
    """20/11/2026 08:00 in Viet Nam."""
    return FrozenClock(datetime(2026, 11, 20, 1, 0, tzinfo=UTC))


@pytest.fixture
async def open_ward(
    settings: Settings, clock: FrozenClock, build: Any, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Any]:
    """Opens a facility with a given portal (or none)."""
    monkeypatch.setattr("benhan.records.ink.signing", PlainInk())
    opened: list[Store] = []

    async def make(url: str | None) -> Repository:
        own = settings.model_copy(update={"bhyt_url": url, "bhyt_username": "thu-nghiem"})
        store = await Store.open(own, clock=clock, guards=[closed_record_guard, sensitivity_guard])
        opened.append(store)
        tenant = await store.create_tenant("facility", "51Z01", "Bệnh viện Đa khoa tỉnh Quảng Ngãi")
        return store.repo(build.ctx(tenant), SystemPolicy())

    yield make
    for store in opened:
        await store.close()
