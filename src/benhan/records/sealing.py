"""Closing and the sealed record: an ASiC-E container of PDFs, the document Bundle with exact bytes, and a manifest.

Two phases: ``start_closing`` freezes the record (state ``closing``, which refuses writes) and its parts; the seal is made
outside any transaction, perhaps after a restart; ``finish_closing`` puts the container away and closes. The first
container is never replaced; addenda have their own (``addenda``).
"""

from __future__ import annotations

from datetime import datetime

from benhan.base.errors import Conflict
from benhan.catalogue import systems
from benhan.records.cases import case
from benhan.records.contents import contents, document_bundle, is_container, manifest, paper_files
from benhan.records.documents import attachment, documents
from benhan.records.frozen import Sealing, ended, freeze, frozen_parts, locked, open_sealings
from benhan.records.guard import passing
from benhan.records.ink import ink_container, signature_element
from benhan.records.papers import papers
from benhan.records.shapes import concept, fact, instant, ref, staff_ref, with_extensions
from benhan.records.sheets import is_sheet
from benhan.records.signatures import SEAL, provenance
from benhan.records.states import transition
from benhan.records.steps import refuse_gaps, step
from benhan.records.types import Authorize, Case, JsonObject, SignWith, everything_allowed
from benhan.store import Repository, Stored

CONTAINER_TYPE = "application/vnd.etsi.asic-e+zip"
_TITLES = {
    "close": (systems.DOC_CONTAINER, "Hồ sơ bệnh án niêm phong"),
    "addend": (systems.DOC_ADDENDUM, "Hồ sơ bổ sung"),
}


async def close_record(
    repo: Repository, encounter_id: str, seal: SignWith, *, authorize: Authorize
) -> Stored:
    """Close a received record and seal it, or go on with a closing that was interrupted.

    Returns the ``DocumentReference`` of the container. Outbox: ``exchange.provide``.
    Raises: ``RuleViolation`` (records.incomplete); ``Conflict`` (records.transition-forbidden).
    """
    begun = await open_sealings(repo, encounter_id, "close")
    if begun:
        here = await case(repo, encounter_id)
        authorize(transition(here.state, "seal").permission, here.khoa)
        return await finish_sealing(repo, begun[0], seal)
    return await finish_sealing(repo, await start_closing(repo, encounter_id, authorize=authorize), seal)


async def start_closing(repo: Repository, encounter_id: str, *, authorize: Authorize) -> Sealing:
    """Freeze the record: from now on it refuses writes; its parts wait for the seal."""
    before = await case(repo, encounter_id)
    authorize(transition(before.state, "close").permission, before.khoa)
    await refuse_gaps(repo, encounter_id)
    async with repo.transaction() as tx:
        await _write_sections(tx, before)
        here = await step(tx, encounter_id, "close", authorize=authorize)
        now = tx.clock.now()
        found = await contents(tx, here)
        files = await paper_files(tx, found)
        files["ho-so.json"] = document_bundle(found, now, here.so_benh_an or here.ma_lk)
        files["muc-luc.json"] = manifest(files, found, here, now, systems.DOC_CONTAINER)
        return await freeze(tx, encounter_id, "close", "to-seal", files)


async def finish_sealing(repo: Repository, sealing: Sealing, seal: SignWith) -> Stored:
    """Seal the frozen parts (no transaction is open meanwhile), put the container away; a closing ends here.

    Raises: ``Conflict`` (records.sealing-over) when another was faster or it was cancelled.
    """
    data = await ink_container(await frozen_parts(repo, sealing, "to-seal"), seal)
    kind, title = _TITLES[sealing.kind]
    async with repo.transaction() as tx:
        await locked(tx, sealing.id, "to-seal")
        here = await case(tx, sealing.encounter_id)
        if sealing.kind == "close":
            here = await step(tx, sealing.encounter_id, "seal", authorize=everything_allowed)
        with passing(sealing.encounter_id):
            stored = await _put_container(tx, here, data, seal, kind, title, tx.clock.now())
        await ended(tx, sealing, "done", stored.id)
    await repo.store.blobs.destroy(sealing.frozen)
    return stored


