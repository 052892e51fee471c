"""YAML file → ``Form``: includes resolved, schema checked, every fault reported with file and line.

A ``sections`` or ``items`` entry ``{include: common/x, omit: [...], override: {key: {...}}, insert:
[...]}`` is
replaced by the parts of that file, so that what the forms share is written once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import jsonschema_rs
import orjson

from benhan.base.errors import InvalidInput, Issue
from benhan.base.text import nfc
from benhan.forms.computed import FUNCTIONS
from benhan.forms.model import (
    Choice,
    Computed,
    Condition,
    Extract,
    Form,
    Item,
    Layout,
    PrintLayout,
    Range,
    Rule,
    Section,
    SignaturePlace,
)
from benhan.forms.vocabulary import CODE_LISTS, FACTS, RANGES, range_of
from benhan.forms.yaml_file import PathKey, YamlFile, fault, read_yaml

ROOM = Path(__file__).parent
DATA = ROOM / "data"

Place = tuple[YamlFile, PathKey]
#: key of the section under which a facility's additions to an official form stand
_ADDITIONS = "bo_sung_cua_co_so"


@lru_cache(maxsize=1)
def schema() -> dict[str, Any]:
    """The JSON Schema of the form language."""
    return cast(dict[str, Any], orjson.loads((ROOM / "form.schema.json").read_bytes()))


@lru_cache(maxsize=4)
def _validator(part: str) -> Any:
    whole = schema()
    if part == "form":
        return jsonschema_rs.validator_for(whole)
    return jsonschema_rs.validator_for({"$defs": whole["$defs"], "$ref": f"#/$defs/{part}"})


def load_form(path: Path, *, shared: Path = DATA) -> Form:
    """Read one form file; ``include`` names are looked up below ``shared`` and below the file's own folder.

    Raises: ``InvalidInput`` forms.bad-file whose issues are all the faults, each ``file:line: key: text``.
    """
    return _Reader(path, shared).form()


class _Reader:
    """Reads one form and gathers faults."""

    def __init__(self, path: Path, shared: Path) -> None:
        self.roots = (shared, path.parent)
        self.file = read_yaml(path)
        self.faults: list[Issue] = []
        self.seen: dict[str, Place] = {}
        self.references: list[tuple[tuple[str, ...], Place]] = []
        self.official_roles: set[str] = set()

    def fail(self, place: Place, text: str) -> None:
        self.faults.append(fault(place[0], place[1], text))

    def stop_on_faults(self) -> None:
        if self.faults:
            text = "Tệp biểu mẫu sai. " + " ".join(i.text for i in self.faults)
            raise InvalidInput("forms.bad-file", text, issues=self.faults)

    def matches(self, file: YamlFile, part: str) -> bool:
        before = len(self.faults)
        for error in _validator(part).iter_errors(file.data):
            self.fail((file, tuple(error.instance_path)), _plain(error.message))
        return len(self.faults) == before

    def form(self) -> Form:
        self.matches(self.file, "form")
        self.stop_on_faults()
        data = self.file.data
        official = self.official(data)
        sections = tuple(
            self.section(raw, file, at)
            for raw, file, at in self.expand(data["sections"], self.file, ("sections",))
        )
        signatures = [
            SignaturePlace(**raw)
            for raw, _, _ in self.expand(data.get("signatures", []), self.file, ("signatures",), "signatures")
        ]
        rules = tuple(
            self.rule(raw, file, at)
            for raw, file, at in self.expand(data.get("rules", []), self.file, ("rules",), "rules")
        )
        for names, place in self.references:
            if not any(name in self.seen for name in names):
                self.fail(place, f"không có mục '{names[0]}' trong biểu mẫu.")
        roles = {s.role for s in signatures} | self.official_roles
        for section in sections:
            for item in _every(section.items):
                if item.type == "signature" and item.role is not None and item.role not in roles:
                    self.fail(self.seen[item.link_id], f"chữ ký '{item.role}' không có trong 'signatures'.")
        self.stop_on_faults()
        made = Form(
            code=data["form"],
            title=nfc(data["title"]),
            title_en=data.get("title_en"),
            source=data["source"],
            valid_from=date.fromisoformat(data["valid_from"]),
            valid_to=date.fromisoformat(data["valid_to"]) if data.get("valid_to") else None,
            confidence=data.get("confidence", "high"),
            sections=sections,
            signatures=tuple(sorted(signatures, key=lambda s: s.order)),
            rules=rules,
            layout=PrintLayout(
                **{
                    **data.get("print", {}),
                    "fresh_pages": tuple(data.get("print", {}).get("fresh_pages", ())),
                }
            ),
            kind=data.get("kind", "form"),
            aliases=tuple(data.get("aliases", ())),
            edition=str(data.get("edition", data["valid_from"])),
            by=data.get("by"),
            unconfirmed=data.get("unconfirmed"),
        )
        return made if official is None else _added(official, made)

    def official(self, data: Mapping[str, Any]) -> Form | None:
        """The shipped form that this one ``extends``, in the edition of its first day; its keys are taken."""
        wanted, day = data.get("extends"), date.fromisoformat(data["valid_from"])
        if wanted is None:
            return None
        for path in sorted(DATA.glob(f"{wanted.replace('/', '-')}*.yaml")):
            form = load_form(path)
            if form.code == wanted and form.valid_from <= day <= (form.valid_to or date.max):
                for item in form.items():
                    self.seen[item.link_id] = (self.file, ("extends",))
                self.official_roles = {s.role for s in form.signatures}
                return form
        self.fail((self.file, ("extends",)), f"không có biểu mẫu '{wanted}' có hiệu lực ngày {day:%d/%m/%Y}.")
        self.stop_on_faults()
        return None

    def expand(
        self, entries: list[Any], file: YamlFile, at: PathKey, part: str = "sections"
    ) -> Iterator[tuple[dict[str, Any], YamlFile, PathKey]]:
        """The entries with includes replaced; each with the file and path it stands at."""
        for n, raw in enumerate(entries):
            here = (*at, n)
            if "include" not in raw:
                yield raw, file, here
                continue
            included = self.include(raw["include"], (file, here), part)
            if included is None:
                continue
            found = list(self.expand(included.data[part], included, (part,), part))
            yield from self.adjust(found, raw, (file, here), part)

    def include(self, name: str, place: Place, part: str) -> YamlFile | None:
        for root in self.roots:
            path = (root / f"{name}.yaml").resolve()
            if path.is_relative_to(root.resolve()) and path.is_file():
                file = read_yaml(path)
                if not self.matches(file, "shared"):
                    return None
                if part not in file.data:
                    self.fail(place, f"tệp '{name}' không có phần '{part}'.")
                    return None
                return file
        self.fail(place, f"không tìm thấy tệp dùng chung '{name}.yaml'.")
        return None

    def adjust(
        self,
        found: list[tuple[dict[str, Any], YamlFile, PathKey]],
        raw: dict[str, Any],
        place: Place,
        part: str,
    ) -> Iterator[tuple[dict[str, Any], YamlFile, PathKey]]:
        """Apply ``omit``, ``override`` and ``insert`` of an include to the parts it brought."""
        edits = _Edits(set(raw.get("omit", ())), dict(raw.get("override", {})), list(raw.get("insert", ())))
        for entry, file, at in found:
            changed = edits.apply(entry)
            if changed is not None:
                yield changed, file, at
        for key in edits.unused():
            self.fail(place, f"phần '{raw['include']}' không có mục '{key}' để sửa.")

    def section(self, raw: dict[str, Any], file: YamlFile, at: PathKey) -> Section:
        return Section(
            key=raw["key"],
            title=nfc(raw["title"]),
            title_en=raw.get("title_en"),
            number=_text(raw.get("number")),
            items=self.items(raw.get("items", []), file, (*at, "items")),
            area=raw.get("area", "body"),
            filled_by=raw.get("by"),
            level=raw.get("level", 1),
            hidden_title=raw.get("hidden_title", False),
            unconfirmed=raw.get("unconfirmed"),
        )

    def items(self, raws: list[Any], file: YamlFile, at: PathKey, prefix: str = "") -> tuple[Item, ...]:
        return tuple(self.item(raw, f, p, prefix) for raw, f, p in self.expand(raws, file, at, "items"))

    def item(self, raw: dict[str, Any], file: YamlFile, at: PathKey, prefix: str) -> Item:
        link_id = prefix + raw["key"]
        place: Place = (file, at)
        if link_id in self.seen:
            other, where = self.seen[link_id]
            self.fail(place, f"mục '{link_id}' đã có ở {other.path.name}:{other.line(where)}.")
        self.seen[link_id] = place
        kind = raw["type"]
        child_prefix = f"{link_id}." if kind == "table" or raw.get("nested") else prefix
        children = self.items(raw.get("columns", raw.get("items", [])), file, (*at, "items"), child_prefix)
        computed = self.computed(raw.get("computed"), place, prefix)
        if "of" in raw:
            self.references.append(((raw["of"], prefix + raw["of"]), place))
        return Item(
            link_id=link_id,
            type=kind,
            label=nfc(raw["label"]),
            label_en=raw.get("label_en"),
            name=raw.get("name"),
            number=_text(raw.get("number")),
            hint=raw.get("hint"),
            choices=_choices(raw.get("choices", ())),
            code_list=self.known(raw.get("list"), CODE_LISTS, place, "danh mục"),
            unit=raw.get("unit"),
            ucum=raw.get("ucum"),
            range=self.limits(raw.get("range"), place),
            pattern=raw.get("pattern"),
            pattern_text=raw.get("pattern_text"),
            max_length=raw.get("max_length"),
            repeats=raw.get("repeats", False),
            required_at=raw.get("required_at"),
            required_when=self.condition(raw.get("required_when"), place),
            enabled_when=self.condition(raw.get("enabled_when"), place),
            populate=self.known(raw.get("populate"), FACTS, place, "dữ kiện"),
            computed=computed,
            extract=Extract(**raw["extract"]) if "extract" in raw else None,
            layout=Layout(**raw.get("layout", {})),
            children=children,
            rows=tuple({k: str(v) for k, v in row.items()} for row in raw.get("rows", ())),
            min_rows=raw.get("min_rows", 0),
            role=raw.get("role"),
            confidence=raw.get("confidence", "high"),
            readonly=raw.get("readonly", computed is not None),
            options=tuple(nfc(o) for o in raw.get("options", ())),
            figure=raw.get("figure"),
            chart=raw.get("chart"),
            of=raw.get("of"),
            unconfirmed=raw.get("unconfirmed"),
        )

    def known(self, name: str | None, table: Mapping[str, Any], place: Place, what: str) -> str | None:
        if name is not None and name not in table:
            self.fail(place, f"không có {what} '{name}'; dùng một trong: {', '.join(sorted(table))}.")
        return name

    def condition(self, raw: dict[str, Any] | None, place: Place) -> Condition | None:
        if raw is None:
            return None
        self.references.append(((raw["item"],), place))
        equals = raw.get("equals", ())
        values = equals if isinstance(equals, list) else [equals] if equals != () else []
        return Condition(raw["item"], tuple(str(v) for v in values), raw.get("exists"))

    def computed(self, raw: dict[str, Any] | None, place: Place, prefix: str) -> Computed | None:
        if raw is None:
            return None
        if raw["function"] not in FUNCTIONS:
            self.fail(
                place, f"không có hàm '{raw['function']}'; dùng một trong: {', '.join(sorted(FUNCTIONS))}."
            )
        self.references.extend(((name, prefix + name), place) for name in raw["of"])
        return Computed(raw["function"], tuple(raw["of"]))

    def limits(self, raw: str | dict[str, Any] | None, place: Place) -> Range | None:
        if raw is None:
            return None
        if isinstance(raw, str):
            found: Range | None = RANGES.get(raw)
            if found is None:
                self.fail(place, f"không có khoảng '{raw}'; dùng một trong: {', '.join(sorted(RANGES))}.")
            return found
        return range_of(raw)

    def rule(self, raw: dict[str, Any], file: YamlFile, at: PathKey) -> Rule:
        self.references.extend(((name,), (file, at)) for name in raw["items"])
        return Rule(**{**raw, "items": tuple(raw["items"])})


def _added(official: Form, own: Form) -> Form:
    """The official form unchanged, and the facility's sections after it on a page of their own."""
    title = Section(key=_ADDITIONS, title="Phần bổ sung của cơ sở")
    sections = (*official.sections, title, *(replace(s, level=2) for s in own.sections))
    paper = official.layout
    layout = replace(
        paper, ms_label=paper.ms_label or official.code, fresh_pages=(*paper.fresh_pages, _ADDITIONS)
    )
    return replace(
        own,
        title=official.title,
        title_en=official.title_en,
        sections=sections,
        signatures=tuple(sorted((*official.signatures, *own.signatures), key=lambda s: s.order)),
        rules=(*official.rules, *own.rules),
        layout=layout,
        kind=official.kind,
        by=official.by,
        extends=f"{official.url}|{official.edition}",
        _index={},
    )


