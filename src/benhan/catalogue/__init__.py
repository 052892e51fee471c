"""Lists, law and settings as data with validity dates. No rule here is in code.

Systems: constants in ``catalogue.systems`` (also importable from here as ``systems``).

Faces (pure and synchronous; loaded once)::

    icd10_search(text, limit=20, *, on=None) -> list[Icd10]     accent-free, abbreviation or code, < 50 ms
    icd10(code) -> Icd10 | None                                  Icd10(code, title, category, chapter, not_main, sex_only)
    lab_items() -> list[LabItem] ; lab_item(code) -> LabItem      LabItem(code, name, group, specimen, unit, low, high, loinc)
    drugs_search(text, limit=20) -> list[Drug] ; drug(code) -> Drug | None
    communes(province="51") -> list[Commune] ; provinces() -> list[Province] ; successors(old_commune_code) -> list[Successor]
    facilities() -> list[Facility] ; facility(code) -> Facility | None
    ethnic_groups() -> dict[code, name]
    price(code, on) -> Price | None                               synthetic price list, Price.synthetic is True
    outcomes(on) -> list[Outcome] ; outcome(code, on) -> Outcome
    retention_years(kind, on) -> int | None (None: for ever)
    form_doi_tuong(payer) -> str                                  the four-box đối tượng of the cover
    facility_setting(name, on, *, facility=None) -> value         with validity, per facility, default "*"
    numbering_pattern(kind, on, *, facility=None, khoa=None) -> Pattern
    names() -> NameParts                                          for generators of invented people
    data_file(name) -> Path
"""

from __future__ import annotations

from benhan.catalogue import systems

__all__ = ["systems"]
