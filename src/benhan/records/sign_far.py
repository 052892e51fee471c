"""A batch whose key is elsewhere: all papers are prepared, the values come back later (perhaps after a restart), then finished.

First phase: each waiting paper goes the way of ``sign_paper`` up to the signature and stops there, with nothing written but
what is needed to finish. Last phase: the same way again with the value that came, over exactly what was prepared; a paper
that changed meanwhile is refused alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from uuid import UUID

from benhan.base.errors import BenhanError
from benhan.records.shapes import connection
from benhan.records.sign_batch import SignBatch, SignItem, beat, end_item, sign_batch, sign_item, stops
from benhan.records.types import Authorize, SignWith
from benhan.signing import AtTheToken, Prepared
from benhan.store import Repository

#: shown while the values are made elsewhere
NOTE = "Chờ chữ ký từ nơi giữ khóa."
_PUT = (
    "insert into record_sign_prepared (tenant, batch, seq, to_be_signed, state, at) values (%s, %s, %s, %s, %s, %s)"
    " on conflict do nothing"
)
_ALL = (
    "select seq, to_be_signed, state from record_sign_prepared where tenant = %s and batch = %s order by seq"
)
_DROP = "delete from record_sign_prepared where tenant = %s and batch = %s and seq = %s returning state"


@dataclass(frozen=True, slots=True)
class ToSign:
    """One paper of a batch, prepared."""

    seq: int
    prepared: Prepared


async def prepare_batch(
    repo: Repository,
    batch_id: UUID,
    signing: Callable[[str], SignWith],
    *,
    authorize: Authorize,
    goes_on: bool = False,
) -> list[ToSign]:
    """Prepare what waits and is not prepared yet. ``signing``: with a signer that raises `AtTheToken`.

    ``goes_on``: the caller gets the values itself at once; else the batch says that it waits for them.

    A paper that cannot be signed is refused alone, and what stops ``run_batch`` stops here too.
    """
    batch = await sign_batch(repo, batch_id)
    held, note = {one.seq for one in await _kept(repo, batch_id)}, "" if goes_on else NOTE
    for item in batch.items:
        if item.stage != "waiting" or item.seq in held:
            continue
        await beat(repo, batch_id)
        try:
            made = await sign_item(repo, item, signing(item.role), authorize)
        except AtTheToken as waiting:
            await _keep(repo, batch_id, item.seq, waiting.prepared)
        except BenhanError as refused:
            if stops(refused):
                note = refused.text
                break
            await end_item(repo, batch_id, item, "refused", refused.code, refused.text)
        else:  # it bore the signature already
            await end_item(repo, batch_id, item, "signed", provenance=made.id)
    await beat(repo, batch_id, note)
    return await prepared_of(repo, batch_id)


async def prepared_of(repo: Repository, batch_id: UUID) -> list[ToSign]:
    """What of one's own batch is to be signed elsewhere. Raises: ``NotFound`` (records.no-such-batch)."""
    waiting = {i.seq for i in (await sign_batch(repo, batch_id)).items if i.stage == "waiting"}
    return [one for one in await _kept(repo, batch_id) if one.seq in waiting]


async def finish_batch(
    repo: Repository,
    batch_id: UUID,
    values: Mapping[int, bytes],
    signing: Callable[[str, Prepared, bytes], SignWith],
    *,
    authorize: Authorize,
) -> SignBatch:
    """Finish the papers whose values came. ``signing``: how this person signs in a role with a value over what was prepared.

    A value that is not this person's over this paper is refused, and the paper stays waiting (signing.not-this-signature).
    """
    batch = await sign_batch(repo, batch_id)
    held = {one.seq: one.prepared for one in await _kept(repo, batch_id)}
    for item in batch.items:
        if item.stage == "waiting" and item.seq in values and item.seq in held:
            await beat(repo, batch_id)
            sign = signing(item.role, held[item.seq], values[item.seq])
            await _finish(repo, batch_id, item, sign, authorize)
    rest = await prepared_of(repo, batch_id)
    left = (await sign_batch(repo, batch_id)).waiting > 0  # what stopped the first phase still holds
    await beat(repo, batch_id, NOTE if rest else batch.note if left else "")
    return await sign_batch(repo, batch_id)


async def _finish(
    repo: Repository, batch_id: UUID, item: SignItem, sign: SignWith, authorize: Authorize
) -> None:
    try:
        made = await sign_item(repo, item, sign, authorize)
    except BenhanError as refused:
        if refused.status >= 500:  # a service is away; the value still holds
            await beat(repo, batch_id, refused.text)
            raise
        await end_item(repo, batch_id, item, "refused", refused.code, refused.text)
    else:
        await end_item(repo, batch_id, item, "signed", provenance=made.id)
    await _forget(repo, batch_id, item.seq)


async def give_up_batch(repo: Repository, batch_id: UUID) -> SignBatch:
    """The signer signs the rest no more; the papers go back to his list."""
    for item in (await sign_batch(repo, batch_id)).items:
        if item.stage == "waiting":
            await end_item(repo, batch_id, item, "refused", "records.given-up", "Người ký thôi không ký.")
            await _forget(repo, batch_id, item.seq)
    return await sign_batch(repo, batch_id)


async def _keep(repo: Repository, batch_id: UUID, seq: int, prepared: Prepared) -> None:
    state = await repo.store.blobs.put(prepared.state)
    async with repo.transaction() as tx:
        values = (tx.ctx.tenant, batch_id, seq, prepared.to_be_signed, state, tx.clock.now())
        await connection(tx).execute(_PUT, values)


async def _kept(repo: Repository, batch_id: UUID) -> list[ToSign]:
    async with repo.transaction() as tx:
        rows = await (await connection(tx).execute(_ALL, (tx.ctx.tenant, batch_id))).fetchall()
    return [
        ToSign(seq, Prepared(bytes(data), await repo.store.blobs.get(state))) for seq, data, state in rows
    ]


async def _forget(repo: Repository, batch_id: UUID, seq: int) -> None:
    async with repo.transaction() as tx:
        row = await (await connection(tx).execute(_DROP, (tx.ctx.tenant, batch_id, seq))).fetchone()
    if row is not None:
        await repo.store.blobs.destroy(row[0])
