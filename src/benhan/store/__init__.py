"""The append-only log of FHIR resource versions on PostgreSQL, and everything derived from it."""

from benhan.store.blobs import Blobs
from benhan.store.drafts import Drafts
from benhan.store.model import (
    Action,
    Actor,
    AuditRow,
    Ctx,
    FeedCursor,
    FeedItem,
    FeedPage,
    Policy,
    Scope,
    SearchPage,
    Stored,
    SystemPolicy,
    TenantInfo,
    WriteGuard,
)
from benhan.store.repository import Repository
from benhan.store.store import Store

__all__ = [
    "Action",
    "Actor",
    "AuditRow",
    "Blobs",
    "Ctx",
    "Drafts",
    "FeedCursor",
    "FeedItem",
    "FeedPage",
    "Policy",
    "Repository",
    "Scope",
    "SearchPage",
    "Store",
    "Stored",
    "SystemPolicy",
    "TenantInfo",
    "WriteGuard",
]
