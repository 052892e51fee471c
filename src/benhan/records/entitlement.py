"""Rights to BHYT as a time line inside one đợt: several ``Coverage``, each with its days and the moment it starts to count."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from benhan.base.clock import local_date
from benhan.base.errors import Conflict, NotFound, RuleViolation
from benhan.catalogue import systems
from benhan.records.cases import add_event, locked_case
from benhan.records.shapes import (
    concept,
    fact,
    fact_of,
    id_of,
    identifier_of,
    instant,
    must,
    ref,
    with_extensions,
)
from benhan.records.types import CoverageInput, Entitlement, JsonObject
from benhan.store import Repository, Stored


async def account_of(repo: Repository, encounter_id: str) -> Stored:
    """The ``Account`` of the đợt. Raises: ``NotFound`` (records.no-account): a paper record of the past has none."""
    encounter = await repo.read("Encounter", encounter_id)
    if not encounter.data.get("account"):
        raise NotFound("records.no-account", "Đợt này không có viện phí trong hệ thống (hồ sơ giấy số hóa).")
    return await repo.read("Account", id_of(encounter.data["account"][0]))


async def add_coverage(repo: Repository, encounter_id: str, coverage: CoverageInput) -> Stored:
    """Add a card to the time line; lines of the bill from then on are recalculated. A card that was not looked up at the
    portal (``verified_at`` None) is put into the queue ``bhyt.card-check``.

    Raises: ``RuleViolation`` (records.bad-coverage); ``Conflict`` (records.fees-locked).
    """
    from benhan.records.charges import recalculate

    if not 0 <= coverage.percent <= 100:
        raise RuleViolation("records.bad-coverage", "Mức hưởng phải từ 0 đến 100.", expression="percent")
    if coverage.valid_to is not None and coverage.valid_to < coverage.valid_from:
        raise RuleViolation(
            "records.bad-coverage", "Hạn thẻ kết thúc trước khi bắt đầu.", expression="valid_to"
        )
    async with repo.transaction() as tx:
        case = await locked_case(tx, encounter_id)
        if case.financial_lock:
            raise Conflict("records.fees-locked", "Viện phí đã khóa.")
        account = await account_of(tx, encounter_id)
        starts = coverage.starts or case.admitted_at
        stored = await tx.create(_resource(coverage, case.patient_id, starts))
        listed = account.data.get("coverage", [])
        entry = {"coverage": ref("Coverage", stored.id), "priority": len(listed) + 1}
        await tx.update({**account.data, "coverage": [*listed, entry]}, if_match=account.version)
        await add_event(tx, encounter_id, "add-coverage", "", coverage.card[-4:])
        if coverage.verified_at is None:
            await tx.outbox("bhyt.card-check", f"{case.ma_lk}:{stored.id}", {"encounter": encounter_id})
        await recalculate(tx, encounter_id)
        return stored


async def withdraw_coverage(repo: Repository, encounter_id: str, coverage_id: str, reason: str) -> Stored:
    """Take a card that was entered wrongly off the time line; it stays readable, lines of the bill are recalculated.

    Raises: ``RuleViolation`` (records.reason-needed); ``NotFound`` (records.no-coverage); ``Conflict`` (records.fees-locked).
    """
    from benhan.records.charges import recalculate

    if not reason.strip():
        raise RuleViolation("records.reason-needed", "Cần nêu lý do bỏ thẻ.", expression="reason")
    async with repo.transaction() as tx:
        if (await locked_case(tx, encounter_id)).financial_lock:
            raise Conflict("records.fees-locked", "Viện phí đã khóa.")
        if coverage_id not in {e.coverage_id for e in await entitlement_line(tx, encounter_id)}:
            raise NotFound("records.no-coverage", "Đợt này không dùng thẻ ấy.")
        before = await tx.read("Coverage", coverage_id)
        stored = await tx.update({**before.data, "status": "entered-in-error"}, if_match=before.version)
        card = identifier_of(before.data, systems.BHYT)
        await add_event(tx, encounter_id, "withdraw-coverage", card[-4:], "", reason.strip())
        await recalculate(tx, encounter_id)
        return stored


def _resource(coverage: CoverageInput, patient_id: str, starts: datetime) -> JsonObject:
    facts = {
        "muc-huong": str(coverage.percent),
        "tinh-tu": instant(starts),
        "ma-doituong-kcb": coverage.ma_doituong or "",
        "noi-dkkcb": coverage.registered_at or "",
        "nguon": coverage.source,
        "tra-cuu-luc": instant(coverage.verified_at) if coverage.verified_at else "",
        "the-tam": "1" if coverage.temporary else "",
        "du-5-nam": coverage.five_years_from.isoformat() if coverage.five_years_from else "",
        "ngay-mien-cct": coverage.free_from.isoformat() if coverage.free_from else "",
    }
    period = {"start": coverage.valid_from.isoformat()}
    if coverage.valid_to:
        period["end"] = coverage.valid_to.isoformat()
    return with_extensions(
        {
            "resourceType": "Coverage",
            "identifier": [{"system": systems.BHYT, "value": coverage.card}],
            "status": "active",
            "type": concept(systems.PAYER, "bhyt", "Bảo hiểm y tế"),
            "subscriberId": coverage.card,
            "beneficiary": ref("Patient", patient_id),
            "period": period,
            "payor": [{"display": "Bảo hiểm xã hội Việt Nam"}],
        },
        *[fact(name, value) for name, value in facts.items() if value],
    )


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None


def read_entitlement(resource_id: str, coverage: JsonObject) -> Entitlement:
    """An entitlement read from its ``Coverage``."""
    period: dict[str, Any] = coverage["period"]
    return Entitlement(
        coverage_id=resource_id,
        card=identifier_of(coverage, systems.BHYT),
        percent=Decimal(fact_of(coverage, "muc-huong") or 0),
        starts=must(fact_of(coverage, "tinh-tu")),
        valid_from=date.fromisoformat(period["start"]),
        valid_to=_day(period.get("end")),
        ma_doituong=fact_of(coverage, "ma-doituong-kcb"),
        registered_at=fact_of(coverage, "noi-dkkcb"),
        temporary=fact_of(coverage, "the-tam") == "1",
        free_from=_day(fact_of(coverage, "ngay-mien-cct")),
    )


async def entitlement_line(repo: Repository, encounter_id: str) -> list[Entitlement]:
    """Cards of the đợt in the order in which they begin to count."""
    account = await account_of(repo, encounter_id)
    found = []
    for order, entry in enumerate(account.data.get("coverage", [])):
        stored = await repo.read("Coverage", id_of(entry["coverage"]))
        if stored.data["status"] == "active":
            found.append((order, read_entitlement(stored.id, stored.data)))
    return [e for _, e in sorted(found, key=lambda f: (f[1].starts, f[0]))]


def entitled(line: list[Entitlement], at: datetime) -> Entitlement | None:
    """The right that counts at an instant: started, not expired; the one that started last wins (pure)."""
    on = local_date(at)
    holding = [
        e for e in line if e.starts <= at and e.valid_from <= on and (e.valid_to is None or on <= e.valid_to)
    ]
    return holding[-1] if holding else None


async def entitlement_on(repo: Repository, encounter_id: str, at: datetime) -> Entitlement | None:
    """The right at an instant of the đợt; None: the patient pays."""
    return entitled(await entitlement_line(repo, encounter_id), at)


async def fix_doituong(repo: Repository, encounter_id: str, ma_doituong: str) -> Stored:
    """Fix MA_DOITUONG_KCB at the end of the đợt; what was on the cards was provisional."""
    async with repo.transaction() as tx:
        encounter = await tx.read("Encounter", encounter_id)
        fixed = with_extensions(encounter.data, fact("ma-doituong-kcb", ma_doituong))
        return await tx.update(fixed, if_match=encounter.version)
