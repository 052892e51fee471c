"""The tables that form files refer to: facts for ``populate``, code lists, ranges. Data in
``data/vocabulary``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from benhan.forms.model import Range
from benhan.forms.yaml_file import read_yaml

_FOLDER = Path(__file__).parent / "data" / "vocabulary"


@dataclass(frozen=True, slots=True)
class Fact:
    """A thing the record already knows. ``origin`` is shown beside the default; ``path`` is FHIRPath.

    ``papers``: it stands in earlier papers of the đợt, under one of ``items`` of a form whose code fits (``*/BV1``).
    """

    name: str
    origin: str
    path: str
    papers: str = ""
    items: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CodeList:
    """A code list that items may draw from; ``boxes`` squares are printed for its code."""

    name: str
    title: str
    system: str
    boxes: int | None = None


def range_of(raw: Mapping[str, Any]) -> Range:
    """A ``Range`` from its YAML mapping; numbers keep their written digits."""
    numbers = {k: Decimal(str(raw[k])) for k in ("min", "max", "low", "high") if k in raw}
    return Range(source=raw.get("source"), **numbers)


FACTS: Mapping[str, Fact] = {
    name: Fact(name, **{**raw, "items": tuple(raw.get("items", ()))})
    for name, raw in read_yaml(_FOLDER / "facts.yaml").data.items()
}
CODE_LISTS: Mapping[str, CodeList] = {
    k: CodeList(k, **v) for k, v in read_yaml(_FOLDER / "code-lists.yaml").data.items()
}
RANGES: Mapping[str, Range] = {k: range_of(v) for k, v in read_yaml(_FOLDER / "ranges.yaml").data.items()}
