"""Charges come from executed orders; a reversal is a negative line; each line has its payer and the price of its date."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

from benhan.base.clock import local_date
from benhan.base.errors import Conflict, RuleViolation
from benhan.catalogue import facility_setting, price, systems
from benhan.records.cases import add_event, case, locked_case, set_financial_lock
from benhan.records.entitlement import account_of, entitled, entitlement_line
from benhan.records.shapes import (
    coding,
    fact,
    fact_of,
    house,
    id_of,
    instant,
    must,
    of_encounter,
    ref,
    staff_ref,
    with_extensions,
)
from benhan.records.stays import stays
from benhan.records.types import (
    AccountTotals,
    Authorize,
    ChargeInput,
    ChargeLine,
    Entitlement,
    JsonObject,
    Stay,
)
from benhan.store import Repository, Stored

_DONG = Decimal(1)
#: who may pay a line (practice A8)
PAYERS = ("bhyt", "thu-phi", "theo-yeu-cau", "hao-phi", "mien-giam", "nguon-khac")
#: other sources as the claim tables part them: state budget, foreign aid, domestic aid, the rest
OTHER_SOURCES = ("nsnn", "vtnn", "vttn", "rest")


async def charge(repo: Repository, encounter_id: str, item: ChargeInput) -> Stored:
    """Add a line. The same executed order is charged once: a second call returns the line that stands.

    Raises: ``Conflict`` (records.fees-locked); ``RuleViolation`` (records.no-price).
    """
    async with repo.transaction() as tx:
        before = await locked_case(tx, encounter_id)
        _unlocked(before.financial_lock)
        found = await of_encounter(tx, "ChargeItem", encounter_id)
        if item.source:
            standing = _charged(found, item.source, item.code)
            if standing is not None:
                return standing
        account = await account_of(tx, encounter_id)
        line = await entitlement_line(tx, encounter_id)
        khoa = item.khoa or before.khoa
        resource = _resource(item, before.patient_id, encounter_id, account.id, khoa)
        made = await tx.create(_priced(resource, item.happened, line, item.price, item.payer))
        if line and _checks_in(found, khoa):
            key = f"{before.ma_lk}:{khoa}"
            await tx.outbox("bhyt.check-in", key, {"encounter": encounter_id, "khoa": khoa})
        return made


def _checks_in(found: list[Stored], khoa: str) -> bool:
    """The first line of the đợt, and the first in the second khoa, are told to the insurer (XML0)."""
    khoas = {fact_of(s.data, "ma-khoa") for s in found}
    return khoa not in khoas and len(khoas) < 2


def _unlocked(locked: bool) -> None:
    if locked:
        raise Conflict("records.fees-locked", "Viện phí đã khóa.")


def _charged(found: list[Stored], source: str, code: str) -> Stored | None:
    reversed_ids = {fact_of(s.data, "dao-dong") for s in found}
    for stored in found:
        same = (
            fact_of(stored.data, "nguon-phat-sinh") == source
            and stored.data["code"]["coding"][0]["code"] == code
        )
        if same and stored.id not in reversed_ids and not fact_of(stored.data, "dao-dong"):
            return stored
    return None


def _resource(
    item: ChargeInput, patient_id: str, encounter_id: str, account_id: str, khoa: str
) -> JsonObject:
    resource: JsonObject = {
        "resourceType": "ChargeItem",
        "status": "billable",
        "code": {"coding": [coding(item.system, item.code, item.name)], "text": item.name},
        "subject": ref("Patient", patient_id),
        "context": ref("Encounter", encounter_id),
        "occurrenceDateTime": instant(item.happened),
        "quantity": {"value": item.quantity},
        "account": [ref("Account", account_id)],
    }
    if item.doctor:
        resource["performer"] = [{"actor": staff_ref(item.doctor)}]
    if item.source and item.source.split("/")[0] in (
        "DiagnosticReport",
        "MedicationAdministration",
        "Procedure",
    ):
        resource["service"] = [{"reference": item.source}]
    facts = {
        "ma-khoa": khoa,
        "nguon-phat-sinh": item.source or "",
        "gia-rieng": "1" if item.price is not None else "",
    }
    facts["nguon-chi-rieng"] = item.payer or ""
    return with_extensions(resource, *[fact(k, v) for k, v in facts.items() if v])


def _priced(
    resource: JsonObject,
    happened: datetime,
    line: list[Entitlement],
    own_price: Decimal | None,
    own_payer: str | None,
) -> JsonObject:
    """The line with price, payer, percent and card of its date (pure)."""
    code = resource["code"]["coding"][0]["code"]
    listed = price(code, local_date(happened))
    unit = own_price if own_price is not None else listed.amount if listed else None
    if unit is None:
        raise RuleViolation("records.no-price", f"Chưa có giá của {code} vào ngày thực hiện.")
    right = entitled(line, happened)
    covered = listed is None or listed.covered
    payer = own_payer or ("bhyt" if right is not None and covered else "thu-phi")
    percent: Decimal = Decimal(0)
    if payer == "bhyt" and right is not None:
        free = right.free_from is not None and right.free_from <= local_date(happened)
        percent = Decimal(100) if free else right.percent
    facts = [fact("nguon-chi", payer), fact("muc-huong", str(percent))]
    priced = {**resource, "priceOverride": {"value": unit, "currency": "VND"}}
    without = [e for e in priced.get("extension", []) if e["url"] != systems.EXT_FACT + "coverage"]
    priced["extension"] = without
    if payer == "bhyt" and right is not None:
        facts.append(fact("coverage", right.coverage_id))
    return with_extensions(priced, *facts)


async def reverse_charge(repo: Repository, charge_id: str, reason: str) -> Stored:
    """A negative line that takes the first one back; the first stays.

    Raises: ``Conflict`` (records.already-reversed, records.fees-locked); ``RuleViolation`` (records.reason-needed).
    """
    if not reason.strip():
        raise RuleViolation("records.reason-needed", "Cần nêu lý do đảo dòng viện phí.", expression="reason")
    async with repo.transaction() as tx:
        first = await tx.read("ChargeItem", charge_id)
        encounter_id = id_of(first.data["context"])
        _unlocked((await locked_case(tx, encounter_id)).financial_lock)
        found = await of_encounter(tx, "ChargeItem", encounter_id)
        if fact_of(first.data, "dao-dong") or any(fact_of(s.data, "dao-dong") == charge_id for s in found):
            raise Conflict("records.already-reversed", "Dòng này đã được đảo.")
        negative = {k: v for k, v in first.data.items() if k not in ("id", "meta")}
        negative["quantity"] = {"value": -Decimal(first.data["quantity"]["value"])}
        negative |= {"overrideReason": reason.strip(), "enterer": _enterer(tx)}
        return await tx.create(with_extensions(negative, fact("dao-dong", charge_id)))


def _enterer(tx: Repository) -> JsonObject:
    return {"reference": tx.ctx.actor.reference, "display": tx.ctx.actor.display}


async def change_payer(
    repo: Repository, charge_id: str, payer: str, reason: str, *, other: str = ""
) -> Stored:
    """Who pays a line, changed: the line is reversed and stands again with the new payer; the pair says why and by whom.

    ``payer``: one of ``PAYERS``; ``other``: one of ``OTHER_SOURCES`` with ``nguon-khac``. Back to ``bhyt`` needs a card that
    was in force when the line arose and a service that is covered.

    Raises: ``RuleViolation`` (records.reason-needed, records.bad-payer, records.no-right); ``Conflict``
    (records.already-reversed, records.fees-locked).
    """
    if payer not in PAYERS or (other in OTHER_SOURCES) != (payer == "nguon-khac"):
        raise RuleViolation("records.bad-payer", "Chọn nguồn chi trả.", expression="payer")
    async with repo.transaction() as tx:
        await reverse_charge(tx, charge_id, reason)
        first = await tx.read("ChargeItem", charge_id)
        encounter_id = id_of(first.data["context"])
        own = Decimal(first.data["priceOverride"]["value"]) if fact_of(first.data, "gia-rieng") else None
        renewed = {k: v for k, v in first.data.items() if k not in ("id", "meta")}
        gone = {systems.EXT_FACT + name for name in ("nguon-chi-rieng", "nguon-khac", "doi-nguon-cua")}
        renewed["extension"] = [e for e in renewed["extension"] if e["url"] not in gone]
        renewed |= {"overrideReason": reason.strip(), "enterer": _enterer(tx)}
        facts = {
            "nguon-chi-rieng": "" if payer == "bhyt" else payer,
            "nguon-khac": other,
            "doi-nguon-cua": charge_id,
        }
        renewed = with_extensions(renewed, *[fact(k, v) for k, v in facts.items() if v])
        line = await entitlement_line(tx, encounter_id)
        happened = must(first.data["occurrenceDateTime"])
        renewed = _priced(renewed, happened, line, own, None if payer == "bhyt" else payer)
        if fact_of(renewed, "nguon-chi") != payer:
            text = "Lúc thực hiện không có thẻ BHYT còn hạn, hoặc dịch vụ ngoài phạm vi: BHYT không trả được."
            raise RuleViolation("records.no-right", text, expression="payer")
        return await tx.create(renewed)


async def recalculate(repo: Repository, encounter_id: str) -> int:
    """Price and payer of every line by its date and the time line of rights; returns how many lines were renewed."""
    async with repo.transaction() as tx:
        _unlocked((await case(tx, encounter_id)).financial_lock)
        line = await entitlement_line(tx, encounter_id)
        renewed = 0
        for stored in await of_encounter(tx, "ChargeItem", encounter_id):
            own = (
                Decimal(stored.data["priceOverride"]["value"]) if fact_of(stored.data, "gia-rieng") else None
            )
            payer = fact_of(stored.data, "nguon-chi-rieng") or None
            after = _priced(stored.data, must(stored.data["occurrenceDateTime"]), line, own, payer)
            if _money_facts(after) != _money_facts(stored.data):
                await tx.update(after, if_match=stored.version)
                renewed += 1
        return renewed


def _money_facts(resource: JsonObject) -> tuple[str, ...]:
    facts = tuple(fact_of(resource, n) for n in ("nguon-chi", "muc-huong", "coverage"))
    return (str(resource["priceOverride"]["value"]), *facts)


def read_line(stored_id: str, resource: JsonObject) -> ChargeLine:
    """A line of the bill read from its ``ChargeItem``; insurer's part rounded to 1 đồng."""
    first = resource["code"]["coding"][0]
    quantity, unit = Decimal(resource["quantity"]["value"]), Decimal(resource["priceOverride"]["value"])
    percent = Decimal(fact_of(resource, "muc-huong") or 0)
    amount = (quantity * unit).quantize(_DONG, ROUND_HALF_UP)
    payer = fact_of(resource, "nguon-chi")
    insurer = (amount * percent / 100).quantize(_DONG, ROUND_HALF_UP) if payer == "bhyt" else Decimal(0)
    patient = amount - insurer if payer in ("bhyt", "thu-phi", "theo-yeu-cau") else Decimal(0)
    return ChargeLine(
        id=stored_id,
        system=first["system"],
        code=first["code"],
        name=resource["code"].get("text", ""),
        quantity=quantity,
        unit_price=unit,
        amount=amount,
        payer=payer,
        percent=percent,
        insurer_amount=insurer,
        patient_amount=patient,
        coverage_id=fact_of(resource, "coverage"),
        happened=must(resource["occurrenceDateTime"]),
        khoa=fact_of(resource, "ma-khoa"),
        source=fact_of(resource, "nguon-phat-sinh"),
        reverses=fact_of(resource, "dao-dong"),
        other=fact_of(resource, "nguon-khac"),
        reason=str(resource.get("overrideReason", "")),
        by=str(resource.get("enterer", {}).get("display", "")),
    )


