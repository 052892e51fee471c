"""Reading data files and choosing the row that is valid on a date."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import yaml

from benhan.base.errors import RuleViolation

DATA = Path(__file__).parent / "data"
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Period:
    """Days from ``start`` to ``end``, both included; ``end`` None is open."""

    start: date
    end: date | None

    def holds(self, on: date) -> bool:
        """True when the day lies inside."""
        return self.start <= on and (self.end is None or on <= self.end)


def period(row: dict[str, Any]) -> Period:
    """Period of a row with ``valid_from`` and ``valid_to`` (text, date or empty)."""
    return Period(_day(row["valid_from"]) or date.min, _day(row.get("valid_to")))


def _day(value: Any) -> date | None:
    if value in (None, ""):
        return None
    return value if isinstance(value, date) else date.fromisoformat(str(value))


def data_file(name: str) -> Path:
    """Path of a data file of the catalogue, such as ``names/given_male.txt``."""
    return DATA / name


@cache
def rows(name: str) -> tuple[dict[str, str], ...]:
    """Rows of a CSV file of the catalogue."""
    with data_file(name).open(encoding="utf-8", newline="") as file:
        return tuple(csv.DictReader(file))


@cache
def table(name: str) -> tuple[dict[str, Any], ...]:
    """Entries of a YAML file of the catalogue (a list of mappings)."""
    return tuple(yaml.safe_load(data_file(name).read_text(encoding="utf-8")))


def valid_on(entries: Iterable[dict[str, Any]], on: date, what: str) -> dict[str, Any]:
    """The entry valid on the day.

    Raises: ``RuleViolation`` (catalogue.nothing-valid) when no entry covers the day.
    """
    for entry in entries:
        if period(entry).holds(on):
            return entry
    raise RuleViolation(
        "catalogue.nothing-valid", f"Danh mục không có dữ liệu hiệu lực ngày {on:%d/%m/%Y}.", diagnostics=what
    )


def faults_of_periods(
    entries: Sequence[T], key: Callable[[T], object], span: Callable[[T], Period]
) -> list[str]:
    """Overlaps and gaps between the periods of entries with the same key; empty when all is well."""
    groups: dict[object, list[Period]] = {}
    for entry in entries:
        groups.setdefault(key(entry), []).append(span(entry))
    faults = []
    for name, periods in groups.items():
        ordered = sorted(periods, key=lambda p: p.start)
        for earlier, later in pairwise(ordered):
            if earlier.end is None or later.start <= earlier.end:
                faults.append(f"{name}: overlap at {later.start}")
            elif (later.start - earlier.end).days != 1:
                faults.append(f"{name}: gap after {earlier.end}")
    return faults
