"""What a form is: frozen values read from one YAML file by ``benhan.forms.loader``.

An *answer set* is ``dict[linkId, value]``; empty answers are absent. The value of each item type:

=============  ======================================================================================
type           value
=============  ======================================================================================
text, longtext ``str`` (NFC, trimmed, lines separated by ``\\n``)
integer        ``int``
decimal        ``decimal.Decimal`` (digits as typed)
quantity       ``decimal.Decimal`` in the item's one unit
boolean        ``bool``
date           ``str``: ``1960``, ``1960-05`` or ``1960-05-01``
datetime       ``str``: ``2026-03-14T08:05:00+07:00`` (seconds kept when given)
time           ``str``: ``08:05:00``
choice         ``str``, the code of one choice
code           ``dict`` with ``code`` and/or ``text`` (both ``str``)
drawing        ``dict``: ``{"marks": [...]}``, see ``benhan.forms.drawing``
table          ``list`` of ``dict[column, value]``; a column's linkId is ``<table>.<column>``
=============  ======================================================================================

An item that ``repeats`` holds a non-empty list of such values. A value that could not be read from a page
stays
the ``str`` that was typed; ``check`` says what is wrong with it. ``group``, ``display``,
``signature`` and ``chart`` items hold no answer. The values of a choice that repeats stand in the order of
its choices.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

from benhan.catalogue import systems

if TYPE_CHECKING:
    from benhan.base.json_door import JsonObject

Moment = Literal["save", "sign", "close"]
MOMENTS: tuple[Moment, ...] = ("save", "sign", "close")
Answers = dict[str, Any]

ANSWERLESS = frozenset({"group", "display", "signature", "chart"})


@dataclass(frozen=True, slots=True)
class Choice:
    """One box value printed on the form: ``code`` as on paper, label in Vietnamese."""

    code: str
    label: str
    label_en: str | None = None


@dataclass(frozen=True, slots=True)
class Range:
    """Limits of a number. Outside ``min``/``max`` is an error, outside ``low``/``high`` a warning."""

    min: Decimal | None = None
    max: Decimal | None = None
    low: Decimal | None = None
    high: Decimal | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Condition:
    """True when ``item`` has an answer (``exists``) or its answer is one of ``equals``."""

    item: str
    equals: tuple[str, ...] = ()
    exists: bool | None = None


@dataclass(frozen=True, slots=True)
class Extract:
    """What clinical resource an answer becomes; the room ``records`` does the extraction."""

    resource: str
    system: str | None = None
    code: str | None = None
    display: str | None = None
    category: str | None = None


@dataclass(frozen=True, slots=True)
class Computed:
    """Value derived from other answers by a named function of ``benhan.forms.computed``."""

    function: str
    of: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """Hints: ``cols`` of the 12-column screen grid, ``print_cols`` of 12 on paper, ``lines`` for handwriting,
    ``boxes`` (squares) on paper, ``inline`` (group beside its label; a choice or code as text), ``weight`` of
    a table column, ``side`` of the printed header, ``bare`` (header value without its label when filled),
    ``skip_empty`` (a filled paper leaves the row out when it is empty)."""

    cols: int = 12
    print_cols: int = 12
    lines: int = 1
    boxes: int | None = None
    inline: bool = False
    print: bool = True
    weight: int | None = None
    side: str | None = None
    bare: bool = False
    skip_empty: bool = False


@dataclass(frozen=True, slots=True)
class Item:
    """One line of a form. ``children`` are the items of a group or the columns of a table.

    ``options`` are suggestions of a text; ``figure`` is what a drawing is drawn on; ``chart`` plots the rows
    of the table ``of``; ``unconfirmed`` says to an administrator what the transcription is not sure of.
    """

    link_id: str
    type: str
    label: str
    label_en: str | None = None
    name: str | None = None
    number: str | None = None
    hint: str | None = None
    choices: tuple[Choice, ...] = ()
    code_list: str | None = None
    unit: str | None = None
    ucum: str | None = None
    range: Range | None = None
    pattern: str | None = None
    pattern_text: str | None = None
    max_length: int | None = None
    repeats: bool = False
    required_at: Moment | None = None
    required_when: Condition | None = None
    enabled_when: Condition | None = None
    populate: str | None = None
    computed: Computed | None = None
    extract: Extract | None = None
    layout: Layout = field(default_factory=Layout)
    children: tuple[Item, ...] = ()
    rows: tuple[Mapping[str, str], ...] = ()
    min_rows: int = 0
    role: str | None = None
    confidence: str = "high"
    readonly: bool = False
    options: tuple[str, ...] = ()
    figure: str | None = None
    chart: str | None = None
    of: str | None = None
    unconfirmed: str | None = None

    @property
    def spoken(self) -> str:
        """Name of the item in the middle of a sentence."""
        if self.name:
            return self.name
        return self.label[:1].lower() + self.label[1:]

    @property
    def column(self) -> str:
        """Last part of the linkId: the key of a table column inside its row."""
        return self.link_id.rpartition(".")[2]

    @property
    def holds_answer(self) -> bool:
        """True when an answer may stand under this linkId."""
        return self.type not in ANSWERLESS

    @property
    def ticks(self) -> list[str]:
        """Values of the boxes to tick: codes of the choices, else the suggested texts."""
        return [c.code for c in self.choices] or list(self.options)

    def choice(self, code: str) -> Choice | None:
        """The choice with this code."""
        return next((c for c in self.choices if c.code == code), None)


@dataclass(frozen=True, slots=True)
class Section:
    """A titled part of the paper. ``area`` is ``header``, ``body`` or ``footer`` of the printed form."""

    key: str
    title: str
    number: str | None = None
    title_en: str | None = None
    items: tuple[Item, ...] = ()
    area: str = "body"
    filled_by: str | None = None
    level: int = 1
    hidden_title: bool = False
    unconfirmed: str | None = None


@dataclass(frozen=True, slots=True)
class SignaturePlace:
    """A place where somebody signs; ``order`` counts from 1; equal orders may sign in either order."""

    role: str
    title: str
    order: int
    permission: str | None = None
    note: str | None = None
    seal: bool = False
    section: str | None = None
    per_entry: bool = False
    required: bool = True


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule between answers, read from the form's ``rules``. ``kind``: order, greater, together,
    not_future.
    """

    kind: str
    items: tuple[str, ...]
    text: str | None = None
    severity: Literal["error", "warning"] = "error"
    at: Moment = "save"


