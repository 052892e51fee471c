"""The shipped lists as code systems, value sets and concept maps, versioned by date. Pure; loaded once.

Asked ``on`` a day, the list in force on that day answers; a day before the first list has none. A version is named by
the first day of its list (``2020-10-28``); where that day is not known, by the day the shipped copy was taken, or, for
a list that has ended, by its last day. ICD-10: the list that replaced this one on 01/07/2026 is not shipped, so this one
goes on answering. Value sets: each code system has the one of all its codes, under
the system's address and ``/vs``. What a list does not say is not made up here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import cache

from benhan.base.text import fold
from benhan.catalogue import systems
from benhan.catalogue.icd10 import icd10_search
from benhan.catalogue.items import drugs, lab_items
from benhan.catalogue.places import ethnic_groups, provinces
from benhan.catalogue.validity import Period, rows

MERGER = "urn:benhan:map:xa-2025"
_ALL = "/vs"


@dataclass(frozen=True, slots=True)
class Concept:
    """A code with its title and further properties (name, value)."""

    code: str
    display: str
    properties: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class ListVersion:
    """One version of a code system: address, name, days in force, source, and its concepts."""

    system: str
    title: str
    version: str
    period: Period
    source: str
    load: Callable[[], tuple[Concept, ...]]

    @property
    def concepts(self) -> tuple[Concept, ...]:
        """All concepts in the order of the list."""
        return _concepts(self.system, self.version)

    def find(self, code: str) -> Concept | None:
        """The concept of a code, or None."""
        return _by_code(self.system, self.version).get(code)


@dataclass(frozen=True, slots=True)
class Translation:
    """One target of a concept map; ``equivalence`` is a FHIR ConceptMapEquivalence."""

    system: str
    concept: Concept
    equivalence: str


def _icd10() -> tuple[Concept, ...]:
    found: dict[str, Concept] = {}
    for r in rows("icd10/icd10_vi.csv"):
        key = r["code"].rstrip("†*+ ")
        about = [("chapter", r["chapter"]), ("block", r["block"]), ("parent", r["category"])]
        about += [("notMain", "true")] if r["not_main"] == "1" else []
        about += [("sex", r["sex_only"])] if r["sex_only"] else []
        found.setdefault(key, Concept(key, r["title_vi"], tuple((k, v) for k, v in about if v and v != key)))
    return tuple(found.values())


def _communes() -> tuple[Concept, ...]:
    return tuple(
        Concept(r["code"], r["full_name"], (("province", r["province_code"]),))
        for r in rows("places/communes.csv")
    )


def _former() -> tuple[Concept, ...]:
    found: dict[str, Concept] = {}
    for r in rows("places/legacy_to_new_quang_ngai.csv"):
        about = (("district", r["old_district"]), ("province", r["old_province_code"]))
        found.setdefault(r["old_commune_code"], Concept(r["old_commune_code"], r["old_commune"], about))
    return tuple(found.values())


_MERGED = date(2025, 7, 1)
_LISTS = (
    ListVersion(
        systems.ICD10,
        "ICD-10 tiếng Việt",
        "2020-10-28",
        Period(date(2020, 10, 28), None),
        "Quyết định 4469/QĐ-BYT",
        _icd10,
    ),
    ListVersion(
        systems.COMMUNE,
        "Xã, phường, đặc khu trước 01/07/2025 (Quảng Ngãi, Kon Tum)",
        "2025-06-30",
        Period(date.min, date(2025, 6, 30)),
        "Bảng chuyển đổi xã cũ sang xã mới",
        _former,
    ),
    ListVersion(
        systems.COMMUNE,
        "Xã, phường, đặc khu",
        "2025-07-01",
        Period(_MERGED, None),
        "Quyết định 19/2025/QĐ-TTg",
        _communes,
    ),
    ListVersion(
        systems.PROVINCE,
        "Tỉnh, thành phố",
        "2025-07-01",
        Period(_MERGED, None),
        "Quyết định 19/2025/QĐ-TTg",
        lambda: tuple(Concept(p.code, p.full_name) for p in provinces()),
    ),
    ListVersion(
        systems.ETHNICITY,
        "Dân tộc",
        "2026-11-22",
        Period(date.min, None),
        "Danh mục đi kèm bản cài đặt",
        lambda: tuple(Concept(code, name) for code, name in ethnic_groups().items()),
    ),
    ListVersion(
        systems.LAB,
        "Danh mục xét nghiệm và dấu hiệu sinh tồn",
        "2026-11-22",
        Period(date.min, None),
        "Danh mục đi kèm bản cài đặt",
        lambda: tuple(Concept(i.code, i.name) for i in lab_items()),
    ),
    ListVersion(
        systems.DRUG,
        "Danh mục thuốc (tổng hợp)",
        "2026-11-22",
        Period(date.min, None),
        "Danh mục đi kèm bản cài đặt",
        lambda: tuple(Concept(code, d.title) for code, d in drugs().items()),
    ),
)


@cache
def _concepts(system: str, version: str) -> tuple[Concept, ...]:
    found = next(one for one in _LISTS if one.system == system and one.version == version)
    return found.load()


@cache
def _by_code(system: str, version: str) -> dict[str, Concept]:
    return {c.code: c for c in _concepts(system, version)}


@cache
def _folded(system: str, version: str) -> tuple[tuple[str, Concept], ...]:
    return tuple((f" {fold(c.code)} {fold(c.display)}", c) for c in _concepts(system, version))


def code_systems() -> tuple[ListVersion, ...]:
    """All versions of all lists."""
    return _LISTS


def code_system(system: str, *, on: date, version: str | None = None) -> ListVersion | None:
    """The list in force on the day, or the one of this version; None when there is none."""
    for one in _LISTS:
        if one.system == system and (one.version == version if version else one.period.holds(on)):
            return one
    return None


def value_set(url: str, *, on: date) -> ListVersion | None:
    """The list whose codes are all in the value set ``url`` on the day; None when there is no such set."""
    plain, _, version = url.partition("|")
    if not plain.endswith(_ALL):
        return None
    return code_system(plain.removesuffix(_ALL), on=on, version=version or None)


def value_set_url(system: str) -> str:
    """Address of the value set of all codes of a system."""
    return system + _ALL


def expand(found: ListVersion, text: str = "") -> list[Concept]:
    """Concepts that fit what was typed (tones optional, any order of words, start of words), in the list's order.

    Diagnoses are found and ordered as on the doctor's page, by abbreviation too.
    """
    words = fold(text).split()
    if not words:
        return list(found.concepts)
    if found.system == systems.ICD10:
        keys = dict.fromkeys(entry.key for entry in icd10_search(text, limit=2000))
        return [c for key in keys if (c := found.find(key)) is not None]
    return [
        c for folded, c in _folded(found.system, found.version) if all(f" {word}" in folded for word in words)
    ]


def translate(code: str) -> list[Translation]:
    """New communes of an old one: ``equivalent`` or ``wider`` for a whole one, ``inexact`` for a divided one, the main
    heir first. Empty for a code that the map does not know.
    """
    heirs = [r for r in rows("places/legacy_to_new_quang_ngai.csv") if r["old_commune_code"] == code]
    new = code_system(systems.COMMUNE, on=_MERGED)
    out = []
    for r in sorted(heirs, key=lambda r: r["is_default"] != "1"):
        target = new.find(r["new_commune_code"]) if new else None
        if target is not None:
            alone = r["kind"] != "split" and _merged(r["new_commune_code"]) == 1
            equivalence = "inexact" if r["kind"] == "split" else "equivalent" if alone else "wider"
            out.append(Translation(systems.COMMUNE, target, equivalence))
    return out


@cache
def _heirs() -> dict[str, int]:
    found: dict[str, int] = {}
    for r in rows("places/legacy_to_new_quang_ngai.csv"):
        found[r["new_commune_code"]] = found.get(r["new_commune_code"], 0) + 1
    return found


def _merged(new_code: str) -> int:
    return _heirs().get(new_code, 0)
