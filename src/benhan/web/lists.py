"""Lists that pages offer, read from ``data/``: departments and kinds of BHYT patient."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path

from benhan.catalogue import systems
from benhan.store import Repository

DATA = Path(__file__).parent / "data"


@cache
def listed(name: str) -> tuple[tuple[str, str], ...]:
    """Codes and titles of one of the lists in ``data/``."""
    with (DATA / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return tuple((row["code"], row["title"]) for row in csv.DictReader(file))


async def khoa_list(repo: Repository) -> list[tuple[str, str]]:
    """Departments of this facility; the general list when it has entered none."""
    page = await repo.search("Organization", [("identifier", f"{systems.MA_KHOA}|"), ("_count", "200")])
    own = []
    for stored in page.entries:
        code = next(
            (i["value"] for i in stored.data.get("identifier", []) if i.get("system") == systems.MA_KHOA), ""
        )
        own.append((code, stored.data.get("name", code)))
    return sorted(own) or list(listed("khoa"))


def khoa_title(code: str) -> str:
    """Name of a department code in the general list, else the code."""
    return dict(listed("khoa")).get(code, code)
