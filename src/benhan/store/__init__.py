"""The append-only log of FHIR resource versions on PostgreSQL, and everything derived from it.

Doors: ``Store.open`` once per process, ``store.repo(ctx, policy)`` once per request. Outside ``repo.transaction()``
every call is a transaction of its own; inside, all calls and ``repo.connection`` share one.

**Bytes.** The bytes are the record, and what is served is what was kept.

- Given a mapping: the server sets ``id`` (unless given), ``meta.versionId`` and ``meta.lastUpdated``, writes it once,
  and those bytes are the record.
- Given bytes that carry an ``id``: kept exactly, nothing added. Version and instant are in the row; whoever serves
  ``raw`` says them in ``ETag`` and ``Last-Modified``. ``Stored.data`` is the parse with ``meta`` laid over.
- Given bytes without ``id``: as for a mapping; what is kept is what the server wrote, not what was sent.

**Ids.** Ours are time-ordered and carry the placement of their patient; any FHIR id given by a client is accepted.

**Audit.** A write's rows commit with it. A read is audited before the answer leaves, in a commit shared with others;
a read inside a transaction is audited with it, and also when it is rolled back. With ``Ctx.looks`` set the reads of one
request are gathered into a row a patient, which ``Looks.flush`` makes durable before the answer leaves.

**Hub.** With ``Ctx.reader`` set, row-level security shows only rows of that custodian and of patients for whom a grant
in ``access_grant`` is in force (by the store's clock). Writes are made without ``reader``.

**Errors.** ``NotFound``, ``Deleted`` (also ``store.destroyed``), ``StaleVersion``, ``Conflict`` (``store.exists``,
``store.conflict``, ``store.many-matches`` 412), ``InvalidInput``, ``NotAllowed``; the database's own are translated
and never quote data.
"""

from benhan.store.backup import backup, new_epoch, restore
from benhan.store.blobs import Blobs
from benhan.store.conditions import refuse_existing
from benhan.store.destruction import destroy_record
from benhan.store.drafts import Drafts
from benhan.store.everything import EverythingAsked, document_parts, everything
from benhan.store.exporting import ExportAsked, deleted_page, export_page
from benhan.store.feed import feed_end, version_before
from benhan.store.history import HistoryAsked, HistoryPage
from benhan.store.looks import Looks
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
    SearchParams,
    Stored,
    SystemPolicy,
    TenantInfo,
    WriteGuard,
)
from benhan.store.repository import ManyMatches, Repository
from benhan.store.seal import SealReport
from benhan.store.store import Store

__all__ = [
    "Action",
    "Actor",
    "AuditRow",
    "Blobs",
    "Ctx",
    "Drafts",
    "EverythingAsked",
    "ExportAsked",
    "FeedCursor",
    "FeedItem",
    "FeedPage",
    "HistoryAsked",
    "HistoryPage",
    "Looks",
    "ManyMatches",
    "Policy",
    "Repository",
    "Scope",
    "SealReport",
    "SearchPage",
    "SearchParams",
    "Store",
    "Stored",
    "SystemPolicy",
    "TenantInfo",
    "WriteGuard",
    "backup",
    "deleted_page",
    "destroy_record",
    "document_parts",
    "everything",
    "export_page",
    "feed_end",
    "new_epoch",
    "refuse_existing",
    "restore",
    "version_before",
]
