"""kill -9 of writers and server at any moment: what was acknowledged is there, whole; what was not is there whole or not."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from benhan.base.settings import Settings
from benhan.store import Actor, Ctx, Store, SystemPolicy
from benhan.store.embedded import Cluster

WRITER = Path(__file__).with_name("crash_writer.py")
_WHOLE = """
select l.id,
       exists (select from current_version c where c.tenant = l.tenant and c.type = l.type and c.id = l.id),
       exists (select from current_version c join index_equal i on i.tenant = c.tenant and i.rid = c.rid
               where c.tenant = l.tenant and c.type = l.type and c.id = l.id),
       exists (select from audit a where a.tenant = l.tenant and a.entity = 'Basic/' || l.id and a.action = 'create'),
       exists (select from outbox o where o.tenant = l.tenant and o.topic = 'crash' and o.key = l.id)
from log l
"""
_STRAY = """
select (select count(*) from log), (select count(*) from current_version),
       (select count(distinct rid) from index_equal), (select count(*) from audit where action = 'create'),
       (select count(*) from outbox)
"""


@pytest.fixture
def home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="benhan-crash-") as folder:
        path = Path(folder) / "home"
        yield path
        pid = Cluster(path / "postgres").postmaster()
        if pid is not None:
            os.kill(pid, signal.SIGKILL)


async def kill_rounds(home: Path, kills: int, seed: int) -> int:
    """Run writers, kill, open again, compare; gives the number of acknowledged writes."""
    pick = random.Random(seed)
    settings = Settings(home=home, pool_size=4)
    store = await Store.open(settings)
    tenant = await store.create_tenant("facility", "51Z01", "X")
    acknowledged: set[str] = set()
    for _ in range(kills):
        writers = [spawn(home, str(tenant), f"w{n}") for n in range(2)]
        try:
            acknowledged |= await asyncio.to_thread(
                listen, writers, pick.randrange(5, 120), pick.random() * 0.02
            )
        finally:
            for process in pick.sample(writers, 2):
                process.kill()
            postmaster = Cluster(home / "postgres").postmaster()
            if postmaster is not None:
                os.kill(postmaster, signal.SIGKILL)
            for process in writers:
                acknowledged |= set(whole_lines(process.stdout.read() if process.stdout else b""))
                process.wait()
        await store.close()
        store = await Store.open(settings)
        await compare(store, tenant, acknowledged)
    await store.close()
    return len(acknowledged)


def spawn(home: Path, tenant: str, name: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, str(WRITER), str(home), tenant, name], stdout=subprocess.PIPE)


def listen(writers: list[subprocess.Popen[bytes]], count: int, pause_s: float) -> set[str]:
    """Ids acknowledged until the first writer has said ``count`` of them, and a moment more."""
    import time

    stream = writers[0].stdout
    assert stream is not None
    lines = [stream.readline() for _ in range(count)]
    until = time.monotonic() + pause_s
    while time.monotonic() < until:
        pass
    return set(whole_lines(b"".join(lines)))


def whole_lines(raw: bytes) -> list[str]:
    return [line.decode() for line in raw.split(b"\n")[:-1] if line]


async def compare(store: Store, tenant: object, acknowledged: set[str]) -> None:
    repo = store.repo(Ctx(tenant, Actor("Device/t", "T", "system")), SystemPolicy())  # type: ignore[arg-type]
    async with repo.transaction() as tx:
        rows = await tx.all(_WHOLE, ())
        counts = await tx.one(_STRAY, ())
    found = {row[0] for row in rows}
    assert acknowledged <= found, "an acknowledged write was lost"
    assert all(all(row[1:]) for row in rows), "a write is there in part"
    assert len(set(counts)) == 1, counts
    for resource_id in sorted(acknowledged)[-3:]:
        assert (await repo.read("Basic", resource_id)).version == 1


@pytest.mark.xdist_group("crash")
async def test_three_kills_lose_nothing_acknowledged(home: Path) -> None:
    assert await kill_rounds(home, int(os.environ.get("BENHAN_KILLS", "3")), seed=20261123) > 10


@pytest.mark.long
@pytest.mark.xdist_group("crash")
async def test_twenty_five_kills_lose_nothing_acknowledged(home: Path) -> None:
    assert await kill_rounds(home, int(os.environ.get("BENHAN_KILLS", "25")), seed=9) > 100
