"""Bảng kê chi phí khám bệnh, chữa bệnh: the lines of XML2 and XML3 as the patient reads them, by kind of cost, with sums.

A projection of the very package that is sent, so that paper and claim agree to the đồng. The content follows QĐ 6556 and
697/QĐ-BYT as far as it is known (every line with unit, quantity, prices, rates, who pays what; sums by kind; advances and
what is left); the exact layout of QĐ 697/2026 has no public source here: ``LAYOUT_CONFIRMED`` is data that says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from benhan.gateways.bhyt.claim import build_claim
from benhan.gateways.bhyt.package import Package, Row
from benhan.gateways.bhyt.record_facts import facts_from_record
from benhan.gateways.bhyt.tables import codes
from benhan.gateways.bhyt.values import number
from benhan.store import Repository

#: whether the layout of QĐ 697/QĐ-BYT (2026) has been compared with its own text
LAYOUT_CONFIRMED = False
AMOUNTS: Mapping[str, str] = {
    "bv": "THANH_TIEN_BV", "bh": "THANH_TIEN_BH", "fund": "T_BHTT", "shared": "T_BNCCT", "other": "T_NGUONKHAC",
    "own": "T_BNTT",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class CostLine:
    """One line; prices and amounts in VND, rates and ``percent`` in per cent; ``amounts`` by the names of ``AMOUNTS``."""

    place: str
    name: str
    unit: str
    quantity: Decimal
    price: Decimal
    price_insured: Decimal
    rate_service: Decimal
    rate: Decimal
    percent: Decimal
    amounts: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class CostGroup:
    """The lines of one MA_NHOM with their sums."""

    code: str
    title: str
    lines: tuple[CostLine, ...]
    sums: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class Statement:
    """The whole paper: ``head`` are the tags of XML1."""

    head: Mapping[str, str]
    groups: tuple[CostGroup, ...]
    sums: Mapping[str, Decimal]


def statement_of(package: Package) -> Statement:
    """The statement of a package (pure)."""
    found: dict[str, list[CostLine]] = {}
    for row in (*package.table("XML2"), *package.table("XML3")):
        found.setdefault(row.get("MA_NHOM"), []).append(_line(row))
    titles = codes("MA_NHOM")
    groups = [
        CostGroup(code, titles[code].title if code in titles else code, tuple(lines), _sums(lines))
        for code, lines in sorted(found.items(), key=lambda g: (len(g[0]), g[0]))
    ]
    every = [line for group in groups for line in group.lines]
    return Statement(package.table("XML1")[0].values, tuple(groups), _sums(every))


async def statement(repo: Repository, encounter_id: str) -> Statement:
    """The statement of a đợt as it stands now, also while it runs."""
    return statement_of(build_claim(await facts_from_record(repo, encounter_id, provisional=True)))


def _line(row: Row) -> CostLine:
    drug = row.table == "XML2"
    price = number(row, "DON_GIA" if drug else "DON_GIA_BV")
    return CostLine(
        f"{row.table}/{row.line}",
        row.get("TEN_THUOC") if drug else row.get("TEN_DICH_VU") or row.get("TEN_VAT_TU"),
        row.get("DON_VI_TINH"),
        number(row, "SO_LUONG"),
        price,
        price if drug else number(row, "DON_GIA_BH"),
        Decimal(100) if drug else number(row, "TYLE_TT_DV"),
        number(row, "TYLE_TT_BH"),
        number(row, "MUC_HUONG"),
        {name: number(row, tag) for name, tag in AMOUNTS.items()},
    )


def _sums(lines: list[CostLine]) -> dict[str, Decimal]:
    return {name: sum((line.amounts[name] for line in lines), Decimal(0)) for name in AMOUNTS}
