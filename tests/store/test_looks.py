"""Looks of one request are gathered: few rows, nothing lost, durable before the answer, never mixed between patients."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from benhan.store import Looks, Repository
from benhan.store.audit import AuditEntry
from benhan.store.looks import _row, spread
from benhan.store.model import Actor, AuditRow, Ctx


def gathering(repo: Repository) -> tuple[Repository, Looks]:
    """The same caller within one request that gathers."""
    looks = Looks()
    return repo.store.repo(replace(repo.ctx, looks=looks, correlation_id="r-1"), repo.policy), looks


async def rows(repo: Repository) -> list[tuple[Any, ...]]:
    """Action, patient and correlation of every row of a look."""
    sql = "select action, patient, correlation from audit where action in ('look', 'read', 'search') order by epoch, tx, seq"
    async with repo.transaction() as tx:
        return [tuple(r) for r in await tx.all(sql, ())]


async def a_person(repo: Repository, name: str) -> str:
    return (await repo.create({"resourceType": "Patient", "name": [{"text": name}]})).id


async def test_one_row_a_patient_and_nothing_lost(repo: Repository) -> None:
    """Thirty reads of two people are two rows; asked for, every one is told, the repeated ones once."""
    one, two = await a_person(repo, "Nguyễn Văn Mẫu"), await a_person(repo, "Trần Thị Thử")
    asking, looks = gathering(repo)
    for _ in range(5):
        for person in (one, two):
            await asking.read("Patient", person)
            await asking.search("Condition", [("patient", f"Patient/{person}")])
            async with asking.transaction() as tx:
                await tx.read("Patient", person)
    assert await rows(repo) == []
    await looks.flush(repo.store.audit)
    assert sorted((r[0], r[1]) for r in await rows(repo) if r[1]) == sorted([("read", one), ("read", two)])
    told = await repo.audit_of_patient(one)
    assert [(r.action, r.entity, r.version) for r in told if r.action == "read"] == [
        ("read", f"Patient/{one}", 1)
    ]


async def test_searches_and_reads_of_a_person_come_back_whole(repo: Repository) -> None:
    """What is spread is what single rows would have said: entity, version, query, number found."""
    person = await a_person(repo, "Nguyễn Văn Mẫu")
    fact = {"resourceType": "Basic", "code": {"text": "x"}, "subject": {"reference": f"Patient/{person}"}}
    await repo.create(fact)
    asking, looks = gathering(repo)
    await asking.read("Patient", person)
    await asking.search("Basic", [("subject", f"Patient/{person}")])
    await asking.search("Basic", [("subject", f"Patient/{person}"), ("_count", "1")])
    await looks.flush(repo.store.audit)
    ((action, patient, _),) = await rows(repo)
    assert (action, patient) == ("look", person)
    told = {
        (r.action, r.entity, r.version) for r in await repo.audit_of_patient(person) if r.action != "create"
    }
    assert told == {("read", f"Patient/{person}", 1), ("search", "Basic?", None)}
    (query,) = {str(r.detail) for r in await repo.audit_of_patient(person) if r.action == "search"}
    assert f"Patient/{person}" in query


async def test_after_the_answer_looks_are_rows_again(repo: Repository) -> None:
    """A stream that goes on reading after the flush is still audited; writes never wait for the flush."""
    person = await a_person(repo, "Nguyễn Văn Mẫu")
    asking, looks = gathering(repo)
    await asking.create({"resourceType": "Basic", "code": {"text": "x"}})
    async with repo.transaction() as tx:
        created = await tx.all("select 1 from audit where action = 'create'", ())
    assert len(created) == 2
    await looks.flush(repo.store.audit)
    await asking.read("Patient", person)
    assert [r[0] for r in await rows(repo)] == ["read"]


async def test_a_rolled_back_look_stays_a_look(repo: Repository) -> None:
    """Who read inside an act that failed has read."""
    person = await a_person(repo, "Nguyễn Văn Mẫu")
    asking, looks = gathering(repo)
    try:
        async with asking.transaction() as tx:
            await tx.read("Patient", person)
            raise ValueError
    except ValueError:
        pass
    await looks.flush(repo.store.audit)
    assert [r[:2] for r in await rows(repo)] == [("read", person)]


TEXTS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=20)
IDS = st.sampled_from(["p1", "x-2", "~", "01a20a72-fa44"]) | st.uuids().map(str)
READS = st.builds(lambda i, v: ("read", f"Basic/{i}", v, None), IDS, st.integers(1, 9))
VREADS = st.builds(lambda i, v: ("vread", f"Basic/{i}", v, None), IDS, st.integers(1, 9))
TYPED = st.sampled_from(["Patient/p1", "Patient/~", "~0", "Encounter/dot-1"])
PAIRS = st.lists(
    st.tuples(
        TEXTS,
        TEXTS | TYPED,
    ).map(list),
    max_size=3,
)
SEARCHES = st.builds(
    lambda q, n: ("search", "Basic?", None, {"query": q, "found": n}), PAIRS, st.integers(0, 5)
)


@given(st.lists(READS | VREADS | SEARCHES, min_size=2, max_size=12), st.lists(st.booleans(), max_size=12))
def test_packing_loses_nothing(given_looks: list[tuple[Any, ...]], nobodys: list[bool]) -> None:
    """Whatever was looked at, in whatever order, is what comes back; only a literal ``~`` id is not a FHIR id."""
    now = datetime(2026, 11, 23, tzinfo=UTC)
    ctx = Ctx(UUID(int=1), Actor("Practitioner/1", "Thử", "person"))
    looks = [x for x in given_looks if "~" not in str(x[1])]
    if not looks:
        return
    whose = [
        None if nobody and n else "p1"
        for n, nobody in enumerate([*nobodys, *[False] * len(looks)][: len(looks)])
    ]
    entries = [AuditEntry(ctx, now, a, e, v, p, "0", d) for (a, e, v, d), p in zip(looks, whose, strict=True)]
    entries.sort(key=lambda entry: entry.patient is not None)
    made = _row(entries)
    row = AuditRow(
        now,
        "Practitioner/1",
        "Thử",
        "person",
        "TREAT",
        made.action,
        made.entity,
        None,
        "p1",
        "0",
        None,
        "",
        made.detail,
    )
    told = [(r.action, r.entity, r.version, r.patient, r.detail) for r in spread(row)]
    said = [(*look[:3], p, look[3]) for look, p in zip(looks, whose, strict=True)]
    assert sorted(map(repr, told)) == sorted(map(repr, said))
