"""The values that leave the ``fhir`` room: search parameters and index values. No logic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Literal

SearchType = Literal[
    "token", "string", "reference", "date", "number", "quantity", "uri", "composite", "special"
]
IndexKind = Literal["token", "string", "reference", "date", "number", "quantity", "uri"]


@dataclass(frozen=True, slots=True)
class Component:
    """One part of a composite parameter: the parameter it stands for and its own path below the composite."""

    code: str
    type: SearchType
    expression: str


@dataclass(frozen=True, slots=True)
class SearchParam:
    """One search parameter of one resource type.

    ``expression`` is the FHIRPath for this type alone. ``targets`` are the types a reference may point to
    (empty: not a reference). ``components`` are those of a composite. ``extracted`` is False for parameters
    that have no expression (``_text``, ``_content``, ``_query``, ``near`` …): they give no index values.
    """

    name: str
    type: SearchType
    expression: str
    targets: frozenset[str] = frozenset()
    components: tuple[Component, ...] = ()
    url: str = ""
    extracted: bool = True


@dataclass(frozen=True, slots=True)
class IndexValue:
    """One value of one resource under one search parameter; what the store writes as an index row.

    Which fields are set depends on ``kind``; all others are None.

    ===========  ================================================================================
    kind         fields
    ===========  ================================================================================
    token        ``system`` (None: no system), ``code`` (None: text only), ``text`` = display, coding
                 display or ``CodeableConcept.text``, *folded* by ``base.text.fold`` (for ``:text``).
                 A CodeableConcept gives one value per coding, plus one with ``code`` None for its text.
                 Booleans are ``true``/``false``; an Identifier's code is its value; its type goes to
                 ``type_system``/``type_code`` (for ``:of-type``).
    string       ``value`` as written (NFC), ``folded`` = ``base.text.fold(value)``
    reference    local or absolute literal: ``target_type``, ``target_id`` (``version`` dropped) and
                 ``url`` = the text as written; logical: ``system`` and ``code`` of ``identifier``.
                 A reference with both gives both in one value. ``canonical`` gives ``url`` only.
                 References to contained resources (``#x``) give none.
    date         ``low`` and ``high`` instants, aware, UTC, half open ``[low, high)``; None is an open
                 end. A date without offset is taken in Asia/Ho_Chi_Minh. Range from the precision.
    number       ``number_low``, ``number_high``: implicit range, half open ``[low, high)``
                 (72.50 → 72.495 … 72.505); ``number`` the exact value; ints are exact ± 0.5
    quantity     as number, and ``system``, ``code`` (unit code) and ``unit`` (text as written);
                 ``comparator`` opens an end (None); Money: code = currency, system ``urn:iso:std:iso:4217``
    uri          ``value`` as written
    ===========  ================================================================================

    ``group``: None, or for a composite parameter the ordinal that ties its components together; then
    ``param`` is ``composite$component`` (``code-value-quantity$code``). Rows of one group belong together.
    """

    param: str
    kind: IndexKind
    system: str | None = None
    code: str | None = None
    text: str | None = None
    type_system: str | None = None
    type_code: str | None = None
    value: str | None = None
    folded: str | None = None
    target_type: str | None = None
    target_id: str | None = None
    url: str | None = None
    low: datetime | None = None
    high: datetime | None = None
    number: Decimal | None = None
    number_low: Decimal | None = None
    number_high: Decimal | None = None
    unit: str | None = None
    group: int | None = None


@dataclass(frozen=True, slots=True)
class ReferenceAt:
    """One Reference (or canonical) element of a resource.

    ``path`` is its FHIRPath location (``Encounter.participant[0].individual``), ``target_type``/``target_id``
    are set for a literal reference ``Type/id`` or ``…/Type/id``; ``contained`` is the id after ``#``.
    ``element`` is the very mapping inside the resource: a caller that owns the resource can rewrite it.
    """

    path: str
    element: dict[str, object] = field(compare=False)
    reference: str | None = None
    target_type: str | None = None
    target_id: str | None = None
    contained: str | None = None
    identifier: Mapping[str, object] | None = None
