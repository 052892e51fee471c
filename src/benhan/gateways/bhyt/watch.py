"""The watched folder: files that another system drops are read package by package, with a result file, in bounded memory.

``folder/*.xml|.b64`` → read → ``da-doc/`` (every package taken over) or ``bi-giu/`` (some are held in quarantine), the
results in ``ket-qua/<file>.csv``: number, MA_LK, what became of it, code, reason, warnings. The same package again is
``unchanged``, another content under the same MA_LK ``updated``: a file read twice, after a crash, does no harm.

A file still being copied is left alone: it must stand unchanged for ``SETTLED_S``, and one whose last package is cut off for
``PATIENCE_S``; then its whole packages are taken over and the rest is held with its reason. A file that changed while it was
read stays and is read again.
"""

from __future__ import annotations

import base64
import binascii
import csv
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from benhan.base.clock import fhir_instant
from benhan.gateways.bhyt.stream import MOST, ingest_stream
from benhan.store import Repository, TenantInfo

SETTLED_S = 2.0
PATIENCE_S = 600.0
SUFFIXES = frozenset({".xml", ".b64"})
DONE, HELD, RESULTS = "da-doc", "bi-giu", "ket-qua"
_CHUNK = 256 * 1024
_END = b"</GIAMDINHHS>"
_TAIL = 1024 * 1024
_HEAD = 4096
#: name of the root: the first tag that is no declaration and no comment
_ROOT = re.compile(rb"<([A-Za-z_][\w.:-]*)")
_COLUMNS = ("so", "luc", "ma_lk", "ket_qua", "ma", "ly_do", "canh_bao")
_MOST_WARNINGS = 20


@dataclass(frozen=True, slots=True)
class FileResult:
    """What became of a file. ``counts``: packages by status; ``state``: ``read`` (moved away), ``cut`` (its copy is not
    finished), ``changed`` (somebody wrote to it meanwhile); ``results``: the CSV."""

    name: str
    state: str
    counts: Mapping[str, int]
    results: Path | None = None


def settled(folder: Path, now: float, *, wait: bool = True) -> list[Path]:
    """Files to be read, oldest first; links and folders are passed over. ``now``: seconds since the epoch."""
    found = [
        p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file() and not p.is_symlink()
    ]
    ready = [p for p in found if not wait or now - p.stat().st_mtime >= SETTLED_S]
    return sorted(ready, key=lambda p: (p.stat().st_mtime, p.name))


def whole(path: Path) -> bool:
    """Whether the last package of a file ends: the closing tag of its root stands at the end, in clear or in base64."""
    size = path.stat().st_size
    with path.open("rb") as file:
        root = _ROOT.search(file.read(_HEAD))
        file.seek(max(0, size - _TAIL))
        tail = file.read().rstrip()
    if root is not None:
        return tail.endswith(b"</" + root[1] + b">") or (size < _HEAD and tail.endswith(b"/>"))
    line = tail.rpartition(b"\n")[2].strip()
    try:
        decoded = base64.b64decode(line, validate=True)
    except binascii.Error:
        return False
    return _END[-8:] in decoded.rstrip()[-16:] or len(line) < len(_END)


async def read_file(
    repo: Repository, path: Path, *, sender: TenantInfo | None = None, most: int = MOST
) -> FileResult:
    """Read one file, write its results, move it away. Memory holds one package."""
    before = path.stat()
    age = repo.clock.now().timestamp() - before.st_mtime
    if age < PATIENCE_S and not whole(path):
        return FileResult(path.name, "cut", {})
    folder = path.parent
    stamp = f"{repo.clock.now() + timedelta(hours=7):%Y%m%d%H%M%S}-{before.st_mtime_ns % 10**9:09d}"
    results = folder / RESULTS / f"{stamp}-{path.name}.csv"
    results.parent.mkdir(exist_ok=True)
    draft = results.with_suffix(".dang-doc")
    counts: Counter[str] = Counter()
    with draft.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(_COLUMNS)
        async for told in ingest_stream(repo, _chunks(path), path.name, sender=sender, most=most):
            result = told.result
            counts[result.status] += 1
            said = "; ".join(result.warnings[:_MOST_WARNINGS])
            at = fhir_instant(repo.clock.now())
            row = (told.number, at, result.ma_lk or "", result.status, result.code, result.reason or "", said)
            writer.writerow([_plain(str(cell)) for cell in row])
            file.flush()
    after = path.stat()
    if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
        draft.unlink()
        return FileResult(path.name, "changed", counts)
    draft.replace(results)
    home = folder / (HELD if counts["quarantined"] else DONE)
    home.mkdir(exist_ok=True)
    path.replace(home / f"{stamp}-{path.name}")
    return FileResult(path.name, "read", counts, results)


def _plain(text: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t") else text


async def _chunks(path: Path) -> AsyncIterator[bytes]:
    for chunk in _blocks(path):
        yield chunk


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk
