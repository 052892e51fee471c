"""From tạm ứng to quyết toán: what was paid in and given back, and the day on which the bill was settled (NGAY_TTOAN)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from benhan.base.errors import Conflict, RuleViolation
from benhan.catalogue import systems
from benhan.records.cases import add_event, locked_case
from benhan.records.charges import add_advance, lock_charges, unlock_charges
from benhan.records.entitlement import account_of
from benhan.records.shapes import fact, fact_of, instant, must, with_extensions
from benhan.records.types import Authorize
from benhan.store import Repository

_ADVANCE = systems.EXT_FACT + "tam-ung"
_SETTLED = "ngay-ttoan"


@dataclass(frozen=True, slots=True)
class Payment:
    """Money of the patient: paid in (positive) or given back (negative), VND."""

    amount: Decimal
    at: datetime
    by: str
    note: str


async def payments(repo: Repository, encounter_id: str) -> list[Payment]:
    """Every payment of the đợt, in the order in which they were entered."""
    account = await account_of(repo, encounter_id)
    found = []
    for extension in account.data.get("extension", []):
        if extension["url"] == _ADVANCE:
            inner = {e["url"]: e for e in extension["extension"]}
            found.append(
                Payment(
                    Decimal(inner["so-tien"]["valueMoney"]["value"]),
                    must(inner["luc"]["valueDateTime"]),
                    str(inner["nguoi-thu"]["valueString"]),
                    str(inner.get("ghi-chu", {}).get("valueString", "")),
                )
            )
    return found


async def settled_at(repo: Repository, encounter_id: str) -> datetime | None:
    """When the bill was settled; None while it is open."""
    text = fact_of((await account_of(repo, encounter_id)).data, _SETTLED)
    return must(text) if text else None


async def settle(
    repo: Repository, encounter_id: str, patient_pays: Decimal, happened: datetime, *, authorize: Authorize
) -> Decimal:
    """Quyết toán: take or give back what is left of ``patient_pays``, lock the fees, send the claim with NGAY_TTOAN.

    Returns the amount paid now (negative: given back). Raises: ``RuleViolation`` records.not-discharged; ``Conflict``
    records.fees-locked.
    """
    async with repo.transaction() as tx:
        here = await locked_case(tx, encounter_id)
        authorize("charge.write", here.khoa)
        if here.discharged_at is None:
            raise RuleViolation("records.not-discharged", "Chưa ra viện: chưa quyết toán được.")
        left = patient_pays - sum((p.amount for p in await payments(tx, encounter_id)), Decimal(0))
        if left:
            await add_advance(tx, encounter_id, left, happened, "Quyết toán")
        await lock_charges(tx, encounter_id, authorize=authorize, reason="Quyết toán")
        await _mark(tx, encounter_id, instant(happened))
        await add_event(tx, encounter_id, "settle", "", str(patient_pays))
        key = f"{here.ma_lk}:quyet-toan:{instant(happened)}"
        await tx.outbox("bhyt.submit", key, {"encounter": encounter_id, "ma_lk": here.ma_lk})
        return left


async def unsettle(repo: Repository, encounter_id: str, reason: str, *, authorize: Authorize) -> None:
    """Open a settled bill again, with a reason; the payments stay. Raises: ``Conflict`` records.not-settled."""
    async with repo.transaction() as tx:
        if await settled_at(tx, encounter_id) is None:
            raise Conflict("records.not-settled", "Đợt này chưa quyết toán.")
        await unlock_charges(tx, encounter_id, authorize=authorize, reason=reason)
        await _mark(tx, encounter_id, "")
        await add_event(tx, encounter_id, "unsettle", "", "", reason.strip())


async def _mark(tx: Repository, encounter_id: str, text: str) -> None:
    held = await account_of(tx, encounter_id)
    url = systems.EXT_FACT + _SETTLED
    bare = {**held.data, "extension": [e for e in held.data.get("extension", []) if e["url"] != url]}
    await tx.update(with_extensions(bare, fact(_SETTLED, text)) if text else bare, if_match=held.version)
