"""Words of the pages: gettext with Vietnamese as the source language; the catalogue is read from ``locale/*.po``.

``N_`` marks a sentence for the catalogue where it is not yet known in which language it will be read.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

from babel.messages.pofile import read_po

LANGUAGES = {"vi": "Tiếng Việt", "en": "English"}
LOCALE_DIR = Path(__file__).parent / "locale"

Translate = Callable[[str], str]


def N_(text: str) -> str:
    """The text itself; only a mark for extraction."""
    return text


@cache
def messages(language: str) -> dict[str, str]:
    """Translations of a language by their Vietnamese text; empty for the source language."""
    path = LOCALE_DIR / language / "LC_MESSAGES" / "messages.po"
    if not path.exists():
        return {}
    with path.open("rb") as file:
        found = read_po(file, locale=language)
    return {str(m.id): str(m.string) for m in found if m.id and m.string and not m.fuzzy}


def translator(language: str) -> Translate:
    """``_`` for a language: what has no translation stays Vietnamese."""
    known = messages(language)
    return lambda text: known.get(text, text)
