"""The values that cross the store's door. No logic beyond reading them.

``Ctx`` says who asks, for whom and why; ``Policy`` is what the store asks before it answers; ``Stored`` is one version
of one resource.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypeAlias
from uuid import UUID

from benhan.base.errors import InvalidInput
from benhan.base.json_door import JsonObject, loads_object

if TYPE_CHECKING:
    from benhan.store.looks import Looks
    from benhan.store.repository import Repository


@dataclass(frozen=True)
class Actor:
    """Who acts: ``reference`` (``Practitioner/…``, ``Device/…``) is written as author of versions and audit rows."""

    reference: str
    display: str
    kind: Literal["person", "machine", "system"]
    account_id: UUID | None = None


@dataclass(frozen=True)
class Ctx:
    """Who asks, for which tenant, in which roles, for what purpose of use (v3 PurposeOfUse code).

    ``reader`` is set at the hub only: the facility (its tenant id there) that reads. Row-level security then shows
    rows whose custodian it is, and rows of patients for whom it holds a grant in force.

    ``sight`` is the account (or machine) from whom row-level security hides rows of sensitive groups, unless it wrote
    them, holds a grant that opens them, or treats the patient in one of ``khoa``; None: nothing is hidden on its account.

    ``looks`` gathers the reads of one request for its audit; who sets it flushes it before the answer leaves.
    """

    tenant: UUID
    actor: Actor
    roles: frozenset[str] = frozenset()
    purpose: str = "TREAT"
    correlation_id: str = ""
    reader: UUID | None = None
    sight: UUID | None = None
    khoa: frozenset[str] = frozenset()
    looks: Looks | None = field(default=None, compare=False, repr=False)

    @property
    def sees(self) -> tuple[str, ...]:
        """What row-level security knows of the caller: those alike in it see the same rows."""
        return (
            str(self.tenant),
            "" if self.reader is None else str(self.reader),
            "" if self.sight is None else str(self.sight),
            ",".join(sorted(self.khoa)),
            self.purpose,
        )


class Action(StrEnum):
    """What is asked of the store; the names go to the audit."""

    READ = "read"
    VREAD = "vread"
    SEARCH = "search"
    COUNT = "count"
    HISTORY = "history"
    INCLUDE = "include"
    EXPORT = "export"
    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


@dataclass(frozen=True)
class Scope:
    """What of a type may be shown: everything, nothing, or the compartments of some patients.

    Make one with ``Scope.ALL``, ``Scope.NONE`` or ``Scope.patients(ids)``.
    """

    kind: Literal["all", "none", "patients"]
    patient_ids: frozenset[str] = frozenset()

    ALL: ClassVar[Scope]
    NONE: ClassVar[Scope]

    @classmethod
    def patients(cls, ids: frozenset[str]) -> Scope:
        """Only rows in the compartments of these patients."""
        return cls("patients", ids)


Scope.ALL = Scope("all")
Scope.NONE = Scope("none")


class Policy(Protocol):
    """What the store asks on every path. Sync and fast: everything needed is loaded when the object is made.

    A policy with a true ``by_type`` judges by caller, action and type alone: it is asked once before the resource is
    loaded, and no resource is parsed for it.
    """

    def check(self, ctx: Ctx, action: Action, resource_type: str, resource: JsonObject | None) -> None:
        """Raise ``NotAllowed`` or ``NotFound`` when this may not be. ``resource`` None: not loaded yet."""
        ...

    def scope(self, ctx: Ctx, action: Action, resource_type: str) -> Scope:
        """What search, count, history, include and export may show of a type."""
        ...


class SystemPolicy:
    """Allows everything. For workers, migrations and the command line; never for a person or a neighbour."""

    by_type = True

    def check(self, ctx: Ctx, action: Action, resource_type: str, resource: JsonObject | None) -> None:
        """Allow."""

    def scope(self, ctx: Ctx, action: Action, resource_type: str) -> Scope:
        """Everything."""
        return Scope.ALL


WriteGuard: TypeAlias = (
    "Callable[[Repository, Ctx, Action, JsonObject | None, JsonObject | None], Awaitable[None]]"
)
"""``async (tx, ctx, action, new, old)``: called inside the transaction before a version is appended; raises to refuse."""


@dataclass(frozen=True)
class TenantInfo:
    """A facility or hub of this installation. ``code`` is its present MA_CSKCB or hub code."""

    id: UUID
    kind: str
    code: str
    name: str


@dataclass(frozen=True)
class Stored:
    """One version of one resource. ``raw`` are the exact bytes of the record, ``sha256`` (hex) covers them.

    A deleted version has empty ``raw``. ``data`` is the parse of ``raw`` with ``id``, ``meta.versionId`` and
    ``meta.lastUpdated`` of this row laid over it (the exact bytes may carry none: see :mod:`benhan.store`).
    Treat ``data`` as read-only; copy before changing.
    """

    type: str
    id: str
    version: int
    at: datetime
    author: str
    action: str
    raw: bytes = field(repr=False)
    sha256: str
    deleted: bool = False
    custodian: UUID | None = None

    @property
    def served(self) -> bytes | None:
        """The very bytes of the record where ``data`` written out gives the same: what the server wrote. Else None."""
        head = (
            f'{{"resourceType":"{self.type}","id":"{self.id}","meta":{{"versionId":"{self.version}",'
            f'"lastUpdated":"{instant(self.at)}"'
        ).encode()
        return self.raw if self.raw.startswith(head) else None

    @property
    def etag(self) -> str:
        """Weak entity tag of this version."""
        return f'W/"{self.version}"'

    @property
    def reference(self) -> str:
        """``Type/id``."""
        return f"{self.type}/{self.id}"

    @cached_property
    def data(self) -> JsonObject:
        """The parsed resource; empty for a deleted version."""
        if self.deleted:
            return {}
        parsed = loads_object(self.raw)
        meta = {**(parsed.get("meta") or {}), "versionId": str(self.version), "lastUpdated": instant(self.at)}
        ordered: JsonObject = {"resourceType": self.type, "id": self.id, "meta": meta}
        return {**ordered, **{k: v for k, v in parsed.items() if k not in ordered}}


def check_content(policy: Policy, ctx: Ctx, action: Action, stored: Stored) -> None:
    """Ask the policy about what was loaded, unless it has decided by type and action already (``by_type``)."""
    if not getattr(policy, "by_type", False):
        policy.check(ctx, action, stored.type, stored.data)


def instant(at: datetime) -> str:
    """The instant as ``meta.lastUpdated``: milliseconds, UTC."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True)
