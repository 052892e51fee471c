"""The one door to resources: policy, append, index, audit. See :mod:`benhan.store` for the rules of bytes and ids."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg
from psycopg.rows import TupleRow

from benhan.base.clock import Clock
from benhan.base.errors import Conflict, Deleted, InvalidInput, NotFound
from benhan.base.json_door import JsonObject, dumps
from benhan.fhir import RESOURCE_TYPES, patient_of
from benhan.store import audit as audit_rows
from benhan.store import reading
from benhan.store.audit import AuditEntry
from benhan.store.bundle import apply_bundle
from benhan.store.given import ID, check_version, parsed, type_of
from benhan.store.history import HistoryAsked, HistoryPage, history_page, versions_of
from benhan.store.indexing import IndexRows, rows_of
from benhan.store.keys import KeyRing
from benhan.store.looks import spread
from benhan.store.model import (
    Action,
    AuditRow,
    Ctx,
    Policy,
    SearchPage,
    SearchParams,
    Stored,
    SystemPolicy,
    check_content,
)
from benhan.store.patching import prepare_patch
from benhan.store.preparing import Prepared, prepare, prepare_new
from benhan.store.reading import Current
from benhan.store.refusals import not_found, unknown_type
from benhan.store.search import export_rows, run_count, run_search
from benhan.store.transaction import Statement, Transaction
from benhan.store.writing import Change, append

if TYPE_CHECKING:
    from benhan.store.store import Store

_OUTBOX = (
    "insert into outbox (tenant, topic, key, payload, at) values (%s, %s, %s, %s::jsonb, %s) "
    "on conflict (tenant, topic, key) do nothing"
)
_ONE_AT_A_TIME = "select pg_advisory_xact_lock(hashtextextended(%s, 0))"

Locked = dict[tuple[str, str], Current]


class ManyMatches(Conflict):
    """A condition that should find one resource finds several."""

    status = 412


class Repository:
    """Reads and writes resources of one tenant as one caller. Cheap; make one per request.

    Inside ``transaction()`` the repository given has ``connection`` set and everything happens in that transaction;
    outside, each call has its own.
    """

    def __init__(self, store: Store, ctx: Ctx, policy: Policy, tx: Transaction | None = None) -> None:
        self.store = store
        self.ctx = ctx
        self.policy = policy
        self._tx = tx

    @property
    def clock(self) -> Clock:
        """The store's clock."""
        return self.store.clock

    @property
    def connection(self) -> psycopg.AsyncConnection[Any] | None:
        """Inside a transaction: its connection, role benhan_app, tenant set. Do not commit or roll back on it."""
        return None if self._tx is None else self._tx.connection

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Repository]:
        """A repository bound to one transaction: committed at the end, rolled back on an exception; nesting joins."""
        if self._tx is not None:
            yield self
            return
        async with self.store.begin(self.ctx) as tx:
            yield Repository(self.store, self.ctx, self.policy, tx)

    @asynccontextmanager
    async def looking(self) -> AsyncIterator[Repository]:
        """As :meth:`transaction`, for calls of this room that write nothing but the audit of their reads."""
        if self._tx is not None:
            yield self
            return
        async with self.store.begin(self.ctx, reads_only=True) as tx:
            yield Repository(self.store, self.ctx, self.policy, tx)

    # ---- reads -----------------------------------------------------------------------------------------------

    async def read(self, resource_type: str, resource_id: str) -> Stored:
        """The current version. Raises: ``NotFound`` (store.not-found), ``Deleted`` (store.deleted, store.destroyed)."""
        self._ask(Action.READ, resource_type)
        if self._tx is None:
            current = await self.store.lookup.current(self.ctx, (resource_type, resource_id))
        else:
            current = await self.current(resource_type, resource_id)
        if current is None:
            raise not_found(resource_type, resource_id)
        stored = current.stored
        if current.destroyed:
            raise reading.destroyed(resource_type, resource_id)
        if stored.deleted:
            raise Deleted("store.deleted", "Tài liệu này đã bị xóa; lịch sử vẫn còn.")
        check_content(self.policy, self.ctx, Action.READ, stored)
        entry = self._entry(Action.READ, stored, current.patient)
        if self._tx is None:
            own = [entry] if self.ctx.looks is None else self.ctx.looks.take([entry])
            if own:
                await self.store.audit.put(self.ctx.tenant, own)
        else:
            self._tx.reads.append(entry)
        return stored

    async def vread(self, resource_type: str, resource_id: str, version: int) -> Stored:
        """One version. Raises: ``NotFound`` (store.no-such-version), ``Deleted``."""
        self._ask(Action.VREAD, resource_type)
        async with self.looking() as tx:
            row = await tx.one(reading.VERSION, (self.ctx.tenant, resource_type, resource_id, version))
            if row is None:
                raise NotFound("store.no-such-version", "Không có phiên bản này.")
            stored = await reading.stored_of(self.store.keys, tx.open_connection, self.ctx.tenant, row)
            if stored is None:
                raise reading.destroyed(resource_type, resource_id)
            if stored.deleted:
                raise Deleted("store.deleted", "Phiên bản này là một lần xóa.")
            check_content(self.policy, self.ctx, Action.VREAD, stored)
            tx.note(Action.VREAD, stored, patient_of(stored.data))
        return stored

    async def history(
        self, resource_type: str, resource_id: str, *, limit: int = 100, before: int | None = None
    ) -> list[Stored]:
        """Versions, newest first; ``before``: only versions below this one. Destroyed versions are left out."""
        return await versions_of(self, resource_type, resource_id, limit, before)

    async def history_page(self, asked: HistoryAsked) -> HistoryPage:
        """Versions of one resource, of a type or of all, newest first; see :mod:`benhan.store.history`."""
        return await history_page(self, asked)

    async def search(self, resource_type: str, params: SearchParams) -> SearchPage:
        """One page of a search; parameters as in a query string or as pairs. See :mod:`benhan.store.search`."""
        return await run_search(self, resource_type, params)

    async def count(self, resource_type: str, params: SearchParams) -> int:
        """Number of resources a search would find."""
        return await run_count(self, resource_type, params)

    def export(self, types: tuple[str, ...] = ()) -> AsyncIterator[tuple[str, bytes]]:
        """Exact bytes of every current resource that may be exported, by type; audited once per type."""
        return export_rows(self, types)

    # ---- writes ----------------------------------------------------------------------------------------------

    async def create(
        self, resource: JsonObject | bytes, *, if_none_exist: str | None = None, custodian: UUID | None = None
    ) -> Stored:
        """Append version 1. With ``if_none_exist`` the one resource found is given back instead.

        Raises: ``InvalidInput``, ``NotAllowed``, ``Conflict`` (store.exists), ``ManyMatches`` (store.many-matches).
        """
        raw, given = parsed(resource)
        resource_type = type_of(given)
        ready = None if if_none_exist is not None else prepare_new(raw, given, self.clock)
        async with self._one_write() as (tx, last, _):
            if if_none_exist is not None:
                found = await tx.only_match(resource_type, if_none_exist)
                if found is not None:
                    return found
            ready = ready or prepare_new(raw, given, self.clock)
            return (await tx.write([await tx.prepare_create(ready, custodian)], last=last))[0]

    async def update(
        self, resource: JsonObject | bytes, *, if_match: int | None = None, custodian: UUID | None = None
    ) -> Stored:
        """Append the next version; version 1 when the id is new (ids given by clients are accepted).

        Raises: ``StaleVersion`` (store.stale-version) when ``if_match`` is not the current version.
        """
        raw, given = parsed(resource)
        place = (type_of(given), given.get("id"))
        if place[1] is None:
            raise InvalidInput("store.id-missing", "Tài liệu cần mã (id) để cập nhật.", expression="id")
        ready = prepare(raw, given, self.clock.now())
        async with self._one_write(place) as (tx, last, locked):
            change = await tx.prepare_update(ready, if_match, custodian, locked)
            return (await tx.write([change], last=last))[0]

    async def patch(
        self,
        resource_type: str,
        resource_id: str,
        change: Callable[[JsonObject], JsonObject],
        *,
        if_match: int | None = None,
    ) -> Stored:
        """Append what ``change`` makes of the current version, which stays locked meanwhile; guards as for an update.

        Raises: ``NotFound``, ``Deleted``, ``StaleVersion``, ``InvalidInput`` (store.patch-identity), what it raises.
        """
        async with self.transaction() as tx:
            return (await tx.write([await prepare_patch(tx, resource_type, resource_id, change, if_match)]))[
                0
            ]

    async def conditional_update(
        self,
        resource_type: str,
        query: SearchParams,
        resource: JsonObject | bytes,
        *,
        if_match: int | None = None,
    ) -> Stored:
        """Update the one resource that ``query`` finds, create when there is none. Raises: ``ManyMatches``."""
        raw, given = parsed(resource)
        async with self.transaction() as tx:
            found = await tx.only_match(resource_type, query)
            if found is None:
                ready = prepare_new(raw, given, self.clock)
                return (await tx.write([await tx.prepare_create(ready, None)]))[0]
            if given.get("id") not in (None, found.id):
                raise InvalidInput("store.id-mismatch", "Mã của tài liệu không khớp với tài liệu tìm được.")
            ready = prepare(None, {**given, "id": found.id}, self.clock.now())
            change = await tx.prepare_update(ready, if_match, None)
            return (await tx.write([change]))[0]

    async def delete(self, resource_type: str, resource_id: str, *, if_match: int | None = None) -> None:
        """Append a deletion; a second one changes nothing. Raises: ``NotFound``, ``StaleVersion``."""
        async with self.transaction() as tx:
            change = await tx.prepare_delete(resource_type, resource_id, if_match)
            if change is not None:
                await tx.write([change])

    async def bundle(self, bundle: JsonObject, *, custodian: UUID | None = None) -> JsonObject:
        """Carry out a transaction (all or nothing) or batch Bundle; gives the response Bundle.

        ``custodian``: the facility in whose custody the hub keeps what a transaction of plain PUTs writes.
        """
        return await apply_bundle(self, bundle, custodian)

    async def outbox(self, topic: str, key: str, payload: JsonObject) -> None:
        """Put a message into the outbox in this transaction; a second one with the same topic and key is dropped."""
        async with self.transaction() as tx:
            values = (self.ctx.tenant, topic, key, dumps(payload).decode(), self.clock.now())
            await tx.open_connection.execute(_OUTBOX, values)

    async def audit(
        self,
        action: str,
        *,
        entity: str | None,
        patient: str | None,
        outcome: str = "0",
        detail: JsonObject | None = None,
    ) -> None:
        """Write an audit row for an act that is no resource access. Outside a transaction it is durable on return."""
        entry = AuditEntry(self.ctx, self.clock.now(), action, entity, None, patient, outcome, detail)
        if self._tx is None:
            await self.store.audit.put(self.ctx.tenant, [entry])
        else:
            await self._tx.connection.execute(audit_rows.INSERT, audit_rows.columns(self.ctx.tenant, [entry]))

    async def audit_of_patient(self, patient_id: str, limit: int = 200) -> list[AuditRow]:
        """Who looked at or changed this patient's data, newest first; ``limit`` counts requests of people as one."""
        async with self.transaction() as tx:
            rows = await audit_rows.of_patient(tx.open_connection, self.ctx.tenant, patient_id, limit)
        return [one for row in rows for one in spread(row)]

    # ---- inside a transaction: used by this room's modules ----------------------------------------------------

    @property
    def open_connection(self) -> psycopg.AsyncConnection[Any]:
        """The connection; a mistake of ours outside a transaction."""
        return self._open.connection

    @property
    def _open(self) -> Transaction:
        if self._tx is None:
            raise RuntimeError("store: this needs a repository inside transaction()")
        return self._tx

    def for_guard(self) -> Repository:
        """The same transaction with everything allowed: for what a guard has to look up on its own account."""
        return Repository(self.store, self.ctx, SystemPolicy(), self._open)

    async def one(self, sql: str, values: tuple[Any, ...] | dict[str, Any]) -> Any:
        """First row of a constant statement."""
        return await (await self.open_connection.execute(sql.encode(), values)).fetchone()

    async def all(self, sql: str, values: tuple[Any, ...] | dict[str, Any]) -> list[Any]:
        """All rows of a constant statement."""
        return await (await self.open_connection.execute(sql.encode(), values)).fetchall()

    async def current(self, resource_type: str, resource_id: str, *, lock: bool = False) -> Current | None:
        """The current version without policy or audit; ``lock`` for a write that follows."""
        sql = reading.CURRENT_FOR_UPDATE if lock else reading.CURRENT
        row = await self.one(sql, (self.ctx.tenant, resource_type, resource_id))
        if row is not None and row[0] is None:  # changed while we waited: see CURRENT_FOR_UPDATE
            row = await self.one(sql, (self.ctx.tenant, resource_type, resource_id))
        return (
            None
            if row is None
            else await reading.current_of(self.store.keys, self.open_connection, self.ctx.tenant, row)
        )

    async def lock_currents(self, places: set[tuple[str, str]]) -> dict[tuple[str, str], Current]:
        """Current versions of many (type, id) with one statement, locked for the writes that follow."""
        asked = {p for p in places if ID.fullmatch(p[1])}  # others are refused when they are prepared
        if not asked:
            return {}
        _, values = reading.ask_places(self.ctx.tenant, asked)
        if {*await self.all(reading.PLACES_FOR_UPDATE, values)}.isdisjoint(asked):
            return {}
        rows = await self.all(reading.CURRENT_OF_MANY_FOR_UPDATE, values)
        found: dict[tuple[str, str], Current] = {}
        for row in rows:
            if row[14:] in asked:
                current = await reading.current_of(
                    self.store.keys, self.open_connection, self.ctx.tenant, row
                )
                found[current.stored.type, current.stored.id] = current
        return found

    @asynccontextmanager
    async def locking(
        self, places: set[tuple[str, str]], scopes: set[str]
    ) -> AsyncIterator[tuple[Repository, Locked, list[TupleRow] | None]]:
        """A transaction for writes to ``places``, with what stands there, locked, and the keys of ``scopes``, those of what
        will be written: all asked for on the way that opens it. The keys are None where it was open already."""
        if self._tx is not None:
            yield self, await self.lock_currents(places), None
            return
        asked = {p for p in places if ID.fullmatch(p[1])}
        questions = (reading.ask_places(self.ctx.tenant, asked), KeyRing.ask_scopes(self.ctx.tenant, scopes))
        async with self.store.begin(self.ctx, first=questions) as tx:
            repo = Repository(self.store, self.ctx, self.policy, tx)
            taken = not {*tx.found[0]}.isdisjoint(asked)
            yield repo, await repo.lock_currents(places) if taken else {}, tx.found[1]

    def note(
        self, action: Action, stored: Stored, patient: str | None, detail: JsonObject | None = None
    ) -> None:
        """Note a read for the audit; it is durable before the transaction ends."""
        self._open.reads.append(self._entry(action, stored, patient, detail))

    def _entry(
        self, action: Action, stored: Stored, patient: str | None, detail: JsonObject | None = None
    ) -> AuditEntry:
        return AuditEntry(
            self.ctx, self.clock.now(), action, stored.reference, stored.version, patient, "0", detail
        )

    def note_entry(self, entry: AuditEntry) -> None:
        """Note a ready audit row."""
        self._open.reads.append(entry)

    async def only_match(self, resource_type: str, query: SearchParams) -> Stored | None:
        """The one resource a condition finds; two writers with the same condition wait for each other."""
        lock = f"{self.ctx.tenant}|{resource_type}|{query}"
        await self.open_connection.execute(_ONE_AT_A_TIME, (lock,))
        pairs = query if isinstance(query, str) else list(query)
        extra = "&_count=2" if isinstance(pairs, str) else [("_count", "2")]
        page = await run_search(self, resource_type, pairs + extra)  # type: ignore[operator]
        if page.ignored:  # a misspelt condition would find everybody
            raise InvalidInput("store.bad-condition", "Điều kiện có tham số tìm kiếm không hiểu.")
        if len(page.entries) > 1:
            raise ManyMatches("store.many-matches", "Điều kiện tìm thấy nhiều hơn một tài liệu.")
        return page.entries[0] if page.entries else None

    async def prepare_create(self, ready: Prepared, custodian: UUID | None) -> Change:
        """A create, allowed, ready for :meth:`write`."""
        old = None if ready.fresh else await self.current(ready.type, ready.id, lock=True)
        if old is not None and not old.stored.deleted:
            raise Conflict("store.exists", "Đã có tài liệu mang mã này.")
        return await self._change(Action.CREATE, ready, old, custodian)

    async def prepare_update(
        self, ready: Prepared, if_match: int | None, custodian: UUID | None, locked: Locked | None = None
    ) -> Change:
        """An update (or a create under the client's id), allowed, ready for :meth:`write`.

        ``locked``: what :meth:`lock_currents` found for a set of places that this resource's is one of.
        """
        if locked is None:
            old = await self.current(ready.type, ready.id, lock=True)
        else:
            old = locked.get((ready.type, ready.id))
        check_version(old, if_match)
        if old is not None and old.destroyed:
            raise reading.destroyed(ready.type, ready.id)
        action = Action.CREATE if old is None or old.stored.deleted else Action.UPDATE
        return await self._change(action, ready, old, custodian)

    async def prepare_delete(
        self, resource_type: str, resource_id: str, if_match: int | None
    ) -> Change | None:
        """A deletion, allowed; None when it is deleted already."""
        self._ask(Action.DELETE, resource_type)
        old = await self.current(resource_type, resource_id, lock=True)
        if old is None:
            raise not_found(resource_type, resource_id)
        if old.stored.deleted:
            return None
        check_version(old, if_match)
        if old.destroyed:
            raise reading.destroyed(resource_type, resource_id)
        self.policy.check(self.ctx, Action.DELETE, resource_type, old.stored.data)
        await self._guard(Action.DELETE, None, old.stored.data)
        return Change(
            Action.DELETE, resource_type, resource_id, old.stored.version + 1, old.rid, self.clock.now(),
            self.ctx.actor.reference, old.stored.custodian, b"", None, "", old.patient, IndexRows(),
            rows_of(old.stored.data),
        )  # fmt: skip

    async def _change(
        self, action: Action, ready: Prepared, old: Current | None, custodian: UUID | None
    ) -> Change:
        at = self.clock.now()
        version = 1 if old is None else old.stored.version + 1
        raw = ready.finish(version, at)
        before = None if old is None or old.stored.deleted else old.stored.data
        if before is not None:
            self.policy.check(self.ctx, action, ready.type, before)
        self.policy.check(self.ctx, action, ready.type, ready.data)
        await self._guard(action, ready.data, before)
        if old is not None and custodian is None:
            custodian = old.stored.custodian
        return Change(
            action, ready.type, ready.id, version,
            await self.store.next_rid(self.open_connection) if old is None else old.rid,
            at, self.ctx.actor.reference, custodian, raw, ready.data, ready.scope, ready.patient, ready.rows,
            None if before is None else rows_of(before),
        )  # fmt: skip

    async def _guard(self, action: Action, new: JsonObject | None, old: JsonObject | None) -> None:
        for guard in self.store.guards:
            await guard(self, self.ctx, action, new, old)

    @asynccontextmanager
    async def _one_write(
        self, place: tuple[str, Any] | None = None
    ) -> AsyncIterator[tuple[Repository, bool, Locked | None]]:
        """A transaction for one write: ``(repository, whether the write is its last act, what was found locked)``.

        What stands at ``place`` (type, id) is asked and locked together with the settings of the transaction.
        """
        if self._tx is not None:
            yield self, False, None
            return
        first: list[Statement] = []
        if place is not None and isinstance(place[1], str) and ID.fullmatch(place[1]):
            first = [(reading.CURRENT_FOR_UPDATE.encode(), (self.ctx.tenant, *place))]
        async with self.store.begin(self.ctx, first=first) as tx:
            locked: Locked | None = None
            row = tx.found[0][0] if first and tx.found[0] else None
            if first and place and row is None:
                locked = {}
            elif place and row is not None and row[0] is not None:  # null: see CURRENT_FOR_UPDATE
                current = await reading.current_of(self.store.keys, tx.connection, self.ctx.tenant, row)
                locked = {place: current}
            yield Repository(self.store, self.ctx, self.policy, tx), True, locked

    async def write(
        self, changes: list[Change], *, last: bool = False, keys_found: list[TupleRow] | None = None
    ) -> list[Stored]:
        """Append prepared changes with their audit rows; ``last``: nothing follows in this transaction; ``keys_found``: the
        keys of their scopes, asked for in it."""
        connection, tenant = self.open_connection, self.ctx.tenant
        scopes = {c.scope for c in changes if not c.deleted}
        fresh = {f"{c.type}/{c.id}" for c in changes if c.version == 1} & scopes
        keys = await self.store.keys.for_scopes(connection, tenant, scopes, fresh, keys_found)
        entries = [
            AuditEntry(self.ctx, c.at, c.action, f"{c.type}/{c.id}", c.version, c.patient, "0", c.detail)
            for c in changes
        ]
        await append(self._open, tenant, changes, keys, entries, self.clock.now(), last=last)
        made = [
            reading.make(
                c.type, c.id, c.version, c.at, c.author, str(c.action), c.raw, c.sha256.hex(), c.custodian
            )
            for c in changes
        ]
        for stored, change in zip(made, changes, strict=True):
            if change.data is not None and stored.served is not None:
                stored.__dict__["data"] = change.data  # what the property would parse again
        return made

    def _ask(self, action: Action, resource_type: str) -> None:
        if resource_type not in RESOURCE_TYPES:
            raise unknown_type(resource_type)
        self.policy.check(self.ctx, action, resource_type, None)
