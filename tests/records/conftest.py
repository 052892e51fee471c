"""Builders and a light stand-in for ink, for tests that are about order and state and not about cryptography."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from benhan.access import sensitivity_guard
from benhan.base.clock import FrozenClock
from benhan.base.settings import Settings
from benhan.records import closed_record_guard
from benhan.store import Repository, Store, SystemPolicy


def _load(name: str) -> ModuleType:
    full = f"records_{name}"
    if full not in sys.modules:
        spec = importlib.util.spec_from_file_location(full, Path(__file__).parent / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[full] = module
        spec.loader.exec_module(module)
    return sys.modules[full]


@pytest.fixture
def build() -> Any:
    """Module ``builders`` of this folder."""
    return _load("builders")


class PlainInk:
    """Signs by writing the field and the name behind the bytes; enough to see what was signed by whom."""

    async def sign_pdf(
        self,
        pdf: bytes,
        signer: Any,
        *,
        field: str,
        reason: str,
        name: str,
        tsa: Any,
        place: Any,
        role: str,
        **_: Any,
    ) -> bytes:
        return pdf + f"\n%{field}|{name}|{reason}".encode()

    async def entry_signature(self, data: bytes, signer: Any, tsa: Any) -> bytes:
        return b"cms:" + data[-16:]

    async def seal(self, files: Any, signer: Any, tsa: Any) -> bytes:
        return b"asic:" + "\n".join(sorted(files)).encode()


@pytest.fixture
def plain_ink(monkeypatch: pytest.MonkeyPatch) -> PlainInk:
    """Put the stand-in for ``signing`` in place."""
    ink = PlainInk()
    monkeypatch.setattr("benhan.records.ink.signing", ink)
    return ink


@pytest.fixture
def clock() -> FrozenClock:
    """20/11/2026 08:00 in Viet Nam."""
    return FrozenClock(datetime(2026, 11, 20, 1, 0, tzinfo=UTC))


@pytest.fixture
async def ward(
    settings: Settings, clock: FrozenClock, build: Any, plain_ink: PlainInk
) -> AsyncIterator[Repository]:
    """A facility with the guard of closed records in place and a clock that stands still."""
    store = await Store.open(settings, clock=clock, guards=[closed_record_guard, sensitivity_guard])
    try:
        tenant = await store.create_tenant("facility", "51Z01", "Bệnh viện Đa khoa tỉnh Quảng Ngãi")
        yield store.repo(build.ctx(tenant), SystemPolicy())
    finally:
        await store.close()
