"""A real PostgreSQL for every test: one cluster a run, one template database, a fresh clone for each test.

Without ``BENHAN_TEST_DATABASE_URL`` (or ``BENHAN_DATABASE_URL``) the embedded server is started in a temporary folder,
shared by the workers of pytest-xdist and removed at the end. Temporary folders lie in memory where there is room: each
test's database is a thousand small files made and removed.
"""

from __future__ import annotations

import asyncio
import fcntl
import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from psycopg import sql

from benhan.base.clock import SYSTEM_CLOCK, Clock
from benhan.base.settings import Settings
from benhan.store import Actor, Ctx, Repository, Store, SystemPolicy

_URL = os.environ.pop("BENHAN_TEST_DATABASE_URL", None) or os.environ.pop("BENHAN_DATABASE_URL", None)
os.environ.pop("BENHAN_DATABASE_URL", None)
_COUNTER = itertools.count(1)
_MEMORY, _ROOM = Path("/dev/shm"), 6 * 2**30


def _in_memory() -> None:
    if "TMPDIR" not in os.environ and _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _ROOM:
        os.environ["TMPDIR"] = str(_MEMORY)  # for the programs that tests start as well
        tempfile.tempdir = None


_in_memory()
TESTER = Actor("Device/test", "Kiểm thử", "system")


@dataclass
class DatabaseServer:
    """The server of this run. ``clone()`` gives settings for a fresh database made from the template."""

    folder: Path
    worker: str
    url: str | None
    template: str = ""
    admin: str = ""
    secrets: Path = field(default_factory=Path)

    def settings(self, home: Path, name: str, **more: object) -> Settings:
        """Settings for the database ``name`` on this server; nothing is made."""
        values: dict[str, object] = {
            "home": home,
            "database_name": name,
            "pool_size": 6,
            "practice": True,
            **more,
        }
        if self.url:
            values["database_url"] = self.url
        else:
            values["embedded_dir"] = self.folder / "postgres"
        return Settings(**values)  # type: ignore[arg-type]

    def clone(self, home: Path) -> Settings:
        """A fresh migrated database and a home with the keys that fit it."""
        name = f"t_{self.worker}_{next(_COUNTER)}"
        with psycopg.connect(self.admin, autocommit=True) as admin:
            admin.execute(
                sql.SQL("create database {} template {} strategy {} owner benhan_owner").format(
                    sql.Identifier(name), sql.Identifier(self.template), sql.Identifier(STRATEGY)
                )
            )
        (home / "secrets").mkdir(parents=True, exist_ok=True, mode=0o700)
        shutil.copy(self.secrets, home / "secrets" / "database.json")
        return self.settings(home, name)

    def drop(self, name: str) -> None:
        """Remove a database of this run."""
        with psycopg.connect(self.admin, autocommit=True) as admin:
            found = admin.execute(
                "select 1 from pg_database where datname = %s and datistemplate", (name,)
            ).fetchone()
            if found:
                admin.execute(sql.SQL("alter database {} is_template false").format(sql.Identifier(name)))
            admin.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))


STRATEGY = "wal_log"


@pytest.fixture(scope="session")
def database_server(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[DatabaseServer]:
    """The server of this run, shared by all workers; the last one stops and removes it."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", f"solo{os.getpid()}")
    folder = Path(tempfile.gettempdir()) / f"benhan-test-{run[:12]}"
    folder.mkdir(exist_ok=True)
    found = DatabaseServer(folder, worker_id if worker_id != "master" else "m", _own_database(_URL))
    home = folder / f"home-{found.worker}"
    found.template = f"template_{found.worker}_{run[:12]}"
    with (folder / "users").open("a") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        settings = found.settings(home, found.template)
        opened = asyncio.run(_make_template(settings))
        found.admin, found.secrets = opened, home / "secrets" / "database.json"
        holder = _hold(settings)
        try:
            yield found
        finally:
            _end(found, settings, holder, users)


def _own_database(url: str | None) -> str | None:
    """The URL without the name of a database: each test has its own."""
    if url is None:
        return None
    return psycopg.conninfo.make_conninfo(url, dbname="postgres") if "://" not in url else url


async def _make_template(settings: Settings) -> str:
    store = await Store.open(settings)
    try:
        return psycopg.conninfo.make_conninfo(store.database.admin, dbname="postgres")
    finally:
        if store.database.embedded is not None:
            await asyncio.to_thread(store.database.embedded.acquire)  # the server stays up between tests
        await store.close()


def _hold(settings: Settings) -> object:
    return None if settings.database_url else settings.embedded_dir


def _end(found: DatabaseServer, settings: Settings, holder: object, users: object) -> None:
    with psycopg.connect(found.admin, autocommit=True) as admin:
        names = admin.execute(
            "select datname from pg_database where datname like %s", (f"t_{found.worker}_%",)
        ).fetchall()
    if holder is None:
        for (name,) in names:
            found.drop(name)
        found.drop(found.template)
    fcntl.flock(users, fcntl.LOCK_UN)  # type: ignore[arg-type]
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)  # type: ignore[arg-type]
    except BlockingIOError:
        return
    if holder is not None:
        from benhan.store.embedded import Cluster

        cluster = Cluster(found.folder / "postgres")
        pid = cluster.postmaster()
        if pid is not None:
            subprocess.run(["kill", "-QUIT", str(pid)], check=False)
            _wait_gone(pid)
    shutil.rmtree(found.folder, ignore_errors=True)


def _wait_gone(pid: int) -> None:
    import psutil

    try:
        psutil.Process(pid).wait(timeout=10)
    except psutil.Error:
        return


@pytest.fixture
def settings(database_server: DatabaseServer, tmp_path: Path) -> Iterator[Settings]:
    """Settings of a fresh migrated database."""
    made = database_server.clone(tmp_path / "home")
    yield made
    database_server.drop(made.database_name)


@pytest.fixture
async def store_factory(
    database_server: DatabaseServer, tmp_path: Path
) -> AsyncIterator[Callable[..., Awaitable[Store]]]:
    """``await store_factory(clock=…, guards=…, settings=…)``: further stores, each on its own fresh database."""
    opened: list[Store] = []

    async def make(
        *, settings: Settings | None = None, clock: Clock = SYSTEM_CLOCK, guards: tuple[object, ...] = ()
    ) -> Store:
        chosen = settings or database_server.clone(tmp_path / f"home-{next(_COUNTER)}")
        opened.append(await Store.open(chosen, clock=clock, guards=guards))  # type: ignore[arg-type]
        return opened[-1]

    yield make
    for store in opened:
        await store.close()
        database_server.drop(store.settings.database_name)


@pytest.fixture
async def store(settings: Settings) -> AsyncIterator[Store]:
    """An open store on a fresh database."""
    opened = await Store.open(settings)
    yield opened
    await opened.close()


@pytest.fixture
async def tenant(store: Store) -> UUID:
    """A facility."""
    return await store.create_tenant("facility", "51Z01", "Bệnh viện Thử nghiệm")


@pytest.fixture
async def other_tenant(store: Store) -> UUID:
    """Another facility of the same installation."""
    return await store.create_tenant("facility", "51Z02", "Trạm y tế Thử nghiệm")


@pytest.fixture
async def repo(store: Store, tenant: UUID) -> Repository:
    """A repository of the facility that may do everything."""
    return store.repo(Ctx(tenant=tenant, actor=TESTER), SystemPolicy())


@pytest.fixture
async def other_repo(store: Store, other_tenant: UUID) -> Repository:
    """A repository of the other facility that may do everything."""
    return store.repo(Ctx(tenant=other_tenant, actor=TESTER), SystemPolicy())
