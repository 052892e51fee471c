"""Conditions of a write that are asked inside its transaction, before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benhan.base.errors import StaleVersion
from benhan.store.model import Action

if TYPE_CHECKING:
    from benhan.store.repository import Repository


async def refuse_existing(tx: Repository, resource_type: str, resource_id: str) -> None:
    """``If-None-Match: *`` (RFC 9110 13.1.2): the write is to make something new.

    Raises: ``NotAllowed`` before anything is told, ``StaleVersion`` (store.exists-already, 412).
    """
    tx.policy.check(tx.ctx, Action.CREATE, resource_type, None)
    found = await tx.current(resource_type, resource_id, lock=True)
    if found is not None and not found.stored.deleted:
        raise StaleVersion("store.exists-already", "Đã có tài liệu này, mà yêu cầu chỉ ghi khi chưa có.")
