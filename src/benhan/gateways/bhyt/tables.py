"""The tables of the insurance data set (XML0-XML15) as they hold on a day, read from ``data/*.csv``.

Source of law: QĐ 130/QĐ-BYT with 4750, 3176 and 1931/QĐ-BYT; see ``data/SOURCE.md``. Each row has its validity and how
far it may be trusted. A row that is not ``high`` may be replaced by an administrator: ``home/bhyt/fields.csv`` and
``home/bhyt/codes.csv``, same columns, read by :func:`use_local`.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cache, lru_cache
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Literal, cast

from benhan.base.errors import ConfigurationError

FieldType = Literal["text", "number", "date", "datetime"]
Need = Literal["always", "conditional", "optional"]
#: technical limits of the gateway that are narrower than the decision (rules §2)
_GATEWAY_LIMITS = {"LY_DO_VNT": 4000, "DU_PHONG": 4000, "MA_LK": 100}
_FIELDS, _CODES, _FILES = "fields.csv", "codes.csv", "files.csv"
_KEYS = {_FIELDS: ("table", "seq"), _CODES: ("code_system", "code")}
_local: dict[str, Path | None] = {"folder": None}
_generation = [0]


@dataclass(frozen=True, slots=True)
class Field:
    """One tag of a table; ``max_length`` in characters, None for no limit; ``certain``: the source is beyond doubt."""

    table: str
    seq: int
    name: str
    type: FieldType
    max_length: int | None
    required: Need
    title: str
    note: str
    certain: bool


@dataclass(frozen=True, slots=True)
class Table:
    """One inner file: ``path`` from its root to the parent of ``item``, all tags in their order."""

    name: str
    path: tuple[str, ...]
    item: str
    title: str
    repeating: bool
    fields: tuple[Field, ...]
    _names: tuple[str, ...] = field(init=False, compare=False, repr=False)
    name_set: frozenset[str] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_names", tuple(f.name for f in self.fields))
        object.__setattr__(self, "name_set", frozenset(self._names))

    def names(self) -> tuple[str, ...]:
        """Tag names in the order of the decision."""
        return self._names


@dataclass(frozen=True, slots=True)
class Code:
    """One entry of a code list."""

    system: str
    code: str
    title: str
    note: str
    certain: bool


def use_local(folder: Path) -> None:
    """Take the rows of an administrator over the shipped ones; a folder that is not there changes nothing.

    Raises: ``ConfigurationError`` bhyt.table-fixed for a row that would replace a certain one, bhyt.table-columns.
    """
    wanted = folder if folder.is_dir() else None
    if wanted == _local["folder"]:
        return
    before = _local["folder"]
    _local["folder"] = wanted
    _forget()
    try:
        _rows(_FIELDS), _rows(_CODES), tables()
    except (ConfigurationError, ValueError, KeyError) as error:
        _local["folder"] = before
        _forget()
        if isinstance(error, ConfigurationError):
            raise
        raise ConfigurationError("bhyt.table-columns", f"Bảng BHYT tại {folder} sai: {error}.") from None


def local_folder() -> Path | None:
    """The folder of the administrator's own rows, when there is one."""
    return _local["folder"]


def generation() -> int:
    """Number that changes when the tables do: part of the key of whatever is kept about them."""
    return _generation[0]


def _forget() -> None:
    _generation[0] += 1
    for cached in (_rows, _breaks, _epoch, _tables_on, _codes_on, listed):
        cached.cache_clear()


def _shipped(name: str) -> list[dict[str, str]]:
    text = files("benhan.gateways.bhyt").joinpath("data").joinpath(name).read_text(encoding="utf-8-sig")
    return list(csv.DictReader(text.splitlines()))


@cache
def _rows(name: str) -> tuple[dict[str, str], ...]:
    rows = _shipped(name)
    folder = _local["folder"]
    path = folder / name if folder is not None else None
    if path is None or not path.is_file() or name not in _KEYS:
        return tuple(rows)
    own = list(csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines()))
    keys = _KEYS[name]
    replaced = {tuple(row[k] for k in keys) for row in own}
    fixed = [r for r in rows if tuple(r[k] for k in keys) in replaced and r["confidence"] == "high"]
    open_rows = [r for r in rows if tuple(r[k] for k in keys) in replaced and r["confidence"] != "high"]
    opened = {tuple(r[k] for k in keys) for r in open_rows}
    for row in fixed:
        key = tuple(row[k] for k in keys)
        if key not in opened:
            raise ConfigurationError(
                "bhyt.table-fixed", f"Không được thay dòng chắc chắn {'/'.join(key)} của {name}."
            )
    return (*(r for r in rows if r not in open_rows), *own)


