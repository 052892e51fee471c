"""The change feed loses nothing that commits late; the audit is complete, durable and tells when it was touched."""

from __future__ import annotations

import hashlib
import random
from datetime import UTC, datetime

import psycopg
import pytest
from tests.conftest import DatabaseServer
from tests.store.builders import a_patient, an_observation
from tests.store.waiting import until

from benhan.base.clock import FrozenClock
from benhan.base.errors import InvalidInput, NotAllowed, NotFound
from benhan.store import Action, Actor, Ctx, FeedCursor, Repository, Scope, Store, SystemPolicy
from benhan.store.feed import held_back_s
from benhan.store.merkle import EMPTY, Tree, leaf_hash, node_hash

pytestmark = pytest.mark.server


async def test_late_commit_is_delivered_after_it_settles(store: Store, repo: Repository) -> None:
    first = await repo.create(a_patient("Một"))
    async with repo.transaction() as slow:
        late = await slow.create(a_patient("Hai"))
        early = await repo.create(a_patient("Ba"))
        page = await store.read_feed(repo.ctx.tenant, None, 100)
        assert {i.id for i in page.items} <= {first.id}, "nothing behind an open transaction is delivered"
        assert await held_back_s(store) >= 0
    page2 = await until(
        lambda: store.read_feed(repo.ctx.tenant, page.cursor, 100), lambda p: len(p.items) >= 2
    )
    seen = [i.id for i in page.items] + [i.id for i in page2.items]
    assert sorted(seen) == sorted([first.id, late.id, early.id])
    assert len(seen) == 3
    assert (await store.read_feed(repo.ctx.tenant, page2.cursor, 100)).items == []


async def test_feed_does_not_wait_for_another_database(
    store: Store, repo: Repository, database_server: DatabaseServer
) -> None:
    """A long transaction elsewhere on the same server holds nothing back here."""
    elsewhere = await psycopg.AsyncConnection.connect(database_server.admin)
    try:
        await elsewhere.execute("select pg_current_xact_id()")
        stored = await repo.create(a_patient())
        page = await store.read_feed(repo.ctx.tenant, None, 100)
        assert [i.id for i in page.items] == [stored.id]
    finally:
        await elsewhere.close()


async def test_feed_carries_updates_and_deletions_in_order_and_pages(store: Store, repo: Repository) -> None:
    stored = await repo.create(a_patient())
    await repo.update({**stored.data, "active": True})
    await repo.delete("Patient", stored.id)
    await until(lambda: store.read_feed(repo.ctx.tenant, None, 100), lambda p: len(p.items) == 3)
    seen, cursor = [], None
    for _ in range(3):
        page = await store.read_feed(repo.ctx.tenant, cursor, 1)
        seen += [(i.version, i.action, i.data is None) for i in page.items]
        cursor = FeedCursor.parse(str(page.cursor))
    assert seen == [(1, "create", False), (2, "update", False), (3, "delete", True)]
    with pytest.raises(InvalidInput):
        FeedCursor.parse("x")


async def test_every_read_is_audited_for_the_patient_it_concerns(store: Store, repo: Repository) -> None:
    patient = await repo.create(a_patient())
    other = await repo.create(a_patient("Trần Văn Bê", "051190000009"))
    observation = await repo.create(an_observation(patient.id))
    await repo.read("Observation", observation.id)
    await repo.vread("Observation", observation.id, 1)
    await repo.history("Observation", observation.id)
    await repo.search("Observation", [("patient", patient.id), ("_include", "Observation:subject")])
    [_ async for _ in repo.export(("Observation",))]
    await repo.audit(
        "break-glass", entity=f"Patient/{patient.id}", patient=patient.id, detail={"reason": "cấp cứu"}
    )
    rows = await repo.audit_of_patient(patient.id, 50)
    assert [r.action for r in reversed(rows)] == [
        "create", "create", "read", "vread", "history", "search", "export", "break-glass",
    ]  # fmt: skip
    assert rows[0].detail == {"reason": "cấp cứu"}
    assert rows[-1].entity == f"Patient/{patient.id}"
    assert rows[-3].entity == f"Observation/{observation.id}"
    assert [r.action for r in await repo.audit_of_patient(other.id, 50)] == ["create"]


async def test_read_in_a_rolled_back_transaction_is_audited_all_the_same(repo: Repository) -> None:
    patient = await repo.create(a_patient())
    with pytest.raises(RuntimeError):  # noqa: PT012
        async with repo.transaction() as tx:
            await tx.read("Patient", patient.id)
            raise RuntimeError
    assert [r.action for r in await repo.audit_of_patient(patient.id, 10)] == ["read", "create"]


class OnlyPatient:
    """A policy of one patient who may read the own compartment."""

    def __init__(self, patient: str) -> None:
        self.patient = patient

    def check(self, ctx: Ctx, action: Action, resource_type: str, resource: dict | None) -> None:
        if action not in (Action.READ, Action.VREAD):
            raise NotAllowed("test.no", "Không.")
        if resource is not None and self.patient not in str(resource):
            raise NotFound("test.no", "Không có.")

    def scope(self, ctx: Ctx, action: Action, resource_type: str) -> Scope:
        if resource_type == "Condition" or action is Action.EXPORT:
            return Scope.NONE
        return Scope.patients(frozenset({self.patient}))


