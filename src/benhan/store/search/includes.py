"""``_include`` and ``_revinclude``, with ``:iterate``: what the found resources refer to, and what refers to them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from benhan.fhir import search_params
from benhan.store.hashing import param32, ref64
from benhan.store.model import Action, Scope, Stored
from benhan.store.reading import CURRENT_BY_RID, stored_of
from benhan.store.search.parse import Asked, Include
from benhan.store.shapes import literal_of

if TYPE_CHECKING:
    from benhan.store.repository import Repository

LIMIT = 1000
_ROUNDS = 10
#: A resource, its patient, its row number.
Found = tuple[Stored, str | None, int]
_FORWARD = (
    "select distinct c.rid, c.type, c.patient from index_reference r join current_version c on c.tenant = %(tenant)s "
    "and c.ref = r.target where r.tenant = %(tenant)s and r.rid = any(%(rids)s::bigint[]) and r.param = %(param)s::integer "
    "and not c.deleted order by c.rid limit %(limit)s"
)
_BACK = (
    "select distinct c.rid, c.type, c.patient from index_reference r join current_version c on c.tenant = %(tenant)s "
    "and c.rid = r.rid where r.tenant = %(tenant)s and r.param = %(param)s::integer "
    "and r.target = any(%(refs)s::bigint[]) and c.type = %(type)s and not c.deleted order by c.rid limit %(limit)s"
)


async def included(tx: Repository, asked: Asked, matches: list[Found]) -> list[Found]:
    """Everything to be shown beside the matches, each once, at most a thousand."""
    known = {rid for _, _, rid in matches}
    out: list[Found] = []
    fresh, first = matches, True
    for _ in range(_ROUNDS):
        rids: dict[int, None] = {}
        for include in asked.include:
            if first or include.iterate:
                rids.update(dict.fromkeys(await _forward(tx, include, fresh)))
        for include in asked.revinclude:
            if first or include.iterate:
                rids.update(dict.fromkeys(await _back(tx, include, fresh)))
        new = [rid for rid in rids if rid not in known][: LIMIT - len(out)]
        if not new:
            break
        known.update(new)
        fresh, first = await load(tx, new), False
        out += fresh
    return out


async def load(tx: Repository, rids: Sequence[int]) -> list[Found]:
    """Resources by row number, in this order."""
    rows = await tx.all(CURRENT_BY_RID, (tx.ctx.tenant, list(rids)))
    found = {one[2]: one for one in await stored_rows(tx, rows)}
    return [found[rid] for rid in rids if rid in found]


async def stored_rows(tx: Repository, rows: Iterable[tuple[object, ...]]) -> list[Found]:
    """Resources of rows (columns of the log, rid, patient); those whose key is destroyed are left out."""
    found: list[Found] = []
    for row in rows:
        stored = await stored_of(tx.store.keys, tx.open_connection, tx.ctx.tenant, row)
        if stored is not None:
            found.append((stored, row[13], row[12]))  # type: ignore[arg-type]
    return found


async def _forward(tx: Repository, include: Include, found: list[Found]) -> list[int]:
    rids = [rid for stored, _, rid in found if stored.type == include.source]
    out: list[int] = []
    for name in _names(include) if rids else ():
        wider, of_type = literal_of(include.source, name)
        for param, narrowed in {(name, ""), (wider, of_type)}:
            values = {"tenant": tx.ctx.tenant, "rids": rids, "limit": LIMIT, "param": _hash(include, param)}
            rows = await tx.all(_FORWARD, values)
            out += [r[0] for r in rows if r[1] in (narrowed or r[1],) and _wanted(tx, include, r[1], r[2])]
    return out


async def _back(tx: Repository, include: Include, found: list[Found]) -> list[int]:
    out: list[int] = []
    for name in _names(include):
        wider, of_type = literal_of(include.source, name)
        kinds = {of_type} if of_type else search_params(include.source)[name].targets
        if include.target:
            kinds = kinds & {include.target}
        refs = [ref64(stored.reference) for stored, _, _ in found if stored.type in kinds]
        if refs:
            values = {
                "tenant": tx.ctx.tenant, "refs": refs, "limit": LIMIT, "param": _hash(include, wider),
                "type": include.source,
            }  # fmt: skip
            rows = await tx.all(_BACK, values)
            scope = tx.policy.scope(tx.ctx, Action.INCLUDE, include.source)
            out += [r[0] for r in rows if in_scope(scope, r[2])]
    return out


def _wanted(tx: Repository, include: Include, kind: str, patient: str | None) -> bool:
    return include.target in ("", kind) and in_scope(tx.policy.scope(tx.ctx, Action.INCLUDE, kind), patient)


def in_scope(scope: Scope, patient: str | None) -> bool:
    """Whether the policy shows a resource of this patient."""
    return scope.kind == "all" or (scope.kind == "patients" and patient in scope.patient_ids)


def _hash(include: Include, name: str) -> int:
    return param32(f"{include.source}.{name}")


def _names(include: Include) -> list[str]:
    if include.param != "*":
        return [include.param]
    return [n for n, p in search_params(include.source).items() if p.type == "reference" and p.extracted]
