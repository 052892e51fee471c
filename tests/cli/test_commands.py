"""The commands an operator types, against a real installation: set up, look, back up, restore, export, refuse."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.xdist_group("commands")  # one installation for all of them


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the settings of a new installation."""
    folder = tmp_path_factory.mktemp("node")
    (folder / "benhan.toml").write_text(f'home = "{folder}/home"\npractice = true\n', encoding="utf-8")
    return folder


def benhan(
    folder: Path, *words: str, given: str = "", config: str = "benhan.toml"
) -> subprocess.CompletedProcess[str]:
    """Run a command of the program on an installation."""
    return subprocess.run(
        [sys.executable, "-m", "benhan.cli", *words],
        env={**os.environ, "BENHAN_CONFIG": str(folder / config), "COLUMNS": "200"},
        input=given,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture(scope="module")
def ready(home: Path) -> Path:
    """An installation with one facility and one doctor."""
    assert benhan(home, "migrate").returncode == 0
    assert benhan(home, "facility", "add", "51Z01", "Cơ sở Thử").returncode == 0
    secret = "Mat-khau-thu-2026"
    done = benhan(
        home,
        "user",
        "add",
        "51Z01",
        "bacsi",
        "Nguyễn Văn Thử",
        "--role",
        "bac_si",
        "--khoa",
        "K04",
        "--password",
        secret,
    )
    assert done.returncode == 0, done.stderr
    return home


def test_facility_and_user_are_there(ready: Path) -> None:
    """What was added is listed; adding it again is refused in a sentence."""
    assert "51Z01" in benhan(ready, "facility", "list").stdout
    again = benhan(ready, "facility", "add", "51Z01", "Cơ sở Thử")
    assert again.returncode == 1
    assert "store.tenant-exists" in again.stderr


def test_unknown_role_is_refused(ready: Path) -> None:
    """A role that does not exist is named in the refusal."""
    done = benhan(
        ready, "user", "add", "51Z01", "x1", "X", "--role", "phu_thuy", "--password", "Mat-khau-thu-2026"
    )
    assert done.returncode == 1
    assert "phu_thuy" in done.stderr


def test_doctor_finds_a_sound_installation(ready: Path) -> None:
    """The check-up of a new installation finds nothing wrong."""
    done = benhan(ready, "doctor")
    assert done.returncode == 0, done.stdout
    assert "PostgreSQL" in done.stdout
    assert "SAI" not in done.stdout


def test_doctor_says_what_is_wrong(ready: Path) -> None:
    """A key that everybody may read is found and named."""
    key = next(p for p in (ready / "home" / "secrets").iterdir() if p.is_file())
    key.chmod(0o644)
    try:
        done = benhan(ready, "doctor")
    finally:
        key.chmod(0o600)
    assert done.returncode == 1
    assert key.name in done.stdout


def test_backup_restores_into_an_empty_installation(ready: Path) -> None:
    """Database, blobs and keys come back together; the facility is there again."""
    archive = ready / "ban-sao.tar"
    done = benhan(ready, "backup", str(archive))
    assert done.returncode == 0, done.stderr
    (ready / "second.toml").write_text(f'home = "{ready}/second"\npractice = true\n', encoding="utf-8")
    done = benhan(ready, "restore", str(archive), config="second.toml")
    assert done.returncode == 0, done.stderr
    assert "51Z01" in benhan(ready, "facility", "list", config="second.toml").stdout


def test_export_writes_ndjson(ready: Path) -> None:
    """Every current resource leaves as NDJSON, a file a type."""
    done = benhan(ready, "export", str(ready / "out"), "--facility", "51Z01")
    assert done.returncode == 0, done.stderr
    assert "Nguyễn Văn Thử" in (ready / "out" / "Practitioner.ndjson").read_text(encoding="utf-8")


def test_wrong_setting_stops_the_start(home: Path) -> None:
    """A wrong value is said by name at start, with exit code 2."""
    (home / "bad.toml").write_text('port = "nhiều"\n', encoding="utf-8")
    done = benhan(home, "migrate", config="bad.toml")
    assert done.returncode == 2
    assert "port" in done.stderr


def test_open_address_without_https_is_refused(home: Path) -> None:
    """Pages leave this machine only over HTTPS."""
    (home / "open.toml").write_text(f'home = "{home}/open"\nhost = "0.0.0.0"\n', encoding="utf-8")
    done = benhan(home, "serve", config="open.toml")
    assert done.returncode != 0
    assert "tls_cert" in done.stderr


def test_certificates_of_the_own_network(tmp_path: Path) -> None:
    """`benhan cert` makes a CA and a node certificate that chains to it."""
    run = [sys.executable, "-m", "benhan.cli", "cert"]
    subprocess.run([*run, "ca", "--out", tmp_path / "ca"], check=True, capture_output=True)
    subprocess.run(
        [*run, "node", "may1", "--host", "may1.thu", "--ca", tmp_path / "ca", "--out", tmp_path / "tls"],
        check=True,
        capture_output=True,
    )
    said = subprocess.run(
        ["openssl", "verify", "-CAfile", tmp_path / "ca" / "ca.crt", tmp_path / "tls" / "may1.crt"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 0, said.stderr
