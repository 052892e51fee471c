"""Reading the text of tags: moments, dates and numbers. Pure."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache

from benhan.gateways.bhyt.money import ZERO
from benhan.gateways.bhyt.package import Row


@lru_cache(maxsize=65536)
def moment(text: str) -> datetime | None:
    """``yyyymmddHHMM`` or ``yyyymmdd`` as a local wall-clock time without zone; None when it is none."""
    if len(text) not in (8, 12) or not text.isascii() or not text.isdigit():
        return None
    hour, minute = (int(text[8:10]), int(text[10:12])) if len(text) == 12 else (0, 0)
    try:
        return datetime(int(text[:4]), int(text[4:6]), int(text[6:8]), hour, minute)  # noqa: DTZ001 - wall clock
    except ValueError:
        return None


def day_of(text: str) -> date | None:
    """The calendar day of a moment or date tag; None when it is none."""
    at = moment(text)
    return at.date() if at else None


#: significant digits and order of magnitude that FHIR asks of a number (and that money needs)
_DIGITS = 18


def fits(value: Decimal) -> bool:
    """Whether a number is one that FHIR and money can carry; ``1E999`` in a tag is text, not an amount."""
    return value.is_finite() and len(value.as_tuple().digits) <= _DIGITS and abs(value.adjusted()) < _DIGITS


def number(row: Row, name: str) -> Decimal:
    """Value of a number tag; 0 when empty or not a number."""
    try:
        value = Decimal(row.get(name) or "0")
    except InvalidOperation:
        return ZERO
    return value if fits(value) else ZERO


def parts(row: Row, name: str) -> list[str]:
    """The values of a tag that holds several, divided by ``;``, without empty ones."""
    return [part.strip() for part in row.get(name).split(";") if part.strip()]
