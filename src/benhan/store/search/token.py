"""Token parameters: equality of hashed values. ``code``, ``system|code``, ``|code``; ``system|`` of identifiers.

``:in``, ``:not-in``, ``:above``, ``:below`` ask for a list of codes that was found out before (``search.codes``).
"""

from __future__ import annotations

from benhan.store.hashing import key64, system32
from benhan.store.search.condition import (
    Values,
    alternatives,
    any_of,
    bad_modifier,
    bad_value,
    bars,
    has_row,
    unescape,
)

LISTED = frozenset({"in", "not-in", "above", "below"})


def token(
    values: Values, alias: str, resource_type: str, names: tuple[str, ...], modifier: str, value: str
) -> str:
    """Condition of a token parameter, whose rows lie under ``names``."""
    if modifier in LISTED:
        found = _listed(values, alias, resource_type, names, values.codes[f"{modifier} {value}"])
        return f"not {found}" if modifier == "not-in" else found
    if modifier == "of-type":
        tests = [_of_type(values, (resource_type, n), part) for part in alternatives(value) for n in names]
        return has_row("index_equal", alias, any_of(tests))
    if modifier not in ("", "not"):
        raise bad_modifier(names[0], modifier)
    plain = [
        key64(resource_type, name, unescape(part))
        for part in alternatives(value)
        for name in names
        if len(bars(part)) == 1
    ]
    tests = [
        token_test(values, "i", (resource_type, name), part)
        for part in alternatives(value)
        for name in names
        if len(bars(part)) > 1
    ]
    if plain:
        tests.append(f"i.key = any({values.add(plain)}::bigint[])")
    found = has_row("index_equal", alias, any_of(tests))
    return f"not {found}" if modifier else found


def token_test(values: Values, i: str, place: tuple[str, str], part: str) -> str:
    """Test of one value against a row ``i`` of ``place`` (type, parameter)."""
    pieces = bars(part)
    if len(pieces) == 1:
        return f"{i}.key = {values.add(key64(*place, pieces[0]))}::bigint"
    if len(pieces) != 2:
        raise bad_value(place[1])
    code = ":any" if pieces[1] == "" else pieces[1]
    return _row_of(values, i, key64(*place, code), pieces[0])


def is_system_only(value: str) -> bool:
    """Whether one of the values is ``system|``: any code of a system."""
    return any(len(p := bars(part)) == 2 and p[1] == "" for part in alternatives(value))


def _of_type(values: Values, place: tuple[str, str], part: str) -> str:
    pieces = bars(part)
    if len(pieces) != 3 or not all(pieces[1:]):
        raise bad_value(f"{place[1]}:of-type")
    return _row_of(values, "i", key64(*place, ":of-type", pieces[1], pieces[2]), pieces[0])


def _row_of(values: Values, i: str, key: int, system: str) -> str:
    return f"({i}.key = {values.add(key)}::bigint and {i}.system = {values.add(system32(system))}::integer)"


def _listed(
    values: Values, alias: str, resource_type: str, names: tuple[str, ...], codes: list[tuple[str, str]]
) -> str:
    rows = [(key64(resource_type, n, code), system32(system)) for n in names for system, code in codes]
    keys, systems = values.add([k for k, _ in rows]), values.add([s for _, s in rows])
    return (
        f"exists (select from unnest({keys}::bigint[], {systems}::integer[]) as w (key, system) "
        "join index_equal i on i.tenant = %(tenant)s and i.key = w.key and i.system = w.system "
        f"where i.rid = {alias}.rid)"
    )
