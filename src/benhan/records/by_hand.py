"""Patients and relatives sign by hand: asked by staff for one paper, drawn on a tablet, witnessed and covered by staff.

The one who signs sees the exact PDF (its SHA-256 is what is signed). Kept: the picture (sealed), its hash, who, in what
relation, device, time, witness. Not kept: strokes, their order, speed or pressure. Source: Luật Giao dịch điện tử 2023,
Điều 22; Luật 91/2025 và NĐ 356/2025 (no biometric template); practice A3.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from benhan.base.errors import Conflict, NotFound, RuleViolation
from benhan.base.ids import new_uuid
from benhan.base.text import squeeze
from benhan.records.cases import case
from benhan.records.facts import form_of
from benhan.records.paper_signing import shown_pdf, sign_paper
from benhan.records.shapes import connection, id_of
from benhan.records.signatures import may_sign, signatures_of
from benhan.records.signers import is_patients
from benhan.records.types import Authorize, ByHand, SignWith, Staff
from benhan.signing import clean_png
from benhan.store import Repository, Store, Stored

#: how long the link serves, and how long a drawing waits for its witness
LIFE, WITNESS = timedelta(minutes=15), timedelta(hours=2)
MOST_NAME = 100
_COLUMNS = (
    "id, response_id, encounter_id, role, version, shown, witness, witness_name, asked_at, expires_at, state, name,"
    " relation, number, device, image, drawn_at"
)
_NEW = (
    "insert into record_hand (tenant, id, response_id, encounter_id, role, version, shown, token_sha256, witness,"
    " witness_name, asked_at, expires_at) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
)
_READ = f"select {_COLUMNS} from record_hand where tenant = %s and id = %s"  # noqa: S608 - constants only
_BY_TOKEN = f"select {_COLUMNS} from record_hand where tenant = %s and token_sha256 = %s"  # noqa: S608 - constants only
_DRAWN = (
    "update record_hand set state = 'drawn', name = %s, relation = %s, number = %s, device = %s, image = %s, drawn_at = %s"
    " where tenant = %s and id = %s and state = 'waiting' returning id"
)
_END = (
    "update record_hand set state = %s, provenance_id = %s where tenant = %s and id = %s"
    " and state in ('waiting', 'drawn') returning image"
)


@dataclass(frozen=True, slots=True)
class Hand:
    """One asking for a hand-drawn signature. ``state``: waiting, drawn, signed, dropped."""

    id: UUID
    response_id: str
    encounter_id: str
    role: str
    version: int
    shown: str
    witness: str
    witness_name: str
    asked_at: datetime
    expires_at: datetime
    state: str
    name: str
    relation: str
    number: str
    device: str
    image: str
    drawn_at: datetime | None


async def ask_hand(
    repo: Repository, response_id: str, role: str, shown: str, witness: Staff, *, authorize: Authorize
) -> tuple[Hand, str]:
    """Ask for a signature by hand in a patient's place; gives it and the token of the tablet's link.

    Raises: ``RuleViolation`` (records.not-your-turn); ``NotFound`` (records.not-shown).
    """
    stored = await repo.read("QuestionnaireResponse", response_id)
    encounter_id, form = id_of(stored.data["encounter"]), form_of(stored.data)
    authorize("form.sign", (await case(repo, encounter_id)).khoa)
    place = may_sign(form, await signatures_of(repo, stored), role)
    if place is None or not is_patients(place):
        raise RuleViolation(
            "records.not-your-turn", "Chưa đến lượt người bệnh ký, hoặc đã ký.", expression="role"
        )
    await shown_pdf(repo, response_id, shown)
    token, made, now = secrets.token_urlsafe(24), new_uuid(clock=repo.clock), repo.clock.now()
    async with repo.transaction() as tx:
        values = (
            tx.ctx.tenant, made, response_id, encounter_id, role, stored.version, shown, _hash(token), witness.reference,
            witness.name, now, now + LIFE,
        )  # fmt: skip
        await connection(tx).execute(_NEW, values)
    return await hand_of(repo, made), f"{repo.ctx.tenant.hex}.{token}"


async def hand_of(repo: Repository, hand_id: UUID) -> Hand:
    """One asking. Raises: ``NotFound`` (records.no-such-hand)."""
    async with repo.transaction() as tx:
        row = await (await connection(tx).execute(_READ, (tx.ctx.tenant, hand_id))).fetchone()
    if row is None:
        raise _gone()
    return Hand(*row)


async def hand_by_token(store: Store, token: str) -> tuple[Repository, Hand]:
    """What a tablet's link opens: this one asking, while it waits. Raises: ``NotFound`` (records.no-such-hand)."""
    tenant, _, secret = token.partition(".")
    try:
        repo = store.system_repo(UUID(hex=tenant))
    except ValueError:
        raise _gone() from None
    async with repo.transaction() as tx:
        row = await (await connection(tx).execute(_BY_TOKEN, (tx.ctx.tenant, _hash(secret)))).fetchone()
    if row is None:
        raise _gone()
    found = Hand(*row)
    if found.state != "waiting" or repo.clock.now() >= found.expires_at:
        raise _gone()
    return repo, found


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _gone() -> NotFound:
    return NotFound("records.no-such-hand", "Liên kết ký không còn dùng được. Hãy nhờ nhân viên mở lại.")


