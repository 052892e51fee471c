"""Closing and the sealed record: an ASiC-E container of PDFs, the document Bundle with exact bytes, and a manifest.

A late fact after closing is a signed addendum with a container of its own; the first container is never replaced.
"""

from __future__ import annotations

from datetime import datetime

from benhan.base.clock import local_date
from benhan.base.errors import Conflict, RuleViolation
from benhan.catalogue import systems
from benhan.forms import PrintedEntry, compute
from benhan.forms import get as get_form
from benhan.forms import response as form_response
from benhan.records.cases import case
from benhan.records.contents import contents, document_bundle, is_container, manifest, paper_files
from benhan.records.documents import attachment, blob_of, documents, put_paper, render
from benhan.records.facts import defaults, form_of
from benhan.records.guard import passing
from benhan.records.ink import ink_container, ink_pdf, signature_element
from benhan.records.papers import papers
from benhan.records.results import enter_result
from benhan.records.shapes import concept, fact, id_of, instant, late, ref, staff_ref, with_extensions
from benhan.records.sheets import is_sheet
from benhan.records.signatures import SEAL, provenance, signing_provenance
from benhan.records.states import transition
from benhan.records.steps import refuse_gaps, step
from benhan.records.types import Addendum, AddendumDone, Authorize, Case, JsonObject, SignWith
from benhan.store import Repository, Stored

CONTAINER_TYPE = "application/vnd.etsi.asic-e+zip"
ADDENDUM_FORM = "36/BV2"
_ADDENDUM = "bo-sung"


async def close_record(
    repo: Repository, encounter_id: str, seal: SignWith, *, authorize: Authorize
) -> Stored:
    """Close a received record and seal it; refused with the list of gaps while something is missing.

    Returns the ``DocumentReference`` of the container. Outbox: ``exchange.provide``.
    Raises: ``RuleViolation`` (records.incomplete); ``Conflict`` (records.transition-forbidden).
    """
    before = await case(repo, encounter_id)
    authorize(transition(before.state, "close").permission, before.khoa)
    await refuse_gaps(repo, encounter_id)
    async with repo.transaction() as tx:
        await _write_sections(tx, before)
        here = await step(tx, encounter_id, "close", authorize=authorize)
        now = here.closed_at or tx.clock.now()
        found = await contents(tx, here)
        files = await paper_files(tx, found)
        files["ho-so.json"] = document_bundle(found, now, here.so_benh_an or here.ma_lk)
        files["muc-luc.json"] = manifest(files, found, here, now, systems.DOC_CONTAINER)
        data = await ink_container(files, seal)
        with passing(encounter_id):
            return await _put_container(
                tx, here, data, seal, systems.DOC_CONTAINER, "Hồ sơ bệnh án niêm phong", now
            )


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


async def add_addendum(
    repo: Repository,
    encounter_id: str,
    addendum: Addendum,
    sign: SignWith,
    seal: SignWith,
    *,
    authorize: Authorize,
) -> AddendumDone:
    """A late fact into a closed record: paper signed by its author, late result when there is one, own container.

    Raises: ``Conflict`` (records.transition-forbidden) when the record is not closed; ``RuleViolation``
    records.reason-needed, records.empty-entry.
    """
    if not addendum.text.strip():
        raise RuleViolation("records.empty-entry", "Nội dung bổ sung đang trống.", expression="text")
    before = await case(repo, encounter_id)
    authorize(transition(before.state, "addend", addendum.reason).permission, before.khoa)
    if (addendum.order_id is None) != (addendum.result is None):
        raise RuleViolation(
            "records.addendum-order", "Kết quả muộn phải đi cùng chỉ định.", expression="order_id"
        )
    with passing(encounter_id):
        async with repo.transaction() as tx:
            now = tx.clock.now()
            parts = await _late_result(tx, encounter_id, addendum)
            response = await _write(tx, before, addendum)
            pdf = await _paper(tx, before, addendum, response, sign, now)
            document = await put_paper(
                tx, form_of(response.data), response, pdf, author=staff_ref(sign.staff), before=None
            )
            element = signature_element(sign, now, content="application/pdf")
            made = await tx.create(
                signing_provenance(sign, response, document, now, element, {"sha256": blob_of(document.data)})
            )
            here = await step(tx, encounter_id, "addend", authorize=authorize, reason=addendum.reason)
            found = [response, *parts, document, made]
            files = {f"giay/bo-sung_{response.id}.pdf": pdf}
            files["bo-sung.json"] = document_bundle(found, now, here.so_benh_an or here.ma_lk)
            files["muc-luc.json"] = manifest(files, found, here, now, systems.DOC_ADDENDUM)
            data = await ink_container(files, seal)
            container = await _put_container(tx, here, data, seal, systems.DOC_ADDENDUM, "Hồ sơ bổ sung", now)
            return AddendumDone(response, made, container)


async def _late_result(tx: Repository, encounter_id: str, addendum: Addendum) -> list[Stored]:
    if addendum.order_id is None or addendum.result is None:
        return []
    order = await tx.read("ServiceRequest", addendum.order_id)
    if id_of(order.data["encounter"]) != encounter_id:
        raise Conflict("records.other-record", "Chỉ định thuộc hồ sơ khác.")
    locked = (await case(tx, encounter_id)).financial_lock
    entered = await enter_result(tx, addendum.order_id, addendum.result, charged=not locked)
    return [await tx.read("ServiceRequest", addendum.order_id), entered.report, entered.observation]


def _text(addendum: Addendum) -> str:
    return f"GHI BỔ SUNG SAU KHI ĐÓNG HỒ SƠ – {addendum.title}\n{addendum.text}\nLý do: {addendum.reason}"


async def _write(tx: Repository, here: Case, addendum: Addendum) -> Stored:
    form = get_form(ADDENDUM_FORM, local_date(tx.clock.now()))
    row = {"ngay_gio": addendum.happened.replace(microsecond=0).isoformat(), "dien_bien": _text(addendum)}
    given = {**await defaults(tx, here.encounter_id, ADDENDUM_FORM), "dien_tien": [row]}
    resource = form_response(
        form,
        compute(form, given),
        f"Patient/{here.patient_id}",
        f"Encounter/{here.encounter_id}",
        addendum.author.reference,
        addendum.happened,
    )
    resource["author"] = staff_ref(addendum.author)
    marks = await late(tx, addendum.happened, addendum.reason)
    return await tx.create(with_extensions(resource, fact(_ADDENDUM, addendum.reason), *marks))


async def _paper(
    tx: Repository, here: Case, addendum: Addendum, response: Stored, sign: SignWith, now: datetime
) -> bytes:
    form = form_of(response.data)
    row = {"ngay_gio": addendum.happened.replace(microsecond=0).isoformat(), "dien_bien": _text(addendum)}
    head = await defaults(tx, here.encounter_id, ADDENDUM_FORM)
    entries = [PrintedEntry(row, sign.staff.name, now, "Ghi bổ sung")]
    printed = await render(
        tx, form, here.encounter_id, head, entries=entries, printed_at=now, mark="GHI BỔ SUNG"
    )
    return await ink_pdf(printed.pdf, sign, field="ky_bo_sung", reason=addendum.reason)
