"""Who is writing on a paper at this moment, so that two people see each other. No content is kept.

A person counts as present for a minute after the last sign of life (opening the paper, autosave, the section index).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from benhan.store import Repository

PRESENT_FOR = timedelta(seconds=60)
_KEPT_FOR = timedelta(days=1)
_TOUCH = (
    "insert into form_presence (tenant, response_id, person, display, at) values (%s, %s, %s, %s, %s) "
    "on conflict (tenant, response_id, person) do update set at = excluded.at, display = excluded.display"
)
_OTHERS = (
    "select person, display, at from form_presence where tenant = %s and response_id = %s and person <> %s "
    "and at > %s order by at desc"
)
_LEAVE = "delete from form_presence where tenant = %s and (at < %s or (response_id = %s and person = %s))"


@dataclass(frozen=True, slots=True)
class Present:
    """Somebody else who has the paper open for writing."""

    person: str
    display: str
    at: datetime


async def touch(repo: Repository, response_id: str) -> list[Present]:
    """Say that this person writes on the paper; gives who else does."""
    who, now = repo.ctx.actor, repo.clock.now()
    async with repo.transaction() as tx:
        await tx.open_connection.execute(
            _TOUCH, (repo.ctx.tenant, response_id, who.reference, who.display, now)
        )
        rows = await tx.all(_OTHERS, (repo.ctx.tenant, response_id, who.reference, now - PRESENT_FOR))
    return [Present(*row) for row in rows]


async def leave(repo: Repository, response_id: str) -> None:
    """This person has finished with the paper; signs of life older than a day are forgotten."""
    async with repo.transaction() as tx:
        values = (repo.ctx.tenant, repo.clock.now() - _KEPT_FOR, response_id, repo.ctx.actor.reference)
        await tx.open_connection.execute(_LEAVE, values)
