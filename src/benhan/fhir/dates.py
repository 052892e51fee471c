"""FHIR dates as half-open ranges of instants. A date without offset is of the Vietnamese calendar."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache

from benhan.base.clock import VIETNAM

_SHAPE = re.compile(
    r"^(\d{4})(?:-(\d{2})(?:-(\d{2})(?:T(\d{2}):(\d{2})(?::(\d{2})(?:\.(\d+))?)?(Z|[+-]\d{2}:\d{2})?)?)?)?$"
)

Range = tuple[datetime | None, datetime | None]


@lru_cache(maxsize=4096)
def date_range(text: str) -> Range | None:
    """``[low, high)`` in UTC of a date, dateTime or instant of any precision; None when it is not one.

    Used for stored values and for search values alike (minutes without seconds are accepted for the latter).
    An end beyond year 9999 or before year 1 is None, an open end.
    """
    match = _SHAPE.match(text)
    if match is None:
        return None
    try:
        low, high = _local_range(match)
    except ValueError:
        return None
    except OverflowError:
        return None
    return _utc(low), _utc(high)


def _local_range(match: re.Match[str]) -> tuple[datetime, datetime | None]:
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    at = datetime(int(year), int(month or 1), int(day or 1), tzinfo=_zone(zone))
    if hour is None:
        return at, _next(at, month is not None, day is not None)
    seconds = int(second or 0)
    if int(hour) > 23 or int(minute) > 59 or seconds > 60:
        raise ValueError("time of day")
    at += timedelta(hours=int(hour), minutes=int(minute), seconds=seconds)
    if second is None:
        return at, at + timedelta(minutes=1)
    if fraction is None:
        return at, at + timedelta(seconds=1)
    digits = fraction[:6]
    at += timedelta(microseconds=int(digits.ljust(6, "0")))
    return at, at + timedelta(microseconds=10 ** (6 - len(digits)))


def _next(at: datetime, has_month: bool, has_day: bool) -> datetime | None:
    """Start of the next year, month or day; None past the end of the calendar."""
    try:
        if has_day:
            return at + timedelta(days=1)
        if has_month and at.month < 12:
            return at.replace(month=at.month + 1)
        return at.replace(year=at.year + 1, month=1)
    except (ValueError, OverflowError):
        return None


def _zone(text: str | None) -> tzinfo:
    if text is None:
        return VIETNAM
    if text == "Z":
        return UTC
    minutes = int(text[1:3]) * 60 + int(text[4:6])
    return timezone(timedelta(minutes=-minutes if text[0] == "-" else minutes))


def _utc(at: datetime | None) -> datetime | None:
    if at is None:
        return None
    try:
        return at.astimezone(UTC)
    except OverflowError:
        return None
