"""The watched folder: hundreds of packages in a file, interrupted copies, corrections, quarantine and replay."""

from __future__ import annotations

import base64
import csv
import os
import random
import resource
from pathlib import Path
from typing import Any

import pytest

from benhan.gateways.bhyt import ingest, quarantined, read_watched_file, replay, settled_files, write_package
from benhan.gateways.bhyt.ingest import IngestResult
from benhan.gateways.bhyt.samples import package_of, stories
from benhan.gateways.bhyt.watch import PATIENCE_S, whole
from benhan.store import Repository


def raws(count: int) -> list[bytes]:
    """As many packages of the twenty stories, each a đợt of its own."""
    known = stories()[:15]
    return [write_package(package_of(known[n % len(known)], n + 1)) for n in range(count)]


def told(path: Path | None) -> list[dict[str, str]]:
    """The result file, line by line."""
    assert path is not None
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def drop(folder: Path, name: str, data: bytes, ward: Repository, age: float = 10.0) -> Path:
    """A file as it lies in the folder, last written ``age`` seconds ago."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_bytes(data)
    at = ward.clock.now().timestamp() - age
    os.utime(path, (at, at))
    return path


async def months(ward: Repository, folder: Path, count: int) -> None:
    """A month twice, a correction, a hostile package and a torn one among them: each has its line, nothing is doubled."""
    good = raws(count)
    hostile = b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/hostname">]><GIAMDINHHS>&b;</GIAMDINHHS>'
    corrected = good[0].replace(b"<NGAYLAP>2026", b"<NGAYLAP>2027")
    sent = [*good[: count // 2], hostile, good[1], *good[count // 2 :], corrected]
    first = await read_watched_file(ward, drop(folder, "thang.xml", b"\n".join(sent), ward))
    assert (first.state, dict(first.counts)) == (
        "read", {"created": count, "quarantined": 1, "unchanged": 1, "updated": 1},
    )  # fmt: skip
    rows = told(first.results)
    assert [int(r["so"]) for r in rows] == list(range(1, count + 4))
    assert rows[count // 2]["ket_qua"] == "quarantined"
    assert rows[count // 2]["ly_do"]
    assert rows[0]["ma_lk"] == rows[-1]["ma_lk"]
    assert [p.name for p in (folder / "bi-giu").iterdir()], "somebody must look at this file"
    encoded = b"\n".join(base64.b64encode(r) for r in good)
    again = await read_watched_file(ward, drop(folder, "lan-hai.b64", encoded, ward))
    assert dict(again.counts) == {"unchanged": count - 1, "updated": 1}, (
        "the correction is taken back by the old file"
    )
    assert len(list((folder / "da-doc").iterdir())) == 1
    assert settled_files(folder, ward.clock.now().timestamp()) == []


async def test_a_month_in_a_file(open_ward: Any, tmp_path: Path) -> None:
    await months(await open_ward(None), tmp_path / "vao", 24)


@pytest.mark.long
async def test_three_hundred_packages_in_a_file(open_ward: Any, tmp_path: Path) -> None:
    """Memory does not grow with the file."""
    ward, folder = await open_ward(None), tmp_path / "vao"
    await months(ward, folder, 60)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    many = raws(300)[60:]
    result = await read_watched_file(ward, drop(folder, "lon.xml", b"\n".join(many * 3), ward))
    assert dict(result.counts) == {"created": 240, "unchanged": 480}
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 40_000, f"{grown} kB more for {len(b''.join(many)) * 3} bytes"


async def test_an_interrupted_copy_waits_and_is_read_when_it_is_whole(open_ward: Any, tmp_path: Path) -> None:
    """Cut anywhere: nothing is touched until the copy goes on; given up after its patience, the whole packages count."""
    ward, folder = await open_ward(None), tmp_path / "vao"
    good = raws(3)
    data = b"\n".join(good)
    rng = random.Random(7)
    for cut in [*(rng.randrange(1, len(data)) for _ in range(6)), len(data) - 1]:
        path = drop(folder, "dang-chep.xml", data[:cut], ward)
        ended = data[:cut].rstrip().endswith(b"</GIAMDINHHS>")
        if not ended:
            assert (await read_watched_file(ward, path)).state == "cut"
            assert path.read_bytes() == data[:cut]
    assert not (folder / "bi-giu").exists()
    done = await read_watched_file(ward, drop(folder, "dang-chep.xml", data, ward))
    assert dict(done.counts) == {"created": 3}
    given_up = drop(folder, "bo-do.xml", data[:-40], ward, age=PATIENCE_S + 1)
    left = await read_watched_file(ward, given_up)
    assert dict(left.counts) == {"unchanged": 2, "quarantined": 1}
    assert told(left.results)[2]["ly_do"]


def test_the_end_of_a_file_is_known_in_every_spelling(tmp_path: Path) -> None:
    (raw,) = raws(1)
    encoded = base64.b64encode(raw)
    wrapped = b"\n".join(encoded[n : n + 76] for n in range(0, len(encoded), 76))
    for spelled in (raw, raw + b"\r\n", encoded, encoded + b"\n", wrapped, encoded + b"\n" + encoded):
        path = tmp_path / "a.xml"
        path.write_bytes(spelled)
        assert whole(path)
        path.write_bytes(spelled.rstrip()[:-30])
        assert not whole(path)


async def test_a_file_written_to_while_it_is_read_stays(
    open_ward: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ward, folder = await open_ward(None), tmp_path / "vao"
    first, second = raws(2)
    path = drop(folder, "dai.xml", first, ward)

    async def slow(repo: Repository, raw: bytes, name: str, **more: Any) -> IngestResult:
        path.write_bytes(first + second)
        return await ingest(repo, raw, name, **more)

    monkeypatch.setattr("benhan.gateways.bhyt.stream.ingest", slow)
    assert (await read_watched_file(ward, path)).state == "changed"
    assert path.exists()
    monkeypatch.undo()
    assert dict((await read_watched_file(ward, path)).counts) == {"unchanged": 2}


async def test_what_is_held_is_read_again_and_formulas_stay_text(open_ward: Any, tmp_path: Path) -> None:
    ward, folder = await open_ward(None), tmp_path / "vao"
    (raw,) = raws(1)
    bad = raw.replace(b"GIAMDINHHS", b"KHAC")
    result = await read_watched_file(ward, drop(folder, "=cmd.xml", bad, ward))
    assert dict(result.counts) == {"quarantined": 1}
    (held,) = await quarantined(ward)
    assert held.source_name == "=cmd.xml"
    assert (await replay(ward, held.sha256)).status == "quarantined"
    assert all(
        not cell.startswith(("=", "+", "-", "@")) for row in told(result.results) for cell in row.values()
    )


def test_links_folders_and_young_files_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "that.xml").write_bytes(b"<a/>")
    (tmp_path / "lien-ket.xml").symlink_to(tmp_path / "that.xml")
    (tmp_path / "thu-muc.xml").mkdir()
    (tmp_path / "khac.part").write_bytes(b"<a/>")
    now = (tmp_path / "that.xml").stat().st_mtime
    assert settled_files(tmp_path, now + 1) == []
    assert [p.name for p in settled_files(tmp_path, now + 3)] == ["that.xml"]
