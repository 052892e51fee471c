"""Finding and registering people at one node: exact identifiers first, then scored candidates; nothing merges by itself."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from benhan.base.errors import Conflict
from benhan.base.ids import new_uuid
from benhan.base.text import fold, squeeze
from benhan.catalogue import systems
from benhan.fhir import match_keys
from benhan.identity._rows import connection_of
from benhan.identity.faces import bhxh_number, face_of
from benhan.identity.matching import Reason, Verdict, compare, decide, score, threshold
from benhan.identity.person import JsonObject, PersonInput, check_person, patient_resource, person_of
from benhan.store import Repository, Stored

_MOST = 400  # a key that more people share tells nobody apart
_LOCK = "select pg_advisory_xact_lock(hashtextextended(%s, 0))"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A registered person who may be the one at the desk. ``exact``: an identifier is the same."""

    patient: Stored
    score: float
    exact: bool
    reasons: tuple[Reason, ...]

    @property
    def verdict(self) -> Verdict:
        """What the hub may do with the pair by itself (:func:`benhan.identity.matching.decide`)."""
        return decide(list(self.reasons))

    @property
    def duplicate(self) -> bool:
        """True when the desk must be warned before registering."""
        return self.exact or self.score >= threshold("duplicate")


@dataclass(frozen=True, slots=True)
class Found:
    """Answer of ``find_or_register``; ``candidates`` are look-alikes to be shown when a new person was made."""

    patient: Stored
    created: bool
    candidates: tuple[Candidate, ...]


async def lock_person(tx: Repository, person: PersonInput, *, also: str = "") -> None:
    """Until the end of the transaction nobody else registers somebody with one of this person's numbers or match keys.

    The locks are taken in one order, so that two registrations wait and never block each other. ``also``: a further key.
    """
    keys = {f"{system}|{value}" for system, value in _keys(person)}
    keys |= set(match_keys(person.name, person.birth_date, person.sex))
    for key in sorted(keys | ({also} if also else set())):
        await connection_of(tx).execute(_LOCK, (f"person|{tx.ctx.tenant}|{key}",))


async def find_candidates(
    repo: Repository, person: PersonInput, *, limit: int = 10, merged: bool = False
) -> list[Candidate]:
    """People like this one, best first. An identifier that agrees puts a person first whatever else differs.

    ``merged``: also those who were merged into another.
    """
    exact: dict[str, Stored] = {}
    for system, value in _keys(person):
        for stored in await _search(repo, [("identifier", f"{system}|{value}")], 10):
            exact[stored.id] = stored
    pool = dict(exact)
    for params in _queries(person):
        for stored in await _search(repo, params, _MOST):
            pool.setdefault(stored.id, stored)
    face, found = face_of(person), []
    for stored in pool.values():
        if not (merged or stored.data.get("active", True)):
            continue
        reasons = compare(face, face_of(person_of(stored.data)))
        found.append(Candidate(stored, score(reasons), stored.id in exact, tuple(reasons)))
    likely = [c for c in found if c.exact or c.score >= threshold("possible")]
    return sorted(likely, key=lambda c: (not c.exact, -c.score, c.patient.id))[:limit]


def _keys(person: PersonInput) -> list[tuple[str, str]]:
    pairs = (
        (systems.CCCD, person.cccd),
        (systems.PASSPORT, person.passport),
        (systems.CMND, person.cmnd),
        (systems.BHYT, person.bhyt),
        (systems.BHXH, bhxh_number(person)),
    )
    return [(system, value) for system, value in pairs if value]


def _queries(person: PersonInput) -> Iterable[list[tuple[str, str]]]:
    """What a look-alike shares: a key of name and birth, the phone; without a birth date the first and last word."""
    keys = match_keys(person.name, person.birth_date, person.sex)
    if keys:
        yield [("match-key", ",".join(keys))]
    words = fold(person.name).split()
    if words and not person.birth_date:
        yield [("name", words[-1]), *([("name", words[0])] if len(words) > 1 else [])]
    if person.phone:
        yield [("phone", squeeze(person.phone))]


async def _search(repo: Repository, params: list[tuple[str, str]], count: int) -> list[Stored]:
    page = await repo.search("Patient", [*params, ("_count", str(count))])
    return list(page.entries)


