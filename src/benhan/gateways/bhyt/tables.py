"""The tables of the insurance data set (XML0-XML15), read from ``data/*.csv``.

Source of law: QĐ 130/QĐ-BYT with 4750, 3176 and 1931/QĐ-BYT; see ``data/SOURCE.md``.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Literal

FieldType = Literal["text", "number", "date", "datetime"]
#: technical limits of the gateway that are narrower than the decision (rules §2)
_GATEWAY_LIMITS = {"LY_DO_VNT": 4000, "DU_PHONG": 4000, "MA_LK": 100}


@dataclass(frozen=True, slots=True)
class Field:
    """One tag of a table; ``max_length`` in characters, None for no limit."""

    table: str
    seq: int
    name: str
    type: FieldType
    max_length: int | None
    required: Literal["always", "conditional", "optional"]
    title: str


@dataclass(frozen=True, slots=True)
class Table:
    """One inner file: ``path`` from its root to the parent of ``item``, all tags in their order."""

    name: str
    path: tuple[str, ...]
    item: str
    title: str
    repeating: bool
    fields: tuple[Field, ...]

    def names(self) -> tuple[str, ...]:
        """Tag names in the order of the decision."""
        return tuple(f.name for f in self.fields)


@dataclass(frozen=True, slots=True)
class Code:
    """One entry of a code list."""

    system: str
    code: str
    title: str
    note: str


def _rows(name: str) -> list[dict[str, str]]:
    text = files("benhan.gateways.bhyt").joinpath("data").joinpath(name).read_text(encoding="utf-8-sig")
    return list(csv.DictReader(text.splitlines()))


def _field(row: Mapping[str, str]) -> Field:
    limit = int(row["max_length"]) if row["max_length"].isdigit() else None
    gateway = _GATEWAY_LIMITS.get(row["field"])
    if gateway is not None:
        limit = min(limit or gateway, gateway)
    kind = row["type"]
    if kind not in ("text", "number", "date", "datetime"):
        raise ValueError(f"unknown type {kind} of {row['table']}.{row['field']}")
    need = row["required"]
    if need not in ("always", "conditional", "optional"):
        raise ValueError(f"unknown need {need} of {row['table']}.{row['field']}")
    return Field(row["table"], int(row["seq"]), row["field"], kind, limit, need, row["title_vi"])  # type: ignore[arg-type]


@cache
def tables() -> Mapping[str, Table]:
    """All tables that have a file, by name, XML0 first."""
    fields: dict[str, list[Field]] = {}
    for row in _rows("fields.csv"):
        fields.setdefault(row["table"], []).append(_field(row))
    found: dict[str, Table] = {}
    for row in _rows("files.csv"):
        if not row["item element"]:
            continue
        name = row["table"]
        ordered = tuple(sorted(fields.get(name, []), key=lambda f: f.seq))
        found[name] = Table(
            name,
            tuple(row["root element path"].split("/")),
            row["item element"],
            row["title_vi"],
            row["repeating"] == "yes",
            ordered,
        )
    return MappingProxyType(found)


@cache
def codes(system: str) -> Mapping[str, Code]:
    """The code list ``system``; empty when there is none."""
    return MappingProxyType(
        {
            row["code"]: Code(system, row["code"], row["title_vi"], row["note"])
            for row in _rows("codes.csv")
            if row["code_system"] == system
        }
    )
