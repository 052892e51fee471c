"""What the ICD-10 list says of a code in a claim: known, may be the main diagnosis, for which sex and age.

Source: annexes A2, A3, A4 of QĐ 4469/QĐ-BYT (list ended on 30/06/2026; ``data/rules/icd_age.yaml`` has the age rules).
"""

from __future__ import annotations

from datetime import date
from functools import cache
from importlib.resources import files

import yaml

from benhan.catalogue import Icd10, icd10, icd10_in_force


class Icd:
    """Answers for a code as it stands in a claim, dotted or not, with or without signs, by the list of a day.

    After the last day of the shipped list and before another is loaded, the shipped one still answers, and
    ``in_force`` is False.
    """

    def __init__(self, ages: dict[str, tuple[int | None, int | None]], on: date) -> None:
        self._ages = ages
        self._on = on
        self.in_force = icd10_in_force(on)

    def known(self, code: str) -> bool:
        """In the list."""
        return self._entry(code) is not None

    def main(self, code: str) -> bool:
        """May be the main diagnosis; an unknown code may."""
        entry = self._entry(code)
        return entry is None or not entry.not_main

    def sex(self, code: str) -> str:
        """``M`` or ``F`` when the code is for one sex only, else empty."""
        entry = self._entry(code)
        return "" if entry is None else entry.sex_only

    def fits_age(self, code: str, days: int) -> bool:
        """Whether somebody of so many full days may have it."""
        entry = self._entry(code)
        low, high = self._ages.get(entry.age_rule, (None, None)) if entry is not None else (None, None)
        return (low is None or days >= low) and (high is None or days <= high)

    def _entry(self, code: str) -> Icd10 | None:
        return icd10(code, self._on)


@cache
def _ages() -> dict[str, tuple[int | None, int | None]]:
    text = (files("benhan.gateways.bhyt") / "data" / "rules" / "icd_age.yaml").read_text(encoding="utf-8")
    return {rule: (limits[0], limits[1]) for rule, limits in yaml.safe_load(text).items()}


def icd(on: date) -> Icd:
    """The list of a day with its age rules."""
    return Icd(_ages(), on)
