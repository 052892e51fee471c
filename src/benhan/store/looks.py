"""What one request of a person looked at, gathered: the audit gets one row a patient, not one a resource, before the answer
leaves. A page reads some thirty resources, the same ones several times; a row for each was a third of a facility's storage.

The gathered row has the action ``look`` and names every resource and version that was read and every search that was made;
``spread`` gives them back one by one, so who asks the audit sees what he always saw. Decision 0031.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from benhan.base.json_door import JsonObject, dumps
from benhan.store.audit import AuditEntry, AuditWriter
from benhan.store.model import Action, AuditRow

LOOK = "look"
_GATHERED = frozenset(
    {Action.READ, Action.VREAD, Action.COUNT, Action.SEARCH, Action.HISTORY, Action.INCLUDE}
)


class Looks:
    """The looks of one request. Until ``flush`` they are in memory and the answer must not leave; after it, looks that still
    come (a stream) are rows of their own again."""

    def __init__(self) -> None:
        self._entries: dict[tuple[Any, ...], AuditEntry] = {}
        self._open = True

    def take(self, entries: Sequence[AuditEntry]) -> list[AuditEntry]:
        """Gather what is a look; gives back what has to be a row of its own."""
        own = []
        for entry in entries:
            if not self._open or entry.action not in _GATHERED or entry.outcome != "0":
                own.append(entry)
                continue
            said = b"" if entry.detail is None else dumps(entry.detail)
            key = (*_whose(entry), entry.action, entry.entity, entry.version, said)
            self._entries.setdefault(key, entry)
        return own

    async def flush(self, audit: AuditWriter) -> None:
        """Make them durable; the answer may leave when this returns."""
        self._open = False
        entries, self._entries = list(self._entries.values()), {}
        rows = _rows(entries)
        for tenant in {row.ctx.tenant for row in rows}:
            await audit.put(tenant, [row for row in rows if row.ctx.tenant == tenant])


def _whose(entry: AuditEntry) -> tuple[Any, ...]:
    ctx = entry.ctx
    return ctx.tenant, entry.patient, ctx.purpose, ctx.reader, ctx.actor, ctx.correlation_id


def _rows(entries: Sequence[AuditEntry]) -> list[AuditEntry]:
    groups: dict[tuple[Any, ...], list[AuditEntry]] = {}
    for entry in entries:
        groups.setdefault(_whose(entry), []).append(entry)
    return [group[0] if len(group) == 1 else _row(group) for group in groups.values()]


def _row(group: Sequence[AuditEntry]) -> AuditEntry:
    return replace(group[-1], action=LOOK, entity=None, version=None, detail=_packed(group))


_HERE = "~"


def _packed(group: Sequence[AuditEntry]) -> JsonObject:
    """``r``: type → ids and versions in turn; ``s``: searches as type, number found, then name and value in turn; ``o``: all
    other looks as they are. ``~`` is the id of the patient, ``~n`` the n-th text of ``t``. Short, as most of the audit is this.
    """
    patient = group[-1].patient
    read: dict[str, list[Any]] = {}
    searched: list[list[Any]] = []
    others: list[list[Any]] = []
    for e in group:
        kind, _, id_ = (e.entity or "").partition("/")
        detail = e.detail or {}
        if e.action == Action.READ and id_ and e.version and not detail:
            read.setdefault(kind, []).extend((_HERE if id_ == patient else id_, e.version))
        elif e.action == Action.SEARCH and set(detail) == {"query", "found"} and not _told_here(detail):
            pairs = [_short(str(part), patient) for pair in detail["query"] for part in pair]
            searched.append([kind.removesuffix("?"), detail["found"], *pairs])
        else:
            others.append([str(e.action), e.entity, e.version, e.detail])
    again = Counter(part for _, _, *pairs in searched for part in pairs if len(part) > len(_HERE) + 3)
    texts = [text for text, times in again.items() if times > 1]
    place = {text: f"{_HERE}{n}" for n, text in enumerate(texts)}
    searched = [[kind, found, *(place.get(part, part) for part in pairs)] for kind, found, *pairs in searched]
    packed = {"r": read, "s": searched, "t": texts, "o": others}
    return {name: value for name, value in packed.items() if value}


def _told_here(detail: JsonObject) -> bool:
    """Whether somebody has typed what stands for something else here."""
    return any(_HERE in str(part) for pair in detail["query"] for part in pair)


def _short(text: str, patient: str | None) -> str:
    """The patient's own reference as ``Patient/~``."""
    return f"Patient/{_HERE}" if patient and text == f"Patient/{patient}" else text


def spread(row: AuditRow) -> Iterator[AuditRow]:
    """The looks of a gathered row one by one; any other row as it is."""
    if row.action != LOOK:
        yield row
        return
    held: JsonObject = row.detail or {}
    meaning = {f"{_HERE}{n}": text for n, text in enumerate(held.get("t", ()))}
    own = f"Patient/{_HERE}"
    for kind, listed in held.get("r", {}).items():
        for id_, version in zip(listed[::2], listed[1::2], strict=True):
            entity = f"{kind}/{row.patient if id_ == _HERE else id_}"
            yield replace(row, action="read", entity=entity, version=version, detail=None)
    for kind, found, *pairs in held.get("s", ()):
        parts = [meaning.get(p, p) for p in pairs]
        parts = [f"Patient/{row.patient}" if p == own else p for p in parts]
        query = [list(pair) for pair in zip(parts[::2], parts[1::2], strict=True)]
        detail = {"query": query, "found": found}
        yield replace(row, action="search", entity=f"{kind}?", version=None, detail=detail)
    for action, entity, version, detail in held.get("o", ()):
        yield replace(row, action=str(action), entity=entity, version=version, detail=detail)
