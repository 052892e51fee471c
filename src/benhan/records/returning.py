"""A signer sends a paper back to its author, with the reason; the author mends it or sends it again with an answer.

Both are acts of their own (``Provenance``), kept for ever. While a paper is returned nobody signs it; a new version of it,
or the author's answer, puts it back where it was in the order of signers. Source: practice A3.
"""

from __future__ import annotations

from collections.abc import Sequence

from benhan.base.errors import Conflict, NotAllowed, RuleViolation
from benhan.records.cases import locked_case
from benhan.records.delegation import signing_for
from benhan.records.facts import form_of
from benhan.records.shapes import id_of, instant, must, ref, with_extensions
from benhan.records.signatures import (
    activity,
    next_order,
    next_place,
    provenance,
    provenances,
    signatures_of,
    signed_version,
)
from benhan.records.types import Authorize, Returned, Staff
from benhan.store import Repository, Stored

RETURN, RESEND = "tra-lai", "gui-lai"


def returned(acts: Sequence[Stored], version: int) -> Returned | None:
    """Who has sent this version of a paper back and why; None when it is not returned (pure)."""
    last = next((a for a in reversed(acts) if activity(a.data) in (RETURN, RESEND)), None)
    if last is None or activity(last.data) == RESEND or signed_version(last.data) != version:
        return None
    who = last.data["agent"][0]["who"]
    return Returned(
        who["reference"],
        who.get("display", ""),
        must(last.data["recorded"]),
        str(last.data["reason"][0]["text"]),
    )


async def return_paper(
    repo: Repository, response_id: str, staff: Staff, reason: str, *, authorize: Authorize
) -> Stored:
    """Send a paper that waits for one's signature back to its author.

    Raises: ``RuleViolation`` (records.reason-needed, records.not-your-turn); ``Conflict`` (records.paper-returned,
    records.own-paper); ``NotAllowed`` of ``authorize``: only whoever could sign now.
    """
    if not reason.strip():
        raise RuleViolation("records.reason-needed", "Bước này phải nêu lý do.", expression="reason")
    async with repo.transaction() as tx:
        stored = await tx.read("QuestionnaireResponse", response_id)
        form, here = form_of(stored.data), await locked_case(tx, id_of(stored.data["encounter"]))
        place = next_place(form, await signatures_of(tx, stored))
        if place is None:
            raise RuleViolation(
                "records.not-your-turn", "Chưa đến lượt ký, hoặc vai trò này đã ký.", expression="role"
            )
        await signing_for(
            tx,
            staff.reference,
            place.permission or "form.sign",
            form.code,
            here.khoa,
            authorize=authorize,
        )
        if stored.data.get("author", {}).get("reference") == staff.reference:
            raise Conflict("records.own-paper", "Giấy do bạn lập: sửa giấy, không cần trả lại.")
        if returned(await provenances(tx, stored), stored.version):
            raise Conflict("records.paper-returned", "Giấy đã bị trả lại, chờ người lập sửa.")
        made = await _act(tx, stored, RETURN, staff, place.role, reason)
        await tx.audit("paper-return", entity=f"QuestionnaireResponse/{response_id}", patient=here.patient_id)
        return made


async def resend_paper(repo: Repository, response_id: str, staff: Staff, answer: str) -> Stored:
    """The author sends a returned paper again as it is, with an answer.

    Raises: ``RuleViolation`` (records.reason-needed); ``NotAllowed`` (records.not-your-paper); ``Conflict``
    (records.not-returned).
    """
    if not answer.strip():
        raise RuleViolation("records.reason-needed", "Bước này phải nêu lý do.", expression="answer")
    async with repo.transaction() as tx:
        stored = await tx.read("QuestionnaireResponse", response_id)
        here = await locked_case(tx, id_of(stored.data["encounter"]))
        if stored.data.get("author", {}).get("reference") != staff.reference:
            raise NotAllowed("records.not-your-paper", "Chỉ người lập giấy gửi lại được.")
        if returned(await provenances(tx, stored), stored.version) is None:
            raise Conflict("records.not-returned", "Giấy không ở trạng thái bị trả lại.")
        made = await _act(tx, stored, RESEND, staff, "", answer)
        await tx.audit("paper-resend", entity=f"QuestionnaireResponse/{response_id}", patient=here.patient_id)
        return made


async def _act(tx: Repository, stored: Stored, kind: str, staff: Staff, role: str, reason: str) -> Stored:
    source = f"{stored.type}/{stored.id}/_history/{stored.version}"
    target = [ref(stored.type, stored.id)]
    resource = provenance(kind, target, staff, role, instant(tx.clock.now()), source)
    resource["reason"] = [{"text": reason.strip()}]
    return await tx.create(with_extensions(resource, await next_order(tx, stored)))


async def returns_of(repo: Repository, response_id: str) -> list[tuple[str, str, str]]:
    """Every return and answer of a paper, oldest first: kind, name, words."""
    stored = await repo.read("QuestionnaireResponse", response_id)
    return [
        (activity(a.data), a.data["agent"][0]["who"].get("display", ""), a.data["reason"][0]["text"])
        for a in await provenances(repo, stored)
        if activity(a.data) in (RETURN, RESEND)
    ]


__all__ = ["RESEND", "RETURN", "resend_paper", "return_paper", "returned", "returns_of"]
