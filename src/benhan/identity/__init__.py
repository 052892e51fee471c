"""Who is who: QR codes, registering, finding duplicates; at the hub linking, merging and undoing it.

Faces::

    parse_qr(text) -> CardScan(kind "cccd"|"bhyt", number, name, birth_date, sex, address, …, warnings, raw_fields)
         raises InvalidInput identity.qr-*
    PersonInput(name, birth_date "YYYY[-MM[-DD]]", sex "male"|"female"|"other"|"unknown", cccd, cmnd, passport, bhyt,
         bhxh, phone, address, commune_code, province_code, ethnicity, occupation, nationality, workplace, contact_name,
         contact_phone, status "verified"|"provisional"|"unknown"|"newborn", mother_id, birth_order, source, birth_time "HH:MM")
    person_from_scan(scan) -> PersonInput
    patient_resource(person, *, ma_bn=None, patient_id=None) -> JsonObject      pure
    face_of(person) -> Face ; compare(face, face) -> list[Reason] ; score(reasons) -> bits ; decide(reasons) -> Verdict
         "link" | "review" | "different"                                        pure
    async find_candidates(repo, person, *, limit=10) -> list[Candidate(patient: Stored, score, exact, reasons)]
    async register_person(repo, person, *, ma_bn=None) -> Stored
    async find_or_register(repo, person, *, ma_bn=None) -> Found(patient: Stored, created, candidates)
    async update_person(repo, patient_id, person) -> Stored
    async find_patients(repo, text, *, limit=20) -> list[Stored]                 name, number or phone as typed

Hub::

    async link_patient(repo, source: UUID, resource) -> LinkResult(patient_id, how, explanation)
    async crossref(repo, source: UUID, source_patient_id) -> str | None
    async sources(repo, patient_id) -> list[SourceLink]
    async merge(repo, kept_id, gone_id, reason) -> UUID ; async unmerge(repo, merge_id, reason) ; async
          current_id(repo, id) -> str, family(repo, id) -> list[str]
"""

from __future__ import annotations

from benhan.identity.faces import Face, bhxh_number, face_of
from benhan.identity.hub import (
    LinkResult,
    SourceLink,
    crossref,
    current_id,
    family,
    link_patient,
    merge,
    sources,
    unlink,
    unmerge,
)
from benhan.identity.matching import Reason, Verdict, compare, decide, judge, probability, score, threshold
from benhan.identity.person import (
    PersonInput,
    display_name,
    name_of,
    patient_resource,
    person_from_scan,
    person_of,
)
from benhan.identity.qr import CardScan, number_warnings, parse_qr
from benhan.identity.registry import (
    Candidate,
    Found,
    age_years,
    find_candidates,
    find_or_register,
    find_patients,
    register_person,
    update_person,
)
from benhan.identity.steward import (
    Decision,
    Merge,
    Review,
    decide_review,
    merges,
    open_review,
    open_reviews,
    said_the_same,
)

__all__ = [
    "Candidate",
    "CardScan",
    "Decision",
    "Face",
    "Found",
    "LinkResult",
    "Merge",
    "PersonInput",
    "Reason",
    "Review",
    "SourceLink",
    "Verdict",
    "age_years",
    "bhxh_number",
    "compare",
    "crossref",
    "current_id",
    "decide",
    "decide_review",
    "display_name",
    "face_of",
    "family",
    "find_candidates",
    "find_or_register",
    "find_patients",
    "judge",
    "link_patient",
    "merge",
    "merges",
    "name_of",
    "number_warnings",
    "open_review",
    "open_reviews",
    "parse_qr",
    "patient_resource",
    "person_from_scan",
    "person_of",
    "probability",
    "register_person",
    "said_the_same",
    "score",
    "sources",
    "threshold",
    "unlink",
    "unmerge",
    "update_person",
]
