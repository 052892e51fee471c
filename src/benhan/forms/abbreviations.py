"""Abbreviations on papers that leave the facility (Thông tư 32/2023/TT-BYT Điều 52 khoản 2): found and named.

The list is a seed (``data/abbreviations``); hospitals differ, so a finding is a warning. An abbreviation with several
meanings is told with all of them; none is ever expanded silently.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from benhan.forms.model import Form, Item

_FILE = Path(__file__).parent / "data" / "abbreviations" / "abbreviations.csv"
_WORD = re.compile(r"[^\W_]+(?:[-/.][^\W_]+)*")


@lru_cache(maxsize=1)
def abbreviations() -> Mapping[str, tuple[str, ...]]:
    """Abbreviation → its meanings."""
    out: dict[str, list[str]] = {}
    with _FILE.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            meanings = out.setdefault(row["abbreviation"], [])
            meanings.extend(
                m.strip() for m in re.split(r"\||;| / ", row["expansion"]) if m.strip() not in meanings
            )
    return {k: tuple(v) for k, v in out.items()}


def leaves_facility(form: Form) -> bool:
    """Whether the paper is given to the patient or another facility: certificates and letters."""
    return form.kind == "giay" or form.layout.kind == "certificate"


def found_in(text: str) -> list[str]:
    """Abbreviations of the list that stand in a text as words of their own, each once."""
    known = abbreviations()
    return list(dict.fromkeys(word for word in _WORD.findall(text) if word in known and word != word.lower()))


def abbreviated(form: Form, answers: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(field name, sentence) for each abbreviation in the texts of a paper that leaves the facility."""
    if not leaves_facility(form):
        return
    for item in form.answerable():
        for name, part, value in _texts(item, answers.get(item.link_id)):
            for word in found_in(value):
                meanings = " hoặc ".join(abbreviations()[word])
                yield (
                    name,
                    f"{part.label}: “{word}” là chữ viết tắt ({meanings}). Giấy cấp ra ngoài phải viết đủ chữ.",
                )


def _texts(item: Item, value: Any) -> Iterator[tuple[str, Item, str]]:
    if item.type == "table" and isinstance(value, list):
        for n, row in enumerate(value):
            for column in item.children:
                for _, part, text in _texts(column, row.get(column.column)):
                    yield f"{item.link_id}#{n}.{column.column}", part, text
    elif item.type in ("text", "longtext"):
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str):
                yield item.link_id, item, text
