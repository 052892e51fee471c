"""Sessions remembered for a moment, so that a burst of reads asks for session, roles and account once.

Only reads may be answered from memory, and for ``MOMENT_S`` seconds at most, by the wall's and by the store's clock: a
session ended, a role taken away or an account disabled counts in this process with the next request, in another process
of the node after that time at the latest; for a write at once everywhere. Only the hash of a token is kept.
"""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import datetime, timedelta
from weakref import WeakKeyDictionary

from benhan.access._rows import on_write, sha256
from benhan.access.permissions import SignedIn
from benhan.store import Store

MOMENT_S = 2.0
_MOST = 10_000
_MOMENT = timedelta(seconds=MOMENT_S)


class RememberedSessions:
    """Signed-in people of one store by the hash of their token."""

    def __init__(self) -> None:
        self._forgot = 0.0
        self._known: dict[bytes, tuple[float, datetime, SignedIn]] = {}

    def get(self, token: str, now: datetime, correlation_id: str) -> SignedIn | None:
        """Who this session was a moment ago; None when that must be asked."""
        found = self._known.get(sha256(token))
        if found is None:
            return None
        until, at, person = found
        if time.monotonic() >= until or not at <= now < min(at + _MOMENT, person.expires_at):
            del self._known[sha256(token)]
            return None
        return replace(person, ctx=replace(person.ctx, correlation_id=correlation_id))

    def put(self, token: str, asked: float, now: datetime, person: SignedIn) -> None:
        """Remember an answer that was asked for at ``asked`` (monotonic seconds) and ``now``."""
        if asked <= self._forgot:  # something was written meanwhile
            return
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[sha256(token)] = (asked + MOMENT_S, now, person)

    def forget(self) -> None:
        """Ask for everybody again."""
        self._forgot = time.monotonic()
        self._known.clear()


_OF_STORE: WeakKeyDictionary[Store, RememberedSessions] = WeakKeyDictionary()


def remembered_sessions(store: Store) -> RememberedSessions:
    """The memory of a store in this process."""
    return _OF_STORE.setdefault(store, RememberedSessions())


@on_write
def _forget(store: Store) -> None:
    known = _OF_STORE.get(store)
    if known is not None:
        known.forget()
