"""One page of figures: every facility, its records opened, signed, closed, sent, refused, waiting, and how fresh.

A facility that has never reported stands in the list with no figures, so that silence is seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from benhan.exchange import FacilityCounts, RecordStatus, counts, records_of
from benhan.store import Repository

STALE_AFTER_S = 3600


@dataclass(frozen=True, slots=True)
class FacilityLine:
    """One facility; ``counts`` None when it has never reported, ``stale`` when its report is over an hour old."""

    id: UUID
    code: str
    name: str
    counts: FacilityCounts | None
    stale: bool


@dataclass(frozen=True, slots=True)
class Dashboard:
    """All facilities and their sums at one instant."""

    at: datetime
    lines: tuple[FacilityLine, ...]

    def total(self, figure: str) -> int:
        """Sum of a figure (``opened``, ``signed`` …) over the facilities that have reported."""
        return sum(getattr(line.counts, figure) for line in self.lines if line.counts is not None)


async def dashboard(repo: Repository) -> Dashboard:
    """The province now; ``repo`` is the hub's tenant."""
    now = repo.clock.now()
    known = {c.facility: c for c in await counts(repo)}
    lines = []
    for info in await repo.store.tenants():
        if info.kind != "facility":
            continue
        figures = known.get(info.id)
        fresh = figures.fresh_at if figures else None
        stale = fresh is None or (now - fresh).total_seconds() > STALE_AFTER_S
        lines.append(FacilityLine(info.id, info.code, info.name, figures, stale))
    lines.sort(key=lambda line: line.code)
    return Dashboard(now, tuple(lines))


async def drill_down(repo: Repository, facility: UUID) -> list[RecordStatus]:
    """Records of one facility by number and state; their content stays where it is."""
    return await records_of(repo, facility)
