"""The ICD-10 list of TT 06/2026/TT-BYT (or a later one), loaded by an administrator from a CSV or XLSX in his hands.

Columns, found by name in one of the first rows: code and title (needed); ``not_main`` (1 or x), ``sex_only`` (M, F, Nam,
Nữ), ``age_rule``, ``category``, ``block``, ``chapter``. Names as in ``_COLUMNS``: the official file was not at hand, so the
header of QĐ 4469's annex and plain words are both known. It is kept as ``home/bhyt/icd10.csv`` with the day from which it
holds; every process takes a new list up at its next piece of work (:func:`use_icd_list`).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from benhan.base.errors import InvalidInput, Issue
from benhan.base.text import fold
from benhan.catalogue import Icd10, icd10_list, later_icd10, use_icd10
from benhan.gateways.bhyt.sheet_file import read_sheet

FILE = "icd10.csv"
_CODE = re.compile(r"[A-Z]\d{2}(\.?\d{1,3})?[†*+]?")
_KEPT = ("code", "title_vi", "category", "block", "chapter", "not_main", "sex_only", "age_rule")
#: column → names under which a file may have it, folded
_COLUMNS: dict[str, tuple[str, ...]] = {
    "code": ("code", "ma", "ma benh", "ma icd", "ma icd-10", "ma icd 10", "disease_code"),
    "title_vi": ("title_vi", "ten", "ten benh", "ten tieng viet", "ten benh tieng viet", "disease_name"),
    "category": ("category", "ma loai", "type_code"),
    "block": ("block", "ma nhom", "ma nhom chinh"),
    "chapter": ("chapter", "chuong", "ma chuong"),
    "not_main": ("not_main", "khong lam benh chinh", "khong duoc ma hoa benh chinh"),
    "sex_only": ("sex_only", "gioi", "gioi tinh"),
    "age_rule": ("age_rule", "tuoi", "quy tac tuoi"),
}
_SEXES = {"nam": "M", "nu": "F", "m": "M", "f": "F", "": ""}
_HEADER_WITHIN = 20
_MOST_FAULTS = 50


@dataclass(frozen=True, slots=True)
class IcdImport:
    """What loading a list would do, against the list in use: codes that are new, that go, whose title or whose marks (not
    main, sex, age) differ."""

    entries: tuple[Icd10, ...]
    new: tuple[str, ...]
    retitled: tuple[str, ...]
    dropped: tuple[str, ...] = ()
    marked: tuple[str, ...] = ()


def read_icd_list(text: str | bytes, on: date | None = None) -> IcdImport:
    """Judge a list without loading it, against the list in use on ``on`` (None: any known).

    Raises: ``InvalidInput`` bhyt.icd-file with a fault for every bad line, bhyt.sheet-file.
    """
    rows = read_sheet(text.encode() if isinstance(text, str) else text)
    first, columns = _header(rows)
    found: dict[str, Icd10] = {}
    faults: list[str] = []
    for line, row in enumerate(rows[first:], first + 1):
        if not any(row):
            continue
        told = {name: row[at] if at < len(row) else "" for name, at in columns.items()}
        told["sex_only"] = _SEXES.get(fold(told.get("sex_only", "")), "?")
        told["not_main"] = "1" if told.get("not_main", "").casefold() in ("1", "x", "true") else ""
        entry = _entry(told)
        if not _CODE.fullmatch(entry.code) or not entry.title:
            faults.append(f"Dòng {line}: mã hoặc tên bệnh không đúng.")
        elif entry.key in found:
            faults.append(f"Dòng {line}: mã {entry.key} có hai lần.")
        elif entry.sex_only not in ("", "M", "F"):
            faults.append(f"Dòng {line}: cột giới phải là M, F, Nam, Nữ hoặc trống.")
        else:
            found[entry.key] = entry
    if faults or not found:
        issues = [Issue("bhyt.icd-file", f) for f in faults[:_MOST_FAULTS]]
        text = f"Danh mục có {len(faults)} dòng sai." if faults else "Danh mục không có mã nào."
        raise InvalidInput("bhyt.icd-file", text, issues=issues)
    return _compared(found, icd10_list(on))


def _header(rows: Sequence[Sequence[str]]) -> tuple[int, dict[str, int]]:
    """Number of the row after the header, and where each column stands."""
    for number, row in enumerate(rows[:_HEADER_WITHIN], 1):
        names = [fold(cell) for cell in row]
        columns = {
            column: next(names.index(fold(n)) for n in known if fold(n) in names)
            for column, known in _COLUMNS.items()
            if any(fold(n) in names for n in known)
        }
        if {"code", "title_vi"} <= columns.keys():
            return number, columns
    raise InvalidInput("bhyt.icd-file", "Không thấy dòng tiêu đề có cột mã và cột tên bệnh (code, title_vi).")


def _compared(found: dict[str, Icd10], used: Sequence[Icd10]) -> IcdImport:
    known: dict[str, Icd10] = {}
    for entry in used:
        known.setdefault(entry.key, entry)
    both = [(found[key], known[key]) for key in found if key in known]
    return IcdImport(
        tuple(found.values()),
        new=tuple(key for key in found if key not in known),
        retitled=tuple(a.key for a, b in both if a.title != b.title),
        dropped=tuple(key for key in known if key not in found),
        marked=tuple(a.key for a, b in both if _marks(a) != _marks(b)),
    )


def _marks(entry: Icd10) -> tuple[bool, str, str]:
    return entry.not_main, entry.sex_only, entry.age_rule


def _entry(row: dict[str, str]) -> Icd10:
    code = (row.get("code") or "").strip().upper()
    told = {name: (row.get(name) or "").strip() for name in _KEPT}
    return Icd10(
        code, told["title_vi"], told["category"] or code[:3], told["block"], told["chapter"],
        told["not_main"] == "1", told["sex_only"].upper(), told["age_rule"],
    )  # fmt: skip


def keep_icd_list(folder: Path, entries: tuple[Icd10, ...], valid_from: date) -> Path:
    """Write the list into the installation and put it in force; other processes take it up at their next work."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE
    draft = path.with_suffix(".tmp")
    with draft.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow((*_KEPT, "valid_from"))
        for e in entries:
            flag = "1" if e.not_main else ""
            row = (e.code, e.title, e.category, e.block, e.chapter, flag, e.sex_only, e.age_rule)
            writer.writerow((*row, valid_from.isoformat()))
    draft.replace(path)
    use_icd_list(folder)
    return path


def drop_icd_list(folder: Path) -> None:
    """Take the kept list out of use: the shipped one answers again. The file stays beside, under another name."""
    path = folder / FILE
    if path.is_file():
        path.replace(path.with_suffix(".thoi-dung.csv"))
    use_icd_list(folder)


#: file taken up last, with its time and size
_used: dict[str, tuple[Path, int, int] | None] = {"file": None}


def use_icd_list(folder: Path) -> bool:
    """Put the kept list of an installation in force, if it is not yet; False when there is none."""
    path = folder / FILE
    try:
        stat = path.stat()
    except OSError:
        if _used["file"] is not None:
            use_icd10((), date.min)
        _used["file"] = None
        return False
    seen = (path, stat.st_mtime_ns, stat.st_size)
    if _used["file"] != seen or not kept_since():
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        use_icd10([_entry(r) for r in rows], date.fromisoformat(rows[0]["valid_from"]))
        _used["file"] = seen
    return True


def kept_since() -> date | None:
    """First day of the list that an administrator has loaded; None when there is none."""
    return later_icd10()
