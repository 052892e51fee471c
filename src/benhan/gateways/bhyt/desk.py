"""The claims desk: how every claim stands, what changed since the last sending, lines after sending, the month.

``bhyt_claim`` is one row a claim, derived by the job that sends (:mod:`.jobs`); lists and totals read it alone.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from benhan.base.clock import VIETNAM
from benhan.base.errors import InvalidInput, Issue, NotFound
from benhan.gateways.bhyt.package import Package
from benhan.gateways.bhyt.rules import Finding
from benhan.gateways.bhyt.values import number
from benhan.store import Repository

STATES = ("faulty", "waiting", "received", "refused")
LINE_STATES = ("tiep-nhan", "giam-dinh", "chap-nhan", "tu-choi", "xuat-toan", "giai-trinh")
_MOST_CHANGES = 200
_TOTALS = {
    "total_bv": "T_TONGCHI_BV", "total_bh": "T_TONGCHI_BH", "total_bhtt": "T_BHTT", "total_bncct": "T_BNCCT",
    "total_bntt": "T_BNTT", "total_other": "T_NGUONKHAC",
}  # fmt: skip
_PUT = """
insert into bhyt_claim (tenant, ma_lk, encounter, claim, sha256, name, khoa, kind, left_at, month, state, sent, answer,
    faults, changes, twin, total_bv, total_bh, total_bhtt, total_bncct, total_bntt, total_other, at)
values (%(tenant)s, %(ma_lk)s, %(encounter)s, %(claim)s, %(sha256)s, %(name)s, %(khoa)s, %(kind)s, %(left_at)s, %(month)s,
    %(state)s, %(sent)s, %(answer)s, %(faults)s, %(changes)s, %(twin)s,
    %(total_bv)s, %(total_bh)s, %(total_bhtt)s, %(total_bncct)s,
    %(total_bntt)s, %(total_other)s, %(at)s)
on conflict (tenant, ma_lk) do update set claim = excluded.claim, sha256 = excluded.sha256, name = excluded.name,
    khoa = excluded.khoa, kind = excluded.kind, left_at = excluded.left_at, month = excluded.month, state = excluded.state,
    sent = bhyt_claim.sent + excluded.sent, answer = excluded.answer, faults = excluded.faults, twin = excluded.twin,
    changes = case when excluded.sha256 = bhyt_claim.sha256 then bhyt_claim.changes else excluded.changes end,
    total_bv = excluded.total_bv, total_bh = excluded.total_bh, total_bhtt = excluded.total_bhtt,
    total_bncct = excluded.total_bncct, total_bntt = excluded.total_bntt, total_other = excluded.total_other, at = excluded.at
"""
_ONE = "select * from bhyt_claim where tenant = %s and ma_lk = %s"
_LIST = """
select * from bhyt_claim where tenant = %(tenant)s and (%(month)s::text is null or month = %(month)s)
  and (%(state)s::text is null or state = %(state)s) and (%(khoa)s::text is null or khoa = %(khoa)s)
order by left_at desc, ma_lk limit %(limit)s offset %(offset)s
"""
_SUMS = """
select state, count(*) as count, sum(total_bv) as bv, sum(total_bh) as bh, sum(total_bhtt) as bhtt,
       sum(total_bncct) as bncct, sum(total_bntt) as bntt, sum(total_other) as other
from bhyt_claim where tenant = %(tenant)s and (%(month)s::text is null or month = %(month)s)
  and (%(khoa)s::text is null or khoa = %(khoa)s) group by state
"""
_BY_KHOA = """
select khoa, count(*) as claims, count(*) filter (where state in ('faulty', 'refused')) as stopped,
       coalesce(sum(jsonb_array_length(faults)), 0) as faults, sum(total_bhtt) as bhtt
from bhyt_claim where tenant = %(tenant)s and (%(month)s::text is null or month = %(month)s) group by khoa order by khoa
"""
_BY_DAY = """
select (left_at at time zone 'Asia/Ho_Chi_Minh')::date as day, count(*) as claims,
       count(*) filter (where state = 'received') as received, sum(total_bhtt) as bhtt
from bhyt_claim where tenant = %(tenant)s and month = %(month)s group by 1 order by 1
"""
_BY_MONTH = """
select month, count(*) as claims, count(*) filter (where state = 'received') as received,
       count(*) filter (where state in ('faulty', 'refused')) as stopped, sum(total_bhtt) as bhtt
