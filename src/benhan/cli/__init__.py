"""The command `benhan`: administration of an installation, simulators, demo. Thin; every command is a room's function."""

from __future__ import annotations

import typer

from benhan.cli import admin, bench, data, demo_commands, forms, serving, simulate, validate

app = typer.Typer(
    name="benhan",
    help="Bệnh Án: bệnh án điện tử và trục liên thông của tỉnh.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
for group in (serving, admin, data, forms, simulate, bench, demo_commands, validate):
    group.register(app)


def main() -> None:
    """Entry point of the console script."""
    app()


__all__ = ["app", "main"]
