"""`benhan-verify` as its own wheel, in an empty environment where `benhan` never was, with every socket forbidden."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest

from benhan.signing import LocalTimeStamper, SoftwareSigner, pki, seal

PACKAGE = Path(__file__).parents[2] / "packaging" / "benhan-verify"
WALL = (
    "import sys\n"
    "def hook(event, args):\n"
    "    if event.startswith('socket.'): raise RuntimeError(event)\n"
    "sys.addaudithook(hook)\n"
)


def _wheel_of_installed(name: str, folder: Path) -> None:
    """Put an installed distribution back into a wheel, so that the test needs no network."""
    found = metadata.distribution(name)
    tag = [line[5:] for line in (found.read_text("WHEEL") or "").splitlines() if line.startswith("Tag: ")][-1]
    with zipfile.ZipFile(folder / f"{name.replace('-', '_')}-{found.version}-{tag}.whl", "w") as wheel:
        for file in found.files or ():
            inside = ".." not in file.parts and "__pycache__" not in file.parts
            if inside and file.name not in ("INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json"):
                wheel.write(str(file.locate()), str(file))


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command in its own environment."""
    wheels = tmp_path_factory.mktemp("wheels")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(wheels)],
        cwd=PACKAGE, check=True, capture_output=True,
    )  # fmt: skip
    for name in ("cryptography", "cffi", "pycparser", "asn1crypto"):
        _wheel_of_installed(name, wheels)
    folder = tmp_path_factory.mktemp("machine") / "env"
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, capture_output=True)
    install = ["-m", "pip", "install", "-q", "--no-index", "--find-links", str(wheels), "benhan-verify"]
    done = subprocess.run(
        [str(folder / "bin" / "python"), *install],
        check=False, capture_output=True, text=True, env=_plain(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    site = next((folder / "lib").iterdir()) / "site-packages"
    (site / "sitecustomize.py").write_text(WALL)
    return folder / "bin" / "benhan-verify"


def _plain() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PIP", "VIRTUAL"))}


@pytest.fixture(scope="module")
async def sealed(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A sealed record on a disk, with the root to trust."""
    folder = tmp_path_factory.mktemp("sealed")
    pki.create(folder / "pki")
    issued = pki.issue(folder / "pki", "Bệnh viện Thử", "seal", serial="51001")
    signer = SoftwareSigner.load(issued.certificate, issued.key, pki.chain(folder / "pki"))
    box = await seal({"ho-so.json": b'{"a":72.50}'}, signer, LocalTimeStamper(folder / "pki"))
    (folder / "ho-so.asice").write_bytes(box)
    return SimpleNamespace(folder=folder, box=box, root=folder / "pki" / "root.pem")


def _run(program: Path, sealed: SimpleNamespace, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(program), *arguments, "--root", str(sealed.root)],
        cwd=sealed.folder, capture_output=True, text=True, check=False, env=_plain(),
    )  # fmt: skip


def test_the_environment_knows_no_benhan(program: Path) -> None:
    """What is proved there, is proved without the application and without network."""
    for code, text in (
        ("import benhan", "No module named 'benhan'"),
        ("import pyhanko", "No module named 'pyhanko'"),
        ("import socket; socket.create_connection(('127.0.0.1', 9))", "socket."),
    ):
        done = subprocess.run(
            [str(program.parent / "python"), "-c", code],
            capture_output=True, text=True, check=False, env=_plain(),
        )  # fmt: skip
        assert done.returncode == 1
        assert text in done.stderr


def test_exit_codes_and_answers(program: Path, sealed: SimpleNamespace) -> None:
    """0 proved (also after the signer's certificate has run out), 1 refused with the reason, 2 unreadable."""
    done = _run(program, sealed, "ho-so.asice", "--json")
    assert (done.returncode, json.loads(done.stdout)["indication"]) == (0, "TOTAL-PASSED"), done.stderr
    late = _run(program, sealed, "ho-so.asice", "--json", "--at", "2031-01-01T00:00:00+07:00")
    assert late.returncode == 0, late.stdout
    rng = random.Random(47)
    bent = bytearray(sealed.box)
    bent[rng.randrange(len(bent))] ^= 0x10
    (sealed.folder / "bent.asice").write_bytes(bent)
    refused = _run(program, sealed, "bent.asice", "--json")
    assert refused.returncode == 1
    assert json.loads(refused.stdout)["subIndication"]
    assert _run(program, sealed, "khong-co.asice").returncode == 2
    assert _run(program, sealed, "ho-so.asice", "--at", "hôm qua").returncode == 2
