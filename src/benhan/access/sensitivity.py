"""Sensitive groups: which resources belong to one, by a list that is data; and which khoa treats whom.

`sensitivity_guard` is registered with the store. Before a version is appended it notes the groups of the resource in
``sensitive_row`` and the khoa of a stay in ``care_stay``; row-level security (migration 0210) hides noted rows on every
path from whoever is not cleared. A note is never taken back by a later version, since the versions before it remain.

A paper belongs to the groups of its resource, of its labels (``urn:benhan:nhom-nhay-cam``), and of what was diagnosed
in its encounter: a discharge paper prints the diagnosis.
Source: Luật 91/2025/QH15 Điều 26; NĐ 356/2025/NĐ-CP Điều 4.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any, LiteralString
from uuid import UUID
from weakref import WeakKeyDictionary

from benhan.access._rows import one, rows, run
from benhan.access.roles import table
from benhan.base.clock import parse_instant
from benhan.base.errors import InvalidInput
from benhan.base.json_door import JsonObject
from benhan.fhir import RESOURCE_TYPES, patient_of, split_reference
from benhan.store import Action, Ctx, ExportAsked, Repository, Store, Stored, export_page

LABELS = "urn:benhan:nhom-nhay-cam"
KHOA = "urn:benhan:ma-khoa"
#: What prints the diagnoses of its encounter.
PAPERS = ("Composition", "DiagnosticReport", "DocumentReference", "QuestionnaireResponse")
_REMEMBER_S = 5.0
_RULES = "select grp, system, prefix, active from sensitive_rule where tenant = %s"
_SET_RULE = (
    "insert into sensitive_rule (tenant, grp, system, prefix, active, reason, set_by, set_at) "
    "values (%s, %s, %s, %s, %s, %s, %s, %s) on conflict (tenant, grp, system, prefix) do update set "
    "active = excluded.active, reason = excluded.reason, set_by = excluded.set_by, set_at = excluded.set_at"
)
_NOTE = (
    "insert into sensitive_row as s (tenant, type, id, groups, encounter, writer) values (%s, %s, %s, %s, %s, %s) "
    "on conflict (tenant, type, id) do update set "
    "groups = array(select distinct unnest(s.groups || excluded.groups)), "
    "encounter = coalesce(excluded.encounter, s.encounter), writer = coalesce(s.writer, excluded.writer)"
)
_NOTE_PAPER = (
    "insert into sensitive_row as s (tenant, type, id, groups, encounter) values (%s, %s, %s, %s, %s) "
    "on conflict (tenant, type, id) do update set groups = array(select distinct unnest(s.groups || excluded.groups))"
)
_OF_ENCOUNTER = (
    "select array(select distinct unnest(groups) from sensitive_row where tenant = %s and encounter = %s "
    "and type = 'Condition') as groups"
)
_CARE = (
    "insert into care_stay (tenant, encounter, patient, khoa, since, until) values (%s, %s, %s, %s, %s, %s) "
    "on conflict (tenant, encounter) do update set khoa = excluded.khoa, since = excluded.since, "
    "until = excluded.until, patient = excluded.patient"
)
_GROUPS = "select groups from sensitive_row where tenant = %s and type = %s and id = %s"
_CLEAR = "update sensitive_row set groups = '{}' where tenant = %s"
_DROP = "delete from sensitive_row where tenant = %s and groups = '{}'"


@dataclass(frozen=True, slots=True)
class Rule:
    """Codes of ``system`` (``*``: any) that begin with ``prefix`` belong to ``group``."""

    group: str
    system: str
    prefix: str


@dataclass(frozen=True, slots=True)
class Rules:
    """The list in force, ready to be asked for each code."""

    rules: tuple[Rule, ...]

    def groups_of(self, resource: Mapping[str, Any]) -> set[str]:
        """Groups to which the codes of a resource belong."""
        prefixes = self._by_system()
        found: set[str] = set()
        for system, code in _codes(resource):
            if system == LABELS:
                found.add(code)
            for begin, group in (*prefixes.get(system, ()), *prefixes.get("*", ())):
                if code.startswith(begin):
                    found.add(group)
        return found

    def _by_system(self) -> Mapping[str, tuple[tuple[str, str], ...]]:
        return _grouped(self.rules)


@cache
def _grouped(rules: tuple[Rule, ...]) -> Mapping[str, tuple[tuple[str, str], ...]]:
    out: dict[str, list[tuple[str, str]]] = {}
    for rule in rules:
        out.setdefault(rule.system, []).append((rule.prefix, rule.group))
    return {system: tuple(found) for system, found in out.items()}


@cache
def shipped() -> tuple[Rule, ...]:
    """The list that comes with the program."""
    groups = table("sensitive.yaml")["groups"]
    return tuple(
        Rule(group, system, str(prefix))
        for group, held in groups.items()
        for system, prefixes in held["codes"].items()
        for prefix in prefixes
    )


@cache
def group_titles() -> Mapping[str, str]:
    """Vietnamese title of each shipped group."""
    return {group: held["title"] for group, held in table("sensitive.yaml")["groups"].items()}


async def sensitive_rules(repo: Repository) -> Rules:
    """The list in force for this tenant: what is shipped, with what was added and without what was taken away."""
    async with repo.transaction() as tx:
        changed = await rows(tx, _RULES, (repo.ctx.tenant,))
    kept = dict.fromkeys(shipped(), True)
    for row in changed:
        kept[Rule(row["grp"], row["system"], row["prefix"])] = row["active"]
    return Rules(tuple(rule for rule, active in kept.items() if active))


async def set_sensitive_rule(repo: Repository, rule: Rule, *, active: bool, reason: str) -> None:
    """Add to the list or take from it; `relabel` applies it to what is kept already. Audited.

    Raises: ``InvalidInput`` (access.bad-sensitive-rule).
    """
    if not (rule.group and rule.system and rule.prefix.strip()) or len(reason.strip()) < 10:
        raise InvalidInput(
            "access.bad-sensitive-rule", "Phải ghi nhóm, hệ mã, phần đầu của mã, và lý do ít nhất 10 ký tự."
        )
    now, who = repo.clock.now(), repo.ctx.actor.reference
    async with repo.transaction() as tx:
        values = (repo.ctx.tenant, rule.group, rule.system, rule.prefix, active, reason.strip(), who, now)
        await run(tx, _SET_RULE, values)
        detail = {"group": rule.group, "system": rule.system, "prefix": rule.prefix, "active": active}
        await tx.audit(
            "sensitive-rule", entity=None, patient=None, detail={**detail, "reason": reason.strip()}
        )
    _KNOWN.pop(repo.store, None)


async def relabel(repo: Repository) -> int:
    """Note groups and stays of everything that is kept anew, from every version; gives the number of resources noted.

    For after a change of the list (what a removed rule had hidden becomes visible again), and once for what was kept
    before the list was.
    """
    held = (await sensitive_rules(repo)).groups_of
    system = repo.store.system_repo(repo.ctx.tenant)
    async with system.transaction() as tx:
        await _do(tx, _CLEAR, (repo.ctx.tenant,))
        noted = 0
        for kind in sorted(RESOURCE_TYPES):
            async for stored in _all(tx, kind):
                if kind == "Encounter":
                    await _note_stay(tx, stored.id, stored.data)
                groups = held(stored.data)
                if stored.version > 1:
                    for version in await tx.history(kind, stored.id):
                        groups |= held(version.data)
                if groups:
                    await _note(tx, kind, stored.id, groups, _encounter(stored.data), None)
                    noted += 1
        await _do(tx, _DROP, (repo.ctx.tenant,))
    return noted


async def _all(tx: Repository, kind: str) -> AsyncIterator[Stored]:
    """Every current resource of a type."""
    after: str | None = ""
    while after is not None:
        found, after = await export_page(tx, ExportAsked(kind, after=after))
        for stored in found:
            yield stored


async def groups_of_row(repo: Repository, kind: str, resource_id: str) -> tuple[str, ...]:
    """Groups noted for a row; empty when it is not sensitive. For what sends it elsewhere, with its label."""
    async with repo.transaction() as tx:
        found = await one(tx, _GROUPS, (repo.ctx.tenant, kind, resource_id))
    return tuple(sorted(found["groups"])) if found else ()


async def sensitivity_guard(
    tx: Repository, ctx: Ctx, action: Action, new: JsonObject | None, old: JsonObject | None
) -> None:
    """``WriteGuard``: note groups and stays; refuses nothing."""
    if new is None:
        return
    kind, resource_id = str(new["resourceType"]), str(new["id"])
    if kind == "Encounter":
        await _note_stay(tx, resource_id, new)
    groups = (await _known_rules(tx)).groups_of(new)
    encounter = _encounter(new)
    if kind in PAPERS and encounter:
        found = await one(tx, _OF_ENCOUNTER, (ctx.tenant, encounter))
        groups |= set(found["groups"]) if found else set()
    if groups:
        await _note(tx, kind, resource_id, groups, encounter, ctx.sight)


async def _note(
    tx: Repository,
    kind: str,
    resource_id: str,
    groups: Iterable[str],
    encounter: str | None,
    writer: UUID | None,
) -> None:
    listed = sorted(groups)
    await _do(tx, _NOTE, (tx.ctx.tenant, kind, resource_id, listed, encounter, writer))
    if kind != "Condition" or encounter is None:
        return
    everything = tx.for_guard()
    for paper in PAPERS:  # papers that were written before the diagnosis
        page = await everything.search(paper, [("encounter", f"Encounter/{encounter}"), ("_count", "500")])
        for entry in page.entries:
            await _do(tx, _NOTE_PAPER, (tx.ctx.tenant, paper, entry.id, listed, encounter))


async def _do(tx: Repository, sql: LiteralString, values: tuple[Any, ...]) -> None:
    """Beside `run`: what is noted of a resource changes nobody's session."""
    await tx.open_connection.execute(sql, values)


