"""Signing a paper: what the signer sees is frozen, and exactly those bytes get the signature.

``show_paper`` makes (or finds) the print that waits for the next signature and gives its SHA-256, the what-you-see hash;
``shown_pdf`` gives its bytes; ``sign_paper`` with that hash signs those bytes and no others: PAdES adds behind them, so
the signed file begins with what was seen. Without a hash the print is made when it is signed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from benhan.base.clock import local
from benhan.base.errors import Conflict, Issue, NotFound, RuleViolation
from benhan.forms import Form, SignaturePlace, answers, check
from benhan.records.cases import case
from benhan.records.delegation import Delegation, signing_for
from benhan.records.documents import (
    BOXES,
    blob_of,
    boxes_text,
    content_of,
    document_of,
    place_of,
    put_paper,
    render,
)
from benhan.records.extraction import extract
from benhan.records.facts import form_of
from benhan.records.ink import ink_pdf, signature_element, waiting
from benhan.records.returning import returned
from benhan.records.shapes import connection, fact_of, id_of, staff_ref, with_extensions
from benhan.records.signatures import may_sign, next_order, provenances, signatures_of, signing_provenance
from benhan.records.signers import is_patients, needs_licence
from benhan.records.types import Authorize, ByHand, JsonObject, Signature, SignWith
from benhan.records.waiting import note_waiting
from benhan.signing import Place
from benhan.store import Repository, Stored

#: fact of a signature's ``Provenance``: SHA-256 of the bytes that were shown and signed
SEEN = "sha256-da-xem"
#: a print that nobody has signed is made anew after this time: it says when it was printed
KEEP = timedelta(hours=12)
_FIND = (
    "select sha256, boxes, at from record_shown where tenant = %s and response_id = %s and version = %s"
    " and standing = %s and (%s::text is null or sha256 = %s) order by at desc limit 1"
)
_PUT = (
    "insert into record_shown (tenant, response_id, sha256, encounter_id, version, standing, boxes, at, actor)"
    " values (%s, %s, %s, %s, %s, %s, %s, %s, %s) on conflict do nothing"
)
_DROP = "delete from record_shown where tenant = %s and response_id = %s and (at < %s or %s) returning sha256"
_KEPT = "select from record_shown where tenant = %s and sha256 = %s limit 1"
_OF_RECORD = "select sha256 from record_shown where tenant = %s and encounter_id = %s"
_SHOWN = "select from record_shown where tenant = %s and response_id = %s and sha256 = %s"


@dataclass(frozen=True, slots=True)
class Shown:
    """What waits for the next signature on a paper: the SHA-256 (hex) of its PDF is what the signer sees and signs."""

    response_id: str
    version: int
    sha256: str
    boxes: str


@dataclass(frozen=True, slots=True)
class _Paper:
    """A paper read for signing. ``kept``: its document already bears signatures of this version."""

    stored: Stored
    form: Form
    encounter_id: str
    found: list[Signature]
    before: Stored | None
    kept: bool
    returned: bool

    @property
    def standing(self) -> str:
        """The signatures that stand, as one text."""
        return ",".join(s.provenance_id for s in self.found if s.standing)


async def _read(repo: Repository, response_id: str) -> _Paper:
    stored = await repo.read("QuestionnaireResponse", response_id)
    encounter_id = id_of(stored.data["encounter"])
    acts = await provenances(repo, stored)
    found = await signatures_of(repo, stored, acts)
    before = await document_of(repo, encounter_id, response_id)
    kept = before is not None and fact_of(before.data, "ban-cua-to") == str(stored.version)
    # the print of a signature without value is not signed on: its field is taken
    kept = kept and not any(s.void_since and s.version == stored.version for s in found)
    back = returned(acts, stored.version) is not None
    return _Paper(stored, form_of(stored.data), encounter_id, found, before, kept, back)


async def show_paper(repo: Repository, response_id: str) -> Shown:
    """Freeze what the next signer will sign; the same answer until the paper or its signatures change.

    Raises: ``RuleViolation`` (records.form-incomplete): what is not fit to be signed is not shown for it.
    """
    paper = await _read(repo, response_id)
    refuse_incomplete(paper.form, answers(paper.form, paper.stored.data))
    if paper.kept and paper.before is not None:
        return Shown(
            response_id,
            paper.stored.version,
            blob_of(paper.before.data),
            fact_of(paper.before.data, BOXES),
        )
    now = repo.clock.now()
    known = await _frozen(repo, paper)
    if known is not None and now - known[2] < KEEP:
        return Shown(response_id, paper.stored.version, known[0], known[1])
    pdf, boxes = await _print(repo, paper, now)
    sha256 = await repo.store.blobs.put(pdf)
    async with repo.transaction() as tx:
        values = (
            tx.ctx.tenant, response_id, sha256, paper.encounter_id, paper.stored.version, paper.standing, boxes, now,
            tx.ctx.actor.reference,
        )  # fmt: skip
        await connection(tx).execute(_PUT, values)
    await _forget(repo, response_id, older_than=now - KEEP)
    return Shown(response_id, paper.stored.version, sha256, boxes)


async def _frozen(
    repo: Repository, paper: _Paper, sha256: str | None = None
) -> tuple[str, str, datetime] | None:
    values = (
        repo.ctx.tenant,
        paper.stored.id,
        paper.stored.version,
        paper.standing,
        sha256,
        sha256,
    )
    async with repo.transaction() as tx:
        row = await (await connection(tx).execute(_FIND, values)).fetchone()
    return None if row is None else (row[0], row[1], row[2])


async def _forget(repo: Repository, response_id: str, older_than: datetime, *, every: bool = False) -> None:
    """Drop prints that nobody will sign any more, with their bytes."""
    async with repo.transaction() as tx:
        values = (tx.ctx.tenant, response_id, older_than, every)
        gone = [row[0] for row in await (await connection(tx).execute(_DROP, values)).fetchall()]
        kept = [h for h in gone if await (await connection(tx).execute(_KEPT, (tx.ctx.tenant, h))).fetchone()]
    for sha256 in set(gone) - set(kept):
        await repo.store.blobs.destroy(sha256)


async def shown_pdf(repo: Repository, response_id: str, sha256: str) -> bytes:
    """The exact bytes behind a what-you-see hash of a paper. Raises: ``NotFound`` (records.not-shown)."""
    paper = await _read(repo, response_id)
    kept = paper.before is not None and blob_of(paper.before.data) == sha256
    if not kept:
        async with repo.transaction() as tx:
            values = (tx.ctx.tenant, response_id, sha256)
            kept = await (await connection(tx).execute(_SHOWN, values)).fetchone() is not None
    if not kept:
        raise NotFound("records.not-shown", "Bản in này không còn: tờ đã có bản mới hoặc đã ký.")
    return await repo.store.blobs.get(sha256)


async def shown_files(repo: Repository, encounter_id: str) -> list[str]:
    """Hashes of all prints of a record that were shown and never signed."""
    async with repo.transaction() as tx:
        rows = await (await connection(tx).execute(_OF_RECORD, (tx.ctx.tenant, encounter_id))).fetchall()
    return [row[0] for row in rows]


async def sign_paper(
    repo: Repository,
    response_id: str,
    sign: SignWith,
    *,
    authorize: Authorize,
    shown: str | None = None,
    hand: ByHand | None = None,
) -> Stored:
    """Sign the present version in a role of the form: PDF → PAdES → blob, ``DocumentReference``, ``Provenance``.

    The form's order of signers is kept; for another only under a delegation of these days (ký thay). Printing and
    signing happen before the writing transaction opens. ``shown``: the what-you-see hash; those bytes are signed or nothing is.

    ``hand``: in a place of the patient, what he drew; ``sign`` is then the witness, whose signature covers the picture.

    Raises: ``RuleViolation`` (records.not-your-turn, records.patients-place, records.no-licence, records.form-incomplete);
    ``Conflict`` (records.paper-returned, records.changed-since-shown, records.changed-while-signing); ``NotAllowed`` of
    ``authorize``.
    """
    paper = await _read(repo, response_id)
    stored, form = paper.stored, paper.form
    place = may_sign(form, paper.found, sign.role)
    if place is None:
        raise RuleViolation(
            "records.not-your-turn", "Chưa đến lượt ký, hoặc vai trò này đã ký.", expression="role"
        )
    if is_patients(place) is (hand is None):
        raise RuleViolation(
            "records.patients-place", "Chỗ này người bệnh hoặc thân nhân ký tay, có nhân viên chứng kiến.",
            expression="role",
        )  # fmt: skip
    if needs_licence(place) and not sign.staff.licence:
        raise RuleViolation(
            "records.no-licence", "Chưa có giấy phép hành nghề: người hướng dẫn ký tờ này.", expression="role"
        )
    if paper.returned:
        raise Conflict("records.paper-returned", "Giấy đã bị trả lại, chờ người lập sửa.")
    khoa, permission = (await case(repo, paper.encounter_id)).khoa, place.permission or "form.sign"
    behalf = await signing_for(repo, sign.staff.reference, permission, form.code, khoa, authorize=authorize)
    title = place.title if behalf is None else f"{place.title} (ký thay {behalf.from_name})"
    refuse_incomplete(form, answers(form, stored.data))
    now = repo.clock.now()
    base, boxes = await _base(repo, paper, now, shown)
    where = place_of(boxes, place.role)
    if hand is None:
        told = sign.reason or title
        signed = await ink_pdf(base, sign, field=field_name(place), reason=told, place=where, role=title)
    else:
        signed = await _witnessed(base, sign, place, where, hand)
    made = await _put(repo, paper, sign, signed, boxes, now, hashlib.sha256(base).hexdigest(), behalf, hand)
    await _forget(repo, response_id, now, every=True)
    return made


async def _witnessed(
    base: bytes, sign: SignWith, place: SignaturePlace, where: Place | None, hand: ByHand
) -> bytes:
    """The picture in its place, covered by the witness's signature, which names the picture's hash."""
    who = f"{hand.name} ({hand.relation})" if hand.relation else hand.name
    reason = f"{place.title}: {who} ký tay lúc {local(hand.drawn_at):%H:%M %d/%m/%Y}, SHA-256 của hình {hand.sha256}"
    return await ink_pdf(
        base, sign, field=field_name(place), reason=reason, place=where, role=f"Chứng kiến: {sign.staff.name}", name=who,
        drawing=hand.picture,
    )  # fmt: skip


async def _put(
    repo: Repository,
    paper: _Paper,
    sign: SignWith,
    signed: bytes,
    boxes: str,
    now: datetime,
    seen: str,
    behalf: Delegation | None,
    hand: ByHand | None,
) -> Stored:
    """The writing transaction of a signature."""
    before = paper.before
    async with repo.transaction() as tx:
        current = await tx.read("QuestionnaireResponse", paper.stored.id)
        if current.version != paper.stored.version:
            raise Conflict("records.changed-while-signing", "Tờ đã thay đổi trong lúc ký, hãy ký lại.")
        resource = current
        if current.data["status"] == "in-progress":
            resource = await tx.update({**current.data, "status": "completed"}, if_match=current.version)
        document = await put_paper(
            tx,
            paper.form,
            resource,
            signed,
            author=staff_ref(sign.staff),
            before=before,
            boxes=boxes,
            anew=not paper.kept,
        )
        element = signature_element(sign, now, content="application/pdf")
        known = {
            "sha256": blob_of(document.data),
            "sha256-truoc": blob_of(before.data) if before and paper.kept else "",
            SEEN: seen,
            **waiting(signed, sign, now, pdf=True),
            "uy-quyen": str(behalf.id) if behalf else "",
            **(
                {"ky-tay": hand.sha256, "ky-tay-may": hand.device, "ky-tay-giay-to": hand.number}
                if hand
                else {}
            ),
        }
        signed_by = signing_provenance(sign, resource, document, now, element, known)
        if hand is not None:
            _by_hand(signed_by, resource.data["subject"], hand)
        if behalf is not None:
            signed_by["agent"][0]["onBehalfOf"] = {
                "reference": behalf.from_staff,
                "display": behalf.from_name,
            }
        made = await tx.create(with_extensions(signed_by, await next_order(tx, resource)))
        await note_waiting(tx, made, paper.encounter_id)
        await extract(tx, resource, sign.staff)
        return made


def _by_hand(signed_by: JsonObject, patient: JsonObject, hand: ByHand) -> None:
    """The one who drew stands first, the signer of the bytes behind him as the witness (FHIR provenance-agent-type)."""
    witness = signed_by["agent"][0]
    role = witness.pop("role", [])
    drawn: JsonObject = {"role": role, "who": {**patient, "display": hand.name}}
    if hand.relation:
        drawn = {"role": role, "who": {"display": f"{hand.name} ({hand.relation})"}, "onBehalfOf": patient}
    coding = {
        "system": "http://terminology.hl7.org/CodeSystem/provenance-participant-type",
        "code": "verifier",
    }
    signed_by["agent"] = [drawn, {**witness, "type": {"coding": [coding], "text": "Chứng kiến"}}]


async def _base(repo: Repository, paper: _Paper, now: datetime, shown: str | None) -> tuple[bytes, str]:
    """The PDF to sign and its boxes: what was shown; else the one with the earlier signatures, else a fresh print.

    Raises: ``Conflict`` (records.changed-since-shown).
    """
    if paper.kept and paper.before is not None:
        if shown not in (None, blob_of(paper.before.data)):
            raise _changed()
        return await content_of(repo, paper.before.data), fact_of(paper.before.data, BOXES)
    if shown is None:
        return await _print(repo, paper, now)
    known = await _frozen(repo, paper, shown)
    if known is None:
        raise _changed()
    return await repo.store.blobs.get(known[0]), known[1]


def _changed() -> Conflict:
    return Conflict("records.changed-since-shown", "Tờ đã thay đổi sau khi bạn xem; xem lại rồi ký.")


async def _print(repo: Repository, paper: _Paper, now: datetime) -> tuple[bytes, str]:
    """A fresh print; it names those who signed an earlier version whose answers still stand."""
    given = answers(paper.form, paper.stored.data)
    printed = await render(
        repo, paper.form, paper.encounter_id, given, signatures=paper.found, printed_at=now, electronic=True
    )
    return printed.pdf, boxes_text(printed)


def field_name(place: SignaturePlace) -> str:
    """Name of the signature field of a role in the PDF."""
    return f"ky_{place.role}"


def refuse_incomplete(form: Form, given: Mapping[str, Any]) -> None:
    """All that is missing for a signature, at once. Raises: ``RuleViolation`` (records.form-incomplete)."""
    faults = [f for f in check(form, given, at="sign") if f.severity == "error"]
    if faults:
        issues = [Issue("records.form-incomplete", f.text, f.link_id) for f in faults]
        raise RuleViolation("records.form-incomplete", "Tờ chưa đủ để ký: " + faults[0].text, issues=issues)
