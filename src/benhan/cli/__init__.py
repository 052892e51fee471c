"""The command `benhan`: administration of an installation, simulators, demo. Thin; every command is a room's function.

The groups are imported when the program runs, and `benhan validate` alone without the others: files are checked in
scripts and before commits, where loading a whole hospital would take longer than the work.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from importlib import import_module

import typer

GROUPS = (
    "serving",
    "admin",
    "sensitive",
    "data",
    "view",
    "bhyt",
    "forms",
    "simulate",
    "bench",
    "demo_commands",
    "validate",
)
"""Modules of this package that have ``register(app)``, in the order of the help."""


@lru_cache(maxsize=2)
def build(groups: tuple[str, ...] = GROUPS) -> typer.Typer:
    """The command with these groups."""
    made = typer.Typer(
        name="benhan",
        help="Bệnh Án: bệnh án điện tử và trục liên thông của tỉnh.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
    )
    made.callback()(_whole)
    for name in groups:
        import_module(f"benhan.cli.{name}").register(made)
    return made


def _whole() -> None:
    """Bệnh Án: bệnh án điện tử và trục liên thông của tỉnh."""


def __getattr__(name: str) -> typer.Typer:
    if name == "app":
        return build()
    raise AttributeError(name)


def main() -> None:
    """Entry point of the console script."""
    build(("validate",) if sys.argv[1:2] == ["validate"] else GROUPS)()


__all__ = ["app", "build", "main"]
