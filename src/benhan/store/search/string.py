"""String parameters: folded prefix by default, ``:exact``, ``:contains``.

Folding (``base.text.fold``) drops tones, marks and case, so ``nguyen`` finds ``Nguyễn``. Names of persons have trigram
rows, which ``:contains`` uses first.
"""

from __future__ import annotations

from benhan.base.text import fold, squeeze
from benhan.store.hashing import key64
from benhan.store.indexing import NAMED_TYPES
from benhan.store.search.condition import Values, alternatives, any_of, bad_modifier, bad_value, unescape

_ROW = "select from index_string i where i.tenant = %(tenant)s and i.rid = c.rid and i.key = "
_AFTER = "\x7f"  # above every character of a folded text


def string(values: Values, resource_type: str, param: str, modifier: str, value: str) -> str:
    """Condition of a string parameter."""
    if modifier not in ("", "exact", "contains"):
        raise bad_modifier(param, modifier)
    key = values.add(key64(resource_type, param))
    parts = []
    for part in alternatives(value):
        text = unescape(part)
        if modifier == "exact":
            parts.append(
                f"exists ({_ROW}{key}::bigint and i.exact = {values.add(key64(squeeze(text)))}::bigint)"
            )
            continue
        folded = fold(text)
        if not folded:
            raise bad_value(param)
        if modifier == "contains":
            parts.append(_contains(values, resource_type, param, key, folded))
        else:
            low, high = values.add(folded), values.add(folded + _AFTER)
            parts.append(f"exists ({_ROW}{key}::bigint and i.folded >= {low} and i.folded < {high})")
    return any_of(parts)


def _contains(values: Values, resource_type: str, param: str, key: str, folded: str) -> str:
    found = f"exists ({_ROW}{key}::bigint and position({values.add(folded)} in i.folded) > 0)"
    if resource_type not in NAMED_TYPES or param not in ("name", "family", "given"):
        return found
    inner = {word[i : i + 3] for word in folded.split() for i in range(len(word) - 2)}
    trigrams = [
        "exists (select from index_trigram t where t.tenant = %(tenant)s and t.rid = c.rid and t.key = "
        f"{values.add(key64(resource_type, 'name', gram))}::bigint)"
        for gram in sorted(inner)
    ]
    return "(" + " and ".join([*trigrams, found]) + ")"
