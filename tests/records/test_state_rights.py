"""Who may do what in which state: every (state, event) pair for every role, at home and in another khoa.

The table ``state_rights.csv`` is decided here a second time: state, event, where it leads, and per role in which scope.
Each of the 14 × 18 × 19 × 2 attempts goes through the real step: the case's row in the database, the guard of the
table, `require` of the access room, the database's own lock; what is refused has changed nothing.
"""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from benhan.access import AccessPolicy, Account, HeldRole, SignedIn, require, roles
from benhan.base.errors import BenhanError
from benhan.base.ids import new_id
from benhan.records.states import closed_states, event_names, states, transitions
from benhan.records.steps import step
from benhan.store import Actor, Ctx, Repository

TABLE = list(
    csv.DictReader(Path(__file__).with_name("state_rights.csv").read_text(encoding="utf-8").splitlines())
)
RIGHTS = {(row["state"], row["event"]): row for row in TABLE}
HOME, AWAY = "K01", "K09"
#: what stands in the way of a bare case once the right is there: nothing is written, no second person, kept too short
STOPPED_BY = {
    "complete": "records.incomplete",
    "approved": "records.not-approved",
    "scanned": "records.not-scanned",
    "retention_over": "records.retention-not-over",
}
_CASE = (
    "insert into record_case (tenant, encounter_id, patient_id, khoa, doctor, state, admitted_at, discharged_at, closed_at,"
    " ma_lk, scanned) values (%s, %s, %s, %s, 'Practitioner/x', %s, %s, %s, %s, %s, %s)"
)
_ROW = (
    "select c.state, count(e.id) from record_case c left join record_event e using (tenant, encounter_id)"
    + (" where c.encounter_id = %s group by c.state")
)


def somebody(role: str) -> SignedIn:
    """A person with one role, held in the khoa of the record when the role belongs to a khoa."""
    now = datetime(2026, 11, 20, tzinfo=UTC)
    khoa = next(HOME if r.khoa else None for r in roles() if r.code == role)
    account = Account(uuid4(), role, "Practitioner/1", role, "staff", "active", False, True, None)
    ctx = Ctx(UUID(int=1), Actor("Practitioner/1", role, "person"), frozenset({role}))
    held = (HeldRole(role, khoa, "standing", now, None),)
    return SignedIn(ctx, AccessPolicy.of_roles([role]), account, held, "csrf", now + timedelta(hours=8))


PEOPLE = {r.code: somebody(r.code) for r in roles()}


async def cases(ward: Repository, build: Any, state: str) -> dict[str, str]:
    """One record in this state in either khoa."""
    admitted = await build.an_admission(ward)
    now, made = ward.clock.now(), {}
    async with ward.transaction() as tx:
        for khoa in (HOME, AWAY):
            encounter = await tx.create(
                {**{k: v for k, v in admitted.encounter.data.items() if k != "meta"}, "id": new_id()}
            )
            made[khoa] = encounter.id
            patient = encounter.data["subject"]["reference"].partition("/")[2]
            values = (
                ward.ctx.tenant,
                encounter.id,
                patient,
                khoa,
                state,
                now,
                now,
                now,
                f"x-{khoa}",
                state == "scanned",
            )
            await tx.open_connection.execute(_CASE, values)
    return made


def expected(state: str, event: str, role: str, khoa: str) -> set[str]:
    """Codes of what may happen: ``""`` the step is made; more than one where a guard on a bare case decides."""
    row = RIGHTS.get((state, event))
    if row is None:
        return {"records.already-closed" if state in closed_states() else "records.transition-forbidden"}
    if row[role] != "facility" and not (row[role] == "khoa" and khoa == HOME):
        return {"access.not-permitted"}
    guards = [
        g for g in transitions()[state, event].guards if g != state
    ]  # a bare case is of paper in that state only
    return {STOPPED_BY[g] for g in guards if g in STOPPED_BY} or {""}


async def attempt(tx: Repository, encounter: str, event: str, who: SignedIn) -> str:
    """Code of the refusal of one step, ``""`` when it was made; undone in any case."""

    def authorize(permission: str, khoa: str | None) -> None:
        require(who, permission, khoa=khoa)

    before = await (await tx.open_connection.execute(_ROW, (encounter,))).fetchone()
    async with tx.open_connection.transaction(force_rollback=True):
        try:
            after = await step(tx, encounter, event, authorize=authorize, reason="Thử")
        except BenhanError as refused:
            now = await (await tx.open_connection.execute(_ROW, (encounter,))).fetchone()
            assert now == before
            return refused.code
        row = await (await tx.open_connection.execute(_ROW, (encounter,))).fetchone()
        assert row == (after.state, before[1] + 1)
        assert after.state == RIGHTS[before[0], event]["to"]
        return ""


@pytest.mark.parametrize("state", states())
async def test_every_role_in_every_state(ward: Repository, build: Any, state: str) -> None:
    """All events × all roles × both khoa in one state: made, refused for the role, or refused for everybody."""
    made = await cases(ward, build, state)
    wrong = []
    async with ward.transaction() as tx:
        for event in event_names():
            for role, who in PEOPLE.items():
                for khoa, encounter in made.items():
                    got = await attempt(tx, encounter, event, who)
                    if got not in expected(state, event, role, khoa):
                        wrong.append((event, role, khoa, got, expected(state, event, role, khoa)))
    assert wrong == []


def test_the_table_is_whole() -> None:
    """It has each allowed step once, a column for every role, and only scopes that exist."""
    assert {pair: row["to"] for pair, row in RIGHTS.items()} == {p: t.to for p, t in transitions().items()}
    assert len(TABLE) == len(RIGHTS)
    assert list(TABLE[0]) == ["state", "event", "to", *PEOPLE]
    assert {row[role] for row in TABLE for role in PEOPLE} == {"", "khoa", "facility"}


def test_nobody_from_outside_or_without_care_moves_a_record() -> None:
    """Patients, the insurer, the authority, informatics, laboratory, pharmacy and the till do no step at all."""
    outside = (
        "nguoi_benh",
        "giam_dinh_bhxh",
        "so_y_te",
        "cntt",
        "ky_thuat_vien",
        "duoc_si",
        "thu_ngan",
        "tiep_don",
    )
    assert [(row["state"], row["event"], r) for row in TABLE for r in outside if row[r]] == []


def test_what_needs_a_second_person_is_decided_by_the_leader_alone() -> None:
    """Reopening and destroying: the director, nobody else."""
    for (_, event), row in RIGHTS.items():
        if event in ("reopen", "destroy"):
            assert {r for r in PEOPLE if row[r]} == {"lanh_dao"}
