"""Invented people for demo and training, from frequency files and a seed. Nobody here exists.

Names follow the shares of the province's ethnic groups; numbers follow the published patterns with a random part.
The same seed gives the same people.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from benhan.catalogue import communes, names
from benhan.catalogue.invented import SEXES, invented_birth, invented_cccd, invented_ethnicity, invented_name


@dataclass(frozen=True, slots=True)
class Invented:
    """One invented person."""

    name: str
    sex: str
    birth_date: date
    ethnic_code: str
    ethnic_name: str
    commune_code: str
    commune_name: str
    address: str
    cccd: str
    card: str
    card_from: date
    card_to: date
    phone: str

    def cccd_qr(self, issued: date) -> str:
        """The string of the QR on the chip card (identifiers, section 6)."""
        sex = "Nam" if self.sex == "male" else "Nữ"
        return "|".join(
            (
                self.cccd,
                "",
                self.name.upper(),
                f"{self.birth_date:%d%m%Y}",
                sex,
                self.address,
                f"{issued:%d%m%Y}",
            )
        )

    def bhyt_qr(self, facility: str) -> str:
        """The string of the QR on the paper insurance card (identifiers, section 8)."""
        return "|".join(
            (
                self.card,
                self.name.upper().encode().hex(),
                f"{self.birth_date:%d/%m/%Y}",
                "1" if self.sex == "male" else "2",
                self.address.encode().hex(),
                f"{facility[:2]} - {facility[2:]}",
                f"{self.card_from:%d/%m/%Y}",
                f"{self.card_to:%d/%m/%Y}",
                f"{self.card_from:%d/%m/%Y}$",
            )
        )


def invent(count: int, seed: int, today: date) -> Iterator[Invented]:
    """``count`` people; numbers do not repeat."""
    rng = random.Random(seed)
    taken: set[str] = set()
    groups = {code: name for code, name, _ in names().ethnicities}
    while len(taken) < count:
        sex = rng.choice(SEXES)
        group = invented_ethnicity(rng)
        birth = invented_birth(rng, today)
        cccd = invented_cccd(rng, sex, birth)
        if cccd in taken:
            continue
        taken.add(cccd)
        commune = rng.choice(communes())
        start = date(today.year, 1, 1)
        yield Invented(
            name=invented_name(rng, sex, group),
            sex=sex,
            birth_date=birth,
            ethnic_code=group,
            ethnic_name=groups[group],
            commune_code=commune.code,
            commune_name=commune.full_name,
            address=f"Thôn {rng.randint(1, 12)}, {commune.full_name}, tỉnh Quảng Ngãi",
            cccd=cccd,
            card=f"{rng.choice(('GD', 'DN', 'HN', 'HT'))}4{rng.choice(('51', '62'))}{rng.randint(0, 9999999999):010d}",
            card_from=start,
            card_to=date(today.year, 12, 31),
            phone=f"0{rng.choice('3579')}{rng.randint(0, 99999999):08d}",
        )
