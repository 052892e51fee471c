"""`benhan bench`: speed as ratios to limits measured in the same run."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace

import orjson
import typer
from rich.table import Table

from benhan.bench import BENCHES, FULL, Result, run
from benhan.cli.common import console
from benhan.cli.common import run as run_async


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(bench)


def bench(
    names: list[str] = typer.Argument(None, help=f"Phép đo: {', '.join(BENCHES)}; trống là tất cả."),
    json: bool = typer.Option(False, "--json", help="Mỗi phép đo một dòng JSON."),
    people: int = typer.Option(FULL.people, help="Số người của phép đo matching."),
    registered: int = typer.Option(
        FULL.registered, help="Số người ghi vào kho để đo tra cứu ở bàn tiếp đón."
    ),
    population: int = typer.Option(FULL.population, help="Số tài liệu của các phép đo search-…"),
    exported: int = typer.Option(FULL.exported, help="Số tài liệu của các phép đo export…"),
    events: int = typer.Option(FULL.events, help="Số sự kiện nhật ký của phép đo who-opened."),
) -> None:
    """Đo tốc độ; mỗi số kèm giới hạn đo trong cùng lần chạy và tỷ số."""

    sizes = replace(
        FULL, people=people, registered=registered, population=population, exported=exported, events=events
    )

    async def work() -> list[Result]:
        out = []
        async for result in run(names or (), sizes):
            if json:
                sys.stdout.write(orjson.dumps(result.as_json()).decode() + "\n")
                sys.stdout.flush()
            out.append(result)
        return out

    results = run_async(work)
    if not json:
        table = Table("Phép đo", "Giá trị", "Đơn vị", "Giới hạn", "Tỷ số", "Lần", box=None)
        for r in results:
            table.add_row(r.name, f"{r.value:,}", r.unit, f"{r.limit:,}", f"{r.ratio:.3f}", str(r.runs))
        console.print(table)


__all__ = ["asyncio", "register"]
