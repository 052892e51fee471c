"""Claims of health insurance: built and checked, and read back, against lxml alone on the same bytes. One core, no store."""

from __future__ import annotations

import base64
from collections.abc import Callable
from itertools import cycle, islice

from lxml import etree

from benhan.base.clock import SYSTEM_CLOCK
from benhan.bench.measure import Result, Sizes, rate, seconds
from benhan.gateways.bhyt import build_claim, check, read_package, to_fhir, write_package
from benhan.gateways.bhyt.samples import facts_of, stories
from benhan.store import Store


def _parse_and_write(raw: bytes) -> None:
    """The envelope and every file in it, parsed and written again."""
    root = etree.fromstring(raw)
    for inner in root.iter("NOIDUNGFILE"):
        etree.tostring(etree.fromstring(base64.b64decode(inner.text or "")), encoding="utf-8")
    etree.tostring(root, encoding="utf-8")


async def claim_bench(_: Store, sizes: Sizes) -> Result:
    """Claims/s built from their facts and checked by every rule; limit: lxml parsing and writing the same claims."""
    facts = [facts_of(story, number) for number, story in enumerate(stories(), 1)]
    raws = [write_package(build_claim(f)) for f in facts]

    def ours() -> None:
        for fact in islice(cycle(facts), sizes.claims):
            check(build_claim(fact))

    return _timed("claim", ours, raws, sizes)


async def claim_read_bench(_: Store, sizes: Sizes) -> Result:
    """Claims/s read from their bytes and turned into a FHIR Bundle; limit as for ``claim``."""
    raws = [write_package(build_claim(facts_of(s, n))) for n, s in enumerate(stories(), 1)]
    now = SYSTEM_CLOCK.now()

    def ours() -> None:
        for raw in islice(cycle(raws), sizes.claims):
            to_fhir(read_package(raw), "bench", now)

    return _timed("claim-read", ours, raws, sizes)


def _timed(name: str, ours: Callable[[], None], raws: list[bytes], sizes: Sizes) -> Result:
    def bare() -> None:
        for raw in islice(cycle(raws), sizes.claims):
            _parse_and_write(raw)

    ours()
    bare()
    times = [(seconds(ours), seconds(bare)) for _ in range(sizes.runs)]
    return rate(name, "claims/s", [sizes.claims / t[0] for t in times], [sizes.claims / t[1] for t in times])
