"""The reference tables of the forms, parsed from their Markdown: which fields the law's paper has.

Tolerant of what people write: a table with a ``key`` column gives one entry for each key (``tl_*`` stands for
the right and the left eye, ``x_{a, b}`` for two); a table without gives one entry for each phrase between
semicolons and commas. Rows and headings that name another form of the same file are passed over.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from benhan.base.text import fold

FOLDER = Path(__file__).parent / "data" / "reference"
_SKIPPED_HEADS = {"kieu", "muc", "ma", "ghi chu", "m", "truc", "", "kieu o ma", "o ma", "xml7", "xml13"}
_LABEL_HEADS = (
    "cot",
    "truong",
    "nhan",
    "noi dung",
    "noi dung rieng",
    "phan rieng",
    "o chon",
    "o chon multi select",
)


@dataclass(frozen=True, slots=True)
class Row:
    """A row of ``forms.csv``."""

    code: str
    kind: str
    title: str
    title_en: str
    group: str
    confidence: str

    @property
    def slug(self) -> str:
        """Code as in file names."""
        return self.code.replace("/", "-")

    @property
    def superseded(self) -> bool:
        """Whether the list says that the form is out of force or is guidance, not a form."""
        return "EXPIRED" in self.title_en or "not a form" in self.title_en


@dataclass(frozen=True, slots=True)
class Entry:
    """One field of the reference: the file, the line, its key where the table has keys, its label."""

    source: str
    line: int
    key: str | None
    label: str

    @property
    def uid(self) -> str:
        """Name of the entry, the same as long as its wording is."""
        return f"{self.source}:{self.key or fold(self.label)}"


def rows() -> list[Row]:
    """Every row of the list of forms."""
    with (FOLDER / "forms.csv").open(encoding="utf-8", newline="") as file:
        return [
            Row(r["code"], r["kind"], r["title_vi"], r["title_en"], r["group"], r["confidence"])
            for r in csv.DictReader(file)
        ]


@lru_cache(maxsize=1)
def sources() -> Mapping[str, str]:
    """Code of a form → name of the file with its fields."""
    out: dict[str, str] = {}
    for path in sorted((FOLDER / "forms").glob("*.md")):
        for code in _codes(path.stem, path.read_text(encoding="utf-8").splitlines()[0]):
            out[code] = path.name
    return out


def _codes(stem: str, heading: str) -> Iterator[str]:
    """Codes that a file is about, from its name and its heading (``08–11/BV2`` is a range)."""
    match = re.match(r"^((?:\d\d-)+)(BV\d)$", stem)
    if match is None:
        if not stem.startswith("00-"):
            parts = stem.split("-")
            yield stem if stem.startswith("LEGACY") else f"{parts[0]}/{'-'.join(parts[1:])}"
        return
    numbers = [int(n) for n in match[1].split("-") if n]
    if len(numbers) == 2 and re.match(rf"^# {numbers[0]:02d}\s*–\s*{numbers[1]:02d}/", heading):
        numbers = list(range(numbers[0], numbers[1] + 1))
    yield from (f"{n:02d}/{match[2]}" for n in numbers)


def text_of(name: str) -> str:
    """Text of one reference file."""
    return (FOLDER / "forms" / name).read_text(encoding="utf-8")


def entries(code: str, text: str | None = None) -> list[Entry]:
    """Fields of one form in its own reference file (``text`` instead of the file's, for a test)."""
    name = sources()[code]
    seen: dict[str, Entry] = {}
    whole = text_of(name) if text is None else text
    for entry in list(_Parser(name, code).read(whole)) or _Parser(name, code).prose(whole):
        seen.setdefault(entry.uid, entry)
    return list(seen.values())


def related(code: str) -> list[str]:
    """Other reference files that the form's own one points to, and theirs (``Cover as `10-BV1.md```)."""
    found: list[str] = []
    waiting = [sources()[code]]
    while waiting:
        name = waiting.pop()
        text = text_of(name)
        named = re.findall(r"`?((?:\d\d-)+(?:BV\d|common|mat-common))(?:\.md)", text)
        named += [f"{m}" for m in re.findall(r"(?:as|như|theo) (\d\d)/BV1", text)]
        for other in (f"{n}-BV1.md" if len(n) == 2 else f"{n}.md" for n in named):
            if other not in found and other != sources()[code] and (FOLDER / "forms" / other).is_file():
                found.append(other)
                waiting.append(other)
    return found


class _Parser:
    """Reads one file for one form."""

    def __init__(self, name: str, code: str) -> None:
        self.name, self.code = name, code
        self.number = code[:2] if code[:2].isdigit() else ""
        self.several = len([c for c, n in sources().items() if n == name]) > 1
        self.mode: Literal["key", "phrase", "off"] = "off"
        self.key_at = self.label_at = 0
        self.ours = True

    def read(self, text: str) -> Iterator[Entry]:
        table = False
        for number, line in enumerate(text.splitlines(), start=1):
            if line.startswith("#"):
                self.heading(line)
            elif line.startswith("|"):
                cells = [c.strip() for c in line.strip().strip("|").split("|")]
                if not table:
                    self.columns(cells)
                elif not set(line) <= set("|-: ") and self.ours:
                    yield from self.row(cells, number)
                table = True
                continue
            elif line.startswith(("Header:", "Blocks:")) and self.ours:
                for label in phrases(line.partition(":")[2]):
                    yield Entry(self.name, number, None, label)
            table = False

    def prose(self, text: str) -> Iterator[Entry]:
        """Entries of a form that its file describes in sentences only."""
        for number, line in enumerate(text.splitlines(), start=1):
            if line.startswith("#"):
                self.heading(line)
            elif self.ours and not line.startswith(("|", "Confidence", "Cover")):
                for label in phrases(line):
                    if len(label) < 60:
                        yield Entry(self.name, number, None, label)

    def heading(self, line: str) -> None:
        named = re.findall(r"\b(\d\d)/BV\d", line)
        if line.startswith("##"):
            self.ours = not named or self.number in named or self.number == ""

    def columns(self, cells: list[str]) -> None:
        heads = [fold(re.sub(r"\(.*?\)", "", c)) for c in cells]
        if "key" in heads:
            self.mode, self.key_at = "key", heads.index("key")
            self.label_at = heads.index("nhan") if "nhan" in heads else self.key_at
            return
        at = next((heads.index(h) for h in _LABEL_HEADS if h in heads), None)
        if at is None:
            at = next((n for n, h in enumerate(heads) if h.startswith(_LABEL_HEADS)), None)
        self.mode, self.label_at = ("off", 0) if at is None else ("phrase", at)
        self.code_at = heads.index("ma") if "ma" in heads else -1
        self.mine_at = heads.index(self.number) if self.several and self.number in heads else -1

    def row(self, cells: list[str], number: int) -> Iterator[Entry]:
        if self.mode == "key" and len(cells) > max(self.key_at, self.label_at):
            yield from self.keyed(cells, number)
        elif self.mode == "phrase" and len(cells) > self.label_at and self.mine(cells):
            for label in phrases(cells[self.label_at]):
                yield Entry(self.name, number, None, label)

    def mine(self, cells: list[str]) -> bool:
        if self.mine_at >= 0 and cells[self.mine_at] in ("–", "-", ""):
            return False
        if self.code_at >= 0 and self.several:
            named = re.findall(r"\d\d", cells[self.code_at])
            return not named or self.number in named
        return True

    def keyed(self, cells: list[str], number: int) -> Iterator[Entry]:
        labels = cut(cells[self.label_at], len(split_keys(cells[self.key_at])))
        for raw, label in zip(split_keys(cells[self.key_at]), labels, strict=True):
            for key in expand(raw):
                yield Entry(self.name, number, key, label)


def split_keys(cell: str) -> list[str]:
    """Raw keys of a ``key`` cell, without remarks; ``+ sinh hiệu`` and ``(organs)`` are no keys."""
    bare = re.sub(r"\((?![^)]*\})[^)]*\)|\[\]|`", "", cell)
    bare = re.sub(r"\{([^}]*)\}", lambda m: "{" + m[1].replace(",", "~").replace(" ", "") + "}", bare)
    raw = [re.sub(r"^\d\d ", "", k.partition("+")[0].strip()) for k in re.split(r"[,;/]", bare)]
    return [k for k in raw if re.fullmatch(r"[a-z][a-z0-9_]*(?:\*|\{[a-z0-9_~]+\})?[a-z0-9_]*", k)]


def expand(key: str) -> list[str]:
    """``tl_*`` → ``tl_mp``, ``tl_mt``; ``x_{a~b}`` → ``x_a``, ``x_b``."""
    if key.endswith("*"):
        return [key[:-1] + "mp", key[:-1] + "mt"]
    match = re.match(r"^(.*)\{(.*)\}(.*)$", key)
    return [match[1] + part + match[3] for part in match[2].split("~")] if match else [key]


def cut(label: str, number: int) -> list[str]:
    """A label cell cut into one piece for each key; what cannot be told apart is empty (not compared)."""
    bare = re.sub(r"\(.*?\)", "", label)
    if number == 1:
        return [re.split(r"[;:…]", bare)[0].strip() or bare.strip()]
    for sign in (";", ","):
        parts = [p.strip() for p in bare.partition(":")[2].split(sign)] if ":" in bare else []
        if len(parts) < number:
            parts = [p.strip() for p in bare.split(sign)]
        if len(parts) >= number:
            return parts[:number]
    return [""] * number


def phrases(cell: str) -> Iterator[str]:
    """The single names in a cell of prose: cut at semicolons, commas and dashes outside brackets."""
    bare = re.sub(r"\*\*|`", "", cell)
    while re.search(r"\([^()]*\)", bare):
        bare = re.sub(r"\([^()]*\)", " ", bare)
    for part in re.split(r"[;,→]| — | \+ |\. (?=\D)|:", bare):
        part = re.sub(r"\s*…\s*giờ\b.*$", "", part)
        text = re.sub(r"^[\s.\d…/–-]+|[\s.…+–-]+$", "", part).strip()
        if (
            len(fold(text)) > 2
            and not text.startswith(("as ", "text", "common"))
            and not re.fullmatch(r"[A-Z0-9_ ]+/?[A-Z0-9]*", text)
        ):
            yield text