async def charge_lines(repo: Repository, encounter_id: str) -> list[ChargeLine]:
    """Every line of the bill, by date."""
    found = [read_line(s.id, s.data) for s in await of_encounter(repo, "ChargeItem", encounter_id)]
    return sorted(found, key=lambda c: (c.happened, c.id))


def totals(lines: Iterable[ChargeLine], advances: Decimal) -> AccountTotals:
    """Sums of lines and advances (pure)."""
    listed = list(lines)
    total = sum((c.amount for c in listed), Decimal(0))
    insurer = sum((c.insurer_amount for c in listed), Decimal(0))
    patient = sum((c.patient_amount for c in listed), Decimal(0))
    return AccountTotals(total, insurer, patient, advances, patient - advances)


async def account(repo: Repository, encounter_id: str) -> AccountTotals:
    """Running total of the đợt against the advances paid."""
    held = await account_of(repo, encounter_id)
    advances = sum((_advance(e) for e in held.data.get("extension", []) if e["url"] == _ADVANCE), Decimal(0))
    return totals(await charge_lines(repo, encounter_id), advances)


_ADVANCE = systems.EXT_FACT + "tam-ung"


def _advance(extension: JsonObject) -> Decimal:
    inner = {e["url"]: e for e in extension["extension"]}
    return Decimal(inner["so-tien"]["valueMoney"]["value"])


