"""The hostile XML files are refused in every door through which a package may come, alone and inside an envelope."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from benhan.api.hub import Caller, _Door, hub_app
from benhan.gateways.bhyt import ingest, ingest_stream, quarantined, read_package, write_package
from benhan.gateways.bhyt.samples import package_of, stories

CORPUS = Path(__file__).parents[2] / "data" / "parser-attack-corpus"
FILES = sorted(p for p in CORPUS.iterdir() if p.suffix == ".xml")
PATIENCE_S = 5.0


def _inside(hostile: bytes) -> bytes:
    """A package whose first table is the hostile file."""
    raw = write_package(package_of(stories()[0], 1))
    first, rest = raw.split(b"<NOIDUNGFILE>", 1)
    return first + b"<NOIDUNGFILE>" + base64.b64encode(hostile) + rest[rest.index(b"</NOIDUNGFILE>") :]


SENT = {f.name: f.read_bytes() for f in FILES} | {f"inside {f.name}": _inside(f.read_bytes()) for f in FILES}


def _tells_nothing(text: str) -> None:
    """No word of a local file, and no path of it, comes back."""
    for word in ("root:", "/etc/", "file://", "http://"):
        assert word not in text


async def _one(data: bytes) -> AsyncIterator[bytes]:
    yield data


def test_there_are_hostile_files() -> None:
    assert len(FILES) >= 14


async def test_intake_and_stream_refuse_every_one(open_ward: Any) -> None:
    ward = await open_ward(None)
    for name, data in SENT.items():
        began = time.perf_counter()
        result = await ingest(ward, data, name)
        assert (result.status, bool(result.reason)) == ("quarantined", True), name
        _tells_nothing(result.reason or "")
        assert time.perf_counter() - began < PATIENCE_S, name
        told = [r.result.status async for r in ingest_stream(ward, _one(data), name)]
        assert told, name
        assert set(told) == {"quarantined"}, name
    assert (await ward.search("Claim", [("_count", "1")])).entries == []
    assert {q.source_name for q in await quarantined(ward)} >= set(SENT)


async def test_the_http_door_refuses_every_one(open_ward: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """422 with a reason; the stream tells it line by line."""
    ward = await open_ward(None)
    (facility,) = [t for t in await ward.store.tenants() if t.id == ward.ctx.tenant]

    async def caller(self: Any, request: Any, action: Any) -> Caller:
        return Caller(ward, facility, None)  # type: ignore[arg-type]

    monkeypatch.setattr(_Door, "_caller", caller)
    app = hub_app(ward.store, ward.store.settings, None)  # type: ignore[arg-type]
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="https://hub") as http:
        for name, data in SENT.items():
            answer = await http.post("/ingest/bhyt", content=data)
            assert answer.status_code == 422, name
            assert answer.json()["reason"], name
            _tells_nothing(answer.text)
        whole = await http.post(
            "/ingest/bhyt/stream", content=b"\n".join(v for k, v in SENT.items() if "inside" in k)
        )
        lines = whole.text.splitlines()
        assert len(lines) == len(FILES)
        assert all('"quarantined"' in line for line in lines)


def _benhan(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benhan.cli", *words],
        env={**os.environ, "BENHAN_CONFIG": str(folder / "benhan.toml"), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_command_line_and_watched_folder_refuse_every_one(tmp_path: Path) -> None:
    (tmp_path / "benhan.toml").write_text(f'home = "{tmp_path}/home"\npractice = true\n', encoding="utf-8")
    assert _benhan(tmp_path, "migrate").returncode == 0
    assert _benhan(tmp_path, "facility", "add", "51Z07", "Cơ sở Thử").returncode == 0
    inbox = tmp_path / "vao"
    inbox.mkdir()
    for name, data in SENT.items():
        (inbox / name.replace(" ", "-")).write_bytes(data)
    paths = [str(p) for p in sorted(inbox.iterdir())]
    taken = _benhan(tmp_path, "ingest", "bhyt", "--facility", "51Z07", *paths)
    assert taken.returncode == 1
    assert sum("quarantined" in line for line in taken.stdout.splitlines()) >= len(paths)
    # some look like copies that are not finished: older than the patience for those
    for path in inbox.iterdir():
        os.utime(path, (path.stat().st_mtime - 3600, path.stat().st_mtime - 3600))
    done = _benhan(tmp_path, "bhyt", "watch", str(inbox), "--facility", "51Z07", "--once")
    assert done.returncode == 0, done.stderr
    assert len(list((inbox / "bi-giu").iterdir())) == len(paths)
    assert not (inbox / "da-doc").exists()
    for each in (taken, done):
        _tells_nothing(each.stdout.replace(str(tmp_path), "") + each.stderr)


def test_a_good_package_still_passes() -> None:
    assert read_package(write_package(package_of(stories()[0], 1))).ma_lk
