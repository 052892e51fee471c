"""Checks of a package before it is sent, and by the simulated portal when it is received.

Structure of every tag (:mod:`.structure`) and the rules between tags and tables (:mod:`.rules`), as they hold on the
day of leaving (QĐ 130, 4750, 3176, 1931/QĐ-BYT). A rule whose source is uncertain gives a warning, not an error.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from benhan.gateways.bhyt.package import Package
from benhan.gateways.bhyt.rules import Finding, Gate, Rule, errors, judge, shipped_rules
from benhan.gateways.bhyt.structure import structure_faults
from benhan.gateways.bhyt.values import moment

__all__ = ["Finding", "check", "errors"]


def check(
    package: Package, on: date | None = None, *, gate: Gate = "send", own: Iterable[Rule] = ()
) -> list[Finding]:
    """All faults of a package at a gate: ``order`` and ``discharge`` while it is still being made, ``payment``, ``send``.

    ``on``: day by which tables and rules are chosen; None: NGAY_RA. ``own``: rules of the facility itself, after the
    shipped ones. Structure is judged only at ``send``: before that a package is not complete.
    """
    day = on or left_on(package)
    found = list(structure_faults(package, day)) if gate == "send" else []
    rules = [r for r in (*shipped_rules(), *own) if gate in r.gates]
    return [*found, *judge(package, rules, day)]


def left_on(package: Package) -> date:
    """Day of leaving; the newest day when it is not known."""
    head = package.table("XML1")
    at = moment(head[0].get("NGAY_RA")) if head else None
    return at.date() if at else date.max
