"""What is ordered and paid: laboratory items, drugs, and their (synthetic) prices."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cache

from benhan.base.errors import NotFound
from benhan.base.text import fold
from benhan.catalogue.validity import Period, period, rows


@dataclass(frozen=True, slots=True)
class LabItem:
    """A laboratory item or vital sign. Reference ranges are test values, not for clinical use."""

    code: str
    name: str
    group: str
    specimen: str
    unit: str
    low: Decimal | None
    high: Decimal | None
    loinc: str


@dataclass(frozen=True, slots=True)
class Drug:
    """One medicine of the formulary; the registration number is invented."""

    code: str
    name: str
    atc: str
    strength: str
    form: str
    route: str
    registration_no: str

    @property
    def title(self) -> str:
        """Name with strength, as on an order."""
        return f"{self.name} {self.strength}".strip()


@dataclass(frozen=True, slots=True)
class Price:
    """Price of a code in a period, VND per unit. ``synthetic``: the figure is invented."""

    code: str
    kind: str
    name: str
    unit: str
    amount: Decimal
    covered: bool
    synthetic: bool
    valid: Period


def _number(text: str) -> Decimal | None:
    return Decimal(text) if text else None


@cache
def lab_items() -> tuple[LabItem, ...]:
    """All items of the list, in its order."""
    return tuple(
        LabItem(
            r["local_code"], r["name_vi"], r["group"], r["specimen"], r["unit_ucum"],
            _number(r["ref_low"]), _number(r["ref_high"]), r["loinc"],
        )
        for r in rows("labs/lab_catalogue.csv")
    )  # fmt: skip


@cache
def _labs() -> dict[str, LabItem]:
    return {item.code: item for item in lab_items()}


def lab_item(code: str) -> LabItem:
    """The item of a local code. Raises: ``NotFound`` (catalogue.no-such-lab)."""
    try:
        return _labs()[code]
    except KeyError:
        raise NotFound("catalogue.no-such-lab", f"Danh mục xét nghiệm không có mã {code}.") from None


def labs_search(text: str, limit: int = 20) -> list[LabItem]:
    """Items that can be ordered and whose name, code or group holds all typed words."""
    words = fold(text).split()
    orderable = (i for i in lab_items() if i.group not in ("Sinh hiệu", "Tài liệu"))
    return [i for i in orderable if all(w in fold(f"{i.code} {i.name} {i.group}") for w in words)][:limit]


@cache
def drugs() -> dict[str, Drug]:
    """Formulary by local code."""
    return {
        r["local_code"]: Drug(
            r["local_code"], r["ingredient_vi"], r["atc"], r["strength"], r["form_vi"], r["route_vi"],
            r["registration_no_synthetic"],
        )
        for r in rows("drugs/formulary.csv")
    }  # fmt: skip


@cache
def _folded_drugs() -> tuple[tuple[str, Drug], ...]:
    return tuple(
        (f" {fold(d.name)} {fold(d.strength)} {fold(d.form)} {d.atc.lower()} ", d) for d in drugs().values()
    )


def drug(code: str) -> Drug | None:
    """The medicine of a local code, or None."""
    return drugs().get(code)


def drugs_search(text: str, limit: int = 20) -> list[Drug]:
    """Medicines whose words begin with the typed ones; a name that begins so comes first."""
    words = fold(text).split()
    if not words:
        return []
    found = [
        (not key.startswith(f" {words[0]}"), d.name, d)
        for key, d in _folded_drugs()
        if all(f" {w}" in key for w in words)
    ]
    return [d for _, _, d in sorted(found, key=lambda f: f[:2])][:limit]


@cache
def prices() -> tuple[Price, ...]:
    """The whole price list."""
    return tuple(
        Price(
            r["code"], r["kind"], r["name"], r["unit"], Decimal(r["price_vnd"]),
            r["covered"] == "1", r["synthetic"] == "1", period(dict(r)),
        )
        for r in rows("prices.csv")
    )  # fmt: skip


@cache
def _by_code() -> dict[str, tuple[Price, ...]]:
    found: dict[str, list[Price]] = {}
    for entry in prices():
        found.setdefault(entry.code, []).append(entry)
    return {code: tuple(entries) for code, entries in found.items()}


def price(code: str, on: date) -> Price | None:
    """Price of the code on the day, or None when the list has none."""
    return next((p for p in _by_code().get(code, ()) if p.valid.holds(on)), None)
