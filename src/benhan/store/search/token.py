"""Token and uri parameters: equality of hashed values. ``code``, ``system|code``, ``|code``; ``system|`` of identifiers."""

from __future__ import annotations

from benhan.base.errors import InvalidInput
from benhan.store.hashing import key64, system32
from benhan.store.search.condition import Values, alternatives, any_of, bad_modifier, bars, unescape

_ROW = "select from index_equal i where i.tenant = %(tenant)s and i.rid = c.rid and "


def token(values: Values, resource_type: str, param: str, modifier: str, value: str) -> str:
    """Condition of a token parameter; modifiers ``not`` and none."""
    if modifier not in ("", "not"):
        raise bad_modifier(param, modifier)
    tests = [_test(values, resource_type, param, part) for part in alternatives(value)]
    plain = [k for k, system in tests if system is None]
    exact = [(k, system) for k, system in tests if system is not None]
    conditions = [
        f"(i.key = {values.add(k)}::bigint and i.system = {values.add(s)}::integer)" for k, s in exact
    ]
    if plain:
        conditions.append(f"i.key = any({values.add(plain)}::bigint[])")
    return f"{'not ' if modifier else ''}exists ({_ROW}{any_of(conditions)})"


def _test(values: Values, resource_type: str, param: str, part: str) -> tuple[int, int | None]:
    pieces = bars(part)
    if len(pieces) == 1:
        return key64(resource_type, param, pieces[0]), None
    system, code = pieces[0], pieces[1]
    if code == "":
        if param != "identifier":
            raise InvalidInput(
                "store.search-system-only",
                "Chỉ tìm theo hệ thống (hệ thống|) được với identifier.",
                expression=param,
            )
        return key64(resource_type, param, ":any"), system32(system)
    return key64(resource_type, param, code), system32(system)


def uri(values: Values, resource_type: str, param: str, modifier: str, value: str) -> str:
    """Condition of a uri parameter: the exact text."""
    if modifier:
        raise bad_modifier(param, modifier)
    keys = [key64(resource_type, param, unescape(part)) for part in alternatives(value)]
    return f"exists ({_ROW}i.key = any({values.add(keys)}::bigint[]))"
