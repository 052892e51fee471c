"""Signatures on a paper, read from its ``Provenance``: who signed which version, what stands, whose turn it is.

A signature stands as long as it is not withdrawn, its certificate was not revoked before it, and every answer it covered is
unchanged in the present version. What was empty when it was signed may be filled in later by those who sign after it (the
cover and the summary of 01/BV1).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benhan.catalogue import systems
from benhan.forms import Form, SignaturePlace, answers
from benhan.records.facts import form_of
from benhan.records.shapes import all_of, coding, fact, fact_of, instant, must, ref, with_extensions
from benhan.records.types import JsonObject, Signature, SignWith, Staff
from benhan.store import Repository, Stored

#: fact of a ``Provenance``: its place among the acts on one paper, for acts of the same millisecond
ORDER = "thu-tu"
#: facts of a ``Provenance`` whose signature waits for its time stamp, and since when it has one that came later
WAITING, STAMPED = "cho-dau-thoi-gian", "dau-thoi-gian-luc"
#: name of a signature whose certificate's state is not known yet; when it was; since when the certificate is revoked
UNASKED, ANSWERED, VOID = "cho-trang-thai-chung-thu", "trang-thai-chung-thu-luc", "chung-thu-thu-hoi-luc"
SIGN, WITHDRAW, EXTRACT, SEAL = "ky", "rut-chu-ky", "trich", "niem-phong"


def covered(signed: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """True when every answer that was signed is unchanged now (pure)."""
    return all(now.get(link_id) == value for link_id, value in signed.items())


def activity(resource: JsonObject) -> str:
    """Which act a ``Provenance`` of this room records."""
    codings = resource.get("activity", {}).get("coding", [])
    return next((str(c["code"]) for c in codings if c.get("system") == systems.TASK), "")


def provenance(
    kind: str, targets: list[JsonObject], staff: Staff, role: str, recorded: str, source: str
) -> JsonObject:
    """``Provenance`` of an act: ``source`` is the versioned reference it rests on."""
    agent: JsonObject = {"who": {"reference": staff.reference, "display": staff.name}}
    if staff.licence:
        agent["who"]["identifier"] = {"system": systems.CCHN, "value": staff.licence}
    if role:
        agent["role"] = [{"coding": [coding(systems.SIGNER_ROLE, role)]}]
    return {
        "resourceType": "Provenance",
        "target": targets,
        "recorded": recorded,
        "activity": {"coding": [coding(systems.TASK, kind)]},
        "agent": [agent],
        "entity": [{"role": "source", "what": {"reference": source}}],
    }


def signed_version(resource: JsonObject) -> int:
    """Version that a ``Provenance`` covers."""
    return int(resource["entity"][0]["what"]["reference"].rpartition("/")[2])


async def provenances(repo: Repository, response: Stored) -> list[Stored]:
    """Every act on a paper or entry, oldest first."""
    found = await all_of(repo, "Provenance", [("target", f"{response.type}/{response.id}")])
    return sorted(found, key=lambda s: (s.data["recorded"], int(fact_of(s.data, ORDER) or 0), s.id))


async def signatures_of(
    repo: Repository, response: Stored, acts: Sequence[Stored] | None = None
) -> list[Signature]:
    """Signatures of a paper, oldest first, withdrawn and lapsed ones included. ``acts``: its acts when known already."""
    form = form_of(response.data)
    titles = {place.role: place.title for place in form.signatures}
    acts = await provenances(repo, response) if acts is None else acts
    withdrawn = {fact_of(a.data, "chu-ky") for a in acts if activity(a.data) == WITHDRAW}
    now = answers(form, response.data)
    found = []
    for act in acts:
        if activity(act.data) != SIGN:
            continue
        version = signed_version(act.data)
        void = fact_of(act.data, VOID)
        stands = not void and act.id not in withdrawn and await _covers(repo, form, response, version, now)
        agent = act.data["agent"][0]
        role = agent["role"][0]["coding"][0]["code"] if "role" in agent else ""
        found.append(
            Signature(
                act.id, role, titles.get(role, role), agent["who"].get("reference", ""), agent["who"].get("display", ""),
                must(act.data["recorded"]), version, stands, act.id in withdrawn, bool(fact_of(act.data, WAITING)),
                agent.get("onBehalfOf", {}).get("display", ""), bool(fact_of(act.data, UNASKED)),
                must(void) if void else None,
            )
        )  # fmt: skip
    return found


async def _covers(
    repo: Repository, form: Form, response: Stored, version: int, now: Mapping[str, Any]
) -> bool:
    if version == response.version:
        return True
    before = await repo.vread(response.type, response.id, version)
    return covered(answers(form, before.data), now)


async def next_order(repo: Repository, response: Stored) -> JsonObject:
    """The fact that puts a new act behind those already recorded on the paper."""
    return fact(ORDER, str(len(await provenances(repo, response)) + 1))


def next_place(form: Form, found: list[Signature]) -> SignaturePlace | None:
    """The required place whose turn it is, None when all stand (pure)."""
    standing = {s.role for s in found if s.standing}
    open_places = [p for p in form.signatures if p.required and not p.per_entry and p.role not in standing]
    return min(open_places, key=lambda p: p.order) if open_places else None


def may_sign(form: Form, found: list[Signature], role: str) -> SignaturePlace | None:
    """The place of a role when it may be signed now: everything required before it stands, itself does not (pure)."""
    place = next((p for p in form.signatures if p.role == role), None)
    if place is None or any(s.role == role and s.standing for s in found):
        return None
    standing = {s.role for s in found if s.standing}
    waiting = [
        p
        for p in form.signatures
        if p.required and not p.per_entry and p.order < place.order and p.role not in standing
    ]
    return None if waiting else place


def signing_provenance(
    sign: SignWith,
    response: Stored,
    document: Stored | None,
    at: Any,
    element: JsonObject,
    facts: Mapping[str, str],
) -> JsonObject:
    """``Provenance`` of a signature over a version of a paper (and its PDF)."""
    targets = [ref(response.type, response.id)]
    if document is not None:
        targets.append(ref(document.type, document.id))
    source = f"{response.type}/{response.id}/_history/{response.version}"
    resource = provenance(SIGN, targets, sign.staff, sign.role, instant(at), source)
    resource["signature"] = [element]
    return with_extensions(resource, *[fact(k, v) for k, v in facts.items() if v])


__all__ = [
    "EXTRACT",
    "SEAL",
    "SIGN",
    "WITHDRAW",
    "activity",
    "covered",
    "may_sign",
    "next_place",
    "provenance",
    "provenances",
    "signatures_of",
    "signed_version",
    "signing_provenance",
]
