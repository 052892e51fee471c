"""From query parameters to what is asked: conditions, sort, page, includes. Pure."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from benhan.base.errors import BenhanError, InvalidInput
from benhan.base.json_door import dumps, loads
from benhan.fhir import RESOURCE_TYPES, search_params
from benhan.store.search.ask import Condition, condition, leaves

DEFAULT_COUNT = 50
MAX_COUNT = 1000
MOST_CONDITIONS = 40
#: Parameters of the result that do not filter; the skins use them.
_SILENT = frozenset({"_format", "_pretty", "_contained", "_containedType"})
_INCLUDES = ("_include", "_revinclude")
_TOTALS = ("none", "estimate", "accurate")


@dataclass(frozen=True)
class Include:
    """``_include`` or ``_revinclude``: source type, parameter (``*``: every reference), target type or none."""

    source: str
    param: str
    target: str = ""
    iterate: bool = False


@dataclass
class Asked:
    """A search, read. ``compartment``: id of the patient in whose compartment to look, or none."""

    type: str
    filters: list[Condition] = field(default_factory=list)
    sort: list[tuple[str, bool]] = field(default_factory=list)
    count: int = DEFAULT_COUNT
    cursor: list[Any] | None = None
    include: list[Include] = field(default_factory=list)
    revinclude: list[Include] = field(default_factory=list)
    total: bool = False
    only_count: bool = False
    ignored: list[str] = field(default_factory=list)
    compartment: str = ""


def parse(resource_type: str, params: Sequence[tuple[str, str]] | str) -> Asked:
    """Read the parameters. Unknown ones are listed in ``ignored``.

    Raises: ``InvalidInput`` (store.search-*, store.bad-cursor).
    """
    pairs = parse_qsl(params, keep_blank_values=True) if isinstance(params, str) else params
    asked = Asked(resource_type)
    for name, value in pairs:
        if "\x00" in value:
            raise InvalidInput("store.search-value", "Giá trị tìm kiếm có ký tự không dùng được.")
        if not _result_param(asked, name, value):
            found = condition(resource_type, name, value)
            if found is None:
                asked.ignored.append(name)
            else:
                asked.filters.append(found)
    if (
        sum(1 for f in asked.filters for _ in leaves(f)) > MOST_CONDITIONS
    ):  # the planner tries orders of joins
        raise InvalidInput(
            "store.search-too-many",
            f"Tìm kiếm có nhiều hơn {MOST_CONDITIONS} điều kiện.",
            issue_type="too-costly",
        )
    return asked


def _result_param(asked: Asked, name: str, value: str) -> bool:
    plain, _, modifier = name.partition(":")
    if name == "_count":
        asked.count = _whole(name, value)
        asked.only_count = asked.only_count or asked.count == 0
        asked.count = min(asked.count, MAX_COUNT)
    elif name == "_sort":
        asked.sort += [(k.removeprefix("-"), k.startswith("-")) for k in value.split(",") if k]
    elif name == "_cursor":
        asked.cursor = read_cursor(value)
    elif plain in _INCLUDES and modifier in ("", "iterate", "recurse"):
        kept = asked.include if plain == "_include" else asked.revinclude
        kept.append(_include(plain, value, bool(modifier), asked.type))
    elif name == "_total":
        if value not in _TOTALS:
            raise InvalidInput("store.search-value", "_total không đúng.", expression=name)
        asked.total = value != "none"
    elif name == "_summary":
        asked.only_count = value == "count"
        if value not in ("count", "false"):
            asked.ignored.append(name)
    elif name == "_compartment":
        kind, _, asked.compartment = value.partition("/")
        if kind != "Patient" or not asked.compartment:
            raise InvalidInput("store.search-value", "Chỉ có ngăn hồ sơ Patient/…", expression=name)
    elif name not in _SILENT:
        return False
    return True


def _include(name: str, value: str, iterate: bool, resource_type: str) -> Include:
    if value == "*" and name == "_include":
        return Include(resource_type, "*", "", iterate)
    parts = value.split(":")
    if len(parts) not in (2, 3) or not all(parts):
        raise InvalidInput(
            "store.search-include", f"{name} phải có dạng Loại:tham-số[:Loại].", expression=name
        )
    known = search_params(parts[0])
    wrong = parts[1] != "*" and (parts[1] not in known or known[parts[1]].type != "reference")
    if wrong or parts[0] not in RESOURCE_TYPES or (len(parts) == 3 and parts[2] not in RESOURCE_TYPES):
        raise InvalidInput(
            "store.search-include", f"{name}={value[:100]}: không có tham số này.", expression=name
        )
    return Include(parts[0], parts[1], parts[2] if len(parts) == 3 else "", iterate)


def _whole(name: str, value: str) -> int:
    if not value.isascii() or not value.isdigit() or len(value) > 9:
        raise InvalidInput("store.search-value", f"{name} phải là số nguyên không âm.", expression=name)
    return int(value)


def write_cursor(values: list[Any]) -> str:
    """Opaque text of a place in a sorted result."""
    return base64.urlsafe_b64encode(dumps(values)).decode().rstrip("=")


def read_cursor(text: str) -> list[Any]:
    """Inverse of :func:`write_cursor`. Raises: ``InvalidInput`` (store.bad-cursor)."""
    try:
        found = loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), max_bytes=10_000)
    except (BenhanError, binascii.Error, ValueError):
        found = None
    if (
        not isinstance(found, list)
        or not found
        or not all(v is None or type(v) in (str, int) for v in found)
        or type(found[-1]) is not int
    ):
        raise InvalidInput("store.bad-cursor", "Con trỏ trang không đọc được.")
    return found