async def register_person(repo: Repository, person: PersonInput, *, ma_bn: str | None = None) -> Stored:
    """Append a new ``Patient``. Who has no number of any kind gets a visible ``TMP-…``, never invented digits.

    Raises: ``InvalidInput`` (identity.bad-person); ``Conflict`` (identity.number-taken) when another person holds
    the citizen number.
    """
    check_person(person)
    async with repo.transaction() as tx:
        await lock_person(tx, person)
        if person.cccd and await _search(tx, [("identifier", f"{systems.CCCD}|{person.cccd}")], 1):
            raise Conflict(
                "identity.number-taken",
                "Số định danh này đã có người bệnh trong hệ thống.",
                expression="cccd",
            )
        return await tx.create(patient_resource(person, ma_bn=ma_bn, temporary=_temporary(tx, person)))


def _temporary(repo: Repository, person: PersonInput) -> str | None:
    if _keys(person):
        return None
    return f"TMP-{new_uuid(clock=repo.clock).hex[:8].upper()}-{new_uuid(clock=repo.clock).hex[-6:].upper()}"


async def find_or_register(repo: Repository, person: PersonInput, *, ma_bn: str | None = None) -> Found:
    """The one person with this identifier, else a new one. Look-alikes are handed back, not chosen."""
    async with repo.transaction() as tx:
        await lock_person(tx, person)
        candidates = await find_candidates(tx, person)
        exact = [c for c in candidates if c.exact]
        if len(exact) == 1 and exact[0].score > 0:
            return Found(exact[0].patient, False, tuple(candidates))
        created = await register_person(tx, person, ma_bn=ma_bn)
        return Found(created, True, tuple(candidates))


async def update_person(repo: Repository, patient_id: str, person: PersonInput) -> Stored:
    """New version of the ``Patient``; numbers the person had and no longer names stay as ``use: old``."""
    async with repo.transaction() as tx:
        before = await tx.read("Patient", patient_id)
        kept = {i["system"]: i for i in before.data.get("identifier", []) if "system" in i}
        ma_bn = kept.get(systems.MA_BN, {}).get("value")
        after = patient_resource(person, ma_bn=ma_bn, patient_id=patient_id)
        now = {(i["system"], i["value"]) for i in after.get("identifier", [])}
        for identifier in before.data.get("identifier", []):
            if (identifier.get("system"), identifier.get("value")) not in now:
                after.setdefault("identifier", []).append({**identifier, "use": "old"})
        kept_parts = ["link"]
        if after.get("birthDate") == before.data.get("birthDate") and not person.birth_time:
            kept_parts.append("_birthDate")
        after |= {name: before.data[name] for name in kept_parts if name in before.data}
        return await tx.update(after, if_match=before.version)


async def find_patients(repo: Repository, text: str, *, limit: int = 20) -> list[Stored]:
    """People by what was typed: a number of any kind, a phone, or words of the name, tones optional."""
    typed = squeeze(text)
    if not typed:
        return []
    found: dict[str, Stored] = {}
    if any(c.isdigit() for c in typed):
        for query in ([("identifier", typed)], [("phone", typed)]):
            for stored in await _search(repo, query, limit):
                found.setdefault(stored.id, stored)
    if not found:
        words, year = _name_and_year(typed)
        params = [("name", w) for w in words] + ([("birthdate", year)] if year else [])
        if params:
            for stored in await _search(repo, params, limit):
                found.setdefault(stored.id, stored)
    return [s for s in found.values() if s.data.get("active", True)][:limit]


def _name_and_year(typed: str) -> tuple[list[str], str]:
    words = fold(typed).split()
    year = next((w for w in words if len(w) == 4 and w.isdigit()), "")
    return [w for w in words if w != year], year


def age_years(patient: JsonObject, on: date) -> int | None:
    """Completed years on the day; by year alone when only the year is known; None when unknown."""
    born = patient.get("birthDate", "")
    if not born:
        return None
    years = on.year - int(born[:4])
    if len(born) == 10 and (on.month, on.day) < (int(born[5:7]), int(born[8:])):
        years -= 1
    return years
