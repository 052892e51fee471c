"""Lists, law and settings as data with validity dates. No rule here is in code.

Systems: constants in ``catalogue.systems`` (also importable from here as ``systems``).

Faces (pure and synchronous; loaded once)::

    icd10_search(text, limit=20, *, on=None) -> list[Icd10]     accent-free, abbreviation or code, < 50 ms
    icd10(code, on=None) -> Icd10 | None ; use_icd10(entries, valid_from) ; icd10_in_force(on) -> bool
    icd10_list(on) -> tuple[Icd10, ...] ; later_icd10() -> date | None      first day of the list an administrator loaded
    lab_items() -> list[LabItem] ; lab_item(code) -> LabItem
    drugs_search(text, limit=20) -> list[Drug] ; drug(code) -> Drug | None
    communes(province="51") -> list[Commune] ; provinces() -> list[Province]
    successors(old_commune_code) -> list[Successor] ; labs_search(text)
    facilities() -> list[Facility] ; facility(code) -> Facility | None
    ethnic_groups() -> dict[code, name]
    price(code, on) -> Price | None  synthetic price list, Price.synthetic is True
    outcomes(on) ; outcome(code, on) -> Outcome ; outcome_facts(code, result, on) -> OutcomeFacts
    retention_years(kind, on) -> int | None (None: for ever) ; retention_of(facts, on) -> (kind, years): the longest
    form_doi_tuong(payer, on) -> str                                  the four-box đối tượng of the cover
    facility_setting(name, on, *, facility=None) -> value         with validity, per facility, default "*"
    numbering_pattern(kind, on, *, facility=None, khoa=None) -> Pattern
    terminology.code_system(url, on=…) / value_set / expand / translate   the lists as FHIR terminology
    names() -> NameParts                                          for generators of invented people
    data_file(name) -> Path
"""

from __future__ import annotations

from benhan.catalogue import systems, terminology
from benhan.catalogue.icd10 import (
    Icd10,
    icd10,
    icd10_in_force,
    icd10_list,
    icd10_search,
    later_icd10,
    use_icd10,
)
from benhan.catalogue.items import (
    Drug,
    LabItem,
    Price,
    drug,
    drugs,
    drugs_search,
    lab_item,
    lab_items,
    labs_search,
    price,
    prices,
)
from benhan.catalogue.places import (
    Commune,
    Facility,
    NameParts,
    Province,
    Successor,
    commune,
    communes,
    communes_search,
    ethnic_groups,
    facilities,
    facility,
    names,
    provinces,
    successors,
)
from benhan.catalogue.rules import (
    Outcome,
    OutcomeFacts,
    Pattern,
    facility_setting,
    form_doi_tuong,
    numbering_pattern,
    outcome,
    outcome_facts,
    outcomes,
    payer_name,
    result_names,
    retention_of,
    retention_years,
)
from benhan.catalogue.validity import data_file

__all__ = [
    "Commune",
    "Drug",
    "Facility",
    "Icd10",
    "LabItem",
    "NameParts",
    "Outcome",
    "OutcomeFacts",
    "Pattern",
    "Price",
    "Province",
    "Successor",
    "commune",
    "communes",
    "communes_search",
    "data_file",
    "drug",
    "drugs",
    "drugs_search",
    "ethnic_groups",
    "facilities",
    "facility",
    "facility_setting",
    "form_doi_tuong",
    "icd10",
    "icd10_in_force",
    "icd10_list",
    "icd10_search",
    "lab_item",
    "lab_items",
    "labs_search",
    "later_icd10",
    "names",
    "numbering_pattern",
    "outcome",
    "outcome_facts",
    "outcomes",
    "payer_name",
    "price",
    "prices",
    "provinces",
    "result_names",
    "retention_of",
    "retention_years",
    "successors",
    "systems",
    "terminology",
    "use_icd10",
]
