"""Composite parameters: ``a$b``. Over the whole resource they are their components, asked one by one; over an element
that repeats, rows tied together by their group are asked.
"""

from __future__ import annotations

from collections.abc import Callable

from benhan.fhir import Component, search_params
from benhan.store.hashing import key64, param32
from benhan.store.search.ask import Condition, Plain
from benhan.store.search.condition import (
    Values,
    alternatives,
    any_of,
    bad_modifier,
    bad_value,
    dollars,
    unescape,
)
from benhan.store.search.number import number_test
from benhan.store.search.token import token_test
from benhan.store.shapes import is_whole

Build = Callable[[Values, str, Condition], str]


def composite(values: Values, alias: str, asked: Plain, build: Build) -> str:
    """Condition of a composite parameter."""
    if asked.modifier:
        raise bad_modifier(asked.param.name, asked.modifier)
    known = search_params(asked.type)
    tests = []
    for name in asked.names:
        param = known[name]
        for part in alternatives(asked.value):
            pieces = dollars(part)
            if len(pieces) != len(param.components) or not all(pieces):
                raise bad_value(asked.param.name)
            paired = list(zip(param.components, pieces, strict=True))
            if is_whole(param):
                tests.append(_whole(values, alias, asked.type, paired, build))
            else:
                tests.append(_grouped(values, alias, asked.type, name, paired))
    return any_of(tests)


def _whole(
    values: Values, alias: str, resource_type: str, paired: list[tuple[Component, str]], build: Build
) -> str:
    known = search_params(resource_type)
    tests = [
        build(values, alias, Plain(resource_type, known[c.code], "", piece, c.code)) for c, piece in paired
    ]
    if any(
        c.code == "value-string" for c, _ in paired
    ):  # the parameter also takes the text of a concept; this not
        tests.append(f"{values.add(param32('value-concept'))}::integer <> all({alias}.present)")
    return "(" + " and ".join(tests) + ")"


def _grouped(
    values: Values, alias: str, resource_type: str, name: str, paired: list[tuple[Component, str]]
) -> str:
    rows: list[str] = []
    tests: list[str] = []
    for component, piece in paired:
        row = values.alias()
        place = (resource_type, f"{name}${component.code}")
        if rows:
            tests.append(
                f"{row}.tenant = %(tenant)s and {row}.rid = {rows[0]}.rid and {row}.grp = {rows[0]}.grp"
            )
        rows.append(row)
        tests.append(_test(values, row, place, component, piece))
    tables = ", ".join(f"index_group {row}" for row in rows)
    return (
        f"exists (select from {tables} where {rows[0]}.tenant = %(tenant)s and {rows[0]}.rid = {alias}.rid "
        f"and {' and '.join(tests)})"
    )


def _test(values: Values, row: str, place: tuple[str, str], component: Component, piece: str) -> str:
    if component.type == "token":
        return token_test(values, row, place, piece)
    if component.type == "reference":
        return f"{row}.key = {values.add(key64(*place, unescape(piece)))}::bigint"
    return number_test(values, row, place, piece)