def _day(text: str | None, otherwise: date) -> date:
    return date.fromisoformat(text) if text else otherwise


def _holds(row: Mapping[str, str], on: date) -> bool:
    return _day(row.get("valid_from"), date.min) <= on <= _day(row.get("valid_to"), date.max)


@cache
def _breaks() -> tuple[date, ...]:
    """Days on which a row of any table begins to hold or has ceased to."""
    days = {date.min}
    for row in (*_rows(_FIELDS), *_rows(_CODES)):
        days.add(_day(row.get("valid_from"), date.min))
        if row.get("valid_to"):
            days.add(date.fromordinal(date.fromisoformat(row["valid_to"]).toordinal() + 1))
    return tuple(sorted(days))


@lru_cache(maxsize=4096)
def _epoch(on: date | None) -> date:
    """The last day of change up to ``on``; the newest when None."""
    return max(d for d in _breaks() if on is None or d <= on)


def _field(row: Mapping[str, str]) -> Field:
    limit = int(row["max_length"]) if row["max_length"].isdigit() else None
    gateway = _GATEWAY_LIMITS.get(row["field"])
    if gateway is not None:
        limit = min(limit or gateway, gateway)
    if row["type"] not in ("text", "number", "date", "datetime"):
        raise ValueError(f"unknown type {row['type']} of {row['table']}.{row['field']}")
    if row["required"] not in ("always", "conditional", "optional"):
        raise ValueError(f"unknown need {row['required']} of {row['table']}.{row['field']}")
    return Field(
        row["table"],
        int(row["seq"]),
        row["field"],
        cast(FieldType, row["type"]),
        limit,
        cast(Need, row["required"]),
        row["title_vi"],
        row["note"],
        row["confidence"] == "high",
    )


def tables(on: date | None = None) -> Mapping[str, Table]:
    """All tables that have a file, by name, XML0 first, as they hold on a day (None: newest)."""
    return _tables_on(_epoch(on))


@cache
def _tables_on(on: date) -> Mapping[str, Table]:
    fields: dict[str, dict[int, Field]] = {}
    for row in _rows(_FIELDS):
        if _holds(row, on):
            one = _field(row)
            fields.setdefault(one.table, {})[one.seq] = one
    return MappingProxyType(
        {
            row["table"]: Table(
                row["table"],
                tuple(row["root element path"].split("/")),
                row["item element"],
                row["title_vi"],
                row["repeating"] == "yes",
                _ordered(fields.get(row["table"], {}).values()),
            )
            for row in _rows(_FILES)
            if row["item element"]
        }
    )


def title_of(place: str, on: date) -> str:
    """Vietnamese title of the tag, or of the table, that a fault's place names; empty when it names none."""
    table, tag = tables(on).get(place.split("/")[0]), place.rsplit("/", 1)[-1]
    if table is None:
        return ""
    return next((f.title for f in table.fields if f.name == tag), table.title if "/" not in place else "")


def _ordered(fields: Iterable[Field]) -> tuple[Field, ...]:
    return tuple(sorted(fields, key=lambda f: f.seq))


def codes(system: str, on: date | None = None) -> Mapping[str, Code]:
    """The code list ``system`` as it holds on a day (None: every code that ever held); empty when there is none."""
    return _codes_on(None if on is None else _epoch(on)).get(system, MappingProxyType({}))


@cache
def _codes_on(on: date | None) -> Mapping[str, Mapping[str, Code]]:
    found: dict[str, dict[str, Code]] = {}
    for row in _rows(_CODES):
        if on is None or _holds(row, on):
            one = Code(
                row["code_system"], row["code"], row["title_vi"], row["note"], row["confidence"] == "high"
            )
            found.setdefault(one.system, {})[one.code] = one
    return MappingProxyType({system: MappingProxyType(listed) for system, listed in found.items()})


@lru_cache(maxsize=4096)
def listed(systems: tuple[str, ...], on: date) -> tuple[frozenset[str], bool]:
    """The codes of several lists together on a day, and whether most of them are certain."""
    known = {code: one.certain for system in systems for code, one in codes(system, on).items()}
    return frozenset(known), sum(known.values()) * 2 > len(known)
