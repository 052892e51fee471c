"""A ViewDefinition read, checked and compiled (SQL on FHIR v2, "ViewDefinition" and its processing algorithm)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import product
from typing import Any

from benhan.base.errors import InvalidInput, Issue
from benhan.base.json_door import JsonObject
from benhan.fhir import RESOURCE_TYPES, PathSyntaxError, ViewConstant, ViewPath, view_path, view_root

Row = list[Any]
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_ITERATIONS = ("forEach", "forEachOrNull", "repeat")
_KINDS = {
    "boolean": "Boolean", "integer": "Integer", "positiveInt": "Integer", "unsignedInt": "Integer", "decimal": "Decimal",
    "date": "Date", "dateTime": "DateTime", "instant": "DateTime", "time": "Time",
}  # fmt: skip
_MAX_DEPTH = 40


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its FHIR type ("" when the view names none), and whether it holds a list."""

    name: str
    type: str
    collection: bool


@dataclass(frozen=True)
class View:
    """A compiled view; ``resource`` is the type it is over."""

    name: str
    resource: str
    columns: tuple[Column, ...]
    where: tuple[ViewPath, ...]
    select: _Select

    def rows(self, resource: JsonObject) -> list[Row]:
        """Rows of one resource, none when it is of another type or a ``where`` says no.

        Raises: ``InvalidInput`` (view.not-boolean, view.many-values).
        """
        if resource.get("resourceType") != self.resource:
            return []
        root = view_root(resource)
        for condition in self.where:
            found = condition(resource, root, 0)
            if found and (len(found) > 1 or not isinstance(found[0][1], bool)):
                raise InvalidInput("view.not-boolean", "Điều kiện where phải cho giá trị đúng hoặc sai.")
            if not found or not found[0][1]:
                return []
        return self.select.rows(resource, root, 0)


@dataclass(frozen=True)
class _Select:
    """One ``select``: where it looks, its own columns, what it contains."""

    columns: tuple[tuple[Column, ViewPath], ...]
    nested: tuple[_Select, ...]
    union: tuple[_Select, ...]
    each: ViewPath | None
    or_null: bool
    repeat: tuple[ViewPath, ...]

    def names(self) -> list[Column]:
        """Columns in order: own, of nested selects, of the union."""
        inner = [c for s in self.nested for c in s.names()]
        return [c for c, _ in self.columns] + inner + (self.union[0].names() if self.union else [])

    def rows(self, resource: JsonObject, node: Any, place: int) -> list[Row]:
        """Rows below one element (None: the row of nulls of ``forEachOrNull``)."""
        out: list[Row] = []
        for focus, at in self._foci(resource, node, place):
            parts = [[[_value(c, path(resource, focus, at)) for c, path in self.columns]]]
            parts += [s.rows(resource, focus, at) for s in self.nested]
            if self.union:
                parts.append([row for s in self.union for row in s.rows(resource, focus, at)])
            out += [[v for part in row for v in part] for row in product(*parts)]
        return out

    def _foci(self, resource: JsonObject, node: Any, place: int) -> list[tuple[Any, int]]:
        if self.repeat:
            return [(found, n) for n, found in enumerate(self._below(resource, node, 0))]
        if self.each is None:
            return [(node, place)]
        found = list(enumerate(self.each(resource, node, place)))
        return [(n, at) for at, n in found] or ([(None, 0)] if self.or_null else [])

    def _below(self, resource: JsonObject, node: Any, depth: int) -> list[Any]:
        if depth > _MAX_DEPTH:
            raise InvalidInput("view.too-deep", "Phần repeat của khung nhìn lặp quá sâu.")
        out = []
        for path in self.repeat:
            for found in path(resource, node, 0):
                out += [found, *self._below(resource, found, depth + 1)]
        return out


def _value(column: Column, nodes: list[Any]) -> Any:
    values = [n[1] for n in nodes if n[1] is not None]
    if column.collection:
        return values
    if len(values) > 1:
        raise InvalidInput(
            "view.many-values", f"Cột {column.name} có nhiều giá trị; hãy đặt collection hoặc dùng forEach."
        )
    return values[0] if values else None


