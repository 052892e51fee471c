"""What is wrong with a package, and where."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """A fault. ``place``: table/line/tag; ``code`` of this project (the decisions give none); ``rule``: its id."""

    severity: Literal["error", "warning"]
    code: str
    place: str
    text: str
    rule: str = ""

    @property
    def table(self) -> str:
        """Table of the fault, such as ``XML2``."""
        return self.place.split("/")[0]

    @property
    def line(self) -> int | None:
        """Line in the table, from 1; None when the whole table is meant."""
        found = re.search(r"/dòng (\d+)", self.place)
        return int(found.group(1)) if found else None

    @property
    def field(self) -> str:
        """Tag at fault; empty when none is."""
        last = self.place.rsplit("/", 1)[-1]
        return "" if last == self.table or last.startswith("dòng ") else last

    def sentence(self) -> str:
        """Place and text, for people."""
        return f"{self.place}: {self.text}"


def errors(findings: Iterable[Finding]) -> list[Finding]:
    """Only what forbids sending."""
    return [f for f in findings if f.severity == "error"]
