"""Under which parameter the index rows of a parameter lie, where they are not its own. Pure.

Three kinds of parameter have no rows of their own, because others' rows say the same:

- ``combo-x`` of an Observation is ``x`` or ``component-x``;
- ``patient`` that is ``subject.where(resolve() is Patient)`` is ``subject`` with a target of that type;
- a composite over the whole resource (``code-value-quantity``) is its components, asked one by one.
"""

from __future__ import annotations

import re
from functools import lru_cache

from benhan.fhir import SearchParam, search_params

_OF_TYPE = re.compile(r"(.+)\.where\(resolve\(\) is (\w+)\)")


def union_of(resource_type: str, name: str) -> tuple[str, ...]:
    """Parameters whose rows together are those of ``name``; most often itself alone."""
    if not name.startswith("combo-"):
        return (name,)
    plain, component = name.removeprefix("combo-"), name.replace("combo-", "component-", 1)
    known = search_params(resource_type)
    return (plain, component) if plain in known and component in known else (name,)


@lru_cache(maxsize=4096)
def literal_of(resource_type: str, name: str) -> tuple[str, str]:
    """Reference parameter whose rows hold the literal targets of ``name``, and the type they are narrowed to ('': any)."""
    known = search_params(resource_type)
    param = known.get(name)
    match = _OF_TYPE.fullmatch(param.expression) if param is not None and param.type == "reference" else None
    if match is None:
        return name, ""
    wider = [n for n, p in known.items() if p.type == "reference" and p.expression == match[1]]
    return (min(wider), match[2]) if wider else (name, "")


def is_whole(param: SearchParam) -> bool:
    """A composite with one group, which is the resource itself."""
    return bool(param.components) and "." not in param.expression


def without_rows(param: SearchParam) -> bool:
    """No rows of its own: a union, a composite over the whole resource, what the current row says itself."""
    return param.name in ("_id", "_lastUpdated") or param.name.startswith("combo-") or is_whole(param)
