"""What one request of a person looked at, gathered: the audit gets one row a patient, not one a resource, before the answer
leaves. A page reads some thirty resources, the same ones several times; a row for each was a third of a facility's storage.

The gathered row has the action ``look`` and names every resource and version that was read and every search that was made;
``spread`` gives them back one by one, so who asks the audit sees what he always saw. Looks of nobody (a search that found
nothing) stand in the row of the only patient the request was about. Decision 0031.
"""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from benhan.base.json_door import JsonObject, dumps, loads_object
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
    return entry.patient, ctx.tenant, ctx.purpose, ctx.reader, ctx.actor, ctx.correlation_id


def _rows(entries: Sequence[AuditEntry]) -> list[AuditEntry]:
    groups: dict[tuple[Any, ...], list[AuditEntry]] = {}
    for entry in entries:
        groups.setdefault(_whose(entry), []).append(entry)
    for nobody in [whose for whose in groups if whose[0] is None]:
        patients = [whose for whose in groups if whose[1:] == nobody[1:] and whose != nobody]
        if len(patients) == 1:
            groups[patients[0]] = [*groups.pop(nobody), *groups[patients[0]]]
    return [group[0] if len(group) == 1 else _row(group) for group in groups.values()]


def _row(group: Sequence[AuditEntry]) -> AuditEntry:
    last = group[-1]
    parts = {
        "p": _packed([e for e in group if e.patient == last.patient], last.patient),
        "n": _packed([e for e in group if e.patient != last.patient], last.patient),
    }
    told = dumps({name: part for name, part in parts.items() if part})
    return replace(last, action=LOOK, entity=None, version=None, detail={_PRESSED: _pressed(told)})


_HERE = "~"


def _packed(group: Sequence[AuditEntry], patient: str | None) -> JsonObject:
    """``r``: type → ids and versions in turn; ``s``: searches as type, number found, then name and value in turn; ``o``: all
    other looks as they are. ``~`` is the id of the patient. Short, as most of the audit is this."""
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
    packed = {"r": read, "s": searched, "o": others}
    return {name: value for name, value in packed.items() if value}


def _told_here(detail: JsonObject) -> bool:
    """Whether somebody has typed what stands for something else here."""
    return any(_HERE in str(part) for pair in detail["query"] for part in pair)


def _short(text: str, patient: str | None) -> str:
    """The patient's own reference as ``Patient/~``."""
    return f"Patient/{_HERE}" if patient and text == f"Patient/{patient}" else text


_PRESSED = "z1"
_UUID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_MARK = b"\0"  # never in JSON, where it is written as an escape
_WORDS = (  # what looks are made of; rows are read with the very same bytes, so another list needs another name than z1
    b'"status","in-progress","class","IMP","code","category","laboratory","vital-signs","Account":["Provenance",0,"target",'
    b'"Practitioner":["Coverage":["Organization",0,"identifier","urn:benhan:ma-khoa|"],["CoverageEligibilityResponse",0,'
    b'"patient",["ChargeItem",0,"context","Claim",0,"encounter","Encounter/["DiagnosticReport",0,"encounter","'
    b'["ServiceRequest",0,"encounter","["Observation",0,"subject","Patient/~","category","["Condition",0,"encounter","'
    b'["DocumentReference",0,"encounter","["QuestionnaireResponse",0,"encounter","["AllergyIntolerance",0,"patient",'
    b'"Patient/~"],["Encounter",1,"part-of","Encounter/["Coverage",1,"beneficiary","Patient/~"]]},"n":{"s":[["o":['
    b'{"p":{"r":{"Patient":["~",1],"Encounter":["'
)


def _pressed(told: bytes) -> str:
    """Deflated with the words known before, ids as their sixteen bytes, as text."""
    bare = _UUID.sub(lambda m: _MARK + UUID(m[0].decode()).bytes, told)
    press = zlib.compressobj(9, wbits=-zlib.MAX_WBITS, memLevel=9, zdict=_WORDS)
    return base64.b85encode(press.compress(bare) + press.flush()).decode()


def _unpressed(text: str) -> JsonObject:
    bare = zlib.decompressobj(-zlib.MAX_WBITS, zdict=_WORDS).decompress(base64.b85decode(text))
    first, *rest = _split(bare)
    return loads_object(first + b"".join(str(UUID(bytes=part[:16])).encode() + part[16:] for part in rest))


def _split(bare: bytes) -> Iterator[bytes]:
    """Text up to the first mark; then, for each mark, sixteen bytes (which may be anything) and the text behind them."""
    start, end = 0, bare.find(_MARK)
    while end >= 0:
        yield bare[start:end]
        start, end = end + 1, bare.find(_MARK, end + 17)
    yield bare[start:]


def spread(row: AuditRow) -> Iterator[AuditRow]:
    """The looks of a gathered row one by one; any other row as it is."""
    if row.action != LOOK:
        yield row
        return
    held: JsonObject = row.detail or {}
    parts = _unpressed(held[_PRESSED]) if _PRESSED in held else {"p": held}
    yield from _each(row, parts.get("p", {}), row.patient)
    yield from _each(replace(row, patient=None), parts.get("n", {}), row.patient)


def _each(row: AuditRow, held: JsonObject, patient: str | None) -> Iterator[AuditRow]:
    for kind, listed in held.get("r", {}).items():
        for id_, version in zip(listed[::2], listed[1::2], strict=True):
            entity = f"{kind}/{patient if id_ == _HERE else id_}"
            yield replace(row, action="read", entity=entity, version=version, detail=None)
    for kind, found, *pairs in held.get("s", ()):
        texts = [f"Patient/{patient}" if text == f"Patient/{_HERE}" else text for text in pairs]
        query = [list(pair) for pair in zip(texts[::2], texts[1::2], strict=True)]
        detail = {"query": query, "found": found}
        yield replace(row, action="search", entity=f"{kind}?", version=None, detail=detail)
    for action, entity, version, detail in held.get("o", ()):
        yield replace(row, action=str(action), entity=entity, version=version, detail=detail)
