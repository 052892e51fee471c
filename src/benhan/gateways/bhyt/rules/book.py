"""Rules as data: what one is, how it is read and what makes it unreadable.

A rule file is YAML, ``rules:`` a list. Keys of a rule: ``id``; ``code`` (kind of fault); ``table`` (one or several);
``field`` (tag at fault; of several, the first that is filled) or ``place`` (a whole table); ``when`` (it applies),
``must`` (it is kept) or ``value`` (what the field must say, to a hundredth unless ``exact``), see
:mod:`.expression`; ``text`` (``{TAG}`` is what the line says); ``severity``; ``source``; ``confidence``; ``gates``;
``pass`` (roles that may let a fault through with a reason); ``from``, ``until`` (days of NGAY_RA); ``good`` and ``bad``
(one example each: tags of the line, or lines by table).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Any, Literal, cast

import yaml

from benhan.base.errors import InvalidInput
from benhan.gateways.bhyt.rules.expression import Program, translate
from benhan.gateways.bhyt.tables import tables

Severity = Literal["error", "warning"]
Gate = Literal["order", "discharge", "payment", "send"]
GATES: tuple[Gate, ...] = ("order", "discharge", "payment", "send")
_FILES = ("lines.yaml", "case.yaml", "totals.yaml", "papers.yaml")
_KEYS = frozenset({
    "id", "code", "table", "field", "place", "when", "must", "value", "exact", "text", "severity", "source",
    "confidence", "gates", "pass", "from", "until", "good", "bad",
})  # fmt: skip
_NEEDED = ("id", "code", "table", "source", "good", "bad")
Example = Mapping[str, Sequence[Mapping[str, str]]]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule; ``condition`` and ``applies`` are its translated expressions."""

    id: str
    code: str
    tables: tuple[str, ...]
    fields: tuple[str, ...]
    place: str
    text: str
    severity: Severity
    source: str
    confidence: str
    gates: tuple[Gate, ...]
    may_pass: tuple[str, ...]
    first: date
    last: date
    good: Example
    bad: Example
    when: str
    must: str
    value: str
    exact: bool
    applies: Program | None = field(compare=False, repr=False)
    condition: Program | None = field(compare=False, repr=False)
    expected: Program | None = field(compare=False, repr=False)

    def holds_on(self, day: date) -> bool:
        """Whether it is in force for a đợt that ended on that day."""
        return self.first <= day <= self.last


def read_rules(text: str, origin: str) -> tuple[Rule, ...]:
    """Rules of one YAML text.

    Raises: ``InvalidInput`` bhyt.rule-file, which says what is wrong with which rule.
    """
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InvalidInput("bhyt.rule-file", f"{origin}: không phải YAML đúng ({error}).") from None
    entries = data.get("rules") if isinstance(data, dict) else None
    if not isinstance(entries, list):
        raise InvalidInput("bhyt.rule-file", f"{origin}: phải có danh sách “rules”.")
    found = tuple(_rule(entry, origin) for entry in entries)
    twice = {r.id for r in found if sum(o.id == r.id for o in found) > 1}
    if twice:
        raise InvalidInput("bhyt.rule-file", f"{origin}: mã luật có hai lần: {', '.join(sorted(twice))}.")
    return found


@cache
def shipped_rules() -> tuple[Rule, ...]:
    """The rules that come with the program."""
    folder = files("benhan.gateways.bhyt") / "data" / "rules"
    return tuple(
        rule for name in _FILES for rule in read_rules((folder / name).read_text(encoding="utf-8"), name)
    )


def _rule(entry: Any, origin: str) -> Rule:
    name = entry.get("id", "?") if isinstance(entry, dict) else "?"

    def wrong(why: str) -> InvalidInput:
        return InvalidInput("bhyt.rule-file", f"{origin}, luật {name}: {why}.")

    if not isinstance(entry, dict):
        raise wrong("phải là một mục có tên")
    unknown, missing = sorted(entry.keys() - _KEYS), [k for k in _NEEDED if k not in entry]
    if unknown or missing:
        raise wrong(f"mục lạ {unknown}" if unknown else f"thiếu {missing}")
    if ("must" in entry) == ("value" in entry):
        raise wrong("phải có đúng một trong must và value")
    names = _many(entry["table"])
    known = tables()
    for table in names:
        if table not in known:
            raise wrong(f"không có bảng {table}")
    fields = _many(entry.get("field", ()))
    if bool(fields) == bool(entry.get("place")):
        raise wrong("phải có đúng một trong field và place")
    try:
        when, must, value = (str(entry.get(k, "")) for k in ("when", "must", "value"))
        programs = [translate(text) if text else None for text in (when, must, value)]
    except InvalidInput as error:
        raise wrong(error.text.rstrip(".")) from None
    used = set(fields).union(*(p[1] for p in programs if p is not None))
    for table in names:
        strange = used - set(known[table].names())
        if strange:
            raise wrong(f"bảng {table} không có thẻ {', '.join(sorted(strange))}")
    severity, gates = entry.get("severity", "error"), tuple(_many(entry.get("gates", "send")))
    if severity not in ("error", "warning") or not set(gates) <= set(GATES):
        raise wrong("severity là error hoặc warning; gates chọn trong order, discharge, payment, send")
    return Rule(
        id=str(name),
        code=str(entry["code"]),
        tables=names,
        fields=fields,
        place=str(entry.get("place", "")),
        text=str(entry.get("text", "")),
        severity=severity,
        source=str(entry["source"]),
        confidence=str(entry.get("confidence", "high")),
        gates=cast(tuple[Gate, ...], gates),
        may_pass=tuple(_many(entry.get("pass", "bhyt"))),
        first=entry.get("from") or date.min,
        last=entry.get("until") or date.max,
        good=_example(entry["good"], names[0]),
        bad=_example(entry["bad"], names[0]),
        when=when,
        must=must,
        value=value,
        exact=bool(entry.get("exact", False)),
        applies=programs[0][0] if programs[0] else None,
        condition=programs[1][0] if programs[1] else None,
        expected=programs[2][0] if programs[2] else None,
    )


def _many(value: Any) -> tuple[str, ...]:
    return tuple(str(v) for v in value) if isinstance(value, list | tuple) else (str(value),)


def _example(value: Any, table: str) -> Example:
    """Lines by table; the short form is one line of the first table, with XML1 under ``head``."""
    if isinstance(value, dict) and value and all(k.startswith("XML") for k in value):
        return {name: tuple(dict(line) for line in lines) for name, lines in value.items()}
    line = {k: str(v) for k, v in dict(value).items() if k != "head"}
    lines = {table: (line,)}
    if value.get("head"):
        lines["XML1"] = ({k: str(v) for k, v in value["head"].items()},)
    return lines
