"""String parameters: folded prefix by default, ``:exact``, ``:contains``; uri parameters: exact, ``:below``, ``:above``.

Folding (``base.text.fold``) drops tones, marks and case, so ``nguyen`` finds ``Nguyễn``. Names of persons have trigram
rows, which ``:contains`` uses first. Values of uri parameters have a row here too, unfolded.
"""

from __future__ import annotations

from benhan.base.text import fold, squeeze
from benhan.store.hashing import key64
from benhan.store.indexing import MAX_FOLDED, NAMED_TYPES
from benhan.store.search.condition import (
    Values,
    alternatives,
    any_of,
    bad_modifier,
    bad_value,
    has_row,
    unescape,
)

_AFTER = "\x7f"  # above every character of a folded text
_AFTER_URI = "\U0010ffff"


def string(values: Values, alias: str, resource_type: str, param: str, modifier: str, value: str) -> str:
    """Condition of a string parameter."""
    if modifier not in ("", "exact", "contains"):
        raise bad_modifier(param, modifier)
    texts = [unescape(part) for part in alternatives(value)]
    key = values.add(key64(resource_type, param))
    if modifier == "exact":
        hashes = values.add([key64(squeeze(text)) for text in texts])
        return has_row("index_string", alias, f"i.key = {key}::bigint and i.exact = any({hashes}::bigint[])")
    folded = [fold(text)[:MAX_FOLDED] for text in texts]
    if not all(folded):
        raise bad_value(param)
    if modifier == "contains":
        return any_of([_contains(values, alias, resource_type, param, key, text) for text in folded])
    return _between(values, alias, key, [(text, text + _AFTER) for text in folded])


def _between(values: Values, alias: str, key: str, ranges: list[tuple[str, str]]) -> str:
    tests = [f"(i.folded >= {values.add(low)} and i.folded < {values.add(high)})" for low, high in ranges]
    return has_row("index_string", alias, f"i.key = {key}::bigint and {any_of(tests)}")


def _contains(values: Values, alias: str, resource_type: str, param: str, key: str, folded: str) -> str:
    found = has_row(
        "index_string", alias, f"i.key = {key}::bigint and position({values.add(folded)} in i.folded) > 0"
    )
    if resource_type not in NAMED_TYPES or param not in ("name", "family", "given"):
        return found
    inner = {word[i : i + 3] for word in folded.split() for i in range(len(word) - 2)}
    trigrams = [
        has_row("index_trigram", alias, f"i.key = {values.add(key64(resource_type, 'name', gram))}::bigint")
        for gram in sorted(inner)
    ]
    return "(" + " and ".join([*trigrams, found]) + ")"


def uri(values: Values, alias: str, resource_type: str, param: str, modifier: str, value: str) -> str:
    """Condition of a uri parameter: the exact text; ``:below`` what begins with it, ``:above`` what it begins with."""
    if modifier not in ("", "below", "above"):
        raise bad_modifier(param, modifier)
    texts = [unescape(part) for part in alternatives(value)]
    if modifier == "below":
        key = values.add(key64(resource_type, param))
        return _between(values, alias, key, [(t[:MAX_FOLDED], t[:MAX_FOLDED] + _AFTER_URI) for t in texts])
    if modifier == "above":
        texts = [text for one in texts for text in _steps(one)]
    keys = values.add([key64(resource_type, param, text) for text in texts])
    return has_row("index_equal", alias, f"i.key = any({keys}::bigint[])")


def _steps(uri_: str) -> list[str]:
    """The address and every address above it, with and without a slash at the end."""
    out = [uri_]
    root = uri_.find("://")
    for place in range(len(uri_) - 1, root + 2 if root >= 0 else 0, -1):
        if uri_[place] == "/":
            out += [uri_[: place + 1], uri_[:place]]
    return out
