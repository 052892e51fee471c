"""`benhan bhyt …`: claims of health insurance from the command line."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import date
from pathlib import Path

import typer

from benhan.base.errors import BenhanError, InvalidInput
from benhan.cli.common import CONFIG, console, facility_of, open_store, operator_repo, run, settings_of
from benhan.gateways import bhyt
from benhan.gateways.bhyt.tables import tables

bhyt_app = typer.Typer(help="Hồ sơ BHYT: kiểm tệp, gói bị giữ lại, lược đồ.", no_args_is_help=True)
_PAUSE_S = 2.0


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.add_typer(bhyt_app, name="bhyt")


@bhyt_app.command("check")
def check_files(files: list[Path], as_json: bool = typer.Option(False, "--json")) -> None:
    """Đọc và kiểm các gói XML theo mọi luật; thoát 1 khi có lỗi, 2 khi có tệp không đọc được."""
    worst = 0
    for path in files:
        try:
            packages = bhyt.read_packages(path.read_bytes())
        except (OSError, BenhanError) as error:
            text = error.text if isinstance(error, BenhanError) else str(error)
            _told(path, "", [("error", "bhyt.unreadable", "gói", text, "")], as_json)
            worst = 2
            continue
        for package in packages:
            found = [("note", n.code, n.place, n.text, "") for n in package.leniencies]
            faults = bhyt.check(package)
            found += [(f.severity, f.code, f.place, f.text, f.rule) for f in faults]
            _told(path, package.ma_lk, found, as_json)
            if any(f.severity == "error" for f in faults):
                worst = max(worst, 1)
    if worst:
        raise typer.Exit(worst)


def _told(path: Path, ma_lk: str, found: list[tuple[str, str, str, str, str]], as_json: bool) -> None:
    if as_json:
        names = ("severity", "code", "place", "text", "rule")
        faults = [dict(zip(names, fault, strict=True)) for fault in found]
        typer.echo(json.dumps({"file": path.name, "ma_lk": ma_lk, "faults": faults}, ensure_ascii=False))
        return
    console.print(f"{path.name} {ma_lk}: {len(found)}", markup=False)
    for severity, code, place, text, rule in found:
        console.print(f"  {severity} {place}: {text} [{rule or code}]", markup=False)


@bhyt_app.command("schema")
def write_schemas(out: Path) -> None:
    """Ghi lược đồ XSD của từng bảng, sinh từ dữ liệu bảng, vào một thư mục."""
    out.mkdir(parents=True, exist_ok=True)
    for name in tables():
        (out / f"{name}.xsd").write_bytes(bhyt.schema(name))
    console.print(f"{len(tables())} lược đồ trong {out}", markup=False)


@bhyt_app.command("icd")
def load_icd(
    file: Path,
    valid_from: str = typer.Option(..., "--from", help="Ngày bắt đầu hiệu lực, YYYY-MM-DD."),
    write: bool = typer.Option(False, help="Nạp thật; không có thì chỉ xem trước."),
    config: Path | None = CONFIG,
) -> None:
    """Nạp danh mục ICD-10 mới (TT 06/2026) từ CSV hoặc XLSX; mặc định chỉ nói sẽ đổi gì."""
    settings = settings_of(config)

    async def work() -> int:
        try:
            first = date.fromisoformat(valid_from)
        except ValueError:
            raise InvalidInput("bhyt.icd-file", "Ngày hiệu lực phải là YYYY-MM-DD.") from None
        told = bhyt.read_icd_list(file.read_bytes(), first)
        changes = f"{len(told.new)} mã mới; {len(told.dropped)} mã bỏ; {len(told.retitled)} mã đổi tên"
        console.print(f"{len(told.entries)} mã; {changes}; {len(told.marked)} mã đổi dấu hiệu", markup=False)
        if write:
            path = bhyt.keep_icd_list(settings.home / "bhyt", told.entries, first)
            console.print(f"đã nạp từ {valid_from}: {path.name}", markup=False)
        return 0

    run(work)


@bhyt_app.command("quarantine")
def quarantine(
    facility: str = typer.Option(..., help="Mã của nơi nhận (trục hoặc cơ sở)."),
    replay: bool = typer.Option(False, help="Đọc lại mọi gói còn bị giữ."),
    config: Path | None = CONFIG,
) -> None:
    """Các gói bị giữ lại cùng lý do; với --replay thì đọc lại sau khi bảng mã hay chương trình đã đổi."""
    settings = settings_of(config)

    async def work() -> int:
        async with open_store(settings) as store:
            repo = operator_repo(store, (await facility_of(store, facility)).id)
            waiting = await bhyt.quarantined(repo)
            left = 0
            for package in waiting:
                text = f"{package.reason}"
                status = "quarantined"
                if replay:
                    result = await bhyt.replay(repo, package.sha256)
                    status, text = result.status, result.reason or ""
                left += status == "quarantined"
                console.print(f"{package.sha256[:12]}\t{package.source_name}\t{status}\t{text}", markup=False)
            console.print(f"{left} gói bị giữ lại", markup=False)
        return 0

    run(work)


@bhyt_app.command("watch")
def watch(
    folder: Path,
    facility: str = typer.Option(..., help="Mã của nơi nhận (trục hoặc cơ sở)."),
    sender: str = typer.Option("", help="Mã cơ sở đặt tệp vào thư mục này; chỉ nhận gói của chính cơ sở ấy."),
    once: bool = typer.Option(False, help="Đọc những gì đang có rồi thôi."),
    config: Path | None = CONFIG,
) -> None:
    """Đọc tệp mà phần mềm khác đặt vào một thư mục (mỗi tệp một hay nhiều gói); kết quả từng gói nằm trong ket-qua/."""
    settings = settings_of(config)

    async def work() -> None:
        async with open_store(settings) as store:
            repo = operator_repo(store, (await facility_of(store, facility)).id)
            sent_by = await facility_of(store, sender) if sender else None
            while True:
                for path in bhyt.settled_files(folder, time.time(), wait=not once):
                    _watched(await bhyt.read_watched_file(repo, path, sender=sent_by))
                if once:
                    return
                await asyncio.sleep(_PAUSE_S)

    run(work)


def _watched(told: bhyt.FileResult) -> None:
    states = {"cut": "chép chưa xong, để lại", "changed": "đang bị ghi thêm, đọc lại sau"}
    counts = ", ".join(f"{status} {count}" for status, count in sorted(told.counts.items()))
    console.print(f"{told.name}\t{states.get(told.state, counts)}", markup=False)
