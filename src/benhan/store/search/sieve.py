"""Conditions that no index answers: ``:text`` of tokens, ``system|`` alone, ``_text``, ``_content``.

Index rows of every word would double what a resource costs on disk and would keep clinical text outside the sealed bytes.
So the candidates that the other conditions leave are opened and looked at, at most :data:`MOST` of them; a search that
leaves more is refused and asks for another condition (a patient, a date).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from benhan.base.errors import InvalidInput
from benhan.base.text import fold
from benhan.fhir import extract
from benhan.store.model import Stored
from benhan.store.reading import COLUMNS, stored_of
from benhan.store.search.ask import FREE_TEXT, Condition, Plain, leaves
from benhan.store.search.condition import Values, alternatives, bad_modifier, bad_value, bars, unescape
from benhan.store.search.parse import Asked
from benhan.store.search.plan import where
from benhan.store.search.token import is_system_only

if TYPE_CHECKING:
    from benhan.store.repository import Repository

MOST = 50_000
_PAGE = 500
_TAG = re.compile(r"<[^>]*>")
Test = Callable[[Stored], bool]


def needs_looking(asked: Plain) -> bool:
    """Whether the resources themselves have to be looked at."""
    if asked.param.name in FREE_TEXT:
        if asked.modifier:
            raise bad_modifier(asked.param.name, asked.modifier)
        return True
    if asked.param.type != "token":
        return False
    if asked.modifier == "text":
        return True
    plain = asked.modifier in ("", "not") and asked.param.name not in ("identifier", "_id")
    return plain and is_system_only(asked.value)


async def look(tx: Repository, asked: Plain, others: list[Condition], values: Values, patient: str) -> None:
    """Find the row numbers for one condition among what ``others`` leave; they go to ``values.found``.

    Raises: ``InvalidInput`` (store.search-too-broad).
    """
    test = _test(asked)
    found: list[int] = []
    last, seen = -1, 0
    rest = [o for o in others if not any(needs_looking(p) for p in leaves(o) if id(p) not in values.found)]
    while True:
        fresh = values.fresh()
        wanted = Asked(asked.type, rest, compartment=patient)
        extra = [f"c.rid > {fresh.add(last)}::bigint"]
        sql = (
            f"with m as materialized (select c.rid, c.type, c.id, c.version from current_version c "  # noqa: S608
            f"where {where(fresh, 'c', wanted, extra)} order by c.rid limit {_PAGE}) "
            f"select {COLUMNS}, m.rid from m join log l on l.tenant = %(tenant)s and l.type = m.type "
            "and l.id = m.id and l.version = m.version "
            "left join record_key k on k.tenant = l.tenant and k.id = l.key_id order by m.rid"
        )
        rows = await tx.all(sql, fresh.params())
        for row in rows:
            stored = await stored_of(tx.store.keys, tx.open_connection, tx.ctx.tenant, row)
            if stored is not None and test(stored):
                found.append(row[12])
        seen += len(rows)
        if len(rows) < _PAGE:
            break
        if seen >= MOST:
            raise InvalidInput(
                "store.search-too-broad",
                f"Điều kiện {asked.label} phải xem quá nhiều tài liệu; hãy thêm điều kiện (người bệnh, ngày).",
                expression=asked.label,
            )
        last = rows[-1][12]
    values.found[id(asked)] = found


def _test(asked: Plain) -> Test:
    if asked.param.name in FREE_TEXT:
        return _free_text(asked)
    if asked.modifier == "text":
        texts = [fold(unescape(part)) for part in alternatives(asked.value)]
        if not all(texts):
            raise bad_value(asked.label)
        return lambda stored: any(
            text is not None and text.startswith(one)
            for text in _tokens(stored, asked, "text")
            for one in texts
        )
    pairs = [bars(part) for part in alternatives(asked.value)]

    def fits(stored: Stored) -> bool:
        held = {
            (v.system or "", v.code)
            for name in asked.names
            for v in _values(stored, name)
            if v.code is not None
        }
        found = any(
            any(
                (len(p) == 1 or p[0] == system) and (p[-1] in ("", code) if len(p) > 1 else p[0] == code)
                for system, code in held
            )
            for p in pairs
        )
        return found != (asked.modifier == "not")

    return fits


def _values(stored: Stored, name: str) -> Iterator[Any]:
    return (v for v in extract(stored.data) if v.param == name and v.group is None)


def _tokens(stored: Stored, asked: Plain, field: str) -> Iterator[str | None]:
    for name in asked.names:
        for value in _values(stored, name):
            yield getattr(value, field)


def _free_text(asked: Plain) -> Test:
    wanted = [frozenset(fold(unescape(part)).split()) for part in alternatives(asked.value)]
    if not all(wanted):
        raise bad_value(asked.label)
    whole = asked.param.name == "_content"

    def fits(stored: Stored) -> bool:
        data = stored.data
        narrative = _TAG.sub(" ", (data.get("text") or {}).get("div", ""))
        texts = _strings({k: v for k, v in data.items() if k != "text"}) if whole else ()
        words = set(fold(" ".join([narrative, *texts])).split())
        return any(one <= words for one in wanted)

    return fits


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from _strings(one)
    elif isinstance(value, list):
        for one in value:
            yield from _strings(one)
