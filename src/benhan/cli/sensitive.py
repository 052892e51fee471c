"""The list of sensitive groups (HIV, mental health, …): shown, added to, taken from; applied to what is kept already."""

from __future__ import annotations

from pathlib import Path

import typer
from rich.table import Table

from benhan.access import (
    SensitiveRule,
    SensitiveRules,
    relabel_sensitive,
    sensitive_group_titles,
    sensitive_rules,
    set_sensitive_rule,
)
from benhan.cli.common import CONFIG, console, facility_of, open_store, operator_repo, run, settings_of

sensitive_app = typer.Typer(help="Nhóm dữ liệu nhạy cảm, mặc định che.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.add_typer(sensitive_app, name="sensitive")


@sensitive_app.command("list")
def sensitive_list(facility: str, config: Path | None = CONFIG) -> None:
    """Danh mục đang dùng ở cơ sở."""
    settings = settings_of(config)

    async def work() -> SensitiveRules:
        async with open_store(settings) as store:
            return await sensitive_rules(operator_repo(store, (await facility_of(store, facility)).id))

    table = Table("Nhóm", "Tên", "Hệ mã", "Mã bắt đầu bằng", box=None)
    for rule in run(work).rules:
        table.add_row(rule.group, sensitive_group_titles().get(rule.group, ""), rule.system, rule.prefix)
    console.print(table)


@sensitive_app.command("add")
def sensitive_add(
    facility: str, group: str, system: str, prefix: str, reason: str, config: Path | None = CONFIG
) -> None:
    """Thêm mã vào danh mục và che những gì đã có."""
    _change(facility, SensitiveRule(group, system, prefix), True, reason, config)


@sensitive_app.command("remove")
def sensitive_remove(
    facility: str, group: str, system: str, prefix: str, reason: str, config: Path | None = CONFIG
) -> None:
    """Bớt mã khỏi danh mục; những gì chỉ bị che vì mã này hiện lại."""
    _change(facility, SensitiveRule(group, system, prefix), False, reason, config)


@sensitive_app.command("relabel")
def sensitive_relabel(facility: str, config: Path | None = CONFIG) -> None:
    """Áp danh mục cho mọi tài liệu đã có (chạy một lần sau khi nâng cấp)."""
    settings = settings_of(config)

    async def work() -> int:
        async with open_store(settings) as store:
            return await relabel_sensitive(operator_repo(store, (await facility_of(store, facility)).id))

    console.print(f"{run(work)} tài liệu đang được che.")


def _change(facility: str, rule: SensitiveRule, active: bool, reason: str, config: Path | None) -> None:
    settings = settings_of(config)

    async def work() -> int:
        async with open_store(settings) as store:
            repo = operator_repo(store, (await facility_of(store, facility)).id)
            await set_sensitive_rule(repo, rule, active=active, reason=reason)
            return await relabel_sensitive(repo)

    console.print(f"Đã đổi danh mục; {run(work)} tài liệu đang được che.")
