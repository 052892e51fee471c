"""The language of a rule's condition: one expression in a small, closed part of Python's grammar.

Names in capitals are tags of the line that is judged; ``head.TAG`` is XML1; ``XML0`` … ``XML15`` are the lines of a
table (``any(l.MA_NHOM == '10' for l in XML3)``). A tag's value: text (``''`` when empty), ``Decimal`` or ``datetime``
(None when empty or unreadable). Everything else that may be named is in :data:`FUNCTIONS`. There are no attributes but
tags, no subscripts, no assignment, no import, no call of anything else: an expression cannot reach the program.

An expression that meets an empty value in a comparison or sum has no answer (:data:`UNANSWERED`): structure rules say what
is missing, and one fault is not told twice.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

from benhan.base.errors import InvalidInput
from benhan.gateways.bhyt.money import round2
from benhan.gateways.bhyt.values import moment

_TAG = re.compile(r"[A-Z][A-Z0-9_]*")
_TABLE = re.compile(r"XML(\d|1[0-5])")
_LONGEST = 2000
#: what a program raises when it meets an empty value: it has no answer
UNANSWERED: Final = (TypeError, ArithmeticError, AttributeError, ValueError)
Program = Callable[[Mapping[str, Any], Mapping[str, Any], Mapping[str, Any]], Any]

_GRAMMAR = (
    ast.Expression, ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.USub, ast.BinOp, ast.Add, ast.Sub, ast.Mult,
    ast.Div, ast.Compare, ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.In, ast.NotIn, ast.IfExp, ast.Call,
    ast.Constant, ast.Name, ast.Load, ast.Store, ast.Attribute, ast.Tuple, ast.GeneratorExp, ast.comprehension,
)  # fmt: skip


def _filled(value: Any) -> bool:
    return value is not None and (type(value) is not str or value != "")


def _empty(value: Any) -> bool:
    return value is None or (type(value) is str and not value)


def _parts(value: str) -> tuple[str, ...]:
    """The values of a tag that holds several."""
    return tuple(part.strip() for part in value.split(";") if part.strip())


def _slots(value: str) -> int:
    """How many places a tag with several values has, empty ones included; 0 when the tag is empty."""
    return value.count(";") + 1 if value else 0


def _day(value: datetime) -> datetime:
    """Midnight of the day."""
    return value.replace(hour=0, minute=0)


def _days(first: datetime, last: datetime) -> int:
    """Calendar days from one to the other."""
    return (_day(last) - _day(first)).days


def _hours(first: datetime, last: datetime) -> Decimal:
    return Decimal(int((last - first).total_seconds())) / 3600


def _years(born: datetime, on: datetime) -> int:
    """Full years of age."""
    return on.year - born.year - ((on.month, on.day) < (born.month, born.day))


def _total(values: Iterable[Any]) -> Decimal:
    """Sum in which an empty value counts as nothing."""
    return sum((v for v in values if v is not None), Decimal(0))


def _number(value: Any) -> Decimal:
    """A number, 0 when empty."""
    if type(value) is Decimal:  # the usual case; comparing a Decimal with a text is slow
        return value
    return Decimal(value) if value else Decimal(0)


@lru_cache(maxsize=512)
def _pattern(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def _matches(value: str, pattern: str) -> bool:
    return _pattern(pattern).fullmatch(value) is not None


def _distinct(values: Iterable[Any]) -> bool:
    seen = list(values)
    return len(seen) == len(set(seen))


FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = {
    "filled": _filled, "empty": _empty, "parts": _parts, "slots": _slots, "day": _day, "days": _days, "hours": _hours,
    "years": _years, "total": _total, "number": _number, "matches": _matches, "distinct": _distinct,
    "round2": round2, "any": any, "all": all, "len": len, "min": min, "max": max, "abs": abs,
    "count": lambda values: sum(1 for _ in values),
    "duration": lambda n: timedelta(days=int(n)), "startswith": lambda text, start: text.startswith(start),
    "endswith": lambda text, end: text.endswith(end), "chars": lambda text, first, last: text[int(first):int(last)],
    "upper": lambda text: text.upper(), "date_of": moment,
}  # fmt: skip
#: functions that ask the catalogues: given by the caller of :func:`evaluate`
ASKED: Final = frozenset({
    "listed", "setting", "icd_known", "icd_main", "icd_sex", "icd_age",
    "icd_in_force", "share", "covered", "times", "package_facility",
})  # fmt: skip

_TAKEN = frozenset({"line", "head", "case", *FUNCTIONS, *ASKED})


class _Rewrite(ast.NodeTransformer):
    """Names to look-ups: tags of the line, of XML1, of a bound line, tables; everything else is refused."""

    def __init__(self) -> None:
        self.bound: list[str] = []
        self.tags: set[str] = set()

    def generic_visit(self, node: ast.AST) -> ast.AST:
        if not isinstance(node, _GRAMMAR):
            raise _Fault(f"“{type(node).__name__}” không dùng được trong điều kiện")
        return super().generic_visit(node)

    def visit_GeneratorExp(self, node: ast.GeneratorExp) -> ast.AST:
        names = [g.target.id for g in node.generators if isinstance(g.target, ast.Name)]
        if len(names) != len(node.generators) or any(_TAG.fullmatch(n) or n in _TAKEN for n in names):
            raise _Fault("tên dòng trong “for … in …” phải là một chữ thường")
        first = node.generators[0]
        first.iter = self.visit(first.iter)
        self.bound += names
        for position, generator in enumerate(node.generators):
            generator.iter = generator.iter if position == 0 else self.visit(generator.iter)
            generator.ifs = [self.visit(test) for test in generator.ifs]
        node.elt = self.visit(node.elt)
        del self.bound[-len(names) :]
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        owner = node.value
        if not isinstance(owner, ast.Name) or not _TAG.fullmatch(node.attr):
            raise _Fault("dấu chấm chỉ đứng giữa tên dòng và tên thẻ")
        if owner.id != "head" and owner.id not in self.bound:
            raise _Fault(f"không có dòng tên “{owner.id}”")
        return _item(owner.id, node.attr)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id in self.bound or node.id in ("True", "False"):
            return node
        if _TABLE.fullmatch(node.id):
            return _item("case", node.id)
        if _TAG.fullmatch(node.id):
            self.tags.add(node.id)
            return _item("line", node.id)
        raise _Fault(f"không biết tên “{node.id}”")

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if not isinstance(node.func, ast.Name) or node.keywords:
            raise _Fault("chỉ gọi được các hàm đã kể")
        if node.func.id in ASKED:
            node.func = ast.Subscript(ast.Name("case", ast.Load()), ast.Constant(node.func.id), ast.Load())
        elif node.func.id not in FUNCTIONS:
            raise _Fault(f"không có hàm “{node.func.id}”")
        node.args = [self.visit(a) for a in node.args]
        return node

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if isinstance(node.value, str | int):
            return node
        if isinstance(node.value, float):  # money is exact
            return ast.Call(ast.Name("number", ast.Load()), [ast.Constant(repr(node.value))], [])
        raise _Fault("hằng chỉ là chữ hoặc số")


class _Fault(ValueError):
    """Why an expression is refused, for the one who writes it."""


def _item(owner: str, key: str) -> ast.Subscript:
    return ast.Subscript(ast.Name(owner, ast.Load()), ast.Constant(key), ast.Load())


@lru_cache(maxsize=4096)
def translate(text: str) -> tuple[Program, frozenset[str]]:
    """The program of an expression, and the tags of the judged line that it reads.

    Raises: ``InvalidInput`` bhyt.rule-expression.
    """
    try:
        if len(text) > _LONGEST:
            raise _Fault("điều kiện quá dài")
        tree = ast.parse(text.strip(), mode="eval")
        rewrite = _Rewrite()
        body = rewrite.visit(tree.body)
    except (SyntaxError, _Fault, RecursionError, ValueError) as error:
        why = error.msg if isinstance(error, SyntaxError) else str(error)
        raise InvalidInput("bhyt.rule-expression", f"Điều kiện “{text}” sai: {why}.") from error
    names = [ast.arg(n) for n in ("line", "head", "case")]
    empty = ast.arguments(posonlyargs=[], args=names, kwonlyargs=[], kw_defaults=[], defaults=[])
    whole = ast.fix_missing_locations(ast.Expression(ast.Lambda(empty, body)))
    program = eval(compile(whole, "<rule>", "eval"), {"__builtins__": {}, **FUNCTIONS})  # noqa: S307 - closed grammar
    return program, frozenset(rewrite.tags)
