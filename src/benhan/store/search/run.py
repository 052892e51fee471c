"""Running a search: policy, chains, the page, includes, audit."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import TYPE_CHECKING

from benhan.base.errors import InvalidInput, NotAllowed
from benhan.fhir import RESOURCE_TYPES, extract, search_params
from benhan.store.audit import AuditEntry
from benhan.store.hashing import key64
from benhan.store.model import Action, Scope, SearchPage, SearchParams, Stored
from benhan.store.reading import CURRENT_BY_REFERENCE, stored_of
from benhan.store.refusals import allowed_scope
from benhan.store.search.condition import Values
from benhan.store.search.parse import Asked, Filter, Include, parse, write_cursor
from benhan.store.search.plan import count_sql, page_sql, where
from benhan.store.search.reference import to_keys

if TYPE_CHECKING:
    from benhan.store.repository import Repository

CHAIN_LIMIT = 2000
INCLUDE_LIMIT = 1000
_EXPORT_PAGE = 500
Found = tuple[Stored, str | None]


async def run_search(repo: Repository, resource_type: str, params: SearchParams) -> SearchPage:
    """One page. Raises: ``NotAllowed``, ``InvalidInput``, ``NotFound`` (store.unknown-type)."""
    scope = allowed_scope(repo, Action.SEARCH, resource_type)
    asked = parse(resource_type, params)
    async with repo.looking() as tx:
        extra_values = Values(repo.ctx.tenant)
        extra = await _chains(tx, asked, extra_values)
        total = (
            await _count(tx, asked, scope, extra, extra_values) if asked.total or asked.only_count else None
        )
        if asked.only_count:
            _note(tx, Action.COUNT, asked, [], total)
            return SearchPage([], total=total, ignored=tuple(asked.ignored))
        values = Values(repo.ctx.tenant, dict(extra_values.bound))
        rows = await tx.all(page_sql(values, asked, scope, extra), values.params())  # type: ignore[arg-type]
        more = len(rows) > asked.count
        rows = rows[: asked.count]
        entries = await _stored(tx, rows)
        included = await _included(tx, asked, entries) if asked.include or asked.revinclude else []
        _note(tx, Action.SEARCH, asked, [*entries, *included], total)
    cursor = write_cursor([*rows[-1][14:], rows[-1][12]]) if more and rows else None
    return SearchPage([s for s, _ in entries], [s for s, _ in included], total, cursor, tuple(asked.ignored))


async def run_count(repo: Repository, resource_type: str, params: SearchParams) -> int:
    """Number of resources found."""
    scope = allowed_scope(repo, Action.COUNT, resource_type)
    asked = parse(resource_type, params)
    async with repo.looking() as tx:
        values = Values(repo.ctx.tenant)
        extra = await _chains(tx, asked, values)
        total = await _count(tx, asked, scope, extra, values)
        _note(tx, Action.COUNT, asked, [], total)
    return total


async def export_rows(repo: Repository, types: Sequence[str]) -> AsyncIterator[tuple[str, bytes]]:
    """Every current resource of the given types (all: those the policy shows), page by page."""
    for resource_type in types or sorted(RESOURCE_TYPES):
        scope = repo.policy.scope(repo.ctx, Action.EXPORT, resource_type)
        if scope.kind == "none":
            if types:
                raise NotAllowed("store.not-allowed", "Không có quyền xuất loại tài liệu này.")
            continue
        asked = Asked(resource_type, count=_EXPORT_PAGE)
        exported = 0
        while True:
            async with repo.transaction() as tx:
                values = Values(repo.ctx.tenant)
                rows = await tx.all(page_sql(values, asked, scope), values.params())  # type: ignore[arg-type]
                more, rows = len(rows) > asked.count, rows[: asked.count]
                entries = await _stored(tx, rows)
                exported += len(entries)
                if entries:
                    _note(tx, Action.EXPORT, asked, entries, exported)
            for stored, _ in entries:
                yield resource_type, stored.raw
            if not more:
                break
            asked.cursor = [rows[-1][12]]


async def _stored(tx: Repository, rows: Iterable[tuple[object, ...]]) -> list[Found]:
    found = []
    for row in rows:
        stored = await stored_of(tx.store.keys, tx.open_connection, tx.ctx.tenant, row)
        if stored is not None:
            found.append((stored, row[13]))
    return found  # type: ignore[return-value]


async def _count(tx: Repository, asked: Asked, scope: Scope, extra: Sequence[str], bound: Values) -> int:
    values = Values(bound.tenant, dict(bound.bound))
    row = await tx.one(count_sql(values, asked, scope, extra), values.params())  # type: ignore[arg-type]
    return int(row[0])


async def _chains(tx: Repository, asked: Asked, values: Values) -> list[str]:
    """Conditions of chained filters: the targets are searched first, under the same policy."""
    conditions = []
    for chained in asked.filters:
        if chained.chain:
            keys = await _chain_keys(tx, asked, chained)
            conditions.append(to_keys(values, keys))
    return conditions


async def _chain_keys(tx: Repository, asked: Asked, chained: Filter) -> list[int]:
    name = chained.chain.partition(":")[0].partition(".")[0]
    targets = [chained.modifier] if chained.modifier else sorted(chained.param.targets)
    targets = [t for t in targets if t in RESOURCE_TYPES and name in search_params(t)]
    if not targets or "." in chained.chain:
        raise InvalidInput(
            "store.search-chain", f"Không tìm nối tiếp được theo {chained.label}.", expression=chained.label
        )
    keys: list[int] = []
    for target in targets:
        scope = tx.policy.scope(tx.ctx, Action.SEARCH, target)
        if scope.kind == "none":
            continue
        inner = parse(target, [(chained.chain, chained.value)])
        values = Values(tx.ctx.tenant)
        sql = (
            f"select c.id from current_version c where {where(values, inner, scope)} limit {CHAIN_LIMIT + 1}"  # noqa: S608
        )
        ids = await tx.all(sql, values.params())  # type: ignore[arg-type]
        if len(ids) > CHAIN_LIMIT:
            raise InvalidInput(
                "store.search-too-broad",
                f"Điều kiện {chained.label} quá rộng; hãy thêm điều kiện.",
                expression=chained.label,
            )
        keys += [key64(asked.type, chained.param.name, f"{target}/{row[0]}") for row in ids]
    return keys


async def _included(tx: Repository, asked: Asked, entries: list[Found]) -> list[Found]:
    wanted: dict[tuple[str, str], None] = {}
    for include in asked.include:
        for stored, _ in entries:
            if stored.type == include.source:
                wanted.update(dict.fromkeys(_targets(stored, include)))
    for own, _ in entries:
        wanted.pop((own.type, own.id), None)
    wanted = {k: None for k in wanted if tx.policy.scope(tx.ctx, Action.INCLUDE, k[0]).kind != "none"}
    found: dict[str, Found] = {}
    if wanted:
        types, ids = zip(*wanted, strict=True)
        rows = await tx.all(CURRENT_BY_REFERENCE, (list(types), list(ids), tx.ctx.tenant))
        for stored, patient in await _stored(tx, rows):
            if _in_scope(tx.policy.scope(tx.ctx, Action.INCLUDE, stored.type), patient):
                found[stored.reference] = (stored, patient)
    for include in asked.revinclude:
        for stored, patient in await _referring(tx, include, entries):
            found.setdefault(stored.reference, (stored, patient))
    return [f for f in found.values() if not any(f[0].reference == s.reference for s, _ in entries)]


def _in_scope(scope: Scope, patient: str | None) -> bool:
    return scope.kind == "all" or (scope.kind == "patients" and patient in scope.patient_ids)


def _targets(stored: Stored, include: Include) -> list[tuple[str, str]]:
    return [
        (value.target_type, value.target_id)
        for value in extract(stored.data)
        if value.param == include.param
        and value.target_type
        and value.target_id
        and include.target in ("", value.target_type)
    ]


async def _referring(tx: Repository, include: Include, entries: list[Found]) -> list[Found]:
    scope = tx.policy.scope(tx.ctx, Action.INCLUDE, include.source)
    if scope.kind == "none" or not entries:
        return []
    values = Values(tx.ctx.tenant)
    keys = [
        key64(include.source, include.param, s.reference)
        for s, _ in entries
        if include.target in ("", s.type)
    ]
    asked = Asked(include.source, count=INCLUDE_LIMIT)
    sql = page_sql(values, asked, scope, [to_keys(values, keys)])
    rows = await tx.all(sql, values.params())  # type: ignore[arg-type]
    return await _stored(tx, rows[:INCLUDE_LIMIT])


def _note(tx: Repository, action: Action, asked: Asked, found: list[Found], total: int | None) -> None:
    """One audit row for each patient whose data were found; one without patient when nothing was."""
    counts: dict[str | None, int] = {}
    for _, patient in found:
        counts[patient] = counts.get(patient, 0) + 1
    query = [[f.label, f.value] for f in asked.filters]
    at = tx.clock.now()
    for patient, number in (counts or {None: 0}).items():
        detail = {"query": query, "found": number if total is None else total}
        tx.note_entry(AuditEntry(tx.ctx, at, action, f"{asked.type}?", None, patient, "0", detail))
