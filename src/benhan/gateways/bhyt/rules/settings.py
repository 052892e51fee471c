"""Figures that rules ask for, each with its days: shipped in ``data/rules/settings.yaml``, changed in
``home/bhyt/settings.yaml`` by an administrator.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from benhan.base.errors import ConfigurationError
from benhan.gateways.bhyt.tables import local_folder


def setting(name: str, on: date) -> Decimal | None:
    """The figure as it holds on a day; None when nobody gave one for that day."""
    for entry in reversed(_entries(str(local_folder() or ""))):
        first, last = entry.get("valid_from") or date.min, entry.get("valid_to") or date.max
        if entry["name"] == name and first <= on <= last:
            return Decimal(str(entry["value"]))
    return None


@cache
def _entries(folder: str) -> tuple[dict[str, Any], ...]:
    shipped = (files("benhan.gateways.bhyt") / "data" / "rules" / "settings.yaml").read_text(encoding="utf-8")
    entries: list[dict[str, Any]] = yaml.safe_load(shipped)
    found = local_folder()
    own = found / "settings.yaml" if folder and found is not None else None
    if own is not None and own.is_file():
        entries += yaml.safe_load(own.read_text(encoding="utf-8")) or []
    for entry in entries:
        if not isinstance(entry, dict) or not {"name", "value"} <= entry.keys():
            raise ConfigurationError(
                "bhyt.settings", "Tệp settings.yaml của BHYT: mỗi dòng cần name và value."
            )
    return tuple(entries)
