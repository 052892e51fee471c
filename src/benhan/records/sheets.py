"""Running sheets (36/BV2 …): each line is a resource of its own, signed over its exact bytes; the sheet is a projection.

The head of the sheet and each line are ``QuestionnaireResponse`` of the same form; a line carries extension
``urn:benhan:sheet`` → its head. Adding a line touches no other line, so no earlier signature can be hurt.
"""

from __future__ import annotations

import base64
from datetime import datetime
from typing import Any

from benhan.base.clock import local_date
from benhan.base.errors import Conflict, NotFound, RuleViolation
from benhan.catalogue import systems
from benhan.forms import Form, Item, PrintedEntry, answers
from benhan.forms import response as form_response
from benhan.records.cases import case
from benhan.records.documents import blob_of, content_of, document_of, put_paper, render
from benhan.records.facts import form_of
from benhan.records.ink import ink_pdf, signature_element, waiting
from benhan.records.papers import open_paper
from benhan.records.shapes import (
    ext_value,
    fact,
    fact_of,
    id_of,
    late,
    late_reason_of,
    must,
    of_encounter,
    ref,
    staff_ref,
    with_extensions,
)
from benhan.records.signatures import UNASKED, VOID, WAITING, signing_provenance
from benhan.records.signed_bytes import byte_signature, last_signature, sign_bytes
from benhan.records.signers import supervised
from benhan.records.types import Authorize, Entry, JsonObject, SheetEntry, SignWith, Staff
from benhan.records.waiting import note_waiting
from benhan.store import Repository, Stored

_ENDED = "da-khoa-to"


async def open_sheet(
    repo: Repository, encounter_id: str, form_code: str, author: Staff, happened: datetime
) -> Stored:
    """Begin a running sheet; its *tờ số* counts on from the sheets before it."""
    async with repo.transaction() as tx:
        before = [s for s in await sheets(tx, encounter_id) if form_of(s.data).code == form_code]
        return await open_paper(tx, encounter_id, form_code, author, happened, {"to_so": len(before) + 1})


async def sheets(repo: Repository, encounter_id: str) -> list[Stored]:
    """Heads of the running sheets of the đợt, oldest first."""
    found = await of_encounter(repo, "QuestionnaireResponse", encounter_id)
    heads = [
        s
        for s in found
        if ext_value(s.data, systems.EXT_SHEET) is None
        and s.data["status"] != "entered-in-error"
        and not fact_of(s.data, "bo-sung")
        and is_sheet(form_of(s.data))
    ]
    return sorted(heads, key=lambda s: (s.data["authored"], s.id))


def is_sheet(form: Form) -> bool:
    """True for a form whose lines are signed one by one."""
    return any(p.per_entry for p in form.signatures)


async def add_entry(repo: Repository, sheet_id: str, entry: Entry) -> Stored:
    """Add a line. Raises: ``Conflict`` (records.sheet-ended); ``RuleViolation`` (records.empty-entry)."""
    async with repo.transaction() as tx:
        sheet = await tx.read("QuestionnaireResponse", sheet_id)
        if fact_of(sheet.data, _ENDED):
            raise Conflict("records.sheet-ended", "Tờ này đã khóa, hãy mở tờ mới.")
        extensions = await late(tx, entry.happened, entry.late_reason)
        return await tx.create(with_extensions(_entry(sheet, entry), *_marks(sheet), *extensions))


def _marks(sheet: Stored) -> list[JsonObject]:
    return [{"url": systems.EXT_SHEET, "valueReference": ref(sheet.type, sheet.id)}]


def _columns(form: Form) -> tuple[str, list[str]]:
    """LinkId of the table of lines and its columns: time, progress, orders … in the form's order."""
    table = next((i for i in form.answerable() if i.type == "table"), None)
    if table is None:
        raise NotFound("records.no-such-table", "Biểu mẫu này không có bảng theo dõi.")
    return table.link_id, [c.column for c in table.children if c.holds_answer]


def _when(column: Item, happened: datetime) -> str:
    """The moment of a line as its first column holds it: a day or a moment."""
    if column.type == "date":
        return local_date(happened).isoformat()
    return happened.replace(microsecond=0).isoformat()