def read_view(definition: JsonObject) -> View:
    """Compile a ViewDefinition. Raises: ``InvalidInput`` (view.invalid) with every fault and its place."""
    reader = _Reader()
    resource = definition.get("resource")
    if resource not in RESOURCE_TYPES:
        reader.fault("resource", "Thiếu loại tài nguyên hoặc loại không có trong FHIR R4.")
    if not isinstance(definition.get("name", ""), str):
        reader.fault("name", "Tên của khung nhìn phải là chuỗi.")
    reader.read_constants(definition.get("constant"))
    where = reader.each(definition, "where", "", lambda w, at: reader.path(w.get("path"), f"{at}.path"))
    selects = reader.each(definition, "select", "", reader.select)
    if not selects:
        reader.fault("select", "Khung nhìn cần ít nhất một select.")
    select = _Select((), tuple(selects), (), None, False, ())
    columns = select.names()
    for name in sorted({c.name for c in columns if sum(c.name == d.name for d in columns) > 1}):
        reader.fault("select", f"Cột {name} xuất hiện hai lần.")
    if reader.faults:
        raise InvalidInput("view.invalid", "Khung nhìn (ViewDefinition) có lỗi.", issues=reader.faults)
    return View(definition.get("name") or "view", str(resource), tuple(columns), tuple(where), select)


class _Reader:
    """Reads the parts of a definition and gathers what is wrong."""

    def __init__(self) -> None:
        self.faults: list[Issue] = []
        self.constants: dict[str, ViewConstant] = {}

    def fault(self, place: str, text: str, diagnostics: str | None = None) -> None:
        self.faults.append(
            Issue(
                code="view.invalid", text=text, expression=f"ViewDefinition.{place}", diagnostics=diagnostics
            )
        )

    def each(
        self, holder: JsonObject, key: str, at: str, read: Callable[[JsonObject, str], Any]
    ) -> list[Any]:
        """What ``read`` makes of every object in a list."""
        given = holder.get(key) or []
        if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
            self.fault(f"{at}{key}", "Phải là một danh sách đối tượng.")
            return []
        return [read(one, f"{at}{key}[{n}]") for n, one in enumerate(given)]

    def path(self, text: Any, at: str) -> ViewPath:
        try:
            if not isinstance(text, str) or not text.strip():
                raise PathSyntaxError("missing")
            return view_path(text, self.constants)
        except (PathSyntaxError, ValueError, KeyError, IndexError) as error:
            self.fault(at, "Biểu thức FHIRPath không đọc được hoặc chưa hỗ trợ.", str(error))
            return _nothing

    def read_constants(self, given: Any) -> None:
        self.each({"constant": given}, "constant", "", self._constant)

    def _constant(self, given: JsonObject, at: str) -> None:
        name = given.get("name")
        values = [(k, v) for k, v in given.items() if k.startswith("value")]
        if not isinstance(name, str) or not _NAME.fullmatch(name) or len(values) != 1:
            self.fault(at, "Hằng cần tên và đúng một giá trị.")
            return
        key, value = values[0]
        kind = key[5:6].lower() + key[6:]
        if not isinstance(value, str | bool | int | Decimal):
            self.fault(at, "Giá trị của hằng phải là kiểu đơn.")
            return
        self.constants[name] = (_KINDS.get(kind, "String"), value)

    def select(self, given: JsonObject, at: str) -> _Select:
        used = [k for k in _ITERATIONS if given.get(k)]
        if len(used) > 1:
            self.fault(at, "Chỉ được dùng một trong forEach, forEachOrNull, repeat.")
        columns = self.each(given, "column", f"{at}.", self._column)
        nested = self.each(given, "select", f"{at}.", self.select)
        union = self.each(given, "unionAll", f"{at}.", self.select)
        shapes = {tuple((c.name, c.collection) for c in s.names()) for s in union}
        if len(shapes) > 1:
            self.fault(f"{at}.unionAll", "Mọi nhánh của unionAll phải có cùng các cột, cùng thứ tự.")
        each = given.get("forEach") or given.get("forEachOrNull")
        repeat = given.get("repeat") or []
        if not isinstance(repeat, list):
            self.fault(f"{at}.repeat", "Phải là một danh sách biểu thức.")
            repeat = []
        return _Select(
            tuple(columns), tuple(nested), tuple(union), self.path(each, f"{at}.forEach") if each else None,
            bool(given.get("forEachOrNull")), tuple(self.path(p, f"{at}.repeat") for p in repeat),
        )  # fmt: skip

    def _column(self, given: JsonObject, at: str) -> tuple[Column, ViewPath]:
        name = given.get("name")
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            self.fault(f"{at}.name", "Tên cột chỉ gồm chữ, số, gạch dưới và bắt đầu bằng chữ.")
        column = Column(str(name), str(given.get("type") or ""), given.get("collection") is True)
        return column, self.path(given.get("path"), f"{at}.path")


def _nothing(resource: Mapping[str, Any], node: Any, place: int) -> list[Any]:
    return []
