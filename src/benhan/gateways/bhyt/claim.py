"""From the facts of one đợt to its claim package: XML1-XML11, XML13-XML15, all tags in order.

Pure. Money and sums follow QĐ 130/QĐ-BYT with 4750 and 3176 (see :mod:`benhan.gateways.bhyt.money`). A line takes the
card that is valid at its own time; a line outside the scope, or without a valid card, is paid by the patient.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal

from benhan.base.clock import local, local_date
from benhan.gateways.bhyt.money import (
    HUNDRED,
    ZERO,
    OtherSources,
    Split,
    drug_amounts,
    money,
    percent_text,
    service_amounts,
    split,
    three,
)
from benhan.gateways.bhyt.package import Package, Row, make_row, today_text
from benhan.gateways.bhyt.tables import tables

#: kinds of care that have a running account of the illness (XML5)
WITH_PROGRESS = ("02", "03", "04", "05", "06", "08", "09")
#: tags of a paper that have a meaning of their own though XML1 has one of the same name
NOT_REPEATED = {"XML10": ("CHAN_DOAN_RV",), "XML9": ("GHI_CHU",), "XML6": ("MA_LOAI_KCB",)}
#: kinds of care without treatment days (QĐ 4750)
_NO_DAYS = ("01", "07", "09")


@dataclass(frozen=True, slots=True)
class CardFacts:
    """A card of the đợt. ``percent``: MUC_HUONG that holds with it; ``starts``: from when it is used here."""

    card: str
    registered_at: str
    valid_from: date
    valid_to: date | None
    percent: Decimal
    starts: datetime | None = None
    free_from: date | None = None


@dataclass(frozen=True, slots=True)
class DrugLine:
    """A drug given or dispensed. ``in_scope`` False: the patient pays; ``source``: reference of the fact behind it;
    ``paid_by``: field of :class:`.money.OtherSources` that pays the whole line, empty when none does."""

    code: str
    name: str
    unit: str
    strength: str
    route: str
    dosage: str
    quantity: Decimal
    price: Decimal
    ordered: datetime
    khoa: str
    doctor: str
    done: datetime | None = None
    group: str = "4"
    registration: str = ""
    tender: str = ""
    rate: Decimal = HUNDRED
    in_scope: bool = True
    other: OtherSources = field(default_factory=OtherSources)
    paid_by: str = ""
    more: Mapping[str, str] = field(default_factory=dict)
    source: str = ""


@dataclass(frozen=True, slots=True)
class ServiceLine:
    """A service, examination, bed-day (``bed``) or supply (``supply``: code is MA_VAT_TU). Prices in VND."""

    code: str
    name: str
    unit: str
    group: str
    quantity: Decimal
    price: Decimal
    ordered: datetime
    khoa: str
    doctor: str
    price_insured: Decimal | None = None
    performer: str = ""
    done: datetime | None = None
    result_at: datetime | None = None
    rate_service: Decimal = HUNDRED
    rate: Decimal = HUNDRED
    in_scope: bool = True
    supply: bool = False
    bed: str = ""
    ceiling: Decimal | None = None
    other: OtherSources = field(default_factory=OtherSources)
    paid_by: str = ""
    more: Mapping[str, str] = field(default_factory=dict)
    source: str = ""


@dataclass(frozen=True, slots=True)
class ResultLine:
    """One value or conclusion of a laboratory or imaging service (XML4)."""

    service: str
    code: str
    name: str
    value: str
    unit: str
    at: datetime
    reader: str
    description: str = ""
    conclusion: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class ProgressLine:
    """One entry of the course (XML5)."""

    text: str
    at: datetime
    author: str
    consultation: str = ""
    operation: str = ""
    stage: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class ClaimFacts:
    """Everything a claim says. ``head``: tags of XML1 that are plain facts of person and đợt; ``discharge_paper`` and
    ``summary``: own tags of XML7 and XML8, None when that paper is not issued; ``papers``: own tags of each row of the other
    papers, by table (XML6, XML9-XML11, XML13-XML15), whose tags that repeat XML1 are filled from it; ``full_below``: the
    fund pays the whole of what it covers when the đợt costs less (15 % of the reference salary, rules §6), VND.
    """

    ma_lk: str
    facility: str
    made_on: date
    arrived: datetime
    left: datetime
    kind: str
    head: Mapping[str, str]
    cards: tuple[CardFacts, ...] = ()
    drugs: tuple[DrugLine, ...] = ()
    services: tuple[ServiceLine, ...] = ()
    results: tuple[ResultLine, ...] = ()
    progress: tuple[ProgressLine, ...] = ()
    discharge_paper: Mapping[str, str] | None = None
    summary: Mapping[str, str] | None = None
    papers: Mapping[str, tuple[Mapping[str, str], ...]] = field(default_factory=dict)
    treatment_days: int | None = None
    full_below: Decimal | None = None


def minute(at: datetime | None) -> str:
    """``yyyymmddHHMM`` on a Vietnamese clock; empty for None."""
    return "" if at is None else local(at).strftime("%Y%m%d%H%M")


def card_at(cards: Sequence[CardFacts], at: datetime) -> CardFacts | None:
    """The card valid at ``at``; of two, the one that started later."""
    day = local_date(at)
    valid = [
        c
        for c in cards
        if c.valid_from <= day
        and (c.valid_to is None or day <= c.valid_to)
        and (c.starts is None or c.starts <= at)
    ]
    return max(valid, key=lambda c: (c.starts is not None, c.starts or at, c.valid_from)) if valid else None


def treatment_days(kind: str, arrived: datetime, left: datetime) -> int:
    """SO_NGAY_DTRI by QĐ 4750."""
    return 0 if kind in _NO_DAYS else (local_date(left) - local_date(arrived)).days + 1


def twin_of(facts: ClaimFacts) -> list[dict[str, str]]:
    """The fact behind each line, as :func:`build_claim` numbers them: ``place`` and ``source`` (a reference)."""
    tables: dict[str, Sequence[DrugLine | ServiceLine | ResultLine | ProgressLine]] = {
        "XML2": facts.drugs, "XML3": facts.services, "XML4": facts.results, "XML5": facts.progress,
    }  # fmt: skip
    return [
        {"place": f"{table}/dòng {number}", "source": line.source}
        for table, lines in tables.items()
        for number, line in enumerate(lines, 1)
        if line.source
    ]


def examination_rate(number: int) -> Decimal:
    """TYLE_TT_DV of the ``number``-th examination of a đợt (rules §6): 100, then 30 up to the fourth, 10, then 0."""
    return Decimal(100 if number <= 1 else 30 if number <= 4 else 10 if number == 5 else 0)


def build_claim(facts: ClaimFacts) -> Package:
    """The package of a đợt; nothing is checked here, see :mod:`benhan.gateways.bhyt.check`."""
    drugs, services = _lines(facts)
    if facts.full_below is not None and sum((p.bv for _, p in [*drugs, *services]), ZERO) < facts.full_below:
        facts = replace(facts, cards=tuple(replace(c, percent=HUNDRED) for c in facts.cards))
        drugs, services = _lines(facts)
    rows: dict[str, tuple[Row, ...]] = {"XML1": (_head(facts, drugs, services),)}
    rows["XML2"] = tuple(row for row, _ in drugs)
    rows["XML3"] = tuple(row for row, _ in services)
    rows["XML4"] = tuple(_result(facts, i, r) for i, r in enumerate(facts.results, 1))
    if facts.kind in WITH_PROGRESS:
        rows["XML5"] = tuple(_progress(facts, i, p) for i, p in enumerate(facts.progress, 1))
    if facts.discharge_paper is not None:
        rows["XML7"] = (_paper("XML7", facts, facts.discharge_paper),)
    if facts.summary is not None:
        rows["XML8"] = (_paper("XML8", facts, {"MA_LOAI_KCB": facts.kind, **facts.summary}),)
    for name in tables():
        held = facts.papers.get(name, ())
        rows[name] = (
            *rows.get(name, ()),
            *(_repeating(name, i, o, rows["XML1"][0]) for i, o in enumerate(held, 1)),
        )
    return Package(facts.facility, today_text(facts.made_on), {n: r for n, r in rows.items() if r})


def _lines(facts: ClaimFacts) -> tuple[list[tuple[Row, Split]], list[tuple[Row, Split]]]:
    return (
        [_drug(facts, i, d) for i, d in enumerate(facts.drugs, 1)],
        [_service(facts, i, s) for i, s in enumerate(facts.services, 1)],
    )


def _repeating(table: str, line: int, own: Mapping[str, str], head: Row) -> Row:
    """A row of a paper: its own tags, and those that repeat XML1."""
    names = tables()[table].names()
    repeated = {
        tag: head.get(tag) for tag in names if tag not in ("STT", "DU_PHONG", *NOT_REPEATED.get(table, ()))
    }
    numbered = {"STT": str(line)} if "STT" in names else {}
    return make_row(table, line, {**numbered, **repeated, **own})


def _rights(facts: ClaimFacts, at: datetime, in_scope: bool, rate: Decimal) -> tuple[str, Decimal, Decimal]:
    """PHAM_VI, TYLE_TT_BH and MUC_HUONG of a line."""
    card = card_at(facts.cards, at)
    if not in_scope or card is None:
        return "2", ZERO, ZERO
    free = card.free_from is not None and card.free_from <= local_date(at)
    return "1", rate, HUNDRED if free else card.percent


def _shares(other: OtherSources, parts: Split, percent: Decimal) -> dict[str, str]:
    return {
        "THANH_TIEN_BV": money(parts.bv),
        "THANH_TIEN_BH": money(parts.bh),
        "T_NGUONKHAC_NSNN": money(other.nsnn),
        "T_NGUONKHAC_VTNN": money(other.vtnn),
        "T_NGUONKHAC_VTTN": money(other.vttn),
        "T_NGUONKHAC_CL": money(other.rest),
        "T_NGUONKHAC": money(parts.other),
        "MUC_HUONG": percent_text(percent),
        "T_BNTT": money(parts.bntt),
        "T_BNCCT": money(parts.bncct),
        "T_BHTT": money(parts.bhtt),
    }


#: NGUON_CTRA of a drug that another source pays
_DRUG_SOURCES = {"nsnn": "3", "vtnn": "2", "vttn": "2", "rest": "4"}


def _other(line: DrugLine | ServiceLine, amount: Decimal) -> OtherSources:
    """What others pay: as given, or the whole ``amount`` by the one source that pays the line."""
    return replace(OtherSources(), **{line.paid_by: amount}) if line.paid_by else line.other


def _drug(facts: ClaimFacts, line: int, drug: DrugLine) -> tuple[Row, Split]:
    scope, rate, percent = _rights(facts, drug.done or drug.ordered, drug.in_scope, drug.rate)
    amounts = drug_amounts(drug.quantity, drug.price, rate)
    other = _other(drug, amounts[0])
    parts = split(*amounts, percent, other.total)
    values = {
        "MA_LK": facts.ma_lk,
        "STT": str(line),
        "MA_THUOC": drug.code,
        "MA_NHOM": drug.group,
        "TEN_THUOC": drug.name,
        "DON_VI_TINH": drug.unit,
        "HAM_LUONG": drug.strength,
        "DUONG_DUNG": drug.route,
        "LIEU_DUNG": drug.dosage,
        "SO_DANG_KY": drug.registration,
        "TT_THAU": drug.tender,
        "PHAM_VI": scope,
        "TYLE_TT_BH": percent_text(rate),
        "SO_LUONG": three(drug.quantity),
        "DON_GIA": three(drug.price),
        "MA_KHOA": drug.khoa,
        "MA_BAC_SI": drug.doctor,
        "NGAY_YL": minute(drug.ordered),
        "NGAY_TH_YL": minute(drug.done),
        "MA_PTTT": "1",
        "NGUON_CTRA": _DRUG_SOURCES.get(drug.paid_by, "1"),
        **_shares(other, parts, percent),
        **drug.more,
    }
    return make_row("XML2", line, values), parts


def _service(facts: ClaimFacts, line: int, item: ServiceLine) -> tuple[Row, Split]:
    scope, rate, percent = _rights(facts, item.done or item.ordered, item.in_scope, item.rate)
    insured = item.price if item.price_insured is None else item.price_insured
    if item.ceiling is not None:
        insured = min(item.price, item.ceiling)
    amounts = service_amounts(item.quantity, item.price, insured, item.rate_service, rate)
    other = _other(item, amounts[0])
    parts = split(*amounts, percent, other.total)
    named = (
        {"MA_VAT_TU": item.code, "TEN_VAT_TU": item.name}
        if item.supply
        else {"MA_DICH_VU": item.code, "TEN_DICH_VU": item.name}
    )
    values = {
        "MA_LK": facts.ma_lk,
        "STT": str(line),
        **named,
        "MA_NHOM": item.group,
        "DON_VI_TINH": item.unit,
        "PHAM_VI": scope,
        "SO_LUONG": three(item.quantity),
        "DON_GIA_BV": three(item.price),
        "DON_GIA_BH": three(insured),
        "TYLE_TT_DV": percent_text(item.rate_service),
        "TYLE_TT_BH": percent_text(rate),
        "T_TRANTT": "" if item.ceiling is None else money(item.ceiling),
        "MA_KHOA": item.khoa,
        "MA_GIUONG": item.bed,
        "MA_BAC_SI": item.doctor,
        "NGUOI_THUC_HIEN": item.performer,
        "NGAY_YL": minute(item.ordered),
        "NGAY_TH_YL": minute(item.done),
        "NGAY_KQ": minute(item.result_at),
        "MA_PTTT": "1",
        **_shares(other, parts, percent),
        **item.more,
    }
    return make_row("XML3", line, values), parts


def _result(facts: ClaimFacts, line: int, result: ResultLine) -> Row:
    return make_row(
        "XML4",
        line,
        {
            "MA_LK": facts.ma_lk,
            "STT": str(line),
            "MA_DICH_VU": result.service,
            "MA_CHI_SO": result.code,
            "TEN_CHI_SO": result.name,
            "GIA_TRI": result.value,
            "DON_VI_DO": result.unit,
            "MO_TA": result.description,
            "KET_LUAN": result.conclusion,
            "NGAY_KQ": minute(result.at),
            "MA_BS_DOC_KQ": result.reader,
        },
    )


def _progress(facts: ClaimFacts, line: int, entry: ProgressLine) -> Row:
    return make_row(
        "XML5",
        line,
        {
            "MA_LK": facts.ma_lk,
            "STT": str(line),
            "DIEN_BIEN_LS": entry.text,
            "GIAI_DOAN_BENH": entry.stage,
            "HOI_CHAN": entry.consultation,
            "PHAU_THUAT": entry.operation,
            "THOI_DIEM_DBLS": minute(entry.at),
            "NGUOI_THUC_HIEN": entry.author,
        },
    )


def _paper(table: str, facts: ClaimFacts, own: Mapping[str, str]) -> Row:
    shared = {
        "MA_LK": facts.ma_lk,
        "MA_YTE": facts.head.get("MA_BN", ""),
        "NGAY_VAO": minute(facts.arrived),
        "NGAY_RA": minute(facts.left),
        "CHAN_DOAN_VAO": facts.head.get("CHAN_DOAN_VAO", ""),
        "CHAN_DOAN_RV": facts.head.get("CHAN_DOAN_RV", ""),
        "PP_DIEUTRI": facts.head.get("PP_DIEU_TRI", ""),
        "KET_QUA_DTRI": facts.head.get("KET_QUA_DTRI", ""),
        "MA_TTDV": facts.head.get("MA_TTDV", ""),
        "MA_DINH_CHI_THAI": "0",
        "NGAY_CT": today_text(local_date(facts.left)),
    }
    row = make_row(table, 1, {})
    known = {name: text for name, text in {**shared, **own}.items() if name in row.values}
    return make_row(table, 1, known)


def _cards(cards: Sequence[CardFacts]) -> dict[str, str]:
    """Several cards stand in one tag in the same order, divided by ``;``."""

    def joined(parts: list[str]) -> str:
        return ";".join(parts) if any(parts) else ""

    free = [c.free_from for c in cards if c.free_from]
    return {
        "MA_THE_BHYT": joined([c.card for c in cards]),
        "MA_DKBD": joined([c.registered_at for c in cards]),
        "GT_THE_TU": joined([today_text(c.valid_from) for c in cards]),
        "GT_THE_DEN": joined([today_text(c.valid_to) if c.valid_to else "" for c in cards]),
        "NGAY_MIEN_CCT": today_text(free[-1]) if free else "",
    }


def _head(
    facts: ClaimFacts, drugs: Sequence[tuple[Row, Split]], services: Sequence[tuple[Row, Split]]
) -> Row:
    days = facts.treatment_days
    left = local(facts.left)
    values = {
        "STT": "1",
        **_cards(facts.cards),
        "MA_CSKCB": facts.facility,
        "NGAY_VAO": minute(facts.arrived),
        "NGAY_RA": minute(facts.left),
        "MA_LOAI_KCB": facts.kind,
        "SO_NGAY_DTRI": str(treatment_days(facts.kind, facts.arrived, facts.left) if days is None else days),
        "NAM_QT": left.strftime("%Y"),
        "THANG_QT": left.strftime("%m"),
        **facts.head,
        "MA_LK": facts.ma_lk,
        **_totals(drugs, services),
    }
    return make_row("XML1", 1, values)


def _totals(drugs: Sequence[tuple[Row, Split]], services: Sequence[tuple[Row, Split]]) -> dict[str, str]:
    lines = [*drugs, *services]

    def total(values: list[Decimal]) -> str:
        return money(sum(values, ZERO))

    return {
        "T_THUOC": total([p.bv for _, p in drugs]),
        "T_VTYT": total([p.bv for row, p in services if row.get("MA_NHOM") in ("10", "11")]),
        "T_TONGCHI_BV": total([p.bv for _, p in lines]),
        "T_TONGCHI_BH": total([p.bh for _, p in lines]),
        "T_BNTT": total([p.bntt for _, p in lines]),
        "T_BNCCT": total([p.bncct for _, p in lines]),
        "T_BHTT": total([p.bhtt for _, p in lines]),
        "T_NGUONKHAC": total([p.other for _, p in lines]),
        "T_BHTT_GDV": total([p.bhtt for row, p in lines if row.get("MA_PTTT") == "1"]),
    }
