"""A patch: the current version is locked, changed by a pure function, and appended like any update."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from benhan.base.errors import Deleted, InvalidInput
from benhan.base.json_door import JsonObject
from benhan.store import reading
from benhan.store.model import Action
from benhan.store.preparing import prepare
from benhan.store.refusals import not_found
from benhan.store.writing import Change

if TYPE_CHECKING:
    from benhan.store.repository import Repository


async def prepare_patch(
    tx: Repository,
    resource_type: str,
    resource_id: str,
    change: Callable[[JsonObject], JsonObject],
    if_match: int | None,
) -> Change:
    """The next version, validated, allowed (reading and updating) and guarded, ready for ``write``."""
    for action in (Action.READ, Action.UPDATE):
        tx.policy.check(tx.ctx, action, resource_type, None)
    old = await tx.current(resource_type, resource_id, lock=True)
    if old is None:
        raise not_found(resource_type, resource_id)
    if old.destroyed:
        raise reading.destroyed(resource_type, resource_id)
    if old.stored.deleted:
        raise Deleted("store.deleted", "Tài liệu này đã bị xóa; lịch sử vẫn còn.")
    for action in (Action.READ, Action.UPDATE):
        tx.policy.check(tx.ctx, action, resource_type, old.stored.data)
    made = change(old.stored.data)
    if made.get("resourceType") != resource_type or made.get("id") != resource_id:
        raise InvalidInput(
            "store.patch-identity",
            "Bản vá không được đổi loại và mã của tài liệu.",
            expression=f"{resource_type}.id",
        )
    return await tx.prepare_update(prepare(None, made, tx.clock.now()), if_match, None)
