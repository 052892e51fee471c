"""A resource made ready to be written, as far as that goes without the database. Pure.

Validation, index rows and the text of all but the head are worked out before a transaction is open: it then holds its
connection and its locks only for what needs them. What depends on the version is put in front when the version is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from benhan.base.clock import Clock
from benhan.base.ids import new_id
from benhan.base.json_door import JsonObject, dumps, reread
from benhan.fhir import patient_of, validate
from benhan.store.given import checked_id, placement
from benhan.store.indexing import IndexRows, rows_of
from benhan.store.keys import scope_of
from benhan.store.model import instant

_HEAD = frozenset({"resourceType", "id", "meta"})


@dataclass(slots=True)
class Prepared:
    """A valid resource with all that is derived from it. ``rest`` is the text of what follows its head; None: the bytes
    that were given are the record as they are (``raw``). ``fresh``: its id was made here, so nothing can stand there."""

    type: str
    id: str
    data: JsonObject
    raw: bytes
    rest: bytes | None
    scope: str
    patient: str | None
    rows: IndexRows
    fresh: bool = False

    def finish(self, version: int, at: datetime) -> bytes:
        """The exact bytes of a version; ``data`` then carries its number and time."""
        if self.rest is not None:
            self.data["meta"] = {**self.data["meta"], "versionId": str(version), "lastUpdated": instant(at)}
            self.raw = _whole(self.type, self.id, self.data["meta"], self.rest)
        return self.raw


def prepare_new(raw: bytes | None, given: JsonObject, clock: Clock) -> Prepared:
    """As :func:`prepare`, for a create: a resource without id gets one, beside its patient."""
    if given.get("id") is not None:
        return prepare(raw, given, clock.now())
    patient = None if given["resourceType"] == "Patient" else placement(given)
    ready = prepare(None, {**given, "id": new_id(patient, clock)}, clock.now())
    ready.fresh = True
    return ready


def text_of_rest(given: JsonObject) -> bytes:
    """The JSON text of a resource without its head. Raises: ``InvalidInput`` (json.not-writable)."""
    return dumps({k: v for k, v in given.items() if k not in _HEAD})


def prepare(raw: bytes | None, given: JsonObject, at: datetime, rest: bytes | None = None) -> Prepared:
    """Check a resource that has its id, and derive what is kept beside it.

    ``raw``: the bytes it was read from, which are then the record; ``rest``: :func:`text_of_rest`, where it is known.
    Raises: ``InvalidInput`` (store.bad-id, fhir.invalid, json.*).
    """
    kind, identity = given["resourceType"], checked_id(given["id"])
    if raw is None and isinstance(given.get("meta"), dict | None):
        meta = {**(given.get("meta") or {}), "versionId": "1", "lastUpdated": instant(at)}
        rest = text_of_rest(given) if rest is None else rest
        given = reread(_whole(kind, identity, meta, rest))
    else:
        rest = None
    validate(given)  # a meta that is no object is refused here
    return Prepared(
        kind, identity, given, raw or b"", rest, scope_of(given), patient_of(given), rows_of(given)
    )


def _whole(kind: str, identity: str, meta: JsonObject, rest: bytes) -> bytes:
    head = dumps({"resourceType": kind, "id": identity, "meta": meta})
    return head if rest == b"{}" else head[:-1] + b"," + rest[1:]
