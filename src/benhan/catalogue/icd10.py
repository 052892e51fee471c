"""ICD-10 Việt Nam: search as a doctor types, with or without tones, by abbreviation or by code.

List: annex of QĐ 4469/QĐ-BYT. ``on`` (end of the visit) is taken so that a later list can stand beside it.
"""

from __future__ import annotations

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


@cache
def _by_key() -> dict[str, Icd10]:
    found: dict[str, Icd10] = {}
    for entry in _all():
        found.setdefault(entry.key, entry)
        found.setdefault(entry.key.replace(".", ""), entry)
    return found


@cache
def _folded() -> tuple[tuple[str, str, Icd10], ...]:
    return tuple((f" {_bare(fold(e.title))} ", e.key.replace(".", "").lower(), e) for e in _all())


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


def icd10(code: str) -> Icd10 | None:
    """The row of a code, dotted or not, with or without dagger; None when there is none."""
    return _by_key().get(code.strip().rstrip("†*+ ").upper())


def icd10_search(text: str, limit: int = 20, *, on: date | None = None) -> list[Icd10]:
    """Rows that fit what was typed, best first: code prefix, then words of the title or of an abbreviation."""
    folded = fold(text)
    if not folded:
        return []
    compact = folded.replace(" ", "")
    wordings = _wordings(folded)
    scored: list[tuple[int, int, str, Icd10]] = []
    seen: set[str] = set()
    for title, code, entry in _folded():
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