def _entry(sheet: Stored, entry: Entry, entry_id: str | None = None) -> JsonObject:
    form = form_of(sheet.data)
    table, columns = _columns(form)
    row: dict[str, Any] = {columns[0]: _when(form.item(f"{table}.{columns[0]}"), entry.happened)}
    row |= {
        name: value
        for name, value in zip(columns[1:3], (entry.progress, entry.orders), strict=False)
        if value
    }
    row |= {name: value for name, value in entry.extra.items() if name in columns and value not in (None, "")}
    if len(row) == 1:
        raise RuleViolation("records.empty-entry", "Dòng theo dõi chưa có nội dung.", expression="progress")
    resource = form_response(
        form,
        {table: [row]},
        sheet.data["subject"]["reference"],
        sheet.data["encounter"]["reference"],
        entry.author.reference,
        entry.happened,
        entry_id,
        status="in-progress" if entry_id is None else "amended",
    )
    resource["author"] = staff_ref(entry.author)
    if entry_id is None:
        resource["status"] = "completed"
    return resource


async def sign_entry(
    repo: Repository, entry_id: str, sign: SignWith, *, authorize: Authorize, shown: str | None = None
) -> Stored:
    """Sign the exact bytes of the present version of a line (CMS, detached, in the ``Provenance``).

    ``shown``: SHA-256 of the bytes that were shown; those are signed or nothing is.
    A line is signed by its author; that of a trainee by a licensed person with the right to sign there.
    Raises: ``Conflict`` (records.entry-signed, records.changed-since-shown, records.changed-while-signing);
    ``RuleViolation`` (records.not-your-line).
    """
    entry = await repo.read("QuestionnaireResponse", entry_id)
    if shown not in (None, entry.sha256):
        raise Conflict("records.changed-since-shown", "Tờ đã thay đổi sau khi bạn xem; xem lại rồi ký.")
    place = next((p for p in form_of(entry.data).signatures if p.per_entry), None)
    khoa = (await case(repo, id_of(entry.data["encounter"]))).khoa
    authorize(place.permission if place and place.permission else "form.sign", khoa)
    author = entry.data.get("author", {})
    mine = author.get("reference") == sign.staff.reference
    if not (sign.staff.licence if supervised(author) else mine):
        raise RuleViolation(
            "records.not-your-line", "Dòng này do người ghi tự ký; dòng của học viên do người hướng dẫn ký."
        )
    role = sign.role or (place.role if place else "")
    return await sign_bytes(repo, entry, SignWith(sign.signer, sign.staff, role, sign.tsa, sign.reason))


async def amend_entry(repo: Repository, entry_id: str, entry: Entry, reason: str) -> Stored:
    """A new version of a line with its reason; the one before stays readable, the new one must be signed.

    Raises: ``RuleViolation`` (records.reason-needed); ``Conflict`` (records.sheet-ended).
    """
    if not reason.strip():
        raise RuleViolation("records.reason-needed", "Cần nêu lý do sửa dòng theo dõi.", expression="reason")
    async with repo.transaction() as tx:
        before = await tx.read("QuestionnaireResponse", entry_id)
        sheet = await tx.read("QuestionnaireResponse", sheet_of(before.data))
        if fact_of(sheet.data, _ENDED):
            raise Conflict("records.sheet-ended", "Tờ này đã khóa, hãy mở tờ mới.")
        extensions = await late(tx, entry.happened, entry.late_reason or reason)
        amendment = {"url": systems.EXT_AMENDMENT, "valueString": reason.strip()}
        resource = with_extensions(_entry(sheet, entry, entry_id), *_marks(sheet), *extensions, amendment)
        return await tx.update(resource, if_match=before.version)


def sheet_of(entry: JsonObject) -> str:
    """Id of the sheet a line belongs to, ``""`` for other papers."""
    return id_of(ext_value(entry, systems.EXT_SHEET))


