"""Drafts. (Body follows.)"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from benhan.store.repository import Repository


class Drafts:
    """Per author, per form, a patch per field."""

    async def put(self, repo: Repository, form_key: str, field: str, value: Any, client_at: datetime, seq: int) -> bool: ...
    async def get(self, repo: Repository, form_key: str) -> dict[str, Any]: ...
    async def discard(self, repo: Repository, form_key: str) -> None: ...
