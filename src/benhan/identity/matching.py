"""Comparing two people field by field: weights are data, every point of the score is explained (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from benhan.base.text import fold, nfc, squeeze, trigrams
from benhan.identity.person import PersonInput


@dataclass(frozen=True, slots=True)
class Reason:
    """One field's part in a score. ``text`` is Vietnamese, ready for the page."""

    field: str
    level: str
    weight: float
    text: str


@cache
def _weights() -> dict[str, Any]:
    path = Path(__file__).parent / "data" / "weights.yaml"
    return dict(yaml.safe_load(path.read_text(encoding="utf-8")))


def threshold(name: str) -> float:
    """Score from which two people count as ``duplicate`` or ``possible``."""
    return float(_weights()["thresholds"][name])


def compare(one: PersonInput, other: PersonInput) -> list[Reason]:
    """Reasons for and against the two being one person; silent fields say nothing."""
    levels = {
        "identifier": _equal(one.cccd, other.cccd) or _equal(one.passport, other.passport),
        "bhxh": _equal(bhxh_number(one), bhxh_number(other)),
        "name": _name_level(one.name, other.name),
        "birth_date": _birth_level(one.birth_date, other.birth_date),
        "sex": _equal(_known_sex(one), _known_sex(other)),
        "commune": _equal(one.commune_code, other.commune_code),
        "address": _address_level(one.address, other.address),
        "phone": _equal(_digits(one.phone), _digits(other.phone)),
    }
    return [_reason(field, level) for field, level in levels.items() if level]


def score(reasons: list[Reason]) -> float:
    """Sum of the weights, in bits."""
    return round(sum(r.weight for r in reasons), 2)


def _reason(field: str, level: str) -> Reason:
    table = _weights()
    weight = float(table["fields"][field].get(level, 0.0))
    return Reason(field, level, weight, f"{table['words'][field]}: {table['levels'][level]} ({weight:+g})")


def bhxh_number(person: PersonInput) -> str:
    """The lifelong 10-digit mã số BHXH, from the number itself or the tail of a 15-character card."""
    if person.bhxh:
        return person.bhxh
    return person.bhyt[5:] if len(person.bhyt) == 15 else person.bhyt if len(person.bhyt) == 10 else ""


def _known_sex(person: PersonInput) -> str:
    return person.sex if person.sex in ("male", "female") else ""


def _digits(text: str) -> str:
    digits = "".join(c for c in text if c.isdigit())
    return "0" + digits[2:] if digits.startswith("84") and len(digits) == 11 else digits


def _equal(one: str, other: str) -> str:
    if not one or not other:
        return ""
    return "same" if one == other else "different"


def _name_level(one: str, other: str) -> str:
    if not one or not other:
        return ""
    if squeeze(nfc(one)).casefold() == squeeze(nfc(other)).casefold():
        return "exact"
    a, b = fold(one).split(), fold(other).split()
    if a == b:
        return "same_folded"
    if abs(len(a) - len(b)) <= 1 and len(set(a) ^ set(b)) <= 2 and set(a) & set(b) and a[-1] == b[-1]:
        return "one_word_differs"
    grams, other_grams = trigrams(one), trigrams(other)
    overlap = len(grams & other_grams) / max(1, len(grams | other_grams))
    return "similar" if overlap >= 0.6 else "different"


def _birth_level(one: str, other: str) -> str:
    if not one or not other:
        return ""
    if one == other:
        return "exact" if len(one) == 10 else "same_year_month" if len(one) == 7 else "same_year"
    if len(one) == len(other) == 10:
        if one[:4] == other[:4] and one[5:7] == other[8:] and one[8:] == other[5:7]:
            return "day_month_swapped"
        if sum(a != b for a, b in zip(one, other, strict=True)) == 1:
            return "near"
    if one[:7] == other[:7] and min(len(one), len(other)) >= 7:
        return "same_year_month"
    return "same_year" if one[:4] == other[:4] else "different"


def _address_level(one: str, other: str) -> str:
    if not one or not other:
        return ""
    grams, other_grams = trigrams(one), trigrams(other)
    overlap = len(grams & other_grams) / max(1, len(grams | other_grams))
    return "similar" if overlap >= 0.5 else "different"
