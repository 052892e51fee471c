"""Many papers, one PIN: what somebody chose to sign, paper by paper, each over what was shown; gone on with after a stop.

A batch keeps which papers and which hashes, never the PIN or the key. Each paper is signed by ``sign_paper`` (a line by
``sign_entry``) for itself: one that changed is refused alone, with its sentence. When the signer or a service is away the
rest waits; a stop in between (restart, power) leaves no doubt: what bears the signature over the shown hash is done.
Where the key is elsewhere, a batch has two phases (:mod:`benhan.records.sign_far`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from benhan.base.errors import BenhanError, Conflict, NotFound
from benhan.base.ids import new_uuid
from benhan.records.paper_signing import SEEN, sign_paper
from benhan.records.shapes import connection, fact_of, id_of
from benhan.records.sheets import sign_entry
from benhan.records.signatures import SIGN, VOID, WITHDRAW, activity, provenances
from benhan.records.types import Authorize, SignWith
from benhan.signing import SIGNER_FAULTS
from benhan.store import Repository, Stored

log = logging.getLogger("benhan.records")
#: a batch without a sign of life for so long has stopped
ALIVE = timedelta(seconds=30)
MOST = 200
_NEW = "insert into record_sign_batch (tenant, id, actor, at, beat_at) values (%s, %s, %s, %s, %s)"
_ADD = (
    "insert into record_sign_item (tenant, batch, seq, encounter_id, response_id, role, is_entry, shown)"
    " values (%s, %s, %s, %s, %s, %s, %s, %s)"
)
_READ = (
    "select id, actor, at, beat_at, note from record_sign_batch where tenant = %s and id = %s and actor = %s"
)
_OPEN = (
    "select b.id from record_sign_batch b where b.tenant = %s and b.actor = %s and exists (select from record_sign_item i"
    " where i.tenant = b.tenant and i.batch = b.id and i.stage = 'waiting') order by b.at desc limit 20"
)
_ITEMS = (
    "select seq, encounter_id, response_id, role, is_entry, shown, stage, code, sentence, provenance_id, ended_at"
    " from record_sign_item where tenant = %s and batch = %s order by seq"
)
_BEAT = "update record_sign_batch set beat_at = %s, note = %s where tenant = %s and id = %s"
_CLAIM = (
    "update record_sign_batch set beat_at = %s, note = '' where tenant = %s and id = %s and actor = %s and beat_at < %s"
    " returning id"
)
_END = (
    "update record_sign_item set stage = %s, code = %s, sentence = %s, provenance_id = %s, ended_at = %s"
    " where tenant = %s and batch = %s and seq = %s"
)


@dataclass(frozen=True, slots=True)
class Chosen:
    """One ticked paper: what, in which role, and the what-you-see hash that stood beside it."""

    response_id: str
    shown: str
    role: str = ""
    is_entry: bool = False


@dataclass(frozen=True, slots=True)
class SignItem:
    """One paper of a batch. ``stage``: waiting, signed, refused (with ``code`` and ``sentence``)."""

    seq: int
    encounter_id: str
    response_id: str
    role: str
    is_entry: bool
    shown: str
    stage: str
    code: str
    sentence: str
    provenance_id: str | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class SignBatch:
    """What one person signs with one PIN. ``note``: why it stopped before its end."""

    id: UUID
    actor: str
    at: datetime
    beat_at: datetime
    note: str
    items: tuple[SignItem, ...]

    @property
    def waiting(self) -> int:
        """How many papers are neither signed nor refused."""
        return sum(i.stage == "waiting" for i in self.items)

    def running(self, now: datetime) -> bool:
        """True while a process is at it."""
        return self.waiting > 0 and not self.note and now - self.beat_at < ALIVE


async def begin_batch(repo: Repository, chosen: Sequence[Chosen]) -> SignBatch:
    """Write down what is to be signed, before the first signature.

    Raises: ``Conflict`` (records.nothing-chosen, records.too-many-chosen).
    """
    if not chosen:
        raise Conflict("records.nothing-chosen", "Chưa chọn giấy nào để ký.")
    if len(chosen) > MOST:
        raise Conflict("records.too-many-chosen", f"Mỗi lần ký nhiều nhất {MOST} giấy.")
    async with repo.transaction() as tx:
        made, now = new_uuid(clock=tx.clock), tx.clock.now()
        tenant, actor = tx.ctx.tenant, tx.ctx.actor.reference
        await connection(tx).execute(_NEW, (tenant, made, actor, now, now))
        for seq, one in enumerate(chosen, 1):
            paper = await tx.read("QuestionnaireResponse", one.response_id)
            values = (
                tenant, made, seq, id_of(paper.data["encounter"]), one.response_id, one.role, one.is_entry, one.shown,
            )  # fmt: skip
            await connection(tx).execute(_ADD, values)
    return await sign_batch(repo, made)


async def sign_batch(repo: Repository, batch_id: UUID) -> SignBatch:
    """One's own batch as it stands now. Raises: ``NotFound`` (records.no-such-batch)."""
    async with repo.transaction() as tx:
        values = (tx.ctx.tenant, batch_id, tx.ctx.actor.reference)
        row = await (await connection(tx).execute(_READ, values)).fetchone()
        if row is None:
            raise NotFound("records.no-such-batch", "Không có lần ký này.")
        items = await (await connection(tx).execute(_ITEMS, (tx.ctx.tenant, batch_id))).fetchall()
    made, actor, at, beat_at, note = row
    return SignBatch(made, actor, at, beat_at, note, tuple(SignItem(*i) for i in items))


