"""One figure: median of some runs, its unit, the limit it is held against, and their ratio."""

from __future__ import annotations

import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much work a run is made of. ``runs``: how often each figure is taken, ours and the limit in turn."""

    runs: int = 5
    validations: int = 2000
    bundles: int = 20
    bundle_size: int = 50
    creates: int = 300
    reads: int = 1500
    clients: int = 16
    papers: int = 5
    claims: int = 60
    versions: int = 500
    exported: int = 10_000
    people: int = 20_000
    registered: int = 2_000
    desk_queries: int = 200
    documents: int = 200
    claims_streamed: int = 10_000
    population: int = 20_000
    searches: int = 200
    pages: int = 40
    events: int = 100_000


FULL = Sizes()
TINY = Sizes(
    1, 5, 1, 3, 4, 6, 2, 1, 2, 3, 5, 3000, 20, 5, 3, 3, population=60, searches=3, pages=2, events=2000
)


@dataclass(frozen=True, slots=True)
class Result:
    """``ratio`` is how near the figure comes to its limit: 1 means as good as the limit, 0.5 half as good."""

    name: str
    value: float
    unit: str
    limit: float
    ratio: float
    runs: int

    def as_json(self) -> dict[str, object]:
        """The row of ``benhan bench --json``."""
        return asdict(self)


def rate(name: str, unit: str, ours: Sequence[float], limit: Sequence[float]) -> Result:
    """A figure where more is better (per second)."""
    value, bound = statistics.median(ours), statistics.median(limit)
    return Result(name, round(value, 1), unit, round(bound, 1), round(value / bound, 3), len(ours))


def cost(name: str, unit: str, ours: Sequence[float], limit: Sequence[float]) -> Result:
    """A figure where less is better (µs, ms, bytes)."""
    value, bound = statistics.median(ours), statistics.median(limit)
    return Result(name, round(value, 2), unit, round(bound, 2), round(bound / value, 3), len(ours))


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


async def seconds_async(work: Callable[[], Awaitable[object]]) -> float:
    """Wall time of one awaited call."""
    began = time.perf_counter()
    await work()
    return time.perf_counter() - began
