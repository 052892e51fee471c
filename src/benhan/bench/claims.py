"""Claims of health insurance of about a hundred lines: written and checked, and read into the store, beside lxml alone.

One process. The limit of both is lxml parsing and writing the bytes of the same claims.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from itertools import count

import psutil
from lxml import etree

from benhan.bench.measure import Result, Sizes, cost, rate, seconds, seconds_async
from benhan.bench.storing import new_repo
from benhan.gateways.bhyt import ClaimFacts, build_claim, check, ingest, ingest_stream, write_package
from benhan.gateways.bhyt.samples import facts_of, stories
from benhan.store import Store

_COPIES = 12
_numbers = count(1)


def _facts(number: int) -> ClaimFacts:
    """A đợt of about a hundred lines: the lines of an inpatient story, day after day."""
    story = next(s for s in stories() if s.kind == "03" and not s.papers)
    facts = facts_of(story, number)
    days = [timedelta(minutes=7 * n) for n in range(_COPIES)]
    return replace(
        facts,
        drugs=tuple(replace(d, ordered=d.ordered + by) for by in days for d in facts.drugs),
        services=(
            *facts.services,
            *(
                replace(s, ordered=s.ordered + by, done=s.done + by if s.done else None,
                        result_at=s.result_at + by if s.result_at else None)
                for by in days[1:] for s in facts.services if s.group in ("1", "2")
            ),
        ),
        results=tuple(replace(r, at=r.at + by) for by in days for r in facts.results),
        progress=tuple(replace(p, at=p.at + by) for by in days for p in facts.progress),
    )  # fmt: skip


def _parse_and_write(raw: bytes) -> None:
    """The envelope and every file in it, parsed and written again."""
    root = etree.fromstring(raw)
    for inner in root.iter("NOIDUNGFILE"):
        etree.tostring(etree.fromstring(base64.b64decode(inner.text or "")), encoding="utf-8")
    etree.tostring(root, encoding="utf-8")


async def claims_write_bench(_: Store, sizes: Sizes) -> Result:
    """Claims/s built from their facts, checked by every rule and written as XML."""
    facts = [_facts(next(_numbers)) for _ in range(sizes.claims)]
    raws = [write_package(build_claim(f)) for f in facts]

    def ours() -> None:
        for fact in facts:
            package = build_claim(fact)
            check(package)
            write_package(package)

    def bare() -> None:
        for raw in raws:
            _parse_and_write(raw)

    ours()
    times = [(seconds(ours), seconds(bare)) for _ in range(sizes.runs)]
    return rate(
        "claims-write", "claims/s", [len(facts) / a for a, _ in times], [len(facts) / b for _, b in times]
    )


async def claims_read_bench(store: Store, sizes: Sizes) -> Result:
    """Claims/s read from their bytes, judged, turned into FHIR and stored."""
    repo = await new_repo(store, "51Z07")
    times = []
    for _ in range(sizes.runs):
        raws = [write_package(build_claim(_facts(next(_numbers)))) for _ in range(sizes.claims)]

        async def ours(raws: list[bytes] = raws) -> None:
            for raw in raws:
                await ingest(repo, raw, "bench.xml")

        def bare(raws: list[bytes] = raws) -> None:
            for raw in raws:
                _parse_and_write(raw)

        times.append((await seconds_async(ours), seconds(bare)))
    taken = sizes.claims
    return rate("claims-read", "claims/s", [taken / a for a, _ in times], [taken / b for _, b in times])


async def claims_memory_bench(store: Store, sizes: Sizes) -> Result:
    """Most memory (MiB, resident) over a whole stream of packages; limit: the most over its first tenth. 1 is flat."""
    repo = await new_repo(store, "51Z07")
    process, total = psutil.Process(), sizes.claims_streamed
    story = next(s for s in stories() if s.kind == "01" and not s.papers)
    early = most = 0.0

    async def stream() -> AsyncIterator[bytes]:
        for _ in range(total):
            yield write_package(build_claim(facts_of(story, next(_numbers))))

    async for done in ingest_stream(repo, stream(), "bench"):
        if done.number % 20 == 0 or done.number == total:
            most = max(most, process.memory_info().rss / (1024 * 1024))
        if done.number <= total // 10 or not early:
            early = most
    return cost("claims-memory", "MiB", [most], [early])
