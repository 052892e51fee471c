"""Invented people: names by the shares of the province's ethnic groups, births by the age pyramid, numbers by pattern.

Nobody here exists. Everything is drawn from the ``random.Random`` that is handed in: the same seed gives the same people.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import date, timedelta
from functools import cache
from itertools import accumulate
from typing import TypeVar

from benhan.catalogue.places import names

T = TypeVar("T")
KINH = "01"
SEXES = ("male", "female")


@cache
def _shares(weights: tuple[float, ...]) -> list[float]:
    return list(accumulate(weights))


def weighted(rng: random.Random, choices: Sequence[T], weights: tuple[float, ...]) -> T:
    """One of ``choices`` by its weight."""
    return rng.choices(choices, cum_weights=_shares(weights))[0]


@cache
def _table(which: str) -> tuple[tuple[str, ...], tuple[float, ...]]:
    parts = names()
    rows = {
        "surname": parts.surnames,
        "ethnicity": tuple((code, share) for code, _, share in parts.ethnicities),
        "age": parts.ages,
    }[which]
    return tuple(name for name, _ in rows), tuple(share for _, share in rows)


@cache
def _patterns() -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for pattern in names().patterns:
        found.setdefault(pattern["code"], pattern)
    return found


@cache
def _minority_given(letter: str) -> tuple[str, ...]:
    return tuple(given.removeprefix("H' ") for sex, given in names().minority_given if sex == letter)


def invented_ethnicity(rng: random.Random) -> str:
    """Code of an ethnic group, by its share in the province."""
    return weighted(rng, *_table("ethnicity"))


def invented_name(rng: random.Random, sex: str, ethnicity: str) -> str:
    """A full name of the pattern of the group; Kinh where the group's pattern is not known."""
    pattern = _patterns().get(ethnicity)
    if ethnicity == KINH or pattern is None:
        surname = weighted(rng, *_table("surname"))
        return f"{surname} {invented_given(rng, sex)}"
    surname = _prefix(rng, pattern["surnames_or_prefix"], sex)
    return " ".join(f"{surname} {_middle(pattern['middle'] or '', sex)} {_minority(rng, sex)}".split())


def invented_given(rng: random.Random, sex: str) -> str:
    """Middle and given name of a Kinh person."""
    given = rng.choice(names().given_male if sex == "male" else names().given_female)
    return given if " " in given else f"{'Văn' if sex == 'male' else 'Thị'} {given}"


def _minority(rng: random.Random, sex: str) -> str:
    return rng.choice(_minority_given("m" if sex == "male" else "f"))


def _middle(middles: str, sex: str) -> str:
    options = [m for m in middles.split("|") if m]
    middle = "" if not options else options[0 if sex == "male" else -1]
    if "(nữ)" in middle:
        return middle.replace("(nữ)", "").strip() if sex == "female" else ""
    return middle


def _prefix(rng: random.Random, choices: str, sex: str) -> str:
    """One family or sex prefix; a choice marked ``(nam)`` or ``(nữ)`` is for that sex only."""
    mark, other = ("(nam)", "(nữ)") if sex == "male" else ("(nữ)", "(nam)")
    fitting = [c for c in choices.split("|") if other not in c]
    return rng.choice(fitting).replace(mark, "").strip()


def invented_birth(rng: random.Random, today: date) -> date:
    """A day of birth by the age pyramid."""
    low, _, high = weighted(rng, *_table("age")).replace("+", "-95").partition("-")
    years = rng.randint(int(low), int(high or low))
    return today - timedelta(days=years * 365 + rng.randint(0, 364))


def invented_cccd(rng: random.Random, sex: str, birth: date) -> str:
    """A number of the published pattern (identifiers, section 1) with a random tail."""
    century = {19: 0, 20: 2}[birth.year // 100] + (0 if sex == "male" else 1)
    return f"{rng.choice(('051', '062'))}{century}{birth.year % 100:02d}{rng.randint(0, 999999):06d}"
