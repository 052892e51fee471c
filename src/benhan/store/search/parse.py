"""From query parameters to what is asked: filters, sort, page, includes. Pure."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from benhan.base.errors import BenhanError, InvalidInput
from benhan.base.json_door import dumps, loads
from benhan.fhir import SearchParam, search_params

DEFAULT_COUNT = 50
MAX_COUNT = 1000
#: Parameters of the result that do not filter; the skins use them.
_SILENT = frozenset({"_format", "_pretty", "_contained", "_containedType"})


@dataclass(frozen=True)
class Filter:
    """One parameter: ``chain`` is the rest after a dot, to be asked of the target."""

    param: SearchParam
    modifier: str
    value: str
    chain: str = ""

    @property
    def label(self) -> str:
        """As it was asked, without the value."""
        return (
            self.param.name
            + (f":{self.modifier}" if self.modifier else "")
            + (f".{self.chain}" if self.chain else "")
        )


@dataclass(frozen=True)
class Include:
    """``_include`` or ``_revinclude``: source type, parameter, target type or none."""

    source: str
    param: str
    target: str = ""


@dataclass
class Asked:
    """A search, read."""

    type: str
    filters: list[Filter] = field(default_factory=list)
    sort: list[tuple[str, bool]] = field(default_factory=list)
    count: int = DEFAULT_COUNT
    cursor: list[Any] | None = None
    include: list[Include] = field(default_factory=list)
    revinclude: list[Include] = field(default_factory=list)
    total: bool = False
    only_count: bool = False
    ignored: list[str] = field(default_factory=list)


def parse(resource_type: str, params: Sequence[tuple[str, str]] | str) -> Asked:
    """Read the parameters. Unknown ones are listed in ``ignored``.

    Raises: ``InvalidInput`` (store.search-*, store.bad-cursor).
    """
    pairs = parse_qsl(params, keep_blank_values=True) if isinstance(params, str) else params
    asked = Asked(resource_type)
    known = search_params(resource_type)
    for name, value in pairs:
        if not _result_param(asked, name, value):
            _filter(asked, known, name, value)
    return asked


def _result_param(asked: Asked, name: str, value: str) -> bool:
    if name == "_count":
        asked.count = _whole(name, value)
        asked.only_count = asked.only_count or asked.count == 0
        asked.count = min(asked.count, MAX_COUNT)
    elif name == "_sort":
        asked.sort += [(k.removeprefix("-"), k.startswith("-")) for k in value.split(",") if k]
    elif name == "_cursor":
        asked.cursor = read_cursor(value)
    elif name in ("_include", "_revinclude"):
        (asked.include if name == "_include" else asked.revinclude).append(_include(name, value))
    elif name == "_total":
        asked.total = value in ("accurate", "estimate")
    elif name == "_summary":
        asked.only_count = value == "count"
        if value not in ("count", "false"):
            asked.ignored.append(name)
    elif name not in _SILENT:
        return False
    return True


def _filter(asked: Asked, known: Mapping[str, SearchParam], name: str, value: str) -> None:
    head, _, chain = name.partition(".")
    base, _, modifier = head.partition(":")
    param = known.get(base)
    if (
        param is None
        or not (param.extracted or base in ("_id", "_lastUpdated"))
        or param.type in ("composite", "special")
    ):
        asked.ignored.append(name)
        return
    if chain and param.type != "reference":
        raise InvalidInput("store.search-chain", f"Tham số {base} không nối tiếp được.", expression=name)
    asked.filters.append(Filter(param, modifier, value, chain))


def _include(name: str, value: str) -> Include:
    parts = value.split(":")
    if len(parts) not in (2, 3) or not all(parts):
        raise InvalidInput(
            "store.search-include", f"{name} phải có dạng Loại:tham-số[:Loại].", expression=name
        )
    if parts[1] not in search_params(parts[0]) or search_params(parts[0])[parts[1]].type != "reference":
        raise InvalidInput("store.search-include", f"{name}={value}: không có tham số này.", expression=name)
    return Include(*parts)


def _whole(name: str, value: str) -> int:
    if not value.isascii() or not value.isdigit():
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
    if not isinstance(found, list) or not found or not all(isinstance(v, str | int) for v in found):
        raise InvalidInput("store.bad-cursor", "Con trỏ trang không đọc được.")
    return found
