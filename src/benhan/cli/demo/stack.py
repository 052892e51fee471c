"""The demo province on one machine: hub, two facilities, portal simulator; separate processes and databases.

Everything lies below one folder: an embedded PostgreSQL cluster shared by three databases, a certificate authority,
one installation folder a node. Ports are free ones of this machine, kept in the settings files.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from benhan.access import create_ca, issue_node
from benhan.base.errors import NeighbourFailed
from benhan.base.settings import Settings, load

HUB, FACILITY_A, FACILITY_B = "QNG-HUB", "51Z01", "51Z02"
WAIT_S = 30.0


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(slots=True)
class Node:
    """One installation: its settings file and its processes."""

    name: str
    config: Path
    settings: Settings
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Address of the pages."""
        return f"http://127.0.0.1:{self.settings.port}"


@dataclass(slots=True)
class Stack:
    """The whole demo province."""

    home: Path
    hub: Node
    a: Node
    b: Node
    portal_port: int
    portal: subprocess.Popen[bytes] | None = None
    logs: ExitStack = field(default_factory=ExitStack)

    @property
    def nodes(self) -> tuple[Node, Node, Node]:
        """Hub, facility A, facility B."""
        return self.hub, self.a, self.b

    def start(self, node: Node) -> None:
        """Start the pages and the worker of a node and wait until it answers."""
        for command in ("serve", "worker"):
            node.processes.append(
                self._spawn(f"{node.name}-{command}", command, "--config", str(node.config))
            )
        wait_for(f"{node.url}/health", node.processes)

    def start_portal(self) -> None:
        """Start the simulator of the BHYT portal."""
        self.portal = self._spawn(
            "portal",
            "simulate",
            "bhyt",
            "--port",
            str(self.portal_port),
            "--state",
            str(self.home / "portal"),
        )
        wait_for(f"http://127.0.0.1:{self.portal_port}/healthz", [self.portal])

    def stop(self, node: Node) -> None:
        """Stop a node's processes, as an operator would."""
        stop_all(node.processes)
        node.processes.clear()

    def close(self) -> None:
        """Stop everything that was started."""
        for node in self.nodes:
            self.stop(node)
        if self.portal is not None:
            stop_all([self.portal])
            self.portal = None
        self.logs.close()

    def _spawn(self, log: str, *arguments: str) -> subprocess.Popen[bytes]:
        folder = self.home / "logs"
        folder.mkdir(parents=True, exist_ok=True)
        out = self.logs.enter_context((folder / f"{log}.log").open("ab"))
        return subprocess.Popen(  # noqa: S603 - our own program and arguments
            [sys.executable, "-m", "benhan.cli", *arguments],
            stdout=out,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )


def stop_all(processes: list[subprocess.Popen[bytes]], patience_s: float = 8.0) -> None:
    """Ask each process group to end, then end it."""
    for process in processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
    until = time.monotonic() + patience_s
    for process in processes:
        try:
            process.wait(max(0.1, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait_for(url: str, processes: list[subprocess.Popen[bytes]]) -> None:
    """Wait until an address answers 200.

    Raises: ``NeighbourFailed`` (cli.demo-not-up) when a process ended or the time is over.
    """
    until = time.monotonic() + WAIT_S
    with httpx.Client(trust_env=False, timeout=2.0) as client:
        while time.monotonic() < until:
            if any(p.poll() is not None for p in processes):
                break
            try:
                if client.get(url).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.1)
    raise NeighbourFailed("cli.demo-not-up", f"Tiến trình ở {url} không khởi động được; xem thư mục logs.")


def lay_out(home: Path) -> Stack:
    """Write the folders, the certificates and the settings files of a new demo province."""
    home.mkdir(parents=True, exist_ok=True)
    ca = home / "ca"
    if not (ca / "ca.crt").exists():
        create_ca(ca)
    portal_port = free_port()
    machine_port = free_port()
    hub = _node(home, "hub", "hub", ca, machine_port=machine_port, hub_port=None, portal_port=None)
    a = _node(home, "a", "facility", ca, machine_port=None, hub_port=machine_port, portal_port=portal_port)
    b = _node(home, "b", "facility", ca, machine_port=None, hub_port=machine_port, portal_port=portal_port)
    return Stack(home, hub, a, b, portal_port)


def _node(
    home: Path,
    name: str,
    role: str,
    ca: Path,
    *,
    machine_port: int | None,
    hub_port: int | None,
    portal_port: int | None,
) -> Node:
    folder = home / name
    folder.mkdir(parents=True, exist_ok=True)
    issue_node(ca, name, ["localhost", "127.0.0.1"], folder / "tls")
    values: dict[str, str | int | bool] = {
        "home": str(folder),
        "role": role,
        "database_name": f"benhan_{name}",
        "embedded_dir": str(home / "postgres"),
        "port": free_port(),
        "tls_cert": str(folder / "tls" / f"{name}.crt"),
        "tls_key": str(folder / "tls" / f"{name}.key"),
        "tls_ca": str(ca / "ca.crt"),
        "pool_size": 4,
        "practice": True,
    }
    if machine_port is not None:
        values["machine_port"] = machine_port
        values["public_url"] = f"https://localhost:{machine_port}"
    if hub_port is not None:
        values["hub_url"] = f"https://localhost:{hub_port}"
    if portal_port is not None:
        values["bhyt_url"] = f"http://127.0.0.1:{portal_port}"
        values["bhyt_username"] = "thu-nghiem"
    config = folder / "benhan.toml"
    lines = [f"{k} = {_toml(v)}" for k, v in values.items()]
    config.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return Node(name, config, load(config))


def _toml(value: str | int | bool) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return (
        str(value) if isinstance(value, int) else '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    )
