"""What an expression sees of a package: lines with typed values, tables, and questions to the catalogues."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any

from benhan.base.errors import RuleViolation
from benhan.gateways.bhyt.money import split
from benhan.gateways.bhyt.package import Package, Row
from benhan.gateways.bhyt.rules.icd import icd
from benhan.gateways.bhyt.rules.settings import setting
from benhan.gateways.bhyt.tables import generation, listed, tables
from benhan.gateways.bhyt.values import moment

#: date tags that hold one value for each card: read as text
_SEVERAL = frozenset({("XML1", "GT_THE_TU"), ("XML1", "GT_THE_DEN"), ("XML1", "NGAY_TAI_KHAM")})


class Line(dict[str, Any]):
    """One line; each tag is read into its type once, at first need."""

    __slots__ = ("row", "types")

    def __init__(self, row: Row, types: Mapping[str, str]) -> None:
        super().__init__()
        self.row = row
        self.types = types

    def __missing__(self, name: str) -> Any:
        value = self[name] = _typed(self.row.get(name), self.types.get(name, "text"))
        return value

    def __hash__(self) -> int:  # type: ignore[override]
        return id(self)


def _typed(text: str, kind: str) -> Any:
    if kind == "number":
        try:
            value = Decimal(text) if text else None
        except InvalidOperation:
            return None
        return value if value is None or value.is_finite() else None
    if kind in ("date", "datetime"):
        return moment(text)
    return text


class Case(dict[str, Any]):
    """A package on a day: ``case['XML3']`` its lines, ``case['listed']`` a question to the code lists."""

    def __init__(self, package: Package, on: date) -> None:
        super().__init__()
        self.package = package
        self.on = on
        self.lines = {
            name: tuple(Line(row, _types(name, on, generation())) for row in package.table(name))
            for name in tables(on)
        }
        self.head: Mapping[str, Any] = self.lines["XML1"][0] if self.lines["XML1"] else _Nothing()
        self.line: Line | None = None
        self._counts: dict[tuple[str, tuple[str, ...]], Counter[tuple[str, ...]]] = {}
        self._periods = _periods(self.head)
        self.update(self.lines)
        diseases = icd(on)
        self.update(
            listed=self._listed,
            setting=lambda name: setting(str(name), on),
            covered=self._covered,
            times=self._times,
            package_facility=lambda: package.facility,
            icd_known=diseases.known,
            icd_main=diseases.main,
            icd_sex=diseases.sex,
            icd_age=diseases.fits_age,
            icd_in_force=lambda: diseases.in_force,
            share=_share,
        )

    def _listed(self, code: str, *systems: str) -> bool:
        """Whether a code stands in one of the lists on that day; an empty list says nothing."""
        known, _ = listed(tuple(systems), self.on)
        return not known or code in known

    def _covered(self, at: datetime) -> bool:
        """Whether some card of XML1 holds on that day; unknown periods say nothing."""
        day = at.date()
        return not self._periods or any(first <= day <= last for first, last in self._periods)

    def _times(self, *tags: str) -> int:
        """How many lines of the judged line's table say the same in these tags."""
        line = self.line
        if line is None:
            return 0
        key = (line.row.table, tags)
        if key not in self._counts:
            rows = self.package.table(line.row.table)
            self._counts[key] = Counter(tuple(row.get(tag) for tag in tags) for row in rows)
        return self._counts[key][tuple(line.row.get(tag) for tag in tags)]


@lru_cache(maxsize=256)
def _types(name: str, on: date, generation: int) -> Mapping[str, str]:
    return {f.name: "text" if _is_text(name, f.name, on) else f.type for f in tables(on)[name].fields}


def _is_text(table: str, name: str, on: date) -> bool:
    """Codes are text even where the decision calls them numbers: ``01`` is not ``1``."""
    if (table, name) in _SEVERAL or name.startswith("MA_"):
        return True
    return name != "TYLE_TT_DV" and bool(listed((f"{table}.{name}", name), on)[0])


def _periods(head: Mapping[str, Any]) -> list[tuple[date, date]]:
    """Validity of each card as XML1 tells it; an empty end is open."""
    starts, ends = (str(head["GT_THE_TU"] or "").split(";"), str(head["GT_THE_DEN"] or "").split(";"))
    found: list[tuple[date, date]] = []
    for index, start in enumerate(starts):
        first, last = moment(start), moment(ends[index]) if index < len(ends) else None
        if first:
            found.append((first.date(), last.date() if last else date.max))
    return found


def _share(bv: Decimal, bh: Decimal, percent: Decimal, other: Decimal | None, which: str) -> Decimal | None:
    """T_BNTT, T_BNCCT or T_BHTT that follows from the amounts of a line."""
    try:
        due = split(bv, bh, percent, other or Decimal(0))
    except RuleViolation:
        return None
    return {"T_BNTT": due.bntt, "T_BNCCT": due.bncct, "T_BHTT": due.bhtt}[which]


class _Nothing(dict[str, Any]):
    """The head of a package without XML1: every tag is empty."""

    def __missing__(self, name: str) -> Any:
        return None