async def draw_hand(
    store: Store, token: str, png: bytes, *, name: str, relation: str, number: str, device: str
) -> Hand:
    """Take what was drawn; the link is used up. The paper must still be what was shown.

    Raises: ``RuleViolation`` (records.no-name); ``InvalidInput`` (signing.bad-drawing, signing.empty-drawing);
    ``Conflict`` (records.changed-since-shown); ``NotFound`` (records.no-such-hand).
    """
    repo, hand = await hand_by_token(store, token)
    who = squeeze(name)[:MOST_NAME]
    if not who:
        raise RuleViolation("records.no-name", "Ghi họ tên người ký.", expression="name")
    picture = clean_png(png)
    if (await repo.read("QuestionnaireResponse", hand.response_id)).version != hand.version:
        raise Conflict("records.changed-since-shown", "Giấy đã thay đổi; nhờ nhân viên mở lại bản mới.")
    image = await repo.store.blobs.put(picture)
    async with repo.transaction() as tx:
        values = (
            who, squeeze(relation)[:40], squeeze(number)[:20], device[:200], image, tx.clock.now(), tx.ctx.tenant, hand.id,
        )  # fmt: skip
        if await (await connection(tx).execute(_DRAWN, values)).fetchone() is None:
            raise _gone()
        patient = (await tx.read("QuestionnaireResponse", hand.response_id)).data["subject"]["reference"]
        await tx.audit(
            "hand-drawn", entity=f"QuestionnaireResponse/{hand.response_id}", patient=patient.split("/")[1],
            detail={"hand": str(hand.id), "witness": hand.witness, "sha256": image},
        )  # fmt: skip
    return await hand_of(repo, hand.id)


async def picture_of(repo: Repository, hand: Hand) -> bytes:
    """The picture, PNG. Raises: ``NotFound`` before anything was drawn."""
    if not hand.image:
        raise _gone()
    return await repo.store.blobs.get(hand.image)


async def witness_hand(repo: Repository, hand_id: UUID, sign: SignWith, *, authorize: Authorize) -> Stored:
    """The witness signs: the picture goes into its place on the very bytes that were shown.

    Raises: as ``sign_paper``; ``Conflict`` (records.not-drawn, records.other-witness).
    """
    hand = await hand_of(repo, hand_id)
    if hand.state != "drawn" or hand.drawn_at is None or repo.clock.now() >= hand.drawn_at + WITNESS:
        raise Conflict("records.not-drawn", "Người bệnh chưa ký, hoặc chữ ký đã chờ quá lâu; mở lại để ký.")
    if hand.witness != sign.staff.reference:
        raise Conflict("records.other-witness", "Chỉ người mở trang ký được xác nhận chứng kiến.")
    drawn = ByHand(
        await picture_of(repo, hand),
        hand.image,
        hand.name,
        hand.relation,
        hand.number,
        hand.device,
        hand.drawn_at,
    )
    role = SignWith(sign.signer, sign.staff, hand.role, sign.tsa, sign.reason)
    made = await sign_paper(repo, hand.response_id, role, authorize=authorize, shown=hand.shown, hand=drawn)
    async with repo.transaction() as tx:
        await connection(tx).execute(_END, ("signed", made.id, tx.ctx.tenant, hand.id))
    return made


async def drop_hand(repo: Repository, hand_id: UUID) -> None:
    """Give an asking up; what was drawn is destroyed."""
    async with repo.transaction() as tx:
        row = await (await connection(tx).execute(_END, ("dropped", None, tx.ctx.tenant, hand_id))).fetchone()
    if row is not None and row[0]:
        await repo.store.blobs.destroy(row[0])
