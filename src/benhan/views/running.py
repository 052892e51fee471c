"""A view over the store: as the application's role, under the policy of the caller, audited as an export."""

from __future__ import annotations

from collections.abc import AsyncIterator

from benhan.base.json_door import loads_object
from benhan.store import Repository
from benhan.views.definition import Row, View


async def stream(repo: Repository, view: View) -> AsyncIterator[Row]:
    """Rows of every current resource of the view's type that the caller may export, in the order of the store.

    Raises: ``NotAllowed``; ``InvalidInput`` (view.not-boolean, view.many-values).
    """
    async for _, raw in repo.export((view.resource,)):
        for row in view.rows(loads_object(raw)):
            yield row