async def test_policy_is_asked_on_every_path(store: Store, repo: Repository) -> None:
    mine, other = await repo.create(a_patient()), await repo.create(a_patient("Khác", "051190000008"))
    ours, theirs = await repo.create(an_observation(mine.id)), await repo.create(an_observation(other.id))
    as_patient = store.repo(
        Ctx(repo.ctx.tenant, Actor(mine.reference, "Hoa", "person")), OnlyPatient(mine.id)
    )
    assert (await as_patient.read("Observation", ours.id)).id == ours.id
    assert [s.id for s in (await as_patient.search("Observation", "")).entries] == [ours.id]
    assert [s.id for s in (await as_patient.search("Patient", "")).entries] == [mine.id]
    assert await as_patient.count("Observation", "") == 1
    assert (await as_patient.search("Observation", f"subject={other.id}")).entries == []
    assert (await as_patient.search("Observation", "patient.identifier=051190000008")).entries == []
    page = await as_patient.search("Patient", "_revinclude=Observation:subject")
    assert [s.id for s in page.included] == [ours.id]
    for refused in (
        as_patient.read("Observation", theirs.id), as_patient.vread("Observation", theirs.id, 1),
        as_patient.history("Observation", theirs.id),
    ):  # fmt: skip
        with pytest.raises(NotFound):
            await refused
    for refused in (
        as_patient.create(a_patient()), as_patient.update(mine.data), as_patient.delete("Patient", mine.id),
        as_patient.search("Condition", ""), as_patient.count("Condition", ""), as_patient.history("Condition", "x"),
    ):  # fmt: skip
        with pytest.raises(NotAllowed):
            await refused
    with pytest.raises(NotAllowed):
        [_ async for _ in as_patient.export(("Patient",))]
    assert (await repo.read("Patient", mine.id)).version == 1


async def test_sealed_audit_verifies_and_shows_tampering(store: Store, repo: Repository) -> None:
    tenant = repo.ctx.tenant
    for n in range(5):
        await repo.audit(f"a{n}", entity=None, patient=None)
    await until(lambda: store.verify_audit(tenant), lambda r: r.unsealed == 5)
    assert await store.seal_audit(tenant) == 5
    for n in range(3):
        await repo.audit(f"b{n}", entity=None, patient=None)
    await until(lambda: store.verify_audit(tenant), lambda r: r.unsealed == 3)
    assert await store.seal_audit(tenant) == 3
    assert await store.seal_audit(tenant) == 0
    await repo.audit("tail", entity=None, patient=None)
    report = await until(lambda: store.verify_audit(tenant), lambda r: r.unsealed == 1)
    async with repo.transaction() as tx:
        actions = [row[0] for row in await tx.all("select action from audit order by epoch, tx, seq", ())]
    assert actions == ["a0", "a1", "a2", "a3", "a4", "b0", "b1", "b2", "tail"]
    assert (report.ok, report.size, report.unsealed) == (True, 8, 1)
    admin = await psycopg.AsyncConnection.connect(store.database.admin, autocommit=True)
    async with admin:
        await admin.execute("update audit set actor_display = 'Người khác' where action = 'b1'")
        report = await store.verify_audit(tenant)
        assert (report.ok, report.intact_to, report.broken_at) == (False, 5, 8)
        await admin.execute("update audit set actor_display = 'Kiểm thử' where action = 'b1'")
        assert (await store.verify_audit(tenant)).ok
        await admin.execute("delete from audit where action = 'a2'")
        report = await store.verify_audit(tenant)
        assert (report.ok, report.intact_to) == (False, 0)


async def test_rows_are_sealed_in_the_order_of_numbers_not_of_digits(store: Store, repo: Repository) -> None:
    async with await psycopg.AsyncConnection.connect(store.database.admin, autocommit=True) as admin:
        for tx in ("9", "10", "100"):
            await admin.execute(
                "insert into audit (tenant, tx, at, epoch, actor, actor_display, actor_kind, purpose, action, outcome, "
                "correlation) values (%s, %s::xid8, now(), 0, '', '', '', '', %s, '0', '')",
                (repo.ctx.tenant, tx, tx),
            )
    assert await store.seal_audit(repo.ctx.tenant) == 3
    report = await store.verify_audit(repo.ctx.tenant)
    assert (report.ok, report.size, report.unsealed) == (True, 3, 0)


def reference_root(leaves: list[bytes]) -> bytes:
    """RFC 9162 section 2.1.1, literally."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaf_hash(leaves[0])
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return node_hash(reference_root(leaves[:k]), reference_root(leaves[k:]))


def test_appendable_tree_has_the_roots_of_the_standard() -> None:
    pick = random.Random(9162)
    leaves = [pick.randbytes(pick.randrange(40)) for _ in range(70)]
    tree = Tree()
    assert tree.root() == EMPTY
    for n, data in enumerate(leaves, 1):
        tree = Tree(tree.size, tree.frontier)
        tree.append(leaf_hash(data))
        assert tree.root() == reference_root(leaves[:n])


async def test_times_are_the_clock_of_the_store(store_factory) -> None:
    clock = FrozenClock(datetime(2026, 3, 1, 8, tzinfo=UTC))
    store = await store_factory(clock=clock)
    tenant = await store.create_tenant("facility", "51Z09", "X")
    repo = store.repo(Ctx(tenant, Actor("Device/t", "T", "system")), SystemPolicy())
    stored = await repo.create(a_patient())
    assert stored.at == clock.now()
    assert (await repo.audit_of_patient(stored.id))[0].at == clock.now()
