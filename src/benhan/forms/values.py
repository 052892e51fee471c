"""Answer sets: their normal form, how a value reads to a person, default values and what they extract to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from benhan.base.clock import VIETNAM
from benhan.forms import drawing
from benhan.forms.model import Answers, Condition, Form, Item
from benhan.forms.vocabulary import CODE_LISTS, FACTS


@dataclass(frozen=True, slots=True)
class Default:
    """A proposed answer and, in words, where it came from; ``copied``: out of an earlier paper."""

    value: Any
    origin: str
    copied: bool = False


@dataclass(frozen=True, slots=True)
class Known:
    """A fact that says itself where it comes from (an earlier paper)."""

    value: Any
    origin: str


@dataclass(frozen=True, slots=True)
class Extraction:
    """One answer that becomes (part of) a clinical resource. ``row`` is the table row or repetition, from
    0; ``code_system`` is the system of a coded answer's code.
    """

    link_id: str
    resource: str
    system: str | None
    code: str | None
    display: str
    category: str | None
    value: Any
    unit: str | None
    ucum: str | None
    type: str
    row: int = 0
    code_system: str | None = None


def empty(value: Any) -> bool:
    """True for what counts as no answer."""
    return value is None or value == "" or value == [] or value == {}


def normal(form: Form, answers: Mapping[str, Any]) -> Answers:
    """Answers in the form's order without empty ones and unknown keys; fixed table rows get their printed
    cells.
    """
    out: Answers = {}
    for item in form.answerable():
        value = _normal_value(item, answers.get(item.link_id))
        if not empty(value):
            out[item.link_id] = value
    return out


def _normal_value(item: Item, value: Any) -> Any:
    if item.type == "table":
        return _normal_rows(item, value)
    if item.repeats:
        values = value if isinstance(value, list) else [value]
        kept = [v for v in (_bare(v) for v in values) if not empty(v)]
        return _in_order(item, kept) if item.ticks else kept
    return drawing.clean(value) if item.type == "drawing" else _bare(value)


def _in_order(item: Item, values: list[Any]) -> list[Any]:
    """Values of several boxes, each once, in the order of the boxes; what is no box comes last."""
    boxes = item.ticks
    return [b for b in boxes if b in values] + [v for v in values if v not in boxes]


def _bare(value: Any) -> Any:
    return {k: v for k, v in value.items() if not empty(v)} if isinstance(value, dict) else value


def _normal_rows(table: Item, value: Any) -> list[dict[str, Any]]:
    given = [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []
    if not table.rows:
        rows = [_normal_row(table, row) for row in given]
        return [row for row in rows if row]
    rows = []
    for n, fixed in enumerate(table.rows):
        row = _normal_row(table, given[n]) if n < len(given) else {}
        rows.append({**{k: v for k, v in row.items() if k not in fixed}, **fixed})
    return rows if any(len(row) > len(fixed) for row, fixed in zip(rows, table.rows, strict=True)) else []


def _normal_row(table: Item, row: Mapping[str, Any]) -> dict[str, Any]:
    cells = ((c, _normal_value(c, row.get(c.column))) for c in table.children if c.holds_answer)
    return {c.column: value for c, value in cells if not empty(value)}


def holds(condition: Condition, answers: Mapping[str, Any]) -> bool:
    """Whether the condition is true for these answers."""
    value = answers.get(condition.item)
    if condition.exists is not None:
        return empty(value) != condition.exists
    if isinstance(value, bool):
        value = "1" if value else "0"
    return str(value) in condition.equals


def date_text(value: str) -> str:
    """``2026-03-14`` → ``14/03/2026``; ``2026-03`` → ``03/2026``; ``2026`` stays; datetimes add ``HH:MM``."""
    if "T" in value:
        try:
            at = datetime.fromisoformat(value)
        except ValueError:
            return value
        local = at.astimezone(VIETNAM) if at.tzinfo else at
        return f"{local:%d/%m/%Y %H:%M}"
    return "/".join(reversed(value.split("-")))


def number_text(value: Decimal | int) -> str:
    """A number with the decimal comma of Vietnamese papers, digits as they were typed."""
    return format(value, "f").replace(".", ",") if isinstance(value, Decimal) else str(value)


def coded_text(value: Mapping[str, str], *, code_first: bool = False) -> str:
    """``Viêm phổi (J18.9)``; with ``code_first``: ``J18.9 Viêm phổi``."""
    text, code = value.get("text", ""), value.get("code", "")
    if code_first:
        return f"{code} {text}".strip()
    return f"{text} ({code})" if text and code else text or code


def describe_value(item: Item, value: Any) -> str:
    """One value as a person reads it."""
    if empty(value):
        return ""
    if isinstance(value, list):
        if item.type == "table":
            return "; ".join(_row_text(item, row) for row in value)
        return "; ".join(describe_value(item, v) for v in value)
    if isinstance(value, bool):
        return "Có" if value else "Không"
    if item.type == "drawing":
        return drawing.describe(value)
    if isinstance(value, dict):
        return coded_text(value)
    if item.type == "time":
        return str(value).removesuffix(":00") if str(value).count(":") == 2 else str(value)
    if item.type == "choice":
        choice = item.choice(str(value))
        return choice.label if choice else str(value)
    if isinstance(value, Decimal | int):
        text = number_text(value)
        return f"{text} {item.unit}" if item.unit else text
    if item.type in ("date", "datetime"):
        return date_text(str(value))
    return str(value)


def _row_text(table: Item, row: Mapping[str, Any]) -> str:
    cells = (describe_value(c, row.get(c.column)) for c in table.children if c.holds_answer)
    return " – ".join(cell for cell in cells if cell)


def describe(form: Form, link_id: str, value: Any) -> str:
    """An answer as a person reads it: ``Nam``, ``14/03/2026 08:05``, ``Viêm phổi (J18.9)``, ``37,5 °C``."""
    return describe_value(form.item(link_id), value)


def defaults(form: Form, facts: Mapping[str, Any]) -> dict[str, Default]:
    """Proposed answers from what the record knows; ``facts`` has values in answer shape under names of
    ``FACTS``, or ``Known`` ones that name their origin.
    """
    out: dict[str, Default] = {}
    for item in form.answerable():
        if item.populate is None:
            continue
        fact = facts.get(item.populate)
        origin, copied = FACTS[item.populate].origin, isinstance(fact, Known)
        if isinstance(fact, Known):
            fact, origin = fact.value, fact.origin
        value = _normal_value(item, _fitting(item, fact))
        if not empty(value):
            out[item.link_id] = Default(value, origin, copied)
    return out


def _fitting(item: Item, fact: Any) -> Any:
    """A fact in the shape of the item: words of a coded fact for a text, a text as the words of a coded item; several
    facts for one place as one line; a measured whole number for a count.
    """
    if item.type == "table":
        return fact
    if isinstance(fact, list) and not item.repeats:
        if item.type not in ("text", "longtext"):
            return fact[0] if len(fact) == 1 else None
        return "; ".join(str(_fitting(item, one)) for one in fact)
    if isinstance(fact, list):
        return [_fitting(item, one) for one in fact]
    if isinstance(fact, Mapping) and item.type in ("text", "longtext"):
        return str(fact.get("text") or fact.get("code") or "")
    if isinstance(fact, str) and item.type == "code":
        return {"text": fact}
    if isinstance(fact, str) and item.type == "text":
        return "; ".join(line.strip() for line in fact.splitlines() if line.strip())
    if isinstance(fact, str) and item.type == "date":
        return fact[:10]  # the day of a moment
    if isinstance(fact, Decimal) and item.type == "integer":
        return int(fact) if fact == fact.to_integral_value() else None
    return fact


def extractions(form: Form, answers: Mapping[str, Any]) -> list[Extraction]:
    """Every answer that the form says becomes a clinical resource, repetitions and table cells one by one."""
    out: list[Extraction] = []
    for item in form.answerable():
        value: Any = answers.get(item.link_id)
        if empty(value):
            continue
        if item.type == "table":
            for n, row in enumerate(value):
                out.extend(e for c in item.children for e in _extract(c, row.get(c.column), n))
        else:
            out.extend(_extract(item, value, 0))
    return out


def _extract(item: Item, value: Any, row: int) -> Iterator[Extraction]:
    hint = item.extract
    if hint is None or empty(value):
        return
    for n, one in enumerate(value if isinstance(value, list) else [value]):
        yield Extraction(
            item.link_id,
            hint.resource,
            hint.system,
            None if hint.code is None else str(hint.code),
            hint.display or item.label,
            hint.category,
            one,
            item.unit,
            item.ucum,
            item.type,
            row + n,
            CODE_LISTS[item.code_list].system if item.code_list else None,
        )
