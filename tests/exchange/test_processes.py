"""The exchange between real processes over a real line: line cut, answers lost, hub killed, facility killed, clock a day off.

What must hold is the same as in the simulation: nothing acknowledged is lost, nothing stands twice at the hub, what is shown
as received is there with the very same content, and when the trouble ends everything arrives.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from uuid import NAMESPACE_URL, uuid5

import pytest

from benhan.base.json_door import dumps
from benhan.base.settings import load
from benhan.cli import node
from benhan.cli.common import open_store, operator_repo
from benhan.cli.demo.seed import connect, found
from benhan.cli.demo.stack import FACILITY_A, HUB, Node, Stack, lay_out
from benhan.exchange import HUB as RECEIVER
from benhan.exchange import Document, Message, Submission, enqueue, provide_bundle, queue_counts
from benhan.store import Repository

DAY = 86_400
TROUBLES = (
    "cut",
    "answers-lost",
    "hub-killed",
    "facility-killed",
    "both-killed",
    "hub-tomorrow",
    "facility-yesterday",
)
ROUNDS, EACH = 14, 8


@dataclass
class Line:
    """The line between facility and hub: everything goes through here, or not."""

    to: int
    port: int = 0
    up: bool = True
    answers: bool = True
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Line]:
        """Listen."""
        server = await asyncio.start_server(self._one, "127.0.0.1", self.port)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self.cut()

    def cut(self) -> None:
        """Everything that is under way breaks; new calls too, until ``up``."""
        self.up = False
        for writer in list(self._open):
            writer.transport.abort()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        with contextlib.suppress(OSError):
            if self.up:
                there, back = await asyncio.open_connection("127.0.0.1", self.to)
                self._open.add(back)
                await asyncio.gather(self._carry(reader, back, True), self._carry(there, writer, False))
                self._open.discard(back)
        self._open.discard(writer)
        writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, onward: bool) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                if onward or self.answers:
                    writer.write(data)
                    await writer.drain()
                else:  # the hub has it, the facility never hears so
                    break
        writer.transport.abort()


@dataclass
class Part:
    """One process: the hub's machine door or the facility's worker."""

    node: Node
    command: str
    process: subprocess.Popen[bytes] | None = None

    def start(self, off_by: int = 0) -> None:
        """Start it, perhaps with a wrong clock."""
        arguments = [self.command, "--config", str(self.node.config)]
        program = ["tests.exchange.skewed", str(off_by)] if off_by else ["benhan.cli"]
        log = self.node.config.parent / "process.log"
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *program, *arguments],
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=Path(__file__).parents[2],
            )

    def kill(self) -> None:
        """As a power cut would."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None


async def send(repo: Repository, number: int) -> str:
    """Queue one paper of one person; its message."""
    name, sent = f"process {number}", datetime(2026, 11, 23, tzinfo=UTC)
    paper = Document(
        master_id=uuid5(NAMESPACE_URL, f"{name} paper").urn,
        kind="TT25/2025-M02",
        kind_display="Giấy ra viện",
        title="Giấy ra viện",
        content_type="application/pdf",
        data=b"%PDF-1.7 " + Random(number).randbytes(4_000),
        created=sent,
    )
    person = {
        "resourceType": "Patient",
        "id": f"p{number}",
        "identifier": [{"system": "urn:benhan:id:cccd", "value": f"099{number:09d}"}],
        "name": [{"text": f"Người Mẫu {number}"}],
        "gender": "female",
        "birthDate": "1980",
    }
    message_id = uuid5(NAMESPACE_URL, name).urn
    submission = Submission(message_id, f"urn:benhan:id:ma-cskcb:{FACILITY_A}", sent, person, (paper,))
    body = await repo.store.blobs.put(dumps(provide_bundle(submission)))
    lane = ("urgent", "normal", "archive")[number % 3]
    async with repo.transaction() as tx:
        await enqueue(tx, Message(message_id, lane, f"Patient/p{number}", 1, body), FACILITY_A, RECEIVER)
    return paper.master_id


async def settled(repo: Repository, *, patience_s: float) -> dict[str, int]:
    """Queue counts as soon as nothing waits, or when patience is over."""
    until = asyncio.get_running_loop().time() + patience_s
    while True:
        counts = await queue_counts(repo)
        if not counts.get("waiting") or asyncio.get_running_loop().time() > until:
            return counts
        await asyncio.sleep(0.2)


def through(stack: Stack, port: int) -> None:
    """Let facility A reach the hub by the line, which is the hub's address for the world."""
    old = f"localhost:{stack.hub.settings.machine_port}"
    for each in (stack.hub, stack.a):
        text = each.config.read_text("utf-8")
        each.config.write_text(text.replace(old, f"localhost:{port}"), "utf-8")
        each.settings = load(each.config)


@pytest.mark.long
@pytest.mark.parametrize("seed", [1, 2])
async def test_processes_die_lines_break_clocks_lie(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    """Fourteen troubles in a seeded order, papers queued through all of them."""
    rng = Random(seed)
    stack = lay_out(tmp_path_factory.mktemp("p"))
    line = Line(to=stack.hub.settings.machine_port or 0)
    hub_part, own_part = Part(stack.hub, "machine-door"), Part(stack.a, "worker")
    async with AsyncExitStack() as stores, line.open():
        through(stack, line.port)
        for each in (stack.hub, stack.a):
            await node.migrate(each.settings)
        hub, a = [await stores.enter_async_context(open_store(n.settings)) for n in (stack.hub, stack.a)]
        at_hub, at_a = await found(hub, HUB), await found(a, FACILITY_A)
        await connect(stack, hub, at_hub)
        repo, hub_repo = operator_repo(a, at_a.id), operator_repo(hub, at_hub.id)
        papers: list[str] = []
        try:
            hub_part.start()
            own_part.start()
            for trouble in rng.sample(TROUBLES * 2, ROUNDS):
                papers += [await send(repo, len(papers) + n) for n in range(EACH)]
                await settled(repo, patience_s=rng.uniform(0.2, 3.0))
                _trouble(trouble, line, hub_part, own_part)
                papers += [await send(repo, len(papers) + n) for n in range(EACH)]
                await settled(repo, patience_s=rng.uniform(0.5, 4.0))
                _mend(trouble, line, hub_part, own_part)
                received = (await queue_counts(repo)).get("received", 0)
                assert len(await masters(hub_repo)) >= received, trouble
            counts = await settled(repo, patience_s=400)
        finally:
            hub_part.kill()
            own_part.kill()
        assert counts == {"received": len(papers)}
        assert sorted(await masters(hub_repo)) == sorted(papers)


async def masters(repo: Repository) -> list[str]:
    """Every paper that stands at the hub."""
    page = await repo.search("DocumentReference", [("_count", "1000")])
    return [entry.data["masterIdentifier"]["value"] for entry in page.entries]


def _trouble(kind: str, line: Line, hub: Part, own: Part) -> None:
    if kind == "cut":
        line.cut()
    elif kind == "answers-lost":
        line.answers = False
    if kind in ("hub-killed", "both-killed", "hub-tomorrow"):
        hub.kill()
    if kind in ("facility-killed", "both-killed", "facility-yesterday"):
        own.kill()
    if kind == "hub-tomorrow":
        hub.start(DAY)
    if kind == "facility-yesterday":
        own.start(-DAY)


def _mend(kind: str, line: Line, hub: Part, own: Part) -> None:
    line.up = line.answers = True
    if kind == "hub-tomorrow":
        hub.kill()
    if kind == "facility-yesterday":
        own.kill()
    for part in (hub, own):
        if part.process is None:
            part.start()
