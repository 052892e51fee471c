"""The levels in SQL (splink) and in Python (the desk) are the same; what is learned is sensible."""

from __future__ import annotations

import itertools
from random import Random

import duckdb

from benhan.bench.province import registrations
from benhan.bench.typos import typed_again
from benhan.identity import Face, face_of, learning
from benhan.identity.matching import levels


def _faces() -> list[Face]:
    rng = Random(5)
    people = [one.person for one in registrations(60, 5)]
    return [face_of(p) for p in (*people, *(typed_again(rng, p) for p in people))]


def test_sql_and_python_agree_on_every_pair() -> None:
    """Every field of every pair of people, among them second registrations with faults: one level."""
    faces = _faces()
    table = learning.table_of(faces)
    sides = {side: [f"{name} as {name}_{side}" for name in table.column_names] for side in "lr"}
    checked = 0
    with duckdb.connect() as db:
        db.register("people", table)
        for field, (column, found) in learning.LEVELS.items():
            steps = " ".join(f"when {sql} then '{level}'" for level, sql in found.items())
            rows = db.execute(
                f"with l as (select {', '.join(sides['l'])} from people), r as (select {', '.join(sides['r'])} from people)"
                f" select unique_id_l, unique_id_r, case when {column}_l is null or {column}_r is null then '' {steps}"
                f" else '{learning.REST}' end from l, r where unique_id_l < unique_id_r"
            ).fetchall()
            for one, other, level in rows:
                assert levels(faces[one], faces[other]).get(field, "") == level, (
                    field,
                    faces[one],
                    faces[other],
                )
                checked += 1
    assert checked == len(learning.LEVELS) * len(list(itertools.combinations(faces, 2)))


def test_agreement_speaks_for_and_difference_against() -> None:
    """Learned on a small province: the same number and birth are likelier within a human than between two."""
    faces = [face_of(one.person) for one in registrations(4000, 3)]
    linker = learning.linker_of(learning.table_of(faces))
    learned = learning.train(linker, pairs=1e5)
    for field in ("identifier", "name", "birth_date", "place"):
        m, u = next(iter(learned[field].values()))
        assert m > u
        m, u = learned[field][learning.REST]
        assert m < u
    assert all(0 < share <= 1 for share in learning.shares_of(faces).values())