@dataclass(frozen=True, slots=True)
class PrintLayout:
    """How the paper looks: ``kind`` record | sheet | certificate; sizes in points; sections that begin a
    page.
    """

    kind: str = "record"
    font_size: float = 11.5
    ms_label: str | None = None
    motto: bool = False
    fresh_pages: tuple[str, ...] = ()
    landscape: bool = False


@dataclass(frozen=True, slots=True)
class Form:
    """One form in one edition; ``extends`` is the canonical of the official form that it repeats and adds to."""

    code: str
    title: str
    title_en: str | None
    source: str
    valid_from: date
    valid_to: date | None
    confidence: str
    sections: tuple[Section, ...]
    signatures: tuple[SignaturePlace, ...]
    rules: tuple[Rule, ...]
    layout: PrintLayout
    kind: str = "form"
    aliases: tuple[str, ...] = ()
    edition: str = "1"
    by: str | None = None
    unconfirmed: str | None = None
    extends: str | None = None
    _index: dict[str, Item] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        self._index.update((item.link_id, item) for item in self.items())

    @property
    def slug(self) -> str:
        """Code for addresses and file names: ``01-BV1``."""
        return self.code.replace("/", "-")

    @property
    def url(self) -> str:
        """Canonical address of the Questionnaire."""
        return f"{systems.FORM}:{self.slug}"

    def items(self) -> Iterator[Item]:
        """Every item, depth first, in the paper's order (columns of tables included)."""
        for section in self.sections:
            yield from walk(section.items)

    def answerable(self) -> Iterator[Item]:
        """Every item that holds an answer of its own: tables yes, their columns no."""
        for section in self.sections:
            yield from answerable(section.items)

    def item(self, link_id: str) -> Item:
        """The item; raises ``KeyError``."""
        return self._index[link_id]

    def __contains__(self, link_id: object) -> bool:
        return link_id in self._index

    def questionnaire(self) -> JsonObject:
        """FHIR R4 Questionnaire (SDC style) of this form."""
        from benhan.forms.fhir_form import questionnaire

        return questionnaire(self)

    def blank_response(self) -> JsonObject:
        """An empty QuestionnaireResponse, status in-progress, for this form."""
        from benhan.forms.fhir_form import blank_response

        return blank_response(self)


def walk(items: tuple[Item, ...]) -> Iterator[Item]:
    """Depth-first walk."""
    for item in items:
        yield item
        yield from walk(item.children)


def answerable(items: tuple[Item, ...]) -> Iterator[Item]:
    """Items with an answer of their own; goes into groups, not into tables."""
    for item in items:
        if item.holds_answer:
            yield item
        if item.type == "group":
            yield from answerable(item.children)
