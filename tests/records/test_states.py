"""The table of a record's life: every pair of state and event, the forbidden ones too."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import yaml

from benhan.base.errors import Conflict, RuleViolation
from benhan.records import allowed_events, states, transition
from benhan.records.states import closed_states, event_names, transitions

ALLOWED = {
    ("scanned", "check_scan"): "received",
    ("received", "rescan"): "scanned",
    ("scanned", "cancel"): "cancelled",
    ("open", "discharge"): "discharged",
    ("discharged", "undo_discharge"): "open",
    ("discharged", "complete"): "completed",
    ("completed", "submit"): "submitted",
    ("submitted", "return"): "returned",
    ("returned", "submit"): "submitted",
    ("submitted", "receive"): "received",
    ("received", "return"): "returned",
    ("open", "cancel"): "cancelled",
    ("received", "close"): "closing",
    ("closing", "seal"): "closed",
    ("closing", "cancel_close"): "received",
    ("closed", "archive"): "archived",
    ("closed", "addend"): "closed",
    ("archived", "addend"): "archived",
    ("closed", "reopen"): "reopened",
    ("archived", "reopen"): "reopened",
    ("reopened", "close"): "closing",
    ("archived", "mark_due"): "due",
    ("due", "extend"): "archived",
    ("due", "destroy"): "destroyed",
}
PAIRS = list(itertools.product(states(), event_names()))


@pytest.mark.parametrize(("state", "event"), PAIRS)
def test_every_pair_leads_where_the_table_says_or_is_refused(state: str, event: str) -> None:
    """Listed pairs lead to their state; all others are refused with the code of their kind."""
    wanted = ALLOWED.get((state, event))
    if wanted is not None:
        assert transition(state, event, "lý do").to == wanted
        return
    with pytest.raises(Conflict) as error:
        transition(state, event, "lý do")
    closed = state in closed_states()
    assert error.value.code == ("records.already-closed" if closed else "records.transition-forbidden")


def test_table_has_no_other_rows() -> None:
    """The list above and the data are the same."""
    assert {pair: t.to for pair, t in transitions().items()} == ALLOWED


def test_steps_that_need_a_reason_refuse_without() -> None:
    """Exceptions are never silent."""
    for (state, event), step in transitions().items():
        if step.reason:
            with pytest.raises(RuleViolation) as error:
                transition(state, event, "  ")
            assert error.value.code == "records.reason-needed"


def test_permissions_exist_in_the_access_room() -> None:
    """Every permission of the table is one that roles can hold."""
    import benhan.access

    path = Path(benhan.access.__file__).parent / "data" / "permissions.yaml"
    known = set(yaml.safe_load(path.read_text(encoding="utf-8"))["permissions"])
    assert {t.permission for t in transitions().values()} <= known


def test_dead_ends_are_only_the_two_ends_of_life() -> None:
    """Every state but cancelled and destroyed can be left."""
    assert {s for s in states() if not allowed_events(s)} == {"cancelled", "destroyed"}