class SearchPage:
    """One page. ``total`` only when asked for (``_total=accurate`` or ``_summary=count``); ``next`` is the cursor of
    the page after (give it back as parameter ``_cursor``); ``ignored`` are parameters that were not understood.
    """

    entries: list[Stored]
    included: list[Stored] = field(default_factory=list)
    total: int | None = None
    next: str | None = None
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True, order=True)
class FeedCursor:
    """A place in the change feed: epoch, transaction, sequence. ``str()`` and ``parse`` are inverse."""

    epoch: int
    tx: int
    seq: int

    def __str__(self) -> str:
        return f"{self.epoch}.{self.tx}.{self.seq}"

    @classmethod
    def parse(cls, text: str) -> FeedCursor:
        """Read a cursor. Raises: ``InvalidInput`` (store.bad-cursor)."""
        try:
            epoch, tx, seq = (int(part) for part in text.split("."))
        except ValueError:
            raise InvalidInput("store.bad-cursor", "Con trỏ của luồng thay đổi không đọc được.") from None
        return cls(epoch, tx, seq)


@dataclass(frozen=True)
class FeedItem:
    """One version in the feed; ``data`` None for a deletion or a destroyed record."""

    cursor: FeedCursor
    stored: Stored | None
    type: str
    id: str
    version: int
    action: str

    @property
    def data(self) -> JsonObject | None:
        """The parsed resource, or None."""
        return None if self.stored is None or self.stored.deleted else self.stored.data


@dataclass(frozen=True)
class FeedPage:
    """``items`` in feed order; ``cursor`` is where to go on; ``epoch_changed``: the log was restored or failed over
    since the given cursor, so what the reader holds beyond the log has to be reconciled.
    """

    items: list[FeedItem]
    cursor: FeedCursor
    epoch_changed: bool = False


@dataclass(frozen=True)
class AuditRow:
    """One line of the audit: who did what to what, when, why, and how it ended (``outcome`` 0 = done, 4, 8, 12)."""

    at: datetime
    actor: str
    actor_display: str
    actor_kind: str
    purpose: str
    action: str
    entity: str | None
    version: int | None
    patient: str | None
    outcome: str
    reader: UUID | None
    correlation_id: str
    detail: JsonObject | None
    account: UUID | None = None


def with_purpose(ctx: Ctx, purpose: str) -> Ctx:
    """The same context for another purpose of use."""
    return replace(ctx, purpose=purpose)


SearchParams: TypeAlias = "Sequence[tuple[str, str]] | str"
Detail: TypeAlias = "Mapping[str, Any]"
