"""Forms in the record: open, save as one version, withdraw a signature, amend, issue. Signing: ``paper_signing``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from benhan.base.clock import local_date
from benhan.base.errors import Conflict, NotAllowed, RuleViolation
from benhan.catalogue import systems
from benhan.forms import Form, answers, compute
from benhan.forms import get as get_form
from benhan.forms import response as form_response
from benhan.records.cases import add_event, case, locked_case, set_opened
from benhan.records.documents import content_of, document_of, render
from benhan.records.extraction import extract
from benhan.records.facts import form_of
from benhan.records.ink import ink_pdf
from benhan.records.numbering import take_number
from benhan.records.proposals import defaults
from benhan.records.returning import returned
from benhan.records.shapes import (
    concept,
    ext_value,
    fact,
    fact_of,
    house,
    house_ref,
    id_of,
    instant,
    late,
    must,
    of_encounter,
    ref,
    staff_ref,
    with_extensions,
)
from benhan.records.signatures import (
    WITHDRAW,
    covered,
    next_order,
    next_place,
    provenance,
    provenances,
    signatures_of,
)
from benhan.records.stays import current_stay
from benhan.records.types import (
    Authorize,
    IssuedPaper,
    JsonObject,
    OpenedRecord,
    Paper,
    SignWith,
    Staff,
)
from benhan.store import Repository, Stored

_ISSUED = "da-cap"
_NUMBER = "so-giay"


async def open_record(
    repo: Repository, encounter_id: str, form_code: str, author: Staff, happened: datetime
) -> OpenedRecord:
    """Open the record on its template: số bệnh án, the binder (``Composition``), the template with its defaults.

    Raises: ``Conflict`` (records.record-opened) when the đợt has one; ``NotFound`` (forms.no-such-form).
    """
    async with repo.transaction() as tx:
        here = await locked_case(tx, encounter_id)
        if here.composition_id is not None:
            raise Conflict("records.record-opened", "Đợt điều trị này đã có bệnh án.")
        form = get_form(form_code, local_date(happened))
        stay = await current_stay(tx, encounter_id)
        number = await take_number(
            tx, "so_benh_an", event="open-record", khoa=stay.khoa, subject=f"Encounter/{encounter_id}"
        )
        given = {"happened": happened, "author": author}
        composition = await tx.create(
            _binder(here.patient_id, encounter_id, form, number.text, given, house_ref(await house(tx)))
        )
        await set_opened(tx, encounter_id, composition.id, form.code, number.text)
        response = await open_paper(tx, encounter_id, form.code, author, happened)
        await add_event(tx, encounter_id, "open-record", "open", "open")
        return OpenedRecord(composition, response, number.text)


def _binder(
    patient_id: str,
    encounter_id: str,
    form: Form,
    number: str,
    given: Mapping[str, Any],
    custodian: JsonObject,
) -> JsonObject:
    return {
        "resourceType": "Composition",
        "extension": [{"url": systems.EXT_STATE, "valueCode": "open"}, fact("mau-benh-an", form.code)],
        "identifier": {"system": systems.SO_BENH_AN, "value": number},
        "status": "preliminary",
        "type": concept(systems.FORM, systems.BINDER_TYPE, "Hồ sơ bệnh án"),
        "subject": ref("Patient", patient_id),
        "encounter": ref("Encounter", encounter_id),
        "date": instant(given["happened"]),
        "author": [staff_ref(given["author"])],
        "title": form.title,
        "custodian": custodian,
    }


async def open_paper(
    repo: Repository,
    encounter_id: str,
    form_code: str,
    author: Staff,
    happened: datetime,
    answers: Mapping[str, Any] | None = None,
) -> Stored:
    """Put a new paper into the record, with defaults from what is known and the given answers over them."""
    async with repo.transaction() as tx:
        here = await locked_case(tx, encounter_id)
        form = get_form(form_code, local_date(happened))
        proposed = {**await defaults(tx, encounter_id, form_code), **(answers or {})}
        resource = form_response(
            form,
            compute(form, proposed),
            f"Patient/{here.patient_id}",
            f"Encounter/{encounter_id}",
            author.reference,
            happened,
            status="in-progress",
        )
        resource["author"] = staff_ref(author)
        return await tx.create(resource)


async def paper_answers(repo: Repository, response_id: str, version: int | None = None) -> dict[str, Any]:
    """What a paper holds now, or held in a version (the one that somebody signed)."""
    kind = "QuestionnaireResponse"
    stored = await (
        repo.read(kind, response_id) if version is None else repo.vread(kind, response_id, version)
    )
    return answers(form_of(stored.data), stored.data)


async def save_form(
    repo: Repository,
    response_id: str,
    given: Mapping[str, Any],
    author: Staff,
    *,
    reason: str | None = None,
    draft_key: str | None = None,
    late_reason: str | None = None,
    if_match: int | None = None,
) -> Stored:
    """*Lưu*: all answers as one new version (the draft ``draft_key`` is then dropped). Unchanged answers write nothing.

    An answer under a standing signature may change only with ``reason``: an amendment, after which those who signed
    sign again. What was empty may be filled in freely.

    Raises: ``RuleViolation`` (records.amendment-needs-reason, records.form-errors); ``Conflict`` (records.paper-issued).
    """
    async with repo.transaction() as tx:
        before = await tx.read("QuestionnaireResponse", response_id)
        form = form_of(before.data)
        final = compute(form, dict(given))
        _refuse_errors(form, final)
        found = await signatures_of(tx, before)
        standing = [s for s in found if s.standing]
        amended = not covered(answers(form, before.data), final) and bool(standing)
        if amended:
            _check_amendment(before, reason)
        resource = _next_version(form, before, final, author, amended, bool(standing))
        extensions = await late(tx, must(before.data["authored"]), late_reason) if late_reason else []
        if amended:
            extensions.append({"url": systems.EXT_AMENDMENT, "valueString": str(reason).strip()})
        resource = with_extensions(resource, *extensions)
        if _bare(resource) == _bare(before.data):
            stored = before
        else:
            stored = await tx.update(resource, if_match=if_match or before.version)
        if amended:
            await _lapse(tx, stored, author)
        if draft_key is not None:
            await tx.store.drafts.discard(tx, draft_key)
        return stored


def _bare(resource: JsonObject) -> JsonObject:
    return {k: v for k, v in resource.items() if k != "meta"}


def _refuse_errors(form: Form, final: Mapping[str, Any]) -> None:
    """Saving is lenient: gaps are allowed, only what cannot be written is refused (by ``forms.response``)."""
    for link_id in final:
        if link_id not in form:
            raise RuleViolation("records.form-errors", "Biểu mẫu không có mục này.", diagnostics=link_id)


def _check_amendment(before: Stored, reason: str | None) -> None:
    if fact_of(before.data, _ISSUED):
        raise Conflict("records.paper-issued", "Giấy đã cấp, không sửa được; hãy cấp lại.")
    if not (reason or "").strip():
        raise RuleViolation(
            "records.amendment-needs-reason", "Sửa nội dung đã ký phải nêu lý do.", expression="reason"
        )


def _next_version(
    form: Form, before: Stored, final: Mapping[str, Any], author: Staff, amended: bool, signed: bool
) -> JsonObject:
    status = (
        "amended"
        if amended or before.data["status"] == "amended"
        else "completed"
        if signed
        else "in-progress"
    )
    resource = form_response(
        form,
        final,
        before.data["subject"]["reference"],
        before.data["encounter"]["reference"],
        author.reference,
        must(before.data["authored"]),
        before.id,
        status=status,
    )
    resource["author"] = staff_ref(author)
    if "identifier" in before.data:
        resource["identifier"] = before.data["identifier"]
    kept = [e for e in before.data.get("extension", []) if e["url"] != systems.EXT_AMENDMENT]
    return with_extensions(resource, *kept) if kept else resource


async def _lapse(tx: Repository, stored: Stored, author: Staff) -> None:
    """After an amendment: no PDF stands any more, what was derived is derived again."""
    document = await document_of(tx, id_of(stored.data["encounter"]), stored.id)
    if document is not None:
        await tx.update({**document.data, "status": "superseded"}, if_match=document.version)
    await extract(tx, stored, author)


async def paper(repo: Repository, response_id: str) -> Paper:
    """A paper with its signatures and whose turn it is."""
    return await _paper(repo, await repo.read("QuestionnaireResponse", response_id))


async def _paper(repo: Repository, stored: Stored) -> Paper:
    form = form_of(stored.data)
    acts = await provenances(repo, stored)
    found = await signatures_of(repo, stored, acts)
    place = next_place(form, found)
    document = await document_of(repo, id_of(stored.data["encounter"]), stored.id)
    return Paper(
        stored, form.code, form.title, tuple(found), place.role if place else None,
        bool(fact_of(stored.data, _ISSUED)), fact_of(stored.data, _NUMBER), document.id if document else None,
        returned(acts, stored.version),
    )  # fmt: skip


async def papers(repo: Repository, encounter_id: str) -> list[Paper]:
    """Papers of the đợt (without entries of running sheets), oldest first."""
    found = await of_encounter(repo, "QuestionnaireResponse", encounter_id)
    whole = [
        s
        for s in found
        if ext_value(s.data, systems.EXT_SHEET) is None and s.data["status"] != "entered-in-error"
    ]
    return [await _paper(repo, s) for s in sorted(whole, key=lambda s: (s.data["authored"], s.id))]


async def print_paper(repo: Repository, response_id: str) -> bytes:
    """The signed PDF of the present version, else a fresh print that says who has signed."""
    stored = await repo.read("QuestionnaireResponse", response_id)
    encounter_id = id_of(stored.data["encounter"])
    document = await document_of(repo, encounter_id, response_id)
    if document is not None and fact_of(document.data, "ban-cua-to") == str(stored.version):
        return await content_of(repo, document.data)
    form = form_of(stored.data)
    found = await signatures_of(repo, stored)
    return (await render(repo, form, encounter_id, answers(form, stored.data), signatures=found)).pdf


async def _khoa_of(repo: Repository, encounter_id: str) -> str:
    return (await case(repo, encounter_id)).khoa


async def withdraw_signature(
    repo: Repository, response_id: str, staff: Staff, reason: str, *, authorize: Authorize
) -> Stored:
    """Take one's own signature back, with a reason, until the next signer signs or the paper is issued.

    Raises: ``RuleViolation`` (records.reason-needed); ``Conflict`` (records.signed-after, records.paper-issued);
    ``NotAllowed`` (records.not-your-signature).
    """
    if not reason.strip():
        raise RuleViolation("records.reason-needed", "Cần nêu lý do rút chữ ký.", expression="reason")
    async with repo.transaction() as tx:
        stored = await tx.read("QuestionnaireResponse", response_id)
        encounter_id = id_of(stored.data["encounter"])
        authorize("form.withdraw", (await locked_case(tx, encounter_id)).khoa)
        standing = [s for s in await signatures_of(tx, stored) if s.standing]
        mine = [s for s in standing if s.staff == staff.reference]
        if not mine:
            raise NotAllowed("records.not-your-signature", "Bạn không có chữ ký còn hiệu lực trên tờ này.")
        if fact_of(stored.data, _ISSUED):
            raise Conflict("records.paper-issued", "Giấy đã cấp, không rút chữ ký được.")
        if standing[-1].provenance_id != mine[-1].provenance_id:
            raise Conflict("records.signed-after", "Người sau đã ký, không rút chữ ký được.")
        signature = await tx.read("Provenance", mine[-1].provenance_id)
        source = f"{stored.type}/{stored.id}/_history/{mine[-1].version}"
        resource = provenance(
            WITHDRAW, [ref(stored.type, stored.id)], staff, mine[-1].role, instant(tx.clock.now()), source
        )
        resource["reason"] = [{"text": reason.strip()}]
        taken_back = fact("chu-ky", mine[-1].provenance_id)
        made = await tx.create(with_extensions(resource, taken_back, await next_order(tx, stored)))
        await _restore_document(tx, encounter_id, stored, fact_of(signature.data, "sha256-truoc"))
        if len(standing) == 1:
            await tx.update({**stored.data, "status": "in-progress"}, if_match=stored.version)
        return made


async def _restore_document(tx: Repository, encounter_id: str, stored: Stored, earlier: str) -> None:
    document = await document_of(tx, encounter_id, stored.id)
    if document is None:
        return
    if not earlier:
        await tx.update({**document.data, "status": "entered-in-error"}, if_match=document.version)
        return
    content = document.data["content"][0]
    data = await tx.store.blobs.get(earlier)
    renewed = {**content["attachment"], "url": f"urn:sha256:{earlier}", "size": len(data)}
    await tx.update(
        {**document.data, "content": [{**content, "attachment": renewed}]}, if_match=document.version
    )


async def issue_discharge_paper(
    repo: Repository,
    encounter_id: str,
    *,
    author: Staff,
    form_code: str = "TT25/2025-M02",
    answers: Mapping[str, Any] | None = None,
) -> Stored:
    """Giấy ra viện, written from the discharge, with its number; ready for its two signatures.

    Raises: ``Conflict`` (records.not-discharged, records.paper-exists).
    """
    async with repo.transaction() as tx:
        here = await locked_case(tx, encounter_id)
        if here.discharged_at is None:
            raise Conflict("records.not-discharged", "Người bệnh chưa ra viện.")
        if any(p.form_code == form_code for p in await papers(tx, encounter_id)):
            raise Conflict("records.paper-exists", "Đợt điều trị này đã có giấy ra viện.")
        day: date = local_date(here.discharged_at)
        number = await take_number(
            tx, "so_ra_vien", event="issue", khoa=here.khoa, on=day, subject=f"Encounter/{encounter_id}"
        )
        given = {"so": number.text, "ngay_ct": day.isoformat(), **(answers or {})}
        stored = await open_paper(tx, encounter_id, form_code, author, tx.clock.now(), given)
        numbered = with_extensions(stored.data, fact(_NUMBER, number.text))
        numbered["identifier"] = {"system": systems.SO_RA_VIEN, "value": number.text}
        return await tx.update(numbered, if_match=stored.version)


async def issue_paper(
    repo: Repository, response_id: str, *, seal: SignWith | None, authorize: Authorize
) -> IssuedPaper:
    """Hand a paper out: all signatures stand, the organisation's seal is put on, from now on nothing is withdrawn.

    Raises: ``Conflict`` (records.not-fully-signed, records.paper-issued, records.seal-needed).
    """
    from benhan.records.discharge import submit_claim_when_ready

    held = await paper(repo, response_id)
    form = form_of(held.response.data)
    encounter_id = id_of(held.response.data["encounter"])
    authorize("paper.issue", await _khoa_of(repo, encounter_id))
    if held.issued:
        raise Conflict("records.paper-issued", "Giấy đã cấp.")
    if not held.complete or held.document_id is None:
        raise Conflict("records.not-fully-signed", "Giấy chưa đủ chữ ký.")
    if seal is None and any(p.seal for p in form.signatures):
        raise Conflict("records.seal-needed", "Giấy này cần chữ ký số của cơ sở.")
    document = await repo.read("DocumentReference", held.document_id)
    data = await content_of(repo, document.data)
    if seal is not None:
        data = await ink_pdf(data, seal, field="dau_co_so", reason="Chữ ký số của cơ sở")
    async with repo.transaction() as tx:
        sha256 = await tx.store.blobs.put(data)
        content = document.data["content"][0]
        renewed = {**content["attachment"], "url": f"urn:sha256:{sha256}", "size": len(data)}
        final = {**document.data, "docStatus": "final", "content": [{**content, "attachment": renewed}]}
        current = await tx.read("QuestionnaireResponse", response_id)
        marked = with_extensions(current.data, fact(_ISSUED, instant(tx.clock.now())))
        stored = await tx.update(marked, if_match=held.response.version)
        final = with_extensions(final, fact("ban-cua-to", str(stored.version)))
        issued = await tx.update(final, if_match=document.version)
        await submit_claim_when_ready(tx, encounter_id)
        return IssuedPaper(held.number, issued)
