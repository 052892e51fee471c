"""The benches by name, and the throw-away installation they run in."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from benhan.base.errors import NotFound
from benhan.base.settings import Settings, load
from benhan.bench import (
    claims,
    looking,
    matching,
    pages,
    papers,
    pure,
    reading,
    search,
    sharing,
    storing,
    volume,
    ward,
)
from benhan.bench.measure import FULL, Result, Sizes
from benhan.store import Store

#: One figure, or several that belong together.
Bench = Callable[[Store, Sizes], Awaitable[Result | list[Result]]]

BENCHES: dict[str, Bench] = {
    "validate": pure.validate_bench,
    "pdf": papers.pdf_bench,
    "sign": papers.sign_bench,
    "sign-many": ward.sign_many_bench,
    "claims-write": claims.claims_write_bench,
    "claims-read": claims.claims_read_bench,
    "claims-memory": claims.claims_memory_bench,
    "ingest": storing.ingest_bench,
    "create": storing.create_bench,
    "read": reading.read_bench,
    "read-store": reading.read_store_bench,
    "read-no-audit": reading.read_no_audit_bench,
    "disk": storing.disk_bench,
    "disk-audit": storing.audit_disk_bench,
    "who-opened": looking.who_opened_bench,
    "form-open": pages.form_open_bench,
    "form-autosave": pages.form_autosave_bench,
    "pick-icd": pages.pick_icd_bench,
    "exchange-drain": sharing.drain_bench,
    "matching": matching.matching_bench,
    # these load many rows and ANALYZE: a facility made afterwards is unknown to the statistics (docs/performance.md)
    "versions": volume.versions_bench,
    "export": volume.export_bench,
    "export-memory": volume.export_memory_bench,
    **search.SEARCHES,
}


@asynccontextmanager
async def installation() -> AsyncIterator[Store]:
    """An empty installation with its own embedded server, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="benhan-bench-") as folder:
        settings: Settings = load(home=Path(folder), database_name="bench", pool_size=8)
        store = await Store.open(settings)
        try:
            yield store
        finally:
            await store.close()


async def run(names: Sequence[str] = (), sizes: Sizes = FULL) -> AsyncIterator[Result]:
    """Run the named benches (all when none is named), one after another.

    Raises: ``NotFound`` (bench.no-such-bench).
    """
    unknown = [n for n in names if n not in BENCHES]
    if unknown:
        raise NotFound(
            "bench.no-such-bench", f"Không có phép đo {', '.join(unknown)}. Có: {', '.join(BENCHES)}."
        )
    async with installation() as store:
        for name in names or BENCHES:
            made = await BENCHES[name](store, sizes)
            for result in made if isinstance(made, list) else [made]:
                yield result
