"""HTML of a form: sections as field sets on a dense grid, and the index of sections for the side panel.

The templates lie in ``templates/``; classes begin with ``bf-`` and sit on Bootstrap 5. No inline style or
script.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from benhan.forms import drawing
from benhan.forms.charts import chart_svg
from benhan.forms.checking import Finding, required
from benhan.forms.fhir_form import section_link_id
from benhan.forms.model import Answers, Form, Item, Moment, Section, answerable
from benhan.forms.posting import value_text
from benhan.forms.print_tree import is_measures
from benhan.forms.values import Default, describe_value, empty, holds

ROOM = Path(__file__).parent
STATIC_DIR = ROOM / "static"


@dataclass(frozen=True, slots=True)
class Missing:
    """An item that still needs an answer."""

    link_id: str
    label: str


@dataclass(frozen=True, slots=True)
class SectionState:
    """How far a section has come; for the side panel."""

    key: str
    anchor: str
    number: str | None
    title: str
    level: int
    filled: int
    total: int
    missing: tuple[Missing, ...]
    errors: int


@lru_cache(maxsize=1)
def _environment() -> Environment:
    env = Environment(
        loader=FileSystemLoader(ROOM / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.globals.update(empty=empty, describe=describe_value, input_text=value_text)
    return env


def render_fields(
    form: Form,
    answers: Mapping[str, Any],
    findings: Iterable[Finding] = (),
    defaults: Mapping[str, Default] | None = None,
    readonly: bool = False,
) -> Markup:
    """The sections of the form as HTML, to be put inside the page's ``<form>``.

    Shape: ``defaults`` are shown in fields that have no answer, marked with their origin; they are posted
    like
    typed values, so the person who saves has seen them. Each field carries ``data-link-id``.
    """
    page = _Page(form, dict(answers), list(findings), dict(defaults or {}), readonly)
    return Markup(_environment().get_template("fields.html").render(form=form, page=page))  # noqa: S704 - autoescaped


def section_index(
    form: Form, answers: Mapping[str, Any], findings: Iterable[Finding] = (), at: Moment = "close"
) -> list[SectionState]:
    """Filled and total items, what is missing by that moment and how many errors, section by section."""
    faults = [f for f in findings if f.severity == "error"]
    return [_state(section, answers, faults, at) for section in form.sections]


def _state(section: Section, answers: Mapping[str, Any], faults: list[Finding], at: Moment) -> SectionState:
    items = [i for i in answerable(section.items) if i.enabled_when is None or holds(i.enabled_when, answers)]
    keys = {i.link_id for i in items}
    missing = tuple(
        Missing(i.link_id, i.label)
        for i in items
        if empty(answers.get(i.link_id)) and required(i, answers, at)
    )
    return SectionState(
        key=section.key,
        anchor=section_link_id(section),
        number=section.number,
        title=section.title,
        level=section.level,
        filled=sum(not empty(answers.get(i.link_id)) for i in items),
        total=len(items),
        missing=missing,
        errors=sum(f.link_id.partition("#")[0] in keys for f in faults),
    )


@dataclass(slots=True)
class _Page:
    """What the templates ask: values, faults and the names of things."""

    form: Form
    answers: Answers
    findings: list[Finding]
    defaults: dict[str, Default]
    readonly: bool

    def anchor(self, section: Section) -> str:
        """Address of a section in the page."""
        return section_link_id(section)

    def value(self, item: Item) -> Any:
        """The answer, or the default when there is no answer."""
        value = self.answers.get(item.link_id)
        default = self.default(item)
        return default.value if default is not None else value

    def default(self, item: Item) -> Default | None:
        """The default that is shown, when it is."""
        if self.readonly or not empty(self.answers.get(item.link_id)):
            return None
        return self.defaults.get(item.link_id)

    def origin(self, item: Item) -> str:
        """Where the value shown comes from, while it is only proposed or is still what an earlier paper says."""
        proposed = self.defaults.get(item.link_id)
        if self.readonly or proposed is None:
            return ""
        given = self.answers.get(item.link_id)
        kept = proposed.copied and given == proposed.value
        return proposed.origin if empty(given) or kept else ""

    def faults(self, name: str) -> list[Finding]:
        """Findings of one field; repetitions (``name#0``) count to their item."""
        return [f for f in self.findings if f.link_id == name]

    def locked(self, item: Item) -> bool:
        """Whether the field cannot be edited."""
        return self.readonly or item.readonly

    def off(self, item: Item) -> bool:
        """Whether the item does not apply to the present answers."""
        return item.enabled_when is not None and not holds(item.enabled_when, self.answers)

    def measures(self, item: Item) -> bool:
        """Whether the group is a line of measurements (vital signs)."""
        return len(item.children) > 2 and is_measures(item)

    def required(self, item: Item) -> bool:
        """Whether the item will be needed at some moment."""
        return required(item, self.answers, "close")

    def rows(self, item: Item) -> list[Mapping[str, Any]]:
        """Rows of a table to show: fixed rows, or those filled and at least one free."""
        value = self.value(item)
        given = [r for r in value if isinstance(r, dict)] if isinstance(value, list) else []
        if item.rows:
            return [{**fixed, **(given[n] if n < len(given) else {})} for n, fixed in enumerate(item.rows)]
        if self.readonly:
            return list(given)
        free = max(item.min_rows - len(given), 1)
        return [*given, *({} for _ in range(free))]

    def repeats(self, item: Item) -> list[Any]:
        """Values of a repeating item and one free place."""
        value = self.value(item)
        given = value if isinstance(value, list) else [] if empty(value) else [value]
        return list(given) if self.readonly and given else [*given, None]

    def free(self, item: Item) -> list[tuple[int, Any]]:
        """Numbers and values of the free texts beside boxes, and one free place."""
        boxes = item.ticks
        given = [v for v in self.chosen(item) if v not in boxes]
        first = len(boxes) + len(self.chosen(item)) - len(given)
        places = given if self.readonly and given else [*given, None]
        return list(enumerate(places, start=first))

    def chosen(self, item: Item) -> list[Any]:
        """Codes of the boxes that are ticked."""
        value = self.value(item)
        return value if isinstance(value, list) else [] if empty(value) else [value]

    def chart(self, item: Item) -> Markup:
        """The chart of a table, drawn."""
        return Markup(chart_svg(self.form, item, self.answers))  # noqa: S704 - drawn by us, texts escaped

    def drawn(self, item: Item) -> Markup:
        """The figure with its marks."""
        return Markup(drawing.drawn(item.figure or "", self.value(item), title=item.label))  # noqa: S704 - ours

    def regions(self, item: Item) -> tuple[drawing.Region, ...]:
        """Regions of the figure that can be chosen by name."""
        return drawing.figure(item.figure or "").regions

    def marks(self, item: Item) -> list[Mapping[str, Any]]:
        """Marks of the drawing and one free line."""
        value = self.value(item)
        given = list(value["marks"]) if isinstance(value, dict) else []
        return given if self.readonly else [*given, {}]

    def percent(self, value: Any) -> str:
        """Coordinate as it stands in its field."""
        return "" if empty(value) else drawing.percent(value)

    def corners(self, mark: Mapping[str, Any]) -> str:
        """Further points of a mark as they stand in their field."""
        return drawing.points_text(mark.get("points", ()))

    def shapes(self) -> list[tuple[str, str]]:
        """Shapes of a mark and their words."""
        return list(drawing.SHAPES.items())

    def code(self, value: Any) -> str:
        """Code part of a coded answer."""
        return str(value.get("code", "")) if isinstance(value, dict) else ""

    def text(self, item: Item, value: Any) -> str:
        """Text that stands in the input."""
        if empty(value):
            return ""
        if isinstance(value, dict):
            return str(value.get("text", ""))
        return value_text(item, value)

    def ident(self, name: str) -> str:
        """HTML id of a field."""
        return "f-" + name.replace("#", "-").replace(".", "-").replace("~", "-")
