"""Comparing two people field by field: weights are data, every point of the score is explained (pure).

Fellegi–Sunter: a field that agrees (or not) adds ``log2(m / u)`` bits, where m is how often this is seen between two
registrations of one human and u between two humans. A name that many bear says less than a rare one: its u is the share of
the people who bear it. Weights, shares and thresholds are learned (``benhan identity learn``) and shipped as data; the rules
of :func:`decide` say besides what no sum may override.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache, lru_cache
from math import log2
from pathlib import Path
from typing import Any, Literal

import yaml
from rapidfuzz.distance import OSA

from benhan.identity.faces import Face

Verdict = Literal["link", "review", "different"]
_SAME_NAME = ("exact", "same_folded", "same_words")
_BY_SHARE = frozenset(_SAME_NAME)


@dataclass(frozen=True, slots=True)
class Reason:
    """One field's part in a score. ``text`` is Vietnamese, ready for the page."""

    field: str
    level: str
    weight: float
    text: str


@cache
def weights() -> dict[str, Any]:
    """The table of weights in force (``data/weights.yaml``)."""
    return _table("weights.yaml")


@cache
def _words() -> dict[str, Any]:
    return _table("words.yaml")


def _table(name: str) -> dict[str, Any]:
    path = Path(__file__).parent / "data" / name
    return dict(yaml.safe_load(path.read_text(encoding="utf-8")))


@cache
def name_shares() -> dict[str, float]:
    """Folded full name → share of the people who bear it; rarer names than the rarest of the file are not in it."""
    path = Path(__file__).parent / "data" / "name_shares.csv"
    with path.open(encoding="utf-8", newline="") as file:
        return {row["name"]: float(row["share"]) for row in csv.DictReader(file)}


@cache
def threshold(name: str) -> float:
    """Bits from which two people are ``link``-ed, warned of as ``duplicate``, or shown as ``possible``."""
    return float(weights()["thresholds"][name])


def levels(one: Face, other: Face) -> dict[str, str]:
    """Field → level of agreement; a field that one of the two does not know is left out."""
    found = {
        "identifier": _number_level(one.cccd, other.cccd),
        "bhxh": _number_level(one.bhxh, other.bhxh),
        "document": "same" if one.other & other.other else "",
        "name": _name_level(one, other),
        "birth_date": _birth_level(one.birth, other.birth),
        "sex": _equal(one.sex, other.sex),
        "phone": _equal(one.phone, other.phone),
        "place": _place_level(one, other),
    }
    return {field: level for field, level in found.items() if level}


def compare(one: Face, other: Face) -> list[Reason]:
    """Reasons for and against the two being one person; silent fields say nothing."""
    return [_reason(field, level, one) for field, level in levels(one, other).items()]


def score(reasons: list[Reason]) -> float:
    """Sum of the weights, in bits."""
    return round(sum(r.weight for r in reasons), 2)


def probability(bits: float) -> float:
    """Chance, 0 to 1 in four digits, that a pair of such a score in the whole register is one human."""
    odds = bits - log2(float(weights()["people"]))
    return round(1 / (1 + 2 ** -max(-60.0, min(60.0, odds))), 4)


def decide(reasons: list[Reason]) -> Verdict:
    """What the hub may do by itself. ``link``: one human beyond doubt; ``review``: a steward looks; else ``different``.

    No sum links two people whose numbers contradict each other, whose name and birth both differ, or who share no number
    and are not alike in name and birth: twins, fathers and sons of one name, and borrowed cards end with the steward.
    Two valid numbers that are quite different tell two people apart; a number that agrees is always looked at.
    """
    return _verdict({r.field: r.level for r in reasons}, score(reasons))


def judge(one: Face, other: Face) -> tuple[Verdict, float]:
    """Verdict and bits without the words; what :func:`compare` and :func:`decide` would give, for millions of pairs."""
    found = levels(one, other)
    total = round(sum(_bits(field, level, one) for field, level in found.items()), 2)
    return _verdict(found, total), total


def _verdict(found: dict[str, str], total: float) -> Verdict:
    numbers = {found.get(field, "") for field in ("identifier", "bhxh", "document")}
    if total >= threshold("link") and _may_link(found, numbers):
        return "link"
    if "same" in numbers:
        return "review"
    return "review" if total >= threshold("review") and "different" not in numbers else "different"


def _may_link(found: dict[str, str], numbers: set[str]) -> bool:
    name, birth = found.get("name", ""), found.get("birth_date", "")
    alike = name in _SAME_NAME and birth == "exact"
    if "different" in numbers:
        return "same" in numbers and alike
    if "same" in numbers:
        return not (name == "different" and birth not in ("exact", "swapped"))
    if "near" in numbers:
        return name != "different" and birth != "different"
    return alike and found.get("sex") != "different"


def _reason(field: str, level: str, face: Face) -> Reason:
    table, bits = _words(), _bits(field, level, face)
    said = f"{bits:+g}".replace(".", ",")
    return Reason(field, level, bits, f"{table['fields'][field]}: {table['levels'][level]} ({said})")


def _bits(field: str, level: str, face: Face) -> float:
    if field == "name" and level in _BY_SHARE:
        return _name_bits(level, face.plain)
    return _fixed_bits(field, level)


@cache
def _fixed_bits(field: str, level: str) -> float:
    m, u = weights()["fields"][field][level]
    return round(log2(m / u), 2)


@lru_cache(maxsize=65536)
def _name_bits(level: str, plain: str) -> float:
    m, _ = weights()["fields"]["name"][level]
    return round(log2(m / max(name_shares().get(plain, 0.0), float(weights()["rarest_name"]))), 2)


def _equal(one: str, other: str) -> str:
    if not one or not other:
        return ""
    return "same" if one == other else "different"


def _number_level(one: str, other: str) -> str:
    if not one or not other:
        return ""
    if one == other:
        return "same"
    return "near" if OSA.distance(one, other, score_cutoff=1) == 1 else "different"


def _name_level(one: Face, other: Face) -> str:
    if not one.plain or not other.plain:
        return ""
    if one.name == other.name:
        return "exact"
    if one.plain == other.plain:
        return "same_folded"
    if one.words == other.words:
        return "same_words"
    if OSA.distance(one.plain, other.plain, score_cutoff=1) <= 1:
        return "near"
    if one.first == other.first and one.last == other.last and _lacks_middle(one, other):
        return "no_middle"
    return "same_ends" if one.first == other.first and one.last == other.last else "different"


def _lacks_middle(one: Face, other: Face) -> bool:
    a, b = one.plain.split(), other.plain.split()
    return len(a) != len(b) and (set(a) <= set(b) or set(b) <= set(a))


def _birth_level(one: str, other: str) -> str:
    if not one or not other:
        return ""
    if one == other:
        return "exact" if len(one) == 10 else "same_year"
    if len(one) < 10 or len(other) < 10:
        return "same_year" if one[:4] == other[:4] else "different"
    if one[:4] == other[:4] and one[5:7] == other[8:] and one[8:] == other[5:7]:
        return "swapped"
    if OSA.distance(one, other, score_cutoff=1) == 1:
        return "near"
    if one[:4] == other[:4] and "01-01" in (one[5:], other[5:]):
        return "same_year"
    return "different"


def _place_level(one: Face, other: Face) -> str:
    """``address``: one commune and the same numbers in the address; ``commune``: only the commune."""
    if not one.commune or not other.commune:
        return ""
    if one.commune != other.commune:
        return "different"
    return "address" if one.house and one.house == other.house else "commune"
