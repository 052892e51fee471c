"""Whose turn a place on a paper is (pure). Data: ``data/signers.yaml``."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from benhan.catalogue import systems
from benhan.forms import Form, SignaturePlace
from benhan.records.delegation import Delegation

#: (permission, khoa) → whether this person has it there
May = Callable[[str, str | None], bool]


@dataclass(frozen=True, slots=True)
class Reader:
    """Somebody who asks what waits for him: reference, codes of the roles held, what he may do and do for others."""

    staff: str
    roles: Collection[str]
    may: May
    delegations: Sequence[Delegation] = ()


@cache
def _table() -> dict[str, Any]:
    path = Path(__file__).parent / "data" / "signers.yaml"
    return dict(yaml.safe_load(path.read_text(encoding="utf-8")))


def is_patients(place: SignaturePlace) -> bool:
    """True for a place where the patient or a relative signs."""
    return place.role in _table()["patient"]


def supervised(author: Mapping[str, Any]) -> bool:
    """True of an author (``QuestionnaireResponse.author``) without a licence to practise: a trainee, or a doctor before his
    licence. He drafts; who supervises signs (practice A6).
    """
    number = author.get("identifier", {})
    return (
        str(author.get("reference", "")).startswith("Practitioner/") and number.get("system") != systems.CCHN
    )


def needs_licence(place: SignaturePlace) -> bool:
    """True of a place that its signer takes as author or as treating doctor: who has no licence to practise drafts only."""
    permission = place.permission or "form.sign"
    return permission == "form.sign" and not is_patients(place) and place.role not in _table()["by_role"]


def signs_first(author: Mapping[str, Any], doctor: str) -> str:
    """Whose the author's place is: the author's own, or the treating doctor's when the author is supervised."""
    return doctor if supervised(author) else str(author.get("reference", ""))


def waits_for(
    form: Form,
    place: SignaturePlace,
    khoa: str,
    *,
    author: str,
    doctor: str,
    reader: Reader,
    signed: Collection[str] = (),
) -> bool:
    """Whether a place whose turn it is waits for this reader. ``author``, ``doctor``, ``signed``: references."""
    permission = place.permission or "form.sign"
    if is_patients(place):
        return False
    if not reader.may(permission, khoa):
        return any(d.covers(permission, form.code, khoa) for d in reader.delegations)
    if permission != "form.sign":
        return True
    roles = _table()["by_role"].get(place.role)
    if roles is not None:
        return reader.staff not in signed and any(role in reader.roles for role in roles)
    return reader.staff == owed_by(form, place, author=author, doctor=doctor)


def owed_by(form: Form, place: SignaturePlace, *, author: str, doctor: str) -> str:
    """The one person who owes a place, "" when it is anybody with a permission or a kind of work, or the patient."""
    by_kind = place.role in _table()["by_role"] or is_patients(place)
    if by_kind or (place.permission or "form.sign") != "form.sign":
        return ""
    return author if place.order == min(p.order for p in form.signatures) else doctor
