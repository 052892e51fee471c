"""The print tree of a form: rows of cells, long texts, tables and signature places, all as plain data.

Nothing here knows Typst; ``layout/form.typ`` draws the tree. Keys are short because the tree is only
passed on.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import segno

from benhan.base.clock import local
from benhan.forms import drawing
from benhan.forms.charts import chart_svg
from benhan.forms.model import Form, Item, Section, answerable
from benhan.forms.print_model import PrintContext, PrintedEntry, PrintedSignature
from benhan.forms.values import describe_value, empty, normal, number_text
from benhan.forms.vocabulary import CODE_LISTS

Node = dict[str, Any]
#: letters of a word that a table column is made wide enough for
_WIDEST_WORD = 18
#: the figure that is an empty sheet: it need not be large
_EMPTY_FIGURE = "o-trong"
#: rows of a table that is not broken over pages
_SHORT_TABLE = 12
#: rows of a longer one, and lines of text, that stay with the signatures below them
_LAST_ROWS = 3


def build_tree(form: Form, context: PrintContext) -> Node:
    """Everything the layout needs, every text a plain value."""
    return _Tree(form, context).root()


class _Tree:
    def __init__(self, form: Form, context: PrintContext) -> None:
        self.form, self.context = form, context
        self.answers = normal(form, {**context.header, **context.answers})
        self.signed = {s.role: s for s in context.signatures}

    def root(self) -> Node:
        form, context = self.form, self.context
        body = [s for s in form.sections if s.area != "header"]
        return {
            "kind": form.layout.kind,
            "title": form.title,
            "size": form.layout.font_size,
            "landscape": form.layout.landscape,
            "motto": form.layout.motto,
            "code": form.code,
            "head": self.head(),
            "running": [context.facility, context.patient, context.record_number],
            "mark": context.mark,
            "blank": context.blank,
            "lookup": self.lookup(),
            "printed": "" if context.printed_at is None else f"{local(context.printed_at):%H:%M %d/%m/%Y}",
            "blocks": _closed(block for section in body for block in self.section(section)),
        }

    def lookup(self) -> Node | None:
        code = self.context.lookup_code
        if not code:
            return None
        out = io.BytesIO()
        segno.make(self.context.lookup_url or code, error="m", micro=False).save(
            out, kind="svg", border=0, xmldecl=False
        )
        return {"code": code, "qr": out.getvalue().decode()}

    def head(self) -> Node:
        out: Node = {"left": [], "right": []}
        for section in self.form.sections:
            if section.area == "header":
                for item in section.items:
                    out[item.layout.side or "left"].append(self.head_line(item))
        return out

    def head_line(self, item: Item) -> Node:
        if item.type == "display":
            return {"label": item.label, "value": self.form.layout.ms_label or self.form.code, "bare": False}
        value = describe_value(item, self.answers.get(item.link_id))
        if item.type == "code" and isinstance(self.answers.get(item.link_id), dict):
            coded = self.answers[item.link_id]
            value = coded.get("text") or coded.get("code", "")
        return {"label": item.label, "value": value, "bare": item.layout.bare and bool(value)}

    def section(self, section: Section) -> Iterator[Node]:
        if not section.hidden_title:
            yield {
                "k": "section",
                "level": section.level,
                "number": section.number,
                "title": section.title,
                "fresh": section.key in self.form.layout.fresh_pages,
            }
        yield from self.blocks(section.items)

    def blocks(self, items: Sequence[Item], lead: str = "") -> Iterator[Node]:
        """Cells are packed into rows of twelve columns; what needs the full width stands alone."""
        row = _Row()
        for item in items:
            if not item.layout.print or self.skipped(item):
                continue
            alone = list(self.alone(item))
            if alone:
                yield from row.flush()
                yield from alone
                continue
            cell = self.packed(item)
            if lead:
                cell["lead"], lead = lead, ""
            yield from row.put(cell, item.layout.print_cols)
        yield from row.flush()

    def packed(self, item: Item) -> Node:
        """A cell of a row: a pair of numbers, a narrow drawing, or a label with its value."""
        if item.type == "drawing":
            return self.drawing(item)
        return self.pair(item) if item.type == "group" else self.cell(item)

    def skipped(self, item: Item) -> bool:
        """Rows that a filled paper leaves out when nothing is written in them."""
        if self.context.blank or not item.layout.skip_empty:
            return False
        return all(empty(self.answers.get(i.link_id)) for i in answerable((item,)))

    def alone(self, item: Item) -> Iterator[Node]:
        """Blocks of an item that takes the full width; nothing when it is a cell of a row."""
        if item.type == "signature":
            yield self.signatures([item])
        elif item.type == "drawing":
            if item.layout.print_cols == 12:
                yield self.drawing(item)
        elif item.type == "chart":
            svg = chart_svg(self.form, item, self.answers)
            yield {
                "k": "picture",
                "label": _label(item),
                "svg": svg,
                "legend": [],
                "height": None,
                "low": False,
            }
        elif item.type == "display":
            yield {"k": "note", "text": item.label}
        elif item.type == "table":
            yield self.sheet(item) if self.form.layout.kind == "sheet" else self.table(item)
        elif item.type == "longtext":
            yield self.long(item)
        elif item.repeats and not item.ticks:
            yield from self.repeated(item)
        elif item.type == "group" and not is_pair(item):
            yield from self.group(item)

    def drawing(self, item: Item) -> Node:
        """The figure with its marks; their words below it, or dotted lines for the hand."""
        value = self.answers.get(item.link_id)
        words = drawing.describe(value).split("; ") if isinstance(value, dict) else []
        svg = drawing.drawn(item.figure or "", value)
        return {
            "k": "picture",
            "label": _label(item),
            "svg": svg,
            "legend": words,
            "height": item.layout.lines,
            "low": item.figure == _EMPTY_FIGURE,
        }

    def group(self, item: Item) -> Iterator[Node]:
        signers = [c for c in item.children if c.type == "signature"]
        if signers:
            yield self.signatures(signers)
            return
        if is_measures(item):
            yield {"k": "frame", "label": _label(item), "rows": list(self.blocks(item.children))}
        elif item.layout.inline:
            yield from self.blocks(
                item.children, "" if item.label == item.children[0].label else _label(item)
            )
        else:
            yield {"k": "heading", "text": _label(item)}
            yield from self.blocks(item.children)

    def cell(self, item: Item) -> Node:
        """One label with its value, its boxes or its choices."""
        value = self.answers.get(item.link_id)
        out: Node = {
            "label": _label(item),
            "bold": bool(item.number) and not str(item.number).isdigit(),
            "strong": item.layout.weight is not None,
            "lines": item.layout.lines,
        }
        if item.type == "choice":
            return out | self.choice(item, value)
        if item.repeats and item.options:
            chosen = value if isinstance(value, list) else []
            ticks = [["", option, option in chosen] for option in item.options]
            return out | {"ticks": ticks, "rest": "; ".join(v for v in chosen if v not in item.options)}
        if item.type == "boolean":
            return out | {"tick": value is True, "value": "Không" if value is False else "", "boxed": True}
        if item.type == "code" and not item.layout.inline:
            return out | self.coded(item, value)
        if item.type == "code" and isinstance(value, dict):
            icd = item.code_list == "icd10"
            return out | {
                "value": describe_value(item, value) if icd else value.get("text") or value.get("code", "")
            }
        boxes = item.layout.boxes
        if boxes:
            return out | {"boxes": _squares(item, value, boxes)}
        if item.options and empty(value):
            return out | {"suggest": list(item.options), "value": ""}
        unit = item.unit if item.type in ("quantity", "decimal") else None
        return out | {"value": self.plain(item, value) or _by_hand(item), "unit": unit}

    def plain(self, item: Item, value: Any) -> str:
        if item.unit and not empty(value) and not isinstance(value, str):
            return number_text(value)
        if item.type == "datetime" and isinstance(value, str):
            return _hour_first(describe_value(item, value), short="giờ" in item.label.lower())
        return describe_value(item, value)

    def choice(self, item: Item, value: Any) -> Node:
        if item.repeats:
            chosen = value if isinstance(value, list) else []
            return {"ticks": [[c.code, c.label, c.code in chosen] for c in item.choices]}
        if item.layout.inline:
            return {"value": describe_value(item, value)}
        options = [[c.code, c.label] for c in item.choices]
        return {"options": options, "boxes": [str(value or "")], "tail": True}

    def coded(self, item: Item, value: Any) -> Node:
        """Name and its code in squares."""
        given = value if isinstance(value, dict) else {}
        code = str(given.get("code", ""))
        known = CODE_LISTS[item.code_list].boxes if item.code_list else None
        number = max(item.layout.boxes or known or 5, len(code))
        return {"value": given.get("text", ""), "boxes": list(code.ljust(number)), "tail": True}

    def pair(self, item: Item) -> Node:
        """Blood pressure: two numbers with a stroke between them."""
        parts = [self.plain(c, self.answers.get(c.link_id)) for c in item.children]
        return {
            "label": _label(item),
            "value": " / ".join(p or "……" for p in parts),
            "unit": item.children[0].unit,
        }

    def long(self, item: Item) -> Node:
        text = str(self.answers.get(item.link_id, ""))
        hidden = self.form.layout.kind == "certificate" and bool(text)
        return {
            "k": "long",
            "label": _label(item),
            "hint": None if hidden else item.hint,
            "paragraphs": text.split("\n") if text else [],
            "lines": item.layout.lines,
        }

    def repeated(self, item: Item) -> Iterator[Node]:
        """One line for each value; an inline item puts all values into one line."""
        values: list[Any] = self.answers.get(item.link_id) or []
        if item.layout.inline or item.type != "code":
            text = "; ".join(describe_value(item, v) for v in values)
            yield {"k": "row", "cells": [{"span": 12, "label": _label(item), "value": text}]}
            return
        for n in range(max(len(values), item.layout.lines)):
            cell = self.coded(item, values[n] if n < len(values) else None)
            yield {"k": "row", "cells": [{"span": 12, "label": _label(item) if n == 0 else "", **cell}]}

    def table(self, item: Item) -> Node:
        columns = item.children
        rows = [[self.table_cell(c, row) for c in columns] for row in self.answers.get(item.link_id) or ()]
        if not rows:
            rows = [[{"t": fixed.get(c.column, "")} for c in columns] for fixed in item.rows]
        rows.extend([{"t": ""} for _ in columns] for _ in range(item.min_rows - len(rows)))
        return {
            "k": "table",
            "label": _label(item),
            "heads": [c.label for c in columns],
            "weights": [c.layout.weight or 3 for c in columns],
            "words": _longest(columns, rows),
            "rows": rows,
        }

    def table_cell(self, column: Item, row: Mapping[str, Any]) -> Node:
        if column.type == "signature":
            return {"t": ""}  # room for the hand; who signed an entry stands beside it on a running sheet
        value = row.get(column.column)
        if column.type == "boolean":
            return {"t": "X" if value is True else "Không" if value is False else "", "c": True}
        if column.type == "datetime" and isinstance(value, str):
            return {"t": _hour_first(describe_value(column, value), short=True)}
        return {"t": describe_value(column, value), "c": column.type in ("integer", "decimal", "quantity")}

    def sheet(self, item: Item) -> Node:
        """A running sheet: entries with the signer of each."""
        rows = [self.entry(item, e) for e in self.entries(item)]
        if not rows:
            rows = [[{"t": ""} for _ in item.children]]
        return {
            "k": "sheet",
            "heads": [c.label for c in item.children],
            "weights": [c.layout.weight or 3 for c in item.children],
            "words": _longest(item.children, rows),
            "rows": rows,
            "empty": not self.entries(item),
        }

    def entries(self, item: Item) -> Sequence[PrintedEntry]:
        return self.context.entries or [PrintedEntry(row) for row in self.answers.get(item.link_id) or ()]

    def entry(self, item: Item, entry: PrintedEntry) -> list[Node]:
        cells: list[Node] = []
        for column in item.children:
            if column.type == "signature":
                cells.append(_signed_cell(entry))
                continue
            value = entry.values.get(column.column)
            text = describe_value(column, value)
            if column.type == "datetime":
                text = "\n".join(text.split(" "))
            cells.append({"t": text, "struck": entry.withdrawn})
        if entry.note:
            cells[min(1, len(cells) - 1)]["note"] = entry.note
        return cells

    def signatures(self, items: Sequence[Item]) -> Node:
        return {"k": "sign", "places": [self.place(i) for i in items]}

    def place(self, item: Item) -> Node:
        found = next((s for s in self.form.signatures if s.role == item.role), None)
        signed: PrintedSignature | None = self.signed.get(item.role or "")
        at = local(signed.at) if signed and signed.at else None
        return {
            "role": item.role,
            "title": item.label,
            "seal": bool(found and found.seal),
            "day": [f"{at:%d}", f"{at:%m}", f"{at:%Y}"] if at else None,
            "name": " ".join(p for p in (signed.title, signed.name) if p) if signed else "",
            "at": f"{at:%H:%M %d/%m/%Y}" if at else "",
            "by_hand": signed is None and not (self.context.electronic and found and found.required),
        }


class _Row:
    """Packs cells into a row until twelve columns are full."""

    def __init__(self) -> None:
        self.cells: list[Node] = []
        self.used = 0

    def put(self, cell: Node, span: int) -> Iterator[Node]:
        if self.used + span > 12:
            yield from self.flush()
        self.cells.append({**cell, "span": span})
        self.used += span

    def flush(self) -> Iterator[Node]:
        if self.cells:
            self.cells[-1]["span"] += 12 - self.used
            yield {"k": "row", "cells": self.cells}
        self.cells, self.used = [], 0


def _closed(blocks: Iterable[Node]) -> list[Node]:
    """Signature places together with the last lines above them, so that they are never alone on a page."""
    out: list[Node] = []
    for block in blocks:
        if block["k"] == "sign":
            block = {"k": "closing", "sign": block, **_taken(out)}
        out.append(block)
    return out


def _taken(above: list[Node]) -> Node:
    """Takes from the blocks above what stays with the signatures: up to three rows, and the block before these."""
    rows: list[Node] = []
    while above and above[-1]["k"] in ("row", "note") and len(rows) < _LAST_ROWS:
        rows.insert(0, above.pop())
    if not above or above[-1]["k"] not in ("long", "table", "frame"):
        return {"before": None, "rows": rows}
    before = above.pop()
    if before["k"] == "table" and len(before["rows"]) > _SHORT_TABLE:
        above.append({**before, "rows": before["rows"][:-_LAST_ROWS], "open": True})
        before = {**before, "rows": before["rows"][-_LAST_ROWS:], "label": None}
    return {"before": before, "rows": rows}


def _longest(columns: Sequence[Item], rows: Sequence[Sequence[Node]]) -> list[str]:
    """The longest word of each column, up to what a column can be made wide for."""
    out = []
    for n, column in enumerate(columns):
        words = [w for text in (column.label, *(row[n]["t"] for row in rows)) for w in text.split()]
        out.append(max((w for w in words if len(w) <= _WIDEST_WORD), key=len, default=""))
    return out


def _label(item: Item) -> str:
    return f"{item.number}. {item.label}" if item.number else item.label


def is_pair(item: Item) -> bool:
    """Whether a group is two numbers of one unit, written with a stroke between them."""
    units = {c.unit for c in item.children}
    return len(item.children) == 2 and len(units) == 1 and all(c.type == "quantity" for c in item.children)


def is_measures(item: Item) -> bool:
    """Whether a group holds nothing but measurements: it is one framed line."""
    return all(c.type in ("quantity", "decimal") or (c.type == "group" and is_pair(c)) for c in item.children)


def _squares(item: Item, value: Any, number: int) -> list[str]:
    """One character per square; dates as ddmmyyyy with empty squares for what is not known."""
    if item.type == "date":
        day = value if isinstance(value, str) and value[:4].isdigit() else ""
        year, month, date = [*day.split("-"), "", "", ""][:3]
        return [*date.rjust(2), *month.rjust(2), *year.rjust(4)]
    text = number_text(value) if isinstance(value, int) else str(value or "")
    if isinstance(value, int):
        return list(text.rjust(number))
    return list(text.ljust(number))


def _by_hand(item: Item) -> str:
    """What is printed where nothing is written, so that a hand knows what goes there."""
    if item.type == "datetime":
        return "…… : ……, …… / …… / ……" if "giờ" in item.label.lower() else "…… giờ …… ph ngày … / … / ……"
    return "… / … / ……" if item.type == "date" else ""


def _hour_first(text: str, *, short: bool = False) -> str:
    """``14/03/2026 08:05`` → ``08 giờ 05 ph ngày 14/03/2026`` as papers write it; short: ``08:05,
    14/03/2026``.
    """
    day, _, time = text.partition(" ")
    hour, _, minute = time.partition(":")
    if short and minute:
        return f"{time}, {day}"
    return f"{hour} giờ {minute} ph ngày {day}" if minute else text


def _signed_cell(entry: PrintedEntry) -> Node:
    if entry.signer is None:
        return {"t": ""}
    when = f"{local(entry.signed_at):%H:%M\n%d/%m/%Y}" if entry.signed_at else ""
    return {"t": entry.signer, "signed": when}