async def entries(repo: Repository, sheet_id: str) -> list[SheetEntry]:
    """Lines of a sheet in the order in which things happened."""
    sheet = await repo.read("QuestionnaireResponse", sheet_id)
    form = form_of(sheet.data)
    table, _ = _columns(form)
    found = []
    for stored in await of_encounter(repo, "QuestionnaireResponse", id_of(sheet.data["encounter"])):
        if sheet_of(stored.data) != sheet_id or stored.data["status"] == "entered-in-error":
            continue
        last = await last_signature(repo, stored)
        facts = {} if last is None else last.data
        void = fact_of(facts, VOID)
        signature = None if void else last
        rows = answers(form, stored.data).get(table, [{}])
        author = stored.data.get("author", {})
        found.append(
            SheetEntry(
                stored.id, stored.version, must(stored.data["authored"]), author.get("reference", ""),
                author.get("display", ""), rows[0], _signer(signature), _signed_at(signature),
                late_reason_of(stored.data), stored.sha256, bool(fact_of(facts, WAITING)), bool(fact_of(facts, UNASKED)),
                must(void) if void else None, supervised(author),
            )
        )  # fmt: skip
    return sorted(found, key=lambda e: (e.happened, e.id))


def _signer(signature: Stored | None) -> str | None:
    return None if signature is None else str(signature.data["agent"][0]["who"].get("display", ""))


def _signed_at(signature: Stored | None) -> datetime | None:
    return None if signature is None else must(signature.data["recorded"])


async def entry_proof(repo: Repository, entry_id: str) -> tuple[bytes, bytes]:
    """Exact bytes of a line and the CMS signature over them. Raises: ``NotFound`` (records.entry-not-signed)."""
    entry = await repo.read("QuestionnaireResponse", entry_id)
    signature = await byte_signature(repo, entry)
    if signature is None:
        raise NotFound("records.entry-not-signed", "Dòng này chưa ký.")
    return entry.raw, base64.b64decode(signature.data["signature"][0]["data"])


async def print_sheet(repo: Repository, sheet_id: str) -> bytes:
    """The sheet as paper: every line with its signer and time; a signed sheet gives its signed PDF."""
    sheet = await repo.read("QuestionnaireResponse", sheet_id)
    encounter_id = id_of(sheet.data["encounter"])
    document = await document_of(repo, encounter_id, sheet_id)
    if document is not None and fact_of(sheet.data, _ENDED):
        return await content_of(repo, document.data)
    return await _print(repo, sheet)


async def _print(repo: Repository, sheet: Stored) -> bytes:
    printed = [
        PrintedEntry(
            e.values, e.signed_by, e.signed_at, f"Ghi bổ sung: {e.late_reason}" if e.late_reason else None
        )
        for e in await entries(repo, sheet.id)
    ]
    form = form_of(sheet.data)
    table, _ = _columns(form)
    head = {**answers(form, sheet.data), table: [dict(e.values) for e in printed]}
    printout = await render(repo, form, id_of(sheet.data["encounter"]), head, entries=printed)
    return printout.pdf


async def end_sheet(repo: Repository, sheet_id: str, sign: SignWith, *, authorize: Authorize) -> Stored:
    """End a sheet: no more lines; it is printed and signed as PDF.

    Raises: ``Conflict`` (records.sheet-ended, records.entries-unsigned).
    """
    sheet = await repo.read("QuestionnaireResponse", sheet_id)
    encounter_id = id_of(sheet.data["encounter"])
    authorize("form.sign", (await case(repo, encounter_id)).khoa)
    if fact_of(sheet.data, _ENDED):
        raise Conflict("records.sheet-ended", "Tờ này đã khóa.")
    if any(e.signed_by is None for e in await entries(repo, sheet_id)):
        raise Conflict("records.entries-unsigned", "Còn dòng chưa ký, chưa khóa được tờ.")
    pdf = await ink_pdf(await _print(repo, sheet), sign, field="ky_khoa_to", reason="Khóa tờ theo dõi")
    async with repo.transaction() as tx:
        now = tx.clock.now()
        ended = with_extensions({**sheet.data, "status": "completed"}, fact(_ENDED, now.isoformat()))
        stored = await tx.update(ended, if_match=sheet.version)
        document = await put_paper(
            tx, form_of(sheet.data), stored, pdf, author=staff_ref(sign.staff), before=None
        )
        element = signature_element(sign, now, content="application/pdf")
        role = SignWith(sign.signer, sign.staff, sign.role or "khoa_to", sign.tsa, sign.reason)
        known = {"sha256": blob_of(document.data), **waiting(pdf, sign, now, pdf=True)}
        made = await tx.create(signing_provenance(role, stored, document, now, element, known))
        await note_waiting(tx, made, encounter_id)
        return document
