"""Codes that ``:in``, ``:not-in``, ``:above`` and ``:below`` stand for: from the shipped lists, the specification's value
sets, and value sets in the store (under the caller's policy). ICD-10 has chapters, blocks, categories; communes lie below
their province; other hierarchies are those of HL7's code systems.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from functools import lru_cache
from typing import TYPE_CHECKING

from benhan.base.clock import VIETNAM
from benhan.base.errors import InvalidInput
from benhan.base.json_door import JsonObject
from benhan.catalogue import systems, terminology
from benhan.fhir import code_system_parents, is_code, value_set_codes
from benhan.store.model import Scope
from benhan.store.reading import CURRENT_BY_RID, stored_of
from benhan.store.search.ask import Plain, condition
from benhan.store.search.condition import Values, alternatives, bars, unescape
from benhan.store.search.parse import Asked
from benhan.store.search.plan import where
from benhan.store.search.token import LISTED

if TYPE_CHECKING:
    from benhan.store.repository import Repository

Codes = list[tuple[str, str]]
_ABOVE = ("parent", "block", "chapter", "province")
_MOST = 20_000
_DEEPEST = 5


async def listed_codes(tx: Repository, asked: Plain, values: Values) -> None:
    """Find out the codes of one parameter with such a modifier; they go to ``values.codes``.

    Raises: ``InvalidInput`` (store.search-value-set, store.search-hierarchy).
    """
    if asked.param.type != "token" or asked.modifier not in LISTED:
        return
    found: Codes = []
    for part in alternatives(asked.value):
        if asked.modifier in ("in", "not-in"):
            found += await _of_value_set(tx, values, unescape(part), 0)
        else:
            found += _of_hierarchy(tx, asked.label, bars(part), asked.modifier == "below")
    if len(found) > _MOST:
        raise _no_value_set(asked.value)
    if is_code(asked.type, asked.param.name):  # the system of a code element is not written out
        found = [("", code) for _, code in found]
    values.codes[f"{asked.modifier} {asked.value}"] = list(dict.fromkeys(found))


async def _of_value_set(tx: Repository, values: Values, url: str, depth: int) -> Codes:
    today = tx.clock.now().astimezone(VIETNAM).date()
    shipped = terminology.value_set(url, on=today)
    if shipped is not None:
        return [(shipped.system, c.code) for c in shipped.concepts]
    official = value_set_codes(url)
    if official is not None:
        return list(official)
    stored = await _stored(tx, values, url)
    if stored is None or depth > _DEEPEST:
        raise _no_value_set(url)
    if "contains" in stored.get("expansion", {}):
        return list(_contained(stored["expansion"]["contains"]))
    compose = stored.get("compose", {})
    found: Codes = []
    for part in compose.get("include", ()):
        found += await _of_part(tx, values, part, depth)
    for part in compose.get("exclude", ()):
        out = set(await _of_part(tx, values, part, depth))
        found = [pair for pair in found if pair not in out]
    return found


async def _of_part(tx: Repository, values: Values, part: JsonObject, depth: int) -> Codes:
    """Codes of one include: of the system, and in every value set that it names (FHIR R4 ValueSet.compose.include)."""
    found: Codes | None = None
    system = part.get("system", "")
    if "concept" in part:
        found = [(system, c["code"]) for c in part["concept"]]
    elif system:
        found = [(system, code) for code in _system_codes(tx, system, part.get("filter", []))]
    for url in part.get("valueSet", ()):
        codes = await _of_value_set(tx, values, url, depth + 1)
        found = codes if found is None else [pair for pair in found if pair in set(codes)]
    return found or []


def _system_codes(tx: Repository, system: str, filters: list[JsonObject]) -> list[str]:
    parents = _parents(system, tx.clock.now().astimezone(VIETNAM).date().isoformat())
    if not parents:
        raise _no_value_set(system)
    codes = list(parents)
    for rule in filters:
        if rule.get("op") not in ("is-a", "descendent-of"):
            raise _no_value_set(system)
        top = rule["value"]
        codes = [c for c in codes if top in parents[c] or (c == top and rule["op"] == "is-a")]
    return codes


def _contained(contains: list[JsonObject]) -> Iterator[tuple[str, str]]:
    for one in contains:
        if "code" in one and not one.get("abstract"):
            yield one.get("system", ""), one["code"]
        yield from _contained(one.get("contains", []))


async def _stored(tx: Repository, values: Values, url: str) -> JsonObject | None:
    """A value set of the store: by its address, or ``ValueSet/id``."""
    kind, _, identity = url.partition("/")
    name, value = (
        ("_id", identity) if kind == "ValueSet" else ("url", url.partition("|")[0].replace(",", "\\,"))
    )
    wanted = condition("ValueSet", name, value)
    if wanted is None or not value or values.scope_of("ValueSet") == Scope.NONE:
        return None
    fresh = values.fresh()
    sql = (
        f"select c.rid from current_version c where {where(fresh, 'c', Asked('ValueSet', [wanted]))} limit 1"  # noqa: S608
    )
    rows = await tx.all(sql, fresh.params())
    if not rows:
        return None
    found = await tx.all(CURRENT_BY_RID, (tx.ctx.tenant, [rows[0][0]]))
    stored = await stored_of(tx.store.keys, tx.open_connection, tx.ctx.tenant, found[0]) if found else None
    return None if stored is None else stored.data


def _of_hierarchy(tx: Repository, label: str, pieces: list[str], below: bool) -> Codes:
    if len(pieces) != 2 or not all(pieces):
        raise InvalidInput(
            "store.search-hierarchy", f"{label}: cần hệ thống|mã.", expression=label, issue_type="value"
        )
    system, code = pieces
    today = tx.clock.now().astimezone(VIETNAM).date().isoformat()
    parents = _parents(system, today)
    if not parents and not (below and system == systems.PROVINCE):
        raise InvalidInput(
            "store.search-hierarchy",
            f"{label}: không có cây phân cấp của {system[:100]}.",
            expression=label,
            issue_type="not-supported",
        )
    if not below:
        return [(system, code), *((system, one) for one in parents.get(code, ()))]
    found = [(system, code), *((system, one) for one, above in parents.items() if code in above)]
    if system == systems.PROVINCE:
        communes = _parents(systems.COMMUNE, today)
        found += [(systems.COMMUNE, one) for one, above in communes.items() if code in above]
    return found


@lru_cache(maxsize=64)
def _parents(system: str, day: str) -> dict[str, tuple[str, ...]]:
    """Code → ancestors, in the list in force on the day or in a code system of the specification."""
    shipped = terminology.code_system(system, on=date.fromisoformat(day))
    if shipped is None:
        return dict(code_system_parents(system))
    return {c.code: tuple(v for k, v in c.properties if k in _ABOVE) for c in shipped.concepts}


def _no_value_set(url: str) -> InvalidInput:
    return InvalidInput(
        "store.search-value-set",
        f"Không khai triển được bộ giá trị {url[:200]}.",
        expression=url[:200],
        issue_type="not-found",
    )
