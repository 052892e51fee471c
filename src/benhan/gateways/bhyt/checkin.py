"""Check-in (XML0): told to the portal when the first charge of a đợt arises, and again with the first charge in the khoa
after admission (rules §3). No basis of payment: a portal that is away delays it, nothing else. Emergencies send none.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg.rows import class_row

from benhan import records
from benhan.base.json_door import JsonObject
from benhan.catalogue import systems
from benhan.gateways.bhyt.check import check, errors
from benhan.gateways.bhyt.claim import ClaimFacts, build_claim, minute
from benhan.gateways.bhyt.package import Package, make_row, write_package
from benhan.gateways.bhyt.portal import portal_of
from benhan.gateways.bhyt.record_facts import facts_from_record
from benhan.gateways.bhyt.tables import tables
from benhan.records import ChargeLine
from benhan.store import Actor, Ctx, Repository, Store, SystemPolicy

CHECKIN_TOPIC = "bhyt.check-in"
_DEVICE = Actor("Device/bhyt", "Cổng giao tiếp BHYT", "system")
_EMERGENCY = "2"
_LAST = """
select distinct on (khoa) khoa, code, answer, at from bhyt_checkin where tenant = %s and ma_lk = %s order by khoa, seq desc
"""
_PUT = "insert into bhyt_checkin (tenant, ma_lk, khoa, sha256, code, answer, at) values (%s, %s, %s, %s, %s, %s, %s)"


@dataclass(frozen=True, slots=True)
class Checkin:
    """How the check-in of a khoa stands: the portal's code (``loi``: our own check stopped it) and sentence."""

    khoa: str
    code: str
    answer: str
    at: datetime


def build_checkin(facts: ClaimFacts, first: ChargeLine) -> Package:
    """The check-in of a đợt whose first charge is ``first`` (pure)."""
    head = build_claim(facts).table("XML1")[0]
    names = tables()["XML0"].names()
    shared = {tag: head.get(tag) for tag in names if tag in head.values}
    card = {tag: head.get(tag).split(";")[0] for tag in ("MA_THE_BHYT", "MA_DKBD", "GT_THE_TU", "GT_THE_DEN")}
    kind = "THUOC" if first.system == systems.DRUG else "DICH_VU"
    own = {
        f"MA_{kind}": first.code,
        f"TEN_{kind}": first.name,
        "NGAY_YL": minute(first.happened),
        "DU_PHONG": "",
    }
    row = make_row("XML0", 1, {**shared, **card, **own, "STT": "1"})
    return Package(facts.facility, "", {"XML0": (row,)})


async def check_in(store: Store, tenant: UUID, payload: JsonObject) -> None:
    """Handle ``{"encounter": id, "khoa": code}``; nothing to do without a portal, without a card, or in an emergency.

    Raises: ``NeighbourFailed`` when the portal is away (the worker tries again).
    """
    repo = store.repo(Ctx(tenant, _DEVICE, purpose="HPAYMT"), SystemPolicy())
    encounter_id, khoa = str(payload["encounter"]), str(payload["khoa"])
    facts = await facts_from_record(repo, encounter_id, provisional=True)
    lines = [c for c in await records.charge_lines(repo, encounter_id) if c.khoa == khoa and not c.reverses]
    portal = portal_of(store.settings, facts.facility, clock=store.clock)
    if portal is None or not lines or not facts.cards or facts.head.get("MA_DOITUONG_KCB") == _EMERGENCY:
        return
    package = build_checkin(facts, lines[0])
    raw = write_package(package)
    faults = errors(check(package))
    code, answer = "loi", "; ".join(f.sentence() for f in faults[:10])
    if not faults:
        async with portal:
            receipt = await portal.send(raw, facts.ma_lk, checkin=True)
        code, answer = receipt.code, receipt.text
    async with repo.transaction() as tx:
        values = (
            repo.ctx.tenant,
            facts.ma_lk,
            khoa,
            hashlib.sha256(raw).hexdigest(),
            code,
            answer,
            store.clock.now(),
        )
        await tx.open_connection.execute(_PUT, values)


async def checkins(repo: Repository, ma_lk: str) -> list[Checkin]:
    """How the check-ins of a đợt stand, by khoa."""
    async with repo.transaction() as tx, tx.open_connection.cursor(row_factory=class_row(Checkin)) as cursor:
        await cursor.execute(_LAST, (repo.ctx.tenant, ma_lk))
        return await cursor.fetchall()
