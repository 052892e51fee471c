"""Data in and out: ingest of claim packages, export, backup, restore."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import typer

from benhan.base.errors import BenhanError
from benhan.cli.common import (
    CONFIG,
    console,
    errors,
    facility_of,
    open_store,
    operator_repo,
    progress,
    run,
    settings_of,
)
from benhan.gateways.bhyt import ingest_stream
from benhan.store import backup as backup_store
from benhan.store import restore as restore_store

ingest_app = typer.Typer(help="Đọc dữ liệu của phần mềm khác.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.add_typer(ingest_app, name="ingest")
    app.command()(export)
    app.command()(backup)
    app.command()(restore)
    app.command()(reindex)


@ingest_app.command("bhyt")
def ingest_bhyt(
    files: list[Path],
    facility: str = typer.Option(..., help="Mã của nơi nhận (trục hoặc cơ sở)."),
    config: Path | None = CONFIG,
) -> None:
    """Đọc các gói XML BHYT thành FHIR; gói hỏng được giữ lại cùng lý do."""
    settings = settings_of(config)

    async def work() -> int:
        refused = 0
        async with open_store(settings) as store:
            repo = operator_repo(store, (await facility_of(store, facility)).id)
            with progress() as bar:
                for path in bar.track(files, description="Đọc gói XML"):
                    async for done in ingest_stream(repo, _chunks(path), path.name):
                        result = done.result
                        refused += result.status == "quarantined"
                        name = path.name if done.number == 1 else f"{path.name}#{done.number}"
                        console.print(
                            f"{name}\t{result.status}\t{result.ma_lk or ''}\t{result.reason or ''}",
                            markup=False,
                        )
        return refused

    if run(work):
        raise typer.Exit(1)


async def _chunks(path: Path) -> AsyncIterator[bytes]:
    """A file in pieces of a mebibyte."""
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            yield chunk


def export(
    out: Path, facility: str = typer.Option(..., help="Mã cơ sở."), config: Path | None = CONFIG
) -> None:
    """Xuất mọi tài nguyên hiện hành của một cơ sở thành NDJSON, từng loại một tệp."""
    settings = settings_of(config)

    async def work() -> int:
        total = 0
        async with open_store(settings) as store:
            repo = operator_repo(store, (await facility_of(store, facility)).id)
            out.mkdir(parents=True, exist_ok=True)
            with progress() as bar:
                task = bar.add_task("Xuất", total=None)
                async for resource_type, raw in repo.export():
                    with (out / f"{resource_type}.ndjson").open("ab") as file:
                        file.write(raw + b"\n")
                    total += 1
                    bar.update(task, completed=total)
        return total

    console.print(f"Đã xuất {run(work)} tài nguyên vào {out}.")


def backup(out: Path, config: Path | None = CONFIG) -> None:
    """Sao lưu cơ sở dữ liệu, tệp và khóa thành một bản nhất quán."""
    settings = settings_of(config)

    async def work() -> None:
        await backup_store(settings, out)

    run(work)
    console.print(f"Đã sao lưu vào {out}. Bản này chứa khóa: cất như cất khóa.")


def restore(source: Path, config: Path | None = CONFIG) -> None:
    """Khôi phục từ bản sao lưu vào một cài đặt trống."""
    settings = settings_of(config)

    async def work() -> None:
        await restore_store(settings, source)

    run(work)
    console.print(f"Đã khôi phục từ {source}.")


def reindex(facility: str, config: Path | None = CONFIG) -> None:
    """Dựng lại mọi dòng dẫn xuất (hiện hành, chỉ mục) từ nhật ký."""
    settings = settings_of(config)

    async def work() -> int:
        async with open_store(settings) as store:
            try:
                return await store.reindex((await facility_of(store, facility)).id)
            except BenhanError as error:
                errors.print(error.text, markup=False)
                raise

    console.print(f"Đã dựng lại {run(work)} tài nguyên.")