async def add_advance(
    repo: Repository, encounter_id: str, amount: Decimal, happened: datetime, note: str = ""
) -> Stored:
    """Tạm ứng paid in (positive) or given back (hoàn ứng, negative): a line on the ``Account``."""
    async with repo.transaction() as tx:
        _unlocked((await locked_case(tx, encounter_id)).financial_lock)
        held = await account_of(tx, encounter_id)
        parts: list[JsonObject] = [
            {"url": "so-tien", "valueMoney": {"value": amount, "currency": "VND"}},
            {"url": "luc", "valueDateTime": instant(happened)},
            {"url": "nguoi-thu", "valueString": tx.ctx.actor.display},
        ]
        if note:
            parts.append({"url": "ghi-chu", "valueString": note})
        entry = {"url": _ADVANCE, "extension": parts}
        updated = {**held.data, "extension": [*held.data.get("extension", []), entry]}
        return await tx.update(updated, if_match=held.version)


def bed_days(
    stay: Stay,
    until: datetime,
    shared_rate: Decimal,
    transfer_rate: Decimal,
    *,
    moved_in: bool,
    moved_out: bool,
) -> Decimal:
    """Bed-days of a stay: nights, one at least for a single stay (pure).

    On the day of a transfer each khoa has ``transfer_rate`` of the day; a shared bed counts ``shared_rate``.
    """
    nights = (local_date(stay.end or until) - local_date(stay.start)).days
    days = Decimal(nights)
    if moved_in:
        days = days - 1 + transfer_rate if nights else transfer_rate
    if moved_out and (nights or not moved_in):
        days += transfer_rate
    if not nights and not moved_in and not moved_out:
        days = Decimal(1)
    return days * (shared_rate if stay.beds and stay.beds[-1].shared else Decimal(1))


