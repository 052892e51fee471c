"""The table of states and the one interpreter of it (pure). Data: ``data/lifecycle.yaml``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from benhan.base.errors import Conflict, RuleViolation


@dataclass(frozen=True, slots=True)
class Transition:
    """An allowed step. ``guards`` are named checks, ``permission`` is asked of the access room."""

    state: str
    event: str
    to: str
    permission: str
    guards: tuple[str, ...]
    reason: bool
    title: str
    source: str


@cache
def _table() -> dict[str, Any]:
    path = Path(__file__).parent / "data" / "lifecycle.yaml"
    return dict(yaml.safe_load(path.read_text(encoding="utf-8")))


@cache
def transitions() -> dict[tuple[str, str], Transition]:
    """Every allowed step by (state, event)."""
    names = _table()["events"]
    return {
        (t["state"], t["event"]): Transition(
            t["state"], t["event"], t["to"], t["permission"], tuple(t["guards"]), t["reason"], names[t["event"]],
            t["source"],
        )
        for t in _table()["transitions"]
    }  # fmt: skip


def states() -> tuple[str, ...]:
    """All states."""
    return tuple(_table()["states"])


def state_title(state: str) -> str:
    """What people call a state."""
    return str(_table()["states"][state]["title"])


def event_names() -> tuple[str, ...]:
    """All events."""
    return tuple(_table()["events"])


@cache
def closed_states() -> frozenset[str]:
    """States in which a record refuses writes."""
    return frozenset(name for name, state in _table()["states"].items() if state["closed"])


def allowed_events(state: str) -> list[Transition]:
    """Steps that lead out of a state."""
    return [t for (here, _), t in transitions().items() if here == state]


def transition(state: str, event: str, reason: str = "") -> Transition:
    """The step of an event in a state.

    Raises: ``Conflict`` records.already-closed (a closed record), records.transition-forbidden;
    ``RuleViolation`` records.reason-needed.
    """
    found = transitions().get((state, event))
    if found is None:
        if state in closed_states():
            raise Conflict(
                "records.already-closed",
                f"Hồ sơ ở trạng thái “{state_title(state)}”, không làm được bước này.",
            )
        raise Conflict(
            "records.transition-forbidden",
            f"Hồ sơ ở trạng thái “{state_title(state)}”, chưa làm được bước này.",
        )
    if found.reason and not reason.strip():
        raise RuleViolation("records.reason-needed", "Bước này phải nêu lý do.", expression="reason")
    return found
