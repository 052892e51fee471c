"""Vietnamese text: one normal form, folded search keys, trigrams, and the order of names.

PostgreSQL is run without extensions and with ``COLLATE "C"``; everything that depends on the language is
computed here and stored.
"""

from __future__ import annotations

import re
import unicodedata

_SPACES = re.compile(r"\s+")
_NOT_WORD = re.compile(r"[^0-9a-z]+")
_TONES = {"\u0300": 1, "\u0309": 2, "\u0303": 3, "\u0301": 4, "\u0323": 5}  # huyền, hỏi, ngã, sắc, nặng
_LETTERS = {c: i for i, c in enumerate("aăâbcdđeêfghijklmnoôơpqrstuưvwxyz")}


def nfc(text: str) -> str:
    """The text in Unicode NFC, the only form that is stored."""
    return unicodedata.normalize("NFC", text)


def squeeze(text: str) -> str:
    """NFC with runs of white space made one and the ends trimmed."""
    return _SPACES.sub(" ", nfc(text)).strip()


def fold(text: str) -> str:
    """Search key: lower case, tones and marks removed, ``đ`` → ``d``, other signs → one space."""
    bare = "".join(c for c in unicodedata.normalize("NFD", text.casefold()) if not unicodedata.combining(c))
    return _NOT_WORD.sub(" ", bare.replace("đ", "d")).strip()


def trigrams(text: str) -> frozenset[str]:
    """Trigrams of the folded words, each word padded by two spaces before and one after."""
    out: set[str] = set()
    for word in fold(text).split():
        padded = f"  {word} "
        out.update(padded[i : i + 3] for i in range(len(padded) - 2))
    return frozenset(out)


def _letter_key(word: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    letters: list[int] = []
    tones: list[int] = []
    for char in unicodedata.normalize("NFC", word.casefold()):
        tone = 0
        rest: list[str] = []
        for part in unicodedata.normalize("NFD", char):
            if part in _TONES:
                tone = _TONES[part]
            else:
                rest.append(part)
        base = unicodedata.normalize("NFC", "".join(rest))
        letters.append(_LETTERS.get(base, 100 + ord(base[0]) if base else 0))
        tones.append(tone)
    return tuple(letters), tuple(tones)


def name_sort_key(name: str) -> str:
    """Sortable ASCII key of a full name: given name (tên) first, then middle (đệm), then family (họ).

    Within a word, letters come before tones, in the Vietnamese order of both.
    """
    words = squeeze(name).split(" ")
    ordered = [words[-1], *words[1:-1], words[0]] if len(words) > 1 else words
    parts = []
    for word in ordered:
        letters, tones = _letter_key(word)
        parts.append("".join(f"{n:04x}" for n in letters) + "." + "".join(str(t) for t in tones))
    return "~".join(parts)
