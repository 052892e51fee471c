"""Lawful destruction: the keys of a record are deleted, so no copy of its bytes can be read again.

Done by the destroyer role, which may delete keys and derived rows and nothing else. The log keeps its rows: that there
was a record, when and by whom, remains provable. Whether a record may be destroyed is decided above (``records``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import psycopg

from benhan.store.audit import INSERT, AuditEntry, columns
from benhan.store.transaction import SET, settings_of, translate

if TYPE_CHECKING:
    from benhan.store.repository import Repository

_DERIVED = (
    "index_equal", "index_string", "index_trigram", "index_date", "index_number", "index_reference", "index_group",
)  # fmt: skip
_ROWS = (
    "select distinct c.rid, c.type, c.id from log l join record_key k on k.tenant = l.tenant and k.id = l.key_id "
    "join current_version c on c.tenant = l.tenant and c.type = l.type and c.id = l.id "
    "where l.tenant = %s and k.scope = any(%s)"
)
_SEE_ALL = "select set_config('benhan.sight', '', true), set_config('benhan.reader', '', true)"
_DROP_KEYS = "delete from record_key where tenant = %s and scope = any(%s)"
_DROP_CURRENT = "delete from current_version where tenant = %s and rid = any(%s)"


async def destroy_record(repo: Repository, scopes: Sequence[str], reason: str) -> int:
    """Destroy everything sealed under these scopes (``Encounter/…``, ``Patient/…``, see ``store.keys``).

    Gives the number of resources whose content is gone. Audited in the same transaction.
    """
    ctx, store = repo.ctx, repo.store
    try:
        dsn = store.database.logins["destroyer"]
        async with await psycopg.AsyncConnection.connect(dsn) as connection:
            await connection.execute(SET, settings_of(ctx, store.clock))
            await connection.execute(_SEE_ALL)  # what is hidden from the person who approved goes as well
            rows = await (await connection.execute(_ROWS, (ctx.tenant, list(scopes)))).fetchall()
            rids = [row[0] for row in rows]
            for table in _DERIVED:
                sql = f"delete from {table} where tenant = %s and rid = any(%s)"  # noqa: S608 - constants only
                await connection.execute(sql.encode(), (ctx.tenant, rids))
            await connection.execute(_DROP_CURRENT, (ctx.tenant, rids))
            await connection.execute(_DROP_KEYS, (ctx.tenant, list(scopes)))
            detail = {"reason": reason, "scopes": list(scopes), "resources": len(rows)}
            entry = AuditEntry(
                ctx, store.clock.now(), "destroy", scopes[0] if scopes else None, None, None, "0", detail
            )
            await connection.execute(INSERT, columns(ctx.tenant, [entry]))
    except psycopg.Error as error:
        raise translate(error) from error
    return len(rows)
