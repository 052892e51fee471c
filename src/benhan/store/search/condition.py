"""Building blocks: SQL made of constant fragments, values only as bound parameters."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from benhan.base.errors import InvalidInput
from benhan.store.model import Scope

_COMMA = re.compile(r"(?<!\\),")
_BAR = re.compile(r"(?<!\\)\|")
_DOLLAR = re.compile(r"(?<!\\)\$")
_ESCAPE = re.compile(r"\\([,|$\\])")
_PREFIX = re.compile(r"(eq|ne|gt|lt|ge|le|sa|eb|ap)(?=[-+.\d])")


def _all(resource_type: str) -> Scope:
    return Scope.ALL


@dataclass
class Values:
    """What one statement is built with: bound values, the policy's scope of each type, and what was found out before.

    ``codes``: (system, code) pairs of value sets and hierarchies asked for, by parameter text; ``found``: row numbers of
    conditions that no index answers.
    """

    tenant: Any
    bound: dict[str, Any] = field(default_factory=dict)
    scope_of: Callable[[str], Scope] = _all
    codes: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    found: dict[int, list[int]] = field(default_factory=dict)
    aliases: int = 0

    def add(self, value: Any) -> str:
        """Bind a value; gives its placeholder."""
        name = f"p{len(self.bound)}"
        self.bound[name] = value
        return f"%({name})s"

    def alias(self) -> str:
        """A table alias not used yet."""
        self.aliases += 1
        return f"t{self.aliases}"

    def fresh(self) -> Values:
        """For another statement of the same search."""
        return Values(self.tenant, scope_of=self.scope_of, codes=self.codes, found=self.found)

    def params(self) -> dict[str, Any]:
        """All parameters, the tenant with them."""
        return {"tenant": self.tenant, **self.bound}


def has_row(table: str, alias: str, tests: str) -> str:
    """Condition: the resource of ``alias`` has a row ``i`` in an index table for which ``tests`` hold."""
    return f"exists (select from {table} i where i.tenant = %(tenant)s and i.rid = {alias}.rid and {tests})"


def alternatives(value: str) -> list[str]:
    """Values separated by commas (any of them may match); escapes are still in."""
    parts = [p for p in _COMMA.split(value) if p != ""]
    if not parts:
        raise InvalidInput("store.search-empty", "Giá trị tìm kiếm để trống.", issue_type="value")
    return parts


def bars(value: str) -> list[str]:
    """Parts separated by ``|``, unescaped."""
    return [unescape(p) for p in _BAR.split(value)]


def dollars(value: str) -> list[str]:
    """Parts of a composite value; other escapes are still in."""
    return _DOLLAR.split(value)


def unescape(value: str) -> str:
    """Value without the escapes of FHIR search (``\\\\,`` ``\\\\|`` ``\\\\$``)."""
    return _ESCAPE.sub(r"\1", value)


def split_prefix(value: str) -> tuple[str, str]:
    """Comparison prefix (``eq`` when none) and the rest."""
    match = _PREFIX.match(value)
    return (match[1], value[2:]) if match else ("eq", value)


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