async def _note_stay(tx: Repository, encounter: str, resource: JsonObject) -> None:
    codings = (resource.get("serviceType") or {}).get("coding") or []
    khoa = next((str(c["code"]) for c in codings if c.get("system") == KHOA and c.get("code")), None)
    patient, period = patient_of(resource), resource.get("period") or {}
    since = _when(period.get("start"))
    if khoa is None or patient is None or since is None:
        return
    end = _when(period.get("end"))
    until = None if end is None else end + timedelta(days=table("sensitive.yaml")["days_after_discharge"])
    await _do(tx, _CARE, (tx.ctx.tenant, encounter, patient, khoa, since, until))


def _when(value: Any) -> datetime | None:
    try:
        return parse_instant(str(value)) if value else None
    except ValueError:
        return None


def _encounter(resource: Mapping[str, Any]) -> str | None:
    """Id of the encounter a resource belongs to."""
    context = resource.get("context")
    listed = context.get("encounter") or [] if isinstance(context, dict) else []
    for reference in [resource.get("encounter"), *listed]:
        text = reference.get("reference") if isinstance(reference, dict) else None
        found = split_reference(text) if isinstance(text, str) else None
        if found is not None and found[0] == "Encounter":
            return found[1]
    return None


def _codes(value: Any) -> Iterator[tuple[str, str]]:
    """``(system, code)`` of every coding in a resource; the form of a response has system ``questionnaire``."""
    if isinstance(value, dict):
        if isinstance(value.get("questionnaire"), str):
            yield "questionnaire", value["questionnaire"]
        code = value.get("code")
        if isinstance(code, str):
            yield str(value.get("system", "")), code
        for inner in value.values():
            if isinstance(inner, dict | list):
                yield from _codes(inner)
    elif isinstance(value, list):
        for inner in value:
            if isinstance(inner, dict | list):
                yield from _codes(inner)


_KNOWN: WeakKeyDictionary[Store, dict[UUID, tuple[float, Rules]]] = WeakKeyDictionary()


async def _known_rules(tx: Repository) -> Rules:
    """The list, asked for at most every few seconds: another process's change counts that much later."""
    of_store = _KNOWN.setdefault(tx.store, {})
    known, now = of_store.get(tx.ctx.tenant), time.monotonic()
    if known is None or now >= known[0]:
        known = now + _REMEMBER_S, await sensitive_rules(tx)
        of_store[tx.ctx.tenant] = known
    return known[1]
