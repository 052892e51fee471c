"""A process that does nothing but export one facility; prints the most memory it held. Started by `volume`."""

from __future__ import annotations

import asyncio
import os
import sys
from uuid import UUID

from benhan.base.settings import load
from benhan.bench.volume import export_all
from benhan.store import Store


async def _alone() -> int:
    store = await Store.open(load())
    try:
        return await export_all(store.system_repo(UUID(os.environ["BENCH_TENANT"])))
    finally:
        await store.close()


if __name__ == "__main__":
    sys.stdout.write(str(asyncio.run(_alone())))
