"""Backup and restore of one installation: database, blobs, keys.

The database is dumped first, in one snapshot; blobs are written before the rows that name them and never change, so a
copy made afterwards holds every blob the snapshot names. Keys are part of the backup: keep it as you keep keys. The
restored log starts a new epoch, by which readers of the change feed see that they have to reconcile.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict

from benhan.base.clock import SYSTEM_CLOCK, fhir_instant
from benhan.base.errors import ConfigurationError, InvalidInput
from benhan.base.json_door import JsonObject, dumps, loads_object
from benhan.base.settings import Settings
from benhan.store import migrations, server
from benhan.store.embedded import Cluster

FORMAT = 1
_PREAMBLE_LINES = 60
_DUMP = "database.dump"
_NOT_KEPT = frozenset({"database.json"})  # passwords of the old server's logins


async def backup(settings: Settings, path: Path) -> None:
    """Write a backup into the new folder ``path``.

    Raises: ``InvalidInput`` (store.backup-exists), ``ConfigurationError`` (store.server-program).
    """
    if path.exists() and any(path.iterdir()):
        raise InvalidInput("store.backup-exists", f"Thư mục {path} không trống; hãy chọn thư mục mới.")
    database = await server.prepare(settings)
    try:
        await asyncio.to_thread(_write, settings, database.admin, path)
    finally:
        await server.release(database)


async def restore(settings: Settings, path: Path) -> None:
    """Restore into an installation whose database is empty or absent; the epoch moves on.

    Raises: ``InvalidInput`` (store.backup-broken, store.restore-not-empty).
    """
    manifest = await asyncio.to_thread(_check, path)
    cluster = server.cluster_of(settings)
    if cluster is not None:
        await asyncio.to_thread(cluster.acquire)
    try:
        admin_dsn = await server.prepare_empty(settings)
        await asyncio.to_thread(_load, settings, admin_dsn, path, manifest)
        async with await psycopg.AsyncConnection.connect(admin_dsn, autocommit=True) as admin:
            await admin.execute("update installation set epoch = epoch + 1")
            await migrations.migrate(admin)
            await admin.execute("analyze")
    finally:
        if cluster is not None:
            await asyncio.to_thread(cluster.release)


async def new_epoch(settings: Settings) -> int:
    """Begin a new epoch, after a failover to a replica that may have missed commits; gives its number."""
    database = await server.prepare(settings)
    try:
        async with await psycopg.AsyncConnection.connect(database.admin, autocommit=True) as admin:
            row = await (
                await admin.execute("update installation set epoch = epoch + 1 returning epoch")
            ).fetchone()
    finally:
        await server.release(database)
    return int(row[0]) if row else 0


def _write(settings: Settings, dsn: str, path: Path) -> None:
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    _run("pg_dump", dsn, "--format=custom", "--file=" + str(path / _DUMP))
    for name, source in _folders(settings).items():
        target = path / name
        target.mkdir(mode=0o700)
        for file in _files(source):
            to = target / file.relative_to(source)
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, to)
    files = {str(f.relative_to(path)): _sha256(f) for f in _files(path)}
    manifest: JsonObject = {"format": FORMAT, "at": fhir_instant(SYSTEM_CLOCK.now()), "files": files}
    (path / "manifest.json").write_bytes(dumps(manifest, pretty=True))


def _check(path: Path) -> JsonObject:
    try:
        manifest = loads_object((path / "manifest.json").read_bytes())
    except FileNotFoundError:
        raise InvalidInput("store.backup-broken", f"{path} không phải là bản sao lưu.") from None
    if manifest.get("format") != FORMAT:
        raise InvalidInput("store.backup-broken", "Bản sao lưu thuộc định dạng khác.")
    for name, digest in manifest["files"].items():
        file = path / name
        if not file.is_file() or _sha256(file) != digest:
            raise InvalidInput("store.backup-broken", f"Tệp {name} của bản sao lưu thiếu hoặc bị sửa.")
    return manifest


def _load(settings: Settings, dsn: str, path: Path, manifest: JsonObject) -> None:
    _replay(dsn, path / _DUMP)
    for name, target in _folders(settings).items():
        for listed in manifest["files"]:
            if listed.startswith(name + "/"):
                to = target / listed.removeprefix(name + "/")
                to.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                shutil.copy2(path / listed, to)


def _folders(settings: Settings) -> dict[str, Path]:
    """What belongs to an installation beside its database. A blob store elsewhere (S3) has its own backup."""
    found = {"secrets": settings.secrets_dir}
    if settings.blob_url is None:
        found["blobs"] = settings.home / "blobs"
    return found


def _files(folder: Path) -> list[Path]:
    return sorted(f for f in folder.rglob("*") if f.is_file() and f.name not in _NOT_KEPT)


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _replay(dsn: str, dump: Path) -> None:
    """Put a dump into an empty database, in one transaction.

    It goes as a script through psql, because a dump of a newer client opens with settings that an older server does
    not know (``transaction_timeout`` came with PostgreSQL 17).
    """
    with tempfile.TemporaryDirectory(prefix="benhan-restore-") as folder:
        raw, script = Path(folder) / "raw.sql", Path(folder) / "script.sql"
        _call("pg_restore", [f"--file={raw}", str(dump)], {})
        with raw.open("rb") as source, script.open("wb") as target:
            for number, line in enumerate(source):
                if number > _PREAMBLE_LINES or not line.startswith(b"SET transaction_timeout"):
                    target.write(line)
        _run(
            "psql",
            dsn,
            "--quiet",
            "--no-psqlrc",
            "--set=ON_ERROR_STOP=1",
            "--single-transaction",
            f"--file={script}",
        )


def _run(program: str, dsn: str, *arguments: str) -> None:
    """Run a client program of the wheel; the password goes by the environment, not by the command line."""
    parts = conninfo_to_dict(dsn)
    password = str(parts.pop("password", "") or "")
    name = parts.pop("dbname", "postgres")
    connection = [
        f"--{'username' if k == 'user' else k}={v}" for k, v in parts.items() if k in ("host", "port", "user")
    ]
    _call(program, [*connection, f"--dbname={name}", *arguments], {"PGPASSWORD": password})


def _call(program: str, arguments: list[str], environment: dict[str, str]) -> None:
    result = subprocess.run(  # noqa: S603 - a program of the wheel with our arguments
        [str(Cluster(Path(".")).binary(program)), *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        check=False,
    )
    if result.returncode != 0:
        raise ConfigurationError(
            "store.server-program",
            f"Chương trình {program} của PostgreSQL báo lỗi.",
            diagnostics=result.stderr.decode("utf-8", "replace")[-2000:],
        )
