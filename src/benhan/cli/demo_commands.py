"""`benhan demo` and the one-time codes of its accounts."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pyotp
import typer

from benhan.base.clock import SYSTEM_CLOCK
from benhan.cli.common import console


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(demo)
    app.command()(totp)


def demo(
    once: bool = typer.Option(False, "--once", help="Chạy trọn câu chuyện rồi dừng."),
    home: Path = typer.Option(Path("demo-home"), help="Thư mục của tỉnh tập huấn (tạo mới mỗi lần)."),
    out: Path = typer.Option(Path("demo-out"), help="Thư mục kết quả."),
    people: int = typer.Option(200, min=1, max=5000, help="Số người bệnh bịa."),
) -> None:
    """Trục, hai cơ sở, cổng BHYT mô phỏng và người bệnh bịa, trên một máy."""
    from benhan.cli.demo.story import demo as run_demo

    if not asyncio.run(run_demo(home, out, once=once, people=people)):
        raise typer.Exit(1)


def totp(seed: str) -> None:
    """In mã một lần của một tài khoản tập huấn."""
    console.print(pyotp.TOTP(seed).at(SYSTEM_CLOCK.now()))