class _Edits:
    """What one include changes in the parts it brings in."""

    def __init__(self, omit: set[str], override: dict[str, Any], insert: list[dict[str, Any]]) -> None:
        self.omit, self.override, self.insert = omit, override, insert
        self.used: set[str] = set()

    def apply(self, entry: dict[str, Any]) -> dict[str, Any] | None:
        """The entry changed, or None when it, or all that it holds, is left out."""
        key = str(entry.get("key", entry.get("role", "")))
        if key in self.omit:
            self.used.add(key)
            return None
        out = dict(entry)
        if key in self.override:
            self.used.add(key)
            out.update(self.override[key])
        if "items" in out and all(isinstance(i, dict) for i in out["items"]):
            kept = list(self._children(out["items"]))
            if out["items"] and not kept:
                return None  # all its items are left out
            out["items"] = kept
        return out

    def _children(self, items: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        for item in items:
            changed = self.apply(item)
            if changed is not None:
                yield changed
            for insertion in self.insert:
                if insertion["after"] == item.get("key"):
                    self.used.add(insertion["after"])
                    yield from insertion["items"]

    def unused(self) -> list[str]:
        wanted = self.omit | set(self.override) | {i["after"] for i in self.insert}
        return sorted(wanted - self.used)


def _choices(raw: Mapping[str, Any] | tuple[()]) -> tuple[Choice, ...]:
    if not raw:
        return ()
    return tuple(
        Choice(code, nfc(v)) if isinstance(v, str) else Choice(code, nfc(v["label"]), v.get("en"))
        for code, v in raw.items()
    )


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _every(items: tuple[Item, ...]) -> Iterator[Item]:
    for item in items:
        yield item
        yield from _every(item.children)


def _plain(message: str) -> str:
    """The validator's English sentence, kept short."""
    return message if len(message) < 300 else message[:300] + "…"
