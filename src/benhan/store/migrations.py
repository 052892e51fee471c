"""The migration runner: forward only, in number order, each in its own transaction, recorded with its hash.

Files ``<room>/sql/NNNN_pre_name.sql`` (before new code runs) and ``NNNN_post_name.sql`` (after) are found by looking
through the package, not by importing it; number ranges belong to rooms. They run as the owner role, never as the
application. An applied file that has changed since is an error, not a warning.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

import benhan
from benhan.base.errors import ConfigurationError

_NAME = re.compile(r"(\d{4})_(pre|post)_([a-z0-9_]+)\.sql")
_LOCK_KEY = 7_215_301_155  # any constant; one migration at a time in a database
_CREATE = (
    'create table if not exists migration (number integer primary key, name text collate "C" not null, '
    'sha256 text collate "C" not null, at timestamptz not null default now())'
)


@dataclass(frozen=True)
class Migration:
    """One file."""

    number: int
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        """Digest of the text, hex."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def discover(package: Path | None = None) -> list[Migration]:
    """All migrations of the package in number order.

    Raises: ``ConfigurationError`` (store.bad-migration) for a wrong name or a number used twice.
    """
    root = package or Path(benhan.__file__).parent
    found: dict[int, Migration] = {}
    for path in sorted([*root.glob("*/sql/[0-9]*.sql"), *root.glob("gateways/*/sql/[0-9]*.sql")]):
        match = _NAME.fullmatch(path.name)
        if match is None:
            raise ConfigurationError("store.bad-migration", f"Tên tệp nâng cấp sai: {path.name}.")
        number = int(match[1])
        if number in found:
            raise ConfigurationError(
                "store.bad-migration",
                f"Số nâng cấp {number:04} dùng hai lần: {found[number].name}, {path.name}.",
            )
        found[number] = Migration(number, path.name, path.read_text(encoding="utf-8"))
    return [found[n] for n in sorted(found)]


async def migrate(admin: psycopg.AsyncConnection[Any], migrations: list[Migration] | None = None) -> int:
    """Apply what is missing on an administrative, autocommit connection; gives the number applied.

    Raises: ``ConfigurationError`` (store.migration-changed, store.migration-unknown, store.migration-failed).
    """
    wanted = discover() if migrations is None else migrations
    applied = await _applied(admin)
    _check(wanted, applied)
    todo = [m for m in wanted if m.number not in applied]
    if not todo:
        return 0
    await admin.execute("select pg_advisory_lock(%s)", (_LOCK_KEY,))
    try:
        applied = await _applied(admin)
        _check(wanted, applied)
        todo = [m for m in wanted if m.number not in applied]
        for migration in todo:
            await _apply(admin, migration)
        return len(todo)
    finally:
        await admin.execute("select pg_advisory_unlock(%s)", (_LOCK_KEY,))


async def _applied(admin: psycopg.AsyncConnection[Any]) -> dict[int, str]:
    exists = await (await admin.execute("select to_regclass('public.migration')")).fetchone()
    if exists is None or exists[0] is None:
        return {}
    rows = await (await admin.execute("select number, sha256 from migration")).fetchall()
    return dict(rows)


def _check(wanted: list[Migration], applied: dict[int, str]) -> None:
    known = {m.number: m for m in wanted}
    for number, digest in applied.items():
        if number not in known:
            raise ConfigurationError(
                "store.migration-unknown",
                f"Cơ sở dữ liệu mới hơn chương trình: đã có bước nâng cấp {number:04}. Hãy dùng bản mới hơn.",
            )
        if known[number].sha256 != digest:
            raise ConfigurationError(
                "store.migration-changed",
                f"Tệp nâng cấp {known[number].name} đã bị sửa sau khi chạy; hãy trả lại tệp gốc và thêm bước mới.",
            )


async def _apply(admin: psycopg.AsyncConnection[Any], migration: Migration) -> None:
    try:
        async with admin.transaction():
            await admin.execute("set local role benhan_owner")
            await admin.execute("set local search_path = public")
            await admin.execute(_CREATE)
            await admin.execute(migration.sql.encode())
            await admin.execute(
                "insert into public.migration (number, name, sha256) values (%s, %s, %s)",
                (migration.number, migration.name, migration.sha256),
            )
    except psycopg.Error as error:
        raise ConfigurationError(
            "store.migration-failed",
            f"Bước nâng cấp {migration.name} không chạy được; cơ sở dữ liệu giữ nguyên như trước bước này.",
            diagnostics=str(error),
        ) from error
