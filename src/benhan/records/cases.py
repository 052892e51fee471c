"""Table ``record_case``: the fast view that work lists and the write guard read; and the book of events."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from psycopg.types.json import Jsonb

from benhan.base.errors import NotFound
from benhan.base.ids import new_uuid
from benhan.records.shapes import connection
from benhan.records.types import Case, JsonObject, RecordEvent
from benhan.store import Repository

_COLUMNS = (
    "encounter_id, patient_id, composition_id, form_code, khoa, doctor, state, admitted_at, discharged_at, due_on,"
    " closed_at, legal_hold, financial_lock, so_benh_an, so_luu_tru, ma_lk, scanned"
)
_INSERT = (
    "insert into record_case (tenant, encounter_id, patient_id, khoa, doctor, state, admitted_at, ma_lk, discharged_at,"
    " so_luu_tru, scanned) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
)
_READ = f"select {_COLUMNS} from record_case where tenant = %s and encounter_id = %s"  # noqa: S608 - constant
_READ_FOR_UPDATE = _READ + " for update"
_BY_MA_LK = "select encounter_id from record_case where tenant = %s and ma_lk = %s"
_BY_ARCHIVE = (
    "select 1 from record_case where tenant = %s and so_luu_tru = %s and state <> 'cancelled' limit 1"
)
_OPEN = "update record_case set composition_id = %s, form_code = %s, so_benh_an = %s where tenant = %s and encounter_id = %s"
_MOVE = "update record_case set khoa = %s, doctor = %s where tenant = %s and encounter_id = %s"
_STATE = (
    "update record_case set state = %s, discharged_at = %s, due_on = %s, closed_at = %s, so_luu_tru = %s"
    " where tenant = %s and encounter_id = %s"
)
_HOLD = "update record_case set legal_hold = %s where tenant = %s and encounter_id = %s"
_PATIENT = "update record_case set patient_id = %s where tenant = %s and encounter_id = %s"
_ADMITTED = "update record_case set admitted_at = %s where tenant = %s and encounter_id = %s"
_LOCK = "update record_case set financial_lock = %s where tenant = %s and encounter_id = %s"
_EVENT = (
    "insert into record_event (tenant, id, encounter_id, event, from_state, to_state, at, actor, reason, detail)"
    " values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
)
_EVENTS = (
    "select event, from_state, to_state, at, actor, reason from record_event"
    " where tenant = %s and encounter_id = %s order by at, seq"
)
_LIST = (
    f"select {_COLUMNS} from record_case where tenant = %s and state = any(%s)"  # noqa: S608 - constant
    " and (%s::text is null or khoa = %s) and (%s::text is null or doctor = %s) order by admitted_at, encounter_id limit %s"
)


async def add_case(
    tx: Repository,
    encounter_id: str,
    patient_id: str,
    khoa: str,
    doctor: str,
    admitted: datetime,
    ma_lk: str,
    *,
    state: str = "open",
    discharged: datetime | None = None,
    so_luu_tru: str | None = None,
) -> None:
    """Row of a new đợt, state ``open``; of a paper record that is scanned, state ``scanned`` with end and archive number."""
    await connection(tx).execute(
        _INSERT,
        (
            tx.ctx.tenant, encounter_id, patient_id, khoa, doctor, state, admitted, ma_lk, discharged, so_luu_tru,
            state == "scanned",
        ),
    )  # fmt: skip


async def scanned_with_number(tx: Repository, so_luu_tru: str) -> bool:
    """Whether a record that stands has this archive number."""
    row = await (await connection(tx).execute(_BY_ARCHIVE, (tx.ctx.tenant, so_luu_tru))).fetchone()
    return row is not None


async def case(repo: Repository, encounter_id: str) -> Case:
    """Where the record of a đợt stands. Raises: ``NotFound`` (records.no-such-record)."""
    async with repo.transaction() as tx:
        return await _read(tx, _READ, encounter_id)


async def locked_case(tx: Repository, encounter_id: str) -> Case:
    """The same, its row locked until the transaction ends."""
    return await _read(tx, _READ_FOR_UPDATE, encounter_id)


async def _read(tx: Repository, query: str, encounter_id: str) -> Case:
    row = await (await connection(tx).execute(query, (tx.ctx.tenant, encounter_id))).fetchone()
    if row is None:
        raise NotFound("records.no-such-record", "Không có hồ sơ của đợt điều trị này.")
    return Case(*row)


async def encounter_id_of(repo: Repository, ma_lk: str) -> str:
    """Id of the đợt with a MA_LK. Raises: ``NotFound`` (records.no-such-record)."""
    async with repo.transaction() as tx:
        row = await (await connection(tx).execute(_BY_MA_LK, (tx.ctx.tenant, ma_lk))).fetchone()
        if row is None:
            raise NotFound("records.no-such-record", "Không có đợt điều trị với mã này.")
        return str(row[0])


async def set_opened(
    tx: Repository, encounter_id: str, composition_id: str | None, form_code: str | None, number: str | None
) -> None:
    """The record has been opened on a template (None: its binder went to another đợt)."""
    await connection(tx).execute(_OPEN, (composition_id, form_code, number, tx.ctx.tenant, encounter_id))


async def set_patient(tx: Repository, encounter_id: str, patient_id: str) -> None:
    """The đợt was opened on the wrong person."""
    await connection(tx).execute(_PATIENT, (patient_id, tx.ctx.tenant, encounter_id))


async def set_admitted(tx: Repository, encounter_id: str, at: datetime) -> None:
    """The đợt began earlier: another one was merged into it."""
    await connection(tx).execute(_ADMITTED, (at, tx.ctx.tenant, encounter_id))


async def set_place(tx: Repository, encounter_id: str, khoa: str, doctor: str) -> None:
    """Khoa and doctor of the running stay."""
    await connection(tx).execute(_MOVE, (khoa, doctor, tx.ctx.tenant, encounter_id))


async def set_state(
    tx: Repository,
    before: Case,
    state: str,
    *,
    discharged_at: datetime | None,
    due_on: date | None,
    closed_at: datetime | None,
    so_luu_tru: str | None,
) -> None:
    """New state with the times that belong to it."""
    await connection(tx).execute(
        _STATE, (state, discharged_at, due_on, closed_at, so_luu_tru, tx.ctx.tenant, before.encounter_id)
    )


async def set_hold(tx: Repository, encounter_id: str, held: bool) -> None:
    """Legal hold on or off."""
    await connection(tx).execute(_HOLD, (held, tx.ctx.tenant, encounter_id))


async def set_financial_lock(tx: Repository, encounter_id: str, locked: bool) -> None:
    """Lock of the fees on or off."""
    await connection(tx).execute(_LOCK, (locked, tx.ctx.tenant, encounter_id))


async def add_event(
    tx: Repository,
    encounter_id: str,
    event: str,
    before: str,
    after: str,
    reason: str = "",
    detail: JsonObject | None = None,
) -> None:
    """Line in the book of events."""
    await connection(tx).execute(
        _EVENT,
        (
            tx.ctx.tenant, new_uuid(clock=tx.clock), encounter_id, event, before, after, tx.clock.now(),
            tx.ctx.actor.reference, reason, Jsonb(detail or {}),
        ),
    )  # fmt: skip


async def events(repo: Repository, encounter_id: str) -> list[RecordEvent]:
    """Every step of the record, oldest first."""
    async with repo.transaction() as tx:
        cursor = await connection(tx).execute(_EVENTS, (tx.ctx.tenant, encounter_id))
        return [RecordEvent(*row) for row in await cursor.fetchall()]


async def list_cases(
    repo: Repository,
    states: list[str],
    *,
    khoa: str | None = None,
    doctor: str | None = None,
    limit: int = 500,
) -> list[Case]:
    """Records in some states, by khoa and doctor."""
    values: tuple[Any, ...] = (repo.ctx.tenant, states, khoa, khoa, doctor, doctor, limit)
    async with repo.transaction() as tx:
        return [Case(*row) for row in await (await connection(tx).execute(_LIST, values)).fetchall()]
