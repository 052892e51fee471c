"""Looks of other facilities into our documents: kept at the hub, fetched by the custodian into its own audit.

The feed is ordered by (transaction, sequence) and gives only rows whose transaction can no longer be overtaken, so
that a cursor never passes a row that commits late.
"""

from __future__ import annotations

from typing import Any

from benhan.base.clock import fhir_instant
from benhan.base.json_door import JsonObject
from benhan.exchange._rows import connection_of
from benhan.store import Repository, TenantInfo

_FEED = (
    "select d.tx::text, d.seq, d.id, d.source_patient, d.reader, d.requester, d.kind, d.reason, d.act, d.documents, "
    "d.at from exchange_disclosure d where d.tenant = %s and d.custodian = %s "
    "and (d.tx, d.seq) > (%s::xid8, %s) and d.tx < (select settled_before()) "
    "order by d.tx, d.seq limit %s"
)
_CURSOR = "select value from exchange_cursor where tenant = %s and name = %s"
_MOVE = (
    "insert into exchange_cursor (tenant, name, value) values (%s, %s, %s) "
    "on conflict (tenant, name) do update set value = excluded.value"
)
START = "0.0"


async def disclosures_for(
    repo: Repository, custodian: TenantInfo, after: str, limit: int = 200
) -> JsonObject:
    """Disclosures of documents of ``custodian`` after a cursor: ``{"items": […], "next": cursor}``."""
    tx_text, _, seq = (after or START).partition(".")
    names = {t.id: t for t in await repo.store.tenants()}
    async with repo.transaction() as tx:
        cursor = await connection_of(tx).execute(
            _FEED, (repo.ctx.tenant, custodian.id, str(int(tx_text)), int(seq or 0), limit)
        )
        rows = await cursor.fetchall()
    items = [_item(row, names[row[4]]) for row in rows]
    return {"items": items, "next": f"{rows[-1][0]}.{rows[-1][1]}" if rows else (after or START)}


def _item(row: tuple[Any, ...], reader: TenantInfo) -> JsonObject:
    return {
        "id": str(row[2]),
        "patient": row[3],
        "reader": {"code": reader.code, "name": reader.name},
        "requester": row[5],
        "kind": row[6],
        "reason": row[7],
        "act": row[8],
        "documents": list(row[9]),
        "at": fhir_instant(row[10]),
    }


async def cursor_of(repo: Repository, name: str) -> str:
    """How far this node has read a feed."""
    async with repo.transaction() as tx:
        row = await (await connection_of(tx).execute(_CURSOR, (repo.ctx.tenant, name))).fetchone()
    return row[0] if row else START


async def move_cursor(tx: Repository, name: str, value: str) -> None:
    """Note how far a feed was read; in the transaction of what was read."""
    await connection_of(tx).execute(_MOVE, (tx.ctx.tenant, name, value))


async def apply_disclosures(repo: Repository, page: JsonObject) -> int:
    """Write fetched disclosures into this facility's audit and move the cursor, in one transaction.

    A page fetched twice is written once: the cursor moves in the same transaction and a page that does not begin
    at the cursor is left alone by the caller.
    """
    async with repo.transaction() as tx:
        for item in page["items"]:
            await tx.audit(
                f"disclosure-{item['act']}",
                entity=f"Patient/{item['patient']}" if item["patient"] else None,
                patient=item["patient"] or None,
                detail={
                    "reader": item["reader"]["code"],
                    "readerName": item["reader"]["name"],
                    "requester": item["requester"],
                    "right": item["kind"],
                    "reason": item["reason"],
                    "documents": len(item["documents"]),
                    "at": item["at"],
                    "hubId": item["id"],
                },
            )
        await move_cursor(tx, "hub-disclosures", page["next"])
    return len(page["items"])
