"""A person as the matcher sees him: every field in one normal form, so that comparing is cheap (pure)."""

from __future__ import annotations

from dataclasses import dataclass

from benhan.base.text import fold, nfc, squeeze
from benhan.identity.person import PersonInput


@dataclass(frozen=True, slots=True)
class Face:
    """Normal forms. ``name``: NFC, lower case; ``plain``: folded; ``words``: the folded words in the order of
    the alphabet; ``house``: the numbers of the address (thôn, tổ, house), the only part of it that people write alike."""

    name: str
    plain: str
    words: str
    birth: str
    sex: str
    commune: str
    house: str
    phone: str
    cccd: str
    bhxh: str
    other: frozenset[str]

    @property
    def first(self) -> str:
        """Folded family name (or prefix)."""
        return self.plain.partition(" ")[0]

    @property
    def last(self) -> str:
        """Folded given name."""
        return self.plain.rpartition(" ")[2]


def face_of(person: PersonInput) -> Face:
    """Normal forms of a person's fields; what is unknown is empty."""
    plain = fold(person.name)
    return Face(
        name=squeeze(nfc(person.name)).casefold(),
        plain=plain,
        words=" ".join(sorted(plain.split())),
        birth=person.birth_date,
        sex=person.sex if person.sex in ("male", "female") else "",
        commune=person.commune_code,
        house=" ".join(w for w in fold(person.address).split() if w[0].isdigit()),
        phone=_phone(person.phone),
        cccd=person.cccd or (person.bhyt if len(person.bhyt) == 12 else ""),
        bhxh=bhxh_number(person),
        other=frozenset(f"{kind}:{n}" for kind, n in (("cmnd", person.cmnd), ("hc", person.passport)) if n),
    )


def bhxh_number(person: PersonInput) -> str:
    """The lifelong 10-digit mã số BHXH, from the number itself or the tail of a 15-character card."""
    if person.bhxh:
        return person.bhxh
    return person.bhyt[5:] if len(person.bhyt) == 15 else person.bhyt if len(person.bhyt) == 10 else ""


def _phone(text: str) -> str:
    digits = "".join(c for c in text if c.isdigit())
    return "0" + digits[2:] if digits.startswith("84") and len(digits) == 11 else digits
