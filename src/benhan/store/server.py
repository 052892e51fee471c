"""Making a database ready: server, roles, database, migrations, and the assertions before anything is served.

Roles of the cluster without login carry the rights (``benhan_owner``, ``benhan_app``, ``benhan_reader``,
``benhan_auditor``, ``benhan_destroyer``). Each installation has login roles of its own in them
(``benhan_app_<suffix>``), their passwords in ``home/secrets/database.json`` (0600), so that installations may share a
server. The administrative connection is used for preparation only.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import logging
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from benhan.base.errors import ConfigurationError, InvalidInput
from benhan.base.settings import Settings
from benhan.store import migrations
from benhan.store.embedded import Cluster

LOGIN_ROLES = ("app", "reader", "auditor", "destroyer")
_PROVISION_LOCK = 7_215_301_154
_MAINTENANCE = ("", "postgres")
_log = logging.getLogger("benhan.store")

_ROLES_SQL = """
do $$
declare name text;
begin
    foreach name in array array['benhan_owner', 'benhan_app', 'benhan_reader', 'benhan_auditor', 'benhan_destroyer'] loop
        if not exists (select from pg_roles where rolname = name) then
            execute format('create role %I nologin', name);
        end if;
    end loop;
    if not pg_has_role(current_user, 'benhan_owner', 'member') then
        execute format('grant benhan_owner to %I', current_user);
    end if;
    if not pg_has_role('benhan_owner', 'pg_read_all_stats', 'member') then
        begin
            grant pg_read_all_stats to benhan_owner;  -- for settled_before(); without it feeds wait a little longer
        exception when insufficient_privilege then null;
        end;
    end if;
end $$
"""


@dataclass
class Database:
    """A database that is ready: how to reach it in each role, and how many migrations were applied now."""

    name: str
    logins: dict[str, str] = field(repr=False)
    admin: str = field(repr=False)
    embedded: Cluster | None
    applied: int = 0
    warnings: list[str] = field(default_factory=list)


async def prepare(settings: Settings) -> Database:
    """Start the embedded server if that is the one, make roles and database, migrate, and assert.

    Raises: ``ConfigurationError``.
    """
    cluster = cluster_of(settings)
    if cluster is not None:
        await asyncio.to_thread(cluster.acquire)
    try:
        return await _prepare(settings, cluster)
    except BaseException:
        if cluster is not None:
            await asyncio.to_thread(cluster.release)
        raise


async def release(database: Database) -> None:
    """Let go of the embedded server, if that is the one."""
    if database.embedded is not None:
        await asyncio.to_thread(database.embedded.release)


async def _prepare(settings: Settings, cluster: Cluster | None) -> Database:
    base, name = _address(settings, cluster)
    logins = _secrets(settings.secrets_dir / "database.json")
    async with await _connect_admin(make_conninfo(**base), cluster) as admin:
        await _provision(admin, name, logins)
    admin_dsn = make_conninfo(**{**base, "dbname": name})
    async with await _connect_admin(admin_dsn, cluster) as admin:
        applied = await migrations.migrate(admin)
    database = Database(
        name,
        {
            role: make_conninfo(**{**base, "dbname": name, "user": login, "password": password})
            for role, (login, password) in logins.items()
        },
        admin_dsn,
        cluster,
        applied,
    )
    await _assert_safe(database)
    return database


def cluster_of(settings: Settings) -> Cluster | None:
    """The embedded cluster, or None when the settings name a server."""
    if settings.database_url:
        return None
    return Cluster((settings.embedded_dir or settings.home / "postgres").absolute())


async def prepare_empty(settings: Settings) -> str:
    """Make roles and an empty database for a restore; gives the administrative connection string.

    Raises: ``InvalidInput`` (store.restore-not-empty) when the database holds tables.
    """
    cluster = cluster_of(settings)
    base, name = _address(settings, cluster)
    async with await _connect_admin(make_conninfo(**base), cluster) as admin:
        await _provision(admin, name, _secrets(settings.secrets_dir / "database.json"))
    dsn = make_conninfo(**{**base, "dbname": name})
    async with await _connect_admin(dsn, cluster) as admin:
        row = await (await admin.execute("select to_regclass('public.migration')")).fetchone()
    if row is not None and row[0] is not None:
        raise InvalidInput(
            "store.restore-not-empty", f"Cơ sở dữ liệu {name} đã có dữ liệu; chỉ khôi phục vào chỗ trống."
        )
    return dsn


def _address(settings: Settings, cluster: Cluster | None) -> tuple[dict[str, Any], str]:
    if cluster is not None:
        base: dict[str, Any] = {
            "host": str(cluster.socket_dir),
            "user": "postgres",
            "password": cluster.password,
        }
        name = settings.database_name
    else:
        base = dict(conninfo_to_dict(settings.database_url or ""))
        named = str(base.get("dbname") or "")
        name = settings.database_name if named in _MAINTENANCE else named
    base["dbname"] = "postgres"
    return base, name


async def _connect_admin(dsn: str, cluster: Cluster | None) -> psycopg.AsyncConnection[Any]:
    """Connect; a server found running may have been dying, so a second start is tried."""
    for attempt in range(50):
        try:
            return await psycopg.AsyncConnection.connect(
                dsn, autocommit=True, application_name="benhan-admin"
            )
        except psycopg.OperationalError as error:
            if cluster is None or attempt == 49:
                raise ConfigurationError(
                    "store.no-database",
                    "Không kết nối được máy chủ cơ sở dữ liệu. Kiểm tra database_url và máy chủ PostgreSQL.",
                    diagnostics=str(error),
                ) from error
            await asyncio.to_thread(_restart, cluster)
            await asyncio.sleep(0.1)
    raise AssertionError("unreachable")


def _restart(cluster: Cluster) -> None:
    cluster.acquire()
    cluster.release()


def _secrets(path: Path) -> dict[str, tuple[str, str]]:
    """Login and password of each role of this installation; made once."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "r+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        text = file.read()
        if not text:
            suffix = secrets.token_hex(4)
            known = {
                r: {"login": f"benhan_{r}_{suffix}", "password": secrets.token_urlsafe(24)}
                for r in LOGIN_ROLES
            }
            text = json.dumps(known, indent=1)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        return {role: (entry["login"], entry["password"]) for role, entry in json.loads(text).items()}


