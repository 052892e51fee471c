"""A writer for the crash test: creates resources for ever and says the id of each once it is acknowledged."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from uuid import UUID

from benhan.base.settings import Settings
from benhan.store import Actor, Ctx, Store, SystemPolicy


async def main(home: str, tenant: str, name: str) -> None:
    store = await Store.open(Settings(home=Path(home), pool_size=4))
    repo = store.repo(Ctx(UUID(tenant), Actor(f"Device/{name}", name, "system")), SystemPolicy())

    async def write(lane: int) -> None:
        number = 0
        while True:
            number += 1
            async with repo.transaction() as tx:
                stored = await tx.create(
                    {
                        "resourceType": "Basic",
                        "code": {"coding": [{"system": "urn:crash", "code": f"{name}-{lane}-{number}"}]},
                    }
                )
                await tx.outbox("crash", stored.id, {"id": stored.id})
            print(stored.id, flush=True)  # noqa: T201 - the acknowledgement

    await asyncio.gather(*(write(lane) for lane in range(3)))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