async def cancel_closing(repo: Repository, encounter_id: str, reason: str, *, authorize: Authorize) -> Case:
    """Give a closing up before it is sealed; the record is with the records department as before."""
    async with repo.transaction() as tx:
        after = await step(tx, encounter_id, "cancel_close", authorize=authorize, reason=reason)
        begun = await open_sealings(tx, encounter_id, "close")
        if not begun:
            raise Conflict("records.sealing-over", "Việc ký này đã xong hoặc đã thôi.")
        await ended(tx, begun[0], "cancelled")
    await repo.store.blobs.destroy(begun[0].frozen)
    return after


async def _write_sections(tx: Repository, here: Case) -> None:
    """Sections of the binder in the paper's order: template, running sheets, other papers; each with its documents."""
    if here.composition_id is None:
        return
    binder = await tx.read("Composition", here.composition_id)
    sections: list[JsonObject] = []
    for paper in await papers(tx, here.encounter_id):
        entries = [ref("QuestionnaireResponse", paper.response.id)]
        if paper.document_id:
            entries.append(ref("DocumentReference", paper.document_id))
        sections.append(
            {"title": paper.title, "code": concept(systems.FORM, paper.form_code), "entry": entries}
        )
    sections.sort(key=lambda s: _order(s["code"]["coding"][0]["code"], here))
    if sections:
        await tx.update({**binder.data, "section": sections}, if_match=binder.version)


def _order(form_code: str, here: Case) -> tuple[int, str]:
    rank = 0 if form_code == here.form_code else 1 if is_sheet_code(form_code) else 2
    return rank, form_code


def is_sheet_code(form_code: str) -> bool:
    """True when a form is a running sheet (by its present edition)."""
    from benhan.forms import catalogue

    editions = catalogue().editions(form_code)
    return bool(editions) and is_sheet(editions[-1])


async def _put_container(
    tx: Repository, here: Case, data: bytes, seal: SignWith, kind: str, title: str, now: datetime
) -> Stored:
    sha256 = await tx.store.blobs.put(data)
    document: JsonObject = {
        "resourceType": "DocumentReference",
        "status": "current",
        "docStatus": "final",
        "type": concept(systems.FORM, systems.BINDER_TYPE, "Hồ sơ bệnh án"),
        "category": [concept(systems.DOCUMENT_KIND, kind, title)],
        "subject": ref("Patient", here.patient_id),
        "date": instant(now),
        "author": [staff_ref(seal.staff)],
        "description": f"{title} {here.so_benh_an or here.ma_lk}",
        "content": [{"attachment": attachment(sha256, len(data), f"{title}.asice", now, CONTAINER_TYPE)}],
        "context": {"encounter": [ref("Encounter", here.encounter_id)]},
    }
    earlier = [d for d in await documents(tx, here.encounter_id) if is_container(d)]
    if earlier:
        document["relatesTo"] = [{"code": "appends", "target": ref("DocumentReference", earlier[0].id)}]
    stored = await tx.create(document)
    source = f"Composition/{here.composition_id}" if here.composition_id else f"Encounter/{here.encounter_id}"
    resource = provenance(SEAL, [ref(stored.type, stored.id)], seal.staff, seal.role, instant(now), source)
    resource["signature"] = [signature_element(seal, now, content=CONTAINER_TYPE)]
    await tx.create(with_extensions(resource, fact("sha256", sha256)))
    payload = {"composition": here.composition_id, "encounter": here.encounter_id, "container": stored.id}
    await tx.outbox("exchange.provide", stored.id, payload)
    return stored


async def containers(repo: Repository, encounter_id: str) -> list[Stored]:
    """Sealed containers of a record, the first one first; addenda after it."""
    found = [d for d in await documents(repo, encounter_id) if is_container(d)]
    return sorted(found, key=lambda d: (d.data["date"], d.id))
