"""From conditions to SQL. Only constant fragments; every value is bound. Row-level security and the policy's scope
stand in every look at ``current_version``: of what is found, of what a chain passes through, of what refers to it.
"""

from __future__ import annotations

from collections.abc import Sequence

from benhan.base.errors import InvalidInput
from benhan.fhir import search_params
from benhan.store.hashing import param32
from benhan.store.model import Scope
from benhan.store.search import date as dates
from benhan.store.search.ask import Chain, Condition, Plain, Reverse, chain_error
from benhan.store.search.composite import composite
from benhan.store.search.condition import Values, alternatives, any_of, bad_modifier, bad_value
from benhan.store.search.number import number
from benhan.store.search.parse import Asked
from benhan.store.search.reference import in_compartment, reference
from benhan.store.search.string import string, uri
from benhan.store.search.token import token
from benhan.store.shapes import literal_of


def where(values: Values, alias: str, asked: Asked, extra: Sequence[str] = ()) -> str:
    """The condition over ``current_version`` as ``alias``."""
    typed = any(says_type(values, f) for f in asked.filters)
    parts = [f"{alias}.tenant = %(tenant)s", shown(values, alias, asked.type, typed=typed), *extra]
    if asked.compartment:
        parts.append(in_compartment(values, alias, asked.type, asked.compartment))
    parts += [condition_sql(values, alias, f) for f in asked.filters]
    return " and ".join(parts)


def says_type(values: Values, asked: Condition) -> bool:
    """Whether a condition holds for resources of its type only: keys of index rows are hashes of the type too.

    The type is then not asked again: the planner would take the two for independent, and expect a twentieth of the rows.
    """
    if isinstance(asked, Chain):
        return True
    if isinstance(asked, Reverse) or id(asked) in values.found:
        return False
    return asked.modifier not in ("missing", "not", "not-in") and asked.param.name not in (
        "_id",
        "_lastUpdated",
    )


def shown(values: Values, alias: str, resource_type: str, *, typed: bool = False) -> str:
    """Condition: of the type (``typed``: said already), not deleted, and within what the policy shows."""
    scope: Scope = values.scope_of(resource_type)
    if scope.kind == "none":
        return "false"
    plain = f"not {alias}.deleted"
    if not typed:
        plain = f"{alias}.type = {values.add(resource_type)}::text and {plain}"
    if scope.kind == "patients":
        plain += f" and {alias}.patient = any({values.add(sorted(scope.patient_ids))}::text[])"
    return plain


def condition_sql(values: Values, alias: str, asked: Condition) -> str:
    """The condition of a tree over ``current_version`` as ``alias``."""
    if isinstance(asked, Chain):
        return _chain(values, alias, asked)
    if isinstance(asked, Reverse):
        return _reverse(values, alias, asked)
    if id(asked) in values.found:
        return f"{alias}.rid = any({values.add(values.found[id(asked)])}::bigint[])"
    return _plain(values, alias, asked)


def _plain(values: Values, alias: str, asked: Plain) -> str:
    name, modifier, kind = asked.param.name, asked.modifier, asked.param.type
    if name == "_id":
        if modifier:
            raise bad_modifier(name, modifier)
        return f"{alias}.id = any({values.add(alternatives(asked.value))}::text[])"
    if name == "_lastUpdated":
        return dates.last_updated(values, alias, modifier, asked.value)
    if modifier == "missing":
        return _missing(values, alias, asked)
    if kind == "composite":
        return composite(values, alias, asked, condition_sql)
    if kind == "token":
        return token(values, alias, asked.type, asked.names, modifier, asked.value)
    if kind == "string":
        return string(values, alias, asked.type, name, modifier, asked.value)
    if kind == "date":
        return dates.date(values, alias, asked.type, asked.names, modifier, asked.value)
    if kind == "reference":
        return reference(values, alias, asked.type, asked.param, modifier, asked.value)
    if kind in ("number", "quantity"):
        return number(values, alias, asked.type, asked.names, modifier, asked.value)
    return uri(values, alias, asked.type, name, modifier, asked.value)


def _missing(values: Values, alias: str, asked: Plain) -> str:
    if asked.value not in ("true", "false"):
        raise bad_value(f"{asked.param.name}:missing")
    if asked.param.type == "composite" or not asked.param.extracted:
        raise bad_modifier(asked.param.name, "missing")
    tests = [f"{values.add(param32(name))}::integer = any({alias}.present)" for name in asked.names]
    return f"not {any_of(tests)}" if asked.value == "true" else any_of(tests)


def _chain(values: Values, alias: str, asked: Chain) -> str:
    """``rid in`` (rows of the reference whose target is such a resource); one branch for each type of target."""
    branches, refused = [], None
    name, of_type = literal_of(asked.type, asked.param.name)
    for inner in asked.inner:
        if of_type and inner.type != of_type:
            continue
        try:
            branches.append(_branch(values, asked.type, name, inner))
        except InvalidInput as error:  # the same name may be of another kind for another type of target
            refused = error
    if not branches:
        raise refused or chain_error(asked.label)
    return f"{alias}.rid in ({' union all '.join(branches)}{_fence(alias)})"


def _branch(values: Values, resource_type: str, name: str, inner: Condition) -> str:
    row, target = values.alias(), values.alias()
    found = condition_sql(values, target, inner)
    return (
        f"select {row}.rid from current_version {target} "  # noqa: S608
        f"join index_reference {row} on {row}.tenant = %(tenant)s and {row}.target = {target}.ref "
        f"and {row}.param = {values.add(param32(f'{resource_type}.{name}'))}::integer "
        f"where {target}.tenant = %(tenant)s and {_inner(values, target, inner)} and {found}"
    )


def _reverse(values: Values, alias: str, asked: Reverse) -> str:
    """``ref in`` (targets of the reference of such resources)."""
    source = asked.inner.type
    name, of_type = literal_of(source, asked.param.name)
    if of_type and of_type != asked.type:
        raise chain_error(asked.label)
    row, other = values.alias(), values.alias()
    found = condition_sql(values, other, asked.inner)
    return (
        f"{alias}.ref in (select {row}.target from current_version {other} "  # noqa: S608
        f"join index_reference {row} on {row}.tenant = %(tenant)s and {row}.rid = {other}.rid "
        f"and {row}.param = {values.add(param32(f'{source}.{name}'))}::integer "
        f"where {other}.tenant = %(tenant)s and {_inner(values, other, asked.inner)} and {found}{_fence(alias)})"
    )


def _inner(values: Values, alias: str, inner: Condition) -> str:
    return shown(values, alias, inner.type, typed=says_type(values, inner))


def _fence(alias: str) -> str:
    """Below the first step a chain is worked out once, from its end: joins three deep are too many orders to choose from,
    and without statistics of a new tenant the planner chose to try all rows against all."""
    return "" if alias == "c" else " offset 0"


def known_type(resource_type: str, name: str) -> str:
    """Type of a parameter, empty when there is none."""
    param = search_params(resource_type).get(name)
    return "" if param is None else param.type
