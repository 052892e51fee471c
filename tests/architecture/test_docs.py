"""The documents tell the truth: settings, errors, decisions, commands of the README."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_settings_and_errors_are_documented() -> None:
    """The generated reference pages match the sources."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "reference.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_decision_numbers_are_unique_and_gapless() -> None:
    """Decision records are numbered 0001, 0002 … each once."""
    numbers = sorted(int(p.name[:4]) for p in (ROOT / "docs" / "decisions").glob("*.md"))
    assert numbers == list(range(1, len(numbers) + 1))


def test_every_decision_has_a_status() -> None:
    """Each record says where it stands and since when."""
    for path in (ROOT / "docs" / "decisions").glob("*.md"):
        assert re.search(
            r"^Status: (proposed|accepted|replaced by \d{4}), \d{4}-\d\d-\d\d", path.read_text(), re.M
        ), path.name


def test_readme_is_short_and_its_make_targets_exist() -> None:
    """README stays under 150 lines and names only targets of the Makefile."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert text.count("\n") < 150
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    assert set(re.findall(r"^make ([a-z-]+)", text, re.M)) <= targets


def test_readme_commands_exist() -> None:
    """Every `benhan …` command of the README is a command of the program."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"^benhan ([a-z]+)", text, re.M))
    shown = subprocess.run(
        [str(Path(sys.executable).parent / "benhan"), "--help"], capture_output=True, text=True, check=True
    ).stdout
    assert all(re.search(rf"\b{name}\b", shown) for name in named), (named, shown)


def test_dependencies_are_explained() -> None:
    """Each dependency has its line: what for, licence, why."""
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    block = project.split("dependencies = [", 1)[1].split("]\n", 1)[0]
    page = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    for name in re.findall(r'"([a-z0-9_.-]+)', block):
        assert re.search(rf"\b{re.escape(name)}\b", page), name


def test_no_name_of_machine_or_registry_in_the_project() -> None:
    """The project names no registry host and no absolute path of a build machine."""
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\n")
    pattern = re.compile(rb"/work/|/root/|pypi\.org|pythonhosted|registry\.npmjs|deb\.debian|crates\.io")
    faults = []
    for name in listed:
        path = ROOT / name
        if (
            not path.is_file()
            or path.suffix in (".pdf", ".gz", ".ttf", ".woff2", ".png", ".zst")
            or name == __file__
        ):
            continue
        if path.resolve() != Path(__file__).resolve() and pattern.search(path.read_bytes()):
            faults.append(name)
    assert faults == []
