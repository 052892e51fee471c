"""Claims from the command line: files judged, schemas written, a watched folder emptied, refused packages read again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from benhan.gateways.bhyt import write_package
from benhan.gateways.bhyt.samples import package_of, stories
from benhan.gateways.bhyt.tables import tables


def benhan(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the program on an installation."""
    return subprocess.run(
        [sys.executable, "-m", "benhan.cli", *words],
        env={**os.environ, "BENHAN_CONFIG": str(folder / "benhan.toml"), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_files_are_judged_with_an_exit_code(tmp_path: Path) -> None:
    good = tmp_path / "tot.xml"
    good.write_bytes(write_package(package_of(stories()[1], 2)))
    bad = tmp_path / "hong.xml"
    bad.write_bytes(good.read_bytes()[:400])
    done = benhan(tmp_path, "bhyt", "check", "--json", str(good))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["ma_lk"] == "MAU-2026-000002"
    done = benhan(tmp_path, "bhyt", "check", "--json", str(good), str(bad))
    assert done.returncode == 2
    told = json.loads(done.stdout.splitlines()[1])
    assert told["file"] == "hong.xml"
    assert told["faults"][0]["severity"] == "error"


def test_schemas_of_all_tables_are_written(tmp_path: Path) -> None:
    assert benhan(tmp_path, "bhyt", "schema", str(tmp_path / "xsd")).returncode == 0
    assert {p.stem for p in (tmp_path / "xsd").iterdir()} == set(tables())


def test_a_watched_folder_is_emptied_and_what_was_refused_waits(tmp_path: Path) -> None:
    (tmp_path / "benhan.toml").write_text(f'home = "{tmp_path}/home"\npractice = true\n', encoding="utf-8")
    assert benhan(tmp_path, "migrate").returncode == 0
    assert benhan(tmp_path, "facility", "add", "51Z07", "Cơ sở Thử").returncode == 0
    inbox = tmp_path / "vao"
    inbox.mkdir()
    raw = write_package(package_of(stories()[0], 1))
    (inbox / "a.xml").write_bytes(raw)
    (inbox / "b.xml").write_bytes(raw[:500])
    (inbox / "dang-chep.xml").write_bytes(raw[:500])
    os.utime(inbox / "b.xml", (time.time() - 3600, time.time() - 3600))
    (inbox / "ghi-chu.txt").write_text("không phải gói")
    done = benhan(tmp_path, "bhyt", "watch", str(inbox), "--facility", "51Z07", "--once")
    assert done.returncode == 0, done.stderr
    assert [p.name.split("-")[-1] for p in (inbox / "da-doc").iterdir()] == ["a.xml"]
    assert [p.name.split("-")[-1] for p in (inbox / "bi-giu").iterdir()] == ["b.xml"]
    assert (inbox / "dang-chep.xml").exists(), "a copy that is not finished is left alone"
    assert len(list((inbox / "ket-qua").iterdir())) == 2
    done = benhan(tmp_path, "bhyt", "quarantine", "--facility", "51Z07", "--replay")
    assert done.returncode == 0
    assert "b.xml" in done.stdout
    assert "1 gói bị giữ lại" in done.stdout
