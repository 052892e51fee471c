"""What ``doctor`` and the status page ask of the store: one finding per line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benhan.store.feed import LONG_TRANSACTION_S, held_back_s
from benhan.store.reindexing import index_fingerprint, indexed_by
from benhan.store.seal import UNSEALED_ALARM_S, oldest_unsealed_s

if TYPE_CHECKING:
    from benhan.store.store import Store

Finding = tuple[str, str, str]


async def look(store: Store) -> list[Finding]:
    """All findings."""
    findings = [await _server(store)]
    findings += [("warn", "Cơ sở dữ liệu", text) for text in store.database.warnings]
    held = await held_back_s(store)
    state = "warn" if held > LONG_TRANSACTION_S else "ok"
    findings.append(
        (
            state,
            "Giao dịch lâu nhất",
            f"{held:.0f} giây; quá {LONG_TRANSACTION_S:.0f} giây thì liên thông bị chậm",
        )
    )
    if await indexed_by(store) in ("", index_fingerprint()):
        findings.append(("ok", "Chỉ mục", "khớp với bản này"))
    else:
        findings.append(("warn", "Chỉ mục", "dựng bởi bản khác; chạy `benhan reindex` cho từng cơ sở"))
    for info in await store.tenants():
        waiting = await oldest_unsealed_s(store, info.id)
        if waiting > UNSEALED_ALARM_S:
            findings.append(
                ("warn", f"Nhật ký truy cập {info.code}", f"phần đuôi chưa niêm phong đã {waiting:.0f} giây")
            )
    return findings


async def _server(store: Store) -> Finding:
    async with store.pool.connection() as connection:
        version = connection.info.server_version
    kind = "đi kèm" if store.database.embedded is not None else "riêng"
    minor_old = store.database.embedded is not None and version % 10_000 < 1
    return "warn" if minor_old else "ok", "PostgreSQL", f"{version // 10_000}.{version % 10_000} ({kind})"
