"""A generated province: who lives there, and how its people stand in the registers of its facilities, duplicates included.

Everything comes from the frequency files of ``catalogue`` and a seed. The matcher never sees this module nor the table of
typing faults (:mod:`benhan.bench.typos`). Shares are published here:

* households of one to six under one address and one phone; 1.2 % of the people are twins of the one before;
* 2 % have no citizen number; 7 % have no mã số BHXH; 1.5 % know only the year of their birth;
* 1 % stand in the registers twice, the second time as another desk typed them.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date

from benhan.bench.typos import typed_again
from benhan.catalogue import Commune, communes
from benhan.catalogue.invented import (
    KINH,
    SEXES,
    invented_birth,
    invented_cccd,
    invented_ethnicity,
    invented_given,
    invented_name,
)
from benhan.identity import PersonInput

TODAY = date(2026, 11, 23)
NO_NUMBER, NO_BHXH, YEAR_ONLY, TWINS, TWICE, NO_PHONE = 0.02, 0.07, 0.015, 0.012, 0.01, 0.2


class _Numbers:
    """Numbers that nobody else has."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._taken: set[str] = set()

    def _fresh(self, make: Callable[[], str]) -> str:
        while (number := make()) in self._taken:
            pass
        self._taken.add(number)
        return number

    def cccd(self, sex: str, born: date) -> str:
        return self._fresh(lambda: invented_cccd(self._rng, sex, born))

    def bhxh(self) -> str:
        return self._fresh(lambda: f"{self._rng.randint(0, 9999999999):010d}")


@dataclass(frozen=True, slots=True)
class Registered:
    """One registration. ``truth``: which human it is. ``slices``: twins, no-number, minority, year-only."""

    person: PersonInput
    truth: int
    slices: frozenset[str]


def registrations(people: int, seed: int) -> Iterator[Registered]:
    """Registrations of ``people`` humans in order; a second registration follows its first at once."""
    rng = random.Random(seed)
    numbers = _Numbers(rng)
    truth = 0
    while truth < people:
        for first in _household(rng, numbers, truth, people):
            yield first
            if rng.random() < TWICE:
                again = typed_again(rng, first.person)
                yield Registered(again, first.truth, _slices(again, "twins" in first.slices))
            truth = first.truth + 1


def _household(rng: random.Random, numbers: _Numbers, start: int, end: int) -> Iterator[Registered]:
    commune = rng.choice(communes())
    address = f"Thôn {rng.randint(1, 12)}, {commune.full_name}, tỉnh Quảng Ngãi"
    phone = "" if rng.random() < NO_PHONE else f"0{rng.choice('3579')}{rng.randint(0, 99999999):08d}"
    group = invented_ethnicity(rng)
    family, truth, size = "", start, rng.randint(1, 6)
    while truth < min(start + size, end):
        person = _person(rng, numbers, group, family, commune, address, phone)
        family = family or person.name.split()[0]
        if rng.random() < TWINS / 2 and truth + 1 < end:
            other = _twin(rng, numbers, person, group)
            yield Registered(person, truth, _slices(person, True))
            yield Registered(other, truth + 1, _slices(other, True))
            truth += 2
        else:
            yield Registered(person, truth, _slices(person, False))
            truth += 1


def _person(
    rng: random.Random,
    numbers: _Numbers,
    group: str,
    family: str,
    commune: Commune,
    address: str,
    phone: str,
) -> PersonInput:
    sex = rng.choice(SEXES)
    born = invented_birth(rng, TODAY)
    name = invented_name(rng, sex, group)
    if group == KINH and family and rng.random() < 0.6:
        name = f"{family} {invented_given(rng, sex)}"
    own_phone = phone if rng.random() < 0.5 else f"0{rng.choice('3579')}{rng.randint(0, 99999999):08d}"
    return PersonInput(
        name=name,
        birth_date=born.isoformat() if rng.random() >= YEAR_ONLY else str(born.year),
        sex=sex,
        cccd="" if rng.random() < NO_NUMBER else numbers.cccd(sex, born),
        bhxh="" if rng.random() < NO_BHXH else numbers.bhxh(),
        phone=own_phone if phone else "",
        address=address,
        commune_code=commune.code,
        ethnicity=group,
    )


def _twin(rng: random.Random, numbers: _Numbers, one: PersonInput, group: str) -> PersonInput:
    """Born on the same day, often of the same sex and with a name that differs in the last word only."""
    sex = one.sex if rng.random() < 0.65 else SEXES[one.sex == SEXES[0]]
    words, fresh = one.name.split(), invented_name(rng, sex, group).split()
    name = " ".join([*words[:-1], fresh[-1]] if sex == one.sex else [words[0], *fresh[1:]])
    if name == one.name:
        name = " ".join([words[0], *invented_given(rng, sex).split()])
    born = (
        date.fromisoformat(one.birth_date) if len(one.birth_date) == 10 else date(int(one.birth_date), 6, 1)
    )
    return replace(
        one,
        name=name,
        sex=sex,
        cccd="" if not one.cccd else numbers.cccd(sex, born),
        bhxh="" if not one.bhxh else numbers.bhxh(),
    )


def _slices(person: PersonInput, twin: bool) -> frozenset[str]:
    found = {"twins"} if twin else set()
    if not person.cccd:
        found.add("no-number")
    if person.ethnicity != KINH:
        found.add("minority")
    if len(person.birth_date) == 4:
        found.add("year-only")
    return frozenset(found)