async def stopped_batches(repo: Repository) -> list[SignBatch]:
    """One's own batches that stopped before their end, the newest first."""
    async with repo.transaction() as tx:
        values = (tx.ctx.tenant, tx.ctx.actor.reference)
        rows = await (await connection(tx).execute(_OPEN, values)).fetchall()
        found = [await sign_batch(tx, row[0]) for row in rows]
    return [b for b in found if not b.running(repo.clock.now())]


async def claim_batch(repo: Repository, batch_id: UUID) -> SignBatch:
    """Take a stopped batch up again. Raises: ``Conflict`` (records.batch-running); ``NotFound``."""
    found = await sign_batch(repo, batch_id)
    now = repo.clock.now()
    async with repo.transaction() as tx:
        before = now + timedelta(days=1) if found.note else now - ALIVE
        values = (now, tx.ctx.tenant, batch_id, tx.ctx.actor.reference, before)
        if await (await connection(tx).execute(_CLAIM, values)).fetchone() is None:
            raise Conflict("records.batch-running", "Lần ký này đang chạy.")
    return await sign_batch(repo, batch_id)


def stops(refused: BenhanError) -> bool:
    """Whether a refusal is for the whole batch: a service is away, or the signer's token, key or certificate fails."""
    return refused.status >= 500 or refused.code in SIGNER_FAULTS


async def run_batch(
    repo: Repository, batch_id: UUID, signing: Callable[[str], SignWith], *, authorize: Authorize
) -> SignBatch:
    """Sign what waits, one after the other. ``signing``: how this person signs in a role.

    A paper that is refused is noted and the others go on; when a service is away (5xx), or the
    signer's token, key or certificate fails, this and the rest are left waiting.
    """
    for item in (await sign_batch(repo, batch_id)).items:
        if item.stage != "waiting":
            continue
        await beat(repo, batch_id)
        try:
            made = await sign_item(repo, item, signing(item.role), authorize)
        except BenhanError as refused:
            if stops(refused):
                await beat(repo, batch_id, refused.text)
                break
            await end_item(repo, batch_id, item, "refused", refused.code, refused.text)
        except Exception:
            log.exception("signing stopped")
            await beat(repo, batch_id, "Việc ký dừng lại vì lỗi; nhập PIN để ký tiếp.")
            raise
        else:
            await end_item(repo, batch_id, item, "signed", provenance=made.id)
    return await sign_batch(repo, batch_id)


async def sign_item(repo: Repository, item: SignItem, sign: SignWith, authorize: Authorize) -> Stored:
    """Sign one paper or line of a batch; what bears this person's signature over the shown hash already is done."""
    done = await _signed_before(repo, item, sign.staff.reference)
    if done is not None:
        return done
    if item.is_entry:
        return await sign_entry(repo, item.response_id, sign, authorize=authorize, shown=item.shown)
    return await sign_paper(repo, item.response_id, sign, authorize=authorize, shown=item.shown)


async def _signed_before(repo: Repository, item: SignItem, staff: str) -> Stored | None:
    """The signature of this person over the shown hash, made just before a stop."""
    name = "sha256" if item.is_entry else SEEN
    acts = await provenances(repo, await repo.read("QuestionnaireResponse", item.response_id))
    withdrawn = {fact_of(a.data, "chu-ky") for a in acts if activity(a.data) == WITHDRAW}
    for act in acts:
        mine = act.data["agent"][0]["who"].get("reference") == staff and fact_of(act.data, name) == item.shown
        void = act.id in withdrawn or fact_of(act.data, VOID)
        if mine and activity(act.data) == SIGN and not void:
            return act
    return None


async def beat(repo: Repository, batch_id: UUID, note: str = "") -> None:
    """A sign of life of whoever signs; ``note``: why it stops before its end."""
    async with repo.transaction() as tx:
        await connection(tx).execute(_BEAT, (tx.clock.now(), note, tx.ctx.tenant, batch_id))


async def end_item(
    repo: Repository,
    batch_id: UUID,
    item: SignItem,
    stage: str,
    code: str = "",
    sentence: str = "",
    provenance: str | None = None,
) -> None:
    """Write down what became of one paper."""
    async with repo.transaction() as tx:
        values = (stage, code, sentence, provenance, tx.clock.now(), tx.ctx.tenant, batch_id, item.seq)
        await connection(tx).execute(_END, values)
