"""A late fact into a closed record: a signed addendum with a container of its own.

Three steps, none of which signs inside a transaction: ``start_addendum`` makes the paper and freezes it; the author signs
and the signed facts are appended (``sign_addendum``); the organisation seals the volume (``sealing.finish_sealing``).
"""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from typing import Any

from benhan.base.clock import local_date
from benhan.base.errors import Conflict, NeighbourFailed, RuleViolation
from benhan.base.json_door import loads_object
from benhan.catalogue import systems
from benhan.forms import PrintedEntry, compute
from benhan.forms import get as get_form
from benhan.forms import response as form_response
from benhan.records.cases import case
from benhan.records.contents import document_bundle, manifest
from benhan.records.documents import blob_of, put_paper, render
from benhan.records.facts import form_of
from benhan.records.frozen import Sealing, freeze, frozen_parts, locked, sealing, signed
from benhan.records.guard import passing
from benhan.records.ink import ink_pdf, signature_element, waiting
from benhan.records.proposals import defaults
from benhan.records.results import enter_result
from benhan.records.sealing import finish_sealing
from benhan.records.shapes import fact, id_of, late, staff_ref, with_extensions
from benhan.records.signatures import WAITING, signing_provenance
from benhan.records.states import transition
from benhan.records.steps import step
from benhan.records.types import (
    Addendum,
    AddendumDone,
    Authorize,
    Case,
    ResultInput,
    SignWith,
    Staff,
)
from benhan.store import Repository, Stored

ADDENDUM_FORM = "36/BV2"
_ADDENDUM = "bo-sung"
_PAPER, _TEXT = "to.pdf", "bo-sung.json"


async def add_addendum(
    repo: Repository,
    encounter_id: str,
    addendum: Addendum,
    sign: SignWith,
    seal: SignWith,
    *,
    authorize: Authorize,
) -> AddendumDone:
    """All three steps in one go.

    Raises: ``Conflict`` (records.transition-forbidden) when the record is not closed; ``RuleViolation``
    records.reason-needed, records.empty-entry.
    """
    begun = await start_addendum(repo, encounter_id, addendum, sign.staff, authorize=authorize)
    response, made = await sign_addendum(repo, begun, sign, authorize=authorize)
    container = await finish_sealing(repo, await sealing(repo, begun.id), seal)
    return AddendumDone(response, made, container)


async def start_addendum(
    repo: Repository, encounter_id: str, addendum: Addendum, signer: Staff, *, authorize: Authorize
) -> Sealing:
    """Make the paper that will be signed, and freeze it. Nothing of the record changes yet."""
    if not addendum.text.strip():
        raise RuleViolation("records.empty-entry", "Nội dung bổ sung đang trống.", expression="text")
    if (addendum.order_id is None) != (addendum.result is None):
        raise RuleViolation(
            "records.addendum-order", "Kết quả muộn phải đi cùng chỉ định.", expression="order_id"
        )
    async with repo.transaction() as tx:
        before = await case(tx, encounter_id)
        authorize(transition(before.state, "addend", addendum.reason).permission, before.khoa)
        await _check_order(tx, encounter_id, addendum)
        pdf = await _paper(tx, before, addendum, signer, tx.clock.now())
        return await freeze(tx, encounter_id, "addend", "to-sign", {_PAPER: pdf, _TEXT: _to_json(addendum)})


async def sign_addendum(
    repo: Repository, begun: Sealing, sign: SignWith, *, authorize: Authorize
) -> tuple[Stored, Stored]:
    """The author signs the frozen paper; then, in one transaction, what was signed is appended.

    Returns the response and its ``Provenance``; the volume waits for the seal.
    """
    parts = await frozen_parts(repo, begun, "to-sign")
    addendum, encounter_id = _from_json(parts[_TEXT]), begun.encounter_id
    pdf = await ink_pdf(parts[_PAPER], sign, field="ky_bo_sung", reason=addendum.reason)
    missing = waiting(pdf, sign, repo.clock.now(), pdf=True)
    if WAITING in missing:
        raise NeighbourFailed(
            "signing.tsa-away", "Ghi bổ sung cần dấu thời gian ngay; dịch vụ không trả lời, hãy thử lại."
        )
    if missing:
        raise NeighbourFailed(
            "signing.revocation-away",
            "Ghi bổ sung cần trạng thái chứng thư ngay; nơi cấp không trả lời, hãy thử lại.",
        )
    with passing(encounter_id):
        async with repo.transaction() as tx:
            await locked(tx, begun.id, "to-sign")
            now, before = tx.clock.now(), await case(tx, encounter_id)
            late_parts = await _late_result(tx, encounter_id, addendum)
            response = await _write(tx, before, addendum)
            document = await put_paper(
                tx, form_of(response.data), response, pdf, author=staff_ref(sign.staff), before=None
            )
            element = signature_element(sign, now, content="application/pdf")
            made = await tx.create(
                signing_provenance(sign, response, document, now, element, {"sha256": blob_of(document.data)})
            )
            here = await step(tx, encounter_id, "addend", authorize=authorize, reason=addendum.reason)
            found = [response, *late_parts, document, made]
            files = {f"giay/bo-sung_{response.id}.pdf": pdf}
            files["bo-sung.json"] = document_bundle(found, now, here.so_benh_an or here.ma_lk)
            files["muc-luc.json"] = manifest(files, found, here, now, systems.DOC_ADDENDUM)
            await signed(tx, begun, files)
    await repo.store.blobs.destroy(begun.frozen)
    return response, made


def _to_json(addendum: Addendum) -> bytes:
    def plain(value: Any) -> Any:
        return {"decimal": str(value)} if isinstance(value, Decimal) else value.isoformat()

    return json.dumps(asdict(addendum), default=plain, ensure_ascii=False).encode()


def _from_json(data: bytes) -> Addendum:
    given = loads_object(data)
    result = given.pop("result")
    if result is not None:
        value = result.pop("value")
        result = ResultInput(
            value=Decimal(value["decimal"]) if isinstance(value, dict) else value,
            performed=datetime.fromisoformat(result.pop("performed")),
            performer=Staff(**result.pop("performer")),
            taken=_moment(result.pop("taken")),
            **result,
        )
    return Addendum(
        happened=datetime.fromisoformat(given.pop("happened")),
        author=Staff(**given.pop("author")),
        result=result,
        **given,
    )


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


async def _check_order(tx: Repository, encounter_id: str, addendum: Addendum) -> None:
    if addendum.order_id is not None:
        order = await tx.read("ServiceRequest", addendum.order_id)
        if id_of(order.data["encounter"]) != encounter_id:
            raise Conflict("records.other-record", "Chỉ định thuộc hồ sơ khác.")


async def _late_result(tx: Repository, encounter_id: str, addendum: Addendum) -> list[Stored]:
    if addendum.order_id is None or addendum.result is None:
        return []
    await _check_order(tx, encounter_id, addendum)
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


async def _paper(tx: Repository, here: Case, addendum: Addendum, signer: Staff, now: datetime) -> bytes:
    form = get_form(ADDENDUM_FORM, local_date(now))
    row = {"ngay_gio": addendum.happened.replace(microsecond=0).isoformat(), "dien_bien": _text(addendum)}
    head = await defaults(tx, here.encounter_id, ADDENDUM_FORM)
    entries = [PrintedEntry(row, signer.name, now, "Ghi bổ sung")]
    printed = await render(
        tx, form, here.encounter_id, head, entries=entries, printed_at=now, mark="GHI BỔ SUNG"
    )
    return printed.pdf
