"""The only place that asks the machine for the time.

Instants are zone-aware. Stored instants keep their original offset; people see Asia/Ho_Chi_Minh.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

VIETNAM = ZoneInfo("Asia/Ho_Chi_Minh")


class Clock(Protocol):
    """Gives the current instant."""

    def now(self) -> datetime:
        """Current instant, aware, in UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class FrozenClock:
    """A clock that stands still until moved; for tests, demos and verification at a past instant."""

    def __init__(self, at: datetime) -> None:
        if at.tzinfo is None:
            raise ValueError("FrozenClock needs an aware datetime")
        self._at = at

    def now(self) -> datetime:
        return self._at.astimezone(UTC)

    def move(self, **by: float) -> None:
        """Move on by ``timedelta(**by)``."""
        self._at += timedelta(**by)

    def set(self, at: datetime) -> None:
        """Move to ``at``."""
        self._at = at


SYSTEM_CLOCK = SystemClock()


def local(at: datetime) -> datetime:
    """The instant on a Vietnamese wall clock."""
    return at.astimezone(VIETNAM)


def local_date(at: datetime) -> date:
    """The calendar day of the instant in Viet Nam."""
    return local(at).date()


def fhir_instant(at: datetime) -> str:
    """FHIR ``instant``/``dateTime`` text with milliseconds and the Vietnamese offset."""
    return local(at).isoformat(timespec="milliseconds")


def parse_instant(text: str) -> datetime:
    """Read an ISO 8601 instant; raises ``ValueError`` when it has no offset."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(f"instant without offset: {text!r}")
    return at
