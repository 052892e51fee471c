"""The ICD-10 list of TT 06/2026/TT-BYT (or a later one), loaded by an administrator from a CSV in his hands.

Columns: ``code`` and ``title_vi`` (needed), ``not_main`` (1 or empty), ``sex_only`` (M, F or empty), ``age_rule``,
``category``, ``block``, ``chapter``. It is kept as ``home/bhyt/icd10.csv`` with the day from which it holds.
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from benhan.base.errors import InvalidInput, Issue
from benhan.catalogue import Icd10, icd10, use_icd10

FILE = "icd10.csv"
_CODE = re.compile(r"[A-Z]\d{2}(\.?\d{1,3})?[†*+]?")
_KEPT = ("code", "title_vi", "category", "block", "chapter", "not_main", "sex_only", "age_rule")
_MOST_FAULTS = 50


@dataclass(frozen=True, slots=True)
class IcdImport:
    """What loading a list would do, against the list in use: codes that are new, and those whose title differs."""

    entries: tuple[Icd10, ...]
    new: tuple[str, ...]
    retitled: tuple[str, ...]


def read_icd_list(text: str) -> IcdImport:
    """Judge a list without loading it. Raises: ``InvalidInput`` bhyt.icd-file with a fault for every bad line."""
    reader = csv.DictReader(io.StringIO(text.lstrip("\ufeff")))
    try:
        rows = list(enumerate(reader, 2))
    except csv.Error:
        rows = []
    if not rows or not {"code", "title_vi"} <= set(reader.fieldnames or ()):
        raise InvalidInput("bhyt.icd-file", "Tệp phải là CSV có cột code và title_vi.")
    found: dict[str, Icd10] = {}
    faults: list[str] = []
    for line, row in rows:
        entry = _entry(row)
        if not _CODE.fullmatch(entry.code) or not entry.title:
            faults.append(f"Dòng {line}: mã hoặc tên bệnh không đúng.")
        elif entry.key in found:
            faults.append(f"Dòng {line}: mã {entry.key} có hai lần.")
        elif entry.sex_only not in ("", "M", "F"):
            faults.append(f"Dòng {line}: sex_only phải là M, F hoặc trống.")
        else:
            found[entry.key] = entry
    if faults:
        issues = [Issue("bhyt.icd-file", f) for f in faults[:_MOST_FAULTS]]
        raise InvalidInput("bhyt.icd-file", f"Danh mục có {len(faults)} dòng sai.", issues=issues)
    known = {key: icd10(key) for key in found}
    new = tuple(key for key, entry in known.items() if entry is None)
    retitled = tuple(
        key for key, entry in known.items() if entry is not None and entry.title != found[key].title
    )
    return IcdImport(tuple(found.values()), new, retitled)


def _entry(row: dict[str, str]) -> Icd10:
    code = (row.get("code") or "").strip().upper()
    told = {name: (row.get(name) or "").strip() for name in _KEPT}
    return Icd10(
        code, told["title_vi"], told["category"] or code[:3], told["block"], told["chapter"],
        told["not_main"] == "1", told["sex_only"].upper(), told["age_rule"],
    )  # fmt: skip


def keep_icd_list(folder: Path, entries: tuple[Icd10, ...], valid_from: date) -> Path:
    """Write the list into the installation and put it in force; every process takes it up when it starts."""
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
    use_icd10(entries, valid_from)
    return path


def use_icd_list(folder: Path) -> bool:
    """Put the kept list of an installation in force; False when there is none."""
    path = folder / FILE
    if not path.is_file():
        use_icd10((), date.min)
        return False
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    use_icd10([_entry(r) for r in rows], date.fromisoformat(rows[0]["valid_from"]))
    return True
