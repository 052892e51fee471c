"""Administrative units of two levels (since 01/07/2025), successors of old communes, facilities, names."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from benhan.base.text import fold
from benhan.catalogue.validity import data_file, rows


@dataclass(frozen=True, slots=True)
class Province:
    """One of the 34 provinces."""

    code: str
    name: str
    full_name: str


@dataclass(frozen=True, slots=True)
class Commune:
    """A xã, phường or đặc khu. ``former_province`` is known for Quảng Ngãi only (51 or 62)."""

    code: str
    name: str
    full_name: str
    province_code: str
    former_province: str = ""
    area_km2: float = 0.0


@dataclass(frozen=True, slots=True)
class Successor:
    """What became of an old commune; ``is_default`` marks the main heir of a divided one."""

    old_code: str
    old_name: str
    old_district: str
    new_code: str
    new_name: str
    split: bool
    is_default: bool


@dataclass(frozen=True, slots=True)
class Facility:
    """A facility of the province. Codes and bed numbers are invented (``synthetic``)."""

    code: str
    name: str
    kind: str
    level: str
    commune_code: str
    commune: str
    beds: int
    synthetic: bool


@dataclass(frozen=True, slots=True)
class NameParts:
    """Material for generators of invented people. Weights are percent."""

    surnames: tuple[tuple[str, float], ...]
    given_male: tuple[str, ...]
    given_female: tuple[str, ...]
    ethnicities: tuple[tuple[str, str, float], ...]
    patterns: tuple[dict[str, str], ...]
    minority_given: tuple[tuple[str, str], ...]
    ages: tuple[tuple[str, float], ...]


@cache
def provinces() -> tuple[Province, ...]:
    """All provinces."""
    return tuple(Province(r["code"], r["name"], r["full_name"]) for r in rows("places/provinces.csv"))


@cache
def communes(province: str = "51") -> tuple[Commune, ...]:
    """Communes of a province; Quảng Ngãi with former province and area."""
    if province == "51":
        return tuple(
            Commune(
                r["code"], r["name"], r["full_name"], "51", r["former_province_code"], float(r["area_km2"])
            )
            for r in rows("places/quang_ngai_communes.csv")
        )
    listed = (r for r in rows("places/communes.csv") if r["province_code"] == province)
    return tuple(Commune(r["code"], r["name"], r["full_name"], province) for r in listed)


@cache
def _commune_index() -> dict[str, Commune]:
    index = {
        r["code"]: Commune(r["code"], r["name"], r["full_name"], r["province_code"])
        for r in rows("places/communes.csv")
    }
    index.update({c.code: c for c in communes("51")})
    return index


def commune(code: str) -> Commune | None:
    """The commune of a 5-digit code, in the whole country."""
    return _commune_index().get(code)


def communes_search(text: str, limit: int = 20, *, province: str = "51") -> list[Commune]:
    """Communes of a province whose name holds the typed words, tones optional."""
    words = fold(text).split()
    return [c for c in communes(province) if all(f" {w}" in f" {fold(c.full_name)}" for w in words)][:limit]


@cache
def _heirs() -> dict[str, tuple[Successor, ...]]:
    found: dict[str, list[Successor]] = {}
    for r in rows("places/legacy_to_new_quang_ngai.csv"):
        found.setdefault(r["old_commune_code"], []).append(
            Successor(
                r["old_commune_code"], r["old_commune"], r["old_district"], r["new_commune_code"],
                r["new_commune"],
                r["kind"] == "split", r["is_default"] == "1",
            )
        )  # fmt: skip
    return {code: tuple(heirs) for code, heirs in found.items()}


def successors(old_commune_code: str) -> tuple[Successor, ...]:
    """New communes of an old commune of Quảng Ngãi or Kon Tum; several when divided: let the clerk choose."""
    return _heirs().get(old_commune_code, ())


@cache
def facilities() -> tuple[Facility, ...]:
    """All facilities of the list."""
    return tuple(
        Facility(
            r["facility_code_synthetic"], r["name"], r["kind"], r["level"], r["commune_code"], r["commune"],
            int(r["beds_invented"] or 0), r["is_synthetic"] == "1",
        )
        for r in rows("facilities/facilities.csv")
    )  # fmt: skip


def facility(code: str) -> Facility | None:
    """The facility of a MA_CSKCB, or None."""
    return next((f for f in facilities() if f.code == code), None)


@cache
def ethnic_groups() -> dict[str, str]:
    """Statistics code of an ethnic group → name."""
    return {r["code"]: r["name"] for r in rows("names/ethnic_groups.csv")}


def _lines(name: str) -> tuple[str, ...]:
    return tuple(
        line.strip() for line in data_file(name).read_text(encoding="utf-8").splitlines() if line.strip()
    )


@cache
def names() -> NameParts:
    """Names, groups and ages for invented people."""
    return NameParts(
        tuple((r["surname"], float(r["weight_percent_approx"])) for r in rows("names/surnames_kinh.csv")),
        _lines("names/given_male.txt"),
        _lines("names/given_female.txt"),
        tuple(
            (r["code"], r["ethnic_group"], float(r["weight_percent_approx"]))
            for r in rows("names/ethnicity_weights_quang_ngai.csv")
        ),
        rows("names/minority_name_patterns.csv"),
        tuple((r["sex"], r["given"]) for r in rows("names/minority_given_synthetic.csv")),
        tuple((r["age_group"], float(r["percent_approx"])) for r in rows("names/age_pyramid_approx.csv")),
    )
