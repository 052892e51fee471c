"""Running a search: policy, what has to be found out first, the page, includes, audit."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any

from benhan.base.errors import InvalidInput, NotAllowed
from benhan.fhir import RESOURCE_TYPES
from benhan.store.audit import AuditEntry
from benhan.store.model import Action, Scope, SearchPage, SearchParams
from benhan.store.refusals import allowed_scope
from benhan.store.search.ask import leaves
from benhan.store.search.codes import listed_codes
from benhan.store.search.condition import Values
from benhan.store.search.includes import Found, included, stored_rows
from benhan.store.search.page import Phase, count_sql, has_phases, page_sql, sort_keys
from benhan.store.search.parse import Asked, parse, write_cursor
from benhan.store.search.sieve import look, needs_looking

if TYPE_CHECKING:
    from benhan.store.repository import Repository

_EXPORT_PAGE = 500


async def run_search(repo: Repository, resource_type: str, params: SearchParams) -> SearchPage:
    """One page. Raises: ``NotAllowed``, ``InvalidInput``, ``NotFound`` (store.unknown-type)."""
    scope = allowed_scope(repo, Action.SEARCH, resource_type)
    asked = parse(resource_type, params)
    async with repo.looking() as tx:
        values = await _prepared(tx, asked, scope, Action.SEARCH)
        total = await _count(tx, asked, values) if asked.total or asked.only_count else None
        if asked.only_count:
            _note(tx, Action.COUNT, asked, [], total)
            return SearchPage([], total=total, ignored=tuple(asked.ignored))
        rows, cursor = await _page(tx, asked, values)
        entries = await stored_rows(tx, rows)
        beside = await included(tx, asked, entries) if asked.include or asked.revinclude else []
        _note(tx, Action.SEARCH, asked, [*entries, *beside], total)
    return SearchPage(
        [found[0] for found in entries], [found[0] for found in beside], total, cursor, tuple(asked.ignored)
    )


async def run_count(repo: Repository, resource_type: str, params: SearchParams) -> int:
    """Number of resources found."""
    scope = allowed_scope(repo, Action.COUNT, resource_type)
    asked = parse(resource_type, params)
    async with repo.looking() as tx:
        total = await _count(tx, asked, await _prepared(tx, asked, scope, Action.COUNT))
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
                rows, cursor = await _page(tx, asked, _values(tx, asked, scope, Action.EXPORT))
                entries = await stored_rows(tx, rows)
                exported += len(entries)
                if entries:
                    _note(tx, Action.EXPORT, asked, entries, exported)
            for found in entries:
                yield resource_type, found[0].raw
            if cursor is None:
                break
            asked.cursor = [rows[-1][12]]


def _values(tx: Repository, asked: Asked, scope: Scope, action: Action) -> Values:
    """Of the type asked the scope of the action itself; of those that a chain passes through, that of a search."""

    def scope_of(resource_type: str) -> Scope:
        if resource_type == asked.type:
            return scope
        return tx.policy.scope(tx.ctx, Action.SEARCH, resource_type)

    return Values(tx.ctx.tenant, scope_of=scope_of)


async def _prepared(tx: Repository, asked: Asked, scope: Scope, action: Action) -> Values:
    """Values with everything that no index row tells: codes of value sets, resources that have to be looked at."""
    values = _values(tx, asked, scope, action)
    plain = [p for f in asked.filters for p in leaves(f)]
    for one in plain:
        await listed_codes(tx, one, values)
    for one in plain:
        if needs_looking(one):
            beside = (
                [f for f in asked.filters if f is not one] if any(f is one for f in asked.filters) else []
            )
            await look(tx, one, beside, values, asked.compartment if beside else "")
    return values


async def _page(tx: Repository, asked: Asked, values: Values) -> tuple[list[tuple[Any, ...]], str | None]:
    """Rows of a page and the cursor of the next."""
    keys = sort_keys(asked)
    if asked.cursor is not None and len(asked.cursor) != len(keys) + 1:
        raise InvalidInput("store.bad-cursor", "Con trỏ trang không thuộc lần tìm này.")
    phased = has_phases(keys)
    begun = phased and asked.cursor is not None and asked.cursor[0] is None
    phases: list[Phase] = ["absent"] if begun else ["present", "absent"] if phased else ["present"]
    rows: list[tuple[Any, ...]] = []
    for phase in phases:
        fresh = values.fresh()
        sql = page_sql(fresh, asked, asked.count + 1 - len(rows), phase)
        found = await tx.all(sql, fresh.params())
        rows += [(*r[:14], None, *r[14:]) if phased and phase == "absent" else r for r in found]
        if len(rows) > asked.count:
            break
    more, rows = len(rows) > asked.count, rows[: asked.count]
    return rows, write_cursor([*rows[-1][14:], rows[-1][12]]) if more and rows else None


async def _count(tx: Repository, asked: Asked, values: Values) -> int:
    fresh = values.fresh()
    row = await tx.one(count_sql(fresh, asked), fresh.params())
    return int(row[0])


def _note(tx: Repository, action: Action, asked: Asked, found: list[Found], total: int | None) -> None:
    """One audit row for each patient whose data were found; one without patient when nothing was."""
    counts: dict[str | None, int] = {}
    for _, patient, _ in found:
        counts[patient] = counts.get(patient, 0) + 1
    query = [[f.label, f.value] for f in asked.filters]
    at = tx.clock.now()
    for patient, number in (counts or {None: 0}).items():
        detail = {"query": query, "found": number if total is None else total}
        tx.note_entry(AuditEntry(tx.ctx, at, action, f"{asked.type}?", None, patient, "0", detail))
