"""What every command shares: settings, an open store, errors told in a sentence, progress bars."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar
from uuid import UUID

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benhan.base.errors import BenhanError
from benhan.base.settings import Settings, load
from benhan.store import Actor, Ctx, Repository, Store, SystemPolicy, TenantInfo

T = TypeVar("T")
console = Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True, highlight=False, soft_wrap=True)

CONFIG = typer.Option(None, "--config", "-c", help="Tệp cấu hình TOML (hoặc biến BENHAN_CONFIG).")
OPERATOR = Actor(reference="Device/benhan-cli", display="Quản trị hệ thống (dòng lệnh)", kind="system")


def settings_of(config: Path | None) -> Settings:
    """Settings of this installation; a wrong value ends the command with its sentence and exit code 2."""
    try:
        return load(config)
    except BenhanError as error:
        tell(error)
        raise typer.Exit(2) from None


def tell(error: BenhanError) -> None:
    """Print what is wrong, a line for each issue."""
    for issue in error.issues:
        where = f" [{issue.expression}]" if issue.expression else ""
        errors.print(f"{error.code}{where}: {issue.text}", style="red", markup=False)


def run(work: Callable[[], Awaitable[T]]) -> T:
    """Run an async command; a `BenhanError` becomes its sentence and exit code 1."""
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)

    async def main() -> T:
        return await work()

    try:
        return asyncio.run(main())
    except BenhanError as error:
        tell(error)
        raise typer.Exit(1) from None


@asynccontextmanager
async def open_store(settings: Settings) -> AsyncIterator[Store]:
    """The store of this installation, closed afterwards."""
    from benhan.access import sensitivity_guard
    from benhan.api import subscription_guard
    from benhan.records import closed_record_guard

    store = await Store.open(settings, guards=[closed_record_guard, subscription_guard, sensitivity_guard])
    try:
        yield store
    finally:
        await store.close()


async def facility_of(store: Store, code: str) -> TenantInfo:
    """The facility (or hub) with this code; a sentence when there is none."""
    from benhan.base.errors import NotFound

    info = await store.tenant_by_code(code)
    if info is None:
        known = ", ".join(sorted(t.code for t in await store.tenants())) or "chưa có cơ sở nào"
        raise NotFound("cli.no-such-facility", f"Không có cơ sở mã {code}. Đang có: {known}.")
    return info


def operator_repo(store: Store, tenant: UUID) -> Repository:
    """A repository for the command line: everything allowed, everything audited under the operator."""
    return store.repo(Ctx(tenant=tenant, actor=OPERATOR, purpose="SYSADMIN"), SystemPolicy())


def progress() -> Progress:
    """A progress bar with counts, on a terminal only."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=errors,
        disable=not sys.stderr.isatty(),
    )
