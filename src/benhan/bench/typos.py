"""How a second desk types a person: the table of faults, with the share of registrations that each befalls.

The shares are a guess for this project (confidence low), fixed and published here; the matcher never reads them.
"""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from datetime import date

from benhan.base.text import fold
from benhan.catalogue import communes
from benhan.identity import PersonInput

Fault = Callable[[random.Random, PersonInput], PersonInput]


def _letter(rng: random.Random, text: str, alphabet: str) -> str:
    """One sign wrong, left out, doubled, or changed with its neighbour."""
    if len(text) < 3:
        return text
    at = rng.randrange(1, len(text) - 1)
    kind = rng.random()
    if kind < 0.5:
        return text[:at] + rng.choice(alphabet) + text[at + 1 :]
    if kind < 0.7:
        return text[:at] + text[at + 1 :]
    if kind < 0.8:
        return text[:at] + text[at] + text[at:]
    return text[:at] + text[at + 1] + text[at] + text[at + 2 :]


def _digit(rng: random.Random, number: str) -> str:
    """As many digits, one of them wrong or two neighbours changed."""
    if len(number) < 3:
        return number
    at = rng.randrange(len(number) - 1)
    if rng.random() < 0.4 and number[at] != number[at + 1]:
        return number[:at] + number[at + 1] + number[at] + number[at + 2 :]
    other = rng.choice([d for d in "0123456789" if d != number[at]])
    return number[:at] + other + number[at + 1 :]


def _toneless(_: random.Random, p: PersonInput) -> PersonInput:
    return replace(p, name=fold(p.name).title())


def _one_tone(rng: random.Random, p: PersonInput) -> PersonInput:
    words = p.name.split()
    at = rng.randrange(len(words))
    words[at] = fold(words[at]).title() or words[at]
    return replace(p, name=" ".join(words))


def _no_middle(rng: random.Random, p: PersonInput) -> PersonInput:
    words = p.name.split()
    if len(words) < 3:
        return p
    del words[rng.randrange(1, len(words) - 1)]
    return replace(p, name=" ".join(words))


def _order(_: random.Random, p: PersonInput) -> PersonInput:
    words = p.name.split()
    return replace(p, name=" ".join([words[-1], *words[:-1]]))


def _name_letter(rng: random.Random, p: PersonInput) -> PersonInput:
    return replace(p, name=_letter(rng, p.name, "abcdeghiklmnopqrstuvxy"))


def _decomposed(_: random.Random, p: PersonInput) -> PersonInput:
    return replace(p, name=unicodedata.normalize("NFD", p.name.upper()))


def _year(_: random.Random, p: PersonInput) -> PersonInput:
    return replace(p, birth_date=p.birth_date[:4])


def _new_year(_: random.Random, p: PersonInput) -> PersonInput:
    return replace(p, birth_date=p.birth_date[:4] + "-01-01")


def _swapped(_: random.Random, p: PersonInput) -> PersonInput:
    if len(p.birth_date) < 10 or int(p.birth_date[8:]) > 12:
        return p
    return replace(p, birth_date=f"{p.birth_date[:4]}-{p.birth_date[8:]}-{p.birth_date[5:7]}")


def _birth_digit(rng: random.Random, p: PersonInput) -> PersonInput:
    for _ in range(20):
        typed = _digit(rng, p.birth_date.replace("-", ""))
        text = f"{typed[:4]}-{typed[4:6]}-{typed[6:]}" if len(typed) == 8 else typed
        try:
            if 1915 <= date.fromisoformat(text if len(text) == 10 else text + "-01-01").year <= 2026:
                return replace(p, birth_date=text)
        except ValueError:
            continue
    return p


def _sex(_: random.Random, p: PersonInput) -> PersonInput:
    return replace(p, sex="female" if p.sex == "male" else "male")


def _moved(rng: random.Random, p: PersonInput) -> PersonInput:
    unit = rng.choice(communes())
    where = f"Thôn {rng.randint(1, 12)}, {unit.full_name}, tỉnh Quảng Ngãi"
    return replace(p, commune_code=unit.code, address=where)


def _address_short(_: random.Random, p: PersonInput) -> PersonInput:
    return replace(p, address=p.address.replace("Thôn ", "thon ").replace(", tỉnh Quảng Ngãi", ", QN"))


def _other_phone(rng: random.Random, p: PersonInput) -> PersonInput:
    return replace(p, phone=f"0{rng.choice('3579')}{rng.randint(0, 99999999):08d}")


#: share of second registrations → fault; a registration may have several.
TABLE: tuple[tuple[float, Fault], ...] = (
    (0.12, _toneless),
    (0.10, _one_tone),
    (0.05, _no_middle),
    (0.01, _order),
    (0.06, _name_letter),
    (0.10, _decomposed),
    (0.03, _year),
    (0.02, _new_year),
    (0.02, _swapped),
    (0.03, _birth_digit),
    (0.01, _sex),
    (0.12, _moved),
    (0.40, _address_short),
    (0.25, _other_phone),
    (0.15, lambda _, p: replace(p, phone="")),
    (0.08, lambda _, p: replace(p, cccd="")),
    (0.02, lambda rng, p: replace(p, cccd=_digit(rng, p.cccd))),
    (0.25, lambda _, p: replace(p, bhxh="")),
    (0.01, lambda rng, p: replace(p, bhxh=_digit(rng, p.bhxh))),
)


def typed_again(rng: random.Random, person: PersonInput) -> PersonInput:
    """The person as another desk registers him."""
    for share, fault in TABLE:
        if rng.random() < share:
            person = fault(rng, person)
    return person