async def _provision(
    admin: psycopg.AsyncConnection[Any], name: str, logins: dict[str, tuple[str, str]]
) -> None:
    """Roles and database, whichever are missing; safe when several processes do it at once."""
    await admin.execute("select pg_advisory_lock(%s)", (_PROVISION_LOCK,))
    try:
        version = admin.info.server_version
        if version < 150000:
            raise ConfigurationError("store.server-version", "Cần PostgreSQL 15 trở lên.")
        await admin.execute(_ROLES_SQL)
        rows = await (
            await admin.execute("select rolname from pg_roles where rolname like 'benhan_%'")
        ).fetchall()
        known = {r[0] for r in rows}
        for role, (login, password) in logins.items():
            if login not in known:
                await _create_login(admin, role, login, password)
        found = await (
            await admin.execute("select 1 from pg_database where datname = %s", (name,))
        ).fetchone()
        if found is None:
            await admin.execute(
                sql.SQL(
                    "create database {} owner benhan_owner template template0 encoding 'UTF8' lc_collate 'C' lc_ctype 'C'"
                ).format(sql.Identifier(name))
            )
    finally:
        await admin.execute("select pg_advisory_unlock(%s)", (_PROVISION_LOCK,))


async def _create_login(admin: psycopg.AsyncConnection[Any], role: str, login: str, password: str) -> None:
    await admin.execute(
        sql.SQL(
            "create role {} login nosuperuser nobypassrls nocreatedb nocreaterole password {} in role {}"
        ).format(sql.Identifier(login), sql.Literal(password), sql.Identifier(f"benhan_{role}"))
    )
    for setting, value in (
        ("timezone", "UTC"),
        ("jit", "off"),
        ("idle_in_transaction_session_timeout", "600s"),
    ):
        await admin.execute(
            sql.SQL("alter role {} set {} = {}").format(
                sql.Identifier(login), sql.Identifier(setting), sql.Literal(value)
            )
        )


_ROLE_FACTS = """
select r.rolsuper, r.rolbypassrls, r.rolcreaterole,
       pg_has_role(current_user, 'benhan_owner', 'member'),
       exists (select from pg_class c where c.relowner = r.oid)
from pg_roles r where r.rolname = current_user
"""
_DURABILITY = """
select current_setting('synchronous_commit'), current_setting('fsync'), current_setting('full_page_writes'),
       current_setting('data_checksums')
"""


async def _assert_safe(database: Database) -> None:
    """Refuse to serve with a role that could look past row-level security, or without durable commits."""
    for dsn in database.logins.values():
        try:
            connection = await psycopg.AsyncConnection.connect(dsn, autocommit=True)
        except psycopg.OperationalError as error:
            raise ConfigurationError(
                "store.role-login",
                "Tài khoản cơ sở dữ liệu của cài đặt không đăng nhập được; mật khẩu trong secrets/database.json sai.",
                diagnostics=str(error),
            ) from error
        async with connection:
            facts = await (await connection.execute(_ROLE_FACTS)).fetchone()
            durable = await (await connection.execute(_DURABILITY)).fetchone()
        check_role(facts or (True,))
        database.warnings = check_durability(durable or ("", "", "", ""), own=database.embedded is not None)


def check_role(facts: tuple[Any, ...]) -> None:
    """Raises: ``ConfigurationError`` (store.role-too-strong)."""
    if any(facts):
        raise ConfigurationError(
            "store.role-too-strong",
            "Tài khoản cơ sở dữ liệu có quyền vượt qua ngăn cách giữa các cơ sở; không phục vụ với tài khoản này.",
            diagnostics="superuser, bypassrls, createrole, member of owner, owner of a table: " + repr(facts),
        )


def check_durability(facts: tuple[Any, ...], *, own: bool) -> list[str]:
    """Warnings; raises ``ConfigurationError`` (store.not-durable, store.no-checksums)."""
    synchronous_commit, fsync, full_page_writes, checksums = facts
    if (
        synchronous_commit not in ("on", "remote_write", "remote_apply")
        or fsync != "on"
        or full_page_writes != "on"
    ):
        raise ConfigurationError(
            "store.not-durable",
            "Máy chủ cơ sở dữ liệu phải bật synchronous_commit, fsync và full_page_writes.",
            diagnostics=repr(facts),
        )
    if checksums == "on":
        return []
    text = "Máy chủ cơ sở dữ liệu không bật kiểm tra trang (data checksums)."
    if own:
        raise ConfigurationError("store.no-checksums", text)
    _log.warning("data checksums are off on the managed server")
    return [text]