from bhyt_claim where tenant = %(tenant)s and (%(khoa)s::text is null or khoa = %(khoa)s)
group by month order by month desc limit 36
"""
_LINE = (
    "insert into bhyt_line_state (tenant, ma_lk, place, state, amount, reason, at, actor, actor_display) "
    "values (%s, %s, %s, %s, %s, %s, %s, %s, %s)"
)
_LINES = """
select distinct on (place) place, state, amount, reason, at, actor_display from bhyt_line_state
where tenant = %s and ma_lk = %s order by place, seq desc
"""


@dataclass(frozen=True, slots=True)
class ClaimRow:
    """A claim at the desk. Totals in VND; ``faults``: severity, code, place, text, rule; ``changes``: place, before, after;
    ``twin``: place of a line → reference of the fact behind it.
    """

    ma_lk: str
    encounter: str
    claim: str
    sha256: str
    name: str
    khoa: str
    kind: str
    left_at: datetime
    month: str
    state: str
    sent: int
    answer: str
    faults: tuple[Mapping[str, str], ...]
    changes: tuple[Mapping[str, str], ...]
    twin: Mapping[str, str]
    totals: Mapping[str, Decimal]
    at: datetime


@dataclass(frozen=True, slots=True)
class LineState:
    """The last word about a line (``XML3/5``) or a table after sending; ``amount``: VND taken off."""

    place: str
    state: str
    amount: Decimal | None
    reason: str
    at: datetime
    by: str


@dataclass(frozen=True, slots=True)
class Desk:
    """A page of the desk: rows, sums by state, by khoa, by day of the month, and of the last 36 months, oldest first."""

    rows: tuple[ClaimRow, ...]
    sums: Mapping[str, Mapping[str, Any]]
    by_khoa: tuple[Mapping[str, Any], ...]
    by_day: tuple[Mapping[str, Any], ...]
    by_month: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """Our month beside the portal's list: MA_LK known to one side only, and amounts that differ (ours, theirs)."""

    month: str
    agreed: int
    missing_there: tuple[str, ...] = ()
    missing_here: tuple[str, ...] = ()
    different: tuple[tuple[str, Decimal, Decimal], ...] = field(default=())


def changes_between(before: Package, after: Package) -> list[dict[str, str]]:
    """What the later package says otherwise, tag by tag; a whole line that came or went has an empty side."""
    found: list[dict[str, str]] = []
    for table in sorted({*before.rows, *after.rows}):
        old, new = before.table(table), after.table(table)
        for index in range(max(len(old), len(new))):
            one = old[index].values if index < len(old) else {}
            two = new[index].values if index < len(new) else {}
            place = f"{table}/dòng {index + 1}"
            if not one or not two:
                found.append(
                    {"place": place, "before": "" if not one else "có", "after": "" if not two else "có"}
                )
                continue
            for tag in dict.fromkeys((*one, *two)):
                if one.get(tag, "") != two.get(tag, ""):
                    found.append(
                        {"place": f"{place}/{tag}", "before": one.get(tag, ""), "after": two.get(tag, "")}
                    )
    return found[:_MOST_CHANGES]


async def put_claim(
    repo: Repository,
    package: Package,
    *,
    encounter: str,
    claim: str,
    sha256: str,
    left_at: datetime,
    state: str,
    sent: bool,
    answer: str,
    findings: Iterable[Finding],
    before: Package | None,
    twin: Sequence[Mapping[str, str]] = (),
) -> None:
    """Write down how a claim stands now, in the transaction of ``repo``."""
    head = package.table("XML1")[0]
    values = {
        "tenant": repo.ctx.tenant, "ma_lk": package.ma_lk, "encounter": encounter, "claim": claim, "sha256": sha256,
        "name": head.get("HO_TEN"), "khoa": head.get("MA_KHOA").split(";")[-1], "kind": head.get("MA_LOAI_KCB"),
        "left_at": left_at, "month": left_at.astimezone(VIETNAM).strftime("%Y%m"), "state": state, "sent": int(sent),
        "answer": answer, "at": repo.clock.now(),
        "faults": Jsonb([
            {"severity": f.severity, "code": f.code, "place": f.place, "text": f.text, "rule": f.rule} for f in findings
        ]),
        "twin": Jsonb(list(twin)),
        "changes": Jsonb(changes_between(before, package) if before is not None else []),
        **{column: number(head, tag) for column, tag in _TOTALS.items()},
    }  # fmt: skip
    async with repo.transaction() as tx:
        await tx.open_connection.execute(_PUT, values)


async def claim_row(repo: Repository, ma_lk: str) -> ClaimRow:
    """One claim. Raises: ``NotFound`` bhyt.no-claim."""
    rows = await _rows(repo, _ONE, (repo.ctx.tenant, ma_lk))
    if not rows:
        raise NotFound("bhyt.no-claim", "Không có hồ sơ BHYT mang mã liên kết này.")
    return _claim_row(rows[0])


async def known_claim(repo: Repository, ma_lk: str) -> ClaimRow | None:
    """The same, None when there is none yet."""
    rows = await _rows(repo, _ONE, (repo.ctx.tenant, ma_lk))
    return _claim_row(rows[0]) if rows else None


async def desk(
    repo: Repository,
    *,
    month: str | None = None,
    state: str | None = None,
    khoa: str | None = None,
    limit: int = 100,
    offset: int = 0,
) -> Desk:
    """Claims of a month (``yyyymm``; None: all), filtered, newest first, with sums over the whole filter but the state."""
    asked = {"tenant": repo.ctx.tenant, "month": month, "khoa": khoa}
    rows = await _rows(repo, _LIST, {**asked, "state": state, "limit": limit, "offset": offset})
    sums = {str(row.pop("state")): row for row in await _rows(repo, _SUMS, asked)}
    by_month = tuple(reversed(await _rows(repo, _BY_MONTH, asked)))
    by_day = await _rows(repo, _BY_DAY, asked) if month else []
    by_khoa = await _rows(repo, _BY_KHOA, asked)
    return Desk(tuple(_claim_row(r) for r in rows), sums, tuple(by_khoa), tuple(by_day), by_month)


