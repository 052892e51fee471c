"""FHIRPath text → syntax tree. Implements the grammar of FHIRPath 2.0 as far as FHIR R4 definitions use it.

A tree node is a tuple whose first item names it::

    ("this",) ("var", name) ("literal", type, value) ("name", identifier) ("dot", left, right)
    ("index", left, index) ("call", name, [arguments]) ("type", name) ("unary", sign, x) ("empty",)
    ("is"|"as", x, typename) (operator, left, right)
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

Tree = tuple[Any, ...]

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<date>@[0-9TZ:.+-]+)
    | (?P<number>[0-9]+(?:\.[0-9]+)?)
    | (?P<string>'(?:[^'\\]|\\.)*')
    | (?P<quoted>`[^`]*`|"[^"]*")
    | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<var>[$%](?:[A-Za-z_][A-Za-z0-9_-]*|`[^`]*`|'[^']*'|"[^"]*"))
    | (?P<sign><=|>=|!=|!~|[-+*/&|<>=~.,()\[\]{}])
    )""",
    re.VERBOSE,
)
_LEVELS: tuple[frozenset[str], ...] = (
    frozenset({"implies"}),
    frozenset({"or", "xor"}),
    frozenset({"and"}),
    frozenset({"in", "contains"}),
    frozenset({"=", "~", "!=", "!~"}),
    frozenset({"<", ">", "<=", ">="}),
    frozenset({"|"}),
    frozenset({"is", "as"}),
    frozenset({"+", "-", "&"}),
    frozenset({"*", "/", "div", "mod"}),
)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "f": "\f"}


class PathSyntaxError(ValueError):
    """The expression is not FHIRPath, or uses what is not implemented."""


def parse(text: str) -> Tree:
    """Read one expression; raises :class:`PathSyntaxError`."""
    parser = _Parser(_tokens(text))
    tree = parser.expression(0)
    if parser.peek() is not None:
        raise PathSyntaxError(f"unexpected {parser.peek()!r} in {text!r}")
    return tree


def _tokens(text: str) -> list[tuple[str, str]]:
    out: list[tuple[str, str]] = []
    place = 0
    text = text.rstrip()
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None or match.lastgroup is None:
            raise PathSyntaxError(f"cannot read {text[place : place + 20]!r}")
        out.append((match.lastgroup, match.group(match.lastgroup)))
        place = match.end()
    return out


def _unquote(text: str) -> str:
    def one(match: re.Match[str]) -> str:
        char = match.group(1)
        if char[0] == "u":
            return chr(int(char[1:], 16))
        return _ESCAPES.get(char, char)

    return re.sub(r"\\(u[0-9A-Fa-f]{4}|.)", one, text[1:-1])


class _Parser:
    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self._tokens = tokens
        self._at = 0

    def peek(self) -> str | None:
        return self._tokens[self._at][1] if self._at < len(self._tokens) else None

    def _kind(self) -> str | None:
        return self._tokens[self._at][0] if self._at < len(self._tokens) else None

    def _next(self) -> tuple[str, str]:
        if self._at >= len(self._tokens):
            raise PathSyntaxError("expression ends too early")
        self._at += 1
        return self._tokens[self._at - 1]

    def _expect(self, text: str) -> None:
        if self._next()[1] != text:
            raise PathSyntaxError(f"expected {text!r}")

    def expression(self, level: int) -> Tree:
        if level == len(_LEVELS):
            return self._unary()
        left = self.expression(level + 1)
        while self.peek() in _LEVELS[level] and self._kind() in ("sign", "name"):
            operator = self._next()[1]
            if operator in ("is", "as"):
                left = (operator, left, self._type_name())
            else:
                left = (operator, left, self.expression(level + 1))
        return left

    def _unary(self) -> Tree:
        if self._kind() == "sign" and self.peek() in ("-", "+"):
            return ("unary", self._next()[1], self._unary())
        return self._postfix()

    def _postfix(self) -> Tree:
        left = self._primary()
        while self._kind() == "sign" and self.peek() in (".", "["):
            if self._next()[1] == ".":
                left = ("dot", left, self._invocation())
            else:
                left = ("index", left, self.expression(0))
                self._expect("]")
        return left

    def _type_name(self) -> str:
        name = self._next()[1].strip('`"')
        while self.peek() == ".":
            self._next()
            name = self._next()[1].strip('`"')
        return name

    def _primary(self) -> Tree:
        kind = self._kind()
        if kind in ("name", "quoted") or (kind == "var" and self.peek() in ("$this", "$index", "$total")):
            return self._invocation()
        kind, text = self._next()
        if kind == "var":
            return ("var", text[1:].strip("`'\""))
        if kind == "string":
            return ("literal", "String", _unquote(text))
        if kind == "number":
            return self._number(text)
        if kind == "date":
            return self._date(text[1:])
        if text == "(":
            inner = self.expression(0)
            self._expect(")")
            return inner
        if text == "{":
            self._expect("}")
            return ("empty",)
        raise PathSyntaxError(f"unexpected {text!r}")

    def _number(self, text: str) -> Tree:
        if self._kind() == "string":
            return ("literal", "Quantity", (Decimal(text), _unquote(self._next()[1])))
        if "." in text:
            return ("literal", "Decimal", Decimal(text))
        return ("literal", "Integer", int(text))

    def _date(self, text: str) -> Tree:
        if text.startswith("T"):
            return ("literal", "Time", text[1:])
        return ("literal", "DateTime" if "T" in text else "Date", text.rstrip("T"))

    def _invocation(self) -> Tree:
        kind, text = self._next()
        if kind == "var":
            return ("this",) if text == "$this" else ("var", text)
        if kind == "quoted":
            return ("name", text[1:-1])
        if kind != "name":
            raise PathSyntaxError(f"unexpected {text!r}")
        if self.peek() != "(" or self._kind() != "sign":
            if text in ("true", "false"):
                return ("literal", "Boolean", text == "true")
            return ("name", text)
        self._next()
        if text in ("is", "as", "ofType"):
            argument: list[Any] = [self._type_name()]
            self._expect(")")
            return ("call", text, argument)
        arguments: list[Any] = []
        while self.peek() != ")":
            arguments.append(self.expression(0))
            if self.peek() == ",":
                self._next()
        self._expect(")")
        return ("call", text, arguments)
