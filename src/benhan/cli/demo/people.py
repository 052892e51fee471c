"""Invented people for demo and training, from frequency files and a seed. Nobody here exists.

Names follow the shares of the province's ethnic groups; numbers follow the published patterns with a random part.
The same seed gives the same people.
"""

from __future__ import annotations

import csv
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from importlib.resources import files


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


def _data(folder: str, name: str) -> str:
    return files("benhan.catalogue").joinpath("data", folder, name).read_text(encoding="utf-8")


@lru_cache(maxsize=32)
def _rows(folder: str, name: str) -> tuple[dict[str, str], ...]:
    return tuple(csv.DictReader(_data(folder, name).splitlines()))


@lru_cache(maxsize=8)
def _lines(name: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in _data("names", name).splitlines() if line.strip())


def _weighted(rng: random.Random, rows: tuple[dict[str, str], ...], weight: str) -> dict[str, str]:
    return rng.choices(rows, [float(r[weight]) for r in rows])[0]


def _name(rng: random.Random, sex: str, ethnic_code: str) -> str:
    letter = "m" if sex == "male" else "f"
    pattern = next(
        (p for p in _rows("names", "minority_name_patterns.csv") if p["code"] == ethnic_code), None
    )
    if ethnic_code == "01" or pattern is None:
        surname = _weighted(rng, _rows("names", "surnames_kinh.csv"), "weight_percent_approx")["surname"]
        given = rng.choice(_lines("given_male.txt" if sex == "male" else "given_female.txt"))
        if " " in given:
            return f"{surname} {given}"
        return f"{surname} {'Văn' if sex == 'male' else 'Thị'} {given}"
    options = [r["given"] for r in _rows("names", "minority_given_synthetic.csv") if r["sex"] == letter]
    surname = _prefix(rng, pattern["surnames_or_prefix"], sex)
    middles = [m for m in (pattern["middle"] or "").split("|") if m]
    middle = "" if not middles else middles[0 if sex == "male" else -1]
    if "(nữ)" in middle:
        middle = middle.replace("(nữ)", "").strip() if sex == "female" else ""
    given = rng.choice(options).removeprefix("H' ")
    return " ".join(f"{surname} {middle} {given}".split())


def _prefix(rng: random.Random, choices: str, sex: str) -> str:
    """One family or sex prefix; a choice marked ``(nam)`` or ``(nữ)`` is for that sex only."""
    mark, other = ("(nam)", "(nữ)") if sex == "male" else ("(nữ)", "(nam)")
    fitting = [c for c in choices.split("|") if other not in c]
    return rng.choice(fitting).replace(mark, "").strip()


def _birth(rng: random.Random, today: date) -> date:
    row = _weighted(rng, _rows("names", "age_pyramid_approx.csv"), "percent_approx")
    low, _, high = row["age_group"].replace("+", "-95").partition("-")
    years = rng.randint(int(low), int(high or low))
    return today - timedelta(days=years * 365 + rng.randint(0, 364))


def _cccd(rng: random.Random, sex: str, birth: date) -> str:
    century = {19: 0, 20: 2}[birth.year // 100] + (0 if sex == "male" else 1)
    return f"{rng.choice(('051', '062'))}{century}{birth.year % 100:02d}{rng.randint(0, 999999):06d}"


def invent(count: int, seed: int, today: date) -> Iterator[Invented]:
    """``count`` people; numbers do not repeat."""
    rng = random.Random(seed)
    taken: set[str] = set()
    groups = _rows("names", "ethnicity_weights_quang_ngai.csv")
    communes = _rows("places", "quang_ngai_communes.csv")
    while len(taken) < count:
        sex = rng.choice(("male", "female"))
        group = _weighted(rng, groups, "weight_percent_approx")
        birth = _birth(rng, today)
        cccd = _cccd(rng, sex, birth)
        if cccd in taken:
            continue
        taken.add(cccd)
        commune = rng.choice(communes)
        start = date(today.year, 1, 1)
        yield Invented(
            name=_name(rng, sex, group["code"]),
            sex=sex,
            birth_date=birth,
            ethnic_code=group["code"],
            ethnic_name=group["ethnic_group"],
            commune_code=commune["code"],
            commune_name=commune["full_name"],
            address=f"Thôn {rng.randint(1, 12)}, {commune['full_name']}, tỉnh Quảng Ngãi",
            cccd=cccd,
            card=f"{rng.choice(('GD', 'DN', 'HN', 'HT'))}4{rng.choice(('51', '62'))}{rng.randint(0, 9999999999):010d}",
            card_from=start,
            card_to=date(today.year, 12, 31),
            phone=f"0{rng.choice('3579')}{rng.randint(0, 99999999):08d}",
        )
