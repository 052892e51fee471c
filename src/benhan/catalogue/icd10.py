"""ICD-10 Việt Nam: search as a doctor types, with or without tones, by abbreviation or by code.

Shipped list: annex of QĐ 4469/QĐ-BYT, in force until 30/06/2026. The list of TT 06/2026/TT-BYT stands beside it once an
administrator has loaded it (`use_icd10`); ``on`` (end of the visit) chooses between them, None knows the codes of both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache

from benhan.base.text import fold
from benhan.catalogue.validity import rows


@dataclass(frozen=True, slots=True)
class Icd10:
    """One row of the list. ``code`` as printed (may end in † or *), ``key`` the code without signs."""

    code: str
    title: str
    category: str
    block: str
    chapter: str
    not_main: bool
    sex_only: str
    age_rule: str

    @property
    def key(self) -> str:
        """Code for resources and claims: dotted, without dagger or asterisk."""
        return self.code.rstrip("†*+ ")


_RARE_CHAPTERS = ("XV", "XVI")  # pregnancy and the newborn: after the same disease of everybody else


@cache
def _all() -> tuple[Icd10, ...]:
    return tuple(
        Icd10(
            r["code"], r["title_vi"], r["category"], r["block"], r["chapter"],
            r["not_main"] == "1", r["sex_only"], r["age_rule"],
        )
        for r in rows("icd10/icd10_vi.csv")
    )  # fmt: skip


#: last day of the shipped list
LAST_DAY = date(2026, 6, 30)
_later: dict[date, tuple[Icd10, ...]] = {}


def use_icd10(entries: Sequence[Icd10], valid_from: date) -> None:
    """Put a later list in force from a day on; no entries take it out again."""
    _later.clear()
    if entries:
        _later[valid_from] = tuple(entries)
    _by_key.cache_clear()
    _folded.cache_clear()


def later_icd10() -> date | None:
    """First day of the list that stands beside the shipped one; None when there is none."""
    return max(_later, default=None)


def icd10_list(on: date | None) -> tuple[Icd10, ...]:
    """The whole list of a day; None: all that is known."""
    return tuple(_listed(_which(on)))


def icd10_in_force(on: date) -> bool:
    """Whether a list is known that is in force on the day."""
    return on <= LAST_DAY or any(first <= on for first in _later)


def _listed(which: date | None) -> tuple[Icd10, ...]:
    """The later list that began on ``which``, the shipped one for `date.min`, both for None."""
    if which is None:
        return (*(e for entries in _later.values() for e in entries), *_all())
    return _later.get(which) or _all()


def _which(on: date | None) -> date | None:
    if on is None:
        return None
    return max((first for first in _later if first <= on), default=date.min)


@cache
def _by_key(which: date | None) -> dict[str, Icd10]:
    found: dict[str, Icd10] = {}
    for entry in _listed(which):
        found.setdefault(entry.key, entry)
        found.setdefault(entry.key.replace(".", ""), entry)
    return found


@cache
def _folded(which: date | None) -> tuple[tuple[str, str, Icd10], ...]:
    return tuple((f" {_bare(fold(e.title))} ", e.key.replace(".", "").lower(), e) for e in _listed(which))


def _bare(title: str) -> str:
    """Title without the general word it opens with: people type *tăng huyết áp*, not *bệnh lý tăng huyết áp*."""
    for opening in ("benh ly ", "benh ", "cac "):
        title = title.removeprefix(opening) if title.count(" ") > opening.count(" ") else title
    return title


@cache
def abbreviations() -> dict[str, tuple[str, ...]]:
    """Folded abbreviation → folded expansions; several when it is ambiguous."""
    out: dict[str, list[str]] = {}
    for row in rows("abbreviations/abbreviations.csv"):
        for short in row["abbreviation"].split(","):
            out.setdefault(fold(short), []).append(fold(row["expansion"].split("(")[0]))
    return {short: tuple(dict.fromkeys(long)) for short, long in out.items()}


def icd10(code: str, on: date | None = None) -> Icd10 | None:
    """The row of a code, dotted or not, with or without dagger; None when there is none (in the list of the day)."""
    return _by_key(_which(on)).get(code.strip().rstrip("†*+ ").upper())


def icd10_search(text: str, limit: int = 20, *, on: date | None = None) -> list[Icd10]:
    """Rows that fit what was typed, best first: code prefix, then words of the title or of an abbreviation."""
    folded = fold(text)
    if not folded:
        return []
    compact = folded.replace(" ", "")
    wordings = _wordings(folded)
    scored: list[tuple[int, int, str, Icd10]] = []
    seen: set[str] = set()
    for title, code, entry in _folded(_which(on)):
        score = _score(title, code, compact, wordings)
        if score is not None and entry.code not in seen:
            seen.add(entry.code)
            rank = score + (2 if entry.not_main else 0) + (1 if entry.chapter in _RARE_CHAPTERS else 0)
            scored.append((rank, len(title), entry.code, entry))
    scored.sort(key=lambda s: s[:3])
    return [s[3] for s in scored[:limit]]


def _wordings(folded: str) -> list[tuple[str, list[str]]]:
    """What was typed, and the same with each abbreviation written out (every reading of an ambiguous one)."""
    known = abbreviations()
    readings = [folded]
    if folded in known:
        readings += known[folded]
    else:
        words = folded.split()
        for place, word in enumerate(words):
            for long in known.get(word, ())[:3]:
                readings.append(" ".join([*words[:place], long, *words[place + 1 :]]))
    return [(reading, reading.split()) for reading in readings[:8]]


def _score(title: str, code: str, compact: str, wordings: list[tuple[str, list[str]]]) -> int | None:
    if code == compact:
        return 0
    if code.startswith(compact) and len(compact) >= 2:
        return 1
    best: int | None = None
    for phrase, words in wordings:
        if phrase not in title and not all(f" {w}" in title for w in words):
            continue
        if title.startswith(f" {phrase} "):
            here = 10
        elif title.startswith(f" {phrase}"):
            here = 11
        elif f" {phrase}" in title:
            here = 14
        elif all(f" {w}" in title for w in words):
            here = 18
        else:
            here = 24
        best = here if best is None else min(best, here)
    return best
