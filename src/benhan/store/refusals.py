"""The refusals that several modules of this room share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benhan.base.errors import NotAllowed, NotFound
from benhan.fhir import RESOURCE_TYPES
from benhan.store.model import Action, Scope

if TYPE_CHECKING:
    from benhan.store.repository import Repository


def not_found(resource_type: str, resource_id: str) -> NotFound:
    """The error for what is not there or may not be seen."""
    return NotFound("store.not-found", "Không có tài liệu này.", diagnostics=f"{resource_type}/{resource_id}")


def not_allowed(action: Action, resource_type: str) -> NotAllowed:
    """The error when a policy shows nothing of a type."""
    return NotAllowed(
        "store.not-allowed", "Không có quyền xem loại tài liệu này.", diagnostics=f"{action} {resource_type}"
    )


def unknown_type(resource_type: str) -> NotFound:
    """The error for a type that is not kept."""
    return NotFound("store.unknown-type", "Không lưu loại tài liệu này.", diagnostics=resource_type[:64])


def allowed_scope(repo: Repository, action: Action, resource_type: str) -> Scope:
    """What the policy shows of a type. Raises: ``NotAllowed``, ``NotFound`` (store.unknown-type)."""
    if resource_type not in RESOURCE_TYPES:
        raise unknown_type(resource_type)
    scope = repo.policy.scope(repo.ctx, action, resource_type)
    if scope.kind == "none":
        raise not_allowed(action, resource_type)
    return scope
