"""PDFs of the record: printing a paper, putting it away as blob + ``DocumentReference``, reading it back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from benhan.catalogue import systems
from benhan.forms import Form, PrintContext, PrintedEntry, PrintedSignature, PrintResult, print_form
from benhan.identity import name_of
from benhan.records.cases import case
from benhan.records.shapes import concept, fact, fact_of, house, instant, of_encounter, ref, with_extensions
from benhan.records.types import JsonObject, Signature
from benhan.signing import Place
from benhan.store import Repository, Stored

BOXES = "o-ky"


async def render(
    repo: Repository,
    form: Form,
    encounter_id: str,
    answers: dict[str, Any],
    *,
    signatures: Sequence[Signature] = (),
    entries: Sequence[PrintedEntry] = (),
    lookup: str | None = None,
    printed_at: datetime | None = None,
    mark: str | None = None,
    electronic: bool = False,
) -> PrintResult:
    """PDF/A-2b of a form in this đợt; ``signatures`` are shown as printed names with time.

    ``electronic``: it is printed to be signed, its places are left to the appearances of the signatures.
    """
    here = await case(repo, encounter_id)
    place = await house(repo)
    patient = await repo.read("Patient", here.patient_id)
    context = PrintContext(
        facility=place.name,
        patient=name_of(patient.data),
        record_number=here.so_benh_an or "",
        answers=answers,
        header={"so_luu_tru": here.so_luu_tru} if here.so_luu_tru else {},
        entries=entries,
        signatures=[PrintedSignature(s.role, s.name, s.at) for s in signatures if s.standing],
        lookup_code=lookup,
        printed_at=(printed_at or repo.clock.now()).replace(microsecond=0),
        mark=mark,
        electronic=electronic,
    )
    return await asyncio.to_thread(print_form, form, context)


def blob_of(document: JsonObject) -> str:
    """SHA-256 (hex) of the PDF or container of a ``DocumentReference``."""
    return str(document["content"][0]["attachment"]["url"]).removeprefix("urn:sha256:")


async def content_of(repo: Repository, document: JsonObject) -> bytes:
    """The bytes of a ``DocumentReference``."""
    return await repo.store.blobs.get(blob_of(document))


def attachment(sha256: str, size: int, title: str, at: datetime, content_type: str) -> JsonObject:
    """Attachment that points to a blob."""
    return {
        "contentType": content_type,
        "language": "vi",
        "url": f"urn:sha256:{sha256}",
        "size": size,
        "title": title,
        "creation": instant(at),
    }


async def put_paper(
    tx: Repository,
    form: Form,
    response: Stored,
    data: bytes,
    *,
    author: JsonObject,
    before: Stored | None,
    boxes: str = "",
    anew: bool = False,
) -> Stored:
    """Put a signed PDF away: a further signature renews its document, a new print (``anew``, or of another version)
    replaces the one before, which stays as it is.
    """
    sha256 = await tx.store.blobs.put(data)
    now = tx.clock.now()
    encounter_ref = response.data["encounter"]
    same_print = (
        not anew and before is not None and fact_of(before.data, "ban-cua-to") == str(response.version)
    )
    document: JsonObject = {
        "resourceType": "DocumentReference",
        "status": "current",
        "docStatus": "preliminary",
        "type": concept(systems.FORM, form.code, form.title),
        "category": [concept(systems.DOCUMENT_KIND, systems.DOC_PAPER, "Giấy, phiếu của bệnh án")],
        "subject": response.data["subject"],
        "date": instant(now),
        "author": [author],
        "description": form.title,
        "content": [{"attachment": attachment(sha256, len(data), form.title, now, "application/pdf")}],
        "context": {"encounter": [encounter_ref], "related": [ref(response.type, response.id)]},
    }
    if before is not None and not same_print:
        document["relatesTo"] = [{"code": "replaces", "target": ref("DocumentReference", before.id)}]
    facts = [
        fact("to", response.id),
        fact("ban-cua-to", str(response.version)),
        *([fact(BOXES, boxes)] if boxes else []),
    ]
    document = with_extensions(document, *facts)
    if before is None or not same_print:
        if before is not None and before.data["status"] == "current":
            await tx.update({**before.data, "status": "superseded"}, if_match=before.version)
        return await tx.create(document)
    kept = {k: v for k, v in before.data.items() if k == "relatesTo"}
    return await tx.update({**document, **kept, "id": before.id}, if_match=before.version)


async def documents(repo: Repository, encounter_id: str) -> list[Stored]:
    """Every ``DocumentReference`` of the đợt, superseded ones too, oldest first."""
    return await of_encounter(repo, "DocumentReference", encounter_id)


async def document_of(repo: Repository, encounter_id: str, response_id: str) -> Stored | None:
    """The current PDF of a paper, None when it has none."""
    found = [
        d
        for d in await documents(repo, encounter_id)
        if fact_of(d.data, "to") == response_id and d.data["status"] == "current"
    ]
    return found[-1] if found else None


def boxes_text(printed: PrintResult) -> str:
    """Signature boxes of a print as text, kept with its document for the next signer (pure)."""
    return json.dumps([[b.role, b.page, b.x0, b.y0, b.x1, b.y1] for b in printed.signature_boxes])


def place_of(text: str, role: str) -> Place | None:
    """Where a role signs visibly on a print, None when the paper has no box for it (pure)."""
    for name, page, x0, y0, x1, y1 in json.loads(text or "[]"):
        if name == role:
            return Place(page - 1, (x0, y0, x1, y1))
    return None
