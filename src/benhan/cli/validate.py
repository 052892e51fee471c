"""`benhan validate`: files against FHIR R4, one OperationOutcome a file."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import typer
from rich.console import Console

from benhan import fhir
from benhan.base import json_door
from benhan.base.errors import BenhanError, Issue

ENDINGS = (".json", ".ndjson", ".xml")
console = Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True, highlight=False, soft_wrap=True)
"""Its own consoles: those of ``common`` come with the store, which files do not need."""

MOST = 1_000
MAX_BYTES = 200_000_000
FILE_URL = "http://hl7.org/fhir/StructureDefinition/operationoutcome-file"


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(validate)


def validate(
    files: list[Path] = typer.Argument(..., help="Tệp .json, .ndjson, .xml, hoặc thư mục chứa chúng."),
    json: bool = typer.Option(False, "--json", help="Mỗi tệp một OperationOutcome trên một dòng."),
    profile: str = typer.Option(None, help="Hồ sơ mẫu phải theo (ví dụ urn:benhan:profile:nguoi-benh)."),
) -> None:
    """Kiểm tra tệp FHIR R4; mã thoát 0 hợp lệ, 1 có lỗi, 2 có tệp không đọc được."""
    worst = 0
    for path in _files(files):
        try:
            found = _gathered(_judge(path, profile))
        except OSError as error:
            errors.print(f"{path}: không đọc được ({error.strerror}).", markup=False)
            worst = 2
            continue
        wrong = any(issue.severity in ("error", "fatal") for _, issue in found)
        worst = max(worst, int(wrong))
        _print_json(path, found) if json else _print_text(path, found, wrong)
    if worst:
        raise typer.Exit(worst)


Found = tuple[int | None, Issue]
"""Line of an NDJSON file, None for other files, and the issue there."""


def _gathered(stream: Iterator[Found]) -> list[Found]:
    """Errors before warnings, at most ``MOST`` of each; how many more there were is the last issue."""
    kept: dict[bool, list[Found]] = {True: [], False: []}
    more = {True: 0, False: 0}
    for found in stream:
        wrong = found[1].severity in ("error", "fatal")
        if len(kept[wrong]) < MOST:
            kept[wrong].append(found)
        else:
            more[wrong] += 1
    if any(more.values()):
        text = f"Còn {more[True]} lỗi và {more[False]} khuyến nghị nữa không được liệt kê."
        rest = Issue("fhir.more-issues", text, severity="information", issue_type="informational")
        return [*kept[True], *kept[False], (None, rest)]
    return kept[True] + kept[False]


def _files(given: list[Path]) -> Iterator[Path]:
    """The files themselves, and what lies in a folder, by name; a folder without any stands for itself (unreadable)."""
    for path in given:
        inside = (
            sorted(p for p in path.rglob("*") if p.suffix in ENDINGS and p.is_file()) if path.is_dir() else []
        )
        yield from inside or [path]


def _judge(path: Path, profile: str | None) -> Iterator[Found]:
    """(line of an NDJSON file or None, issue). Raises ``OSError``."""
    if path.suffix != ".ndjson":
        for issue in _issues(path.read_bytes(), path.suffix, profile):
            yield None, issue
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                for issue in _issues(line, ".json", profile):
                    yield number, issue


def _issues(raw: bytes, ending: str, profile: str | None) -> list[Issue]:
    try:
        resource = (
            fhir.from_xml(raw) if ending == ".xml" else json_door.loads_object(raw, max_bytes=MAX_BYTES)
        )
        return fhir.judge(resource, profile)
    except BenhanError as error:
        return list(error.issues)


def _print_json(path: Path, found: list[Found]) -> None:
    out = fhir.outcome([issue for _, issue in found])
    for entry, (line, _) in zip(out["issue"], found, strict=False):
        if line is not None:
            entry["diagnostics"] = f"line {line}; {entry.get('diagnostics', '')}".rstrip("; ")
    file = {"url": FILE_URL, "valueString": str(path)}
    sys.stdout.buffer.write(json_door.dumps({**out, "extension": [file]}) + b"\n")


_SAID = {"warning": "khuyến nghị", "information": "ghi chú"}


def _print_text(path: Path, found: list[Found], wrong: bool) -> None:
    console.print(f"{path}: {'có lỗi' if wrong else 'hợp lệ'}", markup=False, style="red" if wrong else None)
    for line, issue in found:
        place = f"dòng {line}: " if line is not None else ""
        said = _SAID.get(issue.severity, "lỗi")
        console.print(f"  {place}{issue.expression or '-'}: {said}: {issue.text}", markup=False)