async def note_line(
    repo: Repository, ma_lk: str, place: str, state: str, amount: Decimal | None, reason: str
) -> None:
    """What the insurer says of a line after sending, or what we answer (``giai-trinh``).

    Raises: ``NotFound`` bhyt.no-claim; ``InvalidInput`` bhyt.line-state.
    """
    await claim_row(repo, ma_lk)
    if state not in LINE_STATES:
        raise InvalidInput("bhyt.line-state", "Trạng thái dòng không có trong danh sách.", expression="state")
    if state in ("tu-choi", "xuat-toan", "giai-trinh") and len(reason.strip()) < 5:
        raise InvalidInput(
            "bhyt.line-state", "Từ chối, xuất toán, giải trình phải ghi lý do.", expression="reason"
        )
    actor = repo.ctx.actor
    values = (repo.ctx.tenant, ma_lk, place, state, amount, reason.strip(), repo.clock.now())
    async with repo.transaction() as tx:
        await tx.open_connection.execute(_LINE, (*values, actor.reference, actor.display))


async def line_states(repo: Repository, ma_lk: str) -> list[LineState]:
    """The last word about each line."""
    rows = await _rows(repo, _LINES, (repo.ctx.tenant, ma_lk))
    return [
        LineState(r["place"], r["state"], r["amount"], r["reason"], r["at"], r["actor_display"]) for r in rows
    ]


def read_portal_list(text: str) -> dict[str, Decimal]:
    """MA_LK → T_BHTT of the portal's list of a month: CSV with a heading, comma or semicolon.

    Raises: ``InvalidInput`` bhyt.portal-list with a fault for every bad line.
    """
    sample = text.lstrip("\ufeff")
    heading = sample.split("\n", 1)[0]
    reader = csv.DictReader(
        io.StringIO(sample), delimiter=";" if heading.count(";") > heading.count(",") else ","
    )
    try:
        names = {(n or "").strip().upper(): n for n in reader.fieldnames or ()}
        rows = list(enumerate(reader, 2)) if {"MA_LK", "T_BHTT"} <= names.keys() else None
    except csv.Error:
        rows = None
    if rows is None:
        raise _bad_list("Danh sách phải có cột MA_LK và T_BHTT.", [])
    found: dict[str, Decimal] = {}
    faults: list[str] = []
    for line, row in rows:
        ma_lk, amount = (row[names["MA_LK"]] or "").strip(), _amount(row[names["T_BHTT"]])
        if amount is None:
            faults.append(f"Dòng {line}: T_BHTT không phải số.")
        elif not ma_lk or ma_lk in found:
            faults.append(f"Dòng {line}: MA_LK trống hoặc lặp.")
        else:
            found[ma_lk] = amount
    if faults:
        raise _bad_list("Danh sách có dòng sai.", faults)
    return found


def _amount(text: str | None) -> Decimal | None:
    try:
        return Decimal((text or "").strip())
    except InvalidOperation:
        return None


def _bad_list(text: str, faults: Sequence[str]) -> InvalidInput:
    issues = [Issue("bhyt.portal-list", f, expression="danh_sach") for f in faults]
    return InvalidInput("bhyt.portal-list", text, expression="danh_sach", issues=issues)


async def reconcile(repo: Repository, month: str, theirs: Mapping[str, Decimal]) -> Reconciliation:
    """Our received claims of a month beside the portal's list."""
    rows = await _rows(
        repo,
        _LIST,
        {
            "tenant": repo.ctx.tenant,
            "month": month,
            "state": "received",
            "khoa": None,
            "limit": 1_000_000,
            "offset": 0,
        },
    )
    ours = {str(r["ma_lk"]): Decimal(r["total_bhtt"]) for r in rows}
    both = ours.keys() & theirs.keys()
    different = tuple(sorted((k, ours[k], theirs[k]) for k in both if ours[k] != theirs[k]))
    return Reconciliation(
        month,
        len(both) - len(different),
        tuple(sorted(ours.keys() - theirs.keys())),
        tuple(sorted(theirs.keys() - ours.keys())),
        different,
    )


async def _rows(
    repo: Repository, query: str, values: Sequence[Any] | Mapping[str, Any]
) -> list[dict[str, Any]]:
    async with repo.transaction() as tx, tx.open_connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(query, values)
        return await cursor.fetchall()


def _claim_row(row: Mapping[str, Any]) -> ClaimRow:
    return ClaimRow(
        **{name: row[name] for name in ("ma_lk", "encounter", "claim", "sha256", "name", "khoa", "kind", "left_at",
                                        "month", "state", "sent", "answer", "at")},
        faults=tuple(row["faults"]),
        changes=tuple(row["changes"]),
        twin={t["place"]: t["source"] for t in row["twin"]},
        totals={column.removeprefix("total_"): row[column] for column in _TOTALS},
    )  # fmt: skip
