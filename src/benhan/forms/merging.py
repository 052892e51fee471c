"""Two people wrote on one paper: their changes are put together field by field, and what clashes is told.

All three sides are text fields of the page (``form_fields``): the version both began with, the one that was
saved meanwhile, and what this person sends.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benhan.forms.model import Answers, Form
from benhan.forms.posting import form_fields, parse_form_post


@dataclass(frozen=True, slots=True)
class Clash:
    """One field that both changed differently; texts as typed (empty: taken out)."""

    field: str
    link_id: str
    label: str
    theirs: str
    mine: str


@dataclass(frozen=True, slots=True)
class Merged:
    """Answers with both sides' changes; where they clash they hold mine."""

    answers: Answers
    clashes: tuple[Clash, ...]


def merge(form: Form, base: Mapping[str, Any], theirs: Mapping[str, Any], mine: Mapping[str, Any]) -> Merged:
    """Put two sets of changes to one base together."""
    at, other, own = (form_fields(form, side) for side in (base, theirs, mine))
    out = dict(other)
    clashes: list[Clash] = []
    for name in sorted({*at, *own}):
        if own.get(name, "") == at.get(name, ""):
            continue
        if other.get(name, "") not in (at.get(name, ""), own.get(name, "")):
            clashes.append(_clash(form, name, other.get(name, ""), own.get(name, "")))
        out[name] = own.get(name, "")
    return Merged(parse_form_post(form, out), tuple(clashes))


def _clash(form: Form, name: str, theirs: str, mine: str) -> Clash:
    bare = name.partition("~")[0]
    link_id, _, rest = bare.partition("#")
    column = f"{link_id}.{rest.partition('.')[2]}"
    item = form.item(column if column in form else link_id)
    row = rest.partition(".")[0]
    label = f"{form.item(link_id).label}, dòng {int(row) + 1}: {item.label}" if column in form else item.label
    return Clash(name, link_id, label, theirs, mine)
