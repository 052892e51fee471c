"""A resource signed over its exact bytes (lines of running sheets, slips of a claim): CMS, detached, in its ``Provenance``."""

from __future__ import annotations

from benhan.base.errors import Conflict
from benhan.records.ink import ink_entry, signature_element, waiting
from benhan.records.shapes import fact_of, id_of
from benhan.records.signatures import SIGN, VOID, activity, provenances, signed_version, signing_provenance
from benhan.records.types import SignWith
from benhan.records.waiting import note_waiting
from benhan.store import Repository, Stored


async def sign_bytes(repo: Repository, stored: Stored, sign: SignWith) -> Stored:
    """Sign the present version of ``stored``; the signature is made before the writing transaction opens.

    Raises: ``Conflict`` (records.entry-signed, records.changed-while-signing).
    """
    if (await byte_signature(repo, stored)) is not None:
        raise Conflict("records.entry-signed", "Dòng này đã ký.")
    cms = await ink_entry(stored.raw, sign)
    async with repo.transaction() as tx:
        current = await tx.read(stored.type, stored.id)
        if current.version != stored.version:
            raise Conflict("records.changed-while-signing", "Dòng đã thay đổi trong lúc ký, hãy ký lại.")
        now = tx.clock.now()
        element = signature_element(sign, now, content="application/fhir+json", cms=cms)
        known = {"sha256": current.sha256, **waiting(cms, sign, now, pdf=False)}
        made = await tx.create(signing_provenance(sign, current, None, now, element, known))
        await note_waiting(tx, made, id_of(current.data.get("encounter") or {}))
        return made


async def byte_signature(repo: Repository, stored: Stored) -> Stored | None:
    """The ``Provenance`` whose signature covers exactly this version; one whose certificate was revoked is none."""
    act = await last_signature(repo, stored)
    return None if act is None or fact_of(act.data, VOID) else act


async def last_signature(repo: Repository, stored: Stored) -> Stored | None:
    """The newest ``Provenance`` of a signature over exactly this version; one without value only when there is no other."""
    acts = [
        p
        for p in await provenances(repo, stored)
        if activity(p.data) == SIGN and signed_version(p.data) == stored.version
    ]
    good = [p for p in acts if not fact_of(p.data, VOID)]
    return next(reversed(good or acts), None)
