"""Building blocks: SQL made of constant fragments, values only as bound parameters."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from benhan.base.errors import InvalidInput

_COMMA = re.compile(r"(?<!\\),")
_BAR = re.compile(r"(?<!\\)\|")
_ESCAPE = re.compile(r"\\([,|$\\])")
PREFIXES = frozenset({"eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"})


@dataclass
class Values:
    """Bound values of one statement."""

    tenant: Any
    bound: dict[str, Any] = field(default_factory=dict)

    def add(self, value: Any) -> str:
        """Bind a value; gives its placeholder."""
        name = f"p{len(self.bound)}"
        self.bound[name] = value
        return f"%({name})s"

    def params(self) -> dict[str, Any]:
        """All parameters, the tenant with them."""
        return {"tenant": self.tenant, **self.bound}


def alternatives(value: str) -> list[str]:
    """Values separated by commas (any of them may match); escapes are still in."""
    parts = [p for p in _COMMA.split(value) if p != ""]
    if not parts:
        raise InvalidInput("store.search-empty", "Giá trị tìm kiếm để trống.", issue_type="value")
    return parts


def bars(value: str) -> list[str]:
    """Parts separated by ``|``, unescaped."""
    return [unescape(p) for p in _BAR.split(value)]


def unescape(value: str) -> str:
    """Value without the escapes of FHIR search (``\\\\,`` ``\\\\|`` ``\\\\$``)."""
    return _ESCAPE.sub(r"\1", value)


def split_prefix(value: str) -> tuple[str, str]:
    """Comparison prefix (``eq`` when none) and the rest."""
    if value[:2] in PREFIXES:
        return value[:2], value[2:]
    return "eq", value


def bad_value(param: str) -> InvalidInput:
    """The error for a value that does not fit its parameter."""
    return InvalidInput(
        "store.search-value", f"Giá trị của tham số {param} không đúng.", expression=param, issue_type="value"
    )


def bad_modifier(param: str, modifier: str) -> InvalidInput:
    """The error for a modifier that this parameter does not have here. FHIR: never ignore one."""
    return InvalidInput(
        "store.search-modifier",
        f"Tham số {param} không có biến thể :{modifier}.",
        expression=f"{param}:{modifier}",
        issue_type="not-supported",
    )


def any_of(parts: list[str]) -> str:
    """Parts joined by ``or``."""
    return "(" + " or ".join(parts) + ")"
