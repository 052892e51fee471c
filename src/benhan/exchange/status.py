"""Status of records, never their content: reported by each facility, counted at the hub.

A report carries for each record a key (its binder's id), its number, its state in the table of states, the state of
its claim and how many signatures it bears. It is idempotent: the latest change wins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from benhan.base.clock import fhir_instant, parse_instant
from benhan.base.errors import InvalidInput
from benhan.base.json_door import JsonObject
from benhan.exchange._rows import connection_of
from benhan.store import Repository, TenantInfo

_PUT = (
    "insert into exchange_record_status (tenant, facility, record_key, number, state, claim, signed, opened_at, "
    "changed_at, received_at) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) "
    "on conflict (tenant, facility, record_key) do update set number = excluded.number, state = excluded.state, "
    "claim = excluded.claim, signed = excluded.signed, changed_at = excluded.changed_at, "
    "received_at = excluded.received_at where exchange_record_status.changed_at <= excluded.changed_at"
)
_COUNTS = (
    "select facility, count(*), count(*) filter (where signed > 0), "
    "count(*) filter (where state in ('closed', 'archived')), "
    "count(*) filter (where claim in ('sent', 'accepted', 'refused')), count(*) filter (where claim = 'refused'), "
    "count(*) filter (where claim = 'waiting'), max(received_at) "
    "from exchange_record_status where tenant = %s group by facility"
)
_ROWS = (
    "select record_key, number, state, claim, signed, opened_at, changed_at from exchange_record_status "
    "where tenant = %s and facility = %s order by changed_at desc limit %s"
)


@dataclass(frozen=True, slots=True)
class FacilityCounts:
    """How one facility stands, in records."""

    facility: UUID
    opened: int
    signed: int
    closed: int
    sent: int
    refused: int
    waiting: int
    fresh_at: datetime | None


@dataclass(frozen=True, slots=True)
class RecordStatus:
    """One record as the Department may see it: number and states."""

    record_key: str
    number: str
    state: str
    claim: str
    signed: int
    opened_at: datetime | None
    changed_at: datetime

    def as_json(self) -> JsonObject:
        """The row as a facility reports it."""
        return {
            "key": self.record_key,
            "number": self.number,
            "state": self.state,
            "claim": self.claim,
            "signed": self.signed,
            "openedAt": None if self.opened_at is None else fhir_instant(self.opened_at),
            "changedAt": fhir_instant(self.changed_at),
        }


def read_report(body: JsonObject) -> list[RecordStatus]:
    """Rows of a report.

    Raises: ``InvalidInput`` (exchange.bad-status) naming the row.
    """
    rows = []
    for number, item in enumerate(body.get("records") or []):
        try:
            opened = item.get("openedAt")
            rows.append(
                RecordStatus(
                    str(item["key"]),
                    str(item["number"]),
                    str(item["state"]),
                    str(item["claim"]),
                    int(item["signed"]),
                    parse_instant(opened) if opened else None,
                    parse_instant(item["changedAt"]),
                )
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            raise InvalidInput(
                "exchange.bad-status",
                f"Dòng {number + 1} của báo cáo tình trạng sai.",
                expression=f"records[{number}]",
            ) from None
    return rows


async def take_report(repo: Repository, facility: TenantInfo, rows: Sequence[RecordStatus]) -> int:
    """Hub: keep a facility's report; an older row never overwrites a newer one."""
    now = repo.clock.now()
    async with repo.transaction() as tx:
        cursor = connection_of(tx).cursor()
        await cursor.executemany(
            _PUT,
            [
                (
                    repo.ctx.tenant,
                    facility.id,
                    r.record_key,
                    r.number,
                    r.state,
                    r.claim,
                    r.signed,
                    r.opened_at,
                    r.changed_at,
                    now,
                )
                for r in rows
            ],
        )
    return len(rows)


async def counts(repo: Repository) -> list[FacilityCounts]:
    """Hub: how every facility stands."""
    async with repo.transaction() as tx:
        cursor = await connection_of(tx).execute(_COUNTS, (repo.ctx.tenant,))
        return [FacilityCounts(*row) for row in await cursor.fetchall()]


async def records_of(repo: Repository, facility: UUID, limit: int = 500) -> list[RecordStatus]:
    """Hub: the latest changed records of a facility, by number and state only."""
    async with repo.transaction() as tx:
        cursor = await connection_of(tx).execute(_ROWS, (repo.ctx.tenant, facility, limit))
        return [RecordStatus(*row) for row in await cursor.fetchall()]
