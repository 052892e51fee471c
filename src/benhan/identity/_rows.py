"""The database connection of a transaction, for this room's own tables."""

from __future__ import annotations

from typing import Any

from psycopg import AsyncConnection

from benhan.store import Repository


def connection_of(tx: Repository) -> AsyncConnection[Any]:
    """The connection of ``tx``, tenant and role set; a mistake of ours when ``tx`` is no transaction."""
    if tx.connection is None:
        raise RuntimeError("identity: this needs a repository inside transaction()")
    return tx.connection
