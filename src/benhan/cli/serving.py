"""`benhan serve` and `benhan worker`: the two kinds of process of a node."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import typer

from benhan.cli import node
from benhan.cli.common import CONFIG, console, settings_of
from benhan.web import serve as web_serve


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(serve)
    app.command()(worker)
    app.command("machine-door", hidden=True)(machine_door)


def serve(config: Path | None = CONFIG) -> None:
    """Phục vụ trang và FHIR; nút trục mở thêm cửa cho máy (TLS hai chiều)."""
    settings = settings_of(config)
    if config is not None:
        os.environ["BENHAN_CONFIG"] = str(config.absolute())
    web_serve.check(settings)
    node.configure_logging(settings)
    scheme = "https" if settings.tls_cert and not settings.local_only else "http"
    console.print(f"Bệnh Án: {scheme}://{settings.host}:{settings.port}/")
    door: subprocess.Popen[bytes] | None = None
    if settings.machine_port is not None:
        door = subprocess.Popen([sys.executable, "-m", "benhan.cli", "machine-door"])
    try:
        web_serve.run(settings)
    finally:
        if door is not None:
            door.terminate()
            door.wait(10)


def machine_door(config: Path | None = CONFIG) -> None:
    """Chỉ mở cửa cho máy của trục liên thông (serve tự chạy lệnh này)."""
    settings = settings_of(config)
    asyncio.run(node.serve_machines(settings))


def worker(config: Path | None = CONFIG) -> None:
    """Chạy việc nền: hộp thư đi, gửi BHYT, liên thông, niêm phong nhật ký."""
    settings = settings_of(config)
    node.prepare(settings)

    async def main() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            with contextlib.suppress(NotImplementedError):
                loop.add_signal_handler(number, stop.set)
        await node.work(settings, stop)

    asyncio.run(main())
