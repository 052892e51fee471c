"""Everything that belongs to a đợt, and the files of its sealed container (reading only)."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime

from benhan.catalogue import systems
from benhan.records.documents import blob_of, documents
from benhan.records.shapes import all_of, fact_of, id_of, instant, of_encounter
from benhan.records.types import Case
from benhan.store import Repository, Stored

KINDS = (
    "QuestionnaireResponse", "Condition", "AllergyIntolerance", "Observation", "ServiceRequest", "DiagnosticReport",
    "MedicationRequest", "MedicationAdministration", "Procedure",
)  # fmt: skip


async def contents(repo: Repository, here: Case) -> list[Stored]:
    """Resources of the record, binder first, then people, đợt, stays, clinical facts, documents, signatures."""
    found: list[Stored] = []
    if here.composition_id:
        found.append(await repo.read("Composition", here.composition_id))
    encounter = await repo.read("Encounter", here.encounter_id)
    found += [await repo.read("Patient", here.patient_id), encounter]
    for reference in encounter.data.get("episodeOfCare", []):
        found.append(await repo.read("EpisodeOfCare", id_of(reference)))
    found += _by_id(await all_of(repo, "Encounter", [("part-of", f"Encounter/{here.encounter_id}")]))
    for kind in KINDS:
        if kind == "AllergyIntolerance":
            listed = await all_of(repo, kind, [("patient", f"Patient/{here.patient_id}")])
            found += _by_id([s for s in listed if id_of(s.data.get("encounter")) == here.encounter_id])
        else:
            found += _by_id(await of_encounter(repo, kind, here.encounter_id))
    papers = [d for d in await documents(repo, here.encounter_id) if not is_container(d)]
    found += _by_id(papers)
    for response in [s for s in found if s.type == "QuestionnaireResponse"]:
        found += _by_id(
            await all_of(repo, "Provenance", [("target", f"QuestionnaireResponse/{response.id}")])
        )
    return list({(s.type, s.id): s for s in found}.values())


def _by_id(found: list[Stored]) -> list[Stored]:
    return sorted(found, key=lambda s: s.id)


def is_container(document: Stored) -> bool:
    """True for the ``DocumentReference`` of a sealed container."""
    codes = {c.get("code") for g in document.data.get("category", []) for c in g.get("coding", [])}
    return bool(codes & {systems.DOC_CONTAINER, systems.DOC_ADDENDUM})


def document_bundle(found: list[Stored], at: datetime, identifier: str) -> bytes:
    """FHIR document Bundle in which every resource keeps its exact bytes (pure)."""
    entries = [
        b'{"fullUrl":"urn:uuid:' + s.id.encode() + b'","resource":' + s.raw + b"}"
        for s in found
        if not s.deleted
    ]
    head = {
        "resourceType": "Bundle",
        "identifier": {"system": systems.SO_BENH_AN, "value": identifier},
        "type": "document",
        "timestamp": instant(at),
    }
    text = json.dumps(head, ensure_ascii=False, separators=(",", ":")).encode()
    return text[:-1] + b',"entry":[' + b",".join(entries) + b"]}"


def manifest(files: dict[str, bytes], found: list[Stored], here: Case, at: datetime, kind: str) -> bytes:
    """What lies in a container, file by file and resource by resource, with SHA-256 (pure)."""
    listing = {
        "kind": kind,
        "ma_lk": here.ma_lk,
        "so_benh_an": here.so_benh_an,
        "so_luu_tru": here.so_luu_tru,
        "sealed_at": instant(at),
        "files": [
            {"name": n, "sha256": hashlib.sha256(d).hexdigest(), "size": len(d)}
            for n, d in sorted(files.items())
        ],
        "resources": [
            {"reference": s.reference, "version": s.version, "sha256": s.sha256, "author": s.author}
            for s in found
        ],
    }
    return json.dumps(listing, ensure_ascii=False, indent=1).encode()


async def paper_files(repo: Repository, found: list[Stored]) -> dict[str, bytes]:
    """PDFs of the record by file name: those in force, and the superseded signed ones below ``cu/``."""
    files: dict[str, bytes] = {}
    for document in found:
        if document.type != "DocumentReference" or document.data["status"] == "entered-in-error":
            continue
        if document.data["content"][0]["attachment"].get("contentType") != "application/pdf":
            continue  # the claim's XML and the containers themselves are not papers
        code = document.data["type"]["coding"][0]["code"].replace("/", "-")
        folder = "giay" if document.data["status"] == "current" else "giay/cu"
        name = f"{folder}/{code}_{fact_of(document.data, 'to') or document.id}_{document.id[-8:]}.pdf"
        files[name] = await repo.store.blobs.get(blob_of(document.data))
    return files
