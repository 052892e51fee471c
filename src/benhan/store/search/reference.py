"""Reference parameters: ``Type/id``, ``id``, a URL, ``:Type``, ``:identifier``."""

from __future__ import annotations

from benhan.fhir import RESOURCE_TYPES, SearchParam, split_reference
from benhan.store.hashing import key64, system32
from benhan.store.search.condition import Values, alternatives, any_of, bad_modifier, bars, unescape

_ROW = "select from index_equal i where i.tenant = %(tenant)s and i.rid = c.rid and "
_MAX_GUESSES = 160


def reference(values: Values, resource_type: str, param: SearchParam, modifier: str, value: str) -> str:
    """Condition of a reference parameter."""
    if modifier == "identifier":
        return _by_identifier(values, resource_type, param.name, value)
    if modifier and modifier not in RESOURCE_TYPES:
        raise bad_modifier(param.name, modifier)
    keys: list[int] = []
    for part in alternatives(value):
        for target in _targets(param, modifier, unescape(part)):
            keys.append(key64(resource_type, param.name, target))
    return to_keys(values, keys)


def to_keys(values: Values, keys: list[int]) -> str:
    """Condition: refers to any of these hashed targets."""
    return f"exists ({_ROW}i.key = any({values.add(keys)}::bigint[]))"


def _targets(param: SearchParam, modifier: str, text: str) -> list[str]:
    if "/" not in text and ":" not in text:
        types = [modifier] if modifier else sorted(param.targets)
        return [f"{t}/{text}" for t in types[:_MAX_GUESSES]]
    found = split_reference(text)
    return [text] if found is None else [f"{found[0]}/{found[1]}", text]


def _by_identifier(values: Values, resource_type: str, param: str, value: str) -> str:
    tests = []
    for part in alternatives(value):
        pieces = bars(part)
        key = values.add(key64(resource_type, param, ":identifier", pieces[-1]))
        if len(pieces) == 1:
            tests.append(f"i.key = {key}::bigint")
        else:
            tests.append(f"(i.key = {key}::bigint and i.system = {values.add(system32(pieces[0]))}::integer)")
    return f"exists ({_ROW}{any_of(tests)})"
