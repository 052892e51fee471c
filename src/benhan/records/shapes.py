"""Small FHIR pieces, and what every entry shares: facility, references, the three times, late entries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import psycopg

from benhan.base.clock import fhir_instant, local_date, parse_instant
from benhan.base.errors import RuleViolation
from benhan.catalogue import facility_setting, systems
from benhan.records.types import JsonObject, Staff
from benhan.store import Repository, Stored

_HOUSE = "select code, name from tenant where id = %s"


@dataclass(frozen=True, slots=True)
class House:
    """The facility a repository works for."""

    code: str
    name: str


async def house(repo: Repository) -> House:
    """Code and name of the tenant, read on the transaction's own connection (a second one could run the pool dry)."""
    async with repo.transaction() as tx:
        row = await (await connection(tx).execute(_HOUSE, (tx.ctx.tenant,))).fetchone()
        return House(*row) if row else House("", "")


def connection(tx: Repository) -> psycopg.AsyncConnection[Any]:
    """The connection of the running transaction."""
    if tx.connection is None:
        raise RuntimeError("needs repo.transaction()")
    return tx.connection


def ref(kind: str, resource_id: str) -> JsonObject:
    """A literal reference."""
    return {"reference": f"{kind}/{resource_id}"}


def staff_ref(staff: Staff) -> JsonObject:
    """Reference to a practitioner with licence number and name."""
    out: JsonObject = {"reference": staff.reference, "display": staff.name}
    if staff.licence:
        out["identifier"] = {"system": systems.CCHN, "value": staff.licence}
    return out


def house_ref(place: House) -> JsonObject:
    """Logical reference to the facility."""
    return {"identifier": {"system": systems.MA_CSKCB, "value": place.code}, "display": place.name}


def coding(system: str, code: str, display: str | None = None) -> JsonObject:
    """A coding."""
    return {"system": system, "code": code, **({"display": display} if display else {})}


def concept(system: str, code: str, display: str | None = None, text: str | None = None) -> JsonObject:
    """A CodeableConcept of one coding."""
    out: JsonObject = {"coding": [coding(system, code, display)]}
    if text or display:
        out["text"] = text or display
    return out


def fact(name: str, value: str) -> JsonObject:
    """Extension ``urn:benhan:fact:<name>`` with a text value."""
    return {"url": systems.EXT_FACT + name, "valueString": value}


def fact_of(resource: JsonObject, name: str) -> str:
    """Value of a fact extension, ``""`` when absent."""
    return str(ext_value(resource, systems.EXT_FACT + name) or "")


def ext_value(resource: JsonObject, url: str) -> Any:
    """Value of the first extension with this url, whatever its type; None when absent."""
    for extension in resource.get("extension", ()):
        if extension.get("url") == url:
            return next((v for k, v in extension.items() if k.startswith("value")), None)
    return None


def with_extensions(resource: JsonObject, *extensions: JsonObject) -> JsonObject:
    """The resource with these extensions, each replacing one of the same url."""
    urls = {e["url"] for e in extensions}
    kept = [e for e in resource.get("extension", ()) if e.get("url") not in urls]
    merged = [*kept, *extensions]
    return (
        {**resource, "extension": merged}
        if merged
        else {k: v for k, v in resource.items() if k != "extension"}
    )


def identifier_of(resource: JsonObject, system: str) -> str:
    """Value of the identifier with this system, ``""`` when absent."""
    found = resource.get("identifier", [])
    rows = found if isinstance(found, list) else [found]
    return next((str(i.get("value", "")) for i in rows if i.get("system") == system), "")


def id_of(reference: JsonObject | str | None) -> str:
    """Id of a literal reference, ``""`` when it is none."""
    text = reference.get("reference", "") if isinstance(reference, dict) else reference or ""
    parts = str(text).split("/")
    return parts[1] if len(parts) >= 2 else ""


def at(text: str | None) -> datetime | None:
    """Instant of a FHIR dateTime with offset; None when empty."""
    return parse_instant(text) if text else None


def must(text: str) -> datetime:
    """Instant of a dateTime that we wrote ourselves."""
    return parse_instant(text)


async def late(
    repo: Repository, happened: datetime, reason: str | None, *, place: House | None = None
) -> list[JsonObject]:
    """Extension of a late entry, or nothing when the entry is in time.

    Raises: ``RuleViolation`` records.late-reason-needed when the limit of the facility is passed without a reason;
    records.in-future when it would have happened later than now (15 minutes are forgiven to clocks).
    """
    now = repo.clock.now()
    if happened > now + timedelta(minutes=15):
        raise RuleViolation(
            "records.in-future", "Thời điểm xảy ra không thể ở tương lai.", expression="happened"
        )
    here = place or await house(repo)
    limit = timedelta(hours=float(facility_setting("late_entry_hours", local_date(now), facility=here.code)))
    if now - happened <= limit:
        return []
    if not (reason or "").strip():
        raise RuleViolation(
            "records.late-reason-needed", "Ghi bổ sung quá thời hạn: cần nêu lý do.", expression="late_reason"
        )
    return [{"url": systems.EXT_LATE, "valueString": str(reason).strip()}]


def late_reason_of(resource: JsonObject) -> str | None:
    """Reason of a late entry, None when it was made in time."""
    value = ext_value(resource, systems.EXT_LATE)
    return None if value is None else str(value)


async def all_of(repo: Repository, kind: str, params: Sequence[tuple[str, str]]) -> list[Stored]:
    """Every resource of a search, page after page."""
    found: list[Stored] = []
    asked: list[tuple[str, str]] = [*params, ("_count", "200")]
    while True:
        page = await repo.search(kind, asked)
        found += page.entries
        if page.next is None:
            return found
        asked = [*params, ("_count", "200"), ("_cursor", page.next)]


async def of_encounter(repo: Repository, kind: str, encounter_id: str) -> list[Stored]:
    """Every resource of a kind in a đợt, oldest first."""
    param = {"MedicationAdministration": "context", "ChargeItem": "context"}.get(kind, "encounter")
    found = await all_of(repo, kind, [(param, f"Encounter/{encounter_id}")])
    return sorted(found, key=lambda s: s.id)


def day(value: datetime) -> date:
    """Vietnamese calendar day."""
    return local_date(value)


def instant(value: datetime) -> str:
    """FHIR instant text."""
    return fhir_instant(value)