async def charge_bed_days(repo: Repository, encounter_id: str) -> list[Stored]:
    """Lines for bed-days of every ended stay that has none yet (called at discharge)."""
    async with repo.transaction() as tx:
        here = await house(tx)
        found = [s for s in await stays(tx, encounter_id) if s.end is not None]
        made = []
        for place, stay in enumerate(found):
            on = local_date(stay.start)
            shared = Decimal(str(facility_setting("shared_bed_rate", on, facility=here.code)))
            transfer = Decimal(str(facility_setting("transfer_day_rate", on, facility=here.code)))
            moved_out = place < len(found) - 1
            days = bed_days(stay, stay.start, shared, transfer, moved_in=place > 0, moved_out=moved_out)
            if days > 0 and stay.beds:
                made.append(await _charge_bed(tx, encounter_id, stay, days, here.code))
        return made


async def _charge_bed(tx: Repository, encounter_id: str, stay: Stay, days: Decimal, facility: str) -> Stored:
    code = str(facility_setting("bed_service", local_date(stay.start), facility=facility))
    listed = price(code, local_date(stay.start))
    item = ChargeInput(
        systems.SERVICE, code, listed.name if listed else code, days, stay.start + timedelta(minutes=1),
        source=f"Encounter/{stay.id}", khoa=stay.khoa,
    )  # fmt: skip
    return await charge(tx, encounter_id, item)


async def lock_charges(
    repo: Repository, encounter_id: str, *, authorize: Authorize, reason: str = ""
) -> None:
    """Khóa viện phí: no line may change. Raises: ``Conflict`` (records.fees-locked)."""
    await _lock(repo, encounter_id, True, authorize, reason)


async def unlock_charges(repo: Repository, encounter_id: str, *, authorize: Authorize, reason: str) -> None:
    """Undo the lock of the fees, with a reason. Raises: ``Conflict`` (records.fees-not-locked)."""
    if not reason.strip():
        raise RuleViolation("records.reason-needed", "Cần nêu lý do mở khóa viện phí.", expression="reason")
    await _lock(repo, encounter_id, False, authorize, reason)


async def _lock(repo: Repository, encounter_id: str, locked: bool, authorize: Authorize, reason: str) -> None:
    async with repo.transaction() as tx:
        before = await locked_case(tx, encounter_id)
        authorize("charge.write", before.khoa)
        if before.financial_lock == locked:
            code, text = (
                ("fees-locked", "Viện phí đã khóa.") if locked else ("fees-not-locked", "Viện phí chưa khóa.")
            )
            raise Conflict(f"records.{code}", text)
        await set_financial_lock(tx, encounter_id, locked)
        names = ("fees-open", "fees-locked")
        await add_event(
            tx,
            encounter_id,
            "lock-charges" if locked else "unlock-charges",
            names[not locked],
            names[locked],
            reason,
        )
